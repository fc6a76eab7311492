//! `sidegate-operator`: flags and wiring, nothing else.

use std::io::Write as _;

use anyhow::{Context as _, anyhow};
use clap::Parser as _;
use sidegate_operator::{
    args::{Cli, Command},
    run,
};
use sidegate_runtime::telemetry;

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Crds => {
            let texts: Vec<String> = sidegate_crds::all().iter().map(sidegate_crds::yaml).collect();
            std::io::stdout().write_all(texts.join("---\n").as_bytes()).context("printing the CRDs")
        }
        Command::Run(args) => {
            telemetry::init(args.log_format, "info")?;
            telemetry::quiet_panics();
            rustls::crypto::aws_lc_rs::default_provider()
                .install_default()
                .map_err(|_| anyhow!("a crypto provider was installed before ours"))?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(run::run(args))
        }
    }
}
