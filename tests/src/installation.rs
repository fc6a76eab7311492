//! Sidegate as a cluster has it: the CRDs, the rights that the chart ships, and the operator as a process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::cluster::PLATFORM_NAMESPACE;
use crate::ports::free_port;
use crate::process::Program;
use crate::{ApiServer, Cluster, Process, eventually, http};

/// How long an installation may take to do what it was asked for. A bound for a busy machine, not a promise.
pub const SOON: Duration = Duration::from_secs(20);

/// An API server with the CRDs and the operator's account, and whoever holds it may start operators.
#[derive(Clone, Debug)]
pub struct Installation {
    server: ApiServer,
    operator_kubeconfig: PathBuf,
}

/// An operator of an installation.
#[derive(Debug)]
pub struct Operator {
    /// The process.
    pub process: Process,
    /// Where its `/metrics` and `/readyz` are.
    pub admin: SocketAddr,
}

/// One test's view of an installation whose operator all tests of the process share.
pub struct Installed {
    /// The administrator's hands.
    pub cluster: Cluster,
    /// The operator; it is never stopped here.
    pub operator: Arc<Operator>,
}

// === impl Installation ===

impl Installation {
    /// A server of its own, with everything but an operator.
    pub async fn start() -> Result<Self> {
        let server = ApiServer::start().await?;
        let cluster = server.connect().await?;
        cluster.apply_crds().await?;
        let operator_kubeconfig = cluster.install_rbac().await?;
        Ok(Self { server, operator_kubeconfig })
    }

    /// A client with all rights.
    pub async fn connect(&self) -> Result<Cluster> {
        self.server.connect().await
    }

    /// Starts an operator of this name; it may have to wait for the lease.
    pub fn operator(&self, identity: &str) -> Result<Operator> {
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let process = Program::of_workspace("sidegate-operator")?
            .args(["run", "--namespace", PLATFORM_NAMESPACE, "--identity", identity])
            .args(["--admin", &admin.to_string()])
            .env("KUBECONFIG", &self.operator_kubeconfig)
            .env("SIDEGATE_LOG", "trace")
            .start()?;
        Ok(Operator { process, admin })
    }

    /// The one that all tests of this process share, with one operator that leads.
    pub async fn shared() -> Result<Installed> {
        static SHARED: OnceCell<(Installation, Arc<Operator>)> = OnceCell::const_new();
        let start = async || {
            let installation = Self::start().await?;
            let mut operator = installation.operator("shared")?;
            operator.wait_until_ready().await?;
            Ok::<_, anyhow::Error>((installation, Arc::new(operator)))
        };
        let (installation, operator) = SHARED.get_or_try_init(start).await?;
        Ok(Installed { cluster: installation.connect().await?, operator: Arc::clone(operator) })
    }
}

// === impl Operator ===

impl Operator {
    /// Waits until it is ready.
    pub async fn wait_until_ready(&mut self) -> Result<()> {
        self.process.wait_until_ready(&self.admin.to_string(), "/readyz", SOON).await.map(drop)
    }

    /// What it counts, as text.
    pub async fn metrics(&self) -> Result<String> {
        Ok(http::get(&self.admin.to_string(), "/metrics").await?.text())
    }
}

// === impl Cluster: what tests of Sidegate look at ===

impl Cluster {
    /// Applies a manifest that the server must take.
    pub async fn applied(&self, manifest: &str) -> Result<()> {
        self.apply(manifest).await?.expect_success().map(drop)
    }

    /// An object as JSON.
    pub async fn object(&self, kind: &str, namespace: &str, name: &str) -> Result<Value> {
        let text =
            self.kubectl(&["get", kind, name, "-n", namespace, "-o", "json"]).await?.expect_success()?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits until the object has this condition with this status and reason; gives its message.
    pub async fn condition(&self, object: [&str; 3], wanted: [&str; 3]) -> Result<String> {
        let [kind, namespace, name] = object;
        let [condition, status, reason] = wanted;
        eventually(SOON, &format!("{kind} {namespace}/{name} is {condition}={status}/{reason}"), async || {
            let object = self.object(kind, namespace, name).await?;
            let conditions = object["status"]["conditions"].as_array().context("no conditions")?;
            let found = conditions.iter().find(|found| found["type"] == condition).context("not that one")?;
            ensure!(found["status"] == status && found["reason"] == reason, "it is {found}");
            ensure!(
                found["observedGeneration"] == object["metadata"]["generation"],
                "it is out of date: {found}"
            );
            Ok(found["message"].as_str().unwrap_or_default().to_owned())
        })
        .await
    }

    /// Waits until the ApiKey is ready, and reads its key from its Secret.
    pub async fn key(&self, namespace: &str, name: &str) -> Result<String> {
        self.condition(["apikey", namespace, name], ["Ready", "True", "Ready"]).await?;
        self.secret_value(namespace, &format!("{name}-api-key"), "api-key").await
    }

    /// One value of a Secret.
    pub async fn secret_value(&self, namespace: &str, name: &str, key: &str) -> Result<String> {
        let secret = self.object("secret", namespace, name).await?;
        let value = secret["data"][key].as_str().with_context(|| format!("the Secret has no {key}"))?;
        Ok(String::from_utf8(BASE64_STANDARD.decode(value)?)?)
    }
}
