//! A value against the structural schema of a CustomResourceDefinition: what an API server with
//! strict field validation would refuse, said where it stands.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{LazyLock, Mutex, PoisonError},
};

use regex::Regex;
use serde_json::Value;

use super::{
    Problem, Source,
    node::{Content, Entry, Node},
    suggest,
};

/// More names than this are not listed.
const MOST_LISTED: usize = 12;

/// The schemas of our kinds.
pub(super) struct Schemas {
    by_kind: BTreeMap<String, Value>,
    patterns: Mutex<HashMap<String, Option<Regex>>>,
}

/// One walk through one object.
struct Walk<'a> {
    schemas: &'a Schemas,
    source: &'a Source,
    problems: &'a mut Vec<Problem>,
}

// === impl Schemas ===

impl Schemas {
    /// Those that the API server is given; made once.
    pub(super) fn ours() -> &'static Self {
        static OURS: LazyLock<Schemas> = LazyLock::new(Schemas::generate);
        &OURS
    }

    fn generate() -> Self {
        let by_kind = sidegate_crds::all()
            .into_iter()
            .filter_map(|crd| {
                let kind = crd.spec.names.kind.clone();
                let version = crd.spec.versions.into_iter().next()?;
                Some((kind, serde_json::to_value(version.schema?.open_api_v3_schema?).ok()?))
            })
            .collect();
        Self { by_kind, patterns: Mutex::default() }
    }

    #[cfg(test)]
    fn one(kind: &str, schema: Value) -> Self {
        Self { by_kind: BTreeMap::from([(kind.to_owned(), schema)]), patterns: Mutex::default() }
    }

    /// The kinds that have one.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.by_kind.keys().map(String::as_str)
    }

    /// Checks all but metadata and status.
    pub(super) fn check(&self, kind: &str, object: &Node, source: &Source, problems: &mut Vec<Problem>) {
        let Some(schema) = self.by_kind.get(kind) else { return };
        let mut walk = Walk { schemas: self, source, problems };
        walk.map(object, schema, kind, &|key| matches!(key, "apiVersion" | "kind" | "metadata" | "status"));
    }
}

// === impl Walk ===

impl Walk<'_> {
    fn value(&mut self, node: &Node, schema: &Value, path: &str) {
        let kind = schema["type"].as_str();
        if schema["x-kubernetes-int-or-string"] == true {
            if !matches!(node.content, Content::Number(_) | Content::Text(_)) {
                self.wrong_type(node, "a number or a string", path);
            }
            return;
        }
        match (kind, &node.content) {
            (Some("object"), Content::Map(_)) => self.map(node, schema, path, &|_| false),
            (Some("array"), Content::List(items)) => self.list(node, items, schema, path),
            (Some("string"), Content::Text(text)) => self.text(node, text, schema, path),
            (Some("integer"), Content::Number(number)) if number.is_i64() || number.is_u64() => {
                self.number(node, number.as_f64(), schema, path);
            }
            (Some("number"), Content::Number(number)) => self.number(node, number.as_f64(), schema, path),
            (Some("boolean"), Content::Bool(_)) | (None, _) => {}
            (Some("object"), _) => self.wrong_type(node, "a map", path),
            (Some("array"), _) => self.wrong_type(node, "a list", path),
            (Some("string"), _) => self.wrong_type(node, "a string", path),
            (Some("integer"), _) => self.wrong_type(node, "a whole number", path),
            (Some("number"), _) => self.wrong_type(node, "a number", path),
            (Some("boolean"), _) => self.wrong_type(node, "true or false", path),
            (Some(_), _) => {}
        }
    }

    fn map(&mut self, node: &Node, schema: &Value, path: &str, apart: &dyn Fn(&str) -> bool) {
        let properties = schema["properties"].as_object();
        let extra = schema.get("additionalProperties").filter(|extra| extra.is_object());
        let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
        for entry in node.entries() {
            let Entry { key, value, .. } = entry;
            if apart(key) {
                continue;
            }
            match properties.and_then(|properties| properties.get(key)).or(extra) {
                // Null is as if it were not written.
                Some(_) if value.content == Content::Null => {}
                Some(schema) => self.value(value, schema, &format!("{path}.{key}")),
                None if open => {}
                None => {
                    let known =
                        properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str));
                    self.unknown(entry, known.filter(|key| !apart(key)).collect(), path);
                }
            }
        }
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !apart(key) && node.entry(key).is_none() {
                self.problem(node, format!("missing field `{key}` in {path}"), None);
            }
        }
        let count = node.entries().iter().filter(|entry| entry.value.content != Content::Null).count();
        self.bounds(node, count, ("minProperties", "maxProperties"), "fields", schema, path);
    }

    fn unknown(&mut self, entry: &Entry, known: Vec<&str>, path: &str) {
        let written = self.source.text.get(entry.key_span.clone()).unwrap_or_default();
        let remedy = match suggest::nearest(&entry.key, known.iter().copied()) {
            _ if known.contains(&written) => Some(format!("write \"{written}\", in quotes")),
            Some(name) => Some(format!("did you mean `{name}`?")),
            None if (1..=MOST_LISTED).contains(&known.len()) => {
                Some(format!("there are: {}", known.join(", ")))
            }
            None => None,
        };
        let key = Node { span: entry.key_span.clone(), content: Content::Null };
        self.problem(&key, format!("unknown field `{}` in {path}", entry.key), remedy);
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &Value, path: &str) {
        for (index, item) in items.iter().enumerate() {
            self.value(item, &schema["items"], &format!("{path}[{index}]"));
        }
        self.bounds(node, items.len(), ("minItems", "maxItems"), "items", schema, path);
        self.duplicates(items, schema, path);
    }

    /// Lists that are sets or maps have each item once.
    fn duplicates(&mut self, items: &[Node], schema: &Value, path: &str) {
        let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let identity = |item: &Node| match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => Some(item.to_json()),
            Some("map") => {
                let default = |key: &str| schema["items"]["properties"][key]["default"].clone();
                let value = |key: &&str| item.field(key).map_or_else(|| default(key), Node::to_json);
                Some(Value::Array(keys.iter().map(value).collect()))
            }
            _ => None,
        };
        let identities: Vec<_> = items.iter().map(identity).collect();
        for (index, item) in items.iter().enumerate() {
            let Some(mine) = &identities[index] else { return };
            if let Some(first) = identities[..index].iter().position(|other| other.as_ref() == Some(mine)) {
                let what = if keys.is_empty() {
                    format!("{path}[{index}] is the same as {path}[{first}]")
                } else {
                    format!("{path}[{index}] has the same {} as {path}[{first}]", keys.join(" and "))
                };
                self.problem(item, what, Some("take one of them away".to_owned()));
            }
        }
    }

    fn text(&mut self, node: &Node, text: &str, schema: &Value, path: &str) {
        if let Some(values) = schema["enum"].as_array() {
            let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            if !values.contains(&text) {
                let remedy = suggest::nearest(text, values.iter().copied()).map_or_else(
                    || format!("it takes {}", values.join(", ")),
                    |value| format!("did you mean `{value}`?"),
                );
                self.problem(node, format!("`{text}` is not a value of {path}"), Some(remedy));
                return;
            }
        }
        self.bounds(node, text.chars().count(), ("minLength", "maxLength"), "characters", schema, path);
        if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
            let what = format!("`{text}` is not a time, and {path} has to be one");
            self.problem(node, what, Some("write it like 2027-01-01T00:00:00Z".to_owned()));
        } else if let Some(pattern) = schema["pattern"].as_str()
            && !self.schemas.matches(pattern, text)
        {
            let what = format!("`{text}` is not a value of {path}");
            self.problem(node, what, Some(format!("it has to match {pattern}")));
        }
    }

    fn number(&mut self, node: &Node, number: Option<f64>, schema: &Value, path: &str) {
        let Some(number) = number else { return };
        let least = schema["minimum"].as_f64();
        let most = schema["maximum"].as_f64();
        if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
            let remedy = match (least, most) {
                (Some(least), Some(most)) => format!("it takes {least} to {most}"),
                (Some(least), None) => format!("it takes {least} or more"),
                (None, Some(most)) => format!("it takes {most} or less"),
                (None, None) => return,
            };
            self.problem(node, format!("{number} is not a value of {path}"), Some(remedy));
        }
    }

    fn bounds(
        &mut self,
        node: &Node,
        count: usize,
        names: (&str, &str),
        unit: &str,
        schema: &Value,
        path: &str,
    ) {
        let unit = if count == 1 { unit.trim_end_matches('s') } else { unit };
        let bound = |name: &str| schema[name].as_u64().and_then(|bound| usize::try_from(bound).ok());
        if let Some(most) = bound(names.1).filter(|most| count > *most) {
            self.problem(
                node,
                format!("{path} has {count} {unit}"),
                Some(format!("it takes {most} at most")),
            );
        }
        if let Some(least) = bound(names.0).filter(|least| count < *least) {
            self.problem(
                node,
                format!("{path} has {count} {unit}"),
                Some(format!("it takes {least} at least")),
            );
        }
    }

    fn wrong_type(&mut self, node: &Node, wanted: &str, path: &str) {
        let written = self.source.text.get(node.span.clone()).unwrap_or_default();
        let remedy = match &node.content {
            Content::Bool(_) | Content::Number(_) if wanted == "a string" => {
                Some(format!("write \"{written}\", in quotes"))
            }
            _ => None,
        };
        self.problem(node, format!("{path} is {}, and has to be {wanted}", node.type_name()), remedy);
    }

    fn problem(&mut self, node: &Node, what: String, remedy: Option<String>) {
        let problem = Problem::new(self.source, &node.span, what);
        self.problems.push(match remedy {
            Some(remedy) => problem.remedy(remedy),
            None => problem,
        });
    }
}

impl Schemas {
    /// A pattern that this program cannot read (the API server can) refuses nothing.
    fn matches(&self, pattern: &str, text: &str) -> bool {
        let mut patterns = self.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        let regex = patterns.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
        regex.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

#[cfg(test)]
mod tests;
