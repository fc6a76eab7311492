use serde_json::json;
use sidegate_bundle::{ApiKey, gate::Standing};

use crate::{
    plan::Write,
    testing::{Scene, gate_name, gate_ref, key_ref, name},
    world::{Kind, ObjectRef, Observed, Update, World},
};

const KEY: &str = "team-a/ci-key";
const SECRET: &str = "team-a/ci-key-api-key";

fn open_gate() -> serde_json::Value {
    json!({
        "admit": [{"namespaces": {"from": "All"}, "scopes": ["apps:read"]}],
        "rules": [{"require": {"scopes": ["apps:read"]}}],
    })
}

fn wants_read() -> serde_json::Value {
    json!({"grants": [{"gate": "api", "namespace": "dify", "scopes": ["apps:read"]}]})
}

/// `dify/api` admits `team-a/ci-key`.
fn settled() -> Scene {
    let mut scene = Scene::new();
    scene.gate("dify/api", open_gate());
    scene.key(KEY, wants_read());
    let settled = scene.settle();
    assert!(settled.failed.is_empty(), "{:?}", settled.failed);
    scene
}

fn with(extra: serde_json::Value) -> serde_json::Value {
    let mut spec = wants_read();
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    spec
}

#[test]
fn an_admitted_key_becomes_a_secret_and_stands_in_the_bundle() {
    let scene = settled();
    let minted: ApiKey = scene.plaintext(SECRET).parse().unwrap();
    let bundle = scene.bundle("dify/api");
    assert_eq!(bundle.keys.len(), 1);
    assert_eq!((bundle.keys[0].id, bundle.keys[0].hash), (minted.id(), minted.verifier()));
    assert_eq!(bundle.keys[0].sub, "key:team-a.ci-key");
    let secret = scene.secret(SECRET);
    assert_eq!(secret.data["key-id"], minted.id().as_str().as_bytes());
    assert_eq!(secret.meta.annotations.as_ref().unwrap()["sidegate.dev/for"], "ApiKey/ci-key");
    assert!(!format!("{:?}", secret.meta).contains(minted.expose()));
    assert_eq!(scene.status(&key_ref(KEY))["keyId"], minted.id().as_str());
}

#[test]
fn what_is_settled_is_written_no_more_not_even_after_a_restart() {
    let mut scene = settled();
    scene.journal();
    scene.after(3600).settle_all();
    assert_eq!(scene.journal(), [] as [&str; 0]);
    scene.restart();
    scene.settle();
    assert_eq!(scene.journal(), [] as [&str; 0]);
}

#[test]
fn nothing_is_minted_before_every_kind_has_been_listed() {
    for missing in Kind::ALL {
        let mut world = World::new();
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != missing) {
            world.apply(Update::Listing(kind));
            world.apply(Update::Listed(kind));
        }
        let gate = crate::testing::gate("dify/api", open_gate());
        let key = crate::testing::key(KEY, wants_read());
        world.apply(Update::Gate(gate_name("dify/api"), gate));
        world.apply(Update::ApiKey(name(KEY), key));
        for object in [gate_ref("dify/api"), key_ref(KEY)] {
            let plan = crate::controllers::plan(
                &world,
                &object,
                "2026-01-01T00:00:00Z".parse().unwrap(),
                &mut rand::rng(),
            );
            assert!(plan.is_idle(), "{missing:?}: {plan:?}");
        }
    }
}

#[test]
fn nothing_is_minted_for_a_key_that_no_gate_admits() {
    let mut scene = Scene::new();
    scene.key(KEY, wants_read());
    scene.settle();
    assert_eq!(scene.journal(), ["status ApiKey team-a/ci-key"]);
    scene.gate("dify/api", open_gate());
    scene.settle();
    assert!(scene.journal().contains(&format!("mint {SECRET}")));
}

#[test]
fn times_and_suspension_change_the_bundle_and_not_the_secret() {
    let mut scene = settled();
    let before = scene.secret(SECRET).meta;
    scene.key(KEY, with(json!({"suspended": true, "notBefore": "2026-01-02T00:00:00.5Z", "expiresAt": "2026-01-03T00:00:00.5Z", "owner": "jo@acme.com"})));
    scene.settle();
    let key = scene.bundle("dify/api").keys.remove(0);
    assert_eq!(key.standing, Standing::Suspended);
    // Half a second is rounded so that the key counts too late rather than too early, and ends
    // too early rather than too late.
    assert_eq!((key.nbf, key.exp), (Some(1_767_312_001), Some(1_767_398_400)));
    assert_eq!(key.owner.as_deref(), Some("jo@acme.com"));
    assert_eq!(scene.secret(SECRET).meta, before);
    scene.key(KEY, wants_read());
    scene.settle();
    assert_eq!(scene.bundle("dify/api").keys[0].standing, Standing::Good);
    assert_eq!(scene.secret(SECRET).meta, before);
}

#[test]
fn a_status_that_changes_with_time_is_planned_for_that_time() {
    let mut scene = settled();
    scene.key(KEY, with(json!({"notBefore": "2026-01-02T00:00:00Z", "expiresAt": "2026-01-03T00:00:00Z"})));
    let wakes = scene.settle().wakes;
    assert_eq!(wakes[&key_ref(KEY)].to_string(), "2026-01-02T00:00:00Z");
    assert!(scene.conditions(&key_ref(KEY)).contains("Ready=False/NotYetValid"));
    let wakes = scene.after(24 * 3600).settle_all().wakes;
    assert_eq!(wakes[&key_ref(KEY)].to_string(), "2026-01-03T00:00:00Z");
    assert!(scene.conditions(&key_ref(KEY)).contains("Ready=True/Ready"));
    scene.after(24 * 3600).settle_all();
    assert!(scene.conditions(&key_ref(KEY)).contains("Ready=False/Expired"));
    assert_eq!(scene.bundle("dify/api").keys.len(), 1, "an expired key stays, so that its holder is told");
}

#[test]
fn a_deleted_key_is_in_no_bundle() {
    let mut scene = settled();
    scene.delete(&key_ref(KEY));
    scene.settle();
    assert_eq!(scene.bundle("dify/api").keys, []);
    assert_eq!(scene.journal().last().unwrap(), "status Gate dify/api");
}

#[test]
fn a_foreign_secret_is_left_alone_looked_at_every_30_seconds_and_heals() {
    let mut scene = Scene::new();
    scene.gate("dify/api", open_gate());
    scene.foreign_secret(SECRET);
    scene.key(KEY, wants_read());
    let wakes = scene.settle().wakes;
    assert_eq!(wakes[&key_ref(KEY)].to_string(), "2026-01-01T00:00:30Z");
    assert!(scene.conditions(&key_ref(KEY)).contains("Accepted=False/SecretConflict"));
    scene.journal();
    scene.after(29).settle_all();
    assert_eq!(scene.journal(), [] as [&str; 0]);
    let wakes = scene.after(1).settle_all().wakes;
    assert_eq!(scene.journal(), [format!("look {SECRET}: foreign")]);
    assert_eq!(wakes[&key_ref(KEY)].to_string(), "2026-01-01T00:01:00Z");
    scene.api_forget(SECRET);
    scene.after(30).settle_all();
    assert!(scene.conditions(&key_ref(KEY)).contains("Ready=True/Ready"));
}

#[test]
fn a_secret_deleted_by_hand_is_minted_anew() {
    let mut scene = settled();
    let before = scene.plaintext(SECRET);
    scene.delete_secret(SECRET);
    scene.settle();
    let minted: ApiKey = scene.plaintext(SECRET).parse().unwrap();
    assert_ne!(minted.expose(), before);
    let keys = scene.bundle("dify/api").keys;
    assert_eq!(keys.iter().map(|key| key.id).collect::<Vec<_>>(), [minted.id()]);
}

#[test]
fn another_form_of_the_secret_is_one_write_and_the_same_key() {
    let mut scene = settled();
    let before = scene.plaintext(SECRET);
    let generated = json!({
        "keys": {"apiKey": "key-id", "keyId": "api-key"}, "labels": {"team": "a"}, "annotations": {"example.com/a": "1"}
    });
    scene.key(KEY, with(json!({"credential": {"generated": generated}})));
    scene.journal();
    scene.settle();
    assert_eq!(
        scene.journal().iter().filter(|write| !write.starts_with("status")).collect::<Vec<_>>(),
        [&format!("reshape {SECRET}")]
    );
    let secret = scene.secret(SECRET);
    assert_eq!(secret.data["key-id"], before.as_bytes(), "the two keys changed places");
    assert_eq!(secret.meta.labels.as_ref().unwrap()["team"], "a");
    assert_eq!(secret.meta.annotations.as_ref().unwrap()["example.com/a"], "1");

    scene.annotate_secret(SECRET, "example.com/theirs", Some("2"));
    scene.key(KEY, wants_read());
    scene.settle();
    let secret = scene.secret(SECRET);
    assert_eq!(secret.data["api-key"], before.as_bytes());
    assert!(!secret.meta.labels.as_ref().unwrap().contains_key("team"));
    let annotations = secret.meta.annotations.unwrap();
    assert!(!annotations.contains_key("example.com/a"));
    assert_eq!(annotations["example.com/theirs"], "2", "what others set is left alone");
}

#[test]
fn another_name_is_a_new_key_and_the_old_secret_goes_last() {
    let mut scene = settled();
    let before = scene.plaintext(SECRET);
    scene.key(KEY, with(json!({"credential": {"generated": {"secretName": "mine"}}})));
    scene.journal();
    scene.settle();
    let writes: Vec<_> = scene.journal().into_iter().filter(|write| write.contains("team-a/")).collect();
    assert_eq!(writes[..2], ["mint team-a/mine".to_owned(), format!("delete {SECRET}")]);
    assert_ne!(scene.plaintext("team-a/mine"), before);
    assert_eq!(scene.bundle("dify/api").keys.len(), 1);
}

#[test]
fn a_record_that_does_not_parse_is_reported_and_not_minted_over() {
    for value in [Some("{}"), None] {
        let mut scene = settled();
        let before = scene.plaintext(SECRET);
        scene.annotate_secret(SECRET, "sidegate.dev/versions", value);
        scene.journal();
        scene.settle();
        assert_eq!(scene.plaintext(SECRET), before);
        let said = scene.conditions(&key_ref(KEY));
        assert!(said.contains("Accepted=False/SecretConflict") && said.contains("is ours, but"), "{said}");
        assert!(
            scene.journal().iter().all(|write| write.starts_with("status") || write.starts_with("bundle"))
        );
    }
}

#[test]
fn a_secret_of_an_earlier_key_of_this_name_is_left_to_the_collector_and_then_deleted() {
    let mut scene = settled();
    let before = scene.plaintext(SECRET);
    scene.delete(&key_ref(KEY));
    scene.after(100).key(KEY, wants_read());
    let wakes = scene.settle().wakes;
    assert_eq!(wakes[&key_ref(KEY)].to_string(), "2026-01-01T00:02:10Z");
    assert_eq!(scene.bundle("dify/api").keys, [], "the earlier key ended with its object");
    assert_eq!(scene.plaintext(SECRET), before);
    scene.journal();
    scene.after(30).settle_all();
    assert_eq!(scene.journal()[..2], [format!("delete {SECRET}"), format!("mint {SECRET}")]);
    assert_ne!(scene.plaintext(SECRET), before);
}

#[test]
fn two_keys_that_want_one_secret_do_not_share_it() {
    let mut scene = settled();
    scene.key("team-a/other", with(json!({"credential": {"generated": {"secretName": "ci-key-api-key"}}})));
    scene.settle();
    assert!(scene.conditions(&key_ref("team-a/other")).contains("Accepted=False/SecretConflict"));
    assert_eq!(scene.bundle("dify/api").keys.len(), 1);
    scene.delete(&key_ref(KEY));
    scene.delete_secret(SECRET);
    scene.settle();
    assert!(scene.conditions(&key_ref("team-a/other")).contains("Ready=True/Ready"));
}

#[test]
fn a_change_of_the_gate_that_leaves_a_key_alone_writes_no_status_of_it() {
    let mut scene = settled();
    let mut gate = open_gate();
    gate["publicUrl"] = "https://dify.example.com".into();
    scene.gate("dify/api", gate);
    scene.journal();
    scene.settle();
    let journal = scene.journal();
    assert!(journal.iter().all(|write| !write.contains("ApiKey")), "{journal:?}");
    assert_eq!(scene.bundle("dify/api").realm, "https://dify.example.com");
}

#[test]
fn programmed_waits_for_the_bundle() {
    let mut scene = Scene::new();
    scene.gate("dify/api", open_gate());
    scene.settle();
    scene.key(KEY, wants_read());
    let plan = scene.plan(&key_ref(KEY));
    let [Write::Mint(_)] = &plan.writes[..] else { panic!("{plan:?}") };
    // The bundle cannot be written: a foreign Secret has its name.
    scene.delete_secret("dify/sidegate-bundle-api");
    scene.foreign_secret("dify/sidegate-bundle-api");
    scene.settle();
    let said = scene.conditions(&key_ref(KEY));
    assert!(said.contains("Programmed=False/WaitingForBundle"), "{said}");
    assert!(!said.contains("Stalled"), "{said}");
    let said = scene.conditions(&ObjectRef::Gate(gate_name("dify/api")));
    assert!(said.contains("Accepted=False/SecretConflict"), "{said}");
}

#[test]
fn a_key_that_is_being_deleted_is_out_of_the_bundle_and_nothing_is_written_for_it() {
    let mut scene = settled();
    let mut raw = crate::testing::object(&key_ref(KEY), "uid-1", wants_read());
    raw["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    scene.apply(Update::ApiKey(name(KEY), Observed::read(raw).unwrap().1.listed()));
    assert!(scene.plan(&key_ref(KEY)).is_idle());
    scene.settle();
    assert_eq!(scene.bundle("dify/api").keys, []);
}
