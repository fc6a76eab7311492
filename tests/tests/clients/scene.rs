//! A real app, a real gate with a Gate from YAML, and clients that are started with its address and a key.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use sidegate_bundle::{ApiKey, GateBundle, document};
use sidegate_tests::gated::Gated;
use sidegate_tests::install::Installed;
use sidegate_tests::ports::free_port;
use sidegate_tests::process::Program;
use sidegate_tests::{Process, eventually, http};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(30);
/// No client may take longer, whatever it is told.
const END: Duration = Duration::from_secs(75);
/// The Gate that most clients are tried on.
pub(crate) const GATE: &str = include_str!("gate.yaml");

/// Who is behind the gate.
#[derive(Debug, Clone, Copy)]
pub(crate) enum App {
    /// `tests/clients/go/app`.
    Http,
    /// `tests/clients/python/grpc_app.py`.
    Grpc,
}

/// An app, a gate before it, and a key.
pub(crate) struct Scene {
    pub(crate) app: Process,
    pub(crate) gate: Gated,
    /// May read, nothing else.
    pub(crate) key: String,
    /// Of good form, and nobody's.
    pub(crate) wrong_key: String,
    /// For what a client writes.
    pub(crate) folder: TempDir,
}

// === impl Scene ===

impl Scene {
    pub(crate) async fn start() -> Result<Self> {
        Self::of(GATE, App::Http).await
    }

    /// With the one Gate of this YAML.
    pub(crate) async fn of(gate: &str, app: App) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (bundle, key) = compiled(folder.path(), gate).await?;
        let (app, address) = start(app).await?;
        let gate = Gated::start(address, bundle, "warn").await?;
        let wrong_key = ApiKey::mint(&mut rand::rng()).expose().to_owned();
        Ok(Self { app, gate, key, wrong_key, folder })
    }

    /// Where callers connect.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.gate.address)
    }

    /// `python.py case`.
    pub(crate) async fn python(&self, arguments: &[&str]) -> Result<Value> {
        let installed = installed().await?;
        let mut command = Command::new(installed.python());
        command.arg(installed.source("python").join(arguments[0])).args(&arguments[1..]);
        self.run(command.env("PYTHONDONTWRITEBYTECODE", "1")).await
    }

    /// `node.js case`.
    pub(crate) async fn node(&self, arguments: &[&str]) -> Result<Value> {
        let installed = installed().await?;
        let mut command = Command::new("node");
        command.arg(installed.source("node").join(arguments[0])).args(&arguments[1..]);
        self.run(command.env("NODE_PATH", installed.node_modules())).await
    }

    /// The program of Go.
    pub(crate) async fn go(&self, arguments: &[&str]) -> Result<Value> {
        self.run(Command::new(installed().await?.go("client")).args(arguments)).await
    }

    /// Runs a client to its end; what it printed, as JSON.
    async fn run(&self, command: &mut Command) -> Result<Value> {
        let output = self.output(command).await?;
        serde_json::from_str(&output).with_context(|| format!("a client printed\n{output}"))
    }

    /// Runs a client to its end, which must be a good one; what it printed.
    pub(crate) async fn output(&self, command: &mut Command) -> Result<String> {
        let running = command
            .env("API_URL", self.url())
            .env("API_KEY", &self.key)
            .env("WRONG_KEY", &self.wrong_key)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(END, running).await.context("a client did not end")??;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "a client failed: {}\n{text}{errors}", output.status);
        Ok(text)
    }

    /// How many connections callers have opened so far.
    pub(crate) async fn connections(&self) -> Result<u64> {
        let metrics = http::get(&self.gate.admin, "/metrics").await?.text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("sidegate_accepted_connections_total"));
        let count = line.and_then(|line| line.split_whitespace().last()).context("it is not counted")?;
        Ok(count.parse()?)
    }
}

/// What clients and apps are run with; installed on first use.
pub(crate) async fn installed() -> Result<&'static Installed> {
    static INSTALLED: OnceLock<Result<Installed, String>> = OnceLock::new();
    let install =
        || INSTALLED.get_or_init(|| Installed::ensure("clients").map_err(|error| format!("{error:#}")));
    tokio::task::spawn_blocking(install).await?.as_ref().map_err(|error| anyhow!("{error}"))
}

/// The bundle that `sidegate up` makes of this Gate, and a key of its namespace that may read.
async fn compiled(folder: &Path, gate: &str) -> Result<(GateBundle, String)> {
    let name = gate.split("metadata: {name: ").nth(1).and_then(|rest| rest.split(',').next());
    let name = name.context("the Gate has no name")?;
    let files = folder.join("yaml");
    std::fs::create_dir(&files)?;
    std::fs::write(files.join("gate.yaml"), gate)?;
    std::fs::write(
        files.join("key.yaml"),
        format!(
            "apiVersion: sidegate.dev/v1alpha1\nkind: ApiKey\nmetadata: {{name: client, namespace: dify}}\n\
             spec:\n  grants: [{{gate: {name}, scopes: [\"orders:read\"]}}]\n"
        ),
    )?;
    let mut up = Program::of_workspace("sidegate")?
        .args(["up", "yaml", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .current_dir(folder)
        .start()?;
    up.wait_for_line(SOON, |line| line.starts_with("Save a change")).await?;
    up.terminate(SOON).await?;
    let state = folder.join(".sidegate");
    let key = std::fs::read_to_string(state.join("secrets/dify/client-api-key/api-key"))?;
    let packed = std::fs::read(state.join("bundles/dify").join(name).join(document::FILE))?;
    Ok((document::unpack(&packed)?, key.trim().to_owned()))
}

/// Starts an app, and waits until it listens.
async fn start(app: App) -> Result<(Process, SocketAddr)> {
    let installed = installed().await?;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let port = address.port().to_string();
    let program = match app {
        App::Http => Program::at(installed.go("app")),
        App::Grpc => Program::at(installed.python()).arg(installed.source("python/grpc_app.py")),
    };
    let process = program.arg(port).start()?;
    let listens = eventually(SOON, "the app listens", async || Ok(TcpStream::connect(address).await?));
    listens.await.with_context(|| process.output())?;
    Ok((process, address))
}
