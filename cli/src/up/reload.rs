//! Watches the files of the command line: what they say now, and whether that can be applied.
//!
//! An editor saves in steps: it may empty a file, or take it away for a moment. So what would
//! delete something, and what is wrong, counts only once it has been seen twice.

use std::path::PathBuf;

use crate::manifest::{Manifest, Problem, ReadError, Source};

/// The files and what was last made of them.
#[derive(Debug)]
pub(super) struct Files {
    paths: Vec<PathBuf>,
    stdin: Option<Source>,
    /// What was last applied or refused.
    settled: Seen,
    /// What has been seen once and waits to be seen again.
    doubtful: Option<Seen>,
}

/// What the files say, or why they cannot be read.
type Seen = Result<Vec<Source>, String>;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Edit {
    /// Nothing.
    None,
    /// The files say something else now.
    Apply(Box<Manifest>),
    /// They say something that is wrong.
    Refuse(Mistake),
}

/// What is wrong with the files.
#[derive(Debug)]
pub(super) enum Mistake {
    Unreadable(String),
    Wrong(Vec<Problem>),
}

// === impl Files ===

impl Files {
    /// Files that have just been read and applied.
    pub(super) fn new(paths: Vec<PathBuf>, stdin: Option<Source>, applied: Vec<Source>) -> Self {
        Self { paths, stdin, settled: Ok(applied), doubtful: None }
    }

    /// Reads the files again. `applied` is what is in force.
    pub(super) fn poll(&mut self, applied: &Manifest) -> Edit {
        let seen =
            Source::read(&self.paths, self.stdin.as_ref()).map_err(|error: ReadError| error.to_string());
        self.take(seen, applied)
    }

    fn take(&mut self, seen: Seen, applied: &Manifest) -> Edit {
        if seen == self.settled {
            self.doubtful = None;
            return Edit::None;
        }
        let read = match &seen {
            Ok(sources) => Manifest::of(sources, &applied.stored()).map_err(Mistake::Wrong),
            Err(error) => Err(Mistake::Unreadable(error.clone())),
        };
        let sure = read.as_ref().is_ok_and(|manifest| !deletes(applied, manifest));
        if !sure && self.doubtful.as_ref() != Some(&seen) {
            self.doubtful = Some(seen);
            return Edit::None;
        }
        self.settled = seen;
        self.doubtful = None;
        match read {
            Ok(manifest) => Edit::Apply(Box::new(manifest)),
            Err(mistake) => Edit::Refuse(mistake),
        }
    }
}

/// Is anything of `old` not in `new` any more?
fn deletes(old: &Manifest, new: &Manifest) -> bool {
    old.objects
        .iter()
        .any(|old| !new.objects.iter().any(|new| (old.kind, &old.name) == (new.kind, &new.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Stored;

    const ONE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: one}\n";
    const TWO: &str = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: two}\n";

    fn sources(text: &str) -> Vec<Source> {
        vec![Source::new("a.yaml", text)]
    }

    fn files() -> (Files, Manifest) {
        let text = format!("{ONE}{TWO}");
        let sources = sources(&text);
        let manifest = Manifest::of(&sources, &Stored::new()).unwrap();
        (Files::new(Vec::new(), None, sources), manifest)
    }

    fn word(edit: &Edit) -> &'static str {
        match edit {
            Edit::None => "none",
            Edit::Apply(_) => "apply",
            Edit::Refuse(_) => "refuse",
        }
    }

    #[test]
    fn what_adds_counts_at_once_and_what_deletes_or_is_wrong_when_it_is_seen_again() {
        let three = format!("{ONE}{TWO}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: three}}\n");
        let unreadable = Err("gone".to_owned());
        for (edit, words) in [
            (Ok(sources(&three)), ["apply", "none", "none"]),
            (Ok(sources(ONE)), ["none", "apply", "none"]),
            (Ok(sources("a: [")), ["none", "refuse", "none"]),
            (unreadable, ["none", "refuse", "none"]),
            (Ok(sources(&format!("{ONE}{TWO}"))), ["none", "none", "none"]),
        ] {
            let (mut files, manifest) = files();
            let said: Vec<_> = (0..3).map(|_| word(&files.take(edit.clone(), &manifest))).collect();
            assert_eq!(said, words, "{edit:?}");
        }
    }

    #[test]
    fn a_file_that_is_empty_for_a_moment_deletes_nothing() {
        let (mut files, manifest) = files();
        assert_eq!(word(&files.take(Ok(sources("")), &manifest)), "none");
        assert_eq!(word(&files.take(Ok(sources(&format!("{ONE}{TWO}"))), &manifest)), "none");
        assert_eq!(word(&files.take(Ok(sources("")), &manifest)), "none");
    }
}
