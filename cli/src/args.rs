//! What can be typed. Every word of help that a person sees at `--help` stands here.
//!
//! A secret is never an argument: arguments stand in the shell's history and in the process list.

use std::{fmt, net::SocketAddr, path::PathBuf};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use jiff::Timestamp;
use sidegate_bundle::gate::GateName;
use sidegate_sidecar::{App, AppAddressError};

/// API keys for pods, as Kubernetes resources; on a laptop without a cluster.
#[derive(Debug, Parser)]
#[command(name = "sidegate", version, disable_help_subcommand = true)]
pub(crate) struct Args {
    /// When to use colour. Nothing is said by colour alone.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Colour,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the Gates and credentials of YAML files on this machine
    Up(UpArgs),
    /// Make an API key, or hash one
    #[command(subcommand)]
    Key(KeyCommand),
    /// Say what something is, and why a request is let through or not
    #[command(subcommand)]
    Inspect(InspectCommand),
    /// Print the completion script of a shell
    Completion {
        /// Whose script
        shell: Shell,
    },
    /// Print the version
    Version {
        /// The form of the answer
        #[arg(short, long, value_name = "FORM", default_value = "text")]
        output: Form,
    },
}

/// `sidegate up`.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct UpArgs {
    /// YAML or JSON files, folders (their top level), or - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Where the first Gate listens; the next ones take the ports that follow. Port 0: any that are free
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// Where metrics and readiness are served. Port 0: any that is free
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:15821", value_parser = address)]
    pub(crate) admin: SocketAddr,
    /// Your app behind a Gate; without it, an app that answers with what it received
    #[arg(long = "app", value_name = "[NS/]GATE=URL", value_parser = GateApp::parse)]
    pub(crate) apps: Vec<GateApp>,
    /// Where keys, objects and bundles are kept
    #[arg(long, value_name = "DIR", default_value = ".sidegate")]
    pub(crate) state: PathBuf,
    /// Forget what the state folder has: new keys
    #[arg(long)]
    pub(crate) fresh: bool,
}

/// One `--app`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GateApp {
    /// Absent: a Gate of this name in any namespace.
    pub(crate) namespace: Option<String>,
    pub(crate) gate: String,
    pub(crate) app: App,
}

/// `sidegate key …`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key: the key goes to standard output, its hash to standard error
    Mint(MintArgs),
    /// Hash a key that is read from standard input
    Hash {
        /// Always `-`: the key comes from standard input
        #[arg(value_name = "-", allow_hyphen_values = true)]
        from: String,
        /// The form of the answer
        #[arg(short, long, value_name = "FORM", default_value = "text")]
        output: Form,
    },
}

/// `sidegate key mint`.
#[derive(Debug, ClapArgs)]
pub(crate) struct MintArgs {
    /// With -o yaml or json: the name of the ApiKey to print; needs --gate and --key-file
    #[arg(requires = "gate", requires = "key_file")]
    pub(crate) name: Option<String>,
    /// The ApiKey's namespace
    #[arg(short, long, value_name = "NS", default_value = "default", requires = "name")]
    pub(crate) namespace: String,
    /// The Gate that the key is for
    #[arg(long, value_name = "[NS/]NAME", requires = "name")]
    pub(crate) gate: Option<String>,
    /// A scope to ask for; may be given several times
    #[arg(long = "scope", value_name = "SCOPE", requires = "name")]
    pub(crate) scopes: Vec<String>,
    /// The new file that gets the key, readable by you alone
    #[arg(long, value_name = "FILE", requires = "name")]
    pub(crate) key_file: Option<PathBuf>,
    /// The form of the answer
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    pub(crate) output: MintForm,
}

/// `sidegate inspect …`.
#[derive(Debug, Subcommand)]
pub(crate) enum InspectCommand {
    /// Would this request be let through, and why? Ends with 0: yes, 1: no
    Request(RequestArgs),
}

/// `sidegate inspect request`.
#[derive(Debug, ClapArgs)]
pub(crate) struct RequestArgs {
    /// The request's method, such as GET
    pub(crate) method: String,
    /// The request's path, with its query if it has one
    pub(crate) path: String,
    /// The folder of the Gate's bundle, such as .sidegate/bundles/dify/api
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: PathBuf,
    /// Always `-`: present the key that comes from standard input
    #[arg(long, value_name = "-", allow_hyphen_values = true, conflicts_with = "key_id")]
    pub(crate) key: Option<String>,
    /// As if the key with this id had been presented, with its secret
    #[arg(long, value_name = "ID")]
    pub(crate) key_id: Option<String>,
    /// A header of the request; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// As if it were then, such as 2027-01-01T00:00:00Z; now, without it
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<Timestamp>,
    /// The form of the answer
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    pub(crate) output: Form,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The form of what `key mint` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MintForm {
    /// The key alone.
    Text,
    /// An ApiKey that has the hash.
    Yaml,
    /// The same as JSON; without NAME: key and hash.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// An address, and if it is none, one that may have been meant.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let port = text.trim_start_matches(':').parse::<u16>();
        let meant = port.map_or_else(|_| "127.0.0.1:8080".to_owned(), |port| format!("127.0.0.1:{port}"));
        format!("write an IP address and a port, such as {meant}")
    })
}

// === impl GateApp ===

impl GateApp {
    /// Is it for this Gate?
    pub(crate) fn is_for(&self, gate: &GateName) -> bool {
        self.gate == gate.name && self.namespace.as_ref().is_none_or(|namespace| *namespace == gate.namespace)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let form = "write it as GATE=URL or NAMESPACE/GATE=URL";
        let (name, url) = text.split_once('=').ok_or(form)?;
        let (namespace, gate) = match name.split_once('/') {
            Some((namespace, gate)) => (Some(namespace.to_owned()), gate),
            None => (None, name),
        };
        if gate.is_empty() || namespace.as_deref() == Some("") {
            return Err(form.to_owned());
        }
        let app = url.parse().map_err(|error: AppAddressError| error.to_string())?;
        Ok(Self { namespace, gate: gate.to_owned(), app })
    }
}

impl fmt::Display for GateApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.gate),
            None => f.write_str(&self.gate),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_no_address_is_answered_with_one() {
        for (text, meant) in
            [("8080", "127.0.0.1:8080"), (":9000", "127.0.0.1:9000"), ("localhost:1", "127.0.0.1:8080")]
        {
            let line = ["sidegate", "up", "a.yaml", "--listen", text];
            let error = Args::try_parse_from(line).unwrap_err().to_string();
            assert!(error.contains(&format!("such as {meant}\n")), "{error}");
        }
    }

    #[test]
    fn an_app_is_a_gate_and_an_http_address() {
        let parse = |text: &str| GateApp::parse(text).map(|app| (app.to_string(), app.app.to_string()));
        let good = |gate: &str, url: &str| Ok((gate.to_owned(), url.to_owned()));
        assert_eq!(parse("api=http://127.0.0.1:5001"), good("api", "http://127.0.0.1:5001"));
        assert_eq!(parse("dify/api=http://localhost/"), good("dify/api", "http://localhost:80"));
        for bad in ["api", "=http://a", "/api=http://a", "api=https://a", "api=http://a/b"] {
            assert!(GateApp::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_app_without_a_namespace_is_for_every_gate_of_its_name() {
        let fits = |text: &str| GateApp::parse(text).unwrap().is_for(&GateName::new("dify", "api"));
        assert!(fits("api=http://a") && fits("dify/api=http://a"));
        assert!(!fits("web=http://a") && !fits("shop/api=http://a"));
    }
}
