//! The API group `sidegate.dev` as Rust types, and the YAML made from them.
//!
//! The types say what a user may write; the schema and the rules in CEL say what of it is refused
//! by the API server, and [`validate`] says the same in Rust. This crate must never talk to an API
//! server, read a clock, or decide what a credential may do.

// `KubeSchema` repeats each public struct inside a function in order to make its schema.
#![allow(unreachable_pub)]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub mod api_key;
pub mod condition;
pub mod credential;
pub mod duration;
pub mod gate;
mod generate;
mod law;
mod reference;
pub mod refs;
pub mod schema;
pub mod validate;

pub use api_key::ApiKey;
pub use duration::Duration;
pub use gate::Gate;
pub use generate::yaml;
pub use reference::reference;
pub use validate::Violation;

/// The API group of all kinds.
pub const GROUP: &str = "sidegate.dev";
/// The one version that is served.
pub const VERSION: &str = "v1alpha1";

/// Every CustomResourceDefinition, as it is written to `crds/*.yaml`.
pub fn all() -> Vec<CustomResourceDefinition> {
    [Gate::crd(), ApiKey::crd()].into_iter().map(generate::finish).collect()
}

/// The files of the folder `crds`: name and text.
pub fn files() -> Vec<(String, String)> {
    all().into_iter().map(|crd| (format!("{}.yaml", crd.spec.names.plural), yaml(&crd))).collect()
}
