//! Bodies: as they come, in both directions, whatever their size.

use std::{
    io::{Read, Write},
    sync::atomic::Ordering,
};

use super::*;

const LARGE: usize = 10_000_000;

/// Bytes that show if a piece is lost or comes twice.
fn pattern(length: usize) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<_>>().repeat(length / 251 + 1);
    bytes.truncate(length);
    bytes
}

/// Answers each request with the length of its body in the head, and with as many bytes.
fn mirror() -> Backend {
    Backend::serving(|mut connection, requests| {
        while let Some(received) = connection.head() {
            let Some(body) = connection.body(&received) else { return };
            requests.fetch_add(1, Ordering::SeqCst);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            connection.send(head.as_bytes()).unwrap();
            if connection.send(&body).is_err() {
                return;
            }
        }
    })
}

#[test]
fn ten_megabytes_go_up_and_come_down_whole_in_either_framing() {
    let backend = mirror();
    let setup = Setup::new(backend.address());
    let body = pattern(LARGE);
    let mut client = setup.client();
    for chunked in [false, true] {
        let body = body.clone();
        let mut writer = client.stream.try_clone().unwrap();
        let sending = thread::spawn(move || {
            if chunked {
                writer
                    .write_all(b"POST /healthz HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .unwrap();
                for chunk in body.chunks(70_001) {
                    write!(writer, "{:x}\r\n", chunk.len()).unwrap();
                    writer.write_all(chunk).unwrap();
                    writer.write_all(b"\r\n").unwrap();
                }
                writer.write_all(b"0\r\nX-Sidegate-Subject: admin\r\n\r\n").unwrap();
            } else {
                write!(
                    writer,
                    "POST /healthz HTTP/1.1\r\nHost: api\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                )
                .unwrap();
                writer.write_all(&body).unwrap();
            }
        });
        let answer = client.answer();
        sending.join().unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.body == pattern(LARGE), "{} bytes came back", answer.body.len());
    }
    assert_eq!(backend.connections(), 2, "a body goes on a connection of its own");
}

#[test]
fn a_body_is_passed_on_before_its_end_in_both_directions() {
    let backend = Backend::serving(|mut connection, _| {
        connection.head();
        let mut first = [0; b"5\r\nfirst\r\n".len()];
        connection.reader.read_exact(&mut first).unwrap();
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n").unwrap();
        let mut last = String::new();
        connection.reader.read_to_string(&mut last).unwrap_or_default();
    });
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send("POST /healthz HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    assert_eq!(client.head().0, 200);
    let mut body = Vec::new();
    client.chunk(&mut body);
    assert_eq!(body, b"early");
}

#[test]
fn a_reader_that_does_not_read_slows_its_own_app_only() {
    let backend = Backend::serving(|mut connection, requests| {
        while let Some(received) = connection.head() {
            let large = received.head.contains("?large");
            let length = if large { LARGE * 4 } else { 2 };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            connection.send(head.as_bytes()).unwrap();
            for piece in pattern(length).chunks(10_000) {
                if connection.send(piece).is_err() {
                    return;
                }
                requests.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
    });
    let setup = Setup::new(backend.address());
    // One for each worker, and both stop reading.
    let mut slow: Vec<_> = (0..2).map(|_| setup.client()).collect();
    for client in &mut slow {
        client.send("GET /healthz?large HTTP/1.1\r\nHost: api\r\n\r\n");
        assert_eq!(client.head().0, 200);
    }
    let mut before = 0;
    until(|| {
        thread::sleep(Duration::from_millis(100));
        std::mem::replace(&mut before, backend.requests()) == backend.requests()
    });
    // The kernel's buffers are full, ours are bounded, and the app waits.
    assert!(before < LARGE * 8, "{before} bytes were taken from the app");
    let mut others: Vec<_> = (0..4).map(|_| setup.client()).collect();
    let begun = Instant::now();
    for client in &mut others {
        for _ in 0..20 {
            assert_eq!(client.ask("GET /healthz", "", "").text(), "\u{0}\u{1}");
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for mut client in slow {
        assert!(client.read(LARGE * 4) == pattern(LARGE * 4));
    }
}

#[test]
fn a_caller_that_expects_100_gets_it_when_the_app_will_read_and_not_when_denied() {
    let backend = mirror();
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send("POST /healthz HTTP/1.1\r\nHost: api\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.head(), (100, "HTTP/1.1 100 Continue\r\n\r\n".to_owned()));
    client.send("body");
    assert_eq!(client.answer().text(), "body");

    let mut denied = setup.client();
    denied.send("POST /none HTTP/1.1\r\nHost: api\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    let answer = denied.answer();
    assert_eq!((answer.status, answer.header("connection")), (401, Some("close")));
    assert_eq!(denied.rest(), b"");
}

#[test]
fn a_small_body_of_a_denied_request_does_not_end_its_connection() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    let halves = "x".repeat(20_000);
    for (framing, first, last) in [
        ("Content-Length: 40000", halves.clone(), halves.clone()),
        (
            "Transfer-Encoding: chunked",
            format!("4e20\r\n{halves}\r\n4e"),
            format!("20\r\n{halves}\r\n0\r\n\r\n"),
        ),
    ] {
        client.send(&format!("POST /none HTTP/1.1\r\nHost: api\r\n{framing}\r\n\r\n{first}"));
        thread::sleep(Duration::from_millis(20));
        client.send(&last);
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("connection")), (401, None), "{framing}");
        assert_eq!(client.ask("GET /healthz", "", "").status, 200, "{framing}");
    }
}

#[test]
fn a_denied_body_that_is_large_or_late_or_bad_ends_its_connection_and_the_answer_says_so() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    for (framing, body) in [
        ("Content-Length: 65537", ""),
        ("Content-Length: 2", "x"),
        ("Transfer-Encoding: chunked", "1\r\nx\r\n"),
        ("Transfer-Encoding: chunked", "x\r\n"),
        ("Transfer-Encoding: chunked", &format!("10001\r\n{}\r\n0\r\n\r\n", "x".repeat(65_537))),
    ] {
        let mut client = setup.client();
        client.send(&format!("POST /none HTTP/1.1\r\nHost: api\r\n{framing}\r\n\r\n{body}"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("connection")), (401, Some("close")), "{framing}");
        assert_eq!(client.rest(), b"", "{framing}");
    }
    assert_eq!(setup.count(|worker| worker.abandoned.get()), 0);
}

#[test]
fn a_caller_that_goes_on_sending_does_not_lose_its_denial() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send("POST /none HTTP/1.1\r\nHost: api\r\nContent-Length: 10000000\r\n\r\n");
    // A socket that was closed answers the first of these with a reset.
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(10));
        client.send(&"x".repeat(10_000));
    }
    assert_eq!(client.answer().status, 401);
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_broken_chunk_aborts_the_apps_request_and_never_ends_it_well() {
    let (heard, bodies) = std::sync::mpsc::channel();
    let heard = Mutex::new(heard);
    let backend = Backend::serving(move |mut connection, _| {
        connection.head();
        let mut body = Vec::new();
        let _ = connection.reader.read_to_end(&mut body);
        heard.lock().unwrap().send(body).unwrap();
    });
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send(
        "POST /healthz HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0x3\r\nabc\r\n",
    );
    let body = bodies.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(!body.ends_with(b"0\r\n\r\n"), "{body:?}");
}

#[test]
fn answers_without_a_body_and_answers_that_end_with_the_connection_pass() {
    let cases = [
        ("HEAD /healthz HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "content-length: 5"),
        ("GET /healthz HTTP/1.1", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", "etag: \"x\""),
        ("GET /healthz HTTP/1.1", "HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end"),
        ("GET /healthz HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end"),
        (
            "GET /healthz HTTP/1.0",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
            "\r\n\r\none",
        ),
    ];
    for (line, sent, expected) in cases {
        let backend = Backend::serving(move |mut connection, _| {
            connection.head();
            connection.send(sent.as_bytes()).unwrap();
        });
        let setup = Setup::new(backend.address());
        let mut client = setup.client();
        client.send(&format!("{line}\r\nHost: api\r\nConnection: close\r\n\r\n"));
        let rest = String::from_utf8(client.rest()).unwrap();
        let version = &line[line.len() - "HTTP/1.1".len()..];
        assert!(rest.starts_with(version), "{line} {sent}: {rest}");
        assert!(rest.contains(expected), "{line} {sent}: {rest}");
    }
}

#[test]
fn a_body_that_the_caller_breaks_is_the_callers_fault_and_has_no_end_at_the_app() {
    let heard = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let hearing = Arc::clone(&heard);
    let backend = Backend::serving(move |mut connection, _| {
        let mut bytes = Vec::new();
        let _ = connection.reader.read_to_end(&mut bytes);
        hearing.lock().unwrap().push(bytes);
    });
    let setup = Setup::new(backend.address());
    for body in ["3\r\nabcxx0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\n\n", "3\nabc\r\n0\r\n\r\n"]
    {
        let mut client = setup.client();
        client.send(&format!(
            "POST /healthz HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        ));
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("connection")), (400, Some("close")), "{body:?}");
    }
    let told = setup.told(4);
    assert!(told.iter().all(|told| told.denied == Some("doubtful_request")), "{told:?}");
    assert_eq!(setup.count(|worker| worker.app_broke_off.get()), 0);
    until(|| heard.lock().unwrap().len() == 4);
    assert!(heard.lock().unwrap().iter().all(|bytes| !bytes.ends_with(b"0\r\n\r\n")));
}

#[test]
fn the_apps_trailers_reach_the_caller_without_our_names() {
    let backend = Backend::serving(|mut connection, _| {
        connection.head();
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status, x-sidegate-subject\r\n\r\n\
            2\r\nok\r\n0\r\ngrpc-status: 0\r\nx-sidegate-subject: admin\r\n\r\n";
        connection.send(answer.as_bytes()).unwrap();
    });
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send("GET /healthz HTTP/1.1\r\nHost: api\r\nTE: trailers\r\nConnection: close\r\n\r\n");
    let answer = String::from_utf8(client.rest()).unwrap();
    assert!(answer.ends_with("2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n"), "{answer}");
}

#[test]
fn a_caller_that_goes_on_sending_does_not_lose_the_answer_of_an_app_that_has_heard_enough() {
    let backend = Backend::serving(|mut connection, _| {
        connection.head();
        connection
            .send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nstop")
            .unwrap();
        // It reads what is on its way, as servers do, and closes.
        thread::sleep(Duration::from_millis(20));
    });
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send("POST /healthz HTTP/1.1\r\nHost: api\r\nContent-Length: 10000000\r\n\r\n");
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(10));
        client.send(&"x".repeat(10_000));
    }
    let answer = client.answer();
    assert_eq!((answer.status, answer.text()), (413, "stop"));
}
