//! Who may depend on whom. The arrows are those of ARCHITECTURE.md.
//!
//! Only normal dependencies count, on every platform: what is built for a test or a build script is in no
//! program.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Violation;

/// Each package of the workspace, and those of the workspace that it may name.
const ARROWS: [(&str, &[&str]); 11] = [
    ("sidegate-bundle", &[]),
    ("sidegate-crds", &["sidegate-bundle"]),
    ("sidegate-runtime", &["sidegate-bundle"]),
    ("sidegate-sidecar", &["sidegate-bundle", "sidegate-runtime"]),
    ("sidegate-operator", &["sidegate-bundle", "sidegate-crds", "sidegate-runtime"]),
    (
        "sidegate",
        &["sidegate-bundle", "sidegate-crds", "sidegate-operator", "sidegate-runtime", "sidegate-sidecar"],
    ),
    ("sidegate-test-tools", &[]),
    ("sidegate-benches", &["sidegate-bundle"]),
    (
        "sidegate-tests",
        &[
            "sidegate",
            "sidegate-bundle",
            "sidegate-crds",
            "sidegate-operator",
            "sidegate-runtime",
            "sidegate-sidecar",
            "sidegate-test-tools",
        ],
    ),
    ("sidegate-gen", &["sidegate-crds"]),
    ("xtask", &["sidegate-test-tools"]),
];

const KUBE: [&str; 5] = ["kube", "kube-client", "kube-core", "kube-runtime", "k8s-openapi"];
const NETWORK: [&str; 3] = ["tokio", "hyper", "rustls"];

/// What stands nowhere in the tree of a package: no I/O in the bundle, no credentials of the API server in the
/// data plane.
const FREE_OF: [(&str, &[&[&str]]); 3] =
    [("sidegate-bundle", &[&KUBE, &NETWORK]), ("sidegate-runtime", &[&KUBE]), ("sidegate-sidecar", &[&KUBE])];

/// The members of the workspace and the normal dependencies of every package, by name.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    members: BTreeSet<String>,
    normal: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

/// `kind` is null for a normal dependency.
#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// All that goes against an arrow.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in &workspace.members {
        match ARROWS.iter().find(|(name, _)| name == member) {
            None => violations
                .push(violation(member, "its place in the architecture is not written down".to_owned())),
            Some((_, allowed)) => {
                let forbidden = workspace.of(member).filter(|name| workspace.members.contains(*name));
                let forbidden = forbidden.filter(|name| !allowed.contains(name));
                violations
                    .extend(forbidden.map(|name| violation(member, format!("it may not depend on {name}"))));
            }
        }
    }
    for (member, lists) in FREE_OF {
        let ways = workspace.ways_from(member);
        for forbidden in lists.iter().copied().flatten() {
            if let Some(way) = ways.get(forbidden) {
                violations
                    .push(violation(member, format!("it must be free of {forbidden}: {}", way.join(" -> "))));
            }
        }
    }
    violations
}

// === impl Workspace ===

impl Workspace {
    /// From what `cargo metadata` prints.
    pub(super) fn parse(metadata: &str) -> Result<Self> {
        let metadata: Metadata =
            serde_json::from_str(metadata).context("cargo metadata is not as expected")?;
        let names: BTreeMap<_, _> =
            metadata.packages.into_iter().map(|package| (package.id, package.name)).collect();
        let name =
            |id: &str| names.get(id).cloned().with_context(|| format!("cargo metadata does not name {id}"));
        let mut workspace = Self::default();
        for id in &metadata.workspace_members {
            workspace.members.insert(name(id)?);
        }
        for node in metadata.resolve.nodes {
            // Two versions of one crate are one here, with what either needs.
            let normal = workspace.normal.entry(name(&node.id)?).or_default();
            for edge in node.deps.iter().filter(|edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none()))
            {
                normal.insert(name(&edge.pkg)?);
            }
        }
        Ok(workspace)
    }

    fn of(&self, package: &str) -> impl Iterator<Item = &str> {
        self.normal.get(package).into_iter().flatten().map(String::as_str)
    }

    /// Everything in the package's tree, each with a way that leads there.
    fn ways_from<'a>(&'a self, package: &'a str) -> BTreeMap<&'a str, Vec<&'a str>> {
        let mut ways = BTreeMap::from([(package, vec![package])]);
        let mut open = vec![package];
        while let Some(name) = open.pop() {
            for next in self.of(name) {
                if !ways.contains_key(next) {
                    let way = [ways[name].as_slice(), &[next]].concat();
                    ways.insert(next, way);
                    open.push(next);
                }
            }
        }
        ways
    }
}

fn violation(member: &str, problem: String) -> Violation {
    Violation { place: member.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `package: its dependencies; package: …`.
    fn workspace(text: &str) -> Workspace {
        let mut workspace = Workspace::default();
        for (name, dependencies) in text.split("; ").filter_map(|part| part.split_once(':')) {
            if name.starts_with("sidegate") {
                workspace.members.insert(name.to_owned());
            }
            let dependencies = dependencies.split_whitespace().map(ToOwned::to_owned).collect();
            workspace.normal.insert(name.to_owned(), dependencies);
        }
        workspace
    }

    #[test]
    fn arrows_that_point_the_wrong_way_are_found() {
        for (edges, expected) in [
            ("sidegate-crds: sidegate-bundle serde; sidegate-bundle:", ""),
            (
                "sidegate-bundle: sidegate-crds; sidegate-crds:",
                "sidegate-bundle: it may not depend on sidegate-crds",
            ),
            ("sidegate-new: serde", "sidegate-new: its place in the architecture is not written down"),
            (
                "sidegate-bundle: a; a: tokio",
                "sidegate-bundle: it must be free of tokio: sidegate-bundle -> a -> tokio",
            ),
            (
                "sidegate-sidecar: kube-core",
                "sidegate-sidecar: it must be free of kube-core: sidegate-sidecar -> kube-core",
            ),
            ("sidegate-sidecar: tokio", ""),
        ] {
            let found: Vec<_> = check(&workspace(edges)).iter().map(ToString::to_string).collect();
            assert_eq!(found.join("; "), expected, "{edges}");
        }
    }

    #[test]
    fn only_normal_dependencies_are_read() {
        let metadata = r#"{
            "packages": [{"id": "1", "name": "sidegate-bundle"}, {"id": "2", "name": "serde"}, {"id": "3", "name": "tokio"}],
            "workspace_members": ["1"],
            "resolve": {"nodes": [{"id": "1", "deps": [
                {"pkg": "2", "dep_kinds": [{"kind": "dev"}, {"kind": null}]},
                {"pkg": "3", "dep_kinds": [{"kind": "dev"}]}
            ]}]}
        }"#;
        let workspace = Workspace::parse(metadata).unwrap();
        assert_eq!(workspace.of("sidegate-bundle").collect::<Vec<_>>(), ["serde"]);
        assert_eq!(check(&workspace), []);
    }
}
