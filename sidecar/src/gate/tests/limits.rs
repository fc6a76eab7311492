//! What callers that are many, large or slow may cost.

use super::{
    http2::{GET, frame, framing},
    *,
};

fn with(limits: Limits, app: SocketAddr) -> Setup {
    let setup = Setup::without_bundle(app, limits);
    setup.put_in_force(1);
    setup
}

#[test]
fn a_body_that_stops_coming_is_a_408_and_the_app_is_left() {
    let (gone, left) = std::sync::mpsc::channel();
    let gone = Mutex::new(gone);
    let backend = Backend::serving(move |mut connection, _| {
        let received = connection.head().unwrap();
        gone.lock().unwrap().send(connection.body(&received).is_none()).unwrap();
    });
    let limits = Limits { body: Duration::from_millis(150), ..Limits::default() };
    let setup = with(limits, backend.address());
    let mut client = setup.client();
    client.send("POST /healthz HTTP/1.1\r\nHost: api\r\nContent-Length: 90\r\n\r\n");
    // Slow is not late.
    for _ in 0..6 {
        thread::sleep(Duration::from_millis(50));
        client.send("more");
    }
    let begun = Instant::now();
    let answer = client.answer();
    assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    assert!(answer.text().contains("body_timeout"), "{}", answer.text());
    assert_eq!(client.rest(), b"");
    assert!(left.recv_timeout(Duration::from_secs(5)).unwrap());
    assert_eq!(setup.told(1)[0].denied, Some("body_timeout"));
}

#[test]
fn large_heads_that_do_not_end_are_held_back_and_small_ones_pass() {
    let backend = Backend::echo();
    let limits = Limits { buffers: 1 << 20, head: Duration::from_secs(2), ..Limits::default() };
    let setup = with(limits, backend.address());
    let unfinished = format!("GET /healthz HTTP/1.1\r\nHost: api\r\nX-Long: {}", "x".repeat(60_000));
    let mut large: Vec<_> = (0..40).map(|_| setup.client()).collect();
    for client in &mut large {
        client.send(&unfinished);
    }
    until(|| setup.count(|worker| worker.heads_held_back.get()) >= 10);
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(setup.client().ask("GET /healthz", "", "").status, 200);
    }
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    for client in &mut large {
        assert_eq!(client.answer().status, 408);
    }
    // All of it is there to be lent again.
    let long = format!("X-Long: {}\r\n", "x".repeat(60_000));
    for _ in 0..40 {
        assert_eq!(setup.client().ask("GET /healthz", &long, "").status, 200);
    }
}

#[test]
fn many_small_heads_of_one_connection_are_not_held_back_with_large_ones() {
    const REQUESTS: usize = 30;
    let backend = Backend::serving(|mut connection, requests| {
        connection.head();
        requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        // No answer, until the gate leaves.
        connection.head();
    });
    let limits = Limits { buffers: 1 << 20, head: Duration::from_secs(5), ..Limits::default() };
    let setup = with(limits, backend.address());
    let mut small = framing(&setup, b"");
    // x-long, of 632 bytes.
    let block = [GET, b"\0\x06x-long\x7f\xf9\x03", &[b'x'; 632]].concat();
    for stream in (1..).step_by(2).take(REQUESTS) {
        std::io::Write::write_all(&mut small.stream, &frame(1, 5, stream, &block)).unwrap();
    }
    until(|| backend.requests() == REQUESTS);
    let unfinished = format!("GET /healthz HTTP/1.1\r\nHost: api\r\nX-Long: {}", "x".repeat(60_000));
    let mut large: Vec<_> = (0..40).map(|_| setup.client()).collect();
    for client in &mut large {
        client.send(&unfinished);
    }
    until(|| setup.count(|worker| worker.heads_held_back.get()) >= 10);
    let begun = Instant::now();
    std::io::Write::write_all(&mut small.stream, &frame(6, 0, 0, b"pingpong")).unwrap();
    let mut come = Vec::new();
    while !come.ends_with(b"pingpong") {
        come.extend(small.read(1));
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn bodies_that_nobody_takes_are_left_with_who_sends_them() {
    const LENGTH: usize = 8 << 20;
    let backend = Backend::serving(|mut connection, _| {
        while connection.head().is_some() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
            if connection.send(&[head.into_bytes(), vec![b'x'; LENGTH]].concat()).is_err() {
                return;
            }
        }
    });
    let limit = 1 << 20;
    let setup = with(Limits { buffers: limit, ..Limits::default() }, backend.address());
    let mut takers: Vec<_> = (0..60).map(|_| setup.client()).collect();
    for taker in &mut takers {
        taker.send("GET /healthz HTTP/1.1\r\nHost: api\r\n\r\n");
    }
    let buffered = || setup.count(|worker| worker.buffered.load(std::sync::atomic::Ordering::SeqCst) as u64);
    until(|| buffered() > limit as u64 / 2);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        assert!(buffered() < 3 * limit as u64, "{}", buffered());
        assert_eq!(setup.client().ask("GET /none", "", "").status, 401);
    }
    thread::scope(|scope| {
        for mut taker in takers {
            scope.spawn(move || assert_eq!(taker.answer().body.len(), LENGTH));
        }
    });
    until(|| buffered() == 0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_caller_that_never_reads_is_left_and_so_is_the_app() {
    let (gone, left) = std::sync::mpsc::channel();
    let gone = Mutex::new(gone);
    let backend = Backend::serving(move |mut connection, _| {
        connection.head();
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let much = vec![b'x'; 65_536];
        while connection.send(&much).is_ok() {}
        gone.lock().unwrap().send(()).unwrap();
    });
    let limits = Limits { untaken: Duration::from_millis(500), ..Limits::default() };
    let setup = with(limits, backend.address());
    let mut client = setup.client();
    client.send("GET /healthz HTTP/1.1\r\nHost: api\r\n\r\n");
    assert!(left.recv_timeout(Duration::from_secs(15)).is_ok());
    until(|| setup.count(|worker| worker.connections_closed.get()) == 1);
}

#[test]
#[ignore = "what HTTP/2 still holds of an answer does not count as in use"]
fn who_still_takes_the_end_of_an_answer_does_not_give_way() {
    const LENGTH: usize = 2_000;
    const PART: usize = 100;
    let backend = Backend::serving(|mut connection, _| {
        connection.head();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
        connection.send(&[head.into_bytes(), vec![b'x'; LENGTH]].concat()).unwrap();
        connection.head();
    });
    let limits = Limits {
        connections: 1,
        rest: Duration::from_millis(5),
        head: Duration::from_millis(300),
        ..Limits::default()
    };
    let setup = with(limits, backend.address());
    // A window of so little for its stream.
    let mut taker = framing(&setup, &[0, 4, 0, 0, 0, 100]);
    std::io::Write::write_all(&mut taker.stream, &frame(1, 5, 1, GET)).unwrap();
    until(|| setup.count(|worker| worker.allowed.get()) == 1);
    let _waiting = setup.client();
    for part in 1..LENGTH / PART {
        thread::sleep(Duration::from_millis(100));
        let more = frame(8, 0, 1, &100_u32.to_be_bytes());
        assert!(std::io::Write::write_all(&mut taker.stream, &more).is_ok(), "left after {part}");
    }
    let mut come = 0;
    while come < LENGTH {
        let head = taker.read(9);
        let payload = taker.read(usize::from(head[1]) << 8 | usize::from(head[2]));
        come += if head[3] == 0 { payload.len() } else { 0 };
    }
}

#[test]
#[ignore = "only the library knows what it has read behind a body"]
fn a_head_that_begins_with_the_body_before_it_has_no_more_time_than_another() {
    let backend = Backend::echo();
    let limits =
        Limits { head: Duration::from_millis(300), idle: Duration::from_secs(5), ..Limits::default() };
    let setup = with(limits, backend.address());
    let mut client = setup.client();
    client.send("POST /none HTTP/1.1\r\nHost: api\r\nContent-Length: 4\r\n\r\nbodyGET /healthz HTT");
    assert_eq!(client.answer().status, 401);
    let begun = Instant::now();
    assert_eq!(client.answer().status, 408);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
