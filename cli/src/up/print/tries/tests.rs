use rand::{SeedableRng, rngs::StdRng};
use sidegate_bundle::{
    ScopeSet,
    gate::{Access, CredentialType, GateName, KeyPolicy, Match, Requirement, Rule, Standing},
};

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn rule(path: Option<PathMatch>, methods: &[&str], access: Access) -> Rule {
    let methods: Vec<String> = methods.iter().map(|method| (*method).to_owned()).collect();
    let any = path.is_none() && methods.is_empty();
    let matches = if any { Vec::new() } else { vec![Match { path, methods }] };
    Rule { name: None, matches, access, needs: Vec::new() }
}

fn scope(scope: &str) -> Access {
    Access::Require(Requirement { scopes: ScopeSet::parse([scope]).unwrap(), ..Requirement::default() })
}

fn key(scopes: &[&str]) -> Key {
    let minted = ApiKey::mint(&mut StdRng::seed_from_u64(2));
    Key {
        id: minted.id(),
        hash: minted.verifier(),
        sub: "key:team-a.ci-key".to_owned(),
        tenant: "ns:team-a".to_owned(),
        kind: CredentialType::Service,
        scopes: ScopeSet::parse(scopes).unwrap(),
        nbf: None,
        exp: None,
        owner: None,
        standing: Standing::Good,
    }
}

fn bundle(rules: Vec<Rule>) -> GateBundle {
    GateBundle { rules, ..GateBundle::closed(GateName::new("dify", "api")) }
}

fn quickstart() -> GateBundle {
    let prefix = |path: &str| Some(PathMatch::Prefix(path.to_owned()));
    bundle(vec![
        rule(Some(PathMatch::Exact("/healthz".to_owned())), &[], Access::Anonymous),
        rule(prefix("/api/v1/apps"), &["GET"], scope("apps:read")),
        rule(None, &[], scope("apps:write")),
    ])
}

fn tries(bundle: &GateBundle, key: &Key) -> Option<String> {
    let holder = Holder { key, namespace_folder: ".sidegate/secrets/team-a", file: "ci-key-api-key/api-key" };
    let tries = Tries::of(bundle, "http://127.0.0.1:8080", &[holder], now(), &mut StdRng::seed_from_u64(1));
    tries.map(|tries| tries.text(Palette::plain()))
}

#[test]
fn the_quickstart_has_the_four_lines() {
    insta::assert_snapshot!(tries(&quickstart(), &key(&["apps:read"])).unwrap());
}

#[test]
fn a_key_that_may_do_everything_has_no_line_that_is_refused_for_its_scopes() {
    let text = tries(&quickstart(), &key(&["apps:read", "apps:write"])).unwrap();
    assert!(!text.contains("insufficient scope"), "{text}");
    assert!(text.contains("200, and what the app receives"), "{text}");
}

#[test]
fn what_is_refused_elsewhere_only_has_its_own_address() {
    let prefix = |path: &str| Some(PathMatch::Prefix(path.to_owned()));
    let bundle = bundle(vec![rule(prefix("/a"), &[], scope("a")), rule(prefix("/b"), &[], scope("b"))]);
    insta::assert_snapshot!(tries(&bundle, &key(&["a"])).unwrap());
}

#[test]
fn a_bearer_gate_and_another_status_are_said_as_they_are() {
    let policy = |headers: &[&str], bearer, invalid_status| KeyPolicy {
        headers: headers.iter().map(|header| (*header).to_owned()).collect(),
        bearer,
        invalid_status,
    };
    let bearer = GateBundle { api_keys: policy(&[], true, 403), ..quickstart() };
    insta::assert_snapshot!("bearer", tries(&bearer, &key(&["apps:read"])).unwrap());
    let header = GateBundle { api_keys: policy(&["X-Team's"], false, 401), ..quickstart() };
    assert!(tries(&header, &key(&["apps:read"])).unwrap().contains("# 401 invalid key"));
    let none = GateBundle { api_keys: policy(&[], false, 403), ..quickstart() };
    assert_eq!(tries(&none, &key(&["apps:read"])), None);
}

#[test]
fn a_key_that_may_nothing_has_no_lines() {
    assert_eq!(tries(&quickstart(), &key(&[])), None);
    let suspended = Key { standing: Standing::Suspended, ..key(&["apps:read"]) };
    assert_eq!(tries(&quickstart(), &suspended), None);
}

#[test]
fn words_are_quoted_for_a_shell_where_that_is_needed() {
    for (word, quoted_word) in [
        ("http://127.0.0.1:8080/api", "http://127.0.0.1:8080/api"),
        ("/a b", "'/a b'"),
        ("it's", "'it'\\''s'"),
        ("$HOME", "'$HOME'"),
        ("", "''"),
    ] {
        assert_eq!(quoted(word), quoted_word);
    }
}
