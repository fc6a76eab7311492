//! What a Gate says beside its rules, carried out.

use sidegate_bundle::gate::{Forward, KeepAlive, Mode};

use super::*;

/// A Gate that decides by this bundle.
pub(super) fn saying(app: SocketAddr, bundle: GateBundle) -> Setup {
    let setup = Setup::without_bundle(app, Limits::default());
    setup.bundles.offer(bundle, Timestamp::now()).unwrap();
    executor::block_on(setup.gate.in_force(Revision(1)));
    setup
}

#[test]
fn what_a_gate_in_mode_audit_would_deny_passes_is_told_and_counted() {
    let backend = Backend::echo();
    let setup = saying(backend.address(), GateBundle { mode: Mode::Audit, ..quickstart() });
    let mut client = setup.client();
    let suspended = key_line("suspended");
    for (line, headers, status, told) in [
        ("POST /api/v1/apps", "", 200, Some("missing_credentials")),
        ("GET /api/v1/apps", suspended.as_str(), 200, Some("suspended")),
        ("GET /healthz", "", 200, None),
        ("GET /a//b", "", 400, Some("ambiguous_path")),
    ] {
        let answer = client.ask(line, &format!("{headers}X-Sidegate-Subject: key:a.b\r\n"), "");
        assert_eq!(answer.status, status, "{line}: {}", answer.head);
        if status == 200 {
            let received = answer.text();
            assert_eq!(client::header(received, "x-sidegate-subject"), None, "{received}");
            assert!(!received.contains("sk-sg_"), "{received}");
        }
        assert_eq!(setup.told.lock().unwrap().last().unwrap().denied, told, "{line}");
    }
    assert_eq!(backend.requests(), 3);
    assert_eq!(setup.count(|worker| worker.allowed.get()), 3);
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register_collector(Box::new(setup.metrics.clone()));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        r#"sidegate_unenforced_denials_total{gate="dify/api",reason="missing_credentials"} 1"#,
        r#"sidegate_unenforced_denials_total{gate="dify/api",reason="suspended"} 1"#,
        r#"sidegate_denials_total{gate="dify/api",reason="ambiguous_path"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is missing in {text}");
    }
}

#[test]
fn without_keep_alive_every_request_has_a_connection_of_its_own_and_the_app_is_told() {
    for (keep_alive, connections, said) in [(KeepAlive::Auto, 1, None), (KeepAlive::Off, 3, Some("close"))] {
        let backend = Backend::echo();
        let setup = saying(backend.address(), GateBundle { keep_alive, ..quickstart() });
        let mut client = setup.client();
        for _ in 0..3 {
            let answer = client.ask("GET /healthz", "", "");
            assert_eq!(client::header(answer.text(), "connection"), said, "{keep_alive:?}");
            // The caller's own connection is another matter.
            assert_eq!(answer.header("connection"), None, "{keep_alive:?}");
        }
        assert_eq!((backend.requests(), backend.connections()), (3, connections), "{keep_alive:?}");
    }
}

#[test]
fn without_keep_alive_what_an_app_says_too_late_is_the_answer_to_nobody() {
    // It answers each request twice: the second time when the next one has come.
    for (keep_alive, expected) in [(KeepAlive::Auto, "late"), (KeepAlive::Off, "own")] {
        let backend = Backend::serving(|mut connection, _| {
            let mut late = "";
            while connection.head().is_some() {
                let own = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown";
                if connection.send([late, own].concat().as_bytes()).is_err() {
                    return;
                }
                late = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate";
            }
        });
        let setup = saying(backend.address(), GateBundle { keep_alive, ..quickstart() });
        let mut client = setup.client();
        assert_eq!(client.ask("GET /healthz", "", "").text(), "own");
        assert_eq!(client.ask("GET /healthz", "", "").text(), expected, "{keep_alive:?}");
    }
}

#[test]
fn the_caller_that_a_trusted_proxy_names_is_the_one_that_is_told() {
    for (trusted, expected) in [(vec![], "127.0.0.1"), (vec!["127.0.0.0/8".to_owned()], "192.0.2.9")] {
        let backend = Backend::echo();
        let clients = Arc::<Mutex<Vec<String>>>::default();
        let telling = Arc::clone(&clients);
        let audit = Each(move |seen: &Seen<'_>| {
            telling.lock().unwrap().push(seen.decision.client.to_string());
        });
        let bundles = Newest::new();
        let forward = Forward { trusted_proxies: trusted, ..Forward::default() };
        bundles.offer(GateBundle { forward, ..quickstart() }, Timestamp::now()).unwrap();
        let gate = Gate::start(GateConfig {
            gate: GateName::new("dify", "api"),
            listen: "127.0.0.1:0".parse().unwrap(),
            app: backend.address().into(),
            bundles,
            workers: Workers::start(NonZeroUsize::new(1).unwrap()).unwrap(),
            audit: Arc::new(audit),
            metrics: Metrics::new(),
            limits: Limits::default(),
            drain: Duration::from_secs(2),
            shutdown: CancellationToken::new(),
        })
        .unwrap();
        let mut client = Client::connect(gate.local_addr());
        let answer = client.ask("GET /healthz", "X-Forwarded-For: 6.6.6.6, 192.0.2.9\r\n", "");
        let received = answer.text();
        let forwarded = client::header(received, "x-forwarded-for");
        assert_eq!(forwarded, Some("6.6.6.6, 192.0.2.9, 127.0.0.1"), "{received}");
        assert_eq!(*clients.lock().unwrap(), [expected]);
    }
}

#[test]
fn a_denied_head_is_told_the_length_of_what_get_is_sent() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let mut client = setup.client();
    let length = client.ask("GET /none", "", "").body.len();
    client.send("HEAD /none HTTP/1.1\r\nHost: api\r\n\r\n");
    let (status, head) = client.head();
    assert_eq!((status, client::header(&head, "content-length")), (401, Some(&*length.to_string())));
    assert_eq!(client.ask("GET /healthz", "", "").status, 200, "nothing came behind the head");
}

#[test]
fn of_a_key_in_a_path_the_audit_is_told_the_id() {
    let backend = Backend::echo();
    let setup = Setup::new(backend.address());
    let key = api_key("ci");
    setup.client().ask(&format!("GET /keys/{}", key.expose()), "", "");
    let told = setup.told(1);
    assert_eq!(told[0].path, format!("/keys/sk-sg_{}_…", key.id().as_str()));
}
