//! Carries plans out in the state folder: what the cluster's executor does at the API server.
//!
//! Every write is conditional here too. A bundle is written first and then offered to its gate,
//! so that what is in force is never ahead of what a restart would find.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::json;
use sidegate_bundle::{
    GateBundle, Revision,
    document::{self, FILE},
    gate::GateName,
};
use sidegate_operator::{
    execute::{Execute, WriteError},
    plan::{BundleWrite, CredentialSecret, Delete, Reshape, Status, StatusWrite, Write},
    world::{
        BUNDLE, DIGEST_ANNOTATION, InForce, KIND_LABEL, ObjectName, ObjectRef, OurSecret, Owner,
        REVISION_ANNOTATION, Tick, Update,
    },
};
use sidegate_runtime::follow::Newest;

use super::{
    convert,
    state::{State, StateError},
};
use crate::manifest::Kind;

/// The state folder, the gates that are to be told, and the names that the files' own Secrets have.
#[derive(Debug)]
pub(crate) struct Files {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    bundles: HashMap<GateName, Newest<GateBundle>>,
    foreign: BTreeSet<ObjectName>,
}

// === impl Files ===

impl Files {
    pub(crate) fn new(state: State) -> Self {
        Self { inner: Mutex::new(Inner { state, bundles: HashMap::new(), foreign: BTreeSet::new() }) }
    }

    /// Does something with the state.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.lock().state)
    }

    /// Where the bundles of `gate` are offered.
    pub(crate) fn bundles(&self, gate: &GateName) -> Newest<GateBundle> {
        self.lock().bundles.entry(gate.clone()).or_default().clone()
    }

    /// The Secrets that the files have themselves: theirs, not ours.
    pub(crate) fn set_foreign(&self, foreign: impl IntoIterator<Item = ObjectName>) {
        self.lock().foreign = foreign.into_iter().collect();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Execute for Files {
    async fn write(&self, write: &Write, now: Timestamp) -> Result<Vec<Update>, WriteError> {
        let mut inner = self.lock();
        match write {
            Write::Mint(secret) => inner.mint(secret, now),
            Write::Reshape(reshape) => inner.reshape(reshape),
            Write::Delete(delete) => inner.delete(delete),
            Write::Recall(gate, _) => Ok(inner.recall(gate)),
            Write::Bundle(bundle) => inner.bundle(bundle, now),
        }
    }

    async fn status(&self, status: &StatusWrite, _: Timestamp) -> Result<Vec<Update>, WriteError> {
        self.lock().status(status)
    }
}

// === impl Inner ===

impl Inner {
    /// Creates a Secret if there is none of that name.
    fn mint(&mut self, secret: &CredentialSecret, now: Timestamp) -> Result<Vec<Update>, WriteError> {
        if self.foreign.contains(&secret.name) {
            return Ok(vec![Update::ForeignSecret(secret.name.clone(), now)]);
        }
        let name = convert::to_files(&secret.name);
        if let Some(found) = self.state.secret(&name).and_then(OurSecret::read) {
            return Ok(vec![Update::Secret(found.0, found.1)]);
        }
        let meta = ObjectMeta {
            labels: Some(secret.labels.clone()),
            annotations: Some(secret.annotations.clone()),
            owner_references: Some(vec![reference(&secret.owner)]),
            ..ObjectMeta::default()
        };
        let data = secret.data.iter().map(|(key, value)| (key.clone(), value.expose())).collect();
        let written = self.state.put_secret(&name, meta, &data, &mut rand::rng());
        seen(written.map_err(|error| transient("cannot write a Secret", error))?)
    }

    fn reshape(&mut self, reshape: &Reshape) -> Result<Vec<Update>, WriteError> {
        let name = convert::to_files(&reshape.name);
        let mut meta = self.unchanged(&reshape.name, &reshape.uid, &reshape.resource_version)?;
        let folder = self.state.secret_folder(&name);
        let labels = meta.labels.get_or_insert_default();
        labels.retain(|key, _| !reshape.drop_labels.contains(key));
        labels.extend(reshape.labels.clone());
        let annotations = meta.annotations.get_or_insert_default();
        annotations.retain(|key, _| !reshape.drop_annotations.contains(key));
        annotations.extend(reshape.annotations.clone());
        meta.owner_references = Some(vec![reference(&reshape.owner)]);
        let mut data = folder.values();
        for (from, to) in &reshape.rename {
            if let Some(value) = data.remove(from) {
                data.insert(to.clone(), value);
            }
        }
        let data = data.iter().map(|(key, value)| (key.clone(), value.as_slice())).collect();
        let written = self.state.put_secret(&name, meta, &data, &mut rand::rng());
        seen(written.map_err(|error| transient("cannot write a Secret", error))?)
    }

    fn delete(&mut self, delete: &Delete) -> Result<Vec<Update>, WriteError> {
        self.unchanged(&delete.name, &delete.uid, &delete.resource_version)?;
        let deleted = self.state.delete_secret(&convert::to_files(&delete.name));
        deleted.map_err(|error| transient("cannot delete a Secret", error))?;
        Ok(vec![Update::SecretGone(delete.name.clone(), None)])
    }

    /// The metadata of a Secret that is still the one that was seen.
    fn unchanged(
        &self,
        name: &ObjectName,
        uid: &str,
        resource_version: &str,
    ) -> Result<ObjectMeta, WriteError> {
        self.state
            .secret(&convert::to_files(name))
            .filter(|meta| meta.uid.as_deref() == Some(uid))
            .filter(|meta| meta.resource_version.as_deref() == Some(resource_version))
            .cloned()
            .ok_or_else(|| WriteError::Conflict { what: format!("cannot write Secret {name}") })
    }

    /// Which bundle stands in the state folder.
    fn recall(&self, gate: &GateName) -> Vec<Update> {
        let of_files = convert::gate_to_files(gate);
        let bytes = self.state.read_bundle(&of_files, FILE);
        let bundle = bytes.and_then(|bytes| document::unpack::<GateBundle>(&bytes).ok());
        let found = bundle.and_then(|bundle| Some((bundle.digest().ok()?, bundle)));
        vec![match found {
            // Not the Secret's version: the next plan offers the bundle to its gate.
            Some((digest, bundle)) => {
                let (revision, bundle) = (bundle.revision, Arc::new(bundle));
                let (tick, resource_version) = (Tick::default(), String::new());
                let in_force = InForce { tick, revision, digest, resource_version, bundle, written: None };
                Update::BundleRecalled(gate.clone(), in_force)
            }
            None => Update::BundleBlank(gate.clone()),
        }]
    }

    /// Writes a bundle, unless the one that stands says the same, and puts it in force.
    fn bundle(&mut self, write: &BundleWrite, now: Timestamp) -> Result<Vec<Update>, WriteError> {
        let gate = convert::gate_to_files(&write.gate);
        let newest = self.bundles.entry(write.gate.clone()).or_default().clone();
        let stands: Option<GateBundle> =
            self.state.read_bundle(&gate, FILE).and_then(|bytes| document::unpack(&bytes).ok());
        let previous = stands.as_ref().map(|bundle| bundle.revision).max(newest.revision());
        let same = stands.filter(|bundle| bundle.digest().is_ok_and(|digest| digest == write.digest));
        if let (Some(bundle), Some(meta)) = (same, self.state.bundle(&gate).cloned()) {
            return Self::in_force(write, &newest, bundle, &meta, None, now);
        }
        let bundle = GateBundle { revision: Revision::next(previous, now), ..(*write.bundle).clone() };
        let bytes = document::pack(&bundle).map_err(|error| bug("cannot pack a bundle", error))?;
        let before = self.state.bundle(&gate).cloned();
        let meta = ObjectMeta {
            name: Some(write.gate.secret_name()),
            uid: before.and_then(|meta| meta.uid),
            labels: Some(BTreeMap::from([(KIND_LABEL.to_owned(), BUNDLE.to_owned())])),
            annotations: Some(BTreeMap::from([
                (REVISION_ANNOTATION.to_owned(), bundle.revision.to_string()),
                (DIGEST_ANNOTATION.to_owned(), write.digest.clone()),
            ])),
            owner_references: Some(vec![reference(&write.owner)]),
            ..ObjectMeta::default()
        };
        let data = BTreeMap::from([(FILE.to_owned(), bytes.as_slice())]);
        let written = self.state.put_bundle(&gate, meta, &data, &mut rand::rng());
        let meta = written.map_err(|error| transient("cannot write a bundle", error))?.clone();
        Self::in_force(write, &newest, bundle, &meta, Some(bytes.len()), now)
    }

    fn in_force(
        write: &BundleWrite,
        newest: &Newest<GateBundle>,
        bundle: GateBundle,
        meta: &ObjectMeta,
        written: Option<usize>,
        now: Timestamp,
    ) -> Result<Vec<Update>, WriteError> {
        let revision = bundle.revision;
        if newest.revision() != Some(revision) {
            newest
                .offer(bundle.clone(), now)
                .map_err(|error| bug("the gate does not take its bundle", error))?;
        }
        let mut updates = seen(meta)?;
        let in_force = InForce {
            tick: write.tick,
            revision,
            digest: write.digest.clone(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            bundle: Arc::new(bundle),
            written: written.map(|bytes| (now, bytes)),
        };
        updates.push(Update::BundleInForce(write.gate.clone(), in_force));
        Ok(updates)
    }

    fn status(&mut self, write: &StatusWrite) -> Result<Vec<Update>, WriteError> {
        let (kind, name) = match &write.object {
            ObjectRef::Gate(name) => (Kind::Gate, convert::gate_to_files(name)),
            ObjectRef::ApiKey(name) => (Kind::ApiKey, convert::to_files(name)),
        };
        let conflict =
            || WriteError::Conflict { what: format!("cannot write the status of {}", write.object) };
        let mut object = self.state.object(kind, &name).cloned().ok_or_else(conflict)?;
        let metadata = &object["metadata"];
        if metadata["uid"] != write.uid.as_str()
            || metadata["resourceVersion"] != write.resource_version.as_str()
        {
            return Err(conflict());
        }
        object["status"] = match &write.status {
            Status::Gate(status) => json!(status),
            Status::ApiKey(status) => json!(status),
        };
        let written = self.state.put(kind, &name, object);
        let written = written.map_err(|error| transient("cannot write a status", error))?;
        convert::object(kind, written).map(|update| vec![update]).ok_or_else(conflict)
    }
}

/// What is now so.
fn seen(meta: &ObjectMeta) -> Result<Vec<Update>, WriteError> {
    match OurSecret::read(meta) {
        Some((name, secret)) => Ok(vec![Update::Secret(name, secret)]),
        None => Err(bug("a Secret was planned without our label", std::fmt::Error)),
    }
}

fn reference(owner: &Owner) -> OwnerReference {
    OwnerReference {
        api_version: format!("{}/{}", sidegate_crds::GROUP, sidegate_crds::VERSION),
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

fn transient(what: &str, source: StateError) -> WriteError {
    WriteError::Transient { what: what.to_owned(), source: Box::new(source) }
}

fn bug(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> WriteError {
    WriteError::Bug { what: what.to_owned(), source: Box::new(source) }
}

#[cfg(test)]
mod tests;
