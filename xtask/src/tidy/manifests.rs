//! Rules about Cargo's own files.

use std::path::Path;

use super::{Found, lines_where};

const PUBLIC_REGISTRY: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// `cargo run` means the command line, `cargo test` means everything.
pub(super) fn one_default_run(path: &Path, text: &str) -> Vec<Found> {
    let says =
        |key: &str| lines_where(text, |line| line.split('=').next().is_some_and(|left| left.trim() == key));
    let mut found: Vec<Found> = says("default-members")
        .into_iter()
        .map(|line| (line, "with `default-members`, `cargo test` at the root would not test all".to_owned()))
        .collect();
    let lines = says("default-run");
    if path == Path::new("cli/Cargo.toml") {
        if lines.is_empty() {
            found.push((1, "without `default-run` here, `cargo run` at the root means nothing".to_owned()));
        }
    } else {
        found.extend(lines.into_iter().map(|line| (line, "only `cli` has a `default-run`".to_owned())));
    }
    found
}

/// Every crate comes from crates.io as everybody reaches it, or from this workspace.
pub(super) fn only_the_public_registry(lock: &str) -> Vec<Found> {
    let foreign = |line: &str| line.starts_with("source = ") && line != PUBLIC_REGISTRY;
    let problem = "a crate from elsewhere than the registry of crates.io";
    lines_where(lock, foreign).into_iter().map(|line| (line, problem.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_default_run_is_found() {
        for (path, text, count) in [
            ("cli/Cargo.toml", "[package]\ndefault-run = \"sidegate\"\n", 0),
            ("cli/Cargo.toml", "[package]\n", 1),
            ("xtask/Cargo.toml", "[package]\n", 0),
            ("xtask/Cargo.toml", "[package]\ndefault-run = \"xtask\"\n", 1),
            ("Cargo.toml", "[workspace]\ndefault-members = [\"cli\"]\n", 1),
        ] {
            assert_eq!(one_default_run(Path::new(path), text).len(), count, "{path} {text}");
        }
    }

    #[test]
    fn a_crate_from_elsewhere_is_found() {
        let lock = |source: &str| format!("[[package]]\nname = \"a\"\nsource = \"{source}\"\n");
        for (source, count) in [
            ("registry+https://github.com/rust-lang/crates.io-index", 0),
            ("registry+http://mirror.example/index", 1),
            ("sparse+https://mirror.example/", 1),
            ("git+https://github.com/a/b#c", 1),
        ] {
            assert_eq!(only_the_public_registry(&lock(source)).len(), count, "{source}");
        }
    }
}
