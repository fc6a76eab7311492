//! API server -> World: one watch a kind, as updates.
//!
//! Lists are quorum reads (no resourceVersion): what is not in one is gone. A watch that breaks
//! or is too old lists anew, so that what went in between is noticed. Nothing is kept here, and
//! of an object only what the World needs goes on.

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use sidegate_bundle::gate::GateName;
use sidegate_crds::{ApiKey, Gate};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    metrics::Metrics,
    world::{KIND_LABEL, Kind, Lawful, ObjectName, Observed, OurSecret, Stored, Update},
};

/// Watches every kind until it is dropped, and sends what it sees.
pub fn watch(client: &Client, updates: &mpsc::Sender<Update>, metrics: &Metrics) -> JoinSet<()> {
    let all = watcher::Config::default();
    let ours = watcher::Config::default().labels(KIND_LABEL);
    let mut watches = JoinSet::new();

    let gates: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::erase::<Gate>(&()));
    let counted = metrics.clone();
    let on_gate = move |event| on_object(event, Kind::Gate, gate_seen, gate_gone, &counted);
    watches.spawn(follow(Kind::Gate, watcher(gates, all.clone()), on_gate, updates.clone()));

    let keys: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::erase::<ApiKey>(&()));
    let counted = metrics.clone();
    let on_key = move |event| on_object(event, Kind::ApiKey, Update::ApiKey, Update::ApiKeyGone, &counted);
    watches.spawn(follow(Kind::ApiKey, watcher(keys, all.clone()), on_key, updates.clone()));

    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    watches.spawn(follow(Kind::Namespace, watcher(namespaces, all), on_namespace, updates.clone()));

    let secrets: Api<PartialObjectMeta<Secret>> = Api::all(client.clone());
    watches.spawn(follow(Kind::Secret, watcher(secrets, ours), on_secret, updates.clone()));
    watches
}

/// Sends what a watch sees, until nobody listens.
async fn follow<K, F>(
    kind: Kind,
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    read: F,
    updates: mpsc::Sender<Update>,
) where
    K: Send,
    F: Fn(Event<K>) -> Option<Update> + Send,
{
    let events = events.default_backoff();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                if let Some(update) = read(event)
                    && updates.send(update).await.is_err()
                {
                    return;
                }
            }
            Err(error) => tracing::warn!(kind = kind.as_str(), %error, "the watch broke; it begins again"),
        }
    }
}

fn gate_seen(name: ObjectName, gate: Observed<Gate>) -> Update {
    Update::Gate(GateName::new(name.namespace, name.name), gate)
}

fn gate_gone(name: ObjectName, at: Option<u64>) -> Update {
    Update::GateGone(GateName::new(name.namespace, name.name), at)
}

/// An event of one of our own kinds.
fn on_object<T: Lawful>(
    event: Event<DynamicObject>,
    kind: Kind,
    seen: fn(ObjectName, Observed<T>) -> Update,
    gone: fn(ObjectName, Option<u64>) -> Update,
    metrics: &Metrics,
) -> Option<Update> {
    let read = |object: DynamicObject| {
        let (name, observed) = Observed::of(&object.metadata, object.data).ok()?;
        if let Stored::Unparsable { why, .. } = &observed.stored {
            metrics.unparsable(kind);
            tracing::warn!(kind = kind.as_str(), object = %name, why, "a stored object does not parse; it is skipped");
        }
        Some((name, observed))
    };
    match event {
        Event::Init => Some(Update::Listing(kind)),
        Event::InitDone => Some(Update::Listed(kind)),
        Event::InitApply(object) => read(object).map(|(name, observed)| seen(name, observed.listed())),
        Event::Apply(object) => read(object).map(|(name, observed)| seen(name, observed)),
        Event::Delete(object) => Some(gone(name_of(&object.metadata)?, order_of(&object.metadata))),
    }
}

fn on_namespace(event: Event<PartialObjectMeta<Namespace>>) -> Option<Update> {
    match event {
        Event::Init => Some(Update::Listing(Kind::Namespace)),
        Event::InitDone => Some(Update::Listed(Kind::Namespace)),
        Event::InitApply(namespace) | Event::Apply(namespace) => {
            let labels = namespace.metadata.labels.unwrap_or_default();
            Some(Update::Namespace(namespace.metadata.name?, labels))
        }
        Event::Delete(namespace) => Some(Update::NamespaceGone(namespace.metadata.name?)),
    }
}

fn on_secret(event: Event<PartialObjectMeta<Secret>>) -> Option<Update> {
    match event {
        Event::Init => Some(Update::Listing(Kind::Secret)),
        Event::InitDone => Some(Update::Listed(Kind::Secret)),
        Event::InitApply(secret) => {
            OurSecret::read(&secret.metadata).map(|(name, secret)| Update::Secret(name, secret.listed()))
        }
        // Without a label that we know it is as good as gone.
        Event::Apply(secret) => match OurSecret::read(&secret.metadata) {
            Some((name, secret)) => Some(Update::Secret(name, secret)),
            None => Some(Update::SecretGone(name_of(&secret.metadata)?, order_of(&secret.metadata))),
        },
        Event::Delete(secret) => {
            Some(Update::SecretGone(name_of(&secret.metadata)?, order_of(&secret.metadata)))
        }
    }
}

fn name_of(metadata: &kube::api::ObjectMeta) -> Option<ObjectName> {
    Some(ObjectName::new(metadata.namespace.clone().unwrap_or_default(), metadata.name.clone()?))
}

/// The place in the API server's order of writes.
fn order_of(metadata: &kube::api::ObjectMeta) -> Option<u64> {
    metadata.resource_version.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests;
