//! What a Gate says beside its rules and keys: whether it enforces, what it lets through, how a
//! request is handed on, what is logged.
//!
//! Each default is the strict one and is not written, so a bundle that asks for nothing has the
//! text that it always had. A reader that is older than a field ignores it. That must never open
//! anything: without `mode` it enforces; without `paths` and `methods` it refuses; without
//! `trusted_proxies` it believes nobody; without `identity_headers` the app is told more that is
//! true; without `audit_allow` it logs as ever. The two that would (a header reaches an app that
//! believes it, an unread body becomes the next caller's request) are features that every rule of
//! such a bundle needs: see [`GateBundle::features`](super::GateBundle::features).

use serde::{Deserialize, Serialize};

/// Are denials carried out?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// They are told, and the request goes on.
    Audit,
}

/// Which paths pass that servers read differently. `true`: such a path passes, if all ways to
/// read it are allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Paths {
    /// `%2F` and `%5C`.
    #[serde(skip_serializing_if = "is_default")]
    pub encoded_slash: bool,
    /// `//`.
    #[serde(skip_serializing_if = "is_default")]
    pub double_slash: bool,
    /// `;`.
    #[serde(skip_serializing_if = "is_default")]
    pub semicolon: bool,
}

/// How a request is changed before the app receives it, and whose word about callers is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Forward {
    /// Is the app told who asks?
    #[serde(skip_serializing_if = "is_true")]
    pub identity_headers: bool,
    /// Networks (CIDR) whose word about the caller's address is taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<String>,
    /// Request headers that the app must not receive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_headers: Vec<String>,
}

/// Are connections to the app used again?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeepAlive {
    /// Where that is safe.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// How allowed requests are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditAllow {
    /// A line a minute for all that are alike.
    #[default]
    Aggregated,
    /// A line each.
    Each,
    /// Not at all.
    None,
}

// === impl Forward ===

impl Default for Forward {
    fn default() -> Self {
        Self { identity_headers: true, trusted_proxies: Vec::new(), remove_headers: Vec::new() }
    }
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_true(value: &bool) -> bool {
    *value
}
