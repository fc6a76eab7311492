//! The command line.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};
use sidegate_runtime::telemetry::LogFormat;

/// The control plane of Sidegate.
#[derive(Debug, Parser)]
#[command(name = "sidegate-operator", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run: watch Gates and credentials, write Secrets, bundles and status.
    Run(RunArgs),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
}

/// How to run.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The operator's own namespace, where its Lease stands.
    #[arg(long, env = "POD_NAMESPACE", default_value = "sidegate-system")]
    pub namespace: String,
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:8080")]
    pub admin: SocketAddr,
    /// What this replica calls itself in the Lease; no two running replicas may have one name.
    /// Default: the host's name, which is the pod's.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
    /// How log lines look: json or pretty.
    #[arg(long, default_value_t = LogFormat::Pretty)]
    pub log_format: LogFormat,
}
