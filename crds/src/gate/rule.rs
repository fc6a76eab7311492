//! Rules: what a request needs, by path and method.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::{credential::CredentialType, law};

/// One rule.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = law::ALLOW_OR_REQUIRE.rule())]
#[serde(rename_all = "camelCase")]
pub struct GateRule {
    /// A name for logs and messages, of letters, digits and dashes. Absent: the rule's place in
    /// the list. Example: read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = law::RULE_NAME.rule())]
    pub name: Option<String>,

    /// Which requests; one entry must match, at most 16. Absent: every request.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "match")]
    #[schemars(length(min = 1, max = 16))]
    pub matches: Option<Vec<Match>>,

    /// Anonymous: no credential is needed. Authenticated: any valid credential will do. Set this
    /// or require, not both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allow>,

    /// What a credential must have; all fields that are set must hold. Set this or allow, not
    /// both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<Require>,
}

/// Who may pass without being asked for more.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum Allow {
    /// Everybody.
    Anonymous,
    /// Any valid credential.
    Authenticated,
}

/// A pattern of path and method. Both must fit; what is absent fits all.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = law::MATCH_NOT_EMPTY.rule())]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// The path. Absent: any path, and "OPTIONS *".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,

    /// The methods, in upper case, at most 16. GET stands for HEAD too. Absent: any. Example:
    /// [GET, POST].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 32)))]
    #[x_kube(validation = law::METHODS.rule())]
    pub methods: Option<Vec<String>>,
}

/// A pattern for the path.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = law::PREFIX_WITHOUT_SLASH.rule())]
#[serde(rename_all = "camelCase")]
pub struct PathMatch {
    /// Exact: the whole path. PathPrefix: whole segments, so that /a fits /a, /a/ and /a/b, but
    /// not /ab.
    #[serde(rename = "type")]
    pub kind: PathType,

    /// The path as the app receives it, that is, normalised and without the query. Example:
    /// /api/v1/apps.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = law::PATH_CHARACTERS.rule(), validation = law::PATH_NORMAL.rule())]
    pub value: String,
}

/// How a path is compared.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum PathType {
    /// The whole path.
    Exact,
    /// Whole segments.
    PathPrefix,
}

/// What a credential must have.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = law::REQUIRE_NOT_EMPTY.rule())]
#[serde(rename_all = "camelCase")]
pub struct Require {
    /// All of these scopes, at most 32. Absent: none is needed. Example: [apps:read].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 128)))]
    #[x_kube(validation = law::SCOPES.rule())]
    pub scopes: Option<Vec<String>>,

    /// At least one of these scopes, at most 32. Absent: none is needed. Example: [apps:read,
    /// apps:admin].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 128)))]
    #[x_kube(validation = law::SCOPES.rule())]
    pub any_scopes: Option<Vec<String>>,

    /// One of these tenants, at most 64. ns:<namespace> is the tenant of credentials that name
    /// none. Absent: any tenant. Example: [acme].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 66)))]
    #[x_kube(validation = law::TENANTS.rule())]
    pub tenants: Option<Vec<String>>,

    /// One of these types of credential: App, Service. Absent: any type. Example: [Service].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2))]
    pub types: Option<Vec<CredentialType>>,

    /// One of these groups of a user, at most 64. API keys have no groups. Absent: no group is
    /// needed. Example: [sre].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    pub groups: Option<Vec<String>>,
}

/// The first rule that is never reached, and the rule before it that matches every request.
pub fn shadowed(rules: &[GateRule]) -> Option<(usize, usize)> {
    let by = rules.iter().position(|rule| rule.matches.is_none())?;
    (by + 1 < rules.len()).then_some((by + 1, by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_a_rule_for_everything_is_never_reached() {
        let some = GateRule { matches: Some(vec![Match::default()]), ..GateRule::default() };
        let all = GateRule::default();
        for (rules, expected) in [
            (vec![], None),
            (vec![all.clone()], None),
            (vec![some.clone(), all.clone()], None),
            (vec![some.clone(), all.clone(), some.clone(), all], Some((2, 1))),
        ] {
            assert_eq!(shadowed(&rules), expected);
        }
    }
}
