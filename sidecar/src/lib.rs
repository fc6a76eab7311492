//! The data plane: what stands before a protected app, lets in only the requests that its
//! bundle allows, and hands them on without the credential.
//!
//! `decide` and what it calls are pure: index, request head and time in, verdict out. The rest
//! moves bytes, and forwards nothing without the permit that only a decision gives. This crate
//! must never hold an API credential of the cluster or anything that forges a credential.

mod accept;
pub mod audit;
mod authorise;
#[cfg(test)]
mod builders;
mod client;
mod decide;
mod extract;
mod forward;
#[doc(hidden)]
pub mod fuzz;
mod gate;
#[cfg(test)]
mod heads;
mod index;
mod methods;
mod metrics;
mod normalise;
pub mod ready;
mod refuse;
mod request;
mod request_id;
mod respond;
mod rewrite;
mod rules;
mod serve;
mod vectored;
mod verify;

pub use accept::Workers;
pub use authorise::Permit;
pub use decide::{Decided, Foreseen, decide, foresee};
pub use forward::{App, AppAddressError};
pub use gate::{Gate, GateConfig, RunningGate, StartError, Vitals};
pub use index::Index;
pub use metrics::Metrics;
pub use normalise::Target;
pub use rules::RuleRef;
pub use serve::Limits;
pub use verify::Principal;
