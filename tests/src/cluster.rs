//! One test's hold on an API server: a client, kubectl, and the few things that a cluster would do by itself.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::{ApiServer, repository};

/// The namespace of the product itself.
pub const PLATFORM_NAMESPACE: &str = "sidegate-system";
/// The ServiceAccount of the operator, in [`PLATFORM_NAMESPACE`].
pub const OPERATOR_ACCOUNT: &str = "sidegate-operator";

/// The rights that the chart ships.
const RBAC: &str = "charts/sidegate/files/rbac.yaml";
const TOKEN_SECONDS: i64 = 3600;
const KUBECTL: Duration = Duration::from_mins(1);

/// An API server seen by its administrator.
#[derive(Clone)]
pub struct Cluster {
    server: ApiServer,
    client: Client,
}

/// What a command said, and whether it succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Whether the exit code was 0.
    pub success: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A client from a kubeconfig file.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

// === impl Cluster ===

impl Cluster {
    pub(crate) async fn connect(server: ApiServer) -> Result<Self> {
        let client = client(&server.admin_kubeconfig()).await?;
        Ok(Self { server, client })
    }

    /// The administrator's client. Its calls are repeated on 429, 503 and 504.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The server itself.
    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    /// A new namespace, `<prefix>-<random>`, with the ServiceAccount `default`.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let name = format!("{prefix}-{:06x}", rand::random_range(0..0x0100_0000));
        self.ensure_namespace(&name).await?;
        Ok(name)
    }

    /// The namespace of this very name, with the ServiceAccount `default`; it may exist.
    pub async fn ensure_namespace(&self, name: &str) -> Result<()> {
        let body = json!({ "metadata": { "name": name } });
        let namespaces: Api<Namespace> = Api::all(self.client());
        ignore_existing(namespaces.create(&PostParams::default(), &serde_json::from_value(body)?).await)?;
        self.ensure_service_account(name, "default").await
    }

    /// Runs kubectl as the administrator. That it fails is not an error of this function.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Output> {
        self.kubectl_with(arguments, "").await
    }

    /// The same with something on standard input.
    pub async fn kubectl_with(&self, arguments: &[&str], stdin: &str) -> Result<Output> {
        let mut command = tokio::process::Command::new(self.server.kubectl());
        command
            .arg(format!("--kubeconfig={}", self.server.admin_kubeconfig().display()))
            .arg(format!("--cache-dir={}", self.server.folder().join("kubectl-cache").display()))
            .args(arguments)
            .env_remove("KUBECONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().context("cannot start kubectl")?;
        let pipe = child.stdin.take();
        let feed = async {
            if let Some(mut pipe) = pipe {
                // It may end without having read all of it.
                let _ = pipe.write_all(stdin.as_bytes()).await;
            }
        };
        let run = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = tokio::time::timeout(KUBECTL, run)
            .await
            .with_context(|| format!("kubectl {} took longer than {KUBECTL:?}", arguments.join(" ")))??;
        Ok(Output {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs `kubectl apply -f -` on this text; `Ok` whether the server took it or not.
    pub async fn apply(&self, manifest: &str) -> Result<Output> {
        self.kubectl_with(&["apply", "-f", "-"], manifest).await
    }

    /// `kubectl apply -f crds/`, and waits until the kinds can be used.
    pub async fn apply_crds(&self) -> Result<()> {
        let crds = repository("crds");
        let crds = crds.to_str().context("the repository's path is not UTF-8")?;
        let names = self.kubectl(&["apply", "-o=name", "-f", crds]).await?.expect_success()?;
        // By name: `kubectl wait -f` would also read what lies in folders below.
        let established = ["wait", "--for=condition=Established", "--timeout=30s"];
        let established: Vec<_> = established.into_iter().chain(names.lines()).collect();
        self.kubectl(&established).await?.expect_success()?;
        Ok(())
    }

    /// Gives the operator the rights that the chart ships, and no others; its kubeconfig file is given back.
    pub async fn install_rbac(&self) -> Result<PathBuf> {
        self.ensure_namespace(PLATFORM_NAMESPACE).await?;
        let rbac = repository(RBAC);
        let rbac = rbac.to_str().context("the repository's path is not UTF-8")?;
        self.kubectl(&["apply", "-f", rbac]).await?.expect_success()?;
        self.service_account_kubeconfig(PLATFORM_NAMESPACE, OPERATOR_ACCOUNT).await
    }

    /// A kubeconfig file of a ServiceAccount, with a token that the API server issued. It is created if need be.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        self.ensure_service_account(namespace, name).await?;
        let spec = TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..Default::default() };
        let request = TokenRequest { spec, ..Default::default() };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await?;
        let token = answer.status.context("a TokenRequest without an answer")?.token;
        let path = self.server.folder().join(format!("{namespace}.{name}.kubeconfig"));
        std::fs::write(&path, self.server.token_kubeconfig(token)?)?;
        Ok(path)
    }

    async fn ensure_service_account(&self, namespace: &str, name: &str) -> Result<()> {
        let body = json!({ "metadata": { "name": name } });
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        ignore_existing(accounts.create(&PostParams::default(), &serde_json::from_value(body)?).await)
    }
}

// === impl Output ===

impl Output {
    /// Standard output, or an error with all that was said.
    pub fn expect_success(self) -> Result<String> {
        ensure!(self.success, "the command failed:\n{}{}", self.stdout, self.stderr);
        Ok(self.stdout)
    }

    /// Standard error of a command that was to fail.
    pub fn expect_failure(self) -> Result<String> {
        ensure!(!self.success, "the command succeeded:\n{}{}", self.stdout, self.stderr);
        Ok(self.stderr)
    }
}

fn ignore_existing<T>(result: kube::Result<T>) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error.into()),
    }
}
