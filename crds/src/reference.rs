//! The pages of `docs/reference` that are made from the types: one a kind, and the conditions.

use std::fmt::Write;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use crate::{
    condition::{ConditionType, Finding, Reason},
    schema,
};

const MADE: &str = "<!-- Made from crds/src by `cargo xtask gen`: change the types, not this page. -->\n";

/// The pages: name and text.
pub fn reference() -> Vec<(String, String)> {
    let mut pages: Vec<_> = crate::all()
        .into_iter()
        .filter_map(|crd| {
            let kind = crd.spec.names.kind;
            Some((format!("{}.md", kind.to_lowercase()), kind_page(&kind, schema::of(&kind)?)))
        })
        .collect();
    pages.push(("conditions.md".to_owned(), conditions_page()));
    pages
}

/// All fields of a kind, and what is refused.
fn kind_page(kind: &str, root: &JSONSchemaProps) -> String {
    let mut rows = String::new();
    let mut rules = String::new();
    rule_lines("", root, &mut rules);
    for part in ["spec", "status"] {
        if let Some(schema) = root.properties.as_ref().and_then(|parts| parts.get(part)) {
            field_rows(part, schema, &mut rows, &mut rules);
        }
    }
    let about = escape(root.description.as_deref().unwrap_or_default());
    format!(
        "{MADE}\n# {kind}\n\n`apiVersion: {}/{}`, `kind: {kind}`\n\n{about}\n\n\
         ## Fields\n\nA field in bold is required.\n\n| field | type | |\n|---|---|---|\n{rows}\n\
         ## What is refused\n\nWhat breaks one of these rules is refused by `kubectl apply`, with this message.\n\n\
         | field | message |\n|---|---|\n{rules}",
        crate::GROUP,
        crate::VERSION,
    )
}

/// A row for each field below `schema`, and the rules of each.
fn field_rows(path: &str, schema: &JSONSchemaProps, rows: &mut String, rules: &mut String) {
    rule_lines(path, schema, rules);
    for (name, field) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        let required = schema.required.iter().flatten().any(|required| required == name);
        let mark = if required { "**" } else { "" };
        let about = escape(field.description.as_deref().unwrap_or_default());
        let _ = writeln!(rows, "| {mark}`{path}`{mark} | {} | {about} |", type_of(field));
        field_rows(&path, field, rows, rules);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        field_rows(&format!("{path}[]"), items, rows, rules);
    }
}

fn rule_lines(path: &str, schema: &JSONSchemaProps, rules: &mut String) {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        let path = format!("{path}{}", rule.field_path.as_deref().unwrap_or_default());
        let path = if path.is_empty() { "metadata.name" } else { &path };
        let message = escape(rule.message.as_deref().unwrap_or_default());
        let _ = writeln!(rules, "| `{path}` | {message} |");
    }
}

/// The type of a field in a few words.
fn type_of(schema: &JSONSchemaProps) -> String {
    if let Some(choices) = &schema.enum_ {
        return choices.iter().filter_map(|choice| choice.0.as_str()).collect::<Vec<_>>().join(", ");
    }
    match (schema.type_.as_deref(), schema.format.as_deref()) {
        (_, Some("date-time")) => "time".to_owned(),
        (Some("string"), _) => "text".to_owned(),
        (Some("integer"), _) => "number".to_owned(),
        (Some("boolean"), _) => "true or false".to_owned(),
        (Some("array"), _) => match &schema.items {
            Some(JSONSchemaPropsOrArray::Schema(items)) => format!("list of {}", type_of(items)),
            _ => "list".to_owned(),
        },
        _ => match &schema.additional_properties {
            Some(JSONSchemaPropsOrBool::Schema(values)) => format!("map to {}", type_of(values)),
            _ => "map".to_owned(),
        },
    }
}

/// Every reason, by condition, with what it means and what is said.
fn conditions_page() -> String {
    let mut page = format!(
        "{MADE}\n# Conditions\n\n`Ready` sums up: it is False with the reason of the first condition that fails. \
         `Stalled` is True, with the same reason, when only a user can help.\n"
    );
    let examples = Finding::examples();
    for kind in ConditionType::ALL {
        let mut rows = String::new();
        for reason in Reason::ALL.iter().filter(|reason| reason.sets().0 == kind) {
            let said = examples.iter().filter(|finding| finding.reason() == *reason);
            let said = said.map(|finding| escape(&finding.message())).collect::<Vec<_>>().join("<br>");
            let status = reason.sets().1.as_str();
            let _ = writeln!(
                rows,
                "| `{}` | {status} | {} | {said} |",
                reason.as_str(),
                escape(reason.meaning())
            );
        }
        if !rows.is_empty() {
            let _ = write!(
                page,
                "\n## {}\n\n| reason | status | meaning | messages, such as |\n|---|---|---|---|\n{rows}",
                kind.as_str()
            );
        }
    }
    page
}

/// Text as Markdown shows it, in a cell of a table.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '*' | '_' | '|' | '`' | '[' | ']' => out.extend(['\\', character]),
            _ => out.push(character),
        }
    }
    out
}
