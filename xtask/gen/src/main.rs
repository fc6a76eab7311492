//! The files that are made from the types, written or compared. `cargo xtask gen` builds and runs it.
//!
//! They are in git, so that users need not build anything, and `cargo xtask lint` fails when they are not what
//! the types say. It is a program of its own, so that `cargo xtask` needs neither the types nor the minute that
//! they take to compile, and works while they do not.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

/// The one argument: nothing is written, and a difference is an error.
const CHECK: &str = "--check";

/// A folder whose files of one kind are all generated: path from the root, extension, files.
struct Folder {
    path: &'static str,
    extension: &'static str,
    files: BTreeMap<String, String>,
}

/// What is to be done about one file.
#[derive(Debug, PartialEq, Eq)]
enum Difference {
    Missing(PathBuf),
    Changed(PathBuf),
    Left(PathBuf),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let check = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        [CHECK] => true,
        _ => bail!("the only argument is {CHECK}"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut differences = Vec::new();
    for folder in folders() {
        let found = if check { folder.compare(&root)? } else { folder.write(&root)? };
        differences.extend(found);
    }
    for difference in &differences {
        let (word, path) = match (difference, check) {
            (Difference::Missing(path), true) => ("is missing", path),
            (Difference::Changed(path), true) => ("is not what the types say", path),
            (Difference::Left(path), true) => ("is made from no type", path),
            (Difference::Missing(path), false) => ("is new", path),
            (Difference::Changed(path), false) => ("was changed", path),
            (Difference::Left(path), false) => ("was removed", path),
        };
        println!("{} {word}", path.display());
    }
    if check && !differences.is_empty() {
        bail!("generated files are out of date: run `cargo xtask gen` and commit what it writes");
    }
    if differences.is_empty() {
        println!("all generated files are up to date");
    }
    Ok(())
}

fn folders() -> [Folder; 2] {
    [
        Folder::new("crds", "yaml", sidegate_crds::files()),
        Folder::new("docs/reference", "md", sidegate_crds::reference()),
    ]
}

// === impl Folder ===

impl Folder {
    fn new(path: &'static str, extension: &'static str, files: Vec<(String, String)>) -> Self {
        Self { path, extension, files: files.into_iter().collect() }
    }

    fn compare(&self, root: &Path) -> Result<Vec<Difference>> {
        let folder = root.join(self.path);
        let mut differences = Vec::new();
        for (name, text) in &self.files {
            let path = folder.join(name);
            match fs::read_to_string(&path) {
                Ok(found) if found == *text => {}
                Ok(_) => differences.push(Difference::Changed(Path::new(self.path).join(name))),
                Err(_) => differences.push(Difference::Missing(Path::new(self.path).join(name))),
            }
        }
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let ours = Path::new(&name).extension().is_some_and(|extension| extension == self.extension);
            if ours && !self.files.contains_key(&name) {
                differences.push(Difference::Left(Path::new(self.path).join(name)));
            }
        }
        Ok(differences)
    }

    fn write(&self, root: &Path) -> Result<Vec<Difference>> {
        let differences = self.compare(root)?;
        fs::create_dir_all(root.join(self.path))?;
        for difference in &differences {
            match difference {
                Difference::Missing(path) | Difference::Changed(path) => {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    let text = self.files.get(&*name).map_or("", String::as_str);
                    fs::write(root.join(path), text)
                        .with_context(|| format!("cannot write {}", path.display()))?;
                }
                Difference::Left(path) => fs::remove_file(root.join(path))?,
            }
        }
        Ok(differences)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found_and_written_away() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("out");
        fs::create_dir(&path).unwrap();
        for (name, text) in [("same.md", "1"), ("old.md", "1"), ("left.md", "1"), ("other.txt", "1")] {
            fs::write(path.join(name), text).unwrap();
        }
        let files = [("same.md", "1"), ("old.md", "2"), ("new.md", "2")];
        let folder =
            Folder::new("out", "md", files.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec());
        let expected = [
            Difference::Missing("out/new.md".into()),
            Difference::Changed("out/old.md".into()),
            Difference::Left("out/left.md".into()),
        ];
        assert_eq!(folder.compare(root.path()).unwrap(), expected);
        assert_eq!(folder.write(root.path()).unwrap(), expected);
        assert_eq!(folder.compare(root.path()).unwrap(), []);
        assert!(path.join("other.txt").exists(), "files of other kinds are not ours");
    }
}
