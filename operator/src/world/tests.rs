use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::testing::{self, Scene, gate_name, gate_ref, key_ref, name};

fn key_of(gate: &str) -> Observed<ApiKey> {
    testing::key("team-a/ci", json!({"grants": [{"gate": gate, "namespace": "dify"}]}))
}

fn set(objects: &[ObjectRef]) -> BTreeSet<ObjectRef> {
    objects.iter().cloned().collect()
}

fn apply(world: &mut World, update: Update) -> BTreeSet<ObjectRef> {
    world.apply(update).into_iter().collect()
}

#[test]
fn a_change_plans_again_whom_it_concerns_and_nobody_else() {
    let mut world = World::new();
    let other = testing::key("team-b/other", json!({"grants": [{"gate": "web"}]}));
    world.apply(Update::ApiKey(name("team-b/other"), other));
    let (gate, web, key) = (gate_ref("dify/api"), gate_ref("dify/web"), key_ref("team-a/ci"));

    let seen = apply(&mut world, Update::ApiKey(name("team-a/ci"), key_of("api")));
    assert_eq!(seen, set(&[gate.clone(), key.clone()]), "a key: itself and its Gates");
    let seen = apply(&mut world, Update::Gate(gate_name("dify/api"), testing::gate("dify/api", json!({}))));
    assert_eq!(seen, set(&[gate.clone(), key.clone()]), "a Gate: itself and its keys");
    let seen = apply(&mut world, Update::Namespace("team-a".to_owned(), Labels::new()));
    assert_eq!(seen, set(&[gate.clone(), key.clone()]), "a namespace: its keys and their Gates");
    let seen = apply(&mut world, Update::ForeignSecret(name("team-a/ci-api-key"), Timestamp::UNIX_EPOCH));
    assert_eq!(seen, set(std::slice::from_ref(&key)), "a Secret in the way: who wants its name");
    let seen = apply(&mut world, Update::ApiKey(name("team-a/ci"), key_of("web")));
    assert_eq!(seen, set(&[gate.clone(), web.clone(), key.clone()]), "a new grant: the old Gate as well");
    let seen = apply(&mut world, Update::ApiKeyGone(name("team-a/ci"), None));
    assert_eq!(seen, set(&[web, key]), "a deleted key: its Gates");
    let seen = apply(&mut world, Update::Namespace("team-c".to_owned(), Labels::new()));
    assert_eq!(seen, set(&[]));
}

#[test]
fn a_status_write_is_no_change_of_what_bundles_are_made_from() {
    let mut scene = Scene::new();
    scene.gate("dify/api", json!({}));
    scene.key("dify/ci", json!({"grants": [{"gate": "api"}]}));
    scene.settle();
    let inputs = scene.world.inputs_of(&gate_name("dify/api"));
    let tick = scene.world.tick();
    scene.after(1).settle_all();
    assert_eq!(scene.world.inputs_of(&gate_name("dify/api")), inputs);
    assert_eq!(scene.world.tick(), tick);
    assert!(scene.world.in_force(&gate_name("dify/api")).unwrap().tick >= inputs);
}

#[test]
fn every_change_that_a_bundle_is_made_from_moves_its_gate_on() {
    type Change = fn(&mut Scene);
    let mut scene = Scene::new();
    scene.gate("dify/api", json!({}));
    scene.key("dify/ci", json!({"grants": [{"gate": "api"}]}));
    scene.settle();
    let mut last = scene.world.inputs_of(&gate_name("dify/api"));
    let changes: [(&str, Change); 6] = [
        ("rules", |scene| scene.gate("dify/api", json!({"rules": [{"allow": "Anonymous"}]}))),
        ("suspension", |scene| scene.key("dify/ci", json!({"grants": [{"gate": "api"}], "suspended": true}))),
        ("labels", |scene| scene.namespace("dify", &[("a", "b")])),
        ("a Secret", |scene| scene.delete_secret("dify/ci-api-key")),
        ("another key", |scene| {
            scene.key("team-a/ci", json!({"grants": [{"gate": "api", "namespace": "dify"}]}));
        }),
        ("a deletion", |scene| scene.delete(&key_ref("dify/ci"))),
    ];
    for (what, change) in changes {
        change(&mut scene);
        let now = scene.world.inputs_of(&gate_name("dify/api"));
        assert!(now > last, "{what}");
        last = now;
    }
}

#[test]
fn a_secret_made_while_a_list_is_under_way_is_not_taken_for_a_deleted_one() {
    let mut scene = Scene::new();
    scene.gate("dify/api", json!({}));
    scene.key("dify/old", json!({"grants": [{"gate": "api"}]}));
    scene.settle();
    scene.apply(Update::Listing(Kind::Secret));
    scene.key("dify/new", json!({"grants": [{"gate": "api"}]}));
    let generated = json!({"generated": {"labels": {"a": "b"}}});
    scene.key("dify/old", json!({"grants": [{"gate": "api"}], "credential": generated}));
    scene.settle();
    assert!(scene.journal().contains(&"reshape dify/old-api-key".to_owned()));
    assert!(scene.world.secret(&name("dify/new-api-key")).is_some());
    scene.apply(Update::Listed(Kind::Secret));
    assert!(scene.world.secret(&name("dify/new-api-key")).is_some());
    assert!(scene.world.secret(&name("dify/old-api-key")).is_none(), "the list did not have it");
}

#[test]
fn a_world_is_complete_when_every_kind_has_been_listed_to_its_end() {
    let mut world = World::new();
    for kind in Kind::ALL {
        world.apply(Update::Listing(kind));
        assert!(!world.complete());
    }
    for kind in Kind::ALL {
        assert!(!world.complete());
        world.apply(Update::Listed(kind));
    }
    assert!(world.complete());
    world.apply(Update::Listing(Kind::Gate));
    assert!(world.complete(), "what was known stays until the new list is complete");
}

#[test]
fn a_bundle_in_force_concerns_the_keys_that_changed_since_the_one_before() {
    let mut scene = Scene::new();
    scene.gate("dify/api", json!({}));
    scene.key("dify/one", json!({"grants": [{"gate": "api"}]}));
    scene.settle();
    scene.key("dify/two", json!({"grants": [{"gate": "api"}]}));
    scene.settle();
    let gate = gate_name("dify/api");
    let in_force = scene.world.in_force(&gate).unwrap().clone();
    let seen = apply(&mut scene.world, Update::BundleInForce(gate.clone(), in_force.clone()));
    assert_eq!(seen, set(&[gate_ref("dify/api")]));
    scene.key("dify/two", json!({"grants": [{"gate": "api"}], "suspended": true}));
    let seen = apply(&mut scene.world, Update::BundleInForce(gate, in_force));
    assert_eq!(seen, set(&[gate_ref("dify/api"), key_ref("dify/two")]));
}
