//! `cargo xtask gen`: builds and runs the program that makes files from the types.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::workspace::{cargo, output, root, run as run_command};

const PROGRAM: &str = "sidegate-gen";

/// Writes crds/*.yaml and docs/reference/*.md, which are made from the Rust types.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Writes nothing; fails if a file is not what would be written
    #[arg(long)]
    pub(crate) check: bool,
}

/// What cargo tells of each thing that it built.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // As a part of the whole workspace, so that dependencies are compiled as for everything else.
    let to_cargo =
        ["build", "--quiet", "--workspace", "--bin", PROGRAM, "--message-format=json-render-diagnostics"];
    let built = output(cargo().args(to_cargo))?;
    let program =
        built.lines().find_map(executable).context("cargo does not tell where it put the program")?;
    run_command(Command::new(program).current_dir(root()).args(arguments.check.then_some("--check")))
}

fn executable(line: &str) -> Option<PathBuf> {
    let message: Message = serde_json::from_str(line).ok()?;
    message.executable.filter(|_| message.target.is_some_and(|target| target.name == PROGRAM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_where_cargo_says() {
        for (line, expected) in [
            (
                r#"{"reason":"compiler-artifact","target":{"name":"sidegate-gen"},"executable":"/t/gen"}"#,
                Some("/t/gen"),
            ),
            (r#"{"reason":"compiler-artifact","target":{"name":"sidegate_crds"},"executable":null}"#, None),
            (r#"{"reason":"build-finished","success":true}"#, None),
        ] {
            assert_eq!(executable(line), expected.map(PathBuf::from), "{line}");
        }
    }
}
