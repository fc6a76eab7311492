use serde_json::{Value, json};
use sidegate_bundle::gate::{Key, Standing};

use crate::{
    compile,
    testing::{Scene, gate_name, key_ref},
};

const KEY: &str = "team-a/ci";
const SECRET: &str = "team-a/ci-api-key";
const RECORD: &str = "sidegate.dev/versions";

fn admits(scopes: &[&str]) -> Value {
    json!({"admit": [{"namespaces": {"from": "All"}, "scopes": scopes}]})
}

fn asks(scopes: &[&str], more: Value) -> Value {
    let mut spec = json!({"grants": [{"gate": "api", "namespace": "dify", "scopes": scopes}]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn with(mut spec: Value, more: Value) -> Value {
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

/// `dify/api` lets `team-a/ci` in, with the scopes a and b.
fn settled() -> Scene {
    let mut scene = Scene::new();
    scene.gate("dify/api", admits(&["a", "b"]));
    scene.key(KEY, asks(&["a", "b"], json!({})));
    scene.settle();
    scene
}

/// What a bundle says of its one key: scopes, standing, times; nothing if it is not there.
fn said(keys: &[Key]) -> String {
    let text = |key: &Key| format!("{} {:?} {:?} {:?}", key.scopes, key.standing, key.nbf, key.exp);
    keys.first().map(text).unwrap_or_default()
}

/// Everything that an owner may take away, and what is then left where nothing may be added.
fn taken_away() -> Vec<(Value, &'static str)> {
    vec![
        (json!({}), "a b Good None None"),
        (json!({"suspended": true}), "a b Suspended None None"),
        (json!({"expiresAt": "2026-01-02T00:00:00Z"}), "a b Good None Some(1767312000)"),
        (json!({"notBefore": "2026-01-02T00:00:00Z"}), "a b Good Some(1767312000) None"),
        (asks(&["a"], json!({})), "a Good None None"),
        (asks(&["a", "b", "c"], json!({})), "a b Good None None"),
        (json!({"grants": [{"gate": "other", "namespace": "dify"}]}), ""),
        (json!({"tenant": "acme"}), ""),
        (json!({"type": "App"}), ""),
    ]
}

#[test]
fn at_a_gate_that_is_not_accepted_a_key_can_lose_and_not_gain() {
    for (change, left) in taken_away() {
        let mut scene = settled();
        scene.gate("dify/api", with(admits(&["a", "b", "c"]), json!({"limits": 5})));
        scene.key(KEY, asks(&["a", "b"], change.clone()));
        scene.after(1).settle();
        assert_eq!(said(&scene.bundle("dify/api").keys), left, "{change}");
    }
}

#[test]
fn a_key_with_fields_that_are_not_known_can_lose_and_not_gain() {
    for (change, left) in taken_away() {
        for restarts in [false, true] {
            let mut scene = settled();
            if restarts {
                scene.restart();
            }
            scene.key(KEY, with(asks(&["a", "b"], json!({"sourceRanges": ["10.0.0.0/8"]})), change.clone()));
            scene.after(1).settle();
            assert_eq!(said(&scene.bundle("dify/api").keys), left, "{change}, restarts: {restarts}");
            let conditions = scene.conditions(&key_ref(KEY));
            assert!(conditions.contains("Accepted=False/UnknownField"), "{conditions}");
        }
    }
}

#[test]
fn a_new_key_with_fields_that_are_not_known_is_not_minted() {
    let mut scene = settled();
    scene.key("team-a/new", asks(&["a"], json!({"sourceRanges": []})));
    scene.journal();
    scene.settle();
    assert_eq!(scene.journal(), ["status ApiKey team-a/new"]);
}

#[test]
fn what_such_a_key_lost_does_not_come_back_before_it_is_understood() {
    let mut scene = settled();
    let unknown = json!({"sourceRanges": []});
    scene.key(KEY, asks(&["a"], with(unknown.clone(), json!({"suspended": true}))));
    scene.after(1).settle();
    scene.key(KEY, asks(&["a", "b"], unknown));
    scene.after(1).settle();
    assert_eq!(said(&scene.bundle("dify/api").keys), "a Suspended None None");
    scene.key(KEY, asks(&["a", "b"], json!({})));
    scene.after(1).settle();
    assert_eq!(said(&scene.bundle("dify/api").keys), "a b Good None None");
}

#[test]
fn a_suspension_ends_even_at_a_gate_that_is_not_accepted() {
    let mut scene = settled();
    scene.gate("dify/api", with(admits(&["a", "b"]), json!({"capture": {"mode": "Takeover"}})));
    for (suspended, standing) in [(true, Standing::Suspended), (false, Standing::Good)] {
        scene.key(KEY, asks(&["a", "b"], json!({"suspended": suspended})));
        scene.after(1).settle();
        assert_eq!(scene.bundle("dify/api").keys[0].standing, standing);
    }
}

#[test]
fn a_gate_that_is_not_accepted_can_still_admit_less() {
    let gates = [
        (with(admits(&["a"]), json!({"capture": {"mode": "Takeover"}})), "a Good None None"),
        (json!({"admit": [{"namespaces": {"from": "Same"}}], "limits": 5}), ""),
        // Nobody knows what the field would admit.
        (json!({"admit": [{"namespaces": {"from": "Same"}, "alsoFrom": "team-*"}]}), "a b Good None None"),
    ];
    for (gate, left) in gates {
        let mut scene = settled();
        scene.gate("dify/api", gate.clone());
        scene.after(1).settle();
        assert_eq!(said(&scene.bundle("dify/api").keys), left, "{gate}");
    }
}

#[test]
fn a_secret_deleted_by_hand_ends_its_key_at_a_gate_that_is_not_accepted() {
    let mut scene = settled();
    scene.gate("dify/api", with(admits(&["a", "b"]), json!({"capture": {"mode": "Takeover"}})));
    scene.settle();
    scene.delete_secret(SECRET);
    scene.after(1).settle();
    assert_eq!(scene.bundle("dify/api").keys, []);
}

#[test]
fn a_record_cannot_take_the_id_of_a_key_that_is_in_force() {
    let mut scene = Scene::new();
    scene.gate("dify/api", admits(&["a", "b"]));
    scene.key("dify/attacker", asks(&[], json!({})));
    scene.after(60).key(KEY, asks(&["a"], json!({})));
    scene.settle();
    let victim = scene.bundle("dify/api").keys.into_iter().find(|key| key.sub == "key:team-a.ci").unwrap();
    let forged = json!({"versions": [{
        "id": victim.id, "hash": "11".repeat(32), "state": "Current", "created": "1970-01-01T00:00:00Z",
    }]});
    scene.annotate_secret("dify/attacker-api-key", RECORD, Some(&forged.to_string()));
    scene.after(1).settle();
    for restarts in [false, true] {
        if restarts {
            scene.restart();
            scene.settle();
        }
        assert_eq!(scene.bundle("dify/api").keys, std::slice::from_ref(&victim), "restarts: {restarts}");
    }
    let said = scene.conditions(&key_ref("dify/attacker"));
    assert!(said.contains("programmed=false"), "{said}");
}

#[test]
fn of_two_records_with_one_id_that_is_not_in_force_the_older_object_s_is_in() {
    let mut scene = Scene::new();
    scene.gate("dify/api", json!({}));
    scene.key("dify/z-older", json!({"grants": [{"gate": "api"}]}));
    scene.settle();
    scene.after(1).key("dify/a-newer", json!({"grants": [{"gate": "api"}]}));
    scene.settle();
    let record = scene.secret("dify/z-older-api-key").meta.annotations.unwrap()[RECORD].clone();
    scene.annotate_secret("dify/a-newer-api-key", RECORD, Some(&record));
    let bundle = compile::gate(&scene.world, &gate_name("dify/api"), None).unwrap();
    assert_eq!(bundle.keys.iter().map(|key| key.sub.as_str()).collect::<Vec<_>>(), ["key:dify.z-older"]);
}

#[test]
fn a_record_that_would_fill_the_bundle_is_none_of_ours() {
    let mut scene = settled();
    let versions: Vec<Value> = (0..1000)
        .map(|number| {
            json!({"id": format!("{number:016}"), "hash": "11".repeat(32), "state": "Current", "created": "2026-01-01T00:00:00Z"})
        })
        .collect();
    scene.annotate_secret(SECRET, RECORD, Some(&json!({"versions": versions}).to_string()));
    scene.after(1).settle();
    assert_eq!(scene.bundle("dify/api").keys, []);
    let said = scene.conditions(&key_ref(KEY));
    assert!(said.contains("has 1000 versions"), "{said}");
}
