//! Deciding and rewriting: what reaches the app is one canonical request, which says about its caller only what
//! the gate knows.

use std::net::{IpAddr, Ipv4Addr};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};
use jiff::Timestamp;
use sidegate_bundle::gate::{
    Access, CredentialType, Forward, GateName, Key, Match, Mode, PathMatch, Paths, Rule, Standing,
};
use sidegate_bundle::{ApiKey, GateBundle, ScopeSet};
use sidegate_sidecar::{Index, fuzz};

use crate::choices::Choices;
use crate::{here, lines, run};

const CORPUS: &str = include_str!("corpus/head.txt");
const KEY: &str = "sk-sg_0123456789abcdef_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg1o6iEC";
const NOW: i64 = 1_800_000_000;
const TARGETS: [&str; 15] = [
    "/",
    "/open",
    "/admin",
    "/ADMIN/",
    "/%61dmin",
    "/a/../admin",
    "//admin",
    "/x?y=%0a",
    "*",
    "http://api/admin",
    "http://api",
    "http://u@api/",
    "https://other/",
    "ftp://api/",
    "api:80",
];
const METHODS: [&str; 12] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get", "BREW", "G-T"];
/// What is put into values, and stands for whole values.
const TOKENS: [&str; 26] = [
    KEY,
    "sk-sg_",
    "Bearer ",
    "bearer",
    "close",
    "keep-alive",
    "upgrade",
    "te",
    "x-api-key",
    "x-sidegate-subject",
    "x-forwarded-for",
    "content-length",
    "host",
    "chunked",
    "CHUNKED",
    "gzip, chunked",
    "trailers",
    "h2c",
    "100-continue",
    "0",
    "3",
    "003",
    ", ",
    "api",
    "api:80",
    "é",
];
/// Headers that name a connection's or a caller's business, and must not reach the app.
const NEVER: [&str; 22] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "expect",
    "x-api-key",
    "x-original-url",
    "x-rewrite-url",
    "x-original-uri",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "script-name",
    "x-forwarded-user",
    "x-remote-user",
    "remote-user",
    "x-forwarded-client-cert",
    "x-auth-request-email",
];
const OURS: [&str; 5] = [
    "x-sidegate-request-id",
    "x-sidegate-subject",
    "x-sidegate-tenant",
    "x-sidegate-scopes",
    "x-sidegate-credential",
];

/// A Gate, and what it lets through beside what every Gate does.
struct Gate {
    index: Index,
    passing: Paths,
    enforces: bool,
    tells_identity: bool,
}

/// One with the defaults, and one for each thing that a bundle may ask for.
fn gates() -> Vec<Gate> {
    let ways: [fn(&mut GateBundle); 7] = [
        |_| {},
        |bundle| bundle.mode = Mode::Audit,
        |bundle| bundle.forward = Forward { identity_headers: false, ..Forward::default() },
        |bundle| bundle.paths.double_slash = true,
        |bundle| bundle.paths = Paths { encoded_slash: true, double_slash: true, semicolon: true },
        |bundle| bundle.paths = Paths { encoded_slash: true, semicolon: true, ..Paths::default() },
        |bundle| bundle.methods = vec!["BREW".to_owned(), "TRACE".to_owned(), "CONNECT".to_owned()],
    ];
    let mut gates = Vec::new();
    for way in ways {
        let mut bundle = bundle();
        way(&mut bundle);
        let (passing, tells_identity) = (bundle.paths, bundle.forward.identity_headers);
        let enforces = bundle.mode == Mode::Enforce;
        gates.push(Gate { index: Index::new(&bundle), passing, enforces, tells_identity });
    }
    gates
}

/// All paths that some server might take this for: decoded further, slashes as one, parameters cut off, in lower
/// case, without a last slash, dot segments walked.
fn readings(path: &str) -> Vec<String> {
    let mut found = vec![path.to_ascii_lowercase()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned().filter(|_| found.len() < 60) {
        next += 1;
        let without_parameters = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
        let mut walked: Vec<&str> = Vec::new();
        for segment in path.split('/').skip(1) {
            match segment {
                "." => {}
                ".." => drop(walked.pop()),
                name => walked.push(name),
            }
        }
        for other in [
            path.replace("%2f", "/"),
            path.replace("%5c", "\\").replace('\\', "/"),
            path.replace("//", "/"),
            path.trim_end_matches('/').to_owned(),
            without_parameters.collect::<Vec<_>>().join("/"),
            format!("/{}", walked.join("/")),
        ] {
            if !found.contains(&other) {
                found.push(other);
            }
        }
    }
    found
}

fn bundle() -> GateBundle {
    let key: ApiKey = KEY.parse().unwrap();
    let mut bundle = GateBundle::closed(GateName::new("dify", "api"));
    bundle.api_keys.bearer = true;
    let at = |path| vec![Match { path: Some(path), methods: vec![] }];
    let rule = |matches, access| Rule { name: None, matches, access, needs: vec![] };
    bundle.rules = vec![
        rule(at(PathMatch::Prefix("/open".to_owned())), Access::Anonymous),
        rule(at(PathMatch::Exact("/admin".to_owned())), Access::Authenticated),
        rule(vec![], Access::Anonymous),
    ];
    bundle.keys = vec![Key {
        id: key.id(),
        hash: key.verifier(),
        sub: "key:team-a.ci".to_owned(),
        tenant: "ns:team-a".to_owned(),
        kind: CredentialType::Service,
        scopes: ScopeSet::parse(["apps:read"]).unwrap(),
        nbf: None,
        exp: None,
        owner: None,
        standing: Standing::Good,
    }];
    bundle
}

/// A line of the corpus: `METHOD target|name: value|name: value`.
fn read(line: &str) -> Option<Parts> {
    let mut parts = line.split('|');
    let (method, target) = parts.next()?.split_once(' ')?;
    head(method, target, parts.filter_map(|header| header.split_once(": ")))
}

/// None if the HTTP library would not have let it in.
fn head<'h>(method: &str, target: &str, headers: impl Iterator<Item = (&'h str, &'h str)>) -> Option<Parts> {
    let mut request = Request::builder().method(method).uri(target).version(Version::HTTP_11);
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        request = request.header(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

fn made(choices: &mut Choices<'_>, seeds: &[Parts]) -> Option<Parts> {
    let mut head = choices.one(&seeds.iter().collect::<Vec<_>>()).clone();
    if choices.below(3) == 0 {
        head.method = choices.one(&METHODS).parse().ok()?;
    }
    if choices.below(2) == 0 {
        head.uri = choices
            .text(&TARGETS, &["/", "..", "%2e", "%2f", "%5c", ";x", "admin", "ADMIN", "?", "//", "\\"])
            .parse()
            .ok()?;
    }
    let mut names: Vec<&str> = NEVER.iter().chain(&OURS).copied().collect();
    names.extend([
        "host",
        "content-length",
        "transfer-encoding",
        "x-forwarded-for",
        "authorization",
        "x_api_key",
        "a.b",
        "accept",
    ]);
    for _ in 0..choices.below(4) {
        let name = choices.one(&names);
        let spelt = match choices.below(8) {
            0 => name.replace('-', "_"),
            1 => name.replace('-', "."),
            _ => name.to_owned(),
        };
        let value = HeaderValue::from_bytes(choices.text(&TOKENS, &TOKENS).as_bytes()).ok()?;
        let name = HeaderName::from_bytes(spelt.as_bytes()).ok()?;
        if choices.below(4) == 0 {
            head.headers.remove(name)
        } else {
            head.headers.append(name, value).then(|| HeaderValue::from_static(""))
        };
    }
    Some(head)
}

fn check(gate: &Gate, before: &Parts) {
    let now = Timestamp::from_second(NOW).unwrap();
    let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    let Ok(head) = fuzz::pass(&gate.index, before.clone(), now, peer) else { return };
    let shown = format!("{before:?}\n{head:?}");
    let target = head.uri.path_and_query().expect("a target").as_str();
    assert!(head.uri.scheme().is_none() && head.uri.authority().is_none(), "not in origin-form: {shown}");
    assert!(target.starts_with('/') || (target == "*" && head.method == "OPTIONS"), "{shown}");
    if target != "*" {
        assert_eq!(
            fuzz::path_passing(head.uri.path(), gate.passing).as_deref(),
            Ok(head.uri.path()),
            "not normalised: {shown}"
        );
    }
    assert_eq!(head.method, before.method);
    let headers = &head.headers;
    for name in headers.keys().map(HeaderName::as_str) {
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{name}: {shown}");
        assert!(!NEVER.contains(&name), "{name}: {shown}");
        assert!(!name.starts_with("x-sidegate-") || OURS.contains(&name), "{name}: {shown}");
    }
    for name in OURS.iter().chain(&["host", "content-length", "transfer-encoding", "x-forwarded-for"]) {
        assert!(headers.get_all(*name).iter().count() <= 1, "{name} twice: {shown}");
    }
    framing(headers, &shown);
    let holds = holds_key(&before.headers);
    // What would have been denied, for two credentials that differ, goes on as nobody's.
    let known = holds && (gate.enforces || says(headers, "x-sidegate-subject").is_some());
    let admin = readings(head.uri.path()).iter().any(|path| path == "/admin");
    assert!(known || !admin || !gate.enforces, "nobody reached /admin: {shown}");
    let id = "0".repeat(32);
    let told: [Option<&str>; 5] = match (gate.tells_identity, known) {
        (true, true) => {
            [Some(id.as_str()), Some("key:team-a.ci"), Some("ns:team-a"), Some("apps:read"), Some("api-key")]
        }
        (true, false) => [Some(id.as_str()), None, None, Some(""), None],
        (false, _) => [None; 5],
    };
    assert_eq!(OURS.map(|name| says(headers, name)), told, "{shown}");
    let forwarded = says(headers, "x-forwarded-for");
    assert!(forwarded.is_none_or(|text| text.ends_with("192.0.2.7")), "{shown}");
}

/// At most one way to tell where the body ends.
fn framing(headers: &HeaderMap, shown: &str) {
    let (chunked, length) = (says(headers, "transfer-encoding"), says(headers, "content-length"));
    assert!(chunked.is_none_or(|value| value == "chunked"), "{shown}");
    assert!(chunked.is_none() || length.is_none(), "{shown}");
    let canonical = |text: &str| text.parse::<u64>().is_ok_and(|number| number.to_string() == text);
    assert!(length.is_none_or(canonical), "{shown}");
    assert!(says(headers, "host").is_some_and(|host| !host.is_empty()), "{shown}");
}

/// Is there the key, alone and exactly, where the Gate takes keys?
fn holds_key(headers: &HeaderMap) -> bool {
    let header = says(headers, "x-api-key") == Some(KEY);
    let bearer = says(headers, "authorization")
        .and_then(|text| text.split_at_checked(7))
        .is_some_and(|(scheme, key)| scheme.eq_ignore_ascii_case("bearer ") && key == KEY);
    header || bearer
}

fn says<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[test]
fn head_and_rewrite() {
    let gates = gates();
    let seeds: Vec<Parts> = lines(CORPUS).iter().filter_map(|line| read(line)).collect();
    assert_eq!(seeds.len(), lines(CORPUS).len(), "a line of the corpus is not a head");
    for gate in &gates {
        for seed in &seeds {
            check(gate, seed);
        }
    }
    let passes = |seed: &&Parts| {
        let (now, peer) = (Timestamp::from_second(NOW).unwrap(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        fuzz::pass(&gates[0].index, (*seed).clone(), now, peer).is_ok()
    };
    assert!(seeds.iter().filter(passes).count() > 5, "the corpus has too few heads that pass");
    run(here!(), |choices| {
        let gate = &gates[choices.below(gates.len())];
        if let Some(head) = made(choices, &seeds) {
            check(gate, &head);
        }
    });
}
