//! cargo-deny: found, or installed once at a pinned version into the user's cache.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Done;
use crate::workspace::{cargo, find_program, root, run};

const VERSION: &str = "0.20.2";
/// A database that is not there within this is taken for unreachable.
const PATIENCE: Duration = Duration::from_mins(2);

/// Licences, banned crates, and where crates come from.
pub(super) fn policy() -> Result<Done> {
    let deny = program()?;
    run(Command::new(deny).current_dir(root()).args(["check", "licenses", "bans", "sources"]))?;
    Ok(Done::Passed)
}

/// Known vulnerabilities, if the database of them can be reached.
pub(super) fn advisories() -> Result<Done> {
    let deny = program()?;
    let Some(output) =
        within(PATIENCE, Command::new(deny).current_dir(root()).args(["check", "advisories"]))?
    else {
        return Ok(Done::Skipped(format!("the advisory database was not there within {PATIENCE:?}")));
    };
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(Done::Passed);
    }
    if is_unreachable(&text) {
        return Ok(Done::Skipped("the advisory database cannot be reached from here".to_owned()));
    }
    bail!("{text}\ncargo deny found advisories")
}

/// Whether cargo-deny failed for want of the database, and not for what stands in it.
fn is_unreachable(stderr: &str) -> bool {
    stderr.contains("failed to fetch advisory database")
}

fn program() -> Result<PathBuf> {
    if let Some(path) = find_program("cargo-deny") {
        return Ok(path);
    }
    let folder = sidegate_test_tools::cache()?.join("tools").join(format!("cargo-deny-{VERSION}"));
    let path = folder.join("bin/cargo-deny");
    if !path.is_file() {
        eprintln!("cargo-deny is not on PATH: installing {VERSION} into {}", folder.display());
        eprintln!("(about a minute on 2 cores; once)");
        // Unoptimised: compiling it well takes longer than all its runs. Not into our own target folder.
        run(cargo()
            .env_remove("CARGO_TARGET_DIR")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .args(["install", "--locked", "--debug", "--root"])
            .arg(&folder)
            .arg(format!("cargo-deny@{VERSION}")))?;
    }
    Ok(path)
}

/// None if it did not end in time; it is killed then.
fn within(patience: Duration, command: &mut Command) -> Result<Option<Output>> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start cargo-deny")?;
    let mut pipe = child.stderr.take().context("cargo-deny has no standard error")?;
    // Read beside, so that it never waits for a full pipe.
    let reader = std::thread::spawn(move || {
        let mut stderr = Vec::new();
        let _ = std::io::Read::read_to_end(&mut pipe, &mut stderr);
        stderr
    });
    let started = Instant::now();
    while started.elapsed() < patience {
        if let Some(status) = child.try_wait()? {
            let stderr = reader.join().unwrap_or_default();
            return Ok(Some(Output { status, stdout: Vec::new(), stderr }));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_database_is_not_a_finding() {
        assert!(is_unreachable(
            "[ERROR] failed to fetch advisory database https://example.org/db with cli: no route"
        ));
        assert!(!is_unreachable("error[vulnerability]: something bad\n advisories FAILED"));
    }

    #[test]
    fn what_takes_too_long_is_given_up() {
        let started = Instant::now();
        assert!(within(Duration::from_millis(100), Command::new("sleep").arg("60")).unwrap().is_none());
        assert!(started.elapsed() < Duration::from_secs(30));
        let said =
            within(Duration::from_secs(30), Command::new("sh").args(["-c", "echo no >&2; exit 3"])).unwrap();
        let said = said.expect("it ended");
        assert_eq!((said.status.code(), said.stderr.as_slice()), (Some(3), b"no\n".as_slice()));
    }
}
