//! What goes in and what comes out, whole.

use http::{Response, request::Parts};
use proptest::{collection::vec, prelude::*, sample::select};
use sidegate_bundle::{GateBundle, ScopeSet, gate::Key};

use super::*;
use crate::{
    builders::{api_key, head, known_key, now, peer, plain_head, quickstart},
    decide,
};

const ID: u128 = 0x0a;
const ID_TEXT: &str = "0000000000000000000000000000000a";

/// What the app receives of this request: method and target, then a line a header, in order.
fn received(bundle: &GateBundle, head: Parts) -> Vec<String> {
    let index = Index::new(bundle);
    let decided = decide(&index, &head, now());
    let permit = decided.verdict.unwrap();
    let peer = peer("192.0.2.7");
    let head = rewrite(&permit, &index, head, &peer, &RequestId::new(ID)).into_head();
    assert_eq!(head.version, Version::HTTP_11);
    let mut lines: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    lines.insert(0, format!("{} {}", head.method, head.uri));
    lines
}

fn anonymous(headers: &[(&str, &str)]) -> Vec<String> {
    let lines = received(&quickstart(), head("POST", "/healthz", headers));
    let ours = ["x-forwarded-for: 192.0.2.7".to_owned(), format!("x-sidegate-request-id: {ID_TEXT}")];
    let expected = ["POST /healthz".to_owned(), "host: api".to_owned(), "x-sidegate-scopes: ".to_owned()];
    let rest =
        lines.iter().filter(|line| !ours.contains(line) && !expected.contains(line)).cloned().collect();
    for line in ours.iter().chain(&expected) {
        assert!(lines.contains(line), "{line} is missing in {lines:?}");
    }
    rest
}

#[test]
fn the_app_is_told_who_asks_and_never_sees_the_key() {
    let key = api_key("ci");
    let headers = [("x-api-key", key.expose()), ("accept", "*/*"), ("content-type", "text/plain")];
    assert_eq!(
        received(&quickstart(), head("GET", "http://api/api/./v1/%61pps?q=1", &headers)),
        [
            "GET /api/v1/apps?q=1",
            "accept: */*",
            "content-type: text/plain",
            "host: api",
            "x-forwarded-for: 192.0.2.7",
            "x-sidegate-credential: api-key",
            &format!("x-sidegate-request-id: {ID_TEXT}"),
            "x-sidegate-scopes: apps:read",
            "x-sidegate-subject: key:team-a.ci",
            "x-sidegate-tenant: ns:team-a",
        ]
    );
}

#[test]
fn of_nobody_the_app_is_told_only_that_there_are_no_scopes() {
    assert_eq!(
        received(&quickstart(), plain_head("OPTIONS", "*")),
        [
            "OPTIONS *",
            "host: api",
            "x-forwarded-for: 192.0.2.7",
            &format!("x-sidegate-request-id: {ID_TEXT}"),
            "x-sidegate-scopes: ",
        ]
    );
}

#[test]
fn a_key_goes_on_an_anonymous_route_too_whatever_it_is_worth() {
    for key in [api_key("ci").expose(), api_key("old").expose(), "wrong"] {
        let lines = received(&quickstart(), head("GET", "/healthz", &[("x-api-key", key)]));
        assert!(!lines.iter().any(|line| line.contains(key)), "{lines:?}");
        let known = key == api_key("ci").expose();
        assert_eq!(lines.contains(&"x-sidegate-subject: key:team-a.ci".to_owned()), known);
    }
}

#[test]
fn what_could_mislead_the_app_is_removed() {
    for name in [
        "x-sidegate-subject",
        "x-sidegate-anything",
        "x-original-url",
        "x-rewrite-url",
        "x-original-uri",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-forwarded-prefix",
        "x-script-name",
        "script-name",
        "x-forwarded-user",
        "x-remote-user",
        "remote-user",
        "x-auth-request-user",
        "x-auth-request-email",
        "x-forwarded-client-cert",
        "x_sidegate_subject",
        "script_name",
        "x.api.key",
        "odd!name",
        "content_length",
        "trailer",
        "te",
        "upgrade",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "x-api-key",
    ] {
        assert_eq!(anonymous(&[(name, "x")]), [""; 0], "{name}");
    }
    assert_eq!(anonymous(&[("x-sidegate-scopes", "admin"), ("x-sidegate-request-id", "1")]), [""; 0]);
    assert_eq!(anonymous(&[("expect", "100-continue")]), [""; 0]);
    assert_eq!(anonymous(&[("connection", "upgrade, http2-settings"), ("upgrade", "h2c")]), [""; 0]);
}

#[test]
fn a_gate_removes_further_headers_and_never_what_frames_or_routes() {
    let mut bundle = quickstart();
    bundle.forward.remove_headers =
        ["X-Debug", "cookie", "Host", "Content-Length", "no name"].map(str::to_owned).to_vec();
    let headers =
        [("x-debug", "1"), ("X-DEBUG", "2"), ("cookie", "a=b"), ("content-length", "3"), ("x-kept", "k")];
    let lines = received(&bundle, head("POST", "/healthz", &headers));
    assert!(!lines.iter().any(|line| line.starts_with("x-debug") || line.starts_with("cookie")), "{lines:?}");
    for kept in ["host: api", "content-length: 3", "x-kept: k"] {
        assert!(lines.contains(&kept.to_owned()), "{kept}: {lines:?}");
    }
}

#[test]
fn an_app_that_wants_no_word_of_ours_gets_none_and_nobody_elses() {
    let mut bundle = quickstart();
    bundle.forward.identity_headers = false;
    let key = api_key("ci");
    let headers =
        [("x-api-key", key.expose()), ("x-sidegate-subject", "admin"), ("x-sidegate-request-id", "1")];
    assert_eq!(
        received(&bundle, head("GET", "/api/v1/apps", &headers)),
        ["GET /api/v1/apps", "host: api", "x-forwarded-for: 192.0.2.7"]
    );
}

#[test]
fn a_doubtful_path_that_passes_goes_on_as_it_came() {
    let mut bundle = quickstart();
    bundle.paths = sidegate_bundle::gate::Paths { encoded_slash: true, double_slash: true, semicolon: true };
    bundle.rules = vec![crate::builders::rule("all", vec![], sidegate_bundle::gate::Access::Anonymous)];
    for (target, line) in [
        ("/a//b;c%2fd?q=1", "GET /a//b;c%2Fd?q=1"),
        ("//a/./%61;x", "GET //a/a;x"),
        ("http://api//a", "GET //a"),
    ] {
        assert_eq!(received(&bundle, plain_head("GET", target))[0], line, "{target}");
    }
}

#[test]
fn a_gate_that_audits_strips_as_ever_and_tells_only_of_callers_who_proved_who_they_are() {
    let bundle = GateBundle { mode: sidegate_bundle::gate::Mode::Audit, ..quickstart() };
    for (key, subject) in
        [("ci", Some("key:team-a.ci")), ("old", None), ("suspended", None), ("stranger", None)]
    {
        let key = api_key(key);
        let headers =
            [("x-api-key", key.expose()), ("x-sidegate-subject", "admin"), ("x_sidegate_subject", "admin")];
        let lines = received(&bundle, head("DELETE", "/api/v1/apps", &headers));
        assert!(!lines.iter().any(|line| line.contains(key.expose()) || line.contains("admin")), "{lines:?}");
        let told = lines.iter().find_map(|line| line.strip_prefix("x-sidegate-subject: "));
        assert_eq!(told, subject);
    }
}

#[test]
fn what_is_the_apps_stays() {
    for (name, value) in [
        ("authorization", "Bearer app-1"),
        ("authorization", "Basic dTpw"),
        ("cookie", "a=b; c=d"),
        ("origin", "https://x"),
        ("x-request-id", "r"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "api"),
        ("forwarded", "for=1.2.3.4"),
        ("traceparent", "00-1-2-01"),
        ("x-sidegate", "not ours"),
    ] {
        assert_eq!(anonymous(&[(name, value)]), [format!("{name}: {value}")]);
    }
    assert_eq!(anonymous(&[("accept", "a"), ("accept", "b")]), ["accept: a", "accept: b"]);
}

#[test]
fn a_bearer_is_removed_where_it_is_the_gates_and_basic_is_not() {
    let mut bundle = quickstart();
    bundle.api_keys.bearer = true;
    let key = api_key("ci");
    for (value, stays) in [
        (format!("Bearer {}", key.expose()), false),
        ("bearer wrong".to_owned(), false),
        ("Bearer".to_owned(), false),
        ("Basic dTpw".to_owned(), true),
    ] {
        let lines = received(&bundle, head("GET", "/healthz", &[("authorization", &value)]));
        assert_eq!(lines.contains(&format!("authorization: {value}")), stays, "{value}: {lines:?}");
    }
}

#[test]
fn what_connection_names_goes_and_ours_is_set_after() {
    let headers = [
        ("connection", "close, X-Secret,x-sidegate-subject"),
        ("connection", "X-Other"),
        ("x-secret", "s"),
        ("x-other", "o"),
        ("x-kept", "k"),
    ];
    assert_eq!(anonymous(&headers), ["x-kept: k"]);
    let key = api_key("ci");
    let named = [("connection", "x-api-key, x-sidegate-subject"), ("x-api-key", key.expose())];
    let lines = received(&quickstart(), head("GET", "/api/v1/apps", &named));
    assert!(lines.contains(&"x-sidegate-subject: key:team-a.ci".to_owned()), "{lines:?}");
}

#[test]
fn framing_goes_on_in_one_form() {
    for (name, value, canonical) in [
        ("content-length", "003", "content-length: 3"),
        ("content-length", "0", "content-length: 0"),
        ("transfer-encoding", "CHUNKED", "transfer-encoding: chunked"),
    ] {
        assert_eq!(anonymous(&[(name, value)]), [canonical]);
    }
}

#[test]
fn our_peer_is_the_last_of_one_line_of_forwarders() {
    for (lines, address, expected) in [
        (&[][..], "192.0.2.7", "192.0.2.7"),
        (&["1.1.1.1"], "192.0.2.7", "1.1.1.1, 192.0.2.7"),
        (&["1.1.1.1, 2.2.2.2", "3.3.3.3"], "2001:db8::1", "1.1.1.1, 2.2.2.2, 3.3.3.3, 2001:db8::1"),
        (&[], "::ffff:192.0.2.7", "192.0.2.7"),
    ] {
        let headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        let index = Index::new(&quickstart());
        let head = head("GET", "/healthz", &headers);
        let permit = decide(&index, &head, now()).verdict.unwrap();
        let head = rewrite(&permit, &index, head, &peer(address), &RequestId::new(ID)).into_head();
        let values: Vec<_> = head.headers.get_all(FORWARDED_FOR).iter().collect();
        assert_eq!(values, [expected]);
    }
}

#[test]
fn items_are_encoded_so_that_a_list_can_be_split() {
    for (text, expected) in [
        ("key:team-a.ci", "key:team-a.ci"),
        ("user:jo@acme.com/x_y", "user:jo@acme.com/x_y"),
        ("a b", "a%20b"),
        ("a%20b", "a%2520b"),
        ("é", "%C3%A9"),
        ("a,b\n", "a%2Cb%0A"),
    ] {
        assert_eq!(item(text).unwrap(), expected);
    }
    assert_eq!(list(&ScopeSet::parse(["b,c", "a"]).unwrap()), "a b%2Cc");
}

#[test]
fn values_of_ours_end_at_4_kib() {
    assert_eq!(item(&"x".repeat(4096)).map(|value| value.len()), Some(4096));
    assert_eq!(item(&"x".repeat(4097)), None);
    let many = ScopeSet::parse((0..1000).map(|number| format!("scope:{number:04}"))).unwrap();
    let value = list(&many);
    assert!(value.len() <= 4096 && value.len() > 4000, "{}", value.len());
    assert!(value.to_str().unwrap().split(' ').all(|scope| many.contains(scope)));
}

#[test]
fn a_name_that_is_too_long_is_not_cut() {
    let mut bundle = quickstart();
    bundle.keys = vec![Key { tenant: "t".repeat(5000), ..known_key("ci", &["apps:read"]) }];
    let key = api_key("ci");
    let lines = received(&bundle, head("GET", "/api/v1/apps", &[("x-api-key", key.expose())]));
    assert!(!lines.iter().any(|line| line.starts_with("x-sidegate-tenant")), "{lines:?}");
}

#[test]
fn an_answer_loses_what_belongs_to_the_apps_connection() {
    let mut response = Response::builder()
        .header("connection", "close, x-internal, content-length")
        .header("keep-alive", "timeout=5")
        .header("x-internal", "1")
        .header("upgrade", "h2c")
        .header("proxy-authenticate", "Basic")
        .header("x-sidegate-request-id", "forged")
        .header("x-sidegate-subject", "key:a.b")
        .header("content-length", "3")
        .header("trailer", "grpc-status")
        .header("server", "app")
        .header("set-cookie", "a")
        .header("set-cookie", "b")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    super::response(&mut response);
    let mut left: Vec<_> =
        response.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    left.sort_unstable();
    assert_eq!(
        left,
        [
            ("content-length", "3"),
            ("server", "app"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
            ("trailer", "grpc-status")
        ]
    );
}

#[test]
fn of_two_lengths_of_an_answer_the_chunks_count() {
    let mut response = Response::builder()
        .header("transfer-encoding", "chunked")
        .header("content-length", "3")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    super::response(&mut response);
    assert!(response.headers.is_empty(), "{:?}", response.headers);
}

proptest! {
    #[test]
    fn whatever_comes_ours_is_set_once_and_names_are_plain(
        headers in vec((
            select(vec![
                "x-sidegate-subject", "X-Sidegate-Tenant", "x-sidegate-scopes", "x-sidegate-request-id", "x_a", "x-a",
                "connection", "te", "x-forwarded-for", "authorization", "accept", "x-auth-request-x", "a.b",
            ]),
            "[!-~]{0,6}",
        ), 0..8),
    ) {
        let key = api_key("ci");
        let mut headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(("x-api-key", key.expose()));
        let head = head("GET", "/api/v1/apps", &headers);
        let index = Index::new(&quickstart());
        if let Ok(permit) = decide(&index, &head, now()).verdict {
            let head = rewrite(&permit, &index, head, &peer("::1"), &RequestId::new(ID)).into_head();
            for (name, value) in [
                ("x-sidegate-subject", "key:team-a.ci"),
                ("x-sidegate-tenant", "ns:team-a"),
                ("x-sidegate-scopes", "apps:read"),
                ("x-sidegate-credential", "api-key"),
                ("x-sidegate-request-id", ID_TEXT),
            ] {
                let values: Vec<_> = head.headers.get_all(name).iter().collect();
                prop_assert_eq!(values, [value]);
            }
            for name in head.headers.keys() {
                prop_assert!(plain(name.as_str()) && !misleading_other_than_ours(name), "{}", name);
            }
            let secret = head.headers.values().any(|value| value.as_bytes() == key.expose().as_bytes());
            prop_assert!(!secret);
        }
    }
}

fn misleading_other_than_ours(name: &HeaderName) -> bool {
    misleading(name.as_str()) && ![SUBJECT, TENANT, SCOPES, CREDENTIAL, REQUEST_ID].contains(name)
}
