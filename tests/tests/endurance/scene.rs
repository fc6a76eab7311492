//! A gate process before an app, a key, and the memory that the gate has at rest.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, setrlimit};
use sidegate_bundle::ApiKey;
use sidegate_bundle::gate::Access;
use sidegate_tests::endurance::{
    Aside, Bulk, Counters, Memory, Quality, Steady, mebibytes, open_file_limit, source,
};
use sidegate_tests::gated::{Gated, bundle, entry, rule};
use sidegate_tests::http::{Connection, Request};
use tokio::sync::{Mutex, MutexGuard};

/// What a percentile may grow by besides: on a machine with few cores, other work alone is worth some milliseconds.
const NOISE: Duration = Duration::from_millis(10);
/// So often a measurement is made again, if somebody else's work may have disturbed it.
const ROUNDS: usize = 4;
/// Where good callers come from.
const GOOD: u8 = 0;

/// A figure for whoever reads the output: what passes shows by how much.
#[expect(clippy::print_stderr, reason = "the test runner keeps it, and shows it if the test fails")]
pub(crate) fn say(figure: &str) {
    eprintln!("{figure}");
}

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
        Self::begin(arguments, alone).await
    }

    /// The same, with a gate that is first granted so many open files.
    pub(crate) async fn start_with_files(files: Rlimit, arguments: &[&str]) -> Result<Self> {
        let alone = ALONE.lock().await;
        setrlimit(Resource::Nofile, files)?;
        let scene = Self::begin(arguments, alone).await;
        open_file_limit();
        scene
    }

    async fn begin(arguments: &[&str], alone: MutexGuard<'static, ()>) -> Result<Self> {
        let app = Bulk::start()?;
        let key = ApiKey::mint(&mut rand::rng());
        let mut bundle = bundle(vec![rule("all", None, Access::Authenticated)]);
        bundle.keys = vec![entry(&key)];
        let mut gate = Gated::start_with(app.address(), bundle, "", arguments).await?;
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

    /// While an attack goes on, good requests take at most twice as long as before it. `look` is called then, before
    /// the attack is stopped.
    pub(crate) async fn withstands<T: Send + 'static>(
        &self,
        attack: impl FnOnce() -> Result<Aside<T>>,
        look: impl AsyncFnOnce() -> Result<()>,
    ) -> Result<()> {
        let steady = self.steady()?;
        let calm = steady.measure().await?;
        say(&format!("before: {calm}"));
        let attack = attack()?;
        let mut attacked = Vec::new();
        while attacked.len() < ROUNDS && !attacked.iter().any(|now| is_as_good(now, &calm)) {
            let now = steady.measure().await?;
            say(&format!("during: {now}"));
            attacked.push(now);
        }
        let seen = look().await;
        // If the attack has failed, that says more than what was seen of it.
        attack.stop()?;
        seen?;
        if !attacked.iter().any(|now| is_as_good(now, &calm)) {
            // Perhaps the machine has become slower meanwhile: then good requests are still slow.
            let calm = steady.measure().await?;
            say(&format!("after: {calm}"));
            ensure!(attacked.iter().any(|now| is_as_good(now, &calm)), "good requests wait longer");
        }
        Ok(())
    }

    /// Where callers connect.
    pub(crate) fn port(&self) -> Result<u16> {
        Ok(self.gate.address.parse::<SocketAddr>()?.port())
    }

    pub(crate) async fn counters(&self) -> Result<Counters> {
        Counters::read(&self.gate.admin).await
    }

    /// Never had the gate more memory than so many MiB above what it has idle.
    pub(crate) fn never_grew_by(&self, most: u64) -> Result<()> {
        let peak = self.memory.peak_growth()?;
        say(&format!("memory grew by {} KiB at most", peak >> 10));
        ensure!(peak <= mebibytes(most), "memory grew by {} KiB, {most} MiB are allowed", peak >> 10);
        Ok(())
    }
}

/// The request with this key.
pub(crate) fn with_key(key: &ApiKey, request: Request) -> Request {
    request.header("X-API-Key", key.expose())
}

fn is_as_good(now: &Quality, calm: &Quality) -> bool {
    let good = |now: Duration, calm: Duration| now <= 2 * calm + NOISE;
    good(now.kept.p99, calm.kept.p99) && good(now.fresh.p99, calm.fresh.p99)
}
