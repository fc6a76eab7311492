//! Connections: kept, shared by nobody, ended in good order.

use super::*;

#[test]
fn both_sides_are_kept_open_from_request_to_request() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    for _ in 0..20 {
        assert_eq!(client.ask("GET /healthz", "", "").status, 200);
        assert_eq!(client.ask("GET /healthz?again", "", "").status, 200);
    }
    assert_eq!(backend.connections(), 1);
    assert_eq!(setup.count(|worker| worker.app_connections.get()), 1);
    assert_eq!(setup.count(|worker| worker.connections_opened.get()), 1);
}

#[test]
fn two_requests_in_one_write_get_two_answers_in_order() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send(
        "GET /healthz?1 HTTP/1.1\r\nHost: api\r\n\r\nGET /none HTTP/1.1\r\nHost: api\r\n\r\nGET /healthz?3 HTTP/1.1\r\nHost: api\r\n\r\n",
    );
    assert!(client.answer().text().starts_with("GET /healthz?1 "));
    assert_eq!(client.answer().status, 401);
    assert!(client.answer().text().starts_with("GET /healthz?3 "));
}

#[test]
fn a_body_on_a_get_goes_on_a_connection_of_its_own() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    for count in 1..=3 {
        let answer = client.ask("GET /healthz", "", "GET /admin HTTP/1.1\r\n\r\n");
        assert_eq!(client::header(answer.text(), "connection"), Some("close"), "{}", answer.text());
        assert_eq!(backend.connections(), count);
    }
}

#[test]
fn what_an_app_says_unasked_is_never_the_answer_to_the_next_request() {
    let backend = Backend::serving(|mut connection, requests| {
        while connection.head().is_some() {
            let number = requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}");
            connection.send(answer.as_bytes()).unwrap();
            thread::sleep(Duration::from_millis(30));
            let _ = connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen");
        }
    });
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    for number in 0..3 {
        assert_eq!(client.ask("GET /healthz", "", "").text(), number.to_string());
        thread::sleep(Duration::from_millis(60));
    }
    assert_eq!(backend.connections(), 3);
}

#[test]
fn a_connection_that_the_app_closed_while_idle_costs_no_request() {
    let backend = Backend::serving(|mut connection, closed| {
        connection.head();
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        drop(connection);
        closed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    });
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    for round in 1..=50 {
        assert_eq!(client.ask("GET /healthz", "", "").status, 200);
        // Later, it would be as if the app had never answered.
        until(|| backend.requests() == round);
    }
    assert_eq!(backend.connections(), 50);
}

#[test]
fn an_answer_before_the_whole_request_ends_the_apps_connection() {
    let backend = Backend::serving(|mut connection, requests| {
        while let Some(received) = connection.head() {
            connection.send(b"HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\n\r\n").unwrap();
            // What comes late it still reads, as many apps do.
            if connection.body(&received).is_some() {
                requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
    });
    let setup = Setup::new(backend.address());
    let mut early = setup.client();
    early.send("POST /healthz HTTP/1.1\r\nHost: api\r\nContent-Length: 9\r\n\r\nbegin");
    assert_eq!(early.answer().status, 413);
    // The gate may have closed by now.
    let _ = std::io::Write::write_all(&mut early.stream, b"rest");
    thread::sleep(Duration::from_millis(50));
    // One for each worker: one of them has the pool that the connection would have come back to.
    let mut others = [setup.client(), setup.client()];
    for client in &mut others {
        assert_eq!(client.ask("GET /healthz", "", "").status, 413);
    }
    assert_eq!(backend.connections(), 3);
}

#[test]
fn when_the_caller_leaves_the_app_is_left_too_and_it_is_told() {
    let (gone, left) = std::sync::mpsc::channel();
    let gone = Mutex::new(gone);
    let backend = Backend::serving(move |mut connection, requests| {
        connection.head();
        requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        // No answer: it waits for the gate to close.
        gone.lock().unwrap().send(connection.head().is_none()).unwrap();
    });
    let limits = Limits { half_closed: Duration::from_millis(100), ..Limits::default() };
    let setup = Setup::without_bundle(backend.address(), limits);
    setup.put_in_force(1);
    let mut client = setup.client();
    client.send("GET /healthz HTTP/1.1\r\nHost: api\r\n\r\n");
    until(|| backend.requests() == 1);
    drop(client);
    assert!(left.recv_timeout(Duration::from_secs(5)).unwrap());
    let told = setup.told(1);
    assert_eq!((told[0].denied, told[0].status), (None, None));
    assert_eq!(setup.count(|worker| worker.abandoned.get()), 1);
}

#[test]
fn a_head_that_does_not_come_ends_the_connection() {
    let backend = Backend::echo();
    let limits = Limits { head: Duration::from_millis(100), ..Limits::default() };
    let setup = Setup::without_bundle(backend.address(), limits);
    for begun in ["", "GET /healthz HTTP/1.1\r\nHost:"] {
        let mut client = setup.client();
        client.send(begun);
        let since = Instant::now();
        client.rest();
        assert!(since.elapsed() < Duration::from_secs(5), "{begun:?}");
    }
}

#[test]
fn a_connection_may_be_idle_for_longer_than_a_head_may_take() {
    let backend = Backend::echo();
    let limits =
        Limits { head: Duration::from_millis(100), idle: Duration::from_secs(2), ..Limits::default() };
    let setup = Setup::without_bundle(backend.address(), limits);
    setup.put_in_force(1);
    let mut client = setup.client();
    for _ in 0..2 {
        assert_eq!(client.ask("GET /healthz", "", "").status, 200);
        thread::sleep(Duration::from_millis(250));
    }
    client.send("GET");
    let begun = Instant::now();
    assert_eq!(client.answer().status, 408);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let mut idle = setup.client();
    assert_eq!(idle.ask("GET /healthz", "", "").status, 200);
    let begun = Instant::now();
    assert_eq!(idle.rest(), b"");
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn an_app_may_think_for_longer_than_any_limit_while_its_caller_waits() {
    let backend = Backend::serving(|mut connection, _| {
        connection.head();
        thread::sleep(Duration::from_millis(400));
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").unwrap();
    });
    let short = Duration::from_millis(50);
    let limits = Limits { head: short, idle: short, half_closed: short, ..Limits::default() };
    let setup = Setup::without_bundle(backend.address(), limits);
    setup.put_in_force(1);
    assert_eq!(setup.client().ask("GET /healthz", "", "").text(), "done");
}

#[test]
fn a_caller_that_has_closed_its_half_still_gets_its_answers() {
    let backend = Backend::serving(|mut connection, _| {
        while connection.head().is_some() {
            thread::sleep(Duration::from_millis(100));
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").unwrap();
        }
    });
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send(&"GET /healthz HTTP/1.1\r\nHost: api\r\n\r\n".repeat(2));
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.answer().text(), "done");
    assert_eq!(client.answer().text(), "done");
    let begun = Instant::now();
    assert_eq!(client.rest(), b"");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn a_caller_that_has_closed_its_half_may_read_for_as_long_as_it_reads() {
    let backend = Backend::serving(|mut connection, _| {
        connection.head();
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").unwrap();
        for digit in b'0'..=b'9' {
            thread::sleep(Duration::from_millis(60));
            connection.send(&[digit]).unwrap();
        }
    });
    let limits = Limits { half_closed: Duration::from_millis(300), ..Limits::default() };
    let setup = Setup::without_bundle(backend.address(), limits);
    setup.put_in_force(1);
    let mut client = setup.client();
    client.send("GET /healthz HTTP/1.1\r\nHost: api\r\n\r\n");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.answer().text(), "0123456789");
}

#[test]
fn heads_past_the_limits_are_refused() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let many = "X-Many: x\r\n".repeat(101);
    let long = format!("X-Long: {}\r\n", "x".repeat(70_000));
    for headers in [many, long] {
        assert_eq!(setup.client().ask("GET /healthz", &headers, "").status, 431);
    }
    let fits = format!("X-Many: {}\r\n", "x".repeat(600)).repeat(90);
    assert_eq!(setup.client().ask("GET /healthz", &fits, "").status, 200);
    assert_eq!(backend.requests(), 1);
}

#[test]
fn connections_past_the_limit_wait_for_a_place() {
    let backend = Backend::echo();
    // None of them is idle so soon that it would give way.
    let limits = Limits { connections: 2, rest: Duration::from_mins(1), ..Limits::default() };
    let setup = Setup::without_bundle(backend.address(), limits);
    setup.put_in_force(1);
    let mut held: Vec<_> = (0..2).map(|_| setup.client()).collect();
    for client in &mut held {
        assert_eq!(client.ask("GET /healthz", "", "").status, 200);
    }
    let mut third = setup.client();
    third.send("GET /healthz HTTP/1.1\r\nHost: api\r\n\r\n");
    third.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(std::io::Read::read(&mut third.stream, &mut [0]).is_err());
    third.stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    held.pop();
    assert_eq!(third.answer().status, 200);
}

#[test]
fn who_only_waits_gives_way_to_who_comes_and_to_no_more() {
    let backend = Backend::echo();
    let limits = Limits { connections: 3, rest: Duration::from_millis(5), ..Limits::default() };
    let setup = Setup::without_bundle(backend.address(), limits);
    setup.put_in_force(1);
    let post = |client: &mut Client| assert_eq!(client.ask("POST /healthz", "", "body").status, 200);
    let mut held: Vec<_> = (0..3).map(|_| setup.client()).collect();
    held.iter_mut().for_each(post);
    for come in 1..=4 {
        let mut client = setup.client();
        post(&mut client);
        held.push(client);
        assert!(setup.count(|worker| worker.connections_closed.get()) <= come + 1);
    }
}

#[test]
fn a_bundle_is_swapped_under_load_and_nothing_is_dropped_or_left_undecided() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    let (mut allowed, mut refused) = (0, 0);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = setup.client();
                    let mut counts = [0u32; 2];
                    while !stop.load(relaxed) {
                        match client.ask("GET /api/v1/apps", &key_line("ci"), "").status {
                            200 => counts[0] += 1,
                            403 => counts[1] += 1,
                            other => panic!("{other}"),
                        }
                    }
                    // It is gone, whichever worker one asks.
                    assert_eq!(client.ask("GET /api/v1/apps", &key_line("ci"), "").status, 403);
                    counts
                })
            })
            .collect();
        for revision in 2..100 {
            let mut bundle = GateBundle { revision: Revision(revision), ..quickstart() };
            if revision % 2 == 0 {
                bundle.keys.clear();
            }
            setup.bundles.offer(bundle, Timestamp::now()).unwrap();
            executor::block_on(setup.gate.in_force(Revision(revision)));
            thread::sleep(Duration::from_millis(5));
        }
        let bundle = GateBundle { revision: Revision(100), keys: vec![], ..quickstart() };
        setup.bundles.offer(bundle, Timestamp::now()).unwrap();
        executor::block_on(setup.gate.in_force(Revision(100)));
        stop.store(true, relaxed);
        for caller in callers {
            let [some, others] = caller.join().unwrap();
            allowed += some;
            refused += others;
        }
    });
    assert!(allowed > 0 && refused > 0, "{allowed} {refused}");
    assert_eq!(setup.count(|worker| worker.connections_opened.get()), 4);
}

#[test]
fn asked_to_stop_it_finishes_what_is_in_flight_and_takes_nothing_new() {
    let backend = Backend::serving(|mut connection, requests| {
        while let Some(received) = connection.head() {
            if received.head.contains("slow") {
                requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                thread::sleep(Duration::from_millis(300));
            }
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").unwrap();
        }
    });
    let setup = Setup::new(backend.address());
    let address = setup.gate.local_addr();
    let mut new = setup.client();
    let mut idle = setup.client();
    assert_eq!(idle.ask("GET /healthz", "", "").header("connection"), None);
    let mut busy = setup.client();
    busy.send("GET /healthz?slow HTTP/1.1\r\nHost: api\r\n\r\n");
    until(|| backend.requests() == 1);
    let stopped = thread::spawn(move || setup.stop());
    let begun = Instant::now();
    assert_eq!(idle.rest(), b"");
    assert_eq!(new.rest(), b"");
    assert!(begun.elapsed() < Duration::from_millis(200), "idle ones go at once: {:?}", begun.elapsed());
    let answer = busy.answer();
    assert_eq!((answer.status, answer.text()), (200, "done"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(busy.rest(), b"");
    assert!(stopped.join().unwrap() < Duration::from_secs(2));
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn what_is_not_over_by_the_deadline_is_cut_off() {
    let backend = Backend::serving(|mut connection, requests| {
        connection.head();
        requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        connection.head();
    });
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    client.send("GET /healthz HTTP/1.1\r\nHost: api\r\n\r\n");
    until(|| backend.requests() == 1);
    let took = setup.stop();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(client.rest(), b"");
}
