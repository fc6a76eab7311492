//! Carries plans out at the API server: the only file that writes there.
//!
//! Every write is conditional. A Secret is created by POST, changed by PUT with the
//! resourceVersion that a live read has just shown, deleted with uid and resourceVersion; a
//! status is written by PUT with the resourceVersion that the plan was made from.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DeleteParams, DynamicObject, PostParams, Preconditions},
    core::Status as ApiStatus,
};
use serde_json::json;
use sidegate_bundle::{
    GateBundle, Revision,
    document::{self, MAX_COMPRESSED},
    gate::GateName,
};
use sidegate_crds::{ApiKey, Gate};
use thiserror::Error;
use tokio::time::timeout;

use super::{Execute, WriteError, denied, precondition, secrets};
use crate::{
    MANAGER,
    lease::Tenure,
    metrics::Metrics,
    plan::{BundleWrite, CredentialSecret, Delete, Reshape, Status, StatusWrite, Write},
    world::{
        CREDENTIAL, InForce, KIND_LABEL, Lawful, ObjectName, ObjectRef, Observed, OurSecret, Owner, Update,
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
        let doing =
            Doing { what: format!("reading Secret {name}"), verb: "get secrets", namespace: &name.namespace };
        call(doing, self.secrets(&name.namespace).get_opt(&name.name)).await
    }

    async fn create(&self, write: &str, name: &ObjectName, secret: &Secret) -> Result<Secret, WriteError> {
        let api = self.secrets(&name.namespace);
        let what = format!("creating Secret {name}");
        self.leads(&what)?;
        let doing = Doing { what, verb: "create secrets", namespace: &name.namespace };
        let secret = call(doing, api.create(&parameters(), secret)).await?;
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
        let doing = Doing { what, verb: "update secrets", namespace: &name.namespace };
        let secret = call(doing, api.replace(&name.name, &parameters(), &secret)).await?;
        self.metrics.wrote(write);
        Ok(secret)
    }

    async fn mint(&self, wanted: &CredentialSecret, now: Timestamp) -> Result<Vec<Update>, WriteError> {
        let name = &wanted.name;
        let Some(mut live) = self.live(name).await? else {
            return Ok(seen(&self.create("mint", name, &secrets::credential(wanted)).await?));
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
        match OurSecret::read(&live.metadata).filter(|_| precondition::is_credential(&live)) {
            Some((name, secret)) => Ok(vec![Update::Secret(name, secret)]),
            None => Ok(vec![Update::ForeignSecret(name.clone(), now)]),
        }
    }

    async fn reshape(&self, reshape: &Reshape, now: Timestamp) -> Result<Vec<Update>, WriteError> {
        let name = &reshape.name;
        let conflict = || WriteError::Conflict { what: format!("changing Secret {name}") };
        let mut live = self.live(name).await?.ok_or_else(conflict)?;
        if !precondition::is_credential(&live) {
            return Ok(vec![Update::ForeignSecret(name.clone(), now)]);
        }
        let as_seen = precondition::is_as_seen(&live, &reshape.uid, &reshape.resource_version);
        if !as_seen || precondition::credential(&live, &reshape.owner) != precondition::Whose::Ours {
            return Err(conflict());
        }
        let metadata = &mut live.metadata;
        secrets::change(&mut metadata.labels, &reshape.drop_labels, &reshape.labels);
        secrets::change(&mut metadata.annotations, &reshape.drop_annotations, &reshape.annotations);
        secrets::own(metadata, &reshape.owner);
        let data = live.data.get_or_insert_default();
        // All out before any in: two names may change places.
        let moved: Vec<_> =
            reshape.rename.iter().filter_map(|(from, to)| Some((to.clone(), data.remove(from)?))).collect();
        data.extend(moved);
        Ok(seen(&self.replace("reshape", name, live).await?))
    }

    async fn delete(&self, delete: &Delete, now: Timestamp) -> Result<Vec<Update>, WriteError> {
        let name = &delete.name;
        let gone = || Ok(vec![Update::SecretGone(name.clone(), None)]);
        // The plan has seen all but the type, which the two preconditions then hold fast as well.
        let Some(live) = self.live(name).await? else { return gone() };
        if !precondition::is_credential(&live) {
            return Ok(vec![Update::ForeignSecret(name.clone(), now)]);
        }
        let preconditions = Preconditions {
            uid: Some(delete.uid.clone()),
            resource_version: Some(delete.resource_version.clone()),
        };
        let what = format!("deleting Secret {name}");
        self.leads(&what)?;
        let parameters = DeleteParams::default().preconditions(preconditions);
        let api = self.secrets(&name.namespace);
        let doing = Doing { what, verb: "delete secrets", namespace: &name.namespace };
        match call(doing, api.delete(&name.name, &parameters)).await {
            Ok(either) => {
                self.metrics.wrote("delete");
                // A finalizer of somebody else may keep it for a while.
                either.left().map_or_else(gone, |deleting| Ok(seen(&deleting)))
            }
            Err(WriteError::Transient { source, .. }) if is_not_found(&*source) => gone(),
            Err(error) => Err(error),
        }
    }

    /// Which bundle stands, if the Secret is the Gate's and can be read.
    async fn recall(&self, gate: &GateName, owner: &Owner) -> Result<Vec<Update>, WriteError> {
        let name = ObjectName::new(&gate.namespace, gate.secret_name());
        let Some(live) = self.live(&name).await? else { return Ok(vec![Update::SecretGone(name, None)]) };
        let mut updates = seen(&live);
        updates.push(match secrets::recalled(&live, gate, owner) {
            Some(in_force) => Update::BundleRecalled(gate.clone(), in_force),
            None => Update::BundleBlank(gate.clone()),
        });
        Ok(updates)
    }

    async fn bundle(&self, write: &BundleWrite, now: Timestamp) -> Result<Vec<Update>, WriteError> {
        let name = ObjectName::new(&write.gate.namespace, write.gate.secret_name());
        let live = self.live(&name).await?;
        if let Some(live) = &live
            && precondition::bundle(live) == precondition::Whose::Foreign
        {
            return Ok(vec![Update::ForeignSecret(name, now)]);
        }
        let (previous, found) = live.as_ref().map(secrets::written).unwrap_or_default();
        if let (Some(live), Some((revision, digest))) = (&live, &found)
            && secrets::is_as_it_should_be(live, write, *revision, digest)
        {
            return Ok(in_force(live, write, *revision, None));
        }
        // No reader has taken one that is far ahead of the clock: whoever wrote it there must not
        // keep readers from those that follow.
        let previous = previous.filter(|previous| previous.supersedes(None, now).is_ok());
        let revision = Revision::next(previous, now);
        let bytes = document::pack(&GateBundle { revision, ..(*write.bundle).clone() }).map_err(|error| {
            WriteError::Bug { what: format!("packing the bundle of {}", write.gate), source: error.into() }
        })?;
        let size = bytes.len();
        if size > MAX_COMPRESSED {
            let what = format!("writing the bundle of {}", write.gate);
            return Err(WriteError::TooLarge { what, bytes: size, most: MAX_COMPRESSED });
        }
        let secret = secrets::bundle(live.clone().unwrap_or_default(), write, revision, bytes);
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
        let verb = match write.object {
            ObjectRef::Gate(_) => "update gates/status",
            ObjectRef::ApiKey(_) => "update apikeys/status",
        };
        let doing = Doing { what: what.clone(), verb, namespace };
        let written = match call(doing, api.replace_status(name, &parameters(), &object)).await {
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
            Write::Reshape(change) => self.reshape(change, now).await,
            Write::Delete(deletion) => self.delete(deletion, now).await,
            Write::Recall(gate, owner) => self.recall(gate, owner).await,
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

fn parameters() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

/// A call, in words.
struct Doing<'a> {
    what: String,
    /// The right that it needs, such as "create secrets".
    verb: &'static str,
    namespace: &'a str,
}

async fn call<T>(doing: Doing<'_>, request: impl Future<Output = kube::Result<T>>) -> Result<T, WriteError> {
    match timeout(CALL_TIMEOUT, request).await {
        Ok(result) => result.map_err(|error| refused(doing, error)),
        Err(_) => Err(WriteError::Transient { what: doing.what, source: Refused::Timeout.into() }),
    }
}

/// Who is at fault when the API server, or the way to it, refuses.
fn refused(doing: Doing<'_>, error: kube::Error) -> WriteError {
    let Doing { what, verb, namespace } = doing;
    let kube::Error::Api(status) = error else {
        let source = error.into();
        return WriteError::Transient { what, source };
    };
    let access = denied::access(&status, verb, namespace);
    let terminating = denied::is_terminating(&status);
    let ApiStatus { code, reason, message, .. } = *status;
    let source = Refused::Said { code, reason, message }.into();
    match code {
        409 => WriteError::Conflict { what },
        403 if terminating => WriteError::User { what, source },
        403 => WriteError::Denied { what, access, source },
        400 | 405 | 413 | 415 | 422 => WriteError::Bug { what, source },
        _ => WriteError::Transient { what, source },
    }
}

fn is_not_found(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(error.downcast_ref::<Refused>(), Some(Refused::Said { code: 404, .. }))
}

#[cfg(test)]
mod tests;
