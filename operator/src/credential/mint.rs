//! Making a credential: its plaintext and its record, as one Secret for one write.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rand::CryptoRng;
use sidegate_bundle::{
    ApiKey,
    record::{Record, State, VERSIONS_ANNOTATION, Version},
};
use sidegate_crds::api_key::ApiKeySpec;

use super::{secret::Shape, wanted};
use crate::{
    plan::{CredentialSecret, Plaintext},
    world::{Meta, ObjectName, ObjectRef, Owner},
};

/// A new key for the ApiKey `owner`, as the Secret that holds it.
pub fn mint(
    owner: &ObjectName,
    meta: &Meta,
    spec: &ApiKeySpec,
    now: Timestamp,
    rng: &mut dyn CryptoRng,
) -> CredentialSecret {
    let key = ApiKey::mint(rng);
    let record = Record {
        versions: vec![Version {
            id: key.id(),
            hash: key.verifier(),
            state: State::Current,
            created: Timestamp::from_second(now.as_second()).unwrap_or(now),
            not_before: None,
            expires_at: None,
        }],
        // The first sight of an object adopts its generation.
        rotation_generation: spec
            .rotation
            .as_ref()
            .and_then(|rotation| rotation.generation)
            .unwrap_or_default(),
    };
    let this = ObjectRef::ApiKey(owner.clone());
    let shape = Shape::of(&this, spec);
    let mut annotations = shape.annotations();
    annotations.insert(VERSIONS_ANNOTATION.to_owned(), record.to_annotation());
    CredentialSecret {
        name: wanted(owner, spec),
        owner: Owner::of(&this, &meta.uid),
        labels: shape.labels(),
        annotations,
        data: BTreeMap::from([
            (shape.api_key.clone(), Plaintext::new(key.expose())),
            (shape.key_id.clone(), Plaintext::new(key.id().as_str())),
        ]),
    }
}
