//! A gate process before an app, a key, and the memory that the gate has at rest.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use sidegate_bundle::ApiKey;
use sidegate_bundle::gate::Access;
use sidegate_tests::endurance::{
    Bulk, Counters, Memory, Quality, Steady, mebibytes, open_file_limit, source,
};
use sidegate_tests::gated::{Gated, bundle, entry, rule};
use sidegate_tests::http::{Connection, Request};
use tokio::sync::{Mutex, MutexGuard};

/// What a percentile may grow by besides: on a machine with few cores, other work alone is worth some milliseconds.
const NOISE: Duration = Duration::from_millis(5);
/// So often a measurement is made again, if somebody else's work may have disturbed it.
const ROUNDS: usize = 3;
/// Where good callers come from.
const GOOD: u8 = 0;

/// What every test here begins with.
pub(crate) struct Scene {
    pub(crate) gate: Gated,
    pub(crate) app: Bulk,
    pub(crate) key: ApiKey,
    pub(crate) memory: Memory,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::const_new(());

// === impl Scene ===

impl Scene {
    /// With these arguments of the gate. It has served some requests, so that all it always needs is there.
    pub(crate) async fn start(arguments: &[&str]) -> Result<Self> {
        let alone = ALONE.lock().await;
        open_file_limit();
        let app = Bulk::start()?;
        let key = ApiKey::mint(&mut rand::rng());
        let mut bundle = bundle(vec![rule("all", None, Access::Authenticated)]);
        bundle.keys = vec![entry(&key)];
        let mut gate = Gated::start_with(app.address(), bundle, "warn", arguments).await?;
        for _ in 0..8 {
            let mut connection = Connection::open(&gate.address).await?;
            for _ in 0..8 {
                let answer = connection.send(&with_key(&key, Request::new("GET", "/"))).await?;
                ensure!(answer.status == 200, "answered {}", answer.status);
            }
        }
        let memory = Memory::idle(gate.process.id())?;
        Ok(Self { gate, app, key, memory, _alone: alone })
    }

    /// A good caller that goes on from now on.
    pub(crate) fn steady(&self) -> Result<Steady> {
        let request = with_key(&self.key, Request::new("GET", "/good"));
        Steady::start(source(GOOD), &self.gate.address, request)
    }

    pub(crate) async fn counters(&self) -> Result<Counters> {
        Counters::read(&self.gate.admin).await
    }

    /// Never had the gate more memory than so many MiB above what it has idle.
    pub(crate) fn never_grew_by(&self, most: u64) -> Result<()> {
        let peak = self.memory.peak_growth()?;
        eprintln!("memory grew by {} KiB at most", peak >> 10);
        ensure!(peak <= mebibytes(most), "memory grew by {} KiB, {most} MiB are allowed", peak >> 10);
        Ok(())
    }
}

/// The request with this key.
pub(crate) fn with_key(key: &ApiKey, request: Request) -> Request {
    request.header("X-API-Key", key.expose())
}
