//! What the World keeps of a Secret of ours: its metadata, read once. Never its data.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sidegate_bundle::{
    Revision,
    gate::{GateName, SECRET_PREFIX},
    record::{FOR_ANNOTATION, Record, VERSIONS_ANNOTATION},
};

use super::{ObjectName, ObjectRef, stored::order};

/// The label that every Secret of ours has, and by which they are watched.
pub const KIND_LABEL: &str = "sidegate.dev/kind";
/// The label's value on a credential.
pub const CREDENTIAL: &str = "credential";
/// The label's value on a bundle.
pub const BUNDLE: &str = "bundle";
/// The type of a credential's Secret.
pub const CREDENTIAL_TYPE: &str = "sidegate.dev/credential";
/// The annotation that says what a credential's Secret was shaped after.
pub const SHAPE_ANNOTATION: &str = "sidegate.dev/shape";
/// The annotation that holds a bundle's revision.
pub const REVISION_ANNOTATION: &str = "sidegate.dev/revision";
/// The annotation that holds a bundle's digest.
pub const DIGEST_ANNOTATION: &str = "sidegate.dev/digest";

/// A Secret that carries our label.
#[derive(Clone, Debug, PartialEq)]
pub struct OurSecret {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion: the precondition of every write to it.
    pub resource_version: String,
    /// Its place in the API server's order of writes; absent: it comes from a list.
    pub order: Option<u64>,
    /// Is it being deleted?
    pub deleting: bool,
    /// The controller that owns it.
    pub owner: Option<Owner>,
    /// What it is.
    pub kind: SecretKind,
}

/// What a Secret of ours is.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretKind {
    /// It holds a credential.
    Credential {
        /// The object that it was made for; absent: the annotation is not one of ours.
        made_for: Option<ObjectRef>,
        /// The record of its versions, or why there is none.
        record: Result<Arc<Record>, String>,
        /// What it was shaped after: labels, annotations, names of its keys.
        shape: Option<String>,
    },
    /// It holds a Gate's bundle.
    Bundle {
        /// The bundle's revision.
        revision: Option<Revision>,
        /// The bundle's digest.
        digest: Option<String>,
    },
}

/// The controller that owns an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The owner's kind.
    pub kind: String,
    /// Its name, in the same namespace.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

// === impl OurSecret ===

impl OurSecret {
    /// Reads a Secret's metadata; `None` if it has not our label or no name.
    pub fn read(meta: &ObjectMeta) -> Option<(ObjectName, Self)> {
        let name = ObjectName::new(meta.namespace.clone()?, meta.name.clone()?);
        let annotation = |key: &str| meta.annotations.as_ref().and_then(|annotations| annotations.get(key));
        let kind = match meta.labels.as_ref()?.get(KIND_LABEL)?.as_str() {
            CREDENTIAL => SecretKind::Credential {
                made_for: annotation(FOR_ANNOTATION).and_then(|text| made_for(&name.namespace, text)),
                record: match annotation(VERSIONS_ANNOTATION) {
                    None => Err(format!("it has no annotation {VERSIONS_ANNOTATION}")),
                    Some(text) => record(text).map(Arc::new),
                },
                shape: annotation(SHAPE_ANNOTATION).cloned(),
            },
            BUNDLE => SecretKind::Bundle {
                revision: annotation(REVISION_ANNOTATION).and_then(|text| text.parse().ok()).map(Revision),
                digest: annotation(DIGEST_ANNOTATION).cloned(),
            },
            _ => return None,
        };
        let resource_version = meta.resource_version.clone().unwrap_or_default();
        let secret = Self {
            uid: meta.uid.clone().unwrap_or_default(),
            order: order(&resource_version),
            resource_version,
            deleting: meta.deletion_timestamp.is_some(),
            owner: controller(meta),
            kind,
        };
        Some((name, secret))
    }

    /// The same, as it stands in a list: taken whatever its place in the order of writes.
    #[must_use]
    pub fn listed(self) -> Self {
        Self { order: None, ..self }
    }

    /// The object that a credential was made for.
    pub fn made_for(&self) -> Option<&ObjectRef> {
        match &self.kind {
            SecretKind::Credential { made_for, .. } => made_for.as_ref(),
            SecretKind::Bundle { .. } => None,
        }
    }

    /// The Gate whose bundle this is, by its name.
    pub(super) fn gate_of(name: &ObjectName) -> Option<GateName> {
        name.name.strip_prefix(SECRET_PREFIX).map(|gate| GateName::new(&name.namespace, gate))
    }

    /// Is what a plan or a compile reads of it the same as in `other`?
    pub(super) fn decides_as(&self, other: &Self) -> bool {
        (&self.uid, self.deleting, &self.owner, &self.kind)
            == (&other.uid, other.deleting, &other.owner, &other.kind)
    }
}

/// A record with more versions than this is none of ours: whoever may edit a Secret must not be
/// able to fill a Gate's bundle with it.
const MAX_VERSIONS: usize = 8;

fn record(text: &str) -> Result<Record, String> {
    let record = Record::parse(text)
        .map_err(|error| format!("its annotation {VERSIONS_ANNOTATION} does not parse: {error}"))?;
    match record.versions.len() {
        ..=MAX_VERSIONS => Ok(record),
        more => Err(format!(
            "its annotation {VERSIONS_ANNOTATION} has {more} versions, at most {MAX_VERSIONS} are ours"
        )),
    }
}

/// The text of [`FOR_ANNOTATION`] for an object.
pub fn for_annotation(object: &ObjectRef) -> String {
    format!("{}/{}", object.kind(), object.name())
}

/// The object in `namespace` that [`FOR_ANNOTATION`] names.
fn made_for(namespace: &str, text: &str) -> Option<ObjectRef> {
    match text.split_once('/')? {
        ("ApiKey", name) => Some(ObjectRef::ApiKey(ObjectName::new(namespace, name))),
        _ => None,
    }
}

fn controller(meta: &ObjectMeta) -> Option<Owner> {
    let references = meta.owner_references.as_ref()?;
    let owner = references.iter().find(|reference| reference.controller == Some(true))?;
    Some(Owner { kind: owner.kind.clone(), name: owner.name.clone(), uid: owner.uid.clone() })
}

impl Owner {
    /// The owner that an object of ours is.
    pub fn of(object: &ObjectRef, uid: impl Into<String>) -> Self {
        Self { kind: object.kind().to_owned(), name: object.name().to_owned(), uid: uid.into() }
    }
}
