//! Secrets of ours as they stand at the API server: made, changed and read. Pure; what is in them
//! of others is left alone.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::api::ObjectMeta;
use sidegate_bundle::{
    GateBundle, Revision,
    document::{self, FILE},
    gate::{GateName, SECRET_TYPE},
};
use sidegate_crds::{GROUP, VERSION};

use super::precondition;
use crate::{
    plan::{BundleWrite, CredentialSecret},
    world::{
        BUNDLE, CREDENTIAL_TYPE, DIGEST_ANNOTATION, InForce, KIND_LABEL, Owner, REVISION_ANNOTATION, Tick,
    },
};

/// The Secret of a new credential.
pub(super) fn credential(wanted: &CredentialSecret) -> Secret {
    let mut metadata = ObjectMeta {
        name: Some(wanted.name.name.clone()),
        namespace: Some(wanted.name.namespace.clone()),
        labels: Some(wanted.labels.clone()),
        annotations: Some(wanted.annotations.clone()),
        ..ObjectMeta::default()
    };
    own(&mut metadata, &wanted.owner);
    let data = wanted.data.iter().map(|(key, value)| (key.clone(), ByteString(value.expose().to_vec())));
    Secret {
        metadata,
        type_: Some(CREDENTIAL_TYPE.to_owned()),
        data: Some(data.collect()),
        ..Secret::default()
    }
}

/// The bundle's Secret: `live` with what should be in it, everything of others left alone.
pub(super) fn bundle(mut live: Secret, write: &BundleWrite, revision: Revision, bytes: Vec<u8>) -> Secret {
    let metadata = &mut live.metadata;
    metadata.name = Some(write.gate.secret_name());
    metadata.namespace = Some(write.gate.namespace.clone());
    let labels = BTreeMap::from([(KIND_LABEL.to_owned(), BUNDLE.to_owned())]);
    let annotations = BTreeMap::from([
        (REVISION_ANNOTATION.to_owned(), revision.to_string()),
        (DIGEST_ANNOTATION.to_owned(), write.digest.clone()),
    ]);
    change(&mut metadata.labels, &[], &labels);
    change(&mut metadata.annotations, &[], &annotations);
    own(metadata, &write.owner);
    live.type_ = Some(SECRET_TYPE.to_owned());
    live.data = Some(BTreeMap::from([(FILE.to_owned(), ByteString(bytes))]));
    live
}

/// The highest revision that a Secret speaks of, so that the next is higher even after one was
/// tampered with; and revision and digest of the bundle that is really in it.
pub(super) fn written(live: &Secret) -> (Option<Revision>, Option<(Revision, String)>) {
    let annotations = live.metadata.annotations.as_ref();
    let annotated = annotations.and_then(|annotations| annotations.get(REVISION_ANNOTATION)?.parse().ok());
    let bytes = live.data.as_ref().and_then(|data| data.get(FILE));
    let bundle = bytes.and_then(|bytes| document::unpack::<GateBundle>(&bytes.0).ok());
    let revision = annotated.map(Revision).max(bundle.as_ref().map(|bundle| bundle.revision));
    (revision, bundle.and_then(|bundle| Some((bundle.revision, bundle.digest().ok()?))))
}

/// The bundle that is in a live Secret of `gate`, to be gone on from. A Secret that is not as we
/// would have written it is put right by the next plan.
pub(super) fn recalled(live: &Secret, gate: &GateName, owner: &Owner) -> Option<InForce> {
    let ours = precondition::bundle(live) == precondition::Whose::Ours
        && precondition::controller(live).is_none_or(|uid| uid == owner.uid);
    let bytes = live.data.as_ref()?.get(FILE).filter(|_| ours)?;
    let bundle: GateBundle =
        document::unpack(&bytes.0).ok().filter(|bundle: &GateBundle| bundle.gate == *gate)?;
    let (revision, digest) = (bundle.revision, bundle.digest().ok()?);
    let write = BundleWrite {
        gate: gate.clone(),
        owner: owner.clone(),
        bundle: Arc::new(GateBundle { revision: Revision::default(), ..bundle }),
        digest,
        tick: Tick::default(),
    };
    let whole = is_as_it_should_be(live, &write, revision, &write.digest);
    let resource_version = live.metadata.resource_version.clone().filter(|_| whole).unwrap_or_default();
    let BundleWrite { tick, digest, bundle, .. } = write;
    Some(InForce { tick, revision, digest, resource_version, bundle, written: None })
}

/// Does the live Secret, whose bundle has this revision and digest, say all that the write would
/// make it say?
pub(super) fn is_as_it_should_be(
    live: &Secret,
    write: &BundleWrite,
    revision: Revision,
    digest: &str,
) -> bool {
    let annotations = live.metadata.annotations.as_ref();
    let says =
        |key: &str, value: &str| annotations.is_some_and(|all| all.get(key).is_some_and(|it| it == value));
    let labels = live.metadata.labels.as_ref();
    digest == write.digest
        && labels.is_some_and(|labels| labels.get(KIND_LABEL).is_some_and(|label| label == BUNDLE))
        && says(DIGEST_ANNOTATION, digest)
        && says(REVISION_ANNOTATION, &revision.to_string())
        && precondition::controller(live) == Some(&write.owner.uid)
        && live.data.as_ref().is_some_and(|data| data.len() == 1)
}

/// Takes out what is not wanted any more and puts in what is; the rest is somebody else's.
pub(super) fn change(
    map: &mut Option<BTreeMap<String, String>>,
    unwanted: &[String],
    wanted: &BTreeMap<String, String>,
) {
    let map = map.get_or_insert_default();
    for key in unwanted {
        map.remove(key);
    }
    map.extend(wanted.clone());
}

/// Makes `owner` the controller: collected with it, without `blockOwnerDeletion`, which would
/// need a right to its finalizers.
pub(super) fn own(metadata: &mut ObjectMeta, owner: &Owner) {
    let references = metadata.owner_references.get_or_insert_default();
    references.retain(|reference| reference.controller != Some(true));
    references.push(OwnerReference {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    });
}

#[cfg(test)]
mod tests;
