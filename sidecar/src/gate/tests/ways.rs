//! What a request can come to.

use super::*;

#[test]
fn each_decision_is_answered_forwarded_and_told() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    let ci = key_line("ci");
    let cases = [
        ("GET /healthz", "", 200),
        ("GET /api/v1/apps", "", 401),
        ("GET /api/v1/apps?x=1", ci.as_str(), 200),
        ("POST /api/v1/apps", ci.as_str(), 403),
        ("GET /api/v1/apps", "X-API-Key: wrong\r\n", 403),
        ("GET /nothing", ci.as_str(), 403),
    ];
    for (line, headers, status) in cases {
        let answer = client.ask(line, headers, "");
        assert_eq!(answer.status, status, "{line} {headers}: {}", answer.head);
        assert_eq!(answer.header("x-sidegate-request-id").unwrap().len(), 32, "{}", answer.head);
    }
    let row = |told: Told| {
        let Told { method, path, rule, subject, denied, status } = told;
        (method + " " + &path, rule, subject, denied, status)
    };
    let text = |text: &str| Some(text.to_owned());
    let subject = || text("key:team-a.ci");
    let expected = [
        ("GET /healthz".to_owned(), text("health"), None, None, Some(200)),
        ("GET /api/v1/apps".to_owned(), text("read"), None, Some("missing_credentials"), Some(401)),
        ("GET /api/v1/apps".to_owned(), text("read"), subject(), None, Some(200)),
        ("POST /api/v1/apps".to_owned(), text("rest"), subject(), Some("insufficient_scope"), Some(403)),
        ("GET /api/v1/apps".to_owned(), text("read"), None, Some("malformed_key"), Some(403)),
        ("GET /nothing".to_owned(), None, subject(), Some("no_rule"), Some(403)),
    ];
    assert_eq!(setup.told(cases.len()).into_iter().map(row).collect::<Vec<_>>(), expected);
    assert_eq!(setup.count(|worker| worker.allowed.get()), 2);
    assert_eq!(backend.requests(), 2);
}

#[test]
fn the_app_gets_the_identity_and_never_the_key() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let forged = "X-Sidegate-Subject: key:team-b.boss\r\nX-Sidegate-Request-Id: mine\r\n";
    let answer = setup.client().ask("GET /api/v1/apps?x=%41", &format!("{}{forged}", key_line("ci")), "");
    let received = answer.text();
    let id = answer.header("x-sidegate-request-id").unwrap();
    assert!(received.starts_with("GET /api/v1/apps?x=%41 HTTP/1.1\r\n"), "{received}");
    for (name, value) in [
        ("host", "api"),
        ("x-sidegate-subject", "key:team-a.ci"),
        ("x-sidegate-scopes", "apps:read"),
        ("x-sidegate-request-id", id),
    ] {
        assert_eq!(client::header(received, name), Some(value), "{received}");
    }
    assert!(!received.contains(api_key("ci").expose()) && !received.contains("boss"), "{received}");
}

#[test]
fn no_two_requests_have_one_id() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    let ids: std::collections::HashSet<_> = (0..200)
        .map(|_| client.ask("GET /healthz", "", "").header("x-sidegate-request-id").unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 200);
}

#[test]
fn without_a_bundle_it_says_so_and_serves_as_soon_as_one_comes() {
    let backend = Backend::echo();
    let setup = Setup::without_bundle(backend.address(), Limits::default());
    let mut client = setup.client();
    let answer = client.ask("GET /healthz?secret", "", "");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert!(answer.text().contains("\"error\":\"no_bundle\""), "{}", answer.text());
    assert_eq!(setup.gate.revision(), None);
    setup.put_in_force(1);
    assert_eq!(client.ask("GET /healthz", "", "").status, 200);
    assert_eq!(setup.gate.revision(), Some(Revision(1)));
    let told = setup.told(2);
    assert_eq!((told[0].path.as_str(), told[0].denied), ("/healthz", Some("no_bundle")));
}

#[test]
fn an_app_that_is_away_is_a_502_until_it_is_back() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let setup = Setup::new(address);
    let mut client = setup.client();
    let answer = client.ask("GET /healthz", "", "");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("app_unavailable"), "{}", answer.text());
    assert_eq!(setup.count(|worker| worker.app_unreachable.get()), 1);
    assert_eq!(setup.told(1)[0].denied, Some("app_unavailable"));

    let listener = std::net::TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        thread::sleep(Duration::from_secs(5));
    });
    assert_eq!(client.ask("GET /healthz", "", "").status, 204);
}

#[test]
fn an_app_that_breaks_off_or_switches_protocols_is_a_502() {
    let answers: [&[u8]; 4] = [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ];
    for answer in answers {
        let backend = Backend::serving(move |mut connection, _| {
            connection.head();
            let _ = connection.send(answer);
        });
        let setup = Setup::new(backend.address());
        assert_eq!(setup.client().ask("GET /healthz", "", "").status, 502, "{answer:?}");
        assert_eq!(setup.count(|worker| worker.app_broke_off.get()), 1, "{answer:?}");
    }
}

#[test]
fn an_address_in_use_is_named() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let taken = setup.gate.local_addr();
    let second = Gate::start(GateConfig {
        gate: GateName::new("dify", "api"),
        listen: taken,
        app: backend.address().into(),
        bundles: Newest::new(),
        workers: Workers::start(NonZeroUsize::MIN).unwrap(),
        audit: Arc::new(Each(|_: &Seen<'_>| {})),
        metrics: Metrics::new(),
        limits: Limits::default(),
        drain: Duration::ZERO,
        shutdown: CancellationToken::new(),
    });
    assert_eq!(second.unwrap_err().to_string(), format!("{taken} is in use"));
}
