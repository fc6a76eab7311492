//! The gate bundle: all that the sidecars of one Gate need in order to decide, and nothing that
//! forges a credential.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    document::{FORMAT, Revision},
    verifier::Verifier,
};

mod keys;
mod policy;
mod rule;

pub use keys::{CredentialType, Key, Standing};
pub use policy::{AuditAllow, Forward, KeepAlive, Mode, Paths};
pub use rule::{Access, Match, PathMatch, Requirement, Rule};

use policy::is_default;

/// The name prefix of a gate bundle's Secret.
pub const SECRET_PREFIX: &str = "sidegate-bundle-";
/// The type of every bundle's Secret.
pub const SECRET_TYPE: &str = "sidegate.dev/bundle";

/// The feature of a reader that removes [`Forward::remove_headers`].
pub const REMOVES_HEADERS: &str = "removeHeaders";
/// The feature of a reader that heeds [`KeepAlive::Off`].
pub const KEEP_ALIVE_OFF: &str = "keepAliveOff";

/// Which Gate: printed as `<namespace>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GateName {
    /// The Gate's namespace.
    pub namespace: String,
    /// The Gate's name.
    pub name: String,
}

/// The whole snapshot for one Gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateBundle {
    /// [`FORMAT`]. A reader refuses any other.
    pub format: u32,
    /// Which of two bundles is newer.
    pub revision: Revision,
    /// The Gate that this is for.
    pub gate: GateName,
    /// The one audience that a token for this Gate must have: `urn:sidegate:<namespace>:<name>`.
    pub audience: String,
    /// What challenges name as their realm: `spec.publicUrl`, or `<namespace>/<name>`.
    pub realm: String,
    /// Where keys are looked for and how a bad one is answered.
    pub api_keys: KeyPolicy,
    /// Whether denials are carried out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
    /// Which doubtful paths pass.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paths: Paths,
    /// Methods beside GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// How a request is handed on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub forward: Forward,
    /// Whether connections to the app are used again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keep_alive: KeepAlive,
    /// How allowed requests are told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub audit_allow: AuditAllow,
    /// First match wins; what matches none is denied.
    pub rules: Vec<Rule>,
    /// Every key that this Gate knows, by id.
    pub keys: Vec<Key>,
}

/// Where a Gate takes API keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyPolicy {
    /// Request headers that carry a key. Empty: none does.
    pub headers: Vec<String>,
    /// Is `Authorization: Bearer <key>` taken as well?
    #[serde(default)]
    pub bearer: bool,
    /// The answer to a bad key in a key header: 401 or 403.
    pub invalid_status: u16,
}

// === impl GateName ===

impl GateName {
    /// The Gate `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The audience that only this Gate has.
    pub fn audience(&self) -> String {
        format!("urn:sidegate:{}:{}", self.namespace, self.name)
    }

    /// The name of the Secret, in the Gate's namespace, that holds its bundle.
    pub fn secret_name(&self) -> String {
        format!("{SECRET_PREFIX}{}", self.name)
    }
}

impl fmt::Display for GateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

// === impl GateBundle ===

impl GateBundle {
    /// A bundle that lets nobody in: the beginning of every compile.
    pub fn closed(gate: GateName) -> Self {
        Self {
            format: FORMAT,
            revision: Revision::default(),
            audience: gate.audience(),
            realm: gate.to_string(),
            gate,
            api_keys: KeyPolicy::default(),
            mode: Mode::default(),
            paths: Paths::default(),
            methods: Vec::new(),
            forward: Forward::default(),
            keep_alive: KeepAlive::default(),
            audit_allow: AuditAllow::default(),
            rules: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// What a reader must be able to do in order to let anything through by this bundle. Each of
    /// its rules says so in [`Rule::needs`].
    pub fn features(&self) -> Vec<String> {
        let removes = (!self.forward.remove_headers.is_empty()).then_some(REMOVES_HEADERS);
        let closes = (self.keep_alive == KeepAlive::Off).then_some(KEEP_ALIVE_OFF);
        removes.into_iter().chain(closes).map(str::to_owned).collect()
    }

    /// The SHA-256 of everything but the revision, as hexadecimal digits: two bundles with the
    /// same digest decide alike, so the second need not be written.
    pub fn digest(&self) -> Result<String, serde_json::Error> {
        let unnumbered = Self { revision: Revision::default(), ..self.clone() };
        let digest: [u8; 32] = Sha256::digest(serde_json::to_vec(&unnumbered)?).into();
        Ok(Verifier::from_bytes(digest).to_string())
    }
}

// === impl KeyPolicy ===

impl Default for KeyPolicy {
    fn default() -> Self {
        Self { headers: vec!["X-API-Key".to_owned()], bearer: false, invalid_status: 403 }
    }
}

#[cfg(test)]
mod tests;
