//! Logs, on standard error. Audit lines are no logs: they go to standard output by themselves.
//!
//! Other people's crates never say more than they would at `info`, whatever is asked for: what they say for
//! their own developers quotes what was received, secrets and all.

use std::{
    env, fmt,
    io::{self, IsTerminal},
    panic,
    str::FromStr,
};

use thiserror::Error;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    Layer as _,
    filter::{ParseError, Targets, filter_fn},
    fmt as subscriber,
    layer::SubscriberExt as _,
    registry,
    util::SubscriberInitExt as _,
};

/// The variable that says what is logged, as in `sidegate_sidecar=debug,info`; of other people's crates at
/// most `info`.
pub const FILTER: &str = "SIDEGATE_LOG";

/// Of what a library warns here, callers have the number of: they could fill the log.
const QUIET: &str = "h2=error";
/// How the targets of our own crates begin.
const OURS: &str = "sidegate";

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    #[default]
    Pretty,
}

/// Why logging cannot begin.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("{FILTER} is not a filter like `info` or `sidegate_sidecar=debug,info`")]
    Filter(#[source] ParseError),
    /// It has begun already.
    #[error("logging was set up twice")]
    Twice,
}

/// Text that names no [`LogFormat`].
#[derive(Debug, Error)]
#[error("log formats are `json` and `pretty`")]
pub struct UnknownFormat;

/// Begins to log what [`FILTER`] says, or `default` without what callers could fill the log with.
pub fn init(format: LogFormat, default: &str) -> Result<(), TelemetryError> {
    let directives = env::var(FILTER).unwrap_or_default();
    let directives = if directives.is_empty() { format!("{default},{QUIET}") } else { directives };
    let filter: Targets = directives.parse().map_err(TelemetryError::Filter)?;
    let colour = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
    let lines = subscriber::layer().with_writer(io::stderr);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
        LogFormat::Pretty => lines.with_target(false).with_ansi(colour).boxed(),
    };
    let asked = registry().with(lines).with(filter).with(filter_fn(is_discreet));
    asked.try_init().map_err(|_| TelemetryError::Twice)
}

/// May it be logged, if it is asked for?
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    let (level, name) = (*metadata.level(), metadata.target().split("::").next().unwrap_or_default());
    match name {
        name if name.starts_with(OURS) => true,
        // Even its warnings quote callers, and any caller can have as many of them as it likes.
        "h2" => level <= Level::ERROR,
        _ => level <= Level::INFO,
    }
}

/// From now on a panic is logged by its place alone: what it carries could have a secret in it.
pub fn quiet_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}

// === impl LogFormat ===

impl FromStr for LogFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err(UnknownFormat),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Pretty => "pretty",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a test process that is started for it writes with [`speak`].
    const SPEAKER: &str = "telemetry::tests::speaks_when_it_is_started_for_that";
    const SPEAKS: &str = "SIDEGATE_TEST_SPEAKS";

    /// Logging and the panic hook are a process's own, so this is a process of its own.
    #[test]
    fn speaks_when_it_is_started_for_that() {
        let Ok(format) = env::var(SPEAKS) else { return };
        init(format.parse().unwrap(), "info").unwrap();
        quiet_panics();
        for secret in ["quoted at trace", "quoted at debug"] {
            tracing::event!(target: "h2::server", Level::TRACE, secret);
            tracing::debug!(target: "kube_client", secret);
            tracing::debug_span!(target: "h2::server", "span", secret).in_scope(|| tracing::info!("inside"));
        }
        tracing::warn!(target: "h2::proto", "quoted in a warning");
        tracing::info!(target: "kube_client", "theirs");
        tracing::trace!("ours");
        let key = String::from("a secret in a panic");
        std::thread::spawn(move || panic!("{key}")).join().unwrap_err();
    }

    #[test]
    fn what_others_quote_and_what_a_panic_carries_is_never_logged() {
        for format in [LogFormat::Json, LogFormat::Pretty] {
            let output = std::process::Command::new(env::current_exe().unwrap())
                .args(["--exact", SPEAKER, "--nocapture"])
                .env(SPEAKS, format.to_string())
                .env(FILTER, "trace,h2=trace,kube_client=trace")
                .env("RUST_LOG", "trace")
                .output()
                .unwrap();
            let log = String::from_utf8(output.stderr).unwrap();
            for said in ["inside", "theirs", "ours", "panic", "telemetry.rs:"] {
                assert!(log.contains(said), "{format}: {said} is missing: {log}");
            }
            assert!(!log.contains("quoted") && !log.contains("a secret"), "{format}: {log}");
        }
    }

    #[test]
    fn formats_have_names() {
        for format in [LogFormat::Json, LogFormat::Pretty] {
            assert_eq!(format.to_string().parse::<LogFormat>().unwrap(), format);
        }
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
