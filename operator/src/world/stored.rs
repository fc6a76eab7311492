//! Objects of our own kinds as the API server stores them: read leniently, once, at the edge.
//!
//! A newer CRD may have fields that this version does not know, and an older one may have let
//! in what does not parse any more. Neither may stop another object, so both are kept as
//! values that a plan can report.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sidegate_crds::{ApiKey, Gate, Violation, validate};
use thiserror::Error;

use super::ObjectName;

/// The metadata that plans need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The object's uid.
    pub uid: String,
    /// Its resourceVersion: the precondition of a status write.
    pub resource_version: String,
    /// Its place in the API server's order of writes; absent: it comes from a list or a file
    /// and is taken as it is.
    pub order: Option<u64>,
    /// Raised by each change of the spec.
    pub generation: i64,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Is it being deleted? Then it counts as gone.
    pub deleting: bool,
}

/// An object of one of our kinds.
#[derive(Clone, Debug)]
pub struct Observed<T> {
    /// Its metadata.
    pub meta: Meta,
    /// What it says.
    pub stored: Stored<T>,
}

/// What an object says, as far as it can be read.
#[derive(Clone, Debug)]
pub enum Stored<T> {
    /// It parses.
    Parsed {
        /// The object. Its metadata has a name and nothing else of use: see [`Meta`].
        object: Box<T>,
        /// Fields of its spec that this version does not know, as paths.
        unknown: Vec<String>,
        /// The rules of the API that it breaks.
        violations: Vec<Violation>,
    },
    /// It does not.
    Unparsable {
        /// What the parser says.
        why: String,
        /// Its status, as it stands there.
        status: Value,
    },
}

/// A kind of ours: it can be read, and it has rules.
pub trait Lawful: DeserializeOwned {
    /// The rules of the API that a stored object breaks.
    fn violations(&self) -> Vec<Violation>;
}

/// What came is no object at all.
#[derive(Debug, Error)]
#[error("an object without readable metadata")]
pub struct NoObject;

// === impl Observed ===

impl<T: Lawful> Observed<T> {
    /// Reads an object as JSON, as a file or the API server has it.
    pub fn read(mut raw: Value) -> Result<(ObjectName, Self), NoObject> {
        let metadata = raw.get_mut("metadata").map(Value::take).ok_or(NoObject)?;
        let metadata: ObjectMeta = serde_json::from_value(metadata).map_err(|_| NoObject)?;
        Self::of(&metadata, raw)
    }

    /// Reads an object whose metadata has been read already.
    pub fn of(metadata: &ObjectMeta, mut raw: Value) -> Result<(ObjectName, Self), NoObject> {
        let name = ObjectName {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().ok_or(NoObject)?,
        };
        let resource_version = metadata.resource_version.clone().unwrap_or_default();
        let meta = Meta {
            uid: metadata.uid.clone().unwrap_or_default(),
            order: order(&resource_version),
            resource_version,
            generation: metadata.generation.unwrap_or_default(),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            deleting: metadata.deletion_timestamp.is_some(),
        };
        if !raw.is_object() {
            return Err(NoObject);
        }
        raw["metadata"] = json!({"name": name.name, "namespace": name.namespace});
        let stored = Stored::read(raw);
        Ok((name, Self { meta, stored }))
    }
}

impl<T> Observed<T> {
    /// The same, as it stands in a list: taken whatever its place in the order of writes.
    #[must_use]
    pub fn listed(mut self) -> Self {
        self.meta.order = None;
        self
    }

    /// The object, if it parses and is not being deleted.
    pub fn live(&self) -> Option<&T> {
        match &self.stored {
            Stored::Parsed { object, .. } if !self.meta.deleting => Some(object),
            _ => None,
        }
    }

    /// The fields of its spec that this version does not know.
    pub fn unknown(&self) -> &[String] {
        match &self.stored {
            Stored::Parsed { unknown, .. } => unknown,
            Stored::Unparsable { .. } => &[],
        }
    }
}

// === impl Stored ===

impl<T: Lawful> Stored<T> {
    fn read(mut raw: Value) -> Self {
        let mut unknown = Vec::new();
        let mut parsed = parse::<T>(&raw, &mut unknown);
        let mut status = Value::Null;
        if parsed.is_err()
            && let Some(removed) = raw.as_object_mut().and_then(|object| object.remove("status"))
        {
            // Status is a copy for people: one that does not parse is written anew.
            status = removed;
            unknown.clear();
            parsed = parse(&raw, &mut unknown);
        }
        match parsed {
            Ok(object) => Self::Parsed { violations: object.violations(), object, unknown },
            Err(why) => Self::Unparsable { why: why.to_string(), status },
        }
    }
}

impl Lawful for Gate {
    fn violations(&self) -> Vec<Violation> {
        validate::gate(self, None)
    }
}

impl Lawful for ApiKey {
    fn violations(&self) -> Vec<Violation> {
        validate::api_key(self, None)
    }
}

fn parse<T: DeserializeOwned>(raw: &Value, unknown: &mut Vec<String>) -> Result<Box<T>, serde_json::Error> {
    serde_ignored::deserialize(raw, |path| {
        let path = readable(&path.to_string());
        if path.starts_with("spec.") {
            unknown.push(path);
        }
    })
    .map(Box::new)
}

/// `spec.rules.?.0.nmae` is for machines; `spec.rules[0].nmae` is what people write.
fn readable(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for segment in path.split('.').filter(|segment| *segment != "?") {
        if segment.bytes().all(|byte| byte.is_ascii_digit()) {
            text.extend(["[", segment, "]"]);
        } else {
            text.extend([if text.is_empty() { "" } else { "." }, segment]);
        }
    }
    text
}

/// The place of a resourceVersion in the API server's order of writes.
pub(super) fn order(resource_version: &str) -> Option<u64> {
    resource_version.parse().ok()
}
