//! `cargo xtask`: the project's one front door for its developers.
//!
//! Everything that a developer or a CI system does to this repository starts here, and everything that can
//! be checked without judgement is checked here. It is not shipped, and must never be needed to run the
//! product.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

mod assets;
mod bench;
mod console;
mod r#gen;
mod lint;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What developers of Sidegate run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Writes what is made from the types: crds/*.yaml and docs/reference/*.md
    Gen(r#gen::Arguments),
    /// Checks format, clippy, generated files, conventions, licences and advisories
    Lint(lint::Arguments),
    /// Checks the conventions of this repository that no other tool knows
    Tidy,
    /// Runs the tests, and gets what they need
    Test(test::Arguments),
    /// Builds the programs of Kubernetes that the tests run, once, into the user's cache
    Assets(assets::Arguments),
    /// Measures the product beside its peers
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Gen(arguments) => success(r#gen::run(&arguments)),
        Task::Lint(arguments) => success(lint::run(&arguments)),
        Task::Tidy => success(tidy::run()),
        Task::Test(arguments) => test::run(&arguments),
        Task::Assets(arguments) => success(assets::run(&arguments)),
        Task::Bench(arguments) => success(bench::run(&arguments)),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn success(result: anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    result.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
