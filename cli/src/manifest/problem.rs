//! A mistake in a file, shown where it stands.

use std::{
    io::{self, Write},
    ops::Range,
};

use super::Source;
use crate::output::{Palette, Tone};

/// The longest line of a file that is shown, in characters.
const WIDEST: usize = 160;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// What is wrong.
    what: String,
    /// What to write instead.
    remedy: Option<String>,
    /// The line's text; empty if it is not shown.
    text: String,
    /// How many characters are underlined.
    width: usize,
}

// === impl Problem ===

impl Problem {
    /// A mistake at these bytes of `source`.
    pub(crate) fn new(source: &Source, span: &Range<usize>, what: impl Into<String>) -> Self {
        let (line, column, text) = place(&source.text, span.start);
        let marked = source.text.get(span.clone()).unwrap_or_default();
        let first = marked.lines().next().unwrap_or_default().trim_end();
        let rest = text.chars().count().saturating_sub(column - 1);
        let text = if source.has_secret() { "" } else { text };
        Self {
            file: source.name.clone(),
            line,
            column,
            what: what.into(),
            remedy: None,
            width: first.chars().count().min(rest).max(1),
            text: text.to_owned(),
        }
    }

    /// With what to write instead.
    #[must_use]
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Writes it with the line that it is in.
    pub(crate) fn write(&self, out: &mut impl Write, palette: Palette) -> io::Result<()> {
        let Self { file, line, column, what, remedy, text, width } = self;
        writeln!(out, "{} {file}:{line}:{column}: {what}", palette.paint(Tone::Bad, "error:"))?;
        let remedy = remedy.as_deref().unwrap_or_default();
        let shown: String = text.chars().take(WIDEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if text.is_empty() || *column > WIDEST {
            return if remedy.is_empty() { Ok(()) } else { writeln!(out, "    {remedy}") };
        }
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        let indent = " ".repeat(column - 1);
        let marks = palette.paint(Tone::Bad, "^".repeat((*width).min(WIDEST + 1 - column)));
        writeln!(out, "  {number} | {}", shown.trim_end())?;
        writeln!(out, "{}", format!("  {gutter} | {indent}{marks} {remedy}").trim_end())
    }
}

/// Line and column (from 1, in characters) of a byte, and the line's text.
fn place(text: &str, byte: usize) -> (usize, usize, &str) {
    let byte = text.floor_char_boundary(byte.min(text.len()));
    let before = &text[..byte];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, text[start..byte].chars().count() + 1, text[start..end].trim_end_matches('\r'))
}

/// The place of a byte, as text: `file:line:column`.
pub(super) fn at(source: &Source, byte: usize) -> String {
    let (line, column, _) = place(&source.text, byte);
    format!("{}:{line}:{column}", source.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, span: Range<usize>, remedy: Option<&str>) -> String {
        let mut problem = Problem::new(&Source::new("a.yaml", text), &span, "bad");
        problem.remedy = remedy.map(str::to_owned);
        let mut out = Vec::new();
        problem.write(&mut out, Palette::plain()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_problem_is_underlined_in_its_line() {
        let expected = "error: a.yaml:2:3: bad\n  2 |   bc: d\n    |   ^^ did you mean `b`?\n";
        assert_eq!(shown("a:\n  bc: d\n", 5..7, Some("did you mean `b`?")), expected);
    }

    #[test]
    fn columns_are_characters_and_a_mark_never_leaves_its_line() {
        assert_eq!(
            shown("ä: bcd\ne: f", 4..11, None),
            "error: a.yaml:1:4: bad\n  1 | ä: bcd\n    |    ^^^\n"
        );
        assert_eq!(shown("a:", 2..2, None), "error: a.yaml:1:3: bad\n  1 | a:\n    |   ^\n");
        assert_eq!(shown("", 0..0, None), "error: a.yaml:1:1: bad\n");
    }

    #[test]
    fn a_very_long_line_is_cut_and_control_characters_are_not_sent_to_the_terminal() {
        let long = format!("\u{1b}[31m{}", "x".repeat(500));
        let text = shown(&long, 0..400, Some("r"));
        assert!(text.lines().all(|line| line.chars().count() <= 170), "{text}");
        assert!(!text.contains('\u{1b}'));
        assert_eq!(shown(&long, 400..401, Some("r")), "error: a.yaml:1:401: bad\n    r\n");
    }
}
