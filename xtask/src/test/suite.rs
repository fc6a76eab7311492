//! The suites: what each is, and how cargo runs it.

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;

use super::targets;

/// A part of the tests that can be run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Suite {
    /// Beside the code, and needs nothing but this repository
    Unit,
    /// The operator as a process, against a real API server
    Apiserver,
    /// The gate and the command line as processes
    Dataplane,
    /// The gate before other people's servers: smuggling, and attacks that work without it
    Backends,
    /// Other people's clients and a browser through the gate
    Clients,
    /// The gate as a process under large bodies, slow callers and attacks
    Endurance,
    /// Fuzz targets, 20 s each; with `--all` 10 minutes each
    Fuzz,
}

/// Those asked for, in the order in which they run: the quick ones first.
pub(super) fn chosen(only: &[Suite], without: &[Suite]) -> Vec<Suite> {
    let wanted = |suite: &Suite| (only.is_empty() || only.contains(suite)) && !without.contains(suite);
    Suite::value_variants().iter().copied().filter(wanted).collect()
}

// === impl Suite ===

impl Suite {
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Unit => "unit and property tests, and the examples in the documentation",
            Self::Apiserver => "the operator against a real API server",
            Self::Dataplane => "the gate and the command line as real processes",
            Self::Backends => {
                "the gate before gunicorn, uvicorn, http.server, Node, Go and frameworks on them"
            }
            Self::Clients => "curl, Python, Go, Node, gRPC, WebSockets and Chromium through the gate",
            Self::Endurance => "the gate under large bodies, slow callers and attacks, beside good traffic",
            Self::Fuzz => "fuzz targets for what reads untrusted input",
        }
    }

    /// What stands behind `cargo test`. All but `unit` are features of the package of tests, whose own unit
    /// tests are a part of `unit`.
    pub(super) fn cargo_arguments(self) -> Result<Vec<String>> {
        match self {
            Self::Unit => Ok(vec!["--workspace".to_owned()]),
            _ => targets::arguments(&self.to_string()),
        }
    }

    /// Whether it starts the programs of this workspace.
    pub(super) fn runs_programs(self) -> bool {
        matches!(self, Self::Apiserver | Self::Dataplane | Self::Backends | Self::Clients | Self::Endurance)
    }

    /// Whether it starts an API server.
    pub(super) fn runs_apiserver(self) -> bool {
        self == Self::Apiserver
    }

    /// Whether it starts servers or clients in Python, Node and Go.
    pub(super) fn runs_backends(self) -> bool {
        matches!(self, Self::Backends | Self::Clients)
    }

    /// Whether it runs curl, as people do.
    pub(super) fn runs_curl(self) -> bool {
        matches!(self, Self::Dataplane | Self::Clients)
    }

    /// Whether it opens pages in a browser.
    pub(super) fn runs_browser(self) -> bool {
        self == Self::Clients
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit => "unit",
            Self::Apiserver => "apiserver",
            Self::Dataplane => "dataplane",
            Self::Backends => "backends",
            Self::Clients => "clients",
            Self::Endurance => "endurance",
            Self::Fuzz => "fuzz",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_chosen_by_name_and_run_in_their_order() {
        use Suite::{Apiserver, Backends, Clients, Dataplane, Endurance, Fuzz, Unit};
        let all = vec![Unit, Apiserver, Dataplane, Backends, Clients, Endurance, Fuzz];
        for (only, without, expected) in [
            (vec![], vec![], all.clone()),
            (vec![Dataplane, Unit], vec![], vec![Unit, Dataplane]),
            (vec![], vec![Apiserver, Backends, Clients, Endurance], vec![Unit, Dataplane, Fuzz]),
            (vec![], all, vec![]),
        ] {
            assert_eq!(chosen(&only, &without), expected, "{only:?} {without:?}");
        }
    }

    #[test]
    fn a_suite_is_shown_by_the_name_that_chooses_it() {
        for suite in Suite::value_variants() {
            assert_eq!(Suite::from_str(&suite.to_string(), false), Ok(*suite));
        }
    }
}
