//! The harness: real parts for tests to run against, and what a test needs around them.
//!
//! Nothing here knows what is right: it starts things, shows what they did, and takes them down again,
//! also when the test run itself is killed. It must never reach beyond loopback, and never leave a process
//! or a folder behind.

pub mod apiserver;
pub mod app;
pub mod backends;
pub mod cluster;
pub mod endurance;
pub mod eventually;
pub mod gate_process;
pub mod gated;
pub mod http;
pub mod install;
pub mod installation;
pub mod kubelet;
pub mod naive_proxy;
pub mod ports;
pub mod process;
pub mod raw;
pub mod raw_http2;
#[cfg(feature = "dataplane")]
pub mod streams;
mod tether;

pub use apiserver::ApiServer;
pub use app::App;
pub use cluster::Cluster;
pub use eventually::eventually;
pub use installation::Installation;
pub use kubelet::Kubelet;
pub use process::Process;

use std::path::PathBuf;

/// A path in this repository, from its root.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}
