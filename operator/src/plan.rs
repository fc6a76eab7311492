//! Plans: what should be done about one object, as values.
//!
//! A plan is made from the World alone and carried out by an [`Execute`](crate::execute::Execute).
//! Every write says under which condition it may be done, so that a plan made from an old view
//! fails instead of doing harm.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use sidegate_bundle::{GateBundle, gate::GateName};
use sidegate_crds::{api_key::ApiKeyStatus, gate::GateStatus};
use zeroize::Zeroizing;

use crate::world::{Denied, Labels, ObjectName, ObjectRef, Owner, Tick, Update, World};

/// How soon what was denied is tried again,
const TRY_AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// and how rarely when it has been denied for long.
const TRY_AGAIN_AT_LAST: SignedDuration = SignedDuration::from_secs(120);

/// What should be done about one object.
#[derive(Debug, Default)]
pub struct Plan {
    /// Writes, in their order. When one fails, those after it are not done.
    pub writes: Vec<Write>,
    /// The status, if it is not what it should be. Written last, and only if the writes changed
    /// nothing that the plan was made from.
    pub status: Option<StatusWrite>,
    /// What the plan itself establishes, without a write.
    pub observed: Vec<Update>,
    /// When to plan again though nothing changes.
    pub wake: Option<Timestamp>,
}

/// One write and its condition.
#[derive(Clone, Debug)]
pub enum Write {
    /// Create a Secret with a new credential, if a live read finds none of that name.
    Mint(Box<CredentialSecret>),
    /// Shape a credential's Secret anew, if it is still the one that was seen. The credential in
    /// it stays the same.
    Reshape(Box<Reshape>),
    /// Delete a Secret of ours, if it is still the one that was seen.
    Delete(Delete),
    /// Write nothing: read which bundle of the Gate stands, since nobody remembers. It must be
    /// owned by this object, or by none.
    Recall(GateName, Owner),
    /// Make this the bundle of its Gate: one write, conditional on what a live read found.
    Bundle(BundleWrite),
}

/// A Secret with a new credential: all of it, plaintext and record, for one write.
#[derive(Clone, Debug)]
pub struct CredentialSecret {
    /// Its name.
    pub name: ObjectName,
    /// The object that it is for, which owns it.
    pub owner: Owner,
    /// All its labels.
    pub labels: Labels,
    /// All its annotations, the record among them.
    pub annotations: Labels,
    /// What it holds.
    pub data: BTreeMap<String, Plaintext>,
}

/// A value of a Secret: without `Display`, not shown by `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Plaintext(Zeroizing<Vec<u8>>);

/// A change of a credential's Secret that leaves the credential alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Reshape {
    /// The Secret.
    pub name: ObjectName,
    /// It must still have this uid
    pub uid: String,
    /// and this resourceVersion.
    pub resource_version: String,
    /// The object that it is for, which shall own it.
    pub owner: Owner,
    /// The labels that shall be there; others than `drop_labels` are left alone.
    pub labels: Labels,
    /// The annotations that shall be there.
    pub annotations: Labels,
    /// Labels that we set once and that are not wanted any more.
    pub drop_labels: Vec<String>,
    /// Annotations that we set once and that are not wanted any more.
    pub drop_annotations: Vec<String>,
    /// Keys of the data that get another name: from, to.
    pub rename: Vec<(String, String)>,
}

/// The deletion of a Secret of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// The Secret.
    pub name: ObjectName,
    /// It must still have this uid
    pub uid: String,
    /// and this resourceVersion.
    pub resource_version: String,
}

/// A Gate's bundle, to be written unless the live Secret says the same.
#[derive(Clone, Debug, PartialEq)]
pub struct BundleWrite {
    /// The Gate.
    pub gate: GateName,
    /// The Gate as the Secret's owner.
    pub owner: Owner,
    /// The bundle. The executor gives it its revision.
    pub bundle: Arc<GateBundle>,
    /// Its digest.
    pub digest: String,
    /// All changes up to this tick are in it.
    pub tick: Tick,
}

/// A status to be written: with the resourceVersion that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusWrite {
    /// Whose.
    pub object: ObjectRef,
    /// It must still have this uid
    pub uid: String,
    /// and this resourceVersion.
    pub resource_version: String,
    /// The status.
    pub status: Status,
}

/// The status of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// Of a Gate.
    Gate(Box<GateStatus>),
    /// Of an ApiKey.
    ApiKey(Box<ApiKeyStatus>),
}

// === impl Plan ===

impl Plan {
    /// Is there nothing to do now?
    pub fn is_idle(&self) -> bool {
        self.writes.is_empty() && self.status.is_none() && self.observed.is_empty()
    }

    /// If the API server does not let us write for `object`, tries again only after a while: as
    /// long as it has been so, within limits. Says what is denied, if it is still needed.
    pub fn hold_back<'w>(
        &mut self,
        world: &'w World,
        object: &ObjectRef,
        now: Timestamp,
    ) -> Option<&'w Denied> {
        let denied = world.denied(object).filter(|_| !self.writes.is_empty())?;
        let wait = denied.seen_at.duration_since(denied.since).clamp(TRY_AGAIN, TRY_AGAIN_AT_LAST);
        if let Some(until) = within(denied.seen_at, wait, now) {
            self.writes.clear();
            self.wake_at(until);
        }
        Some(denied)
    }

    /// Plans again at `at`, or earlier if that is planned already.
    pub fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

// === impl Write ===

impl Write {
    /// What kind of write it is: a label of metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Mint(_) => "mint",
            Self::Reshape(_) => "reshape",
            Self::Delete(_) => "delete",
            Self::Recall(..) => "recall",
            Self::Bundle(_) => "bundle",
        }
    }

    /// The Secret that it writes.
    pub fn secret(&self) -> ObjectName {
        match self {
            Self::Mint(secret) => secret.name.clone(),
            Self::Reshape(reshape) => reshape.name.clone(),
            Self::Delete(delete) => delete.name.clone(),
            Self::Recall(gate, _) => ObjectName::new(&gate.namespace, gate.secret_name()),
            Self::Bundle(bundle) => ObjectName::new(&bundle.gate.namespace, bundle.gate.secret_name()),
        }
    }
}

// === impl Plaintext ===

impl Plaintext {
    /// Takes the bytes of a secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes. Whoever calls this shows a secret: write it nowhere but into a Secret.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(…)")
    }
}

/// The end of a time of `wait` from `since` on, if `now` is in it. A clock that was set back ends
/// it: nothing waits longer than it was meant to.
pub fn within(since: Timestamp, wait: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let until = since.checked_add(wait).unwrap_or(Timestamp::MAX);
    (since <= now && now < until).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_with_a_secret_can_be_printed_without_showing_it() {
        let write = Write::Mint(Box::new(CredentialSecret {
            name: ObjectName::new("team-a", "ci-key-api-key"),
            owner: Owner { kind: "ApiKey".to_owned(), name: "ci-key".to_owned(), uid: "1".to_owned() },
            labels: Labels::new(),
            annotations: Labels::new(),
            data: BTreeMap::from([("api-key".to_owned(), Plaintext::new("canary"))]),
        }));
        let printed = format!("{write:?} {write:#?}");
        assert!(!printed.contains("canary") && !printed.contains("99, 97, 110"), "{printed}");
    }
}
