//! The keys that a Gate knows: public ids and verifiers.

use serde::{Deserialize, Serialize};

use crate::{api_key::KeyId, scope::ScopeSet, verifier::Verifier};

/// One version of one ApiKey, as far as this Gate is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The version's public id.
    pub id: KeyId,
    /// What proves its secret.
    pub hash: Verifier,
    /// Whose: `key:<namespace>.<name>`.
    pub sub: String,
    /// The credential's tenant.
    pub tenant: String,
    /// What kind of caller holds it.
    #[serde(rename = "type", default, skip_serializing_if = "CredentialType::is_default")]
    pub kind: CredentialType,
    /// What it may do here: the scopes that were asked for and admitted.
    #[serde(default, skip_serializing_if = "ScopeSet::is_empty")]
    pub scopes: ScopeSet,
    /// Not accepted before this, in unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Not accepted from this on, in unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// The person it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Whether it counts at all. What is barred stays listed, so that its holder is told why.
    #[serde(default, skip_serializing_if = "Standing::is_default")]
    pub standing: Standing,
}

/// What kind of caller holds a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CredentialType {
    /// An application that people use.
    App,
    /// A program that acts by itself.
    #[default]
    Service,
}

/// Does a key count, its times aside?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It does.
    #[default]
    Good,
    /// Its owner suspended it.
    Suspended,
    /// It was revoked.
    Revoked,
}

// === impl CredentialType ===

impl CredentialType {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "App",
            Self::Service => "Service",
        }
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

// === impl Standing ===

impl Standing {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
