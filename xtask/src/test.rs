//! `cargo xtask test`: every suite, with all that it needs.
//!
//! A suite that cannot run fails and says why: leaving one out is the caller's choice, never ours.

mod count;
mod needs;
mod suite;
mod targets;

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sidegate_test_tools::ASSETS_VARIABLE;

use crate::assets;
use crate::console::{duration, heading};
use crate::workspace::{cargo, run as run_command};
use count::{Count, Output};
use suite::Suite;

/// Cases of a property test with `--all`; proptest's own number is 256.
const MANY_CASES: &str = "2560";
/// How long a fuzz target runs, and for how many seconds with `--all`; by itself it is 20.
const FUZZ_SECONDS: (&str, &str) = ("SIDEGATE_FUZZ_SECONDS", "600");
/// With RUST_BACKTRACE set, every error that a test returns would have one of fifty frames of the runtime.
const ERROR_BACKTRACES: &str = "RUST_LIB_BACKTRACE";

/// Runs the tests. What a suite needs is checked first. The Kubernetes API server that some run against is
/// built on the first run, which takes 6 to 10 minutes on 2 cores.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Runs this suite and no other; may be repeated
    #[arg(long, value_name = "SUITE", conflicts_with = "without")]
    only: Vec<Suite>,
    /// Leaves this suite out; may be repeated
    #[arg(long, value_name = "SUITE")]
    without: Vec<Suite>,
    /// Tries everything instead of a sample: ten times the cases of every property test,
    /// thirty times the time of every fuzz target
    #[arg(long)]
    all: bool,
}

/// What became of a suite.
struct Report {
    suite: Suite,
    count: Count,
    time: Duration,
    /// Why it failed, other than by a test.
    trouble: Option<String>,
}

/// The exit code is what is left to be said after the last line.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let suites = suite::chosen(&arguments.only, &arguments.without);
    if suites.is_empty() {
        bail!("no suite is left to run");
    }
    let mut obstacles = needs::check(&suites);
    let want =
        |wants: fn(Suite) -> bool| suites.iter().copied().filter(|suite| wants(*suite)).collect::<Vec<_>>();
    prepare(&want(Suite::runs_programs), &mut obstacles, build_programs);
    let folder = prepare(&want(Suite::runs_apiserver), &mut obstacles, assets::ensure);
    let mut reports = Vec::new();
    for suite in suites {
        heading(&format!("suite {suite}: {}", suite.about()));
        let started = Instant::now();
        let (count, trouble) = match obstacles.remove(&suite) {
            Some(reason) => (Count::default(), Some(format!("cannot run: {reason}"))),
            None => run_suite(suite, folder.as_deref(), arguments.all)?,
        };
        if let Some(trouble) = &trouble {
            eprintln!("suite {suite}: {trouble}");
        }
        reports.push(Report { suite, count, time: started.elapsed(), trouble });
    }
    let total = conclude(&reports);
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Does what these suites need, if there are any that can still run; they cannot if it fails.
fn prepare<T>(
    suites: &[Suite],
    obstacles: &mut BTreeMap<Suite, String>,
    prepare: impl FnOnce() -> Result<T>,
) -> Option<T> {
    if suites.iter().all(|suite| obstacles.contains_key(suite)) {
        return None;
    }
    match prepare() {
        Ok(done) => Some(done),
        Err(error) => {
            for suite in suites {
                obstacles.entry(*suite).or_insert_with(|| format!("{error:#}"));
            }
            None
        }
    }
}

fn build_programs() -> Result<()> {
    heading("building the programs under test");
    run_command(cargo().args(["build", "--workspace", "--bins"]))
}

/// Runs cargo, passing its output through while counting.
fn run_suite(suite: Suite, assets: Option<&Path>, all: bool) -> Result<(Count, Option<String>)> {
    let arguments = match suite.cargo_arguments() {
        Ok(arguments) => arguments,
        Err(error) => return Ok((Count::default(), Some(format!("{error:#}")))),
    };
    let mut command = cargo();
    command.args(["test", "--no-fail-fast"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    if let Some(folder) = assets {
        command.env(ASSETS_VARIABLE, folder);
    }
    if all {
        command.env("PROPTEST_CASES", MANY_CASES).env(FUZZ_SECONDS.0, FUZZ_SECONDS.1);
    }
    if env::var_os(ERROR_BACKTRACES).is_none() {
        command.env(ERROR_BACKTRACES, "0");
    }
    let mut child = command.spawn().context("cannot start cargo")?;
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    let mut output = Output::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        output.read(&line);
    }
    let status = child.wait()?;
    let (count, broken_off) = output.end();
    let trouble = match (status.success(), count, broken_off) {
        (_, _, 1..) => Some(format!("{broken_off} test program(s) broke off")),
        (true, Count { passed: 0, failed: 0 }, _) => Some("it has no tests".to_owned()),
        (false, Count { failed: 0, .. }, _) => Some("it did not build".to_owned()),
        _ => None,
    };
    Ok((count, trouble))
}

/// Prints the table and, last, the line with both sums. A suite that failed without a failed test counts as one.
fn conclude(reports: &[Report]) -> Count {
    heading("tests");
    for Report { suite, count, time, trouble } in reports {
        let name = suite.to_string();
        let Count { passed, failed } = count;
        let trouble = trouble.as_ref().map(|trouble| format!("  {trouble}")).unwrap_or_default();
        println!("  {name:10} {passed:>5} passed {failed:>4} failed  {:>12}{trouble}", duration(*time));
    }
    let total = total(reports);
    println!("{total}");
    total
}

fn total(reports: &[Report]) -> Count {
    reports.iter().fold(Count::default(), |sum, report| {
        let broken = usize::from(report.trouble.is_some());
        Count { passed: sum.passed + report.count.passed, failed: sum.failed + report.count.failed + broken }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_in_trouble_is_never_a_success() {
        let report = |passed, failed, trouble: Option<&str>| Report {
            suite: Suite::Unit,
            count: Count { passed, failed },
            time: Duration::ZERO,
            trouble: trouble.map(ToOwned::to_owned),
        };
        let reports = [report(3, 0, None), report(2, 1, None), report(0, 0, Some("cannot run: no Go"))];
        assert_eq!(total(&reports).to_string(), "5 passed, 2 failed");
    }

    #[test]
    fn what_cannot_be_prepared_is_an_obstacle_to_those_that_need_it() {
        let mut obstacles = BTreeMap::new();
        let failed: Option<()> = prepare(&[Suite::Apiserver], &mut obstacles, || bail!("no Go"));
        assert!(failed.is_none());
        assert_eq!(obstacles, BTreeMap::from([(Suite::Apiserver, "no Go".to_owned())]));
        assert_eq!(prepare(&[Suite::Apiserver], &mut obstacles, || Ok(1)), None, "nobody is left to need it");
        assert_eq!(prepare(&[], &mut obstacles, || Ok(1)), None, "nobody needs it");
        assert_eq!(prepare(&[Suite::Apiserver, Suite::Dataplane], &mut obstacles, || Ok(1)), Some(1));
    }
}
