//! The control plane: what is observed ([`world`]), what should be done about it ([`plan`],
//! [`controllers`], [`compile`]), and what does it ([`execute`]).
//!
//! Everything that decides is a pure function of the World. Only [`watch`],
//! [`execute::cluster`] and [`lease`] hold a client of the API server; `sidegate up` runs the
//! same plans with files instead.

pub mod accept;
pub mod admit;
pub mod args;
pub mod compile;
pub mod controllers;
pub mod credential;
pub mod execute;
pub mod lease;
pub mod metrics;
pub mod plan;
pub mod run;
#[cfg(test)]
mod testing;
pub mod watch;
pub mod world;

/// The field manager of every write.
pub const MANAGER: &str = "sidegate-operator";
