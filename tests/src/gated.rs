//! A gate process before any app, with a bundle that the test wrote: no kubelet, no cluster.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use sidegate_bundle::gate::{Access, CredentialType, GateName, Key, Match, PathMatch, Rule, Standing};
use sidegate_bundle::{ApiKey, GateBundle, Revision, ScopeSet, document};
use tempfile::TempDir;

use crate::Process;
use crate::kubelet::Projection;
use crate::ports::free_port;
use crate::process::Program;

/// A running gate, ready, and its bundle.
#[derive(Debug)]
pub struct Gated {
    /// The process.
    pub process: Process,
    /// Where callers connect.
    pub address: String,
    /// Where `/readyz` and `/metrics` are.
    pub admin: String,
    /// The bundle in force, to be changed and published.
    pub bundle: GateBundle,
    projection: Projection,
    _folder: TempDir,
}

/// A bundle of Gate `dify/api` with these rules.
pub fn bundle(rules: Vec<Rule>) -> GateBundle {
    let mut bundle = GateBundle::closed(GateName::new("dify", "api"));
    bundle.revision = Revision::next(None, Timestamp::now());
    bundle.rules = rules;
    bundle
}

/// A rule for a path and what is below it, or for all.
pub fn rule(name: &str, prefix: Option<&str>, access: Access) -> Rule {
    let path = prefix.map(|prefix| PathMatch::Prefix(prefix.to_owned()));
    let matches = path.into_iter().map(|path| Match { path: Some(path), methods: vec![] }).collect();
    Rule { name: Some(name.to_owned()), matches, access, needs: vec![] }
}

/// The entry of a key of `ns:team-a`.
pub fn entry(key: &ApiKey) -> Key {
    Key {
        id: key.id(),
        hash: key.verifier(),
        sub: "key:team-a.ci".to_owned(),
        tenant: "ns:team-a".to_owned(),
        kind: CredentialType::Service,
        scopes: ScopeSet::default(),
        nbf: None,
        exp: None,
        owner: None,
        standing: Standing::Good,
    }
}

/// A well-formed key with one key's id and another's secret.
pub fn with_the_id_of(id: &ApiKey, secret: &ApiKey) -> String {
    let body = format!("sk-sg_{}_{}", id.id(), &secret.expose()[23..66]);
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // CRC-32 (IEEE), bit by bit: the test must not ask the code under test.
    let crc = !body.bytes().fold(!0u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    });
    let tail: String =
        (0..6).rev().map(|place| char::from(digits[(crc / 62u32.pow(place) % 62) as usize])).collect();
    format!("{body}{tail}")
}

// === impl Gated ===

impl Gated {
    /// Starts one before the app at this address, and waits until it is ready. `log` is its `SIDEGATE_LOG`.
    pub async fn start(app: SocketAddr, bundle: GateBundle, log: &str) -> Result<Self> {
        Self::start_with(app, bundle, log, &[]).await
    }

    /// The same, with these arguments besides.
    pub async fn start_with(
        app: SocketAddr,
        bundle: GateBundle,
        log: &str,
        arguments: &[&str],
    ) -> Result<Self> {
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::start_once(app, bundle.clone(), log, arguments).await {
                // Another test took the port meanwhile.
                Err(error) if tries < 4 && format!("{error:#}").contains("is in use") => {}
                started => return started,
            }
        }
    }

    async fn start_once(app: SocketAddr, bundle: GateBundle, log: &str, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mount = folder.path().join("bundle");
        let mut projection = Projection::create(&mount)?;
        projection.write(&files(&bundle)?)?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?)).to_string();
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()?)).to_string();
        let mut process = Program::of_workspace("sidegate-sidecar")?
            .args(["run", "--gate", &bundle.gate.to_string(), "--listen", &address, "--admin", &admin])
            .args(["--app", &app.to_string()])
            .args(arguments.iter().copied())
            .arg("--bundle")
            .arg(&mount)
            .env("SIDEGATE_LOG", log)
            .start()?;
        process.wait_until_ready(&admin, "/readyz", Duration::from_secs(20)).await?;
        Ok(Self { process, address, admin, bundle, projection, _folder: folder })
    }

    /// Writes the bundle as it now is, with the next revision.
    pub fn publish(&mut self) -> Result<()> {
        self.bundle.revision = Revision::next(Some(self.bundle.revision), Timestamp::now());
        Ok(self.projection.write(&files(&self.bundle)?)?)
    }
}

fn files(bundle: &GateBundle) -> Result<BTreeMap<String, Vec<u8>>> {
    Ok(BTreeMap::from([(document::FILE.to_owned(), document::pack(bundle)?)]))
}
