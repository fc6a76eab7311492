//! `sidegate`: Gates and credentials without a cluster, and tools for people. It decides nothing
//! itself: it calls the functions that operator and sidecar call.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

use crate::{
    args::{Args, Command, Form},
    output::Failure,
};

mod args;
mod completion;
mod inspect;
mod key;
mod manifest;
mod output;
mod up;

fn main() -> ExitCode {
    let Args { color, command } = Args::parse();
    let outcome = match command {
        Command::Up(args) => up::run(&args, color),
        Command::Key(command) => key::run(command),
        Command::Inspect(command) => inspect::run(&command),
        Command::Completion { shell } => {
            completion::write(shell, &mut io::stdout().lock()).map_err(Failure::from)
        }
        Command::Version { output } => version(output, &mut io::stdout().lock()).map_err(Failure::from),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(color),
    }
}

fn version(form: Form, out: &mut impl Write) -> io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    match form {
        Form::Text => writeln!(out, "sidegate {version}"),
        Form::Json => writeln!(out, "{}", serde_json::json!({ "version": version })),
    }
}
