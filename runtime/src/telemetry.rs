//! Logs, on standard error. Audit lines are no logs: they go to standard output by themselves.

use std::{
    env, fmt,
    io::{self, IsTerminal},
    panic,
    str::FromStr,
};

use thiserror::Error;
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt as subscriber};

/// The variable that says what is logged, as in `sidegate_sidecar=debug,info`.
pub const FILTER: &str = "SIDEGATE_LOG";

/// Of what a library warns here, callers have the number of: they could fill the log.
const QUIET: &str = "h2=error";

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
    let filter = EnvFilter::builder().parse(&directives).map_err(TelemetryError::Filter)?;
    let colour = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
    let lines = subscriber().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).try_init(),
        LogFormat::Pretty => lines.with_target(false).with_ansi(colour).try_init(),
    }
    .map_err(|_| TelemetryError::Twice)
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

    #[test]
    fn formats_have_names() {
        for format in [LogFormat::Json, LogFormat::Pretty] {
            assert_eq!(format.to_string().parse::<LogFormat>().unwrap(), format);
        }
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
