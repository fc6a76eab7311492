//! The command line of the sidecar.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use sidegate_bundle::gate::GateName;
use sidegate_runtime::telemetry::LogFormat;
use sidegate_sidecar::App;

/// Where the kubelet and Prometheus ask, and `ready` by default.
const ADMIN: &str = "0.0.0.0:15821";
const ADMIN_HERE: &str = "127.0.0.1:15821";

/// Stands before one app and lets in only what its Gate's bundle allows.
#[derive(Debug, Parser)]
#[command(name = "sidegate-sidecar", version, about)]
pub(crate) struct Command {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Serves until SIGTERM or SIGINT; a second signal ends it at once.
    ///
    /// SIGUSR1 announces the end: it is not ready from then on, still listens and answers every
    /// request, and says `Connection: close` (HTTP/1) or GOAWAY (HTTP/2) with the answer. What is in
    /// flight at SIGTERM, WebSockets and other streams too, is cut off after --drain.
    Run(Box<Run>),
    /// Says in one line why a running sidecar is not ready, and exits with 1; with 0 if it is.
    Ready {
        /// The admin port of the running sidecar.
        #[arg(long, value_name = "ADDR:PORT", default_value = ADMIN_HERE)]
        admin: SocketAddr,
    },
    /// Tells a running sidecar that it will be stopped, and waits: for a preStop hook.
    ///
    /// While it waits, load balancers and proxies learn that the pod goes; the sidecar still answers
    /// every request and sends callers elsewhere. Exits with 3 if there is nobody to tell.
    Drain {
        /// The process id of the running sidecar: in its own container, 1.
        #[arg(long, value_name = "PID", default_value_t = 1)]
        pid: i32,
        /// Seconds to wait.
        #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
        wait: Duration,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The Gate that this stands for, as NAMESPACE/NAME; a bundle of another one is not taken.
    #[arg(long, value_name = "NS/NAME", value_parser = gate_name)]
    pub(crate) gate: GateName,
    /// The folder in which the bundle is mounted.
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: PathBuf,
    /// Where callers connect.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,
    /// Where the app listens.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) app: App,
    /// Where /livez, /readyz and /metrics are.
    #[arg(long, value_name = "ADDR:PORT", default_value = ADMIN)]
    pub(crate) admin: SocketAddr,
    /// Threads that serve; by default one for each core.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Connections at once; for one more, one that only waits for its next request is closed.
    ///
    /// If none does, those that come wait.
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = connections)]
    pub(crate) max_connections: usize,
    /// Connections at once of one source, an IPv4 address or an IPv6 /64, that is not a trusted proxy.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = connections)]
    pub(crate) max_connections_per_source: usize,
    /// Seconds for a request's head, and for the first byte of a new connection.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) head_timeout: Duration,
    /// Seconds that a connection may wait for its next request.
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = seconds)]
    pub(crate) idle_timeout: Duration,
    /// Seconds in which nothing of a request's body may come while the app waits for it.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) body_timeout: Duration,
    /// Seconds for the app to take a connection.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) connect_timeout: Duration,
    /// Seconds for what is in flight when it is asked to stop; what lasts longer is cut off.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) drain: Duration,
    /// How log lines look: json or pretty.
    #[arg(long, value_name = "FORMAT", default_value_t = LogFormat::Json)]
    pub(crate) log_format: LogFormat,
}

fn gate_name(text: &str) -> Result<GateName, &'static str> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(GateName::new(namespace, name))
        }
        _ => Err("write NAMESPACE/NAME"),
    }
}

fn connections(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(count @ 1..=1_000_000) => Ok(count),
        _ => Err("from 1 to 1000000"),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() && seconds <= 86_400.0 => Ok(duration),
        _ => Err("from a part of a second to 86400".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_has_no_contradiction() {
        Command::command().debug_assert();
    }

    #[test]
    fn every_flag_is_documented_with_its_value_and_default() {
        let page = include_str!("../../docs/sidecar.md");
        let command = Command::command();
        for what in command.get_subcommands() {
            for flag in what.get_arguments().filter(|flag| !flag.is_global_set()) {
                let Some(long) = flag.get_long().filter(|long| *long != "help") else { continue };
                let name = flag.get_value_names().unwrap_or_default().join(" ");
                let prefix = if what.get_name() == "run" { "" } else { what.get_name() };
                let row = format!("| `{}` | ", format!("{prefix} --{long} {name}").trim());
                let at = page.find(&row).unwrap_or_else(|| panic!("docs/sidecar.md has no row {row}"));
                for default in flag.get_default_values() {
                    let default = format!("`{}` | ", default.display());
                    assert!(page[at + row.len()..].starts_with(&default), "{row}{default}");
                }
            }
        }
    }

    #[test]
    fn limits_that_would_let_nobody_in_are_refused() {
        let run = |flag: &str, value: &str| {
            let line = "sidegate-sidecar run --gate a/b --bundle d --listen 127.0.0.1:0 --app a:1";
            Command::try_parse_from(line.split(' ').chain([flag, value]))
        };
        for value in ["0", "-1", "18446744073709551615"] {
            assert!(run("--max-connections", value).is_err(), "{value}");
        }
        assert!(run("--max-connections", "1").is_ok());
    }

    #[test]
    fn what_is_no_gate_or_no_time_is_refused() {
        for text in ["", "api", "/", "a/", "/b", "a/b/c"] {
            assert!(gate_name(text).is_err(), "{text}");
        }
        assert_eq!(gate_name("dify/api"), Ok(GateName::new("dify", "api")));
        for text in ["", "x", "0", "-1", "NaN", "inf", "1e9"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
    }
}
