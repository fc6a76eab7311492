//! From the types to the files: what the derived CustomResourceDefinition lacks or has too much of.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Value, json};

/// Helm's marks of ownership: with them `kubectl apply -f crds/` first and `helm install` then
/// works, and `helm uninstall` deletes no definition, so that no object of ours is lost by it.
const ANNOTATIONS: [(&str, &str); 3] = [
    ("helm.sh/resource-policy", "keep"),
    ("meta.helm.sh/release-name", "sidegate"),
    ("meta.helm.sh/release-namespace", "sidegate-system"),
];
const LABELS: [(&str, &str); 1] = [("app.kubernetes.io/managed-by", "Helm")];

/// The formats that an API server knows; it warns about others.
const FORMATS: [&str; 3] = ["date-time", "int32", "int64"];

/// Finishes a derived definition.
pub(crate) fn finish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    crd.metadata.annotations.get_or_insert_default().extend(ANNOTATIONS.map(owned));
    crd.metadata.labels.get_or_insert_default().extend(LABELS.map(owned));
    for version in &mut crd.spec.versions {
        let Some(root) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) else {
            continue;
        };
        tidy(root);
        if let Some(status) = root.properties.as_mut().and_then(|properties| properties.get_mut("status")) {
            status.default = Some(JSON(first_status()));
        }
    }
    crd
}

/// The file's text: a line that says where it comes from, then the definition.
pub fn yaml(crd: &CustomResourceDefinition) -> String {
    let value = serde_json::to_value(crd).map(integers).unwrap_or_default();
    let text = serde_saphyr::to_string(&value).unwrap_or_default();
    format!("# Made from crds/src by `cargo xtask gen`: change the types, not this file.\n{text}")
}

/// The status of an object that the operator has not looked at. Tools that wait (kstatus) then
/// know that there is something to wait for.
fn first_status() -> Value {
    json!({"conditions": [{
        "type": "Ready",
        "status": "Unknown",
        "reason": "Pending",
        "message": "the operator has not looked at it yet",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }]})
}

/// Takes out what Kubernetes does not want, all the way down.
fn tidy(schema: &mut JSONSchemaProps) {
    // Absent is how the API says "nothing"; null would be a second way.
    schema.nullable = None;
    // What is absent has the meaning that its description gives; a default that the API server
    // writes into a list's items shows up as drift in GitOps tools.
    schema.default = None;
    schema.format.take_if(|format| !FORMATS.contains(&format.as_str()));
    if let Some(description) = &mut schema.description {
        *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        tidy(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}

/// Whole numbers without a fraction: the schema's types hold bounds as floating point.
fn integers(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            #[allow(clippy::cast_possible_truncation)] // checked: it is whole and small
            Some(float) if !number.is_i64() && float.fract() == 0.0 && float.abs() < 9e15 => {
                Value::from(float as i64)
            }
            _ => Value::Number(number),
        },
        Value::Array(items) => Value::Array(items.into_iter().map(integers).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, value)| (key, integers(value))).collect())
        }
        other => other,
    }
}
