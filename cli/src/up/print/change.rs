//! What an edit changed, in a few words.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::manifest::{Kind, Manifest, Object, ObjectName};

/// One object that an edit changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The file that has it, or had it.
    pub(crate) file: String,
    pub(crate) kind: Kind,
    pub(crate) name: ObjectName,
    /// `scopes +apps:write`.
    pub(crate) what: String,
}

type Key = (Kind, ObjectName);

/// What is different in `new`.
pub(crate) fn changes(old: &Manifest, new: &Manifest) -> Vec<Change> {
    let index = |manifest: &Manifest| -> BTreeMap<Key, Object> {
        let objects = manifest.objects.iter();
        objects.map(|object| ((object.kind, object.name.clone()), object.clone())).collect()
    };
    let (old, new) = (index(old), index(new));
    let keys: BTreeSet<&Key> = old.keys().chain(new.keys()).collect();
    let change = |(kind, name): &Key| {
        let key = (*kind, name.clone());
        let (file, what) = match (old.get(&key), new.get(&key)) {
            (Some(old), Some(new)) if old.value == new.value => return None,
            (Some(old), Some(new)) => (&new.file, difference(&old.value, &new.value)),
            (None, Some(new)) => (&new.file, "new".to_owned()),
            (Some(old), None) if *kind == Kind::ApiKey => {
                (&old.file, "deleted, its key is refused".to_owned())
            }
            (Some(old), None) => (&old.file, "deleted".to_owned()),
            (None, None) => return None,
        };
        Some(Change { file: file.clone(), kind: *kind, name: name.clone(), what })
    };
    keys.into_iter().filter_map(change).collect()
}

// === impl Change ===

impl Change {
    /// `ApiKey team-a/ci-key`.
    pub(crate) fn object(&self) -> String {
        match self.kind {
            Kind::Namespace => format!("Namespace {}", self.name.name),
            kind => format!("{} {}", kind.as_str(), self.name),
        }
    }
}

fn difference(old: &Value, new: &Value) -> String {
    let mut words = Vec::new();
    let scopes = scopes(old, new);
    if !scopes.is_empty() {
        words.push(format!("scopes {scopes}"));
    }
    for part in ["spec", "metadata"] {
        let (old, new) = (&old[part], &new[part]);
        for key in fields(old).chain(fields(new)).collect::<BTreeSet<_>>() {
            let (old, new) = (&old[key], &new[key]);
            if old == new
                || (key == "grants" && !scopes.is_empty() && without_scopes(old) == without_scopes(new))
            {
                continue;
            }
            words.push(match new {
                Value::Null => format!("{key} taken away"),
                Value::Bool(_) | Value::Number(_) => format!("{key}: {new}"),
                Value::String(text) if text.chars().count() <= 40 => format!("{key}: {text}"),
                _ => format!("{key} changed"),
            });
        }
    }
    if words.is_empty() { "changed".to_owned() } else { words.join(", ") }
}

/// `+apps:write -apps:read`, over all grants.
fn scopes(old: &Value, new: &Value) -> String {
    let all = |object: &Value| -> BTreeSet<String> {
        let grants = object["spec"]["grants"].as_array().into_iter().flatten();
        let scopes = grants.flat_map(|grant| grant["scopes"].as_array().into_iter().flatten());
        scopes.filter_map(|scope| scope.as_str().map(str::to_owned)).collect()
    };
    let (old, new) = (all(old), all(new));
    let added = new.difference(&old).map(|scope| format!("+{scope}"));
    let taken = old.difference(&new).map(|scope| format!("-{scope}"));
    added.chain(taken).collect::<Vec<_>>().join(" ")
}

fn without_scopes(grants: &Value) -> Value {
    let mut grants = grants.clone();
    for grant in grants.as_array_mut().into_iter().flatten() {
        if let Some(grant) = grant.as_object_mut() {
            grant.remove("scopes");
        }
    }
    grants
}

fn fields(value: &Value) -> impl Iterator<Item = &str> {
    value.as_object().into_iter().flat_map(|object| object.keys().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(objects: &[(&str, Value)]) -> Manifest {
        let objects = objects.iter().map(|(name, spec)| Object {
            kind: Kind::ApiKey,
            name: ObjectName { namespace: "team-a".to_owned(), name: (*name).to_owned() },
            value: json!({"metadata": {"name": name}, "spec": spec}),
            file: "a.yaml".to_owned(),
        });
        Manifest { objects: objects.collect(), ..Manifest::default() }
    }

    fn said(old: &[(&str, Value)], new: &[(&str, Value)]) -> Vec<String> {
        let all = changes(&manifest(old), &manifest(new));
        all.into_iter().map(|change| format!("{}: {}", change.object(), change.what)).collect()
    }

    #[test]
    fn a_change_is_said_in_the_words_of_the_file() {
        let key = |scopes: &[&str]| json!({"grants": [{"gate": "api", "scopes": scopes}]});
        for (old, new, what) in [
            (key(&["apps:read"]), key(&["apps:read", "apps:write"]), "scopes +apps:write"),
            (key(&["a", "b"]), key(&["b", "c"]), "scopes +c -a"),
            (key(&["a"]), json!({"grants": [{"gate": "web", "scopes": ["a"]}]}), "grants changed"),
            (json!({"a": 1}), json!({"a": 1, "suspended": true}), "suspended: true"),
            (json!({"expiresAt": "x"}), json!({}), "expiresAt taken away"),
            (json!({"r": 1, "o": "a"}), json!({"r": [1], "o": "b"}), "o: b, r changed"),
        ] {
            assert_eq!(said(&[("k", old)], &[("k", new)]), [format!("ApiKey team-a/k: {what}")]);
        }
    }

    #[test]
    fn what_came_and_what_went_is_said() {
        assert_eq!(
            said(&[("a", json!({})), ("b", json!({}))], &[("b", json!({})), ("c", json!({}))]),
            ["ApiKey team-a/a: deleted, its key is refused", "ApiKey team-a/c: new"]
        );
        assert!(said(&[("a", json!({}))], &[("a", json!({}))]).is_empty());
    }
}
