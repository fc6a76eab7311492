//! The schema's own bounds: types, enums, lengths, required and unknown fields.
//!
//! The API server checks them; [`check`] does the same for YAML that never sees one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::validate::Violation;

/// The form of a time that the API server and we read alike.
const TIME_FORM: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$";

static SCHEMAS: LazyLock<BTreeMap<String, JSONSchemaProps>> = LazyLock::new(|| {
    let root = |crd: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition| {
        let schema = crd.spec.versions.into_iter().next()?.schema?.open_api_v3_schema?;
        Some((crd.spec.names.kind, schema))
    };
    crate::all().into_iter().filter_map(root).collect()
});

/// The schema of a kind of ours, such as `Gate`.
pub fn of(kind: &str) -> Option<&'static JSONSchemaProps> {
    SCHEMAS.get(kind)
}

/// What of `object` the schema of `kind` refuses, unknown fields included. A kind that is not ours
/// is refused as a whole.
pub fn check(kind: &str, object: &Value) -> Vec<Violation> {
    let mut violations = Vec::new();
    match of(kind) {
        Some(schema) => walk(schema, object, &mut String::new(), &mut violations),
        None => violations.push(Violation::new("kind", format!("{kind} is not a kind of {}", crate::GROUP))),
    }
    violations
}

/// Takes the nulls of maps away, as the API server does before it looks at an object.
pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// What of `spec` the schema of `kind` refuses.
pub(crate) fn check_spec(kind: &str, spec: &Value, violations: &mut Vec<Violation>) {
    if let Some(schema) = of(kind).and_then(|schema| schema.properties.as_ref()?.get("spec")) {
        walk(schema, spec, &mut "spec".to_owned(), violations);
    }
}

/// A point in time (RFC 3339).
pub(crate) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 35, "pattern": TIME_FORM})
}

/// A map of labels.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 32, "additionalProperties": {"type": "string", "maxLength": 63}})
}

/// A map of annotations.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 32, "additionalProperties": {"type": "string", "maxLength": 1024}})
}

/// Takes the description of a type away, so that the field's own stands alone.
pub(crate) fn undescribed(schema: &mut Schema) {
    schema.remove("description");
}

/// Checks one value and what is in it. `path` is the same again afterwards.
fn walk(schema: &JSONSchemaProps, value: &Value, path: &mut String, found: &mut Vec<Violation>) {
    let kind = schema.type_.as_deref().unwrap_or("object");
    match (kind, value) {
        ("string", Value::String(text)) => string(schema, text, path, found),
        ("integer", Value::Number(number)) => integer(schema, number.as_i64(), path, found),
        ("boolean", Value::Bool(_)) => {}
        ("array", Value::Array(items)) => array(schema, items, path, found),
        ("object", Value::Object(fields)) => object(schema, fields, path, found),
        _ => {
            let wanted = match kind {
                "string" => "a text; put numbers, true and false into quotes",
                "integer" => "a whole number",
                "boolean" => "true or false",
                "array" => "a list",
                _ => "a map",
            };
            found.push(Violation::new(path.as_str(), format!("must be {wanted}")));
        }
    }
}

fn string(schema: &JSONSchemaProps, text: &str, path: &str, found: &mut Vec<Violation>) {
    if let Some(choices) = &schema.enum_ {
        if !choices.iter().any(|choice| choice.0 == text) {
            let choices =
                choices.iter().filter_map(|choice| choice.0.as_str()).collect::<Vec<_>>().join(", ");
            found.push(Violation::new(path, format!("`{text}` is none of {choices}")));
        }
        return;
    }
    bounds(text.chars().count(), schema.min_length, schema.max_length, "characters", path, found);
    if schema.format.as_deref() == Some("date-time") && !is_time(text) {
        let message =
            "must be a time with a zone in the years 2000 to 2999, such as \"2027-01-01T00:00:00Z\"";
        found.push(Violation::new(path, message));
    }
}

fn integer(schema: &JSONSchemaProps, number: Option<i64>, path: &str, found: &mut Vec<Violation>) {
    #[allow(clippy::cast_possible_truncation)] // bounds of ours are small whole numbers
    let (least, most) = (schema.minimum.map(|bound| bound as i64), schema.maximum.map(|bound| bound as i64));
    let message = match (number, least, most) {
        (None, ..) => "must be a whole number".to_owned(),
        (Some(number), Some(least), Some(most)) if !(least..=most).contains(&number) => {
            format!("must be {least} to {most}")
        }
        (Some(number), Some(least), None) if number < least => format!("must be at least {least}"),
        (Some(number), None, Some(most)) if number > most => format!("must be at most {most}"),
        _ => return,
    };
    found.push(Violation::new(path, message));
}

fn array(schema: &JSONSchemaProps, items: &[Value], path: &mut String, found: &mut Vec<Violation>) {
    bounds(items.len(), schema.min_items, schema.max_items, "items", path, found);
    let Some(JSONSchemaPropsOrArray::Schema(item_schema)) = &schema.items else { return };
    let keys = schema.x_kubernetes_list_map_keys.as_deref().unwrap_or_default();
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let key: Vec<_> = keys.iter().filter_map(|key| item.get(key)).map(ToString::to_string).collect();
        let entry = format!("[{index}]");
        within(path, &entry, |path| {
            if !keys.is_empty() && !seen.insert(key) {
                let message =
                    format!("a second entry with the same {}: make one of the two", keys.join(" and "));
                found.push(Violation::new(path.as_str(), message));
            }
            walk(item_schema, item, path, found);
        });
    }
}

fn object(
    schema: &JSONSchemaProps,
    fields: &serde_json::Map<String, Value>,
    path: &mut String,
    found: &mut Vec<Violation>,
) {
    bounds(fields.len(), schema.min_properties, schema.max_properties, "entries", path, found);
    for name in schema.required.iter().flatten().filter(|name| fields.get(*name).is_none_or(Value::is_null)) {
        within(path, &dotted(path, name), |path| {
            found.push(Violation::new(path.as_str(), "is required"));
        });
    }
    let at_root = path.is_empty();
    // As in the API server, a null is as good as absent.
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let known = schema.properties.as_ref().and_then(|known| known.get(name));
        let step = dotted(path, name);
        within(path, &step, |path| match (known, &schema.additional_properties) {
            (Some(known), _) => walk(known, value, path, found),
            (None, Some(JSONSchemaPropsOrBool::Schema(values))) => walk(values, value, path, found),
            (None, _) if at_root && ["apiVersion", "kind", "metadata"].contains(&name.as_str()) => {}
            (None, _) => found.push(Violation::new(path.as_str(), unknown(name, schema))),
        });
    }
}

/// What is said of a field that does not exist.
fn unknown(name: &str, schema: &JSONSchemaProps) -> String {
    let known = schema.properties.iter().flatten().map(|(known, _)| known.as_str());
    let nearest = known.map(|known| (distance(name, known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= 2 => {
            format!("there is no such field: did you mean `{known}`?")
        }
        _ => "there is no such field".to_owned(),
    }
}

fn bounds(
    size: usize,
    least: Option<i64>,
    most: Option<i64>,
    what: &str,
    path: &str,
    found: &mut Vec<Violation>,
) {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    match (least, most) {
        (Some(least), _) if size < least => {
            found.push(Violation::new(path, format!("must have at least {least} {what}")));
        }
        (_, Some(most)) if size > most => {
            found.push(Violation::new(path, format!("must have at most {most} {what}")));
        }
        _ => {}
    }
}

/// [`TIME_FORM`], and a day that exists.
fn is_time(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range).is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let bytes = text.as_bytes();
    let fixed = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let head = fixed.iter().all(|(at, byte)| bytes.get(*at) == Some(byte))
        && [0..4, 5..7, 8..10, 11..13, 14..16, 17..19].into_iter().all(digits);
    let Some(mut zone) = text.get(19..).filter(|_| head) else { return false };
    if let Some(fraction) = zone.strip_prefix('.') {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=9).contains(&length) {
            return false;
        }
        zone = &fraction[length..];
    }
    let offset = |zone: &str| {
        let (hours, minutes) = (zone.get(1..3), zone.get(4..6));
        zone.len() == 6
            && zone.starts_with(['+', '-'])
            && zone.as_bytes().get(3) == Some(&b':')
            && hours.and_then(|hours| hours.parse::<u8>().ok()).is_some_and(|hours| hours <= 14)
            && minutes.and_then(|minutes| minutes.parse::<u8>().ok()).is_some_and(|minutes| minutes <= 59)
    };
    (zone == "Z" || offset(zone)) && text.parse::<Timestamp>().is_ok()
}

/// Runs `what` with `step` added to the path.
fn within(path: &mut String, step: &str, what: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push_str(step);
    what(path);
    path.truncate(length);
}

fn dotted(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!(".{name}") }
}

/// How many characters must be changed, added or taken away (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, character) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, candidate) in other.iter().enumerate() {
            let kept = diagonal + usize::from(*candidate != character);
            diagonal = row[column + 1];
            row[column + 1] = kept.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}
