//! Carries plans out at the API server: the only file that writes there.
//!
//! Every write is conditional. A Secret is created by POST, changed by PUT with the
//! resourceVersion that a live read has just shown, deleted with uid and resourceVersion; a
//! status is written by PUT with the resourceVersion that the plan was made from.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DeleteParams, DynamicObject, ObjectMeta, PostParams, Preconditions},
    core::Status as ApiStatus,
};
use serde_json::json;
use sidegate_bundle::{
    GateBundle, Revision,
    document::{self, FILE, MAX_COMPRESSED},
    gate::{GateName, SECRET_TYPE},
};
use sidegate_crds::{ApiKey, GROUP, Gate, VERSION};
use thiserror::Error;
use tokio::time::timeout;

use super::{Execute, WriteError, precondition};
use crate::{
    MANAGER,
    lease::Tenure,
    metrics::Metrics,
    plan::{BundleWrite, CredentialSecret, Delete, Reshape, Status, StatusWrite, Write},
    world::{
        BUNDLE, CREDENTIAL, CREDENTIAL_TYPE, DIGEST_ANNOTATION, InForce, KIND_LABEL, Lawful, ObjectName,
        ObjectRef, Observed, OurSecret, Owner, REVISION_ANNOTATION, Update,
    },
};

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    metrics: Metrics,
    tenure: Tenure,
}

/// What the API server said, without what it repeats of the object.
#[derive(Debug, Error)]
enum Refused {
    #[error("the API server says {reason} ({code}): {message}")]
    Said { code: u16, reason: String, message: String },
    #[error("the API server did not answer within {} s", CALL_TIMEOUT.as_secs())]
    Timeout,
    #[error("another replica may lead by now")]
    NotLeading,
    #[error("the bundle has {0} bytes, at most {MAX_COMPRESSED} fit into its Secret")]
    TooLarge(usize),
}

// === impl Cluster ===

impl Cluster {
    /// Writes with this client, whose retries are off, and as long as the tenure lasts.
    pub fn new(client: Client, metrics: Metrics, tenure: Tenure) -> Self {
        Self { client, metrics, tenure }
    }

    /// Who does not lead any more writes nothing.
    fn leads(&self, what: &str) -> Result<(), WriteError> {
        if self.tenure.lasts() {
            return Ok(());
        }
        Err(WriteError::Transient { what: what.to_owned(), source: Refused::NotLeading.into() })
    }

    fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// A live, quorum read.
    async fn live(&self, name: &ObjectName) -> Result<Option<Secret>, WriteError> {
        call(&format!("reading Secret {name}"), self.secrets(&name.namespace).get_opt(&name.name)).await
    }

    async fn create(&self, write: &str, name: &ObjectName, secret: &Secret) -> Result<Secret, WriteError> {
        let api = self.secrets(&name.namespace);
        let what = format!("creating Secret {name}");
        self.leads(&what)?;
        let secret = call(&what, api.create(&parameters(), secret)).await?;
        self.metrics.wrote(write);
        Ok(secret)
    }

    /// Replaces a Secret that a live read has shown: with its resourceVersion.
    async fn replace(
        &self,
        write: &str,
        name: &ObjectName,
        mut secret: Secret,
    ) -> Result<Secret, WriteError> {
        secret.metadata.managed_fields = None;
        let api = self.secrets(&name.namespace);
        let what = format!("changing Secret {name}");
        self.leads(&what)?;
        let secret = call(&what, api.replace(&name.name, &parameters(), &secret)).await?;
        self.metrics.wrote(write);
        Ok(secret)
    }

    async fn mint(&self, wanted: &CredentialSecret, now: Timestamp) -> Result<Vec<Update>, WriteError> {
        let name = &wanted.name;
        let Some(mut live) = self.live(name).await? else {
            return Ok(seen(&self.create("mint", name, &credential(wanted)).await?));
        };
        if precondition::credential(&live, &wanted.owner) == precondition::Whose::Ours {
            // A watch does not show what has lost its label.
            let labels = live.metadata.labels.get_or_insert_default();
            if labels.insert(KIND_LABEL.to_owned(), CREDENTIAL.to_owned()).as_deref() != Some(CREDENTIAL) {
                live = self.replace("reshape", name, live).await?;
            }
            return Ok(seen(&live));
        }
        // One with our label is in the watch, and the plan judges it; any other is in the way.
        match OurSecret::read(&live.metadata) {
            Some((name, secret)) => Ok(vec![Update::Secret(name, secret)]),
            None => Ok(vec![Update::ForeignSecret(name.clone(), now)]),
        }
    }

    async fn reshape(&self, reshape: &Reshape) -> Result<Vec<Update>, WriteError> {
        let name = &reshape.name;
        let conflict = || WriteError::Conflict { what: format!("changing Secret {name}") };
        let mut live = self.live(name).await?.ok_or_else(conflict)?;
        let as_seen = precondition::is_as_seen(&live, &reshape.uid, &reshape.resource_version);
        if !as_seen || precondition::credential(&live, &reshape.owner) != precondition::Whose::Ours {
            return Err(conflict());
        }
        let metadata = &mut live.metadata;
        change(&mut metadata.labels, &reshape.drop_labels, &reshape.labels);
        change(&mut metadata.annotations, &reshape.drop_annotations, &reshape.annotations);
        own(metadata, &reshape.owner);
        let data = live.data.get_or_insert_default();
        // All out before any in: two names may change places.
        let moved: Vec<_> =
            reshape.rename.iter().filter_map(|(from, to)| Some((to.clone(), data.remove(from)?))).collect();
        data.extend(moved);
        Ok(seen(&self.replace("reshape", name, live).await?))
    }

    async fn delete(&self, delete: &Delete) -> Result<Vec<Update>, WriteError> {
        let name = &delete.name;
        let preconditions = Preconditions {
            uid: Some(delete.uid.clone()),
            resource_version: Some(delete.resource_version.clone()),
        };
        self.leads(&format!("deleting Secret {name}"))?;
        let parameters = DeleteParams::default().preconditions(preconditions);
        let api = self.secrets(&name.namespace);
        match timeout(CALL_TIMEOUT, api.delete(&name.name, &parameters)).await {
            Ok(Err(kube::Error::Api(status))) if status.is_not_found() => {
                Ok(vec![Update::SecretGone(name.clone(), None)])
            }
            Ok(Ok(either)) => {
                self.metrics.wrote("delete");
                match either.left() {
                    // A finalizer of somebody else keeps it for a while.
                    Some(deleting) => Ok(seen(&deleting)),
                    None => Ok(vec![Update::SecretGone(name.clone(), None)]),
                }
            }
            Ok(Err(error)) => Err(refused(&format!("deleting Secret {name}"), error)),
            Err(_) => Err(late(&format!("deleting Secret {name}"))),
        }
    }

    async fn bundle(&self, write: &BundleWrite, now: Timestamp) -> Result<Vec<Update>, WriteError> {
        let name = ObjectName::new(&write.gate.namespace, write.gate.secret_name());
        let live = self.live(&name).await?;
        if let Some(live) = &live
            && precondition::bundle(live) == precondition::Whose::Foreign
        {
            return Ok(vec![Update::ForeignSecret(name, now)]);
        }
        let (previous, found) = live.as_ref().map(written).unwrap_or_default();
        if let (Some(live), Some((revision, digest))) = (&live, &found)
            && is_as_it_should_be(live, write, *revision, digest)
        {
            return Ok(in_force(live, write, *revision, None));
        }
        let revision = Revision::next(previous, now);
        let bytes = document::pack(&GateBundle { revision, ..(*write.bundle).clone() }).map_err(|error| {
            WriteError::Bug { what: format!("packing the bundle of {}", write.gate), source: error.into() }
        })?;
        let size = bytes.len();
        if size > MAX_COMPRESSED {
            let what = format!("writing the bundle of {}", write.gate);
            return Err(WriteError::User { what, source: Refused::TooLarge(size).into() });
        }
        let secret = bundle(live.clone().unwrap_or_default(), write, revision, bytes);
        let secret = match live {
            None => self.create("bundle", &name, &secret).await?,
            Some(_) => self.replace("bundle", &name, secret).await?,
        };
        tracing::info!(gate = %write.gate, %revision, keys = write.bundle.keys.len(), bytes = size, "bundle written");
        Ok(in_force(&secret, write, revision, Some((now, size))))
    }

    async fn put_status<K>(
        &self,
        write: &StatusWrite,
        body: serde_json::Value,
    ) -> Result<(ObjectName, Observed<K>), WriteError>
    where
        K: Resource<DynamicType = ()> + Lawful,
    {
        let what = format!("writing the status of {}", write.object);
        let (namespace, name) = (write.object.namespace(), write.object.name());
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let mut object = DynamicObject::new(name, &resource).within(namespace);
        object.metadata.uid = Some(write.uid.clone());
        object.metadata.resource_version = Some(write.resource_version.clone());
        object.data = json!({ "status": body });
        self.leads(&what)?;
        let written = match call(&what, api.replace_status(name, &parameters(), &object)).await {
            // Gone meanwhile: the watch will say so.
            Err(WriteError::Transient { what, source }) if is_not_found(&*source) => {
                return Err(WriteError::Conflict { what });
            }
            written => written?,
        };
        self.metrics.wrote("status");
        Observed::of(&written.metadata, written.data)
            .map_err(|error| WriteError::Bug { what, source: error.into() })
    }
}

impl Execute for Cluster {
    async fn write(&self, write: &Write, now: Timestamp) -> Result<Vec<Update>, WriteError> {
        match write {
            Write::Mint(secret) => self.mint(secret, now).await,
            Write::Reshape(change) => self.reshape(change).await,
            Write::Delete(deletion) => self.delete(deletion).await,
            Write::Bundle(bundle) => self.bundle(bundle, now).await,
        }
    }

    async fn status(&self, write: &StatusWrite, _now: Timestamp) -> Result<Vec<Update>, WriteError> {
        let body = match &write.status {
            Status::Gate(status) => serde_json::to_value(status),
            Status::ApiKey(status) => serde_json::to_value(status),
        };
        let body = body.map_err(|error| WriteError::Bug {
            what: format!("writing the status of {}", write.object),
            source: error.into(),
        })?;
        Ok(vec![match &write.object {
            ObjectRef::Gate(_) => {
                let (name, gate) = self.put_status::<Gate>(write, body).await?;
                Update::Gate(GateName::new(name.namespace, name.name), gate)
            }
            ObjectRef::ApiKey(_) => {
                let (name, key) = self.put_status::<ApiKey>(write, body).await?;
                Update::ApiKey(name, key)
            }
        }])
    }
}

/// What the World should know of a Secret of ours.
fn seen(secret: &Secret) -> Vec<Update> {
    OurSecret::read(&secret.metadata).map(|(name, secret)| Update::Secret(name, secret)).into_iter().collect()
}

fn credential(wanted: &CredentialSecret) -> Secret {
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
fn bundle(mut live: Secret, write: &BundleWrite, revision: Revision, bytes: Vec<u8>) -> Secret {
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
fn written(live: &Secret) -> (Option<Revision>, Option<(Revision, String)>) {
    let annotations = live.metadata.annotations.as_ref();
    let annotated = annotations.and_then(|annotations| annotations.get(REVISION_ANNOTATION)?.parse().ok());
    let bytes = live.data.as_ref().and_then(|data| data.get(FILE));
    let bundle = bytes.and_then(|bytes| document::unpack::<GateBundle>(&bytes.0).ok());
    let revision = annotated.map(Revision).max(bundle.as_ref().map(|bundle| bundle.revision));
    (revision, bundle.and_then(|bundle| Some((bundle.revision, bundle.digest().ok()?))))
}

/// Does the live Secret, whose bundle has this revision and digest, say all that the write would
/// make it say?
fn is_as_it_should_be(live: &Secret, write: &BundleWrite, revision: Revision, digest: &str) -> bool {
    let annotations = live.metadata.annotations.as_ref();
    let says =
        |key: &str, value: &str| annotations.is_some_and(|all| all.get(key).is_some_and(|it| it == value));
    digest == write.digest
        && says(DIGEST_ANNOTATION, digest)
        && says(REVISION_ANNOTATION, &revision.to_string())
        && precondition::controller(live) == Some(&write.owner.uid)
        && live.data.as_ref().is_some_and(|data| data.len() == 1)
}

fn in_force(
    secret: &Secret,
    write: &BundleWrite,
    revision: Revision,
    written: Option<(Timestamp, usize)>,
) -> Vec<Update> {
    let in_force = InForce {
        tick: write.tick,
        revision,
        digest: write.digest.clone(),
        resource_version: secret.metadata.resource_version.clone().unwrap_or_default(),
        bundle: write.bundle.clone(),
        written,
    };
    let mut updates = seen(secret);
    updates.push(Update::BundleInForce(write.gate.clone(), in_force));
    updates
}

fn change(
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
fn own(metadata: &mut ObjectMeta, owner: &Owner) {
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

fn parameters() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

async fn call<T>(what: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, WriteError> {
    match timeout(CALL_TIMEOUT, request).await {
        Ok(result) => result.map_err(|error| refused(what, error)),
        Err(_) => Err(late(what)),
    }
}

fn late(what: &str) -> WriteError {
    WriteError::Transient { what: what.to_owned(), source: Refused::Timeout.into() }
}

/// Who is at fault when the API server, or the way to it, refuses.
fn refused(what: &str, error: kube::Error) -> WriteError {
    let what = what.to_owned();
    let kube::Error::Api(status) = error else {
        let source = error.into();
        return WriteError::Transient { what, source };
    };
    let ApiStatus { code, reason, message, .. } = *status;
    let source = Refused::Said { code, reason, message }.into();
    match code {
        409 => WriteError::Conflict { what },
        401 | 403 => WriteError::User { what, source },
        400 | 405 | 413 | 415 | 422 => WriteError::Bug { what, source },
        _ => WriteError::Transient { what, source },
    }
}

fn is_not_found(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(error.downcast_ref::<Refused>(), Some(Refused::Said { code: 404, .. }))
}

#[cfg(test)]
mod tests;
