//! Manifests: YAML or JSON files, read with the position of each value and checked as an API
//! server checks them, so that every mistake is shown where it stands, all at once.
//!
//! Nothing here knows what an object leads to; that is for the plans.

use std::collections::BTreeMap;

use serde_json::Value;

mod check;
pub(crate) mod names;
mod node;
mod parse;
mod path;
mod problem;
mod scalar;
mod schema;
mod source;
mod suggest;

pub(crate) use problem::Problem;
pub(crate) use source::{ReadError, Source};

/// What the files say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Manifest {
    /// Our objects, and namespaces, in the order of the files.
    pub(crate) objects: Vec<Object>,
    /// What is not ours: how many of each kind.
    pub(crate) skipped: BTreeMap<String, usize>,
    /// Objects of ours that this version does not run: kind, `<namespace>/<name>`.
    pub(crate) not_built: Vec<(String, String)>,
    /// How many objects there are, skipped ones included.
    pub(crate) count: usize,
    /// The Secrets that the files have themselves: `<namespace>/<name>`. Their content is not read.
    pub(crate) secrets: Vec<ObjectName>,
}

/// `<namespace>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// One object that was checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    /// A Namespace has none.
    pub(crate) name: ObjectName,
    /// Without status.
    pub(crate) value: Value,
    /// The file it stands in, as it is shown.
    pub(crate) file: String,
}

/// The kinds that are acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Namespace,
    Gate,
    ApiKey,
}

/// Objects that there are already.
pub(crate) type Stored = BTreeMap<(Kind, ObjectName), Value>;

// === impl Manifest ===

impl Manifest {
    /// Reads what the sources say. All mistakes are returned, in the order of the files. `stored`
    /// are the objects that there are already: some of their fields cannot be changed.
    pub(crate) fn of(sources: &[Source], stored: &Stored) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut checker = check::Checker::new(stored);
        for source in sources {
            for document in parse::documents(source, &mut problems) {
                checker.document(source, &document, &mut problems);
            }
        }
        if problems.is_empty() {
            Ok(checker.manifest)
        } else {
            problems.sort_by_key(|problem| {
                let index = sources.iter().position(|source| source.name == problem.file);
                (index, problem.line, problem.column)
            });
            Err(problems)
        }
    }
}

impl Manifest {
    /// Its objects, as those that there are already.
    pub(crate) fn stored(&self) -> Stored {
        self.objects.iter().map(|object| ((object.kind, object.name.clone()), object.value.clone())).collect()
    }
}

// === impl ObjectName ===

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

// === impl Kind ===

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Gate => "Gate",
            Self::ApiKey => "ApiKey",
        }
    }
}

#[cfg(test)]
mod tests;
