//! `cargo xtask lint`: all that can be said about the code without running it.
//!
//! Every step runs, also after one that failed: a developer wants the whole list.

mod deny;

use std::time::Instant;

use anyhow::{Result, bail};

use crate::console::{duration, heading};
use crate::workspace::{cargo, run as run_command};
use crate::{r#gen, tidy};

/// Runs every check; the failures are summed up at the end.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// How a step ended that did not fail.
pub(crate) enum Done {
    Passed,
    /// It could not be done here, for this reason.
    Skipped(String),
}

type Step = (&'static str, fn() -> Result<Done>);

const STEPS: [Step; 6] = [
    ("format (cargo fmt --check)", format),
    ("clippy, warnings denied", clippy),
    ("generated files (cargo xtask gen --check)", generated),
    ("conventions (cargo xtask tidy)", conventions),
    ("licences, bans and sources (cargo deny)", deny::policy),
    ("advisories (cargo deny)", deny::advisories),
];

pub(crate) fn run(_: &Arguments) -> Result<()> {
    let (mut failed, mut summary) = (0, Vec::new());
    for (name, step) in STEPS {
        heading(name);
        let started = Instant::now();
        let word = match step() {
            Ok(Done::Passed) => "ok".to_owned(),
            Ok(Done::Skipped(reason)) => format!("skipped: {reason}"),
            Err(error) => {
                failed += 1;
                eprintln!("{error:#}");
                "FAILED".to_owned()
            }
        };
        summary.push(format!("  {name}: {word} ({})", duration(started.elapsed())));
    }
    heading("lint");
    eprintln!("{}", summary.join("\n"));
    if failed > 0 {
        bail!("{failed} of {} checks failed", STEPS.len());
    }
    Ok(())
}

fn format() -> Result<Done> {
    run_command(cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Done::Passed)
}

fn clippy() -> Result<Done> {
    let arguments =
        ["clippy", "--workspace", "--all-targets", "--all-features", "--quiet", "--", "-D", "warnings"];
    run_command(cargo().args(arguments))?;
    Ok(Done::Passed)
}

fn generated() -> Result<Done> {
    r#gen::run(&r#gen::Arguments { check: true })?;
    Ok(Done::Passed)
}

fn conventions() -> Result<Done> {
    tidy::run()?;
    Ok(Done::Passed)
}
