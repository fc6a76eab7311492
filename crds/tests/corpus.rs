//! The Rust twin agrees with the corpus, and the corpus has an accepted and a refused example of
//! every rule. That the API server agrees with it as well is shown where there is one.

#![allow(clippy::unwrap_used)] // a test may fail by it

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};
use serde::Deserialize;
use serde_json::{Value, json};
use sidegate_crds::{ApiKey, Gate, Violation, schema, validate};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    called: Option<String>,
    object: Value,
    #[serde(default)]
    old: Option<Value>,
    #[serde(default)]
    refused: Option<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    #[serde(default)]
    path: Option<String>,
    message: String,
    #[serde(default)]
    twin: Option<String>,
}

const CORPORA: [(&str, &str); 2] =
    [("Gate", include_str!("corpus/gate.yaml")), ("ApiKey", include_str!("corpus/api_key.yaml"))];

fn cases(text: &str) -> Vec<Case> {
    serde_saphyr::from_str(text).unwrap()
}

impl Case {
    fn whole(&self, kind: &str, spec: &Value) -> Value {
        let name = self.called.as_deref().unwrap_or("case");
        json!({
            "apiVersion": "sidegate.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": "default"}, "spec": spec
        })
    }

    /// What the schema says of the text, and what the twin says of the object, if there is one.
    fn violations(&self, kind: &str) -> (Vec<Violation>, Result<Vec<Violation>, serde_json::Error>) {
        let new = self.whole(kind, &self.object);
        let old = self.old.as_ref().map(|old| self.whole(kind, old));
        (schema::check(kind, &new), twin(kind, new, old))
    }
}

fn twin(kind: &str, new: Value, old: Option<Value>) -> Result<Vec<Violation>, serde_json::Error> {
    let new = schema::without_nulls(new);
    if kind == "Gate" {
        let old: Option<Gate> = old.map(serde_json::from_value).transpose()?;
        Ok(validate::gate(&serde_json::from_value(new)?, old.as_ref()))
    } else {
        let old: Option<ApiKey> = old.map(serde_json::from_value).transpose()?;
        Ok(validate::api_key(&serde_json::from_value(new)?, old.as_ref()))
    }
}

#[test]
fn names_of_cases_are_unique() {
    for (_, text) in CORPORA {
        let cases = cases(text);
        let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
        assert_eq!(names.len(), cases.len());
    }
}

#[test]
fn the_twin_accepts_what_the_corpus_accepts() {
    for (kind, text) in CORPORA {
        for case in cases(text).iter().filter(|case| case.refused.is_none()) {
            let (schema, twin) = case.violations(kind);
            assert_eq!(schema, [], "{kind}: {}", case.name);
            assert_eq!(twin.unwrap(), [], "{kind}: {}", case.name);
        }
    }
}

#[test]
fn the_twin_refuses_what_the_corpus_refuses_and_says_why() {
    for (kind, text) in CORPORA {
        for case in cases(text) {
            let Some(refused) = &case.refused else { continue };
            let (schema, twin) = case.violations(kind);
            let said = refused.twin.as_ref().unwrap_or(&refused.message);
            let fits = |violation: &&Violation| {
                refused.path.as_ref().is_none_or(|path| *path == violation.path)
                    && violation.message.contains(said)
            };
            match twin {
                // Of an object that cannot be read the schema says why, or the parser does.
                Err(error) => {
                    let by_schema = schema.iter().find(fits).is_some();
                    let by_parser = error.to_string().contains("is not a duration");
                    assert!(by_schema || by_parser, "{kind}: {}: {schema:?} {error}", case.name);
                }
                Ok(twin) => assert!(twin.iter().find(fits).is_some(), "{kind}: {}: {twin:?}", case.name),
            }
        }
    }
}

/// Every rule of the schema: the path of the field that has it, the path that is named, the message.
fn rules(schema: &JSONSchemaProps, path: &str, out: &mut Vec<(String, String, String)>) {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        let named = format!("{path}{}", rule.field_path.as_deref().unwrap_or_default());
        out.push((path.to_owned(), named, rule.message.clone().unwrap()));
    }
    for (name, property) in schema.properties.iter().flatten() {
        let step = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        rules(property, &step, out);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        rules(items, &format!("{path}[]"), out);
    }
}

/// Is there a value at a path such as `spec.rules[].name`?
fn has(value: &Value, path: &str) -> bool {
    let Some((step, rest)) = path.split_once('.').or((!path.is_empty()).then_some((path, ""))) else {
        return !value.is_null();
    };
    match step.strip_suffix("[]") {
        Some(list) => value[list].as_array().is_some_and(|items| items.iter().any(|item| has(item, rest))),
        None => has(&value[step], rest),
    }
}

fn without_indexes(path: &str) -> String {
    path.split('[')
        .enumerate()
        .map(
            |(n, part)| {
                if n == 0 { part.to_owned() } else { format!("[{}", &part[part.find(']').unwrap()..]) }
            },
        )
        .collect()
}

#[test]
fn every_rule_has_an_accepted_and_a_refused_example() {
    for (kind, text) in CORPORA {
        let cases = cases(text);
        let mut all = Vec::new();
        rules(schema::of(kind).unwrap(), "", &mut all);
        assert!(all.len() > 20, "{kind} has rules");
        for (holder, named, message) in all {
            let accepted = cases.iter().any(|case| {
                let about_a_change = message.contains("cannot be changed") && case.old.is_none();
                case.refused.is_none() && !about_a_change && has(&case.whole(kind, &case.object), &holder)
            });
            assert!(accepted, "{kind}: no accepted example of {holder}: {message}");
            let refused = cases.iter().filter_map(|case| case.refused.as_ref()).any(|refused| {
                message.contains(&refused.message)
                    && refused.path.as_deref().is_none_or(|path| without_indexes(path) == named)
            });
            assert!(refused, "{kind}: no refused example of {named}: {message}");
        }
    }
}
