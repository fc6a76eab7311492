use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::manifest::ObjectName;

fn standing(ready: &str, reason: &str, message: &str) -> Standing {
    let condition = |kind: &str| json!({"type": kind, "status": ready, "reason": reason, "message": message});
    Standing::of(&json!({"status": {"conditions": [condition("Accepted"), condition("Ready")]}}))
}

fn gate(name: &str, app: Option<&str>, standing: Standing) -> GateRow {
    GateRow {
        name: name.to_owned(),
        short: name.split_once('/').unwrap().1.to_owned(),
        url: "http://127.0.0.1:8080".to_owned(),
        app: app.map(str::to_owned),
        standing,
    }
}

fn key(name: &str, scopes: &[&str], folder: Option<&str>, standing: Standing) -> KeyRow {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    KeyRow { name: name.to_owned(), scopes, folder: folder.map(str::to_owned), standing }
}

fn text(manifest: &Manifest, gates: Vec<GateRow>, keys: Vec<KeyRow>) -> String {
    Banner {
        files: 4,
        manifest,
        took: Duration::from_millis(41),
        gates,
        keys,
        tries: None,
        paths: "examples/quickstart".to_owned(),
    }
    .text(Palette::plain())
}

#[test]
fn what_runs_is_in_columns() {
    let manifest = Manifest {
        count: 4,
        skipped: BTreeMap::from([("Deployment".to_owned(), 1), ("Service".to_owned(), 1)]),
        ..Manifest::default()
    };
    let folder = Some(".sidegate/secrets/team-a/ci-key-api-key/");
    let keys = vec![key("team-a/ci-key", &["apps:read"], folder, Standing::ready())];
    insta::assert_snapshot!(text(&manifest, vec![gate("dify/api", None, Standing::ready())], keys));
}

#[test]
fn a_namespace_that_is_nowhere_written_has_no_labels_and_that_is_said() {
    let object = |kind, namespace: &str, name: &str, value| Object {
        kind,
        name: ObjectName { namespace: namespace.to_owned(), name: name.to_owned() },
        value,
        file: String::new(),
    };
    let gate = |from: &str| {
        object(Kind::Gate, "dify", "api", json!({"spec": {"admit": [{"namespaces": {"from": from}}]}}))
    };
    let namespace = |name: &str| object(Kind::Namespace, "", name, json!({}));
    let hint = "No file has Namespace team-a: where a Gate chooses by labels, it has none here";
    let problem = |reason: &str| standing("False", reason, "there is no Gate");
    for (objects, standing, said) in [
        (vec![gate("Selector"), namespace("team-b")], problem("GateNotAvailable"), true),
        (vec![gate("Selector"), namespace("team-a")], problem("GateNotAvailable"), false),
        (vec![gate("Names")], problem("GateNotAvailable"), false),
        (vec![gate("Selector")], problem("NotSupportedYet"), false),
        (vec![gate("Selector")], Standing::ready(), false),
    ] {
        let manifest = Manifest { objects, ..Manifest::default() };
        let text = text(&manifest, vec![], vec![key("team-a/ci-key", &[], None, standing)]);
        assert_eq!(text.contains(hint), said, "{text}");
    }
}

#[test]
fn what_is_not_as_it_should_be_says_so_in_its_row() {
    let manifest = Manifest {
        count: 1,
        not_built: vec![("OAuthClient".to_owned(), "team-a/ci".to_owned())],
        ..Manifest::default()
    };
    let gates = vec![gate(
        "dify/api",
        Some("http://127.0.0.1:5001"),
        standing("False", "NotSupportedYet", "spec.mode is not built yet"),
    )];
    let keys = vec![
        key("team-a/none", &[], None, standing("False", "GateNotAvailable", "there is no Gate dify/apii")),
        key(
            "team-a/partly",
            &["apps:read", "apps:write"],
            Some(".sidegate/secrets/team-a/partly-api-key/"),
            standing("False", "PartiallyAccepted", "apps:admin is not admitted"),
        ),
        key("team-a/well", &[], Some(".sidegate/secrets/team-a/well-api-key/"), Standing::ready()),
    ];
    insta::assert_snapshot!(text(&manifest, gates, keys));
}

#[test]
fn an_object_without_a_status_is_pending() {
    assert_eq!(Standing::of(&json!({})).problem(), Some("Pending"));
}
