//! Whatever is stored and whatever happens: plans do not crash, come to rest, and let nobody in
//! who should be out.

use proptest::prelude::*;
use serde_json::{Value, json};
use sidegate_bundle::gate::Standing;
use sidegate_crds::{ApiKey, Gate};

use super::*;
use crate::{
    testing::{Scene, gate_name, gate_ref, key_ref, name, object},
    world::{Observed, Stored, World},
};

const GATES: [&str; 2] = ["dify/api", "dify/web"];
const KEYS: [&str; 3] = ["dify/a", "team-a/b", "team-a/c"];

/// Something that happens to a cluster.
#[derive(Clone, Debug)]
enum Event {
    Gate(usize, Value),
    Key(usize, Value),
    DeleteGate(usize),
    DeleteKey(usize),
    BeginDeletion(usize),
    /// The record of one key's Secret is written into another's.
    Forge(usize, usize),
    Damage(usize, Option<String>),
    DeleteSecret(usize),
    Label(bool),
    Deny(bool),
    Restart,
    Pass(i64),
}

fn any_gate() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        Just(json!({"admit": [{"namespaces": {"from": "All"}, "scopes": ["r", "w"]}]})),
        Just(json!({"admit": [{"namespaces": {"from": "All"}, "scopes": ["r"]}], "limits": 1})),
        Just(
            json!({"admit": [{"namespaces": {"from": "Selector", "selector": {"matchLabels": {"in": "yes"}}}, "scopes": ["r"]}]})
        ),
        Just(json!({"admit": [{"namespaces": {"from": "All"}}], "tokens": {"accept": true}})),
        Just(json!({"ports": [{"port": 15821}]})),
        Just(json!({"ports": "none"})),
    ]
}

fn any_key() -> impl Strategy<Value = Value> {
    let grants = prop_oneof![
        Just(json!([{"gate": "api", "namespace": "dify", "scopes": ["r", "w"]}])),
        Just(
            json!([{"gate": "api", "namespace": "dify", "scopes": ["r"]}, {"gate": "web", "namespace": "dify"}])
        ),
        Just(json!([{"gate": "web", "namespace": "dify", "scopes": ["x"]}])),
        Just(json!([])),
        Just(json!("all")),
    ];
    let more = prop_oneof![
        3 => Just(json!({})),
        1 => Just(json!({"suspended": true})),
        1 => Just(json!({"colour": "red"})),
        1 => Just(json!({"rotation": {"interval": "720h"}})),
        1 => Just(json!({"expiresAt": "2026-01-01T00:01:00Z"})),
        1 => Just(json!({"tenant": "acme"})),
        1 => Just(json!({"credential": {"generated": {"secretName": "shared"}}})),
    ];
    (grants, more).prop_map(|(grants, mut spec)| {
        spec["grants"] = grants;
        spec
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let (gate, key) = (0..GATES.len(), 0..KEYS.len());
    prop_oneof![
        4 => (gate.clone(), any_gate()).prop_map(|(at, spec)| Event::Gate(at, spec)),
        6 => (key.clone(), any_key()).prop_map(|(at, spec)| Event::Key(at, spec)),
        1 => gate.prop_map(Event::DeleteGate),
        1 => key.clone().prop_map(Event::DeleteKey),
        1 => key.clone().prop_map(Event::BeginDeletion),
        1 => (key.clone(), key.clone()).prop_map(|(from, to)| Event::Forge(from, to)),
        1 => (key.clone(), prop::option::of("[{}\\[\\]\":,a-z0-9]{0,40}")).prop_map(|(at, text)| Event::Damage(at, text)),
        1 => key.prop_map(Event::DeleteSecret),
        1 => any::<bool>().prop_map(Event::Label),
        1 => any::<bool>().prop_map(Event::Deny),
        1 => Just(Event::Restart),
        2 => (0..200_i64).prop_map(Event::Pass),
    ]
}

/// The Secret that a key has, if it has one.
fn secret_of(scene: &Scene, key: &str) -> Option<String> {
    let mut secrets = scene.world.secrets_for(&key_ref(key));
    secrets.next().map(|(name, _)| name.to_string())
}

fn happen(scene: &mut Scene, event: Event) {
    const RECORD: &str = "sidegate.dev/versions";
    match event {
        Event::Gate(at, spec) => scene.gate(GATES[at], spec),
        Event::Key(at, spec) => scene.key(KEYS[at], spec),
        Event::DeleteGate(at) => scene.delete(&gate_ref(GATES[at])),
        Event::DeleteKey(at) => scene.delete(&key_ref(KEYS[at])),
        Event::BeginDeletion(at) => {
            if scene.world.api_key(&name(KEYS[at])).is_some() {
                scene.begin_deletion(&key_ref(KEYS[at]));
            }
        }
        Event::Forge(from, to) => {
            if let (Some(from), Some(to)) = (secret_of(scene, KEYS[from]), secret_of(scene, KEYS[to])) {
                let record = scene.secret(&from).meta.annotations.unwrap().get(RECORD).cloned();
                scene.annotate_secret(&to, RECORD, record.as_deref());
            }
        }
        Event::Damage(at, text) => {
            if let Some(secret) = secret_of(scene, KEYS[at]) {
                scene.annotate_secret(&secret, RECORD, text.as_deref());
            }
        }
        Event::DeleteSecret(at) => {
            if let Some(secret) = secret_of(scene, KEYS[at]) {
                scene.delete_secret(&secret);
            }
        }
        Event::Label(yes) => scene.namespace("team-a", if yes { &[("in", "yes")] } else { &[] }),
        Event::Deny(denied) => scene.deny(denied),
        Event::Restart => scene.restart(),
        Event::Pass(seconds) => {
            scene.after(seconds);
        }
    }
}

/// Every write of every plan has something that it depends on.
fn is_conditional(plan: &Plan) -> bool {
    let writes = plan.writes.iter().all(|write| match write {
        Write::Mint(_) | Write::Recall(..) | Write::Bundle(_) => true,
        Write::Reshape(it) => !it.uid.is_empty() && !it.resource_version.is_empty(),
        Write::Delete(it) => !it.uid.is_empty() && !it.resource_version.is_empty(),
    });
    writes && plan.status.as_ref().is_none_or(|it| !it.uid.is_empty() && !it.resource_version.is_empty())
}

fn objects() -> Vec<ObjectRef> {
    GATES.into_iter().map(gate_ref).chain(KEYS.into_iter().map(key_ref)).collect()
}

/// Is everybody out who should be, and each key in once?
fn check_bundles(scene: &Scene) -> Result<(), TestCaseError> {
    for gate in GATES {
        if scene.world.in_force(&gate_name(gate)).is_none() {
            continue;
        }
        let bundle = scene.bundle(gate);
        prop_assert!(bundle.keys.is_sorted_by(|one, next| one.id < next.id), "{gate}: {:?}", bundle.keys);
        for key in &bundle.keys {
            let owner = KEYS.into_iter().find(|owner| key.sub == credential_of(owner));
            let observed = owner.and_then(|owner| scene.world.api_key(&name(owner)));
            let live = observed.and_then(|known| known.value.live());
            let Some(live) = live else {
                return Err(TestCaseError::fail(format!("{gate} lets {} in", key.sub)));
            };
            let grant = live.spec.grants.iter().find(|grant| format!("dify/{}", grant.gate) == gate);
            let Some(grant) = grant else {
                return Err(TestCaseError::fail(format!("{gate}: {} asks no more", key.sub)));
            };
            let asked = crate::admit::scope_set(&grant.scopes);
            prop_assert!(key.scopes.difference(&asked).is_empty(), "{gate}: {key:?} asks for {asked:?}");
            prop_assert!(!live.spec.suspended() || key.standing != Standing::Good, "{gate}: {key:?}");
            let record =
                crate::credential::record(&scene.world, &name(owner.unwrap()), &observed.unwrap().value);
            let listed =
                record.is_some_and(|it| it.versions.iter().any(|it| it.id == key.id && it.hash == key.hash));
            prop_assert!(listed, "{gate}: {key:?} has no record");
        }
    }
    Ok(())
}

fn credential_of(owner: &str) -> String {
    crate::credential::subject(&name(owner))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_comes_to_rest_and_nobody_stays_in_who_should_be_out(
        events in prop::collection::vec(any_event(), 1..25)
    ) {
        let mut scene = Scene::new();
        for event in events {
            happen(&mut scene, event);
            for object in objects() {
                let plan = scene.plan(&object);
                prop_assert!(is_conditional(&plan), "{plan:?}");
            }
            scene.settle();
        }
        // Rights are back, collectors are done, and no bundle waits for its turn.
        scene.deny(false);
        for _ in 0..3 {
            scene.after(300).settle_all();
        }
        check_bundles(&scene)?;
        scene.journal();
        scene.settle_all();
        let journal: Vec<_> = scene.journal().into_iter().filter(|write| !write.starts_with("look")).collect();
        prop_assert_eq!(journal, Vec::<String>::new(), "what is settled is written again");
        scene.restart();
        scene.settle();
        let journal: Vec<_> = scene.journal().into_iter().filter(|write| !write.starts_with("look")).collect();
        prop_assert_eq!(journal, Vec::<String>::new(), "a restart writes");
    }

    #[test]
    fn no_stored_object_makes_a_plan_crash(spec in any_json(), status in any_json(), odd in any_json(), kind in 0..2) {
        let mut world = World::new();
        for kind in crate::world::Kind::ALL {
            world.apply(Update::Listing(kind));
            world.apply(Update::Listed(kind));
        }
        let mut gate = object(&gate_ref("dify/api"), "1", spec.clone());
        let mut key = object(&key_ref("dify/ci"), "2", spec.clone());
        // As far as it can go in an object that is otherwise good.
        for (at, value) in spec.as_object().into_iter().flatten() {
            gate["spec"] = json!({"ports": [{"port": 80}], (at.as_str()): value});
            key["spec"] = json!({"grants": [{"gate": "api"}], (at.as_str()): value});
        }
        (gate["status"], key["status"]) = (status.clone(), status);
        if kind == 1 {
            gate["metadata"] = odd.clone();
            key["metadata"] = odd;
        }
        let mut seen = Vec::new();
        if let Ok((at, gate)) = Observed::<Gate>::read(gate) {
            seen.extend(world.apply(Update::Gate(sidegate_bundle::gate::GateName::new(at.namespace, at.name), gate)));
        }
        if let Ok((at, key)) = Observed::<ApiKey>::read(key) {
            if let Stored::Unparsable { why, .. } = &key.stored {
                prop_assert!(!why.is_empty());
            }
            seen.extend(world.apply(Update::ApiKey(at, key)));
        }
        for object in seen {
            plan(&world, &object, "2026-01-01T00:00:00Z".parse().unwrap(), &mut rand::rng());
        }
    }
}

/// JSON with the names and values that our kinds have, and with what is beside them.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(|api|dify|Same|All|Selector|Generated|24h|-1h|99999999999h|2026-01-01T00:00:00Z|9999-12-31T23:59:60Z|/|é|.{0,20})"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let field = "(name|namespace|uid|grants|gate|scopes|ports|port|admit|namespaces|from|selector|matchLabels|rules|\
                     match|path|type|value|methods|require|allow|credential|generated|secretName|keys|labels|rotation|\
                     interval|overlap|expiresAt|notBefore|suspended|tenant|conditions|gates|versions|[a-z]{0,5})";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(field, inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}
