//! The ports of the app.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::law;

/// One port of the app.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// The number, 1 to 65535, at which the app listens in its pod. 15806, 15821 and 15898 are the
    /// sidecar's own. Example: 8080.
    #[schemars(range(min = 1, max = 65535))]
    #[x_kube(validation = law::PORT_FREE.rule())]
    pub port: u16,

    /// HTTP (1.1, and 2 without TLS): the rules decide. TCP, UDP: passed through unchecked.
    /// Absent: HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
}

/// What is spoken at a port.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum Protocol {
    /// HTTP/1.1 or HTTP/2 without TLS: each request is decided.
    #[default]
    HTTP,
    /// Passed through unchecked.
    TCP,
    /// Passed through unchecked.
    UDP,
}

// === impl Port ===

impl Port {
    /// The protocol, the default filled in.
    pub fn protocol(&self) -> Protocol {
        self.protocol.unwrap_or_default()
    }
}
