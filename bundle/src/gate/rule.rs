//! Rules: what a request needs, by path and method.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::CredentialType;
use crate::scope::ScopeSet;

/// One rule. A request that fits any of its matches needs what `access` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// For people and audit lines; absent: the rule's place in the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which requests. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "match")]
    pub matches: Vec<Match>,
    /// What they need.
    pub access: Access,
    /// Features without which this rule must not be read: a reader that lacks one denies what
    /// the rule matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
}

/// One pattern of path and method, both of which must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Absent: any path, and `OPTIONS *`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
    /// Upper-case; GET stands for HEAD too. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
}

/// A pattern for the normalised path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathMatch {
    /// The whole path.
    Exact(String),
    /// Whole segments: `/a` fits `/a`, `/a/` and `/a/b`, not `/ab`.
    Prefix(String),
}

/// What a request needs in order to pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Nothing.
    Anonymous,
    /// Any valid credential.
    Authenticated,
    /// A valid credential that meets all of this.
    Require(Requirement),
}

/// What a credential must have. An empty field asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// All of these.
    #[serde(default, skip_serializing_if = "ScopeSet::is_empty")]
    pub scopes: ScopeSet,
    /// At least one of these.
    #[serde(default, skip_serializing_if = "ScopeSet::is_empty")]
    pub any_scopes: ScopeSet,
    /// One of these tenants.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tenants: BTreeSet<String>,
    /// One of these types.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub types: BTreeSet<CredentialType>,
}
