//! How the pod's traffic is brought to the sidecar.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the pod's traffic is brought to the sidecar.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Capture {
    /// Redirect: packet rules in the pod's network namespace, set by an init container with
    /// NET_ADMIN. Takeover: the sidecar takes the pod's addresses and the app listens on
    /// 127.0.0.1; for namespaces where NET_ADMIN is refused. Absent: Redirect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CaptureMode>,

    /// Whether calls from inside the pod, such as kubectl port-forward, are decided too (Strict)
    /// or reach the app directly (Allow). Absent: Strict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loopback: Option<Loopback>,
}

/// The way of capture.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum CaptureMode {
    /// Packet rules.
    #[default]
    Redirect,
    /// The sidecar holds the pod's addresses.
    Takeover,
}

/// Are calls from inside the pod decided?
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum Loopback {
    /// They are.
    #[default]
    Strict,
    /// They reach the app directly.
    Allow,
}
