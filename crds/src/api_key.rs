//! `ApiKey`: an API key for a Gate.
//!
//! Written by a consumer, in the consumer's namespace.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidegate_bundle::gate::GateName;

use crate::{
    condition,
    credential::{
        Credential, CredentialSource, CredentialType, GateStanding, Grant, Rotation, RotationStatus,
        SecretKeys, Version,
    },
    law,
};

/// What a consumer wants of its key.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "sidegate.dev",
    version = "v1alpha1",
    kind = "ApiKey",
    plural = "apikeys",
    shortname = "ak",
    namespaced,
    status = "ApiKeyStatus",
    category = "sidegate",
    derive = "PartialEq",
    derive = "Default",
    selectable = ".status.keyId",
    selectable = ".status.previousKeyId",
    doc = "An ApiKey becomes a Secret with an API key that Gates let in. The smallest: spec: {grants: [{gate: api}]}.",
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "REASON", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "KEY-ID", type_ = "string", json_path = ".status.keyId"),
    printcolumn(name = "GATES", type_ = "string", json_path = ".status.gatesSummary"),
    printcolumn(name = "EXPIRES", type_ = "string", json_path = ".status.expiresAt"),
    printcolumn(name = "LAST-USED", type_ = "date", json_path = ".status.lastUsedTime"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "SECRET", type_ = "string", json_path = ".status.secretName", priority = 1),
    printcolumn(name = "NEXT-ROTATION", type_ = "string", json_path = ".status.nextRotationTime", priority = 1),
    printcolumn(
        name = "MESSAGE",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    validation = law::API_KEY_NAME.rule()
)]
#[x_kube(
    validation = law::EXPIRES_AFTER_NOT_BEFORE.rule(),
    validation = law::ROTATION_OF_GENERATED.rule(),
    validation = law::SOURCE_FIXED.rule(),
    validation = law::TENANT_FIXED.rule(),
    validation = law::TYPE_FIXED.rule()
)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeySpec {
    /// What the key may do, by Gate: 1 to 16 Gates of one namespace, each once. Example: [{gate:
    /// api, namespace: dify, scopes: [apps:read]}].
    #[schemars(
        length(min = 1, max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["gate"])
    )]
    #[x_kube(validation = law::GRANTS_OF_ONE_NAMESPACE.rule())]
    pub grants: Vec<Grant>,

    /// App: used by an application that people use. Service: used by a program that acts by
    /// itself. Rules may ask for it. It cannot be changed. Absent: Service.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<CredentialType>,

    /// The tenant whose data the key is for. It needs the label tenant.sidegate.dev/<tenant>: ""
    /// on the namespace, which an admin sets. It cannot be changed. Absent: ns:<namespace>.
    /// Example: acme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = law::TENANT.rule())]
    pub tenant: Option<String>,

    /// The person whom the key belongs to, as the identity provider names them; it is refused
    /// when that person is deactivated. Absent: nobody. Example: jo@acme.com.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = law::OWNER.rule())]
    pub owner: Option<String>,

    /// The key is refused from this time on (RFC 3339, with a zone, years 2000 to 2999). Absent:
    /// no end, or the Gate's maxLifetime. Example: "2027-01-01T00:00:00Z".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::time")]
    #[x_kube(validation = law::TIME.rule())]
    pub expires_at: Option<Timestamp>,

    /// The key is refused before this time (RFC 3339, with a zone, years 2000 to 2999). Absent:
    /// accepted at once. Example: "2026-12-01T00:00:00Z".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::time")]
    #[x_kube(validation = law::TIME.rule())]
    pub not_before: Option<Timestamp>,

    /// While true, the key is refused; its Secret stays. Absent: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<bool>,

    /// When the key is replaced by a new one. Absent: only when its Secret is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,

    /// Where the key comes from. Absent: it is generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
}

/// What the operator says of an ApiKey. A copy for people: nothing is decided from it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The public id of the Current version. Find a key by it: kubectl get apikeys -A
    /// --field-selector status.keyId=<id>.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub key_id: Option<String>,

    /// The public id of the version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub previous_key_id: Option<String>,

    /// The Secret that holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub secret_name: Option<String>,

    /// Whether the Current version counts: not suspended, revoked, expired or too early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<bool>,

    /// The versions that are of interest, at most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub versions: Vec<Version>,

    /// When any version was last used, to the hour. Absent: not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::time")]
    pub last_used_time: Option<Timestamp>,

    /// When the next version is made. Absent: not by time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::time")]
    pub next_rotation_time: Option<Timestamp>,

    /// When the Current version ends. Absent: no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::time")]
    pub expires_at: Option<Timestamp>,

    /// What was done about rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationStatus>,

    /// How many of the Gates asked for let the key in. Example: 2/2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub gates_summary: Option<String>,

    /// What became of each grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace", "gate"])
    )]
    pub gates: Vec<GateStanding>,

    /// What holds of this key: Accepted, Programmed, Ready; and Stalled when only a user can help.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "condition::schema")]
    pub conditions: Vec<Condition>,
}

// === impl ApiKeySpec ===

impl ApiKeySpec {
    /// Where the key comes from, the default filled in.
    pub fn source(&self) -> CredentialSource {
        self.credential.as_ref().and_then(|credential| credential.source).unwrap_or_default()
    }

    /// The type, the default filled in.
    pub fn credential_type(&self) -> CredentialType {
        self.kind.unwrap_or_default()
    }

    /// Is the key suspended?
    pub fn suspended(&self) -> bool {
        self.suspended.unwrap_or(false)
    }

    /// The Gates asked for, for a key in `own`.
    pub fn gates<'a>(&'a self, own: &'a str) -> impl Iterator<Item = GateName> + 'a {
        self.grants.iter().map(move |grant| grant.gate_name(own))
    }

    /// The name of the Secret that holds the key, or its record, for a key called `name`.
    pub fn secret_name(&self, name: &str) -> String {
        let wanted = self
            .credential
            .as_ref()
            .and_then(|credential| credential.generated.as_ref())
            .and_then(|generated| generated.secret_name.clone());
        wanted.unwrap_or_else(|| format!("{name}-api-key"))
    }

    /// Under which keys of the Secret the values stand, the defaults filled in.
    pub fn secret_keys(&self) -> SecretKeys {
        let wanted = self
            .credential
            .as_ref()
            .and_then(|credential| credential.generated.as_ref())
            .and_then(|generated| generated.keys.clone());
        wanted.unwrap_or_default()
    }

    /// The tenant, the default filled in, for a key in `own`.
    pub fn tenant(&self, own: &str) -> String {
        self.tenant.clone().unwrap_or_else(|| format!("ns:{own}"))
    }
}
