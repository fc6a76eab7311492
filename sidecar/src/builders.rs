//! What tests begin with: a realistic Gate, its keys, and request heads.

use crate::client::Peer;
use http::{Request, request::Parts};
use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use sidegate_bundle::{
    ApiKey, GateBundle, Revision, ScopeSet,
    gate::{Access, CredentialType, GateName, Key, Match, PathMatch, Requirement, Rule, Standing},
};

/// When all tests run, in unix seconds.
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// The same key for the same name.
pub(crate) fn api_key(name: &str) -> ApiKey {
    let seed = name.bytes().fold(7u64, |seed, byte| seed * 31 + u64::from(byte));
    ApiKey::mint(&mut StdRng::seed_from_u64(seed))
}

/// What a bundle holds of [`api_key`], with these scopes: a service of tenant `ns:team-a`.
pub(crate) fn known_key(name: &str, scopes: &[&str]) -> Key {
    let key = api_key(name);
    Key {
        id: key.id(),
        hash: key.verifier(),
        sub: format!("key:team-a.{name}"),
        tenant: "ns:team-a".to_owned(),
        kind: CredentialType::Service,
        scopes: ScopeSet::parse(scopes).unwrap(),
        nbf: None,
        exp: None,
        owner: None,
        standing: Standing::Good,
    }
}

pub(crate) fn exact(path: &str) -> PathMatch {
    PathMatch::Exact(path.to_owned())
}

pub(crate) fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(path.to_owned())
}

pub(crate) fn matching(path: impl Into<Option<PathMatch>>, methods: &[&str]) -> Match {
    Match { path: path.into(), methods: methods.iter().copied().map(str::to_owned).collect() }
}

pub(crate) fn rule(name: &str, matches: Vec<Match>, access: Access) -> Rule {
    Rule { name: Some(name.to_owned()), matches, access, needs: vec![] }
}

pub(crate) fn scopes(all: &[&str]) -> Access {
    Access::Require(Requirement { scopes: ScopeSet::parse(all).unwrap(), ..Default::default() })
}

/// Gate `dify/api`, which takes keys in `X-API-Key` only.
pub(crate) fn quickstart() -> GateBundle {
    let team_b = Requirement { tenants: ["ns:team-b".to_owned()].into(), ..Default::default() };
    let people = Requirement {
        any_scopes: ScopeSet::parse(["console:read", "console:write"]).unwrap(),
        types: [CredentialType::App].into(),
        ..Default::default()
    };
    let mut bundle = GateBundle::closed(GateName::new("dify", "api"));
    bundle.revision = Revision(42);
    bundle.rules = vec![
        rule("health", vec![matching(exact("/healthz"), &[])], Access::Anonymous),
        rule("preflight", vec![matching(None, &["OPTIONS"])], Access::Anonymous),
        rule("read", vec![matching(prefix("/api/v1/apps"), &["GET"])], scopes(&["apps:read"])),
        rule("rest", vec![matching(prefix("/api/v1/apps"), &[])], scopes(&["apps:read", "apps:write"])),
        rule("team-b", vec![matching(prefix("/team-b"), &[])], Access::Require(team_b)),
        rule("people", vec![matching(prefix("/console"), &[])], Access::Require(people)),
        Rule {
            name: None,
            matches: vec![matching(prefix("/me"), &["GET", "POST"])],
            access: Access::Authenticated,
            needs: vec![],
        },
        Rule {
            needs: vec!["weather".to_owned()],
            ..rule("later", vec![matching(prefix("/later"), &[])], Access::Anonymous)
        },
    ];
    bundle.keys = vec![
        known_key("ci", &["apps:read"]),
        known_key("admin", &["apps:read", "apps:write", "console:read"]),
        Key { tenant: "ns:team-b".to_owned(), ..known_key("b", &[]) },
        Key { kind: CredentialType::App, ..known_key("app", &["console:write"]) },
        Key { exp: Some(NOW), ..known_key("old", &["apps:read"]) },
        Key { exp: Some(NOW + 1), ..known_key("ending", &["apps:read"]) },
        Key { nbf: Some(NOW + 1), ..known_key("early", &["apps:read"]) },
        Key { nbf: Some(NOW), ..known_key("new", &["apps:read"]) },
        Key { standing: Standing::Suspended, exp: Some(0), ..known_key("suspended", &["apps:read"]) },
        Key { standing: Standing::Revoked, exp: Some(0), ..known_key("revoked", &["apps:read"]) },
    ];
    bundle
}

/// A head with these headers; `Host: api` unless they have one.
pub(crate) fn head<V: AsRef<[u8]>>(method: &str, target: &str, headers: &[(&str, V)]) -> Parts {
    let has_host = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let mut request = Request::builder().method(method).uri(target);
    if !has_host {
        request = request.header("host", "api");
    }
    for (name, value) in headers {
        request = request.header(*name, value.as_ref());
    }
    request.body(()).unwrap().into_parts().0
}

/// A head without headers but `Host`.
pub(crate) fn plain_head(method: &str, target: &str) -> Parts {
    head::<&str>(method, target, &[])
}

/// Whoever connects from there.
pub(crate) fn peer(address: &str) -> Peer {
    address.parse::<std::net::IpAddr>().unwrap().into()
}
