use serde_json::json;

use super::*;
use crate::{manifest::parse, output::Palette};

/// What is said of `text` by `schema`, for a kind `Thing`.
fn said(schema: Value, text: &str) -> String {
    let source = Source::new("a.yaml", text);
    let mut problems = Vec::new();
    for document in parse::documents(&source, &mut problems) {
        Schemas::one("Thing", schema.clone()).check("Thing", &document, &source, &mut problems);
    }
    let mut out = Vec::new();
    for problem in problems {
        problem.write(&mut out, Palette::plain()).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn thing(properties: Value) -> Value {
    json!({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}})
}

#[test]
fn every_word_of_the_schema_is_checked() {
    let schema = thing(json!({
        "text": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
        "choice": {"type": "string", "enum": ["One", "Two"]},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "share": {"type": "number", "maximum": 1},
        "flag": {"type": "boolean"},
        "time": {"type": "string", "format": "date-time"},
        "list": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
        "map": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1},
        "one": {"type": "object", "properties": {"a": {"type": "string"}}, "minProperties": 1},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "either": {"x-kubernetes-int-or-string": true},
        "inner": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "size": {"type": "integer"}}},
    }));
    let good = "spec:\n  text: abc\n  choice: One\n  port: 8080\n  share: 0.5\n  flag: true\n  time: 2027-01-01T00:00:00Z\n  \
                list: [a]\n  map: {x: z}\n  one: {a: b}\n  open: {z: 1}\n  either: 5\n  inner: {name: m}\n";
    assert_eq!(said(schema.clone(), good), "");
    let bad = "spec:\n  text: A\n  choice: one\n  port: 70000\n  share: 2\n  flag: 1\n  time: tomorrow\n  \
               list: [a, 1, no]\n  map: {x: 1, y: b}\n  one: {}\n  open: []\n  either: true\n  inner: {size: 1.5}\n";
    insta::assert_snapshot!(said(schema, bad));
}

#[test]
fn what_is_no_time_is_said_once_and_by_example() {
    let time = json!({"type": "string", "format": "date-time", "pattern": "^[0-9T:-]+Z$"});
    let said = |text: &str| said(thing(json!({"time": time})), &format!("spec: {{time: '{text}'}}\n"));
    let no_time = said("tomorrow");
    assert_eq!(no_time.matches("error").count(), 1, "{no_time}");
    assert!(no_time.contains("write it like 2027-01-01T00:00:00Z"), "{no_time}");
    let other = said("2027-01-01T00:00:00+01:00");
    assert!(other.contains("it has to match ^[0-9T:-]+Z$"), "{other}");
    assert_eq!(said("2027-01-01T00:00:00Z"), "");
}

#[test]
fn an_unknown_field_is_named_with_what_was_probably_meant_or_with_all_that_there_are() {
    let schema = thing(json!({"scopes": {"type": "string"}, "gate": {"type": "string"}}));
    insta::assert_snapshot!(said(
        schema,
        "spec:\n  scope: a\n  completely: different\nstatus: {any: thing}\n"
    ));
}

#[test]
fn a_key_that_yaml_reads_as_a_boolean_has_to_be_quoted() {
    let said = said(thing(json!({"on": {"type": "boolean"}})), "spec:\n  on: true\n");
    assert!(said.ends_with("  2 |   on: true\n    |   ^^ write \"on\", in quotes\n"), "{said}");
}

#[test]
fn a_field_that_is_null_is_as_if_it_were_not_there() {
    let schema = json!({"type": "object", "required": ["spec"], "properties": {"spec": {"type": "object"}}});
    assert_eq!(said(schema.clone(), "spec: {}\n"), "");
    assert_eq!(said(thing(json!({"a": {"type": "string"}})), "spec: {a: null}\n"), "");
    assert!(said(schema, "spec:\n").starts_with("error: a.yaml:1:1: missing field `spec` in Thing\n"));
}

#[test]
fn lists_that_are_sets_or_maps_have_each_item_once() {
    let schema = thing(json!({
        "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "map": {
            "type": "array",
            "items": {"type": "object", "properties": {"gate": {"type": "string"}, "namespace": {"type": "string", "default": ""}}},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["gate", "namespace"],
        },
    }));
    let good = "spec:\n  set: [a, b]\n  map: [{gate: a}, {gate: a, namespace: x}, {gate: b}]\n";
    assert_eq!(said(schema.clone(), good), "");
    insta::assert_snapshot!(said(
        schema,
        "spec:\n  set: [a, b, a]\n  map:\n    - gate: a\n    - {gate: a, namespace: \"\"}\n"
    ));
}
