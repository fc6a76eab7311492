//! Connections between two requests: what they gave back they take again, and nothing is lost.

use super::*;

/// Longer than it takes to rest in these tests, by much.
const WHILE: Duration = Duration::from_millis(60);

#[test]
fn who_comes_back_after_a_while_is_served_on_the_same_connection() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    for count in 1..=4 {
        assert_eq!(client.ask("GET /healthz", "", "").status, 200);
        until(|| setup.count(|worker| worker.rested.get()) == count);
    }
    assert_eq!(setup.count(|worker| worker.connections_opened.get()), 1);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_head_that_came_in_part_behind_a_request_is_kept() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send("GET /healthz?1 HTTP/1.1\r\nHost: api\r\n\r\nGET /healthz?2 HT");
    assert!(client.answer().text().starts_with("GET /healthz?1 "));
    thread::sleep(WHILE);
    client.send("TP/1.1\r\nHost: ap");
    thread::sleep(WHILE);
    client.send("i\r\n\r\n");
    assert!(client.answer().text().starts_with("GET /healthz?2 "));
}

#[test]
fn a_body_that_nobody_read_is_never_the_next_request() {
    let backend = Backend::serving(|mut connection, requests| {
        while connection.head().is_some() {
            requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let _ = connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    let smuggled = "GET /healthz?smuggled HTTP/1.1\r\nHost: api\r\n\r\n";
    client.send("POST /healthz HTTP/1.1\r\nHost: api\r\nContent-Length: 1000\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    thread::sleep(WHILE);
    // It may be closed by now.
    let _ = std::io::Write::write_all(&mut client.stream, smuggled.as_bytes());
    thread::sleep(WHILE);
    assert!(client.rest().is_empty());
    assert_eq!(backend.requests(), 1);
}

#[test]
fn one_that_rests_is_closed_when_its_time_is_over_and_when_the_gate_stops() {
    let backend = Backend::echo();
    let idle = Duration::from_millis(200);
    let limits = Limits { idle, rest: Duration::from_millis(5), ..Limits::default() };
    let setup = Setup::without_bundle(backend.address(), limits);
    setup.put_in_force(1);
    let mut client = setup.client();
    assert_eq!(client.ask("GET /healthz", "", "").status, 200);
    let begun = Instant::now();
    assert!(client.rest().is_empty());
    assert!(begun.elapsed() > idle / 2, "{:?}", begun.elapsed());

    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    assert_eq!(client.ask("GET /healthz", "", "").status, 200);
    until(|| setup.count(|worker| worker.rested.get()) == 1);
    assert!(setup.stop() < Duration::from_secs(1));
    assert!(client.rest().is_empty());
}
