//! The files of a command line: which ones, under which names they are shown, and their text.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

/// No manifest is larger; what is, was not meant.
const MAX_BYTES: u64 = 8 << 20;

/// One file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// As it is shown: the file's name, or its path where two files have the same name.
    pub(crate) name: String,
    pub(crate) text: Arc<str>,
}

/// Why a file could not be read.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// There is no such file, or it cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A folder without a manifest.
    #[error("{} has no file that ends in .yaml, .yml or .json", .0.display())]
    NoFiles(PathBuf),
    /// Larger than any manifest.
    #[error("{} is larger than {MAX_BYTES} bytes", .0.display())]
    TooLarge(PathBuf),
    /// Not text.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
}

/// What standard input is called where something is wrong in it.
const STDIN: &str = "stdin";

// === impl Source ===

impl Source {
    /// A text under a name.
    pub(crate) fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Does it hold a Secret? Then no line of it is shown.
    pub(crate) fn has_secret(&self) -> bool {
        self.text.split("kind").skip(1).any(|rest| {
            let rest = rest.trim_start_matches(['"', '\'']).trim_start();
            rest.strip_prefix(':')
                .is_some_and(|value| value.trim_start().trim_start_matches(['"', '\'']).starts_with("Secret"))
        })
    }

    /// Reads files, the top level of folders, and `-`, whose text is `stdin`.
    pub(crate) fn read(paths: &[PathBuf], stdin: Option<&Self>) -> Result<Vec<Self>, ReadError> {
        let mut files = Vec::new();
        let mut stdin = stdin;
        for path in paths {
            if is_stdin(path) {
                files.extend(stdin.take().map(|source| (PathBuf::from(STDIN), source.text.clone())));
            } else if path.is_dir() {
                for file in folder(path)? {
                    let text = file_text(&file)?;
                    files.push((file, text));
                }
            } else {
                files.push((path.clone(), file_text(path)?));
            }
        }
        Ok(named(files))
    }

    /// Reads standard input to its end, if it is among the paths.
    pub(crate) fn stdin(paths: &[PathBuf], input: impl Read) -> Result<Option<Self>, ReadError> {
        let path = Path::new("-");
        if !paths.iter().any(|path| is_stdin(path)) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let read = input.take(MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|source| ReadError::Read { path: path.to_owned(), source })?;
        Ok(Some(Self::new(STDIN, text(path, bytes)?)))
    }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The manifests at a folder's top level, by name, as kubectl takes them.
fn folder(path: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let failed = |source| ReadError::Read { path: path.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let known = file.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        if known && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(ReadError::NoFiles(path.to_owned()));
    }
    files.sort();
    Ok(files)
}

fn file_text(path: &Path) -> Result<Arc<str>, ReadError> {
    let failed = |source| ReadError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    text(path, bytes)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<Arc<str>, ReadError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge(path.to_owned()));
    }
    String::from_utf8(bytes).map(Arc::from).map_err(|_| ReadError::NotText(path.to_owned()))
}

/// A file is shown by its name, which is short; by its path where two have the same.
fn named(files: Vec<(PathBuf, Arc<str>)>) -> Vec<Source> {
    let short = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let names: Vec<_> = files.iter().map(|(path, _)| short(path)).collect();
    let unique = |name: &Option<String>| names.iter().filter(|other| *other == name).count() == 1;
    files
        .iter()
        .zip(&names)
        .map(|((path, text), name)| match name {
            Some(short) if unique(name) => Source::new(short.clone(), text.clone()),
            _ => Source::new(path.display().to_string(), text.clone()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sources: &[Source]) -> Vec<&str> {
        sources.iter().map(|source| source.name.as_str()).collect()
    }

    #[test]
    fn a_folder_is_its_top_level_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["2.yml", "1.yaml", "3.json", "README.md", "4.yaml~"] {
            fs::write(folder.path().join(file), "a: 1\n").unwrap();
        }
        fs::create_dir(folder.path().join("sub.yaml")).unwrap();
        let sources = Source::read(&[folder.path().to_owned()], None).unwrap();
        assert_eq!(names(&sources), ["1.yaml", "2.yml", "3.json"]);
    }

    #[test]
    fn two_files_of_one_name_are_shown_by_their_paths() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        for path in [&one, &two] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("a.yaml"), "").unwrap();
        }
        fs::write(two.join("b.yaml"), "").unwrap();
        let sources = Source::read(&[one.clone(), two.clone()], None).unwrap();
        let expected = [one.join("a.yaml").display().to_string(), two.join("a.yaml").display().to_string()];
        assert_eq!(names(&sources), [&expected[0], &expected[1], "b.yaml"]);
    }

    #[test]
    fn standard_input_is_read_once_and_only_when_it_is_asked_for() {
        let paths = [PathBuf::from("-")];
        assert_eq!(Source::stdin(&[PathBuf::from("a")], &b"x"[..]).unwrap(), None);
        let stdin = Source::stdin(&paths, &b"a: 1"[..]).unwrap();
        let sources = Source::read(&paths, stdin.as_ref()).unwrap();
        assert_eq!(sources, [Source::new("stdin", "a: 1")]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| Source::read(&[path.to_owned()], None).unwrap_err().to_string();
        assert!(said(folder.path()).contains("has no file that ends in .yaml"));
        assert!(said(&folder.path().join("none.yaml")).contains("cannot read"));
        let binary = folder.path().join("b.yaml");
        fs::write(&binary, [0xff, 0xfe]).unwrap();
        assert!(said(&binary).contains("is not UTF-8"));
    }
}
