//! `inspect`: what something is, and why. It asks the same functions that gates ask, and shows
//! what they answer; it decides nothing itself.

use std::io;

use crate::{args::InspectCommand, output::Failure};

mod request;
mod words;

/// Runs one of them.
pub(crate) fn run(command: &InspectCommand) -> Result<(), Failure> {
    match command {
        InspectCommand::Request(args) => {
            request::run(args, &mut io::stdin().lock(), &mut io::stdout().lock())
        }
    }
}
