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
    super::gate(&scene.world, &gate_name("dify/api")).unwrap()
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
fn a_key_is_its_hash_and_what_it_may_do_here() {
    let spec = json!({
        "grants": [{"gate": "api", "namespace": "dify", "scopes": ["a", "z"]}],
        "type": "App", "tenant": "acme", "owner": "jo@acme.com",
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
        "nbf": 1_767_225_600, "exp": 1_798_761_600, "owner": "jo@acme.com",
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
fn of_two_secrets_with_one_key_id_the_older_object_is_in() {
    let mut scene = Scene::new();
    scene.gate("dify/api", json!({}));
    scene.key("dify/z-older", json!({"grants": [{"gate": "api"}]}));
    scene.settle();
    scene.after(1).key("dify/a-newer", json!({"grants": [{"gate": "api"}]}));
    scene.settle();
    let record =
        scene.secret("dify/z-older-api-key").meta.annotations.unwrap()["sidegate.dev/versions"].clone();
    scene.annotate_secret("dify/a-newer-api-key", "sidegate.dev/versions", Some(&record));
    let bundle = super::gate(&scene.world, &gate_name("dify/api")).unwrap();
    assert_eq!(bundle.keys.iter().map(|key| key.sub.as_str()).collect::<Vec<_>>(), ["key:dify.z-older"]);
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
    let before = super::gate(&scene.world, &gate_name("dify/api")).unwrap();
    scene.restart();
    assert_eq!(super::gate(&scene.world, &gate_name("dify/api")).unwrap(), before);
    assert!(before.keys.is_sorted_by_key(|key| key.id));
}
