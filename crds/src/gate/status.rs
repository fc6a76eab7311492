//! What the operator says of a Gate. A copy for people: nothing is decided from it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition;

/// What the operator says of a Gate.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GateStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The audience that access tokens for this Gate have: urn:sidegate:<namespace>:<name>.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub audience: Option<String>,

    /// The revision of the bundle that the sidecars of this Gate should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,

    /// The pods that carry this Gate's label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Pods>,

    /// Ports that somebody tried to reach and that the Gate does not list, the latest 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["port"]))]
    pub refused_ports: Vec<RefusedPort>,

    /// What holds of this Gate: Accepted, Ready; and what is wrong, as it arises.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "condition::schema")]
    pub conditions: Vec<Condition>,
}

/// The pods of a Gate.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    /// How many pods count: they run, and their sidecar has started.
    pub counted: u32,
    /// How many of them are ready to serve.
    pub ready: u32,
    /// How many must be restarted for a change of the Gate or of the sidecar to take hold.
    #[serde(default)]
    pub outdated: u32,
    /// Ready and counted pods as text, for kubectl get. Example: 3/3.
    #[schemars(length(max = 32))]
    pub summary: String,
}

/// A port that is closed and was asked for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RefusedPort {
    /// The port's number.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// How many connections were refused.
    pub count: u64,
    /// When the last one was refused.
    #[schemars(schema_with = "crate::schema::time")]
    pub last_time: Timestamp,
}
