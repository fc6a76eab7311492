//! The Rust twin of the schema and of every rule in CEL, with the same messages.
//!
//! For YAML that no API server has seen, and for stored objects that an older definition let in.
//! A path is where the API server says it: a rule about a list names the list.

use std::fmt;

use kube::ResourceExt;
use serde::Serialize;

mod api_key;
mod gate;
mod syntax;

use crate::{ApiKey, Gate, law, law::Law, schema};

/// One thing that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, such as `spec.rules[2].match[0].path.value`.
    pub path: String,
    /// What to write instead.
    pub message: String,
}

/// What is wrong with a Gate. `old` is what is stored, when this is a change.
pub fn gate(new: &Gate, old: Option<&Gate>) -> Vec<Violation> {
    let _ = old; // no field of a Gate is fixed
    let mut report = Report::of("Gate", &new.spec);
    report.hold(new.name_any().len() <= 63, "metadata.name", &law::GATE_NAME);
    gate::spec(&new.spec, &mut report);
    report.violations
}

/// What is wrong with an ApiKey. `old` is what is stored, when this is a change.
pub fn api_key(new: &ApiKey, old: Option<&ApiKey>) -> Vec<Violation> {
    let mut report = Report::of("ApiKey", &new.spec);
    report.hold(new.name_any().len() <= 245, "metadata.name", &law::API_KEY_NAME);
    api_key::spec(&new.spec, &mut report);
    if let Some(old) = old {
        api_key::change(&new.spec, &old.spec, &mut report);
    }
    report.violations
}

/// What was found so far.
struct Report {
    violations: Vec<Violation>,
}

// === impl Violation ===

impl Violation {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

// === impl Report ===

impl Report {
    /// A report that begins with what the schema refuses.
    fn of(kind: &str, spec: &impl Serialize) -> Self {
        let mut violations = Vec::new();
        match serde_json::to_value(spec) {
            Ok(spec) => schema::check_spec(kind, &spec, &mut violations),
            Err(error) => violations.push(Violation::new("spec", error.to_string())),
        }
        Self { violations }
    }

    fn hold(&mut self, holds: bool, path: impl fmt::Display, law: &Law) {
        if !holds {
            self.violations.push(Violation::new(path.to_string(), law.message));
        }
    }

    /// The same for a field that may be absent.
    fn hold_if<T: ?Sized>(
        &mut self,
        value: Option<&T>,
        holds: impl FnOnce(&T) -> bool,
        path: impl fmt::Display,
        law: &Law,
    ) {
        if let Some(value) = value {
            self.hold(holds(value), path, law);
        }
    }
}
