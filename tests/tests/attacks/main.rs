//! Attacks on apps behind proxies. Each is first shown to work through a proxy that forwards naively: one that
//! does not work there proves nothing here.

mod bodies;
mod identity;
mod routes;
mod tunnel;

use std::time::Duration;

use anyhow::{Result, ensure};
use sidegate_bundle::ApiKey;
use sidegate_bundle::gate::Access;
use sidegate_tests::backends::{Backend, Record, Server};
use sidegate_tests::eventually;
use sidegate_tests::gated::{Gated, bundle, entry, rule};
use sidegate_tests::naive_proxy::NaiveProxy;
use sidegate_tests::raw::{Answer, Raw};

const SOON: Duration = Duration::from_secs(10);
/// Who says nothing for so long says nothing more.
const PATIENCE: Duration = Duration::from_millis(150);

/// The same app behind both. Both deny `/admin` to those without a key, and let everybody in elsewhere.
struct Scene {
    backend: Backend,
    naive: NaiveProxy,
    gate: Gated,
    key: ApiKey,
}

// === impl Scene ===

impl Scene {
    async fn before(server: Server) -> Result<Self> {
        let backend = Backend::start(server).await?;
        let naive = NaiveProxy::start(backend.address()).await?;
        let key = ApiKey::mint(&mut rand::rng());
        let rules =
            vec![rule("admin", Some("/admin"), Access::Authenticated), rule("rest", None, Access::Anonymous)];
        let mut bundle = bundle(rules);
        bundle.keys = vec![entry(&key)];
        let gate = Gated::start(backend.address(), bundle, "warn").await?;
        Ok(Self { backend, naive, gate, key })
    }

    /// What the app's handlers saw of this, sent through the naive proxy.
    async fn through_naive(&self, bytes: &[u8]) -> Result<(Answer, Vec<Record>)> {
        self.through(&self.naive.address(), bytes).await
    }

    /// The same, through the gate.
    async fn through_gate(&self, bytes: &[u8]) -> Result<(Answer, Vec<Record>)> {
        self.through(&self.gate.address, bytes).await
    }

    async fn through(&self, address: &str, bytes: &[u8]) -> Result<(Answer, Vec<Record>)> {
        let before = self.backend.records()?.len();
        let answer = send(address, bytes).await?;
        // A handler's line is written before its answer, and read a moment later.
        tokio::time::sleep(PATIENCE).await;
        Ok((answer, self.backend.records()?.split_off(before)))
    }
}

/// Sends these bytes on a connection of their own.
async fn send(address: &str, bytes: &[u8]) -> Result<Answer> {
    let mut caller = Raw::open(address).await?;
    caller.send(bytes).await;
    Ok(caller.answer(SOON, PATIENCE).await)
}

/// GET of a target with these further header lines, each with its line's end.
fn get(target: &str, lines: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes()
}

/// Waits until the page at `/admin` was served so often.
async fn admin_pages(backend: &Backend, expected: usize) -> Result<()> {
    eventually(Duration::from_secs(2), "the admin page was served", async || {
        let pages = backend.admin_pages();
        ensure!(pages == expected, "{pages} times, not {expected}");
        Ok(())
    })
    .await
}
