//! What every process of Sidegate does alike: it follows a bundle, answers on an admin port, logs,
//! and stops when it is told to.
//!
//! Nothing here knows what a bundle decides, and nothing here holds a client of the API server.

pub mod admin;
pub mod files;
pub mod follow;
pub mod hardening;
pub mod shutdown;
pub mod telemetry;
