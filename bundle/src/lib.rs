//! What the operator writes and the data plane reads: the gate bundle, the formats of
//! credentials, their verifiers and records, the words of a refusal, the audit event.
//!
//! Everything here is a pure value or a pure function. This crate must never do I/O, read a
//! clock, or bring its own randomness; `now` and `rng` are always parameters. It must never
//! hold anything that forges a credential: a bundle has hashes and public keys only.

pub mod api_key;
pub mod audit;
mod base62;
pub mod denial;
pub mod document;
pub mod gate;
pub mod record;
pub mod scope;
pub mod verifier;

pub use api_key::{ApiKey, KeyId};
pub use document::Revision;
pub use gate::GateBundle;
pub use scope::{Scope, ScopeSet};
pub use verifier::Verifier;
