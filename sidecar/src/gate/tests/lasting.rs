//! WebSockets, and answers that last: opened in good form, ended with their credential.

use sidegate_bundle::gate::Standing;

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Opens each WebSocket with this head, says `hello` at once, and then says everything again.
fn echo(answer: &'static str) -> Backend {
    Backend::serving(move |mut connection, requests| {
        let received = connection.head().unwrap();
        requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if received.header("upgrade").is_none() {
            connection.send(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n").unwrap();
            return;
        }
        assert_eq!(received.header("connection"), Some("Upgrade"), "{}", received.head);
        assert_eq!(received.header("upgrade"), Some("websocket"), "{}", received.head);
        assert!(received.header("x-api-key").is_none(), "{}", received.head);
        connection.send(format!("{answer}hello").as_bytes()).unwrap();
        let mut bytes = [0; 4096];
        while let Ok(count) = std::io::Read::read(&mut connection.reader, &mut bytes) {
            if count == 0 || connection.send(&bytes[..count]).is_err() {
                return;
            }
        }
    })
}

fn opening(name: &str, change: impl Fn(String) -> String) -> String {
    change(format!(
        "GET /api/v1/apps HTTP/1.1\r\nHost: api\r\n{}Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
        key_line(name)
    ))
}

fn switched() -> &'static str {
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
}

/// A caller with an open WebSocket.
fn open(setup: &Setup) -> Client {
    let mut client = setup.client();
    client.send(&opening("ci", |head| head + "early"));
    let (status, head) = client.head();
    assert_eq!(status, 101, "{head}");
    assert_eq!(client::header(&head, "sec-websocket-accept"), Some(ACCEPT), "{head}");
    assert_eq!(client::header(&head, "upgrade"), Some("websocket"), "{head}");
    assert_eq!(client::header(&head, "connection"), Some("Upgrade"), "{head}");
    assert!(client::header(&head, "x-sidegate-request-id").is_some(), "{head}");
    assert_eq!(client.read(10), b"helloearly");
    client
}

/// The quickstart's bundle, after this happened to the key `ci`.
fn change(setup: &Setup, revision: u64, change: impl FnOnce(&mut GateBundle)) {
    let mut bundle = GateBundle { revision: Revision(revision), ..quickstart() };
    change(&mut bundle);
    setup.bundles.offer(bundle, Timestamp::now()).unwrap();
    executor::block_on(setup.gate.in_force(Revision(revision)));
}

fn ci(bundle: &mut GateBundle) -> &mut sidegate_bundle::gate::Key {
    let id = api_key("ci").id();
    bundle.keys.iter_mut().find(|key| key.id == id).unwrap()
}

#[test]
fn a_websocket_carries_bytes_both_ways_and_ends_with_either_side() {
    let backend = echo(switched());
    let setup = Setup::new(backend.address());
    let mut client = open(&setup);
    for text in ["one", "two"] {
        client.send(text);
        assert_eq!(client.read(3), text.as_bytes());
    }
    let large = "x".repeat(1_000_000);
    let mut writer = client.stream.try_clone().unwrap();
    let sending = {
        let large = large.clone();
        thread::spawn(move || std::io::Write::write_all(&mut writer, large.as_bytes()).unwrap())
    };
    assert!(client.read(large.len()) == large.as_bytes());
    sending.join().unwrap();
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.rest(), b"");
    until(|| setup.count(|worker| worker.connections_closed.get()) == 1);
    let told = setup.told(1);
    assert_eq!((told[0].denied, told[0].status), (None, Some(101)));
}

#[test]
fn what_asks_for_no_websocket_in_good_form_goes_on_without_an_upgrade() {
    let backend = echo(switched());
    let setup = Setup::new(backend.address());
    let cases = [
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Upgrade: websocket", "Upgrade: websocket, h2c"),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"),
        (KEY, "short"),
    ];
    for (before, after) in cases {
        let mut client = setup.client();
        client.send(&opening("ci", |head| head.replace(before, after)));
        assert_eq!(client.answer().status, 426, "{after}");
    }
    let mut client = setup.client();
    let body = "Content-Length: 4\r\n\r\nbody";
    client.send(&opening("ci", |head| head.trim_end().to_owned() + "\r\n" + body));
    assert_eq!(client.answer().status, 426);
    let mut denied = setup.client();
    denied.send(&opening("ci", |head| head.replace("/api/v1/apps", "/none")));
    assert_eq!(denied.answer().status, 403);
}

#[test]
fn a_101_that_is_not_for_this_opening_is_a_502() {
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
    ] {
        let backend = echo(answer);
        let setup = Setup::new(backend.address());
        let mut client = setup.client();
        client.send(&opening("ci", |head| head));
        assert_eq!(client.answer().status, 502, "{answer}");
    }
}

#[test]
fn a_websocket_ends_when_its_key_is_suspended_deleted_or_expires_and_no_other_does() {
    type Change = fn(&mut GateBundle);
    let ends: [(&str, Change); 4] = [
        ("suspended", |bundle| ci(bundle).standing = Standing::Suspended),
        ("deleted", |bundle| {
            let id = ci(bundle).id;
            bundle.keys.retain(|key| key.id != id);
        }),
        ("narrowed", |bundle| ci(bundle).scopes = sidegate_bundle::ScopeSet::default()),
        ("expires", |bundle| ci(bundle).exp = Some(Timestamp::now().as_second() + 2)),
    ];
    let backend = echo(switched());
    for (what, end) in ends {
        let setup = Setup::new(backend.address());
        let mut client = open(&setup);
        // Others' keys come and go.
        change(&setup, 2, |bundle| {
            let id = ci(bundle).id;
            bundle.keys.retain(|key| key.id == id);
        });
        client.send("still");
        assert_eq!(client.read(5), b"still", "{what}");
        let begun = Instant::now();
        change(&setup, 3, end);
        assert_eq!(client.rest(), b"", "{what}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{what}: {:?}", begun.elapsed());
        assert_eq!(setup.count(|worker| worker.cut_off.get()), 1, "{what}");
    }
}

#[test]
fn what_begins_just_before_its_key_expires_ends_when_it_does() {
    let backend = echo(switched());
    // The look that comes in any case, a second after the gate has begun, would be 600 ms late.
    let milliseconds = |time: Timestamp| time.as_millisecond();
    until(|| (600..650).contains(&(milliseconds(Timestamp::now()) % 1_000)));
    let setup = Setup::without_bundle(backend.address(), Limits::default());
    let expires = Timestamp::now().as_second() + 1;
    change(&setup, 1, |bundle| ci(bundle).exp = Some(expires));
    let mut client = open(&setup);
    assert_eq!(client.rest(), b"");
    let late = milliseconds(Timestamp::now()) - expires * 1_000;
    assert!((0..300).contains(&late), "{late} ms late");
}

#[test]
fn an_answer_that_lasts_ends_with_its_key_and_not_in_good_order() {
    let backend = Backend::serving(|mut connection, _| {
        connection.head();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        connection.send(head.as_bytes()).unwrap();
        while connection.send(b"6\r\ndata\n\n\r\n").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send(&format!("GET /api/v1/apps HTTP/1.1\r\nHost: api\r\n{}\r\n", key_line("ci")));
    assert_eq!(client.head().0, 200);
    let mut body = Vec::new();
    for _ in 0..5 {
        assert!(client.chunk(&mut body));
    }
    change(&setup, 2, |bundle| ci(bundle).standing = Standing::Suspended);
    assert!(!client.rest().ends_with(b"0\r\n\r\n"), "it ended in good order");
    assert_eq!(setup.client().ask("GET /api/v1/apps", &key_line("ci"), "").status, 403);
}

#[test]
fn an_answer_of_an_app_that_always_has_more_ends_with_its_key() {
    let backend = Backend::serving(|mut connection, _| {
        connection.head();
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let much = vec![b'x'; 1 << 20];
        while connection.send(&much).is_ok() {}
    });
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send(&format!("GET /api/v1/apps HTTP/1.1\r\nHost: api\r\n{}\r\n", key_line("ci")));
    assert_eq!(client.head().0, 200);
    // It reads slower than the app writes, so that the gate never waits for the app.
    let mut piece = vec![0; 32 << 10];
    let mut reads_for = |time: Duration| {
        let begun = Instant::now();
        while begun.elapsed() < time {
            thread::sleep(Duration::from_millis(2));
            if !matches!(std::io::Read::read(&mut client.stream, &mut piece), Ok(1..)) {
                return false;
            }
        }
        true
    };
    assert!(reads_for(Duration::from_millis(300)), "it ended by itself");
    change(&setup, 2, |bundle| ci(bundle).standing = Standing::Suspended);
    assert!(!reads_for(Duration::from_secs(8)), "it goes on");
    assert_eq!(setup.count(|worker| worker.cut_off.get()), 1);
}

#[test]
fn in_mode_audit_what_lasts_goes_on() {
    let backend = echo(switched());
    let setup = Setup::new(backend.address());
    let mut client = open(&setup);
    change(&setup, 2, |bundle| {
        bundle.mode = sidegate_bundle::gate::Mode::Audit;
        ci(bundle).standing = Standing::Suspended;
    });
    // Longer than the second after which it is looked at anyway.
    thread::sleep(Duration::from_millis(1_200));
    client.send("still");
    assert_eq!(client.read(5), b"still");
}

#[test]
fn when_the_gate_stops_a_websocket_goes_on_to_the_deadline() {
    let backend = echo(switched());
    let setup = Setup::new(backend.address());
    let mut client = open(&setup);
    let stopped = thread::spawn(move || setup.stop());
    thread::sleep(Duration::from_millis(500));
    client.send("still");
    assert_eq!(client.read(5), b"still");
    assert_eq!(client.rest(), b"");
    let took = stopped.join().unwrap();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn when_the_gate_stops_a_websocket_that_ends_by_itself_is_not_waited_for() {
    let backend = echo(switched());
    let setup = Setup::new(backend.address());
    let client = open(&setup);
    let stopped = thread::spawn(move || setup.stop());
    thread::sleep(Duration::from_millis(200));
    drop(client);
    assert!(stopped.join().unwrap() < Duration::from_secs(1));
}

#[test]
fn while_the_gate_stops_a_websocket_still_ends_with_its_key() {
    let backend = echo(switched());
    let setup = Setup::new(backend.address());
    let mut client = open(&setup);
    let begun = Instant::now();
    setup.stop.cancel();
    thread::sleep(Duration::from_millis(100));
    client.send("still");
    assert_eq!(client.read(5), b"still");
    change(&setup, 2, |bundle| ci(bundle).standing = Standing::Suspended);
    assert_eq!(client.rest(), b"");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(setup.count(|worker| worker.cut_off.get()), 1);
}
