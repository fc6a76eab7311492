//! A real etcd and a real kube-apiserver, by themselves, on loopback.
//!
//! There is no controller manager: nothing collects garbage, ends a terminating namespace, creates a
//! ServiceAccount by itself or fills the aggregated roles (`view`, `edit` and `admin` are empty). The programs come from `cargo xtask assets` or from `KUBEBUILDER_ASSETS`.

mod etcd;
mod kubeconfig;
mod pki;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::cluster::Cluster;
use crate::ports::free_port;
use crate::tether::{Tethered, remove_at_end};
use etcd::Etcd;
use kubeconfig::Credential;
use pki::{APISERVER_FLAGS, Pki};

/// Long enough for a machine that builds and tests at the same time.
const STARTUP: Duration = Duration::from_mins(2);
const ATTEMPTS: usize = 3;

/// A running API server. Clones are the same server; it ends with the last of them, or with the test process.
#[derive(Debug, Clone)]
pub struct ApiServer(Arc<Running>);

// In the order in which they are taken down.
#[derive(Debug)]
struct Running {
    apiserver: Tethered,
    etcd: Etcd,
    folder: TempDir,
    tools: PathBuf,
    url: String,
    pki: Pki,
}

// === impl ApiServer ===

impl ApiServer {
    /// Starts one of its own for the caller, ready to be used.
    pub async fn start() -> Result<Self> {
        let tools = sidegate_test_tools::find()?;
        let mut attempt = 1;
        loop {
            match Running::start(&tools).await {
                Ok(running) => return Ok(Self(Arc::new(running))),
                Err(error) if attempt < ATTEMPTS && is_port_clash(&error) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The one that all tests of this test process share. Tests keep apart by namespaces.
    pub async fn shared() -> Result<Self> {
        static SHARED: OnceCell<ApiServer> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await.cloned()
    }

    /// A client with all rights. A client belongs to the runtime that made it: each test connects anew.
    pub async fn connect(&self) -> Result<Cluster> {
        Cluster::connect(self.clone()).await
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The kubeconfig file of its administrator.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.0.admin_kubeconfig()
    }

    /// The path of kubectl, of the server's own version.
    pub fn kubectl(&self) -> PathBuf {
        self.0.tools.join("kubectl")
    }

    /// A folder that lives as long as the server.
    pub(crate) fn folder(&self) -> &Path {
        self.0.folder.path()
    }

    /// A kubeconfig that has this bearer token and nothing else.
    pub(crate) fn token_kubeconfig(&self, token: String) -> Result<String> {
        kubeconfig::render(&self.0.url, &self.0.pki.ca, &Credential::Token(token))
    }
}

// === impl Running ===

impl Running {
    async fn start(tools: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sidegate-apiserver-").tempdir()?;
        remove_at_end(folder.path())?;
        let pki = Pki::generate(folder.path())?;
        let etcd = Etcd::start(tools, folder.path())?;
        let port = free_port()?;
        let apiserver = start_apiserver(tools, folder.path(), etcd.url(), port)?;
        let url = format!("https://127.0.0.1:{port}");
        let mut running = Self { apiserver, etcd, folder, tools: tools.to_owned(), url, pki };
        let admin = Credential::Certificate(running.pki.admin.clone());
        let kubeconfig = kubeconfig::render(&running.url, &running.pki.ca, &admin)?;
        std::fs::write(running.admin_kubeconfig(), kubeconfig)?;
        running.until_ready().await.with_context(|| running.last_words())?;
        Ok(running)
    }

    fn admin_kubeconfig(&self) -> PathBuf {
        self.folder.path().join("admin.kubeconfig")
    }

    /// Ready, and with the namespace that it creates for itself a moment later.
    async fn until_ready(&mut self) -> Result<()> {
        let client = crate::cluster::client(&self.admin_kubeconfig()).await?;
        let end = tokio::time::Instant::now() + STARTUP;
        let mut answer = String::from("no answer");
        while tokio::time::Instant::now() < end {
            for (name, process) in [("etcd", self.etcd.process()), ("kube-apiserver", &mut self.apiserver)] {
                if let Some(status) = process.ended()? {
                    bail!("{name} ended while starting: {status}");
                }
            }
            match tokio::time::timeout(Duration::from_secs(5), ask(&client)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => answer = format!("{error:#}"),
                Err(_) => "no answer within 5 s".clone_into(&mut answer),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("kube-apiserver is not ready after {STARTUP:?}: {answer}")
    }

    /// The ends of both logs.
    fn last_words(&self) -> String {
        let end = |name: &str| {
            let log = std::fs::read_to_string(log_path(self.folder.path(), name)).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(20)..].join("\n");
            format!("--- the end of the log of {name}\n{tail}\n")
        };
        end("etcd") + &end("kube-apiserver")
    }
}

async fn ask(client: &kube::Client) -> Result<()> {
    for path in ["/readyz", "/api/v1/namespaces/default"] {
        client.request_text(http::Request::get(path).body(Vec::new())?).await?;
    }
    Ok(())
}

fn start_apiserver(tools: &Path, folder: &Path, etcd: &str, port: u16) -> Result<Tethered> {
    let mut command = Command::new(tools.join("kube-apiserver"));
    command
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
        .arg(format!("--secure-port={port}"))
        .arg(format!("--etcd-servers={etcd}"))
        .args(["--authorization-mode=RBAC", "--allow-privileged=true"])
        // The address of `kubernetes.default` may not be loopback, and nobody here asks for it.
        .args(["--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/24"])
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .args(["--profiling=false", "--v=1"]);
    for (flag, file) in APISERVER_FLAGS {
        command.arg(format!("--{flag}={}", folder.join(file).display()));
    }
    spawn(command, folder, "kube-apiserver")
}

/// Starts a server with its log in the folder.
fn spawn(mut command: Command, folder: &Path, name: &str) -> Result<Tethered> {
    let log = File::create(log_path(folder, name))?;
    command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Tethered::spawn(&mut command).with_context(|| format!("cannot start {}", command.get_program().display()))
}

fn log_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}

fn is_port_clash(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}
