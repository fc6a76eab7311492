//! The bundle's text is read by releases before and after this one.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    document::{pack, unpack},
    scope::ScopeSet,
};

fn full() -> GateBundle {
    let mut bundle = GateBundle::closed(GateName::new("dify", "api"));
    bundle.revision = Revision(7);
    bundle.rules = vec![
        Rule {
            name: Some("health".to_owned()),
            matches: vec![Match { path: Some(PathMatch::Exact("/healthz".to_owned())), methods: vec![] }],
            access: Access::Anonymous,
            needs: vec![],
        },
        Rule {
            name: None,
            matches: vec![],
            access: Access::Require(Requirement {
                scopes: ScopeSet::parse(["apps:read"]).unwrap(),
                ..Default::default()
            }),
            needs: vec!["tea".to_owned()],
        },
    ];
    bundle.keys = vec![Key {
        id: "AAAAAAAAAAAAAAAA".parse().unwrap(),
        hash: "00".repeat(32).parse().unwrap(),
        sub: "key:team-a.ci".to_owned(),
        tenant: "ns:team-a".to_owned(),
        kind: CredentialType::App,
        scopes: ScopeSet::parse(["apps:read"]).unwrap(),
        nbf: None,
        exp: Some(9),
        owner: None,
        standing: Standing::Suspended,
    }];
    bundle
}

#[test]
fn the_bundle_has_this_text() {
    insta::assert_json_snapshot!(full());
}

/// Every field that has a default, set to something else.
fn deviating() -> GateBundle {
    GateBundle {
        mode: Mode::Audit,
        paths: Paths { encoded_slash: true, double_slash: true, semicolon: true },
        methods: vec!["PROPFIND".to_owned()],
        forward: Forward {
            identity_headers: false,
            trusted_proxies: vec!["10.0.0.0/8".to_owned()],
            remove_headers: vec!["X-Debug".to_owned()],
        },
        keep_alive: KeepAlive::Off,
        audit_allow: AuditAllow::Each,
        ..GateBundle::closed(GateName::new("dify", "api"))
    }
}

#[test]
fn what_deviates_from_the_defaults_has_this_text() {
    assert_eq!(unpack::<GateBundle>(&pack(&deviating()).unwrap()).unwrap(), deviating());
    insta::assert_json_snapshot!(deviating());
}

#[test]
fn a_single_deviation_brings_no_other_field() {
    let mut bundle = GateBundle::closed(GateName::new("dify", "api"));
    bundle.paths.semicolon = true;
    bundle.forward.remove_headers = vec!["X-Debug".to_owned()];
    let value = serde_json::to_value(bundle).unwrap();
    assert_eq!(value["paths"], json!({"semicolon": true}));
    assert_eq!(value["forward"], json!({"removeHeaders": ["X-Debug"]}));
    assert!(value.get("keepAlive").is_none() && value.get("mode").is_none());
}

#[test]
fn a_reader_that_would_ignore_what_it_must_not_is_named_the_feature() {
    assert_eq!(GateBundle::closed(GateName::new("dify", "api")).features(), [""; 0]);
    assert_eq!(deviating().features(), ["removeHeaders", "keepAliveOff"]);
}

#[test]
fn a_bundle_survives_being_packed() {
    assert_eq!(unpack::<GateBundle>(&pack(&full()).unwrap()).unwrap(), full());
}

#[test]
fn fields_of_a_later_release_are_ignored() {
    let mut value = serde_json::to_value(full()).unwrap();
    value["clients"] = json!([]);
    value["keys"][0]["colour"] = json!("red");
    value["rules"][0]["hint"] = json!({});
    assert_eq!(unpack::<GateBundle>(&pack(&value).unwrap()).unwrap(), full());
}

#[test]
fn the_digest_ignores_the_revision_and_nothing_else() {
    let bundle = full();
    let later = GateBundle { revision: Revision(8), ..bundle.clone() };
    assert_eq!(later.digest().unwrap(), bundle.digest().unwrap());
    let mut narrower = bundle.clone();
    narrower.keys[0].scopes = ScopeSet::default();
    assert_ne!(narrower.digest().unwrap(), bundle.digest().unwrap());
}

#[test]
fn a_gate_has_one_audience_and_one_secret() {
    let gate = GateName::new("dify", "api");
    assert_eq!(gate.audience(), "urn:sidegate:dify:api");
    assert_eq!(gate.secret_name(), "sidegate-bundle-api");
}

proptest! {
    #[test]
    fn no_json_makes_the_reader_panic(text in "[{}\\[\\]\":,a-z0-9]{0,60}") {
        prop_assert!(serde_json::from_str::<GateBundle>(&text).is_err());
    }
}
