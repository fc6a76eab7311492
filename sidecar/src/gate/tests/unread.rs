//! Heads that cannot be read, and callers that speak something else.

use super::*;

/// What the audit was told of a head that nobody read.
fn told(denied: &'static str, status: u16) -> Told {
    Told {
        method: "-".to_owned(),
        path: "-".to_owned(),
        rule: None,
        subject: None,
        denied: Some(denied),
        status: Some(status),
    }
}

#[test]
fn a_head_that_cannot_be_read_is_answered_told_and_counted_like_any_other() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X-Many: x\r\n".repeat(101));
    let long = format!("GET / HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(700_000));
    let target = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(65_535));
    let cases = [
        ("\r\n\r\nGE(T / HTTP/1.1\r\nHost: api\r\n\r\n", 400, "doubtful_request", "invalid_request"),
        ("nonsense\r\n\r\n", 400, "doubtful_request", "invalid_request"),
        ("GET / HTTP/1.1\r\nHost : api\r\n\r\n", 400, "doubtful_request", "invalid_request"),
        ("GET / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc", 400, "doubtful_request", "invalid_request"),
        ("GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "doubtful_request", "invalid_request"),
        (&many, 431, "head_too_large", "head_too_large"),
        (&long, 431, "head_too_large", "head_too_large"),
        (&target, 414, "target_too_long", "target_too_long"),
    ];
    for (number, (head, status, word, error)) in cases.into_iter().enumerate() {
        let mut client = setup.client();
        // The gate may have answered and closed before it has all of it.
        let _ = std::io::Write::write_all(&mut client.stream, head.as_bytes());
        let answer = client.answer();
        let shown = &head[..head.len().min(40)];
        assert_eq!(answer.status, status, "{shown}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{shown}");
        assert_eq!(answer.header("connection"), Some("close"), "{shown}");
        assert_eq!(answer.header("server"), Some("sidegate"), "{shown}");
        assert!(answer.header("date").is_some_and(|date| date.ends_with(" GMT")), "{}", answer.head);
        let id = answer.header("x-sidegate-request-id").unwrap();
        for part in [format!("\"error\":\"{error}\""), format!("\"request_id\":\"{id}\"")] {
            assert!(answer.text().contains(&part), "{shown}: {}", answer.text());
        }
        assert_eq!(client.rest(), b"", "{shown}");
        assert_eq!(setup.told(number + 1)[number], self::told(word, status), "{shown}");
    }
    assert_eq!(backend.requests(), 0);
}

#[test]
fn what_was_asked_before_a_bad_head_is_answered_first() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send(
        "GET /healthz HTTP/1.1\r\nHost: api\r\n\r\nbad\r\n\r\nGET /healthz?2 HTTP/1.1\r\nHost: api\r\n\r\n",
    );
    assert_eq!(client.answer().status, 200);
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("server")), (400, Some("sidegate")));
    assert_eq!(client.rest(), b"");
    assert_eq!(backend.requests(), 1);
}

#[test]
fn a_bad_head_behind_one_of_http_1_0_gets_one_answer() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send("GET /healthz HTTP/1.0\r\nHost: api\r\nConnection: keep-alive\r\n\r\n");
    let (status, head) = client.head();
    assert_eq!(status, 200);
    client.read(client::header(&head, "content-length").unwrap().parse().unwrap());
    client.send("bad\r\n\r\n");
    let rest = String::from_utf8(client.rest()).unwrap();
    assert_eq!(rest.matches("HTTP/1.1 400").count(), 1, "{rest}");
    assert!(rest.contains("invalid_request"), "{rest}");
    assert_eq!(setup.told(2)[1], told("doubtful_request", 400));
}

#[test]
fn a_late_head_is_a_408_and_a_silent_connection_gets_nothing() {
    let backend = Backend::echo();
    let limits = Limits { head: Duration::from_millis(100), ..Limits::default() };
    let setup = Setup::without_bundle(backend.address(), limits);
    setup.put_in_force(1);
    let mut silent = setup.client();
    assert_eq!(silent.rest(), b"");
    let mut late = setup.client();
    late.send("GET /healthz HTTP/1.1\r\nHost: api\r\n");
    let answer = late.answer();
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    assert!(answer.text().contains("head_timeout"), "{}", answer.text());
    let mut second = setup.client();
    assert_eq!(second.ask("GET /healthz", "", "").status, 200);
    second.send("G");
    assert_eq!(second.answer().status, 408);
    let told: Vec<_> = setup.told(3).into_iter().map(|told| told.denied).collect();
    assert_eq!(told, [Some("head_timeout"), None, Some("head_timeout")]);
}

#[test]
fn tls_is_closed_and_counted() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    for count in 1..=2 {
        let mut client = setup.client();
        // The beginning of a ClientHello.
        std::io::Write::write_all(&mut client.stream, b"\x16\x03\x01\x02\x00\x01\x00").unwrap();
        assert_eq!(client.rest(), b"");
        assert_eq!(setup.count(|worker| worker.tls_refused.get()), count);
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_first_byte_at_a_time_is_still_read() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    for line in ["POST /healthz", "PUT /healthz", "GET /healthz"] {
        let mut client = setup.client();
        for byte in format!("{line} HTTP/1.1\r\nHost: api\r\nContent-Length: 0\r\n\r\n").bytes() {
            std::io::Write::write_all(&mut client.stream, &[byte]).unwrap();
        }
        assert!(client.answer().text().starts_with(line), "{line}");
    }
}
