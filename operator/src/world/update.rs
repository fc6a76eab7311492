//! Taking an observation in: what changed, and who has to be planned again because of it.
//!
//! Watches, lists and the answers to our own writes come here, in any order. What is older than
//! what is known is dropped, so that the watch cannot take back what a write has just said.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::core::object::HasSpec;
use sidegate_bundle::gate::GateName;
use sidegate_crds::{ApiKey, Gate, condition::NoAccess};

use super::{
    Denied, InForce, Known, Labels, ObjectName, ObjectRef, Observed, OurSecret, Stored, Tick, World,
};
use crate::credential;

/// A kind that is listed and watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Gates.
    Gate,
    /// ApiKeys.
    ApiKey,
    /// Namespaces.
    Namespace,
    /// The metadata of Secrets that carry our label.
    Secret,
}

/// One observation.
#[derive(Clone, Debug)]
pub enum Update {
    /// A list of this kind begins. What it lacks at its end is gone.
    Listing(Kind),
    /// The list is complete.
    Listed(Kind),
    /// A Gate as it is now.
    Gate(GateName, Observed<Gate>),
    /// A Gate is gone, at this place in the order of writes.
    GateGone(GateName, Option<u64>),
    /// An ApiKey as it is now.
    ApiKey(ObjectName, Observed<ApiKey>),
    /// An ApiKey is gone.
    ApiKeyGone(ObjectName, Option<u64>),
    /// A namespace's labels.
    Namespace(String, Labels),
    /// A namespace is gone.
    NamespaceGone(String),
    /// A Secret of ours as it is now.
    Secret(ObjectName, OurSecret),
    /// A Secret of ours is gone.
    SecretGone(ObjectName, Option<u64>),
    /// A live read found a Secret that is not ours under a name that we want.
    ForeignSecret(ObjectName, Timestamp),
    /// A bundle was written, or found to be as it should be.
    BundleInForce(GateName, InForce),
    /// A live read showed the bundle that stands, of which nothing was known.
    BundleRecalled(GateName, InForce),
    /// A live read of the bundle's Secret showed none to go on from.
    BundleBlank(GateName),
    /// A bundle with so many keys does not fit into its Secret.
    BundleTooLarge(GateName, usize),
    /// The API server does not let us write for this object.
    Denied(ObjectRef, NoAccess, Timestamp),
    /// It let us write for this object.
    Allowed(ObjectRef),
}

/// Which lists have begun, and which are complete.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Raised by each list that begins.
    epoch: u64,
    begun: BTreeMap<Kind, u64>,
    complete: BTreeSet<Kind>,
}

/// Who has to be planned again.
type Affected = BTreeSet<ObjectRef>;

// === impl Kind ===

impl Kind {
    /// All that must have been listed before anything is compiled.
    pub const ALL: [Self; 4] = [Self::Gate, Self::ApiKey, Self::Namespace, Self::Secret];

    /// The kind, as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "Gate",
            Self::ApiKey => "ApiKey",
            Self::Namespace => "Namespace",
            Self::Secret => "Secret",
        }
    }
}

// === impl Lists ===

impl Lists {
    pub(super) fn complete(&self) -> bool {
        Kind::ALL.iter().all(|kind| self.complete.contains(kind))
    }
}

// === impl World ===

impl World {
    /// Takes an observation in and says who has to be planned again because of it.
    pub fn apply(&mut self, update: Update) -> Vec<ObjectRef> {
        let mut affected = Affected::new();
        match update {
            Update::Listing(kind) => {
                self.lists.epoch += 1;
                self.lists.begun.insert(kind, self.lists.epoch);
            }
            Update::Listed(kind) => self.listed(kind, &mut affected),
            Update::Gate(name, gate) => self.gate_seen(name, gate, &mut affected),
            Update::GateGone(name, at) => self.gate_gone(&name, at, &mut affected),
            Update::ApiKey(name, key) => self.api_key_seen(name, key, &mut affected),
            Update::ApiKeyGone(name, at) => self.api_key_gone(&name, at, &mut affected),
            Update::Namespace(name, labels) => self.namespace_seen(name, labels, &mut affected),
            Update::NamespaceGone(name) => {
                if self.namespaces.remove(&name).is_some() {
                    self.namespace_changed(&name, &mut affected);
                }
            }
            Update::Secret(name, secret) => self.secret_seen(name, secret, &mut affected),
            Update::SecretGone(name, at) => self.secret_gone(&name, at, &mut affected),
            Update::ForeignSecret(name, seen_at) => {
                if self.foreign.insert(name.clone(), seen_at).is_none() && self.secrets.contains_key(&name) {
                    // Until now its metadata were believed.
                    self.secret_changed(&name, &mut affected);
                } else {
                    self.wanting(&name, &mut affected);
                }
            }
            Update::BundleInForce(gate, in_force) => {
                let before = self.in_force.get(&gate).map(|before| before.tick);
                affected.extend(self.changed_since(&gate, before).map(ObjectRef::ApiKey));
                affected.insert(ObjectRef::Gate(gate.clone()));
                self.in_force.insert(gate, in_force);
            }
            Update::BundleRecalled(gate, in_force) => {
                affected.insert(ObjectRef::Gate(gate.clone()));
                self.in_force.entry(gate).or_insert(in_force);
            }
            Update::BundleBlank(gate) => {
                affected.insert(ObjectRef::Gate(gate.clone()));
                let secret = self.secrets.get(&ObjectName::new(&gate.namespace, gate.secret_name()));
                if let Some(known) = secret {
                    self.blank.insert(gate, known.value.resource_version.clone());
                }
            }
            Update::BundleTooLarge(gate, keys) => {
                if self.full.insert(gate.clone(), keys) != Some(keys) {
                    affected.insert(ObjectRef::Gate(gate));
                }
            }
            Update::Denied(object, access, seen_at) => {
                let since = self.denied.get(&object).map_or(seen_at, |before| before.since);
                self.denied.insert(object.clone(), Denied { access, since, seen_at });
                affected.insert(object);
            }
            Update::Allowed(object) => {
                if self.denied.remove(&object).is_some() {
                    affected.insert(object);
                }
            }
        }
        affected.into_iter().collect()
    }

    /// The keys of a Gate whose change the bundle of `before` did not hold.
    fn changed_since(&self, gate: &GateName, before: Option<Tick>) -> impl Iterator<Item = ObjectName> {
        let gate_changed = self.gates.get(gate).map(|known| known.tick) > before;
        self.index.keys_of(gate).filter(move |name| gate_changed || self.newest(name) > before).cloned()
    }

    /// The last change of a key, its Secret or its namespace.
    fn newest(&self, key: &ObjectName) -> Option<Tick> {
        let (_, wanted) = self.named_by(key);
        let secret = wanted.and_then(|wanted| self.secrets.get(&wanted)).map(|known| known.tick);
        let namespace = self.namespaces.get(&key.namespace).map(|known| known.tick);
        self.api_keys.get(key).map(|known| known.tick).max(secret).max(namespace)
    }

    fn gate_seen(&mut self, name: GateName, gate: Observed<Gate>, affected: &mut Affected) {
        let before = self.gates.get(&name);
        if before.is_some_and(|before| older(gate.meta.order, before.value.meta.order)) {
            return;
        }
        affected.insert(ObjectRef::Gate(name.clone()));
        let same = before.filter(|before| same_spec(&before.value, &gate)).map(|before| before.tick);
        let epoch = self.epoch(gate.meta.order, before.map(|before| before.epoch));
        if before.is_some_and(|before| before.value.meta.uid != gate.meta.uid) {
            self.forget_bundle(&name);
        }
        let known = self.known(gate, same, epoch);
        self.gates.insert(name.clone(), known);
        if same.is_none() {
            self.gate_changed(&name, affected);
        }
    }

    fn gate_gone(&mut self, name: &GateName, at: Option<u64>, affected: &mut Affected) {
        let Some(before) = self.gates.get(name) else { return };
        if older(at, before.value.meta.order) {
            return;
        }
        self.gates.remove(name);
        self.forget_bundle(name);
        self.denied.remove(&ObjectRef::Gate(name.clone()));
        self.foreign.remove(&ObjectName::new(&name.namespace, name.secret_name()));
        self.gate_changed(name, affected);
        self.forget_inputs(name);
    }

    /// A Gate of the same name has not the bundle of the one before it.
    fn forget_bundle(&mut self, name: &GateName) {
        self.in_force.remove(name);
        self.blank.remove(name);
        self.full.remove(name);
    }

    /// Of a Gate that nobody has and nobody names, nothing is kept.
    fn forget_inputs(&mut self, name: &GateName) {
        if !self.gates.contains_key(name) && self.index.keys_of(name).next().is_none() {
            self.inputs.remove(name);
        }
    }

    /// A Gate's own change concerns it and every key that names it.
    fn gate_changed(&mut self, name: &GateName, affected: &mut Affected) {
        let tick = self.bump();
        self.inputs.insert(name.clone(), tick);
        affected.insert(ObjectRef::Gate(name.clone()));
        affected.extend(self.index.keys_of(name).cloned().map(ObjectRef::ApiKey));
    }

    fn api_key_seen(&mut self, name: ObjectName, key: Observed<ApiKey>, affected: &mut Affected) {
        let before = self.api_keys.get(&name);
        if before.is_some_and(|before| older(key.meta.order, before.value.meta.order)) {
            return;
        }
        affected.insert(ObjectRef::ApiKey(name.clone()));
        let same = before.filter(|before| same_spec(&before.value, &key)).map(|before| before.tick);
        let epoch = self.epoch(key.meta.order, before.map(|before| before.epoch));
        if same.is_none() {
            self.unlink(&name, affected);
        }
        let known = self.known(key, same, epoch);
        self.api_keys.insert(name.clone(), known);
        if same.is_none() {
            self.link(&name, affected);
        }
    }

    fn api_key_gone(&mut self, name: &ObjectName, at: Option<u64>, affected: &mut Affected) {
        let Some(before) = self.api_keys.get(name) else { return };
        if older(at, before.value.meta.order) {
            return;
        }
        affected.insert(ObjectRef::ApiKey(name.clone()));
        self.unlink(name, affected);
        self.denied.remove(&ObjectRef::ApiKey(name.clone()));
        self.api_keys.remove(name);
    }

    /// Takes the key out of the indexes; the Gates that it named lose it.
    fn unlink(&mut self, name: &ObjectName, affected: &mut Affected) {
        let (gates, wanted) = self.named_by(name);
        self.index.unlink_key(name, &gates, wanted.as_ref());
        self.inputs_changed(gates.clone(), affected);
        for gate in &gates {
            self.forget_inputs(gate);
        }
        if let Some(wanted) = wanted {
            // Who else wants that Secret may have it now.
            self.wanting(&wanted, affected);
            if self.index.keys_wanting(&wanted).next().is_none() {
                self.foreign.remove(&wanted);
            }
        }
    }

    fn link(&mut self, name: &ObjectName, affected: &mut Affected) {
        let (gates, wanted) = self.named_by(name);
        self.index.link_key(name, &gates, wanted.as_ref());
        self.inputs_changed(gates, affected);
    }

    /// The Gates and the Secret that a key names.
    fn named_by(&self, name: &ObjectName) -> (Vec<GateName>, Option<ObjectName>) {
        match self.api_keys.get(name).map(|key| &key.value.stored) {
            Some(Stored::Parsed { object, .. }) => {
                let gates = object.spec.gates(&name.namespace).collect();
                (gates, Some(credential::wanted(name, &object.spec)))
            }
            _ => (Vec::new(), None),
        }
    }

    fn namespace_seen(&mut self, name: String, labels: Labels, affected: &mut Affected) {
        let same =
            self.namespaces.get(&name).filter(|before| before.value == labels).map(|before| before.tick);
        let known = self.known(labels, same, self.lists.epoch);
        self.namespaces.insert(name.clone(), known);
        if same.is_none() {
            self.namespace_changed(&name, affected);
        }
    }

    /// A namespace's labels concern its keys and the Gates that they name.
    fn namespace_changed(&mut self, name: &str, affected: &mut Affected) {
        self.bump();
        let first = ObjectName::new(name, "");
        let keys: Vec<ObjectName> = self
            .api_keys
            .range(first..)
            .map(|(key, _)| key)
            .take_while(|key| key.namespace == name)
            .cloned()
            .collect();
        for key in keys {
            let (gates, _) = self.named_by(&key);
            self.inputs_changed(gates, affected);
            affected.insert(ObjectRef::ApiKey(key));
        }
    }

    fn secret_seen(&mut self, name: ObjectName, secret: OurSecret, affected: &mut Affected) {
        let before = self.secrets.get(&name);
        if before.is_some_and(|before| older(secret.order, before.value.order)) {
            return;
        }
        let moved = before.is_none_or(|before| before.value.resource_version != secret.resource_version);
        let same = before.filter(|before| before.value.decides_as(&secret)).map(|before| before.tick);
        let epoch = self.epoch(secret.order, before.map(|before| before.epoch));
        if let Some(owner) = before.and_then(|before| before.value.made_for()) {
            self.index.unlink_secret(&name, owner);
        }
        if let Some(owner) = secret.made_for() {
            self.index.link_secret(&name, owner);
        }
        // What a live read said of a Secret is so as long as it lives: its type cannot be changed.
        if before.is_none_or(|before| before.value.uid != secret.uid) {
            self.foreign.remove(&name);
        }
        let known = self.known(secret, same, epoch);
        self.secrets.insert(name.clone(), known);
        if same.is_none() {
            self.secret_changed(&name, affected);
        } else if moved {
            self.wanting(&name, affected);
        }
    }

    fn secret_gone(&mut self, name: &ObjectName, at: Option<u64>, affected: &mut Affected) {
        let Some(before) = self.secrets.get(name) else { return };
        if older(at, before.value.order) {
            return;
        }
        self.secret_changed(name, affected);
        if let Some(owner) = self.owner_of(name) {
            self.index.unlink_secret(name, &owner);
        }
        self.foreign.remove(name);
        self.secrets.remove(name);
    }

    /// A credential's Secret concerns its object and the Gates that this names; a bundle's its
    /// Gate.
    fn secret_changed(&mut self, name: &ObjectName, affected: &mut Affected) {
        self.bump();
        self.wanting(name, affected);
        let owner = self.owner_of(name);
        let keys: Vec<ObjectName> = self.index.keys_wanting(name).cloned().collect();
        for key in keys.into_iter().chain(owner.and_then(ObjectRef::into_api_key)) {
            let (gates, _) = self.named_by(&key);
            self.inputs_changed(gates, affected);
            affected.insert(ObjectRef::ApiKey(key));
        }
    }

    /// Who wants a Secret of this name: keys, or the Gate whose bundle it is.
    fn wanting(&self, secret: &ObjectName, affected: &mut Affected) {
        affected.extend(self.index.keys_wanting(secret).cloned().map(ObjectRef::ApiKey));
        if let Some(gate) = OurSecret::gate_of(secret).filter(|gate| self.gates.contains_key(gate)) {
            affected.insert(ObjectRef::Gate(gate));
        }
    }

    /// What these Gates are compiled from has changed.
    fn inputs_changed(&mut self, gates: Vec<GateName>, affected: &mut Affected) {
        let tick = self.bump();
        for gate in gates {
            self.inputs.insert(gate.clone(), tick);
            affected.insert(ObjectRef::Gate(gate));
        }
    }

    /// What the list of `kind` lacked is gone.
    fn listed(&mut self, kind: Kind, affected: &mut Affected) {
        self.lists.complete.insert(kind);
        let epoch = self.lists.begun.get(&kind).copied().unwrap_or_default();
        match kind {
            Kind::Gate => {
                for name in unseen(self.gates.iter().map(|(name, known)| (name, known.epoch)), epoch) {
                    self.gate_gone(&name, None, affected);
                }
            }
            Kind::ApiKey => {
                for name in unseen(self.api_keys.iter().map(|(name, known)| (name, known.epoch)), epoch) {
                    self.api_key_gone(&name, None, affected);
                }
            }
            Kind::Namespace => {
                for name in unseen(self.namespaces.iter().map(|(name, known)| (name, known.epoch)), epoch) {
                    self.namespaces.remove(&name);
                    self.namespace_changed(&name, affected);
                }
            }
            Kind::Secret => {
                for name in unseen(self.secrets.iter().map(|(name, known)| (name, known.epoch)), epoch) {
                    self.secret_gone(&name, None, affected);
                }
            }
        }
    }

    fn bump(&mut self) -> Tick {
        self.now = Tick(self.now.0 + 1);
        self.now
    }

    /// In which list an object counts as seen: what a list has, and what a write has just made,
    /// in the current one; what only changed, where it was seen before.
    fn epoch(&self, order: Option<u64>, before: Option<u64>) -> u64 {
        before.filter(|_| order.is_some()).unwrap_or(self.lists.epoch)
    }

    /// Wraps what was seen: with the tick that it had if nothing that matters changed.
    fn known<T>(&mut self, value: T, same: Option<Tick>, epoch: u64) -> Known<T> {
        let tick = same.unwrap_or_else(|| self.bump());
        Known { value, tick, epoch }
    }

    /// The object that the Secret `name` was made for.
    fn owner_of(&self, name: &ObjectName) -> Option<ObjectRef> {
        self.secrets.get(name).and_then(|secret| secret.value.made_for()).cloned()
    }
}

// === impl ObjectRef ===

impl ObjectRef {
    fn into_api_key(self) -> Option<ObjectName> {
        match self {
            Self::ApiKey(name) => Some(name),
            Self::Gate(_) => None,
        }
    }
}

/// Is what came older than what is known?
fn older(incoming: Option<u64>, known: Option<u64>) -> bool {
    matches!((incoming, known), (Some(incoming), Some(known)) if incoming < known)
}

/// Do both mean the same for plans and bundles? Status and resourceVersion do not count.
fn same_spec<T>(one: &Observed<T>, other: &Observed<T>) -> bool
where
    T: HasSpec,
    T::Spec: PartialEq,
{
    let stored = match (&one.stored, &other.stored) {
        (
            Stored::Parsed { object: one, unknown: one_unknown, .. },
            Stored::Parsed { object: other, unknown: other_unknown, .. },
        ) => one.spec() == other.spec() && one_unknown == other_unknown,
        (Stored::Unparsable { why: one, .. }, Stored::Unparsable { why: other, .. }) => one == other,
        _ => false,
    };
    stored && one.meta.uid == other.meta.uid && one.meta.deleting == other.meta.deleting
}

/// The names that were last seen before `epoch`.
fn unseen<'a, N: Clone + 'a>(seen: impl Iterator<Item = (&'a N, u64)>, epoch: u64) -> Vec<N> {
    seen.filter(|(_, last)| *last < epoch).map(|(name, _)| name.clone()).collect()
}
