//! What the kinds of credential share: grants, rotation, where the secret comes from, versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidegate_bundle::gate::GateName;

use crate::{duration::Duration, law};

/// What a credential may do at one Gate.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// The Gate's name. Example: api.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = law::GRANT_GATE.rule())]
    pub gate: String,

    /// The Gate's namespace, the same in all grants. Absent or empty: the namespace of this
    /// object. Example: dify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = law::GRANT_NAMESPACE.rule())]
    pub namespace: Option<String>,

    /// The scopes asked for, at most 64; those count that the Gate admits. Absent: none. Example:
    /// [apps:read].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    #[x_kube(validation = law::SCOPES.rule())]
    pub scopes: Vec<String>,
}

/// What kind of caller holds a credential.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum CredentialType {
    /// An application that people use.
    App,
    /// A program that acts by itself.
    #[default]
    Service,
}

/// When the secret is replaced.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = law::INTERVAL_HOLDS_OVERLAP.rule())]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// How often a new secret is made, 10m to 87600h and at least twice the overlap. Absent:
    /// never by time. Example: 720h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = law::INTERVAL.rule())]
    pub interval: Option<Duration>,

    /// How long the old secret is still accepted after a new one is published, 5m to 8760h.
    /// Absent: 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = law::OVERLAP.rule())]
    pub overlap: Option<Duration>,

    /// Raise this number and a new secret is made, with or without interval. A number lower than
    /// before does nothing. Absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub generation: Option<i64>,
}

/// Where the secret comes from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(
    validation = law::GENERATED_WITH_TYPE.rule(),
    validation = law::IMPORTED_WITH_TYPE.rule(),
    validation = law::HASH_WITH_TYPE.rule()
)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Generated: made here and written to a Secret. Imported: read from a Secret of yours. Hash:
    /// only its hash is known. It cannot be changed. Absent: Generated.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub source: Option<CredentialSource>,

    /// How the Secret looks that is written; only with type Generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<Generated>,

    /// Where the secret is read from; only with type Imported, and then required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,

    /// What the secret is checked against; only with type Hash, and then required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
}

/// Where a secret comes from.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum CredentialSource {
    /// Made here.
    #[default]
    Generated,
    /// Read from a Secret of the user.
    Imported,
    /// Known by its hash only.
    Hash,
}

/// The Secret that is written.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Generated {
    /// The Secret's name. A Secret of that name that is not ours is left alone. Absent:
    /// <name>-api-key. Example: ci-key-api-key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = law::SECRET_NAME.rule(), validation = law::SECRET_NAME_FREE.rule())]
    pub secret_name: Option<String>,

    /// Under which keys of the Secret the values stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<SecretKeys>,

    /// Labels for the Secret, at most 32. Those of Kubernetes, Argo CD, Flux and Sidegate are
    /// refused. Absent: none. Example: {team: a}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::labels")]
    #[x_kube(
        validation = law::LABEL_KEYS.rule(),
        validation = law::MARKS_FREE.rule(),
        validation = law::LABEL_VALUES.rule()
    )]
    pub labels: BTreeMap<String, String>,

    /// Annotations for the Secret, at most 32 of at most 1024 characters. Those of Kubernetes,
    /// Argo CD, Flux and Sidegate are refused. Absent: none. Example: {reloader.example.com/match: "true"}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::annotations")]
    #[x_kube(validation = law::LABEL_KEYS.rule(), validation = law::MARKS_FREE.rule())]
    pub annotations: BTreeMap<String, String>,
}

/// Under which keys of the Secret the values stand.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = law::SECRET_KEYS_DISTINCT.rule())]
#[serde(rename_all = "camelCase")]
pub struct SecretKeys {
    /// The key under which the API key stands. Around a rotation next-<key> and previous-<key>
    /// stand beside it. Absent: api-key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = law::SECRET_KEY.rule())]
    pub api_key: Option<String>,

    /// The key under which the API key's public id stands. Absent: key-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = law::SECRET_KEY.rule())]
    pub key_id: Option<String>,
}

/// A Secret of yours, in the same namespace, that is only read.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// The Secret's name. It must carry the label sidegate.dev/import: "true". Example: old-key.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = law::SECRET_NAME.rule(), validation = law::SECRET_NAME_FREE.rule())]
    pub secret_name: String,

    /// The key in the Secret under which the value stands. Example: api-key.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = law::SECRET_KEY_READ.rule())]
    pub key: String,
}

/// What "sidegate key mint" prints: all but the secret, which is nowhere in the cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Hash {
    /// The key's public id, 16 letters and digits.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = law::KEY_ID.rule())]
    pub key_id: String,

    /// The key's verifier: 64 hexadecimal digits in lower case.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = law::SHA256.rule())]
    pub sha256: String,
}

/// One version of a credential, without its hash.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Its public id.
    #[schemars(length(max = 64))]
    pub id: String,
    /// Pending: accepted, not yet in the Secret's main key. Current: in it. Retiring: replaced,
    /// accepted until the overlap ends. Retired and Revoked: refused.
    pub state: VersionState,
    /// Not accepted before this time. Absent: from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::time")]
    pub not_before: Option<Timestamp>,
    /// Not accepted from this time on. Absent: no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::time")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the hour. Absent: not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::time")]
    pub last_used_time: Option<Timestamp>,
}

/// Where a version is in its life.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum VersionState {
    /// Accepted, not yet shown.
    Pending,
    /// The one in use.
    Current,
    /// Replaced, accepted until its overlap ends.
    Retiring,
    /// Its overlap has ended.
    Retired,
    /// Refused for ever.
    Revoked,
}

/// What became of one grant.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GateStanding {
    /// The Gate's name.
    #[schemars(length(max = 63))]
    pub gate: String,
    /// The Gate's namespace.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Whether the Gate admits this credential.
    pub accepted: bool,
    /// Whether the Gate's bundle holds it as it is now.
    pub programmed: bool,
    /// Why not, or Accepted.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// The scopes that count there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 128)))]
    pub scopes: Vec<String>,
}

/// What was done about rotation.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RotationStatus {
    /// The spec.rotation.generation that was last acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

// === impl Grant ===

impl Grant {
    /// The Gate meant, for a credential in `own`.
    pub fn gate_name(&self, own: &str) -> GateName {
        let namespace = self.namespace.as_deref().filter(|namespace| !namespace.is_empty());
        GateName::new(namespace.unwrap_or(own), &self.gate)
    }
}

// === impl Rotation ===

impl Rotation {
    /// The overlap where none is given.
    pub const DEFAULT_OVERLAP: Duration = Duration::from_hours(24);

    /// The overlap, the default filled in.
    pub fn overlap(&self) -> Duration {
        self.overlap.unwrap_or(Self::DEFAULT_OVERLAP)
    }
}

// === impl SecretKeys ===

impl SecretKeys {
    /// The key for the API key where none is given.
    pub const API_KEY: &str = "api-key";
    /// The key for the public id where none is given.
    pub const KEY_ID: &str = "key-id";

    /// The key for the API key, the default filled in.
    pub fn api_key(&self) -> &str {
        self.api_key.as_deref().unwrap_or(Self::API_KEY)
    }

    /// The key for the public id, the default filled in.
    pub fn key_id(&self) -> &str {
        self.key_id.as_deref().unwrap_or(Self::KEY_ID)
    }
}
