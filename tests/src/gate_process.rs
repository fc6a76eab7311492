//! A gate as a process, with the kubelet's part of its pod: the bundle's Secret as a folder.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::http::{Request, Response};
use crate::ports::free_port;
use crate::process::Program;
use crate::{App, Cluster, Kubelet, Process};

/// A running `sidegate-sidecar run` before an app of its own.
#[derive(Debug)]
pub struct GateProcess {
    /// The process.
    pub process: Process,
    /// The app behind it.
    pub app: App,
    /// Where callers connect.
    pub address: String,
    /// Where `/readyz` and `/metrics` are.
    pub admin: String,
    _kubelet: Option<Kubelet>,
    _folder: Option<TempDir>,
}

// === impl GateProcess ===

impl GateProcess {
    /// For a Gate of a cluster. Its bundle may not be there yet.
    pub async fn of(cluster: &Cluster, namespace: &str, gate: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mount = folder.path().join("bundle");
        let secret = format!("sidegate-bundle-{gate}");
        let kubelet = Kubelet::project(cluster.client(), namespace, &secret, &mount).await?;
        let gate = Self::before(&mount, &format!("{namespace}/{gate}")).await?;
        Ok(Self { _kubelet: Some(kubelet), _folder: Some(folder), ..gate })
    }

    /// With a bundle folder that somebody else fills.
    pub async fn before(bundle: &Path, gate: &str) -> Result<Self> {
        let app = App::start().await?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?)).to_string();
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()?)).to_string();
        let mut process = Program::of_workspace("sidegate-sidecar")?
            .args(["run", "--gate", gate, "--listen", &address, "--admin", &admin])
            .args(["--app", &app.address().to_string()])
            .arg("--bundle")
            .arg(bundle)
            .env("SIDEGATE_LOG", "trace")
            .start()?;
        process.wait_until_ready(&admin, "/livez", Duration::from_secs(20)).await?;
        Ok(Self { process, app, address, admin, _kubelet: None, _folder: None })
    }

    /// Waits until it has a bundle.
    pub async fn wait_until_ready(&mut self) -> Result<()> {
        self.process.wait_until_ready(&self.admin, "/readyz", Duration::from_secs(20)).await.map(drop)
    }

    /// GET of a path, with this key if there is one.
    pub async fn get(&self, path: &str, key: Option<&str>) -> Result<Response> {
        self.send("GET", path, key).await
    }

    /// A request without a body, with this key if there is one.
    pub async fn send(&self, method: &str, path: &str, key: Option<&str>) -> Result<Response> {
        let request = Request::new(method, path);
        let request = match key {
            Some(key) => request.header("X-API-Key", key),
            None => request,
        };
        request.send(&self.address).await
    }
}
