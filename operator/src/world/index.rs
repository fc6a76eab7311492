//! Who names whom: kept up to date by `update`, so that one change plans again only what it
//! concerns.

use std::collections::{BTreeSet, HashMap};

use sidegate_bundle::gate::GateName;

use super::{ObjectName, ObjectRef};

/// The indexes of a World.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys_by_gate: HashMap<GateName, BTreeSet<ObjectName>>,
    keys_by_wanted: HashMap<ObjectName, BTreeSet<ObjectName>>,
    secrets_by_owner: HashMap<ObjectRef, BTreeSet<ObjectName>>,
}

// === impl Index ===

impl Index {
    pub(super) fn keys_of<'w>(&'w self, gate: &GateName) -> impl Iterator<Item = &'w ObjectName> + use<'w> {
        self.keys_by_gate.get(gate).into_iter().flatten()
    }

    /// The ApiKeys whose Secret should have this name.
    pub(super) fn keys_wanting<'w>(
        &'w self,
        secret: &ObjectName,
    ) -> impl Iterator<Item = &'w ObjectName> + use<'w> {
        self.keys_by_wanted.get(secret).into_iter().flatten()
    }

    pub(super) fn secrets_for<'w>(
        &'w self,
        owner: &ObjectRef,
    ) -> impl Iterator<Item = &'w ObjectName> + use<'w> {
        self.secrets_by_owner.get(owner).into_iter().flatten()
    }

    pub(super) fn link_key(&mut self, key: &ObjectName, gates: &[GateName], wanted: Option<&ObjectName>) {
        for gate in gates {
            self.keys_by_gate.entry(gate.clone()).or_default().insert(key.clone());
        }
        if let Some(wanted) = wanted {
            self.keys_by_wanted.entry(wanted.clone()).or_default().insert(key.clone());
        }
    }

    pub(super) fn unlink_key(&mut self, key: &ObjectName, gates: &[GateName], wanted: Option<&ObjectName>) {
        for gate in gates {
            remove(&mut self.keys_by_gate, gate, key);
        }
        if let Some(wanted) = wanted {
            remove(&mut self.keys_by_wanted, wanted, key);
        }
    }

    pub(super) fn link_secret(&mut self, secret: &ObjectName, owner: &ObjectRef) {
        self.secrets_by_owner.entry(owner.clone()).or_default().insert(secret.clone());
    }

    pub(super) fn unlink_secret(&mut self, secret: &ObjectName, owner: &ObjectRef) {
        remove(&mut self.secrets_by_owner, owner, secret);
    }
}

/// Takes one member out, and the set with its last.
fn remove<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<ObjectName>>, key: &K, member: &ObjectName) {
    if let Some(members) = map.get_mut(key) {
        members.remove(member);
        if members.is_empty() {
            map.remove(key);
        }
    }
}
