//! `cargo xtask tidy`: the conventions of this repository that no other tool knows.
//!
//! A rule is a pure function from what it looks at to what is wrong with it, and has a test that shows a bad
//! sample. Here they are only fed.

mod arrows;
mod client;
mod code;
mod files;
mod manifests;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::workspace::{cargo, output, root, tracked_files};

/// Something that a rule does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Violation {
    place: String,
    problem: String,
}

pub(crate) fn run() -> Result<()> {
    let mut violations = Vec::new();
    let files = tracked_files()?;
    for path in &files {
        violations.extend(check_file(path)?);
    }
    let metadata = output(cargo().args(["metadata", "--format-version=1", "--quiet"]))?;
    violations.extend(arrows::check(&arrows::Workspace::parse(&metadata)?));
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!("{} places are not as ARCHITECTURE.md and the conventions want them", violations.len());
    }
    println!("{} files are in order", files.len());
    Ok(())
}

fn check_file(path: &Path) -> Result<Vec<Violation>> {
    let bytes = fs::read(root().join(path)).with_context(|| format!("cannot read {}", path.display()))?;
    // What is not text has no conventions but that it is not empty.
    let Ok(text) = String::from_utf8(bytes) else { return Ok(Vec::new()) };
    let mut violations = [files::not_empty(&text), files::no_foreign_places(&text)].concat();
    if path.extension().is_some_and(|extension| extension == "rs") {
        let code = code::only(&text);
        violations.extend(files::no_mod_rs(path));
        violations.extend(files::not_too_long(&text));
        violations.extend(files::says_what_it_is_for(path, &text));
        violations.extend(files::nothing_unfinished(&code));
        violations.extend(client::only_where_allowed(path, &code));
    }
    match path.file_name().and_then(|name| name.to_str()) {
        Some("Cargo.lock") => violations.extend(manifests::only_the_public_registry(&text)),
        Some("Cargo.toml") => violations.extend(manifests::one_default_run(path, &text)),
        _ => {}
    }
    Ok(violations.into_iter().map(|(line, problem)| Violation::at(path, line, problem)).collect())
}

/// What a rule finds in one file: the line, counted from 1, and what is wrong there.
type Found = (usize, String);

// === impl Violation ===

impl Violation {
    fn at(path: &Path, line: usize, problem: String) -> Self {
        Self { place: format!("{}:{line}", path.display()), problem }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// The lines, counted from 1, in which this holds.
fn lines_where(text: &str, holds: impl Fn(&str) -> bool) -> Vec<usize> {
    text.lines().enumerate().filter(|(_, line)| holds(line)).map(|(number, _)| number + 1).collect()
}

/// Whether the word stands there by itself, not as a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_not_a_part_of_another() {
        for (line, expected) in [
            ("use kube::Client;", true),
            ("OAuthClient", false),
            ("Clients", false),
            ("OAuthClient, Client", true),
        ] {
            assert_eq!(has_word(line, "Client"), expected, "{line}");
        }
    }
}
