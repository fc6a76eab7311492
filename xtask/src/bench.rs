//! `cargo xtask bench`: the product beside what people use today, in one run on one machine.
//!
//! The measured binary is built as it is shipped (profile `dist`). Figures count on an otherwise idle
//! machine; docs/benchmarks.md has those that were taken so.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::workspace::{cargo, root, run as command};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The gate beside no gate, HAProxy, nginx, Caddy, Envoy and Traefik, as far as they are installed
    Gate {
        /// --rounds N, --seconds N, --connections N, --keys N, --rate N (of the open loop), --only gate,haproxy,…
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let What::Gate { options } = &arguments.what;
    command(cargo().args(["build", "--profile=dist", "--package=sidegate-sidecar"]))?;
    command(cargo().args(["build", "--release", "--package=sidegate-benches"]))?;
    let folder = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let mut bench = Command::new(folder.join("release/sidegate-benches"));
    command(bench.arg("--sidecar").arg(folder.join("dist/sidegate-sidecar")).args(options))
}
