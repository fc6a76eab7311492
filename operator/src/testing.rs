//! A whole control plane in memory for tests: objects as JSON, Secrets, a World, and an executor
//! that keeps every condition of a write.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sidegate_bundle::{GateBundle, Revision, gate::GateName};
use sidegate_crds::{ApiKey, Gate, condition::NoAccess};

use crate::{
    controllers::{Settled, plan, settle},
    execute::{Execute, WriteError},
    plan::{Plan, Status, StatusWrite, Write},
    world::{
        BUNDLE, DIGEST_ANNOTATION, InForce, KIND_LABEL, Kind, Labels, ObjectName, ObjectRef, Observed,
        OurSecret, Owner, REVISION_ANNOTATION, Tick, Update, World,
    },
};

pub(crate) const START: &str = "2026-01-01T00:00:00Z";

/// A cluster in memory, its World, and a clock that stands still until it is moved.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) api: FakeApi,
    pub(crate) now: Timestamp,
    due: BTreeSet<ObjectRef>,
    rng: StdRng,
}

/// What an API server keeps.
#[derive(Default)]
pub(crate) struct FakeApi(Mutex<Stored>);

#[derive(Default)]
struct Stored {
    version: u64,
    objects: BTreeMap<ObjectRef, Value>,
    secrets: BTreeMap<ObjectName, FakeSecret>,
    journal: Vec<String>,
    denied: bool,
    /// With more keys than this a bundle is too large.
    most_keys: Option<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct FakeSecret {
    pub(crate) meta: ObjectMeta,
    pub(crate) ours: bool,
    pub(crate) data: BTreeMap<String, Vec<u8>>,
}

pub(crate) fn name(text: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap();
    ObjectName::new(namespace, name)
}

pub(crate) fn gate_name(text: &str) -> GateName {
    let name = name(text);
    GateName::new(name.namespace, name.name)
}

pub(crate) fn gate_ref(text: &str) -> ObjectRef {
    ObjectRef::Gate(gate_name(text))
}

pub(crate) fn key_ref(text: &str) -> ObjectRef {
    ObjectRef::ApiKey(name(text))
}

/// A Gate with this spec, beside its one port, as it is stored.
pub(crate) fn gate(text: &str, spec: Value) -> Observed<Gate> {
    let mut spec = spec;
    if spec.get("ports").is_none() {
        spec["ports"] = json!([{"port": 8080}]);
    }
    Observed::read(object(&gate_ref(text), "uid-gate", spec)).unwrap().1
}

/// An ApiKey with this spec, as it is stored.
pub(crate) fn key(text: &str, spec: Value) -> Observed<ApiKey> {
    Observed::read(object(&key_ref(text), "uid-key", spec)).unwrap().1
}

pub(crate) fn object(object: &ObjectRef, uid: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "sidegate.dev/v1alpha1", "kind": object.kind(),
        "metadata": {
            "name": object.name(), "namespace": object.namespace(), "uid": uid,
            "resourceVersion": "1", "generation": 1, "creationTimestamp": START,
        },
        "spec": spec,
    })
}

// === impl Scene ===

impl Scene {
    /// An empty cluster with the namespaces `dify` and `team-a`.
    pub(crate) fn new() -> Self {
        let mut scene = Self {
            world: World::new(),
            api: FakeApi::default(),
            now: START.parse().unwrap(),
            due: BTreeSet::new(),
            rng: StdRng::seed_from_u64(1),
        };
        for kind in Kind::ALL {
            scene.apply(Update::Listing(kind));
        }
        for namespace in ["dify", "team-a"] {
            scene.namespace(namespace, &[]);
        }
        for kind in Kind::ALL {
            scene.apply(Update::Listed(kind));
        }
        scene
    }

    pub(crate) fn apply(&mut self, update: Update) {
        self.due.extend(self.world.apply(update));
    }

    pub(crate) fn namespace(&mut self, name: &str, labels: &[(&str, &str)]) {
        let labels: Labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        self.apply(Update::Namespace(name.to_owned(), labels));
    }

    /// What `kubectl apply` does to a Gate.
    pub(crate) fn gate(&mut self, text: &str, mut spec: Value) {
        if spec.get("ports").is_none() {
            spec["ports"] = json!([{"port": 8080}]);
        }
        let raw = self.api.put(&gate_ref(text), spec, self.now);
        self.apply(Update::Gate(gate_name(text), Observed::read(raw).unwrap().1));
    }

    /// What `kubectl apply` does to an ApiKey.
    pub(crate) fn key(&mut self, text: &str, spec: Value) {
        let raw = self.api.put(&key_ref(text), spec, self.now);
        self.apply(Update::ApiKey(name(text), Observed::read(raw).unwrap().1));
    }

    /// What `kubectl delete` does to a Gate or an ApiKey; nobody collects its Secrets.
    pub(crate) fn delete(&mut self, object: &ObjectRef) {
        self.api.lock().objects.remove(object);
        self.apply(match object {
            ObjectRef::Gate(name) => Update::GateGone(name.clone(), None),
            ObjectRef::ApiKey(name) => Update::ApiKeyGone(name.clone(), None),
        });
    }

    /// A Secret of somebody else, in no watch.
    pub(crate) fn foreign_secret(&mut self, text: &str) {
        let secret = FakeSecret { meta: ObjectMeta::default(), ours: false, data: BTreeMap::new() };
        self.api.lock().secrets.insert(name(text), secret);
    }

    /// What `kubectl delete secret` does.
    pub(crate) fn delete_secret(&mut self, text: &str) {
        self.api.lock().secrets.remove(&name(text)).unwrap();
        self.apply(Update::SecretGone(name(text), None));
    }

    /// A Secret goes that is in no watch.
    pub(crate) fn api_forget(&mut self, text: &str) {
        self.api.lock().secrets.remove(&name(text)).unwrap();
    }

    /// What `kubectl annotate secret` does.
    pub(crate) fn annotate_secret(&mut self, text: &str, key: &str, value: Option<&str>) {
        let mut stored = self.api.lock();
        stored.version += 1;
        let version = stored.version.to_string();
        let secret = stored.secrets.get_mut(&name(text)).unwrap();
        secret.meta.resource_version = Some(version);
        let annotations = secret.meta.annotations.get_or_insert_default();
        match value {
            Some(value) => annotations.insert(key.to_owned(), value.to_owned()),
            None => annotations.remove(key),
        };
        let (name, seen) = OurSecret::read(&secret.meta).unwrap();
        drop(stored);
        self.apply(Update::Secret(name, seen));
    }

    /// Whether the API server lets anybody write Secrets.
    pub(crate) fn deny(&mut self, denied: bool) {
        self.api.lock().denied = denied;
    }

    /// How many keys fit into a bundle's Secret.
    pub(crate) fn room_for(&mut self, keys: usize) {
        self.api.lock().most_keys = Some(keys);
    }

    /// Somebody writes other bytes into a bundle's Secret, while nobody looks.
    pub(crate) fn spoil_bundle(&mut self, text: &str, bytes: &[u8]) {
        let mut stored = self.api.lock();
        let secret = stored.secrets.get_mut(&name(text)).unwrap();
        secret.data.insert("bundle".to_owned(), bytes.to_vec());
    }

    /// What `kubectl delete` does to an object with a finalizer.
    pub(crate) fn begin_deletion(&mut self, object: &ObjectRef) {
        let raw = {
            let mut stored = self.api.lock();
            stored.version += 1;
            let version = stored.version.to_string();
            let raw = stored.objects.get_mut(object).unwrap();
            raw["metadata"]["resourceVersion"] = version.into();
            raw["metadata"]["deletionTimestamp"] = START.into();
            raw.clone()
        };
        self.apply(match object {
            ObjectRef::Gate(name) => Update::Gate(name.clone(), Observed::read(raw).unwrap().1),
            ObjectRef::ApiKey(name) => Update::ApiKey(name.clone(), Observed::read(raw).unwrap().1),
        });
    }

    pub(crate) fn after(&mut self, seconds: i64) -> &mut Self {
        self.now += SignedDuration::from_secs(seconds);
        self
    }

    /// The plan of one object as things stand, carried out by nobody.
    pub(crate) fn plan(&mut self, object: &ObjectRef) -> Plan {
        plan(&self.world, object, self.now, &mut self.rng)
    }

    /// Plans and writes until nothing is left to do, and waits for bundles that wait their turn.
    pub(crate) fn settle(&mut self) -> Settled {
        loop {
            let settled = self.settle_now();
            let soon = self.now + SignedDuration::from_secs(1);
            let Some((object, wake)) = settled.wakes.iter().find(|(_, wake)| **wake < soon) else {
                return settled;
            };
            self.now = *wake;
            self.due.insert(object.clone());
        }
    }

    /// Plans and writes until nothing is left to do at this very moment.
    pub(crate) fn settle_now(&mut self) -> Settled {
        let (now, due) = (self.now, std::mem::take(&mut self.due));
        let settled = settle(&mut self.world, &self.api, due, || now, &mut self.rng);
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(settled)
    }

    /// Plans every object again.
    pub(crate) fn settle_all(&mut self) -> Settled {
        self.due.extend(self.world.gates().map(|(name, _)| ObjectRef::Gate(name.clone())));
        self.due.extend(self.world.api_keys().map(|(name, _)| ObjectRef::ApiKey(name.clone())));
        self.settle()
    }

    /// The same cluster seen by an operator that has just started.
    pub(crate) fn restart(&mut self) {
        let namespaces: Vec<_> = ["dify", "team-a"]
            .iter()
            .map(|name| (*name, self.world.namespace(name).unwrap().value.clone()))
            .collect();
        self.world = World::new();
        self.due.clear();
        let (objects, secrets) = {
            let stored = self.api.lock();
            (stored.objects.clone(), stored.secrets.clone())
        };
        for kind in Kind::ALL {
            self.apply(Update::Listing(kind));
        }
        for (name, labels) in namespaces {
            self.apply(Update::Namespace(name.to_owned(), labels));
        }
        for (object, raw) in objects {
            self.apply(match object {
                ObjectRef::Gate(name) => Update::Gate(name, Observed::read(raw).unwrap().1.listed()),
                ObjectRef::ApiKey(name) => Update::ApiKey(name, Observed::read(raw).unwrap().1.listed()),
            });
        }
        for secret in secrets.values().filter(|secret| secret.ours) {
            let (name, secret) = OurSecret::read(&secret.meta).unwrap();
            self.apply(Update::Secret(name, secret.listed()));
        }
        for kind in Kind::ALL {
            self.apply(Update::Listed(kind));
        }
    }

    pub(crate) fn secret(&self, text: &str) -> FakeSecret {
        self.api.lock().secrets[&name(text)].clone()
    }

    /// The key that stands in a Secret.
    pub(crate) fn plaintext(&self, text: &str) -> String {
        String::from_utf8(self.secret(text).data["api-key"].clone()).unwrap()
    }

    /// The bundle that is written for a Gate.
    pub(crate) fn bundle(&self, text: &str) -> GateBundle {
        let gate = gate_name(text);
        let secret = &self.api.lock().secrets[&ObjectName::new(&gate.namespace, gate.secret_name())];
        serde_json::from_slice(&secret.data["bundle"]).unwrap()
    }

    /// All writes since the last time that this was asked.
    pub(crate) fn journal(&self) -> Vec<String> {
        std::mem::take(&mut self.api.lock().journal)
    }

    pub(crate) fn status(&self, object: &ObjectRef) -> Value {
        self.api.lock().objects[object]["status"].clone()
    }

    /// The conditions and grants of an object, a line each.
    pub(crate) fn conditions(&self, object: &ObjectRef) -> String {
        let status = self.status(object);
        let mut text = String::new();
        for condition in status["conditions"].as_array().into_iter().flatten() {
            let of = |key: &str| condition[key].as_str().unwrap().to_owned();
            writeln!(text, "{}={}/{}: {}", of("type"), of("status"), of("reason"), of("message")).unwrap();
        }
        for gate in status["gates"].as_array().into_iter().flatten() {
            let scopes: Vec<&str> =
                gate["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            writeln!(
                text,
                "  {}/{} accepted={} programmed={} {} [{}]",
                gate["namespace"].as_str().unwrap(),
                gate["gate"].as_str().unwrap(),
                gate["accepted"],
                gate["programmed"],
                gate["reason"].as_str().unwrap(),
                scopes.join(" ")
            )
            .unwrap();
        }
        text
    }
}

// === impl FakeApi ===

impl FakeApi {
    fn lock(&self) -> std::sync::MutexGuard<'_, Stored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a spec as the API server would: generation and resourceVersion rise.
    fn put(&self, reference: &ObjectRef, spec: Value, now: Timestamp) -> Value {
        let mut stored = self.lock();
        stored.version += 1;
        let version = stored.version;
        let fresh = || {
            let mut raw = object(reference, &format!("uid-{version}"), Value::Null);
            raw["metadata"]["creationTimestamp"] = now.to_string().into();
            raw["metadata"]["generation"] = 0.into();
            raw
        };
        let raw = stored.objects.entry(reference.clone()).or_insert_with(fresh);
        let generation = raw["metadata"]["generation"].as_i64().unwrap();
        raw["metadata"]["generation"] = (generation + 1).into();
        raw["metadata"]["resourceVersion"] = version.to_string().into();
        raw["spec"] = spec;
        raw.clone()
    }
}

fn conflict(what: &str) -> WriteError {
    WriteError::Conflict { what: what.to_owned() }
}

fn recall(name: &ObjectName, gate: &GateName, owner: &Owner, live: Option<FakeSecret>) -> Vec<Update> {
    let Some(live) = live else { return vec![Update::SecretGone(name.clone(), None)] };
    let resource_version = live.meta.resource_version.unwrap();
    let is_its = live.meta.owner_references.unwrap()[0].uid == owner.uid;
    let bundle = live.data.get("bundle").and_then(|bytes| serde_json::from_slice::<GateBundle>(bytes).ok());
    vec![match bundle.filter(|_| is_its) {
        Some(bundle) => Update::BundleRecalled(
            gate.clone(),
            InForce {
                tick: Tick::default(),
                revision: bundle.revision,
                digest: bundle.digest().unwrap(),
                resource_version,
                bundle: Arc::new(bundle),
                written: None,
            },
        ),
        None => Update::BundleBlank(gate.clone()),
    }]
}

fn meta(name: &ObjectName, uid: String, labels: Labels, annotations: Labels, owner: &Owner) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.name.clone()),
        namespace: Some(name.namespace.clone()),
        uid: Some(uid),
        labels: Some(labels),
        annotations: Some(annotations),
        owner_references: Some(vec![OwnerReference {
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
            controller: Some(true),
            ..OwnerReference::default()
        }]),
        ..ObjectMeta::default()
    }
}

impl Execute for FakeApi {
    async fn write(&self, write: &Write, now: Timestamp) -> Result<Vec<Update>, WriteError> {
        let mut stored = self.lock();
        let name = write.secret();
        let live = stored.secrets.get(&name).cloned();
        let version = stored.version + 1;
        if stored.denied && !matches!(write, Write::Recall(..)) {
            stored.journal.push(format!("denied: {} {name}", write.kind()));
            let access =
                NoAccess { action: "create secrets".to_owned(), namespace: name.namespace, command: None };
            return Err(WriteError::Denied { what: "a Secret".to_owned(), access, source: "403".into() });
        }
        if live.as_ref().is_some_and(|live| !live.ours) {
            stored.journal.push(format!("look {name}: foreign"));
            return Ok(vec![Update::ForeignSecret(name, now)]);
        }
        let as_seen = |uid: &str, resource_version: &str| {
            live.as_ref().is_some_and(|live| {
                live.meta.uid.as_deref() == Some(uid)
                    && live.meta.resource_version.as_deref() == Some(resource_version)
            })
        };
        let mut secret = match write {
            Write::Mint(minted) => match live {
                Some(live) => live,
                None => FakeSecret {
                    meta: meta(
                        &name,
                        format!("uid-{version}"),
                        minted.labels.clone(),
                        minted.annotations.clone(),
                        &minted.owner,
                    ),
                    ours: true,
                    data: minted
                        .data
                        .iter()
                        .map(|(key, value)| (key.clone(), value.expose().to_vec()))
                        .collect(),
                },
            },
            Write::Reshape(reshape) if as_seen(&reshape.uid, &reshape.resource_version) => {
                let mut live = live.unwrap();
                let labels = live.meta.labels.get_or_insert_default();
                labels.retain(|key, _| !reshape.drop_labels.contains(key));
                labels.extend(reshape.labels.clone());
                let annotations = live.meta.annotations.get_or_insert_default();
                annotations.retain(|key, _| !reshape.drop_annotations.contains(key));
                annotations.extend(reshape.annotations.clone());
                let taken: Vec<_> = reshape
                    .rename
                    .iter()
                    .map(|(from, to)| (to.clone(), live.data.remove(from).unwrap()))
                    .collect();
                live.data.extend(taken);
                live.meta.owner_references =
                    meta(&name, String::new(), Labels::new(), Labels::new(), &reshape.owner).owner_references;
                live
            }
            Write::Delete(delete) if as_seen(&delete.uid, &delete.resource_version) => {
                stored.secrets.remove(&name);
                stored.journal.push(format!("delete {name}"));
                return Ok(vec![Update::SecretGone(name, None)]);
            }
            Write::Reshape(_) | Write::Delete(_) => return Err(conflict("a Secret")),
            Write::Recall(gate, owner) => return Ok(recall(&name, gate, owner, live)),
            Write::Bundle(bundle) if stored.most_keys.is_some_and(|most| bundle.bundle.keys.len() > most) => {
                stored.journal.push(format!("too large {name}"));
                return Err(WriteError::TooLarge { what: "a bundle".to_owned(), bytes: 2, most: 1 });
            }
            Write::Bundle(bundle) => {
                let annotation = live
                    .as_ref()
                    .and_then(|live| live.meta.annotations.as_ref()?.get(REVISION_ANNOTATION))
                    .cloned();
                let previous = annotation.and_then(|text| text.parse().ok()).map(Revision);
                let same = live.as_ref().is_some_and(|live| {
                    let annotations = live.meta.annotations.as_ref().unwrap();
                    annotations.get(DIGEST_ANNOTATION) == Some(&bundle.digest)
                        && live.meta.owner_references.as_ref().unwrap()[0].uid == bundle.owner.uid
                });
                let revision = if same { previous.unwrap() } else { Revision::next(previous, now) };
                let full = GateBundle { revision, ..(*bundle.bundle).clone() };
                let labels = Labels::from([(KIND_LABEL.to_owned(), BUNDLE.to_owned())]);
                let annotations = Labels::from([
                    (REVISION_ANNOTATION.to_owned(), revision.to_string()),
                    (DIGEST_ANNOTATION.to_owned(), bundle.digest.clone()),
                ]);
                let uid = live
                    .as_ref()
                    .and_then(|live| live.meta.uid.clone())
                    .unwrap_or_else(|| format!("uid-{version}"));
                let mut meta = meta(&name, uid, labels, annotations, &bundle.owner);
                if same {
                    meta.resource_version = live.unwrap().meta.resource_version;
                }
                FakeSecret {
                    meta,
                    ours: true,
                    data: BTreeMap::from([("bundle".to_owned(), serde_json::to_vec(&full).unwrap())]),
                }
            }
        };
        if secret.meta.resource_version.is_none() || matches!(write, Write::Reshape(_)) {
            stored.version = version;
            secret.meta.resource_version = Some(version.to_string());
            stored.journal.push(format!("{} {name}", write.kind()));
        }
        let mut updates: Vec<Update> = OurSecret::read(&secret.meta)
            .map(|(name, seen)| Update::Secret(name, seen))
            .into_iter()
            .collect();
        if let Write::Bundle(bundle) = write {
            let full: GateBundle = serde_json::from_slice(&secret.data["bundle"]).unwrap();
            let in_force = InForce {
                tick: bundle.tick,
                revision: full.revision,
                digest: bundle.digest.clone(),
                resource_version: secret.meta.resource_version.clone().unwrap(),
                bundle: bundle.bundle.clone(),
                written: Some((now, secret.data["bundle"].len())),
            };
            updates.push(Update::BundleInForce(bundle.gate.clone(), in_force));
        }
        stored.secrets.insert(name, secret);
        Ok(updates)
    }

    async fn status(&self, write: &StatusWrite, _now: Timestamp) -> Result<Vec<Update>, WriteError> {
        let mut stored = self.lock();
        stored.version += 1;
        let version = stored.version.to_string();
        let raw = stored.objects.get_mut(&write.object).ok_or_else(|| conflict("a status"))?;
        let metadata = &raw["metadata"];
        if metadata["uid"] != *write.uid || metadata["resourceVersion"] != *write.resource_version {
            return Err(conflict("a status"));
        }
        raw["metadata"]["resourceVersion"] = version.into();
        raw["status"] = match &write.status {
            Status::Gate(status) => serde_json::to_value(status).unwrap(),
            Status::ApiKey(status) => serde_json::to_value(status).unwrap(),
        };
        let raw = raw.clone();
        stored.journal.push(format!("status {}", write.object));
        Ok(vec![match &write.object {
            ObjectRef::Gate(name) => Update::Gate(name.clone(), Observed::read(raw).unwrap().1),
            ObjectRef::ApiKey(name) => Update::ApiKey(name.clone(), Observed::read(raw).unwrap().1),
        }])
    }
}
