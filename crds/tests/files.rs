//! The files of this folder, and what holds of every field in them.

#![allow(clippy::unwrap_used)] // a test may fail by it

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use sidegate_crds::{ApiKey, Gate, schema, validate};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// Looks at every schema below, with its path.
fn each(schema: &JSONSchemaProps, path: &str, look: &mut impl FnMut(&str, &JSONSchemaProps)) {
    look(path, schema);
    for (name, property) in schema.properties.iter().flatten() {
        each(property, &format!("{path}.{name}"), look);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        each(items, &format!("{path}[]"), look);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        each(values, &format!("{path}{{}}"), look);
    }
}

fn each_of_all(mut look: impl FnMut(&str, &JSONSchemaProps)) {
    for kind in ["Gate", "ApiKey"] {
        each(schema::of(kind).unwrap(), kind, &mut look);
    }
}

#[test]
fn the_committed_files_are_those_that_the_types_make() {
    for (name, text) in sidegate_crds::files() {
        let committed = std::fs::read_to_string(format!("{FOLDER}/{name}")).unwrap_or_default();
        assert!(committed == text, "crds/{name} is not what the types say: run `cargo xtask gen`");
    }
}

#[test]
fn the_files_hold_the_definitions() {
    for (crd, (_, text)) in sidegate_crds::all().into_iter().zip(sidegate_crds::files()) {
        let read: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, crd);
    }
}

#[test]
fn a_definition_is_small_enough_for_client_side_apply() {
    for (name, text) in sidegate_crds::files() {
        assert!(text.len() < 200 * 1024, "{name} has {} bytes", text.len());
    }
}

#[test]
fn every_field_is_described() {
    each_of_all(|path, schema| {
        for (name, property) in schema.properties.iter().flatten() {
            // The API server describes `metadata`, and `spec` and `status` say what their type is.
            let description = property.description.as_deref().unwrap_or_default();
            assert!(description.len() > 10, "{path}.{name} has no description");
            assert!(!description.contains('\n'), "{path}.{name}");
        }
    });
}

#[test]
fn every_list_map_and_text_has_a_maximum() {
    each_of_all(|path, schema| {
        let bounded = match schema.type_.as_deref() {
            Some("string") => schema.max_length.is_some() || schema.enum_.is_some(),
            Some("array") => schema.max_items.is_some(),
            Some("object") => schema.properties.is_some() || schema.max_properties.is_some(),
            Some("integer" | "boolean") => true,
            other => panic!("{path}: type {other:?}"),
        };
        assert!(bounded, "{path} has no maximum");
    });
}

#[test]
fn nothing_is_null_and_only_the_status_has_a_default() {
    each_of_all(|path, schema| {
        assert_eq!(schema.nullable, None, "{path}");
        assert_eq!(schema.default.is_some(), path.ends_with(".status") && !path.contains('['), "{path}");
    });
}

#[test]
fn only_formats_that_the_api_server_knows() {
    each_of_all(|path, schema| {
        let known = schema.format.as_deref().is_none_or(|it| ["date-time", "int32", "int64"].contains(&it));
        assert!(known, "{path}");
    });
}

#[test]
fn a_field_that_may_be_absent_says_what_that_means() {
    each_of_all(|path, schema| {
        if !path.contains(".spec") {
            return;
        }
        let required = schema.required.clone().unwrap_or_default();
        for (name, property) in schema.properties.iter().flatten() {
            let description = property.description.as_deref().unwrap_or_default();
            let whole = property.type_.as_deref() == Some("object") && property.properties.is_some();
            let one_of =
                ["allow", "require", "names", "selector", "matchLabels", "matchExpressions", "values"];
            let says = description.contains("Absent");
            assert!(
                says || whole || required.contains(name) || one_of.contains(&name.as_str()),
                "{path}.{name} does not say what its absence means"
            );
        }
    });
}

#[test]
fn definitions_carry_the_marks_of_helm() {
    for crd in sidegate_crds::all() {
        let annotations = crd.metadata.annotations.unwrap();
        assert_eq!(annotations["helm.sh/resource-policy"], "keep");
        assert_eq!(annotations["meta.helm.sh/release-name"], "sidegate");
        assert_eq!(annotations["meta.helm.sh/release-namespace"], "sidegate-system");
        assert_eq!(crd.metadata.labels.unwrap()["app.kubernetes.io/managed-by"], "Helm");
    }
}

#[test]
fn the_smallest_objects_are_valid_and_mean_their_defaults() {
    let gate: Gate = serde_saphyr::from_str(
        "apiVersion: sidegate.dev/v1alpha1\nkind: Gate\nmetadata: {name: api, namespace: dify}\nspec:\n  ports: [{port: 8080}]\n",
    )
    .unwrap();
    assert_eq!(validate::gate(&gate, None), []);
    let key: ApiKey = serde_saphyr::from_str(
        "apiVersion: sidegate.dev/v1alpha1\nkind: ApiKey\nmetadata: {name: ci-key, namespace: team-a}\nspec:\n  grants: [{gate: api, namespace: dify, scopes: [apps:read]}]\n",
    )
    .unwrap();
    assert_eq!(validate::api_key(&key, None), []);
    assert_eq!(key.spec.secret_name("ci-key"), "ci-key-api-key");
    assert_eq!(key.spec.tenant("team-a"), "ns:team-a");
    let gates: Vec<_> = key.spec.gates("team-a").map(|gate| gate.to_string()).collect();
    assert_eq!(gates, ["dify/api"]);
}

#[test]
fn fields_of_a_newer_definition_do_not_keep_an_object_from_being_read() {
    let gate: Gate = serde_json::from_value(serde_json::json!({
        "apiVersion": "sidegate.dev/v1alpha1", "kind": "Gate", "metadata": {"name": "api"},
        "spec": {"ports": [{"port": 8080, "later": 1}], "later": {"a": []}}, "status": {"later": true}
    }))
    .unwrap();
    assert_eq!(gate.spec.ports.len(), 1);
    let unknown_choice = serde_json::from_value::<Gate>(serde_json::json!({
        "metadata": {"name": "api"}, "spec": {"ports": [{"port": 8080}], "mode": "Shadow"}
    }));
    assert!(unknown_choice.is_err());
}

#[test]
fn a_field_that_does_not_exist_is_refused_with_the_nearest() {
    let object = serde_json::json!({
        "apiVersion": "sidegate.dev/v1alpha1", "kind": "ApiKey", "metadata": {"name": "a"},
        "spec": {"grants": [{"gate": "api", "scope": ["apps:read"]}]}
    });
    let violations: Vec<_> = schema::check("ApiKey", &object).iter().map(ToString::to_string).collect();
    assert_eq!(violations, ["spec.grants[0].scope: there is no such field: did you mean `scopes`?"]);
}

#[test]
fn every_field_and_reason_stands_in_the_reference() {
    let pages: std::collections::BTreeMap<_, _> = sidegate_crds::reference().into_iter().collect();
    assert_eq!(pages.keys().collect::<Vec<_>>(), ["apikey.md", "conditions.md", "gate.md"]);
    assert!(pages["gate.md"].contains("| **`spec.rules[].match[].path.value`** | text |"));
    assert!(pages["apikey.md"].contains("| `spec.tenant` | tenant cannot be changed"));
    for reason in sidegate_crds::condition::Reason::ALL {
        assert!(pages["conditions.md"].contains(&format!("| `{}` |", reason.as_str())), "{reason:?}");
    }
}
