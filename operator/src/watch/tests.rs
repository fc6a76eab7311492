use serde_json::json;

use super::*;
use crate::{
    testing::{gate_name, gate_ref, name, object},
    world::{SecretKind, World},
};

fn dynamic(raw: serde_json::Value) -> DynamicObject {
    serde_json::from_value(raw).unwrap()
}

fn gate_event(event: Event<DynamicObject>) -> Option<Update> {
    on_object(event, Kind::Gate, gate_seen, gate_gone, &Metrics::default())
}

fn stored_gate(text: &str, version: &str) -> DynamicObject {
    let mut raw = object(&gate_ref(text), "1", json!({"ports": [{"port": 8080}]}));
    raw["metadata"]["resourceVersion"] = version.into();
    raw["metadata"]["managedFields"] = json!([{"manager": "kubectl", "operation": "Update"}]);
    raw["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": "long"});
    dynamic(raw)
}

fn secret(text: &str, label: Option<&str>) -> PartialObjectMeta<Secret> {
    let name = name(text);
    let mut raw = json!({"apiVersion": "v1", "kind": "PartialObjectMetadata", "metadata": {
        "namespace": name.namespace, "name": name.name, "uid": "1", "resourceVersion": "5"}});
    if let Some(label) = label {
        raw["metadata"]["labels"] = json!({ KIND_LABEL: label });
    }
    serde_json::from_value(raw).unwrap()
}

#[test]
fn what_a_new_list_lacks_is_gone() {
    let mut world = World::new();
    let list = |gates: &[&str]| {
        let items = gates.iter().map(|gate| Event::InitApply(stored_gate(gate, "5")));
        [Event::Init].into_iter().chain(items).chain([Event::InitDone]).collect::<Vec<_>>()
    };
    for event in list(&["dify/api", "dify/web"]) {
        world.apply(gate_event(event).unwrap());
    }
    assert_eq!(world.gates().count(), 2);
    let mut affected = Vec::new();
    for event in list(&["dify/web"]) {
        affected.extend(world.apply(gate_event(event).unwrap()));
    }
    assert_eq!(world.gates().map(|(name, _)| name.clone()).collect::<Vec<_>>(), [gate_name("dify/web")]);
    assert!(affected.contains(&gate_ref("dify/api")));
}

#[test]
fn an_old_event_takes_nothing_back() {
    let mut world = World::new();
    world.apply(gate_event(Event::Apply(stored_gate("dify/api", "9"))).unwrap());
    let resource_version =
        |world: &World| world.gate(&gate_name("dify/api")).unwrap().value.meta.resource_version.clone();
    for event in [Event::Apply(stored_gate("dify/api", "8")), Event::Delete(stored_gate("dify/api", "8"))] {
        assert_eq!(world.apply(gate_event(event).unwrap()), []);
        assert_eq!(resource_version(&world), "9");
    }
    world.apply(gate_event(Event::Delete(stored_gate("dify/api", "10"))).unwrap());
    assert!(world.gate(&gate_name("dify/api")).is_none());
}

#[test]
fn what_does_not_parse_is_kept_as_that_and_stops_nothing() {
    let mut raw = object(&gate_ref("dify/bad"), "1", json!({"ports": "none"}));
    raw["metadata"]["resourceVersion"] = "5".into();
    let update = gate_event(Event::Apply(dynamic(raw))).unwrap();
    let Update::Gate(_, observed) = &update else { panic!("{update:?}") };
    assert!(matches!(observed.stored, Stored::Unparsable { .. }), "{observed:?}");
}

#[test]
fn a_secret_that_loses_our_label_is_gone_for_us() {
    assert!(matches!(on_secret(Event::Apply(secret("a/b", None))), Some(Update::SecretGone(..))));
    assert!(matches!(
        on_secret(Event::Apply(secret("a/b", Some("signing-keys")))),
        Some(Update::SecretGone(..))
    ));
    assert!(on_secret(Event::InitApply(secret("a/b", None))).is_none());
    let seen = on_secret(Event::Apply(secret("a/b", Some("bundle"))));
    let Some(Update::Secret(_, seen)) = seen else { panic!("{seen:?}") };
    assert!(matches!(seen.kind, SecretKind::Bundle { revision: None, digest: None }));
}
