//! Between the words of the files and those of the World.

use std::collections::BTreeMap;

use serde_json::Value;
use sidegate_bundle::gate::GateName;
use sidegate_operator::world::{
    Kind as WorldKind, Labels, ObjectName as WorldName, Observed, OurSecret, Update,
};

use super::state::State;
use crate::manifest::{Kind, Manifest, ObjectName};

/// The label that an API server puts on every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A name of the World as one of the files.
pub(super) fn to_files(name: &WorldName) -> ObjectName {
    ObjectName { namespace: name.namespace.clone(), name: name.name.clone() }
}

/// A name of the files as one of the World.
pub(super) fn to_world(name: &ObjectName) -> WorldName {
    WorldName::new(&name.namespace, &name.name)
}

/// A Gate's name as one of the files.
pub(super) fn gate_to_files(gate: &GateName) -> ObjectName {
    ObjectName { namespace: gate.namespace.clone(), name: gate.name.clone() }
}

/// A name of the files as a Gate's.
pub(super) fn to_gate(name: &ObjectName) -> GateName {
    GateName::new(&name.namespace, &name.name)
}

/// An object as the World takes it in.
pub(super) fn object(kind: Kind, value: &Value) -> Option<Update> {
    match kind {
        Kind::Gate => {
            let (name, gate) = Observed::read(value.clone()).ok()?;
            Some(Update::Gate(GateName::new(name.namespace, name.name), gate))
        }
        Kind::ApiKey => {
            let (name, key) = Observed::read(value.clone()).ok()?;
            Some(Update::ApiKey(name, key))
        }
        Kind::Namespace => None,
    }
}

/// Everything, as lists: what they lack is gone.
pub(super) fn lists(manifest: &Manifest, state: &State) -> Vec<Update> {
    let mut updates = Vec::new();
    for kind in WorldKind::ALL {
        updates.push(Update::Listing(kind));
        match kind {
            WorldKind::Gate => updates.extend(objects(state, Kind::Gate)),
            WorldKind::ApiKey => updates.extend(objects(state, Kind::ApiKey)),
            WorldKind::Namespace => {
                updates.extend(
                    namespaces(manifest).into_iter().map(|(name, labels)| Update::Namespace(name, labels)),
                );
            }
            WorldKind::Secret => {
                let metas = state.secrets().chain(state.bundles()).map(|(_, meta)| meta);
                updates.extend(
                    metas
                        .filter_map(OurSecret::read)
                        .map(|(name, secret)| Update::Secret(name, secret.listed())),
                );
            }
        }
        updates.push(Update::Listed(kind));
    }
    updates
}

fn objects(state: &State, wanted: Kind) -> impl Iterator<Item = Update> {
    let ours = state.objects().filter(move |(kind, ..)| *kind == wanted);
    ours.filter_map(|(kind, _, value)| object(kind, value)).map(|update| match update {
        Update::Gate(name, gate) => Update::Gate(name, gate.listed()),
        Update::ApiKey(name, key) => Update::ApiKey(name, key.listed()),
        other => other,
    })
}

/// The namespaces that the files name, with the labels that they give them.
fn namespaces(manifest: &Manifest) -> BTreeMap<String, Labels> {
    let mut all: BTreeMap<String, Labels> = BTreeMap::new();
    for object in &manifest.objects {
        let name = if object.kind == Kind::Namespace { &object.name.name } else { &object.name.namespace };
        let labels = all.entry(name.clone()).or_default();
        labels.insert(NAME_LABEL.to_owned(), name.clone());
        if object.kind == Kind::Namespace {
            let written = object.value["metadata"]["labels"].as_object().into_iter().flatten();
            labels.extend(written.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))));
        }
    }
    all
}
