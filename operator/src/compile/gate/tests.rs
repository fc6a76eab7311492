use serde_json::{Value, json};

use crate::testing::{Scene, gate_name};

/// Compiles the one Gate of a scene in which everything is settled.
fn compiled(gate: Value, keys: &[(&str, Value)]) -> sidegate_bundle::GateBundle {
    let mut scene = Scene::new();
    scene.namespace("team-a", &[("tenant.sidegate.dev/acme", "")]);
    scene.gate("dify/api", gate);
    for (name, spec) in keys {
        scene.key(name, spec.clone());
    }
    scene.settle();
    super::gate(&scene.world, &gate_name("dify/api"), None).unwrap()
}

#[test]
fn the_smallest_gate_lets_any_valid_credential_in() {
    let bundle = compiled(json!({}), &[]);
    insta::assert_json_snapshot!(bundle, @r#"
    {
      "format": 1,
      "revision": 0,
      "gate": {
        "namespace": "dify",
        "name": "api"
      },
      "audience": "urn:sidegate:dify:api",
      "realm": "dify/api",
      "apiKeys": {
        "headers": [
          "X-API-Key"
        ],
        "bearer": false,
        "invalidStatus": 403
      },
      "rules": [
        {
          "access": "Authenticated"
        }
      ],
      "keys": []
    }
    "#);
}

#[test]
fn every_field_of_a_gate_that_sidecars_read_is_in_its_bundle() {
    let bundle = compiled(
        json!({
            "publicUrl": "https://dify.example.com",
            "apiKeys": {"headers": ["X-Key"], "bearer": true, "invalidStatus": 401},
            "rules": [
                {"name": "health", "match": [{"path": {"type": "Exact", "value": "/healthz"}}], "allow": "Anonymous"},
                {"match": [{"path": {"type": "PathPrefix", "value": "/api"}, "methods": ["GET"]}, {"methods": ["POST"]}],
                 "require": {"scopes": ["a"], "anyScopes": ["b", "c"], "tenants": ["acme"], "types": ["App"]}},
                {"allow": "Authenticated"},
            ],
        }),
        &[],
    );
    insta::assert_json_snapshot!((bundle.realm, bundle.api_keys, bundle.rules));
}

#[test]
fn what_a_gate_says_beside_its_rules_is_in_its_bundle() {
    let bundle = compiled(
        json!({
            "mode": "Audit",
            "paths": {"encodedSlash": "Pass", "doubleSlash": "Refuse", "semicolon": "Pass"},
            "methods": {"extra": ["PROPFIND"]},
            "forward": {"identityHeaders": false, "trustedProxies": ["10.0.0.0/8"]},
            "audit": {"allow": "Each"},
            "rules": [{"match": [{"methods": ["PROPFIND"]}], "allow": "Anonymous"}],
        }),
        &[],
    );
    insta::assert_json_snapshot!(bundle);
}

#[test]
fn defaults_that_are_written_out_make_the_smallest_bundle() {
    let written_out = json!({
        "mode": "Enforce",
        "paths": {"encodedSlash": "Refuse", "doubleSlash": "Refuse", "semicolon": "Refuse"},
        "methods": {"extra": []},
        "forward": {"identityHeaders": true, "trustedProxies": [], "removeHeaders": []},
        "upstream": {"keepAlive": "Auto"},
        "audit": {"allow": "Aggregated"},
    });
    assert_eq!(compiled(written_out, &[]), compiled(json!({}), &[]));
}

#[test]
fn a_rule_that_an_older_sidecar_would_open_is_one_that_it_does_not_read() {
    for (spec, needs) in [
        (json!({"forward": {"removeHeaders": ["X-Debug"]}}), &["removeHeaders"][..]),
        (json!({"upstream": {"keepAlive": "Off"}}), &["keepAliveOff"]),
        (json!({"mode": "Audit", "paths": {"semicolon": "Pass"}, "audit": {"allow": "None"}}), &[]),
    ] {
        let without_rules = compiled(spec.clone(), &[]);
        assert_eq!(without_rules.rules.len(), 1);
        assert_eq!(without_rules.rules[0].needs, needs);
        let mut with_rules = spec;
        with_rules["rules"] = json!([
            {"match": [{"path": {"type": "Exact", "value": "/"}}], "allow": "Anonymous"}, {"allow": "Authenticated"}
        ]);
        let bundle = compiled(with_rules, &[]);
        assert!(bundle.rules.len() == 2 && bundle.rules.iter().all(|rule| rule.needs == needs), "{bundle:?}");
    }
}

#[test]
fn a_key_is_its_hash_and_what_it_may_do_here() {
    let spec = json!({
        "grants": [{"gate": "api", "namespace": "dify", "scopes": ["a", "z"]}],
        "type": "App", "tenant": "acme",
        "notBefore": "2026-01-01T00:00:00Z", "expiresAt": "2027-01-01T00:00:00Z",
    });
    let gate = json!({"admit": [{"namespaces": {"from": "All"}, "scopes": ["a", "b"]}]});
    let mut bundle = compiled(gate, &[("team-a/ci", spec)]);
    let mut key = serde_json::to_value(bundle.keys.remove(0)).unwrap();
    for random in ["id", "hash"] {
        assert!(key.as_object_mut().unwrap().remove(random).is_some());
    }
    let expected = json!({
        "sub": "key:team-a.ci", "tenant": "acme", "type": "App", "scopes": ["a"],
        "nbf": 1_767_225_600, "exp": 1_798_761_600,
    });
    assert_eq!(key, expected);
}

#[test]
fn what_is_not_admitted_or_not_accepted_is_not_compiled() {
    let gate = json!({"admit": [{"namespaces": {"from": "Names", "names": ["dify"]}, "scopes": ["a"]}]});
    let asks = |scopes: Value| json!({"grants": [{"gate": "api", "namespace": "dify", "scopes": scopes}]});
    let mut imported = asks(json!([]));
    imported["credential"] = json!({"type": "Imported", "imported": {"secretName": "s", "key": "k"}});
    let bundle = compiled(
        gate,
        &[
            ("team-a/stranger", asks(json!(["a"]))),
            ("dify/no-scope-admitted", asks(json!(["b"]))),
            ("dify/imported", imported),
            ("dify/good", asks(json!(["a", "b"]))),
        ],
    );
    let subjects: Vec<_> = bundle.keys.iter().map(|key| (key.sub.as_str(), key.scopes.to_string())).collect();
    assert_eq!(subjects, [("key:dify.good", "a".to_owned())]);
}

#[test]
fn the_same_world_gives_the_same_bytes_in_whatever_order_it_was_observed() {
    let key = |name: &str| (name.to_owned(), json!({"grants": [{"gate": "api", "namespace": "dify"}]}));
    let mut scene = Scene::new();
    scene.gate("dify/api", json!({"admit": [{"namespaces": {"from": "All"}}]}));
    for (name, spec) in ["team-a/b", "dify/c", "team-a/a"].map(key) {
        scene.key(&name, spec);
    }
    scene.settle();
    let before = super::gate(&scene.world, &gate_name("dify/api"), None).unwrap();
    scene.restart();
    assert_eq!(super::gate(&scene.world, &gate_name("dify/api"), None).unwrap(), before);
    assert!(before.keys.is_sorted_by_key(|key| key.id));
}
