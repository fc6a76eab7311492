//! The form of a credential's Secret: labels, annotations, names of its keys. A change of form
//! never touches the credential.
//!
//! What we set is remembered in an annotation, so that what others set is left alone and what
//! we set and do not want any more is taken away.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sidegate_bundle::{Verifier, record::FOR_ANNOTATION};
use sidegate_crds::api_key::ApiKeySpec;

use crate::{
    plan::Reshape,
    world::{
        CREDENTIAL, KIND_LABEL, Labels, Meta, ObjectName, ObjectRef, OurSecret, Owner, SHAPE_ANNOTATION,
        SecretKind, for_annotation,
    },
};

/// The form that a credential's Secret should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The key of the data under which the API key stands.
    pub api_key: String,
    /// The key of the data under which its public id stands.
    pub key_id: String,
    made_for: String,
    labels: Labels,
    annotations: Labels,
}

/// What [`SHAPE_ANNOTATION`] says: what was set when the Secret was last written.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    api_key: String,
    key_id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<String>,
    /// Of the values of labels and annotations, so that a change of one is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

// === impl Shape ===

impl Shape {
    /// The form that `spec` asks for.
    pub fn of(object: &ObjectRef, spec: &ApiKeySpec) -> Self {
        let generated = spec.credential.as_ref().and_then(|credential| credential.generated.as_ref());
        let keys = spec.secret_keys();
        Self {
            api_key: keys.api_key().to_owned(),
            key_id: keys.key_id().to_owned(),
            made_for: for_annotation(object),
            labels: generated.map(|generated| generated.labels.clone()).unwrap_or_default(),
            annotations: generated.map(|generated| generated.annotations.clone()).unwrap_or_default(),
        }
    }

    /// All labels of the Secret; ours win.
    pub fn labels(&self) -> Labels {
        let mut labels = self.labels.clone();
        labels.insert(KIND_LABEL.to_owned(), CREDENTIAL.to_owned());
        labels
    }

    /// All annotations of the Secret but the record; ours win.
    pub fn annotations(&self) -> Labels {
        let mut annotations = self.annotations.clone();
        annotations.insert(FOR_ANNOTATION.to_owned(), self.made_for.clone());
        annotations.insert(SHAPE_ANNOTATION.to_owned(), self.mark_text());
        annotations
    }

    fn mark(&self) -> Mark {
        Mark {
            api_key: self.api_key.clone(),
            key_id: self.key_id.clone(),
            labels: self.labels.keys().cloned().collect(),
            annotations: self.annotations.keys().cloned().collect(),
            digest: (!self.labels.is_empty() || !self.annotations.is_empty()).then(|| self.digest()),
        }
    }

    fn mark_text(&self) -> String {
        serde_json::to_string(&self.mark()).unwrap_or_default()
    }

    /// 64 bits are enough to see a change.
    fn digest(&self) -> String {
        let text = serde_json::to_vec(&(&self.labels, &self.annotations)).unwrap_or_default();
        let digest: [u8; 32] = Sha256::digest(text).into();
        Verifier::from_bytes(digest).to_string()[..16].to_owned()
    }
}

/// How the Secret of `owner` has to change in order to have its form and its owner; `None`: it
/// has them.
pub fn reshape(owner: &ObjectName, meta: &Meta, spec: &ApiKeySpec, secret: &OurSecret) -> Option<Reshape> {
    let SecretKind::Credential { shape: found, .. } = &secret.kind else { return None };
    let this = ObjectRef::ApiKey(owner.clone());
    let shape = Shape::of(&this, spec);
    if found.as_deref() == Some(shape.mark_text().as_str()) && secret.owner.is_some() {
        return None;
    }
    let default = Mark {
        api_key: sidegate_crds::credential::SecretKeys::API_KEY.to_owned(),
        key_id: sidegate_crds::credential::SecretKeys::KEY_ID.to_owned(),
        ..Mark::default()
    };
    let before: Mark = found.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(default);
    let unwanted = |names: Vec<String>, wanted: &Labels| -> Vec<String> {
        names.into_iter().filter(|name| !wanted.contains_key(name)).collect()
    };
    let renamed = [(before.api_key, shape.api_key.clone()), (before.key_id, shape.key_id.clone())];
    Some(Reshape {
        name: super::wanted(owner, spec),
        uid: secret.uid.clone(),
        resource_version: secret.resource_version.clone(),
        owner: Owner::of(&this, &meta.uid),
        labels: shape.labels(),
        annotations: shape.annotations(),
        drop_labels: unwanted(before.labels, &shape.labels()),
        drop_annotations: unwanted(before.annotations, &shape.annotations()),
        rename: renamed.into_iter().filter(|(from, to)| from != to).collect(),
    })
}
