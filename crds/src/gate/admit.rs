//! Whose credentials a Gate admits.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::{duration::Duration, law, refs::NamespaceSelector};

/// One entry of the list of those who are admitted.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Admit {
    /// The namespaces whose credentials this entry is about.
    pub namespaces: NamespaceSelector,

    /// The most that may be granted, at most 64 scopes. Absent: all that the rules name when
    /// namespaces.from is Same, else none. Example: [apps:read].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    #[x_kube(validation = law::SCOPES.rule())]
    pub scopes: Option<Vec<String>>,

    /// The tenants that an admitted credential may have, at most 64. ns:<namespace> is the tenant
    /// of credentials that name none. Absent: any tenant. Example: [acme].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 66)))]
    #[x_kube(validation = law::TENANTS.rule())]
    pub tenants: Option<Vec<String>>,

    /// The longest life of one version of a credential, 5m to 87600h; also the expiry of those
    /// that ask for none. Absent: no limit. Example: 2160h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = law::MAX_LIFETIME.rule())]
    pub max_lifetime: Option<Duration>,

    /// How many credentials each namespace may have at this Gate, 1 to 100000. Absent: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_credentials: Option<u32>,
}
