//! How this program speaks: exit codes, errors with their remedy, colour.
//!
//! Answers go to standard output and the rest to standard error. Nothing is said by colour alone.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use crate::args::Colour;

/// What the exit code says. 0 is "yes, done".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The answer is no; it stands on standard output.
    No = 1,
    /// Wrong usage, or a file that is not valid.
    Usage = 2,
    /// It could not be found out or done: a port in use, a folder that cannot be written.
    Unable = 3,
}

/// Why a command ends without its answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What went wrong, and where.
    pub(crate) what: String,
    /// What to type.
    pub(crate) help: Option<String>,
}

/// The colours of one stream, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Palette {
    on: bool,
}

/// A meaning that colour underlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// All is well.
    Good,
    /// Worth a look.
    Doubtful,
    /// Refused, or failed.
    Bad,
    /// Less important than the rest.
    Faint,
    /// What to look at first.
    Strong,
}

// === impl Failure ===

impl Failure {
    /// Wrong usage, or a file that is not valid.
    pub(crate) fn usage(what: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, what: what.to_string(), help: None }
    }

    /// The answer, which was given, is no.
    pub(crate) fn no() -> Self {
        Self { exit: Exit::No, what: String::new(), help: None }
    }

    /// It could not be done.
    pub(crate) fn unable(what: impl fmt::Display) -> Self {
        Self { exit: Exit::Unable, what: what.to_string(), help: None }
    }

    /// With what to type.
    #[must_use]
    pub(crate) fn help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }

    /// Writes it to standard error, and gives the code to end with.
    pub(crate) fn report(&self, colour: Colour) -> ExitCode {
        let stderr = io::stderr();
        let palette = Palette::of(colour, &stderr);
        // Whoever closed standard error does not want to read this.
        let _ = self.write(&mut stderr.lock(), palette);
        ExitCode::from(self.exit as u8)
    }

    fn write(&self, out: &mut impl Write, palette: Palette) -> io::Result<()> {
        if !self.what.is_empty() {
            writeln!(out, "{} {}", palette.paint(Tone::Bad, "error:"), self.what)?;
        }
        match &self.help {
            Some(help) => writeln!(out, "  {} {help}", palette.paint(Tone::Strong, "help:")),
            None => Ok(()),
        }
    }
}

/// The answer could not be written. A reader that closes its pipe has read enough.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::unable(format!("cannot write the answer: {error}"))
    }
}

// === impl Palette ===

impl Palette {
    /// The colours for `stream`.
    pub(crate) fn of(colour: Colour, stream: &impl IsTerminal) -> Self {
        let wanted = || std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            on: match colour {
                Colour::Always => true,
                Colour::Never => false,
                Colour::Auto => stream.is_terminal() && wanted(),
            },
        }
    }

    /// No colour at all.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { on: false }
    }

    /// `text` in the colour of `tone`.
    pub(crate) fn paint(self, tone: Tone, text: impl fmt::Display) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "1;31",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_and_what_to_type() {
        let mut out = Vec::new();
        let failure =
            Failure::unable("127.0.0.1:8080 is in use").help("sidegate up . --listen 127.0.0.1:8090");
        failure.write(&mut out, Palette::plain()).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "error: 127.0.0.1:8080 is in use\n  help: sidegate up . --listen 127.0.0.1:8090\n"
        );
        assert_eq!(failure.exit as u8, 3);
        assert_eq!(Failure::usage("").exit as u8, 2);
    }

    #[test]
    fn colour_is_only_around_the_text() {
        let painted = Palette { on: true }.paint(Tone::Good, "Ready");
        assert_eq!(painted, "\u{1b}[32mReady\u{1b}[0m");
        assert_eq!(Palette::plain().paint(Tone::Good, "Ready"), "Ready");
    }
}
