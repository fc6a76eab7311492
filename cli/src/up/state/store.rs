//! Reads a state folder back. What does not parse is as if it were not there: the objects come
//! from the user's files anyhow, and a Secret without a readable record is minted anew.

use std::{collections::BTreeMap, fs, path::Path};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::Folder;
use crate::manifest::{Kind, ObjectName};

/// The objects under `objects/`.
pub(super) fn objects(folder: &Path) -> BTreeMap<(Kind, ObjectName), Value> {
    let mut objects = BTreeMap::new();
    for file in names(folder).iter().flat_map(|namespace| {
        let namespace = folder.join(namespace);
        names(&namespace).into_iter().map(move |file| namespace.join(file))
    }) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let Ok(object) = serde_saphyr::from_str::<Value>(&text) else { continue };
        let kind = match object["kind"].as_str() {
            Some("Gate") => Kind::Gate,
            Some("ApiKey") => Kind::ApiKey,
            _ => continue,
        };
        let text = |key: &str| object["metadata"][key].as_str().map(str::to_owned);
        if let (Some(namespace), Some(name), Some(_)) = (text("namespace"), text("name"), text("uid")) {
            objects.insert((kind, ObjectName { namespace, name }), object);
        }
    }
    objects
}

/// The metadata of the folders under `<folder>/<namespace>/`.
pub(super) fn folders(folder: &Path) -> BTreeMap<ObjectName, ObjectMeta> {
    let mut found = BTreeMap::new();
    for namespace in names(folder) {
        for name in names(&folder.join(&namespace)) {
            let name = ObjectName { namespace: namespace.clone(), name };
            if let Some(meta) = Folder::new(folder, &name).meta() {
                found.insert(name, meta);
            }
        }
    }
    found
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
