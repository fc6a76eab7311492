//! Plays the kubelet for one volume: a Secret, projected into a folder as an optional source.
//!
//! The folder looks and changes exactly as in a pod: the files are links through `..data`, which is a link to a
//! folder named after the moment; a change is a new such folder and one rename of `..data`. A reader sees the
//! old files or the new ones, never some of each. The Secret's deletion leaves an empty volume.

mod projection;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::task::JoinHandle;

use crate::eventually;

pub use projection::Projection;

/// Projects one Secret until it is dropped. The folder stays as it then is.
#[derive(Debug)]
pub struct Kubelet {
    folder: PathBuf,
    task: JoinHandle<()>,
}

// === impl Kubelet ===

impl Kubelet {
    /// Starts to project the Secret into this folder, which is created. At return it holds what there is.
    pub async fn project(client: Client, namespace: &str, secret: &str, folder: &Path) -> Result<Self> {
        let secrets: Api<Secret> = Api::namespaced(client, namespace);
        let mut projection = Projection::create(folder)?;
        let first = secrets.get_opt(secret).await?;
        projection.write(&first.map(files).unwrap_or_default())?;
        let only = watcher::Config::default().fields(&format!("metadata.name={secret}"));
        let task = tokio::spawn(follow(secrets, only, projection));
        Ok(Self { folder: folder.to_owned(), task })
    }

    /// The folder, as the program under test gets it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits until the file is there, or is gone.
    pub async fn wait_for_file(&self, name: &str, there: bool, timeout: Duration) -> Result<()> {
        let path = self.folder.join(name);
        eventually(timeout, &format!("{name} is {}", if there { "there" } else { "gone" }), async || {
            ensure!(path.exists() == there, "{} {}", path.display(), if there { "is not" } else { "is" });
            Ok(())
        })
        .await
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(secrets: Api<Secret>, only: watcher::Config, mut projection: Projection) {
    let events = watcher(secrets, only).default_backoff();
    futures::pin_mut!(events);
    // An InitDone without an object before it is a deletion that happened between two watches.
    let mut listed = None;
    while let Some(event) = events.next().await {
        let wanted = match event {
            Ok(watcher::Event::Init) => {
                listed = None;
                continue;
            }
            Ok(watcher::Event::InitApply(secret)) => {
                listed = Some(secret);
                continue;
            }
            Ok(watcher::Event::InitDone) => listed.take().map(files).unwrap_or_default(),
            Ok(watcher::Event::Apply(secret)) => files(secret),
            Ok(watcher::Event::Delete(_)) => BTreeMap::new(),
            Err(error) => {
                tracing::warn!(%error, "the kubelet's watch broke; it is tried again");
                continue;
            }
        };
        if let Err(error) = projection.write(&wanted) {
            tracing::error!(%error, "the kubelet cannot write its volume");
        }
    }
}

fn files(secret: Secret) -> BTreeMap<String, Vec<u8>> {
    secret.data.unwrap_or_default().into_iter().map(|(name, value)| (name, value.0)).collect()
}
