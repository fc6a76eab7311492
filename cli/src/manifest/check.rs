//! Documents to objects: which kind, under which name, and is it one that an API server takes.

use std::{collections::HashMap, ops::Range};

use serde_json::Value;
use sidegate_crds::{GROUP, VERSION, Violation, validate};

use super::{
    Kind, Manifest, Object, ObjectName, Problem, Source, Stored, names,
    node::{Content, Node},
    path, problem,
    schema::Schemas,
    suggest,
};

/// Kinds of ours that this version does not run.
const NOT_BUILT: [&str; 5] = ["OAuthClient", "TokenIssuer", "IdentityProvider", "LocalUser", "Revocation"];
/// The fields that a person may write in `metadata`.
const METADATA: [&str; 7] =
    ["name", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "generateName"];
/// Those that an API server adds; they are in what `kubectl get -o yaml` prints, and mean nothing here.
const METADATA_OF_SERVER: [&str; 7] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
];

/// Takes documents in, one after the other.
pub(super) struct Checker<'a> {
    pub(super) manifest: Manifest,
    schemas: &'static Schemas,
    stored: &'a Stored,
    /// Where each object stands.
    seen: HashMap<(String, ObjectName), String>,
}

/// What every object says of itself.
struct Header<'a> {
    kind: &'a str,
    group: &'a str,
    version: &'a str,
}

// === impl Checker ===

impl<'a> Checker<'a> {
    pub(super) fn new(stored: &'a Stored) -> Self {
        Self { manifest: Manifest::default(), schemas: Schemas::ours(), stored, seen: HashMap::new() }
    }

    /// Takes one document in; what is wrong with it is added to `problems`.
    pub(super) fn document(&mut self, source: &Source, node: &Node, problems: &mut Vec<Problem>) {
        let Some(header) = header(source, node, problems) else { return };
        match (header.group, header.kind) {
            ("", "List") => {
                let items = node.field("items").map(Node::items).unwrap_or_default();
                for item in items {
                    self.document(source, item, problems);
                }
            }
            ("", "Namespace") => self.namespace(source, node, problems),
            (GROUP, _) => self.ours(source, node, &header, problems),
            (group, kind) => {
                if suggest::nearest(group, [GROUP]).is_some() {
                    let what = format!("there is no API group {group}");
                    problems.push(
                        Problem::new(source, &span(node, "apiVersion"), what)
                            .remedy(format!("did you mean `{GROUP}/{VERSION}`?")),
                    );
                    return;
                }
                if (group, kind) == ("", "Secret")
                    && let Some(name) =
                        node.field("metadata").and_then(|metadata| metadata.field("name")?.text())
                {
                    self.manifest
                        .secrets
                        .push(ObjectName { namespace: namespace(node), name: name.to_owned() });
                }
                *self.manifest.skipped.entry(kind.to_owned()).or_default() += 1;
            }
        }
    }

    fn namespace(&mut self, source: &Source, node: &Node, problems: &mut Vec<Problem>) {
        let before = problems.len();
        let name = metadata(source, node, Kind::Namespace.as_str(), names::check_label, problems);
        let Some(name) = name.filter(|_| problems.len() == before) else { return };
        self.add(source, node, Kind::Namespace, ObjectName { namespace: String::new(), name }, problems);
    }

    fn ours(&mut self, source: &Source, node: &Node, header: &Header<'_>, problems: &mut Vec<Problem>) {
        if header.version != VERSION {
            let what = format!("there is no version {} of {GROUP}", header.version);
            problems.push(
                Problem::new(source, &span(node, "apiVersion"), what)
                    .remedy(format!("write {GROUP}/{VERSION}")),
            );
            return;
        }
        let kind = match header.kind {
            "Gate" => Kind::Gate,
            "ApiKey" => Kind::ApiKey,
            kind if NOT_BUILT.contains(&kind) => {
                let name = node.field("metadata").and_then(|metadata| metadata.field("name")?.text());
                let name = format!("{}/{}", namespace(node), name.unwrap_or("?"));
                self.manifest.not_built.push((kind.to_owned(), name));
                return;
            }
            kind => {
                let known: Vec<&str> = self.schemas.kinds().chain(NOT_BUILT).collect();
                let remedy = suggest::nearest(kind, known.iter().copied()).map_or_else(
                    || format!("there are: {}", known.join(", ")),
                    |kind| format!("did you mean `{kind}`?"),
                );
                let what = format!("there is no kind {kind} in {GROUP}/{VERSION}");
                problems.push(Problem::new(source, &span(node, "kind"), what).remedy(remedy));
                return;
            }
        };
        let before = problems.len();
        let name = metadata(source, node, kind.as_str(), names::check_subdomain, problems);
        self.schemas.check(kind.as_str(), node, source, problems);
        let Some(name) = name.filter(|_| problems.len() == before) else { return };
        let name = ObjectName { namespace: namespace(node), name };
        let stored = self.stored.get(&(kind, name.clone()));
        match violations(kind, node.to_json(), stored) {
            Ok(found) => problems.extend(found.into_iter().map(|Violation { path, message }| {
                Problem::new(source, &path::find(node, &path), format!("{}.{path}: {message}", kind.as_str()))
            })),
            // The schema lets in nothing that the type does not; if it did, this is where.
            Err(error) => {
                problems.push(Problem::new(source, &node.span, format!("not a {}: {error}", kind.as_str())));
            }
        }
        if problems.len() == before {
            self.add(source, node, kind, name, problems);
        }
    }

    fn add(
        &mut self,
        source: &Source,
        node: &Node,
        kind: Kind,
        name: ObjectName,
        problems: &mut Vec<Problem>,
    ) {
        let place = problem::at(source, node.span.start);
        if let Some(first) = self.seen.insert((kind.as_str().to_owned(), name.clone()), place) {
            let shown = if name.namespace.is_empty() { name.name.clone() } else { name.to_string() };
            problems.push(
                Problem::new(
                    source,
                    &name_span(node),
                    format!("{} {shown} stands twice in the files", kind.as_str()),
                )
                .remedy(format!("the first is at {first}")),
            );
            return;
        }
        let mut value = node.to_json();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("status");
        }
        if let Some(fields) = value["metadata"].as_object_mut() {
            fields.retain(|key, _| !METADATA_OF_SERVER.contains(&key.as_str()));
            if kind != Kind::Namespace {
                fields.insert("namespace".to_owned(), Value::String(name.namespace.clone()));
            }
        }
        self.manifest.count += 1;
        self.manifest.objects.push(Object { kind, name, value, file: source.name.clone() });
    }
}

/// `apiVersion` and `kind`.
fn header<'a>(source: &Source, node: &'a Node, problems: &mut Vec<Problem>) -> Option<Header<'a>> {
    if !matches!(node.content, Content::Map(_)) {
        let what = format!("this document is {}, and has to be an object", node.type_name());
        problems.push(
            Problem::new(source, &node.span, what).remedy("it begins with apiVersion, kind and metadata"),
        );
        return None;
    }
    let mut text = |key: &str| {
        let value = node.field(key);
        let text = value.and_then(Node::text).filter(|text| !text.is_empty());
        if text.is_none() {
            let what = match value {
                Some(value) => format!("`{key}` is {}, and has to be a string", value.type_name()),
                None => format!("missing field `{key}`"),
            };
            problems.push(Problem::new(source, value.map_or(&node.span, |value| &value.span), what));
        }
        text
    };
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = api_version?.rsplit_once('/').unwrap_or(("", api_version?));
    Some(Header { kind: kind?, group, version })
}

/// Checks `metadata`; the name, if it has one.
fn metadata(
    source: &Source,
    node: &Node,
    kind: &str,
    check_name: fn(&str) -> Result<(), &'static str>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let metadata = node.field("metadata");
    let Some(metadata) = metadata.filter(|metadata| matches!(metadata.content, Content::Map(_))) else {
        let (span, what) = match metadata {
            Some(metadata) => {
                (&metadata.span, format!("{kind}.metadata is {}, and has to be a map", metadata.type_name()))
            }
            None => (&node.span, format!("missing field `metadata` in {kind}")),
        };
        problems.push(Problem::new(source, span, what));
        return None;
    };
    let known = || METADATA.into_iter().chain(METADATA_OF_SERVER);
    for entry in metadata.entries() {
        if !known().any(|name| name == entry.key) {
            let problem = Problem::new(
                source,
                &entry.key_span,
                format!("unknown field `{}` in {kind}.metadata", entry.key),
            );
            problems.push(match suggest::nearest(&entry.key, METADATA) {
                Some(name) => problem.remedy(format!("did you mean `{name}`?")),
                None => problem,
            });
        }
    }
    for key in ["labels", "annotations"] {
        strings(source, metadata, kind, key, problems);
    }
    if let Some(namespace) = metadata.field("namespace") {
        named(source, namespace, &format!("{kind}.metadata.namespace"), names::check_label, problems);
    }
    let Some(name) = metadata.field("name") else {
        problems.push(Problem::new(
            source,
            &path::find(node, "metadata"),
            format!("missing field `name` in {kind}.metadata"),
        ));
        return None;
    };
    named(source, name, &format!("{kind}.metadata.name"), check_name, problems)
}

fn named(
    source: &Source,
    node: &Node,
    at: &str,
    check: fn(&str) -> Result<(), &'static str>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let problem = match node.text() {
        None => {
            Problem::new(source, &node.span, format!("{at} is {}, and has to be a string", node.type_name()))
        }
        Some(text) => match check(text) {
            Ok(()) => return Some(text.to_owned()),
            Err(why) => Problem::new(source, &node.span, format!("`{text}` is not a value of {at}"))
                .remedy(format!("it {why}")),
        },
    };
    problems.push(problem);
    None
}

/// Labels and annotations are maps of strings.
fn strings(source: &Source, metadata: &Node, kind: &str, key: &str, problems: &mut Vec<Problem>) {
    let Some(map) = metadata.field(key) else { return };
    let at = format!("{kind}.metadata.{key}");
    if !matches!(map.content, Content::Map(_)) {
        problems.push(Problem::new(
            source,
            &map.span,
            format!("{at} is {}, and has to be a map", map.type_name()),
        ));
    }
    for entry in map.entries() {
        if !matches!(entry.value.content, Content::Text(_) | Content::Null) {
            let what = format!("{at}.{} is {}, and has to be a string", entry.key, entry.value.type_name());
            problems.push(Problem::new(source, &entry.value.span, what).remedy("write it in quotes"));
        }
    }
}

/// The namespace that an object is in: as with kubectl, `default` where none is said.
fn namespace(node: &Node) -> String {
    let written = node.field("metadata").and_then(|metadata| metadata.field("namespace")?.text());
    written.unwrap_or("default").to_owned()
}

fn span(node: &Node, key: &str) -> Range<usize> {
    node.field(key).map_or_else(|| node.span.clone(), |value| value.span.clone())
}

fn name_span(node: &Node) -> Range<usize> {
    let name = node.field("metadata").and_then(|metadata| metadata.field("name"));
    name.map_or_else(|| node.span.clone(), |name| name.span.clone())
}

/// What the rules of the CRD say, by their Rust twins.
fn violations(kind: Kind, value: Value, stored: Option<&Value>) -> Result<Vec<Violation>, serde_json::Error> {
    // What is stored came through here once; if it does not parse any more, nothing is fixed.
    match kind {
        Kind::Gate => Ok(validate::gate(&serde_json::from_value(value)?, None)),
        Kind::ApiKey => {
            let old = stored.and_then(|stored| serde_json::from_value(stored.clone()).ok());
            Ok(validate::api_key(&serde_json::from_value(value)?, old.as_ref()))
        }
        Kind::Namespace => Ok(Vec::new()),
    }
}
