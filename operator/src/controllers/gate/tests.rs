use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::{Value, json};

use super::*;
use crate::testing::{Scene, gate_name, gate_ref, key_ref};

fn grant(scopes: &[&str]) -> Value {
    json!({"grants": [{"gate": "api", "namespace": "dify", "scopes": scopes}]})
}

fn all() -> Value {
    json!({"admit": [{"namespaces": {"from": "All"}, "scopes": ["apps:read", "apps:write"]}]})
}

/// What people read in every situation: the one list of conditions, over the plans themselves.
#[test]
fn conditions_in_every_situation() {
    type Situation = (&'static str, fn(&mut Scene));
    let situations: &[Situation] = &[
        ("a Gate alone", |scene| scene.gate("dify/api", json!({}))),
        ("the smallest Gate and key", |scene| {
            scene.gate("dify/api", json!({}));
            scene.key("dify/ci-key", json!({"grants": [{"gate": "api"}]}));
        }),
        ("a key of another team, admitted", |scene| {
            scene.gate("dify/api", all());
            scene.key("team-a/ci-key", grant(&["apps:read"]));
        }),
        ("a key whose Gate does not exist", |scene| scene.key("team-a/ci-key", grant(&["apps:read"]))),
        ("a key that the Gate does not admit", |scene| {
            scene.gate("dify/api", json!({}));
            scene.key("team-a/ci-key", grant(&[]));
        }),
        ("one scope of two is admitted", |scene| {
            scene.gate("dify/api", all());
            scene.key("team-a/ci-key", grant(&["apps:read", "apps:admin"]));
        }),
        ("no scope is admitted", |scene| {
            scene.gate("dify/api", all());
            scene.key("team-a/ci-key", grant(&["apps:admin"]));
        }),
        ("no scope is asked for", |scene| {
            scene.gate("dify/api", all());
            scene.key("team-a/ci-key", grant(&[]));
        }),
        ("one Gate of two", |scene| {
            scene.gate("dify/api", all());
            let two = json!([{"gate": "api", "namespace": "dify"}, {"gate": "web", "namespace": "dify"}]);
            scene.key("team-a/ci-key", json!({ "grants": two }));
        }),
        ("a tenant without its label", |scene| {
            scene.gate("dify/api", all());
            let mut spec = grant(&["apps:read"]);
            spec["tenant"] = "acme".into();
            scene.key("team-a/ci-key", spec);
        }),
        ("a tenant with its label", |scene| {
            scene.namespace("team-a", &[("tenant.sidegate.dev/acme", "")]);
            scene.gate("dify/api", all());
            let mut spec = grant(&["apps:read"]);
            spec["tenant"] = "acme".into();
            scene.key("team-a/ci-key", spec);
        }),
        ("a tenant that the Gate does not admit", |scene| {
            scene.gate("dify/api", json!({"admit": [{"namespaces": {"from": "All"}, "tenants": ["acme"]}]}));
            scene.key("team-a/ci-key", grant(&[]));
        }),
        ("a foreign Secret is in the way", |scene| {
            scene.foreign_secret("team-a/ci-key-api-key");
            scene.gate("dify/api", all());
            scene.key("team-a/ci-key", grant(&["apps:read"]));
        }),
        ("the record is damaged", |scene| {
            scene.gate("dify/api", all());
            scene.key("team-a/ci-key", grant(&["apps:read"]));
            scene.settle();
            scene.annotate_secret("team-a/ci-key-api-key", "sidegate.dev/versions", None);
        }),
        ("the key was deleted and made again", |scene| {
            scene.gate("dify/api", all());
            scene.key("team-a/ci-key", grant(&["apps:read"]));
            scene.settle();
            scene.delete(&key_ref("team-a/ci-key"));
            scene.key("team-a/ci-key", grant(&["apps:read"]));
        }),
        ("suspended", |scene| {
            scene.gate("dify/api", all());
            let mut spec = grant(&["apps:read"]);
            spec["suspended"] = true.into();
            scene.key("team-a/ci-key", spec);
        }),
        ("expired", |scene| {
            scene.gate("dify/api", all());
            let mut spec = grant(&["apps:read"]);
            spec["expiresAt"] = "2025-12-31T00:00:00Z".into();
            scene.key("team-a/ci-key", spec);
        }),
        ("not yet valid", |scene| {
            scene.gate("dify/api", all());
            let mut spec = grant(&["apps:read"]);
            spec["notBefore"] = "2026-02-01T00:00:00Z".into();
            scene.key("team-a/ci-key", spec);
        }),
        ("something of a later version, in both", |scene| {
            scene.gate(
                "dify/api",
                json!({"capture": {"mode": "Takeover"}, "admit": [{"namespaces": {"from": "All"}}]}),
            );
            let mut spec = grant(&[]);
            spec["rotation"] = json!({"interval": "720h"});
            scene.key("team-a/ci-key", spec);
        }),
        ("a Gate that is not accepted, and a good key", |scene| {
            scene.gate(
                "dify/api",
                json!({"capture": {"mode": "Takeover"}, "admit": [{"namespaces": {"from": "All"}}]}),
            );
            scene.key("team-a/ci-key", grant(&[]));
        }),
        ("a field that is not known", |scene| scene.gate("dify/api", json!({"limits": {"rate": 5}}))),
        ("a stored Gate and a stored key that break a rule", |scene| {
            scene.gate("dify/api", json!({"ports": [{"port": 15821}]}));
            scene.key("team-a/ci-key", json!({"grants": [{"gate": "api"}], "tenant": "not a tenant"}));
        }),
        ("a stored Gate and a stored key that do not parse", |scene| {
            scene.gate("dify/api", json!({"ports": [{"port": "http"}]}));
            scene.key("team-a/ci-key", json!({"grants": "all"}));
        }),
        ("a Gate that audits", |scene| scene.gate("dify/api", json!({"mode": "Audit"}))),
        ("a Gate that lets everybody through", |scene| {
            let root = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
            scene.gate("dify/api", json!({"rules": [{"match": root, "allow": "Anonymous"}]}));
        }),
        ("a rule that is never reached", |scene| {
            scene.gate("dify/api", json!({"rules": [{"allow": "Authenticated"}, {"allow": "Anonymous"}]}));
        }),
        ("a foreign Secret has the bundle's name", |scene| {
            scene.foreign_secret("dify/sidegate-bundle-api");
            scene.gate("dify/api", all());
            scene.key("team-a/ci-key", grant(&["apps:read"]));
        }),
    ];
    let mut table = String::new();
    for (title, prepare) in situations {
        let mut scene = Scene::new();
        prepare(&mut scene);
        let settled = scene.settle();
        assert!(settled.failed.is_empty(), "{title}: {:?}", settled.failed);
        writeln!(table, "# {title}").unwrap();
        let objects = scene.world.gates().map(|(name, _)| ObjectRef::Gate(name.clone()));
        let objects = objects.chain(scene.world.api_keys().map(|(name, _)| ObjectRef::ApiKey(name.clone())));
        for object in objects {
            writeln!(table, "{object}\n{}", scene.conditions(&object)).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_gate_that_is_not_accepted_keeps_its_bundle_less_what_is_taken_away() {
    for broken in
        [json!({"limits": 5}), json!({"capture": {"mode": "Takeover"}}), json!({"ports": [{"port": 15821}]})]
    {
        for restarts in [false, true] {
            let mut scene = Scene::new();
            scene.gate("dify/api", all());
            scene.key("team-a/ci-key", grant(&["apps:read"]));
            scene.key("team-a/other", grant(&["apps:read"]));
            scene.settle();
            let before = scene.bundle("dify/api");
            let mut later = all();
            later.as_object_mut().unwrap().extend(broken.as_object().unwrap().clone());
            later["publicUrl"] = "https://new.example.com".into();
            scene.gate("dify/api", later);
            scene.settle();
            assert_eq!(scene.bundle("dify/api"), before, "{broken}");
            if restarts {
                scene.restart();
            }
            scene.delete(&key_ref("team-a/ci-key"));
            scene.key("team-a/new", grant(&["apps:read"]));
            scene.after(1).settle();
            let after = scene.bundle("dify/api");
            assert!(after.revision > before.revision, "{broken}");
            let subjects: Vec<_> = after.keys.iter().map(|key| key.sub.as_str()).collect();
            assert_eq!(subjects, ["key:team-a.other"], "{broken}, restarts: {restarts}");
            assert_eq!(after.realm, before.realm);
            let said = scene.conditions(&key_ref("team-a/new"));
            assert!(said.contains("Programmed=False/WaitingForBundle"), "{said}");
            scene.gate("dify/api", all());
            scene.settle();
            assert_eq!(scene.bundle("dify/api").keys.len(), 2);
        }
    }
}

#[test]
fn a_gate_that_is_being_deleted_still_takes_away() {
    let mut scene = Scene::new();
    scene.gate("dify/api", all());
    scene.key("team-a/ci-key", grant(&["apps:read"]));
    scene.settle();
    scene.begin_deletion(&gate_ref("dify/api"));
    scene.delete(&key_ref("team-a/ci-key"));
    scene.after(1).settle();
    assert_eq!(scene.bundle("dify/api").keys, []);
    scene.delete_secret("dify/sidegate-bundle-api");
    assert!(scene.plan(&gate_ref("dify/api")).is_idle(), "what goes with it is not made again");
}

#[test]
fn what_is_denied_for_a_gate_that_is_being_deleted_is_not_tried_without_a_pause() {
    let mut scene = Scene::new();
    scene.gate("dify/api", all());
    scene.key("team-a/ci-key", grant(&["apps:read"]));
    scene.settle();
    scene.begin_deletion(&gate_ref("dify/api"));
    scene.delete(&key_ref("team-a/ci-key"));
    scene.deny(true);
    scene.journal();
    scene.after(1).settle();
    assert_eq!(scene.journal(), ["denied: bundle dify/sidegate-bundle-api"]);
}

#[test]
fn a_bundle_that_cannot_be_read_after_a_restart_is_made_anew_or_left_alone() {
    for (spec, keys) in [(all(), 1), (json!({"capture": {"mode": "Takeover"}}), 0)] {
        let mut scene = Scene::new();
        scene.gate("dify/api", all());
        scene.key("team-a/ci-key", grant(&["apps:read"]));
        scene.settle();
        scene.gate("dify/api", spec);
        scene.spoil_bundle("dify/sidegate-bundle-api", b"no bundle");
        scene.restart();
        scene.settle();
        let bytes = scene.secret("dify/sidegate-bundle-api").data["bundle"].clone();
        let now = serde_json::from_slice::<GateBundle>(&bytes).map_or(0, |bundle| bundle.keys.len());
        assert_eq!(now, keys);
    }
}

#[test]
fn what_is_denied_is_said_tried_again_ever_more_rarely_and_heals() {
    let mut scene = Scene::new();
    scene.gate("dify/api", all());
    scene.deny(true);
    let wake = scene.settle().wakes[&gate_ref("dify/api")];
    assert_eq!(wake.to_string(), "2026-01-01T00:00:10Z");
    let said = scene.conditions(&gate_ref("dify/api"));
    assert!(said.contains("Accepted=False/NoAccess") && said.contains("Stalled=True/NoAccess"), "{said}");
    scene.journal();
    for _ in 0..600 {
        scene.after(1).settle_all();
    }
    let tried = scene.journal().len();
    assert!((6..=12).contains(&tried), "{tried} attempts in 10 minutes");
    scene.deny(false);
    scene.after(120).settle_all();
    let said = scene.conditions(&gate_ref("dify/api"));
    assert!(said.contains("Ready=True") && !said.contains("NoAccess"), "{said}");
}

#[test]
fn a_lost_bundle_is_written_again_and_its_revision_grows() {
    let mut scene = Scene::new();
    scene.gate("dify/api", all());
    scene.settle();
    let before = scene.bundle("dify/api").revision;
    scene.delete_secret("dify/sidegate-bundle-api");
    scene.after(1).settle();
    assert!(scene.bundle("dify/api").revision > before);
}

#[test]
fn a_gate_made_again_takes_over_the_bundle_and_its_revisions() {
    let mut scene = Scene::new();
    scene.gate("dify/api", all());
    scene.settle();
    let before = scene.bundle("dify/api").revision;
    scene.delete(&gate_ref("dify/api"));
    scene.settle();
    scene.gate("dify/api", all());
    scene.settle();
    assert!(scene.bundle("dify/api").revision > before, "the clock has not moved");
    let owner = scene.secret("dify/sidegate-bundle-api").meta.owner_references.unwrap().remove(0);
    assert_eq!(owner.uid, scene.world.gate(&gate_name("dify/api")).unwrap().value.meta.uid);
}

#[test]
fn somebody_s_annotation_on_the_bundle_is_looked_at_and_nothing_is_written() {
    let mut scene = Scene::new();
    scene.gate("dify/api", all());
    scene.settle();
    scene.journal();
    scene.annotate_secret("dify/sidegate-bundle-api", "example.com/theirs", Some("1"));
    let plan = scene.plan(&gate_ref("dify/api"));
    assert!(matches!(plan.writes[..], [Write::Bundle(_)]), "a live read compares the bytes");
}

fn in_force(written: &str, bytes: usize, bundle: GateBundle) -> InForce {
    InForce {
        tick: crate::world::Tick(1),
        revision: Revision(1),
        digest: bundle.digest().unwrap(),
        resource_version: "1".to_owned(),
        bundle: Arc::new(bundle),
        written: Some((written.parse().unwrap(), bytes)),
    }
}

#[test]
fn what_takes_away_waits_a_quarter_of_a_second_at_most_and_what_adds_waits_for_its_size() {
    let mut scene = Scene::new();
    scene.gate("dify/api", all());
    scene.key("team-a/one", grant(&["apps:read"]));
    scene.key("team-a/two", grant(&["apps:read"]));
    scene.settle();
    let two = scene.bundle("dify/api");
    let mut one = two.clone();
    one.keys.remove(0);
    let mut narrower = two.clone();
    narrower.keys[1].scopes = sidegate_bundle::ScopeSet::default();
    let mut other_rules = two.clone();
    other_rules.rules.clear();
    for (before, after, bytes, due) in [
        (&one, &two, 1, "2026-01-01T00:00:00.05Z"),
        (&one, &two, 512 << 10, "2026-01-01T00:00:02Z"),
        (&two, &one, 512 << 10, "2026-01-01T00:00:00.25Z"),
        (&two, &narrower, 512 << 10, "2026-01-01T00:00:00.25Z"),
        (&two, &other_rules, 512 << 10, "2026-01-01T00:00:00.25Z"),
        (&two, &one, 1, "2026-01-01T00:00:00.05Z"),
    ] {
        let in_force = in_force("2026-01-01T00:00:00Z", bytes, before.clone());
        let at = |time: &str| super::waits(&in_force, after, time.parse().unwrap());
        let until = at("2026-01-01T00:00:00Z").unwrap();
        assert_eq!(until.to_string(), due, "{bytes} bytes, {} keys", after.keys.len());
        assert_eq!(at(due), None);
        assert_eq!(at("2025-12-31T00:00:00Z"), None, "a clock that was set back keeps nobody waiting");
    }
}

#[test]
fn a_burst_of_changes_is_few_writes_and_the_last_one_is_among_them() {
    let mut scene = Scene::new();
    scene.gate("dify/api", all());
    scene.settle();
    scene.after(1);
    for number in 0..20 {
        scene.key(&format!("team-a/key-{number}"), grant(&["apps:read"]));
        scene.settle_now();
    }
    assert_eq!(scene.bundle("dify/api").keys.len(), 1, "the others wait");
    scene.settle_all();
    assert_eq!(scene.bundle("dify/api").keys.len(), 20);
    let bundles = scene.journal().iter().filter(|write| write.starts_with("bundle")).count();
    assert_eq!(bundles, 3);
}

#[test]
fn a_change_that_leaves_the_bundle_as_it_is_needs_no_write_and_not_even_a_read() {
    let mut scene = Scene::new();
    scene.gate("dify/api", all());
    scene.key("team-a/ci", grant(&["apps:read"]));
    scene.settle();
    scene.namespace("team-a", &[("colour", "red")]);
    let plan = scene.after(1).plan(&gate_ref("dify/api"));
    assert!(plan.writes.is_empty(), "{plan:?}");
    let [Update::BundleInForce(_, in_force)] = &plan.observed[..] else { panic!("{plan:?}") };
    assert_eq!(in_force.tick, scene.world.inputs_of(&gate_name("dify/api")));
}

#[test]
fn a_bundle_that_is_full_takes_nothing_new_in_and_still_takes_away() {
    let mut scene = Scene::new();
    scene.room_for(2);
    scene.gate("dify/api", all());
    scene.key("team-a/one", grant(&["apps:read"]));
    scene.key("team-a/two", grant(&["apps:read"]));
    scene.settle();
    for name in ["team-a/three", "team-a/four"] {
        scene.key(name, grant(&["apps:read"]));
    }
    scene.after(1).settle();
    let subjects = |scene: &Scene| -> BTreeSet<String> {
        scene.bundle("dify/api").keys.into_iter().map(|key| key.sub).collect()
    };
    assert_eq!(subjects(&scene), ["key:team-a.one", "key:team-a.two"].map(str::to_owned).into());
    scene.key("team-a/one", json!({"grants": grant(&["apps:read"])["grants"], "suspended": true}));
    scene.delete(&key_ref("team-a/two"));
    scene.after(1).settle();
    let bundle = scene.bundle("dify/api");
    assert_eq!(bundle.keys.iter().filter(|key| key.sub == "key:team-a.two").count(), 0);
    assert!(bundle.keys.iter().any(|key| key.standing == sidegate_bundle::gate::Standing::Suspended));
    let said = scene.conditions(&key_ref("team-a/four"));
    assert!(said.contains("Programmed=False/WaitingForBundle"), "{said}");
    scene.room_for(9);
    scene.delete(&key_ref("team-a/four"));
    scene.after(1).settle();
    assert_eq!(subjects(&scene), ["key:team-a.one", "key:team-a.three"].map(str::to_owned).into());
}
