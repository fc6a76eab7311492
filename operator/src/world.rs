//! All that is observed, by kind, with indexes: the only input of a plan.
//!
//! The World is a pure state machine. [`World::apply`] takes one observation in and says which
//! objects have to be planned again; nothing here reads a clock, talks to anyone or decides
//! anything. It never holds a credential: of a Secret it keeps what its metadata says.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use jiff::Timestamp;
use sidegate_bundle::{GateBundle, Revision, gate::GateName};
use sidegate_crds::{ApiKey, Gate, condition::NoAccess};

mod index;
mod secret;
mod stored;
mod update;

pub use secret::{
    BUNDLE, CREDENTIAL, CREDENTIAL_TYPE, DIGEST_ANNOTATION, KIND_LABEL, OurSecret, Owner,
    REVISION_ANNOTATION, SHAPE_ANNOTATION, SecretKind, for_annotation,
};
pub use stored::{Lawful, Meta, NoObject, Observed, Stored};
pub use update::{Kind, Update};

use index::Index;

/// A moment in the life of a [`World`]: each change that matters is one tick later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

/// The name of an object in its namespace: printed as `<namespace>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: String,
    /// The name in it.
    pub name: String,
}

/// An object that has a plan of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectRef {
    /// A Gate.
    Gate(GateName),
    /// An ApiKey.
    ApiKey(ObjectName),
}

/// All that is observed.
#[derive(Default)]
pub struct World {
    now: Tick,
    gates: BTreeMap<GateName, Known<Observed<Gate>>>,
    api_keys: BTreeMap<ObjectName, Known<Observed<ApiKey>>>,
    namespaces: BTreeMap<String, Known<Labels>>,
    secrets: BTreeMap<ObjectName, Known<OurSecret>>,
    /// Names that a Secret of ours should have and a foreign one has, and when that was seen.
    foreign: BTreeMap<ObjectName, Timestamp>,
    /// For each Gate, when anything last changed that its bundle is compiled from.
    inputs: HashMap<GateName, Tick>,
    in_force: HashMap<GateName, InForce>,
    /// Bundle Secrets, by resourceVersion, in which a live read found nothing to go on from.
    blank: HashMap<GateName, String>,
    /// Gates whose bundle did not fit into its Secret, and how many keys it had.
    full: HashMap<GateName, usize>,
    denied: HashMap<ObjectRef, Denied>,
    index: Index,
    lists: update::Lists,
}

/// Labels, as Kubernetes has them.
pub type Labels = BTreeMap<String, String>;

/// Something observed and when it last changed.
#[derive(Clone, Debug)]
pub struct Known<T> {
    /// What was observed.
    pub value: T,
    /// The last change that matters: not our own status, not a foreign label.
    pub tick: Tick,
    /// The list in which it was last seen: what a later list lacks is gone.
    epoch: u64,
}

/// The bundle of a Gate that was last written, or found to be as it should be.
#[derive(Clone, Debug)]
pub struct InForce {
    /// All changes up to this tick are in it.
    pub tick: Tick,
    /// Its revision.
    pub revision: Revision,
    /// Its digest.
    pub digest: String,
    /// The Secret's resourceVersion when it was written or compared. While the Secret has the
    /// same, its bytes are known to be right.
    pub resource_version: String,
    /// What it says, to tell a change that takes away from one that adds.
    pub bundle: Arc<GateBundle>,
    /// When it was written, and how many bytes: absent when it was found as it should be.
    pub written: Option<(Timestamp, usize)>,
}

/// What the API server does not let us do for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// What, where, and who can change it.
    pub access: NoAccess,
    /// When it was first denied.
    pub since: Timestamp,
    /// When it was last denied.
    pub seen_at: Timestamp,
}

// === impl ObjectName ===

impl ObjectName {
    /// The object `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

// === impl ObjectRef ===

impl ObjectRef {
    /// The kind, as the API writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Gate(_) => "Gate",
            Self::ApiKey(_) => "ApiKey",
        }
    }

    /// The object's namespace.
    pub fn namespace(&self) -> &str {
        match self {
            Self::Gate(name) => &name.namespace,
            Self::ApiKey(name) => &name.namespace,
        }
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Gate(name) => &name.name,
            Self::ApiKey(name) => &name.name,
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind(), self.namespace(), self.name())
    }
}

// === impl World ===

impl World {
    /// A World in which nothing has been observed.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tick of the last change.
    pub fn tick(&self) -> Tick {
        self.now
    }

    /// Has every input been listed? Before that nothing may be compiled or minted: what is not
    /// there yet would look like what was deleted.
    pub fn complete(&self) -> bool {
        self.lists.complete()
    }

    /// The Gate `name`.
    pub fn gate(&self, name: &GateName) -> Option<&Known<Observed<Gate>>> {
        self.gates.get(name)
    }

    /// All Gates, by name.
    pub fn gates(&self) -> impl Iterator<Item = (&GateName, &Known<Observed<Gate>>)> {
        self.gates.iter()
    }

    /// The ApiKey `name`.
    pub fn api_key(&self, name: &ObjectName) -> Option<&Known<Observed<ApiKey>>> {
        self.api_keys.get(name)
    }

    /// All ApiKeys, by name.
    pub fn api_keys(&self) -> impl Iterator<Item = (&ObjectName, &Known<Observed<ApiKey>>)> {
        self.api_keys.iter()
    }

    /// The ApiKeys that name a Gate in their grants, by name.
    pub fn api_keys_of<'w>(
        &'w self,
        gate: &GateName,
    ) -> impl Iterator<Item = (&'w ObjectName, &'w Known<Observed<ApiKey>>)> + use<'w> {
        self.index.keys_of(gate).filter_map(|name| self.api_keys.get_key_value(name))
    }

    /// The labels of a namespace.
    pub fn namespace(&self, name: &str) -> Option<&Known<Labels>> {
        self.namespaces.get(name)
    }

    /// The Secret of ours that has this name.
    pub fn secret(&self, name: &ObjectName) -> Option<&Known<OurSecret>> {
        self.secrets.get(name)
    }

    /// The Secrets of ours that were made for an object.
    pub fn secrets_for<'w>(
        &'w self,
        object: &ObjectRef,
    ) -> impl Iterator<Item = (&'w ObjectName, &'w Known<OurSecret>)> + use<'w> {
        self.index.secrets_for(object).filter_map(|name| self.secrets.get_key_value(name))
    }

    /// When a Secret that is not ours was last seen under this name, if one was.
    pub fn foreign(&self, name: &ObjectName) -> Option<Timestamp> {
        self.foreign.get(name).copied()
    }

    /// When anything last changed that the bundle of `gate` is compiled from.
    pub fn inputs_of(&self, gate: &GateName) -> Tick {
        self.inputs.get(gate).copied().unwrap_or_default()
    }

    /// The bundle of `gate` that is in force, as far as we know.
    pub fn in_force(&self, gate: &GateName) -> Option<&InForce> {
        self.in_force.get(gate)
    }

    /// Is there a bundle Secret of `gate`, and has nobody looked yet what it says?
    pub fn is_unread(&self, gate: &GateName) -> bool {
        let secret = self.secrets.get(&ObjectName::new(&gate.namespace, gate.secret_name()));
        !self.in_force.contains_key(gate)
            && secret.is_some_and(|known| self.blank.get(gate) != Some(&known.value.resource_version))
    }

    /// With how many keys the bundle of `gate` did not fit into its Secret, if that was so.
    pub fn too_many_keys(&self, gate: &GateName) -> Option<usize> {
        self.full.get(gate).copied()
    }

    /// What we may not do for `object`, if that was so when we last tried.
    pub fn denied(&self, object: &ObjectRef) -> Option<&Denied> {
        self.denied.get(object)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("tick", &self.now)
            .field("gates", &self.gates.len())
            .field("api_keys", &self.api_keys.len())
            .field("secrets", &self.secrets.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
