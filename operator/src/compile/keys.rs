//! The keys of a gate bundle: every version of every ApiKey that the Gate lets in, each id once.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use sidegate_bundle::{
    GateBundle, KeyId,
    gate::{GateName, Key, Standing},
    record::{State, Version},
};
use sidegate_crds::{ApiKey, Gate, credential::Grant, gate::GateSpec};

use super::gate::credential_type;
use crate::{
    accept,
    admit::{self, Admitted, Asked, scope_set},
    credential,
    world::{ObjectName, Observed, Stored, World},
};

/// On what terms a Gate lets keys in.
#[derive(Clone, Copy)]
pub(super) enum Terms<'a> {
    /// It is accepted: whom it admits.
    Accepted,
    /// It is not: only who was let in, as far as that can still be.
    Still {
        /// Its spec, if what it says of admission can be read.
        spec: Option<&'a GateSpec>,
        /// The bundle in force.
        last: &'a GateBundle,
    },
}

// === impl Terms ===

impl<'a> Terms<'a> {
    /// The terms of a Gate that is not accepted, or is being deleted.
    pub(super) fn still(observed: &'a Observed<Gate>, last: &'a GateBundle) -> Self {
        let spec = match &observed.stored {
            // An unknown field in an entry may be what admits.
            Stored::Parsed { object, unknown, .. }
                if !unknown.iter().any(|field| field.starts_with("spec.admit")) =>
            {
                Some(&object.spec)
            }
            _ => None,
        };
        Self::Still { spec, last }
    }

    /// What a grant is worth.
    fn admitted(self, world: &World, owner: &ObjectName, key: &ApiKey, grant: &Grant) -> Option<Admitted> {
        match self {
            Self::Accepted => admit::grant(world, owner, &key.spec, grant).ok(),
            Self::Still { spec, last } => {
                let asked = Asked {
                    namespace: &owner.namespace,
                    labels: world.namespace(&owner.namespace).map(|known| &known.value),
                    tenant: &key.spec.tenant(&owner.namespace),
                    scopes: &scope_set(&grant.scopes),
                };
                admit::still(spec, last, asked).ok()
            }
        }
    }
}

/// The keys that the Gate lets in. Of two with one id that one stays which is in force; else the
/// older object's is in. (A record can be forged by whoever may edit its Secret: an id must not
/// be taken from another by writing it there.)
pub(super) fn keys(world: &World, name: &GateName, terms: Terms<'_>, last: Option<&GateBundle>) -> Vec<Key> {
    let in_force: HashMap<KeyId, &Key> =
        last.into_iter().flat_map(|last| &last.keys).map(|key| (key.id, key)).collect();
    let mut owners: Vec<(&ObjectName, &Observed<ApiKey>)> =
        world.api_keys_of(name).map(|(key, known)| (key, &known.value)).collect();
    owners.sort_by_key(|(key, observed)| (observed.meta.created, observed.meta.uid.as_str(), *key));
    let mut keys: BTreeMap<KeyId, Key> = BTreeMap::new();
    for (owner, observed) in owners {
        let understood = accept::api_key(observed).is_ok();
        for key in of(world, name, terms, owner, observed) {
            let before = in_force.get(&key.id).copied().filter(|before| is_same(before, &key));
            let key = match (before, terms) {
                (_, Terms::Accepted) if understood => Some(key),
                (Some(before), _) => cut(before, key, understood),
                (None, _) => None,
            };
            match key {
                Some(key) if before.is_some() => {
                    keys.insert(key.id, key);
                }
                Some(key) => {
                    keys.entry(key.id).or_insert(key);
                }
                None => {}
            }
        }
    }
    keys.into_values().collect()
}

/// Is it the same version of the same ApiKey?
fn is_same(one: &Key, other: &Key) -> bool {
    (&one.sub, one.id, one.hash) == (&other.sub, other.id, other.hash)
}

/// What stays of a key in force: no more than it could do, and no more than is asked for `now`.
/// Times and suspension are the owner's to set, if all that the ApiKey says is `understood`.
fn cut(before: &Key, now: Key, understood: bool) -> Option<Key> {
    if (&before.tenant, before.kind) != (&now.tenant, now.kind) {
        return None;
    }
    let scopes = before.scopes.intersection(&now.scopes);
    if understood {
        return Some(Key { scopes, ..now });
    }
    let standing = if before.standing == Standing::Good { now.standing } else { before.standing };
    let exp = before.exp.into_iter().chain(now.exp).min();
    Some(Key { scopes, nbf: before.nbf.max(now.nbf), exp, standing, ..now })
}

/// The versions of one ApiKey that this Gate should know, if the ApiKey is accepted.
fn of(
    world: &World,
    name: &GateName,
    terms: Terms<'_>,
    owner: &ObjectName,
    observed: &Observed<ApiKey>,
) -> Vec<Key> {
    let Some(key) = observed.live() else { return Vec::new() };
    let Some(grant) = key.spec.grants.iter().find(|grant| grant.gate_name(&owner.namespace) == *name) else {
        return Vec::new();
    };
    let Some(admitted) = terms.admitted(world, owner, key, grant) else { return Vec::new() };
    let Some(record) = credential::record(world, owner, observed) else { return Vec::new() };
    let key_of = |version: &Version| Key {
        id: version.id,
        hash: version.hash,
        sub: credential::subject(owner),
        tenant: key.spec.tenant(&owner.namespace),
        kind: credential_type(key.spec.credential_type()),
        scopes: admitted.scopes.clone(),
        nbf: key.spec.not_before.max(version.not_before).map(not_earlier),
        exp: key.spec.expires_at.into_iter().chain(version.expires_at).min().map(Timestamp::as_second),
        owner: key.spec.owner.clone(),
        standing: if version.state == State::Revoked {
            Standing::Revoked
        } else if key.spec.suspended() {
            Standing::Suspended
        } else {
            Standing::Good
        },
    };
    let known = |version: &&Version| version.state.is_live() || version.state == State::Revoked;
    record.versions.iter().filter(known).map(key_of).collect()
}

/// The first whole second that is not before `time`: bundles count in seconds, and a key is
/// never taken early.
fn not_earlier(time: Timestamp) -> i64 {
    time.as_second() + i64::from(time.subsec_nanosecond() > 0)
}

#[cfg(test)]
mod tests;
