//! A gate process before an app, a key, and the memory that the gate has at rest.

use std::net::SocketAddr;
use std::ops::Deref;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, setrlimit};
use sidegate_bundle::ApiKey;
use sidegate_bundle::gate::Access;
use sidegate_tests::endurance::{
    Aside, Bulk, Counters, Memory, Quality, Steady, mebibytes, open_file_limit, processor_time, source,
};
use sidegate_tests::eventually;
use sidegate_tests::gated::{Gated, bundle, entry, rule};
use sidegate_tests::http::{Connection, Request};
use tokio::sync::{Mutex, MutexGuard};

/// What a percentile may grow by besides: on a machine with few cores, other work alone is worth some milliseconds.
const NOISE: Duration = Duration::from_millis(10);
/// So often a measurement is made again, if somebody else's work may have disturbed it.
const ROUNDS: usize = 3;
/// A gate that uses more of a core than this is slow by its own doing.
const MOST_PROCESSOR: f64 = 0.8;
/// Where good callers come from.
const GOOD: u8 = 0;

/// A figure for whoever reads the output: what passes shows by how much.
#[expect(clippy::print_stderr, reason = "the test runner keeps it, and shows it if the test fails")]
pub(crate) fn say(figure: &str) {
    eprintln!("{figure}");
}

/// What every test here begins with: a gate, which nobody else's test disturbs.
pub(crate) struct Scene {
    stand: Stand,
    pub(crate) memory: Memory,
    _alone: MutexGuard<'static, ()>,
}

/// A gate before an app.
pub(crate) struct Stand {
    pub(crate) gate: Gated,
    pub(crate) app: Bulk,
    pub(crate) key: ApiKey,
}

static ALONE: Mutex<()> = Mutex::const_new(());

// === impl Scene ===

impl Scene {
    /// With these arguments of the gate.
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
        let mut stand = Stand::start(arguments).await?;
        let memory = Memory::idle(stand.gate.process.id())?;
        Ok(Self { stand, memory, _alone: alone })
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
        let mut good = false;
        for _ in 0..ROUNDS {
            let now = steady.measure().await?;
            say(&format!("during: {now}"));
            good = is_as_good(&now, &calm);
            if good {
                break;
            }
        }
        if !good {
            good = self.is_as_good_as_another(&steady).await?;
        }
        let seen = look().await;
        // If the attack has failed, that says more than what was seen of it.
        attack.stop()?;
        seen?;
        ensure!(good, "good requests wait longer");
        Ok(())
    }

    /// Perhaps the machine is busy with something else. Then those of another gate, which nobody attacks, wait as long
    /// in the same moments, though ours has not used up a core.
    async fn is_as_good_as_another(&self, steady: &Steady) -> Result<bool> {
        let other = Stand::start(&[]).await?;
        let others = other.steady()?;
        for _ in 0..ROUNDS {
            let (begun, before) = (Instant::now(), processor_time(self.memory.process())?);
            let (now, calm) = tokio::try_join!(steady.measure(), others.measure())?;
            let used = processor_time(self.memory.process())?.saturating_sub(before);
            let part = used.as_secs_f64() / begun.elapsed().as_secs_f64();
            say(&format!("during: {now}, with {part:.2} of a core\n another: {calm}"));
            if part <= MOST_PROCESSOR && is_as_good(&now, &calm) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where callers connect.
    pub(crate) fn port(&self) -> Result<u16> {
        Ok(self.gate.address.parse::<SocketAddr>()?.port())
    }

    pub(crate) async fn counters(&self) -> Result<Counters> {
        Counters::read(&self.gate.admin).await
    }

    /// Waits until so many of something are counted; an attack on a busy machine takes its time.
    pub(crate) async fn counted(&self, metric: &str, label: &str, least: u64) -> Result<Counters> {
        eventually(Duration::from_secs(30), metric, async || {
            let counters = self.counters().await?;
            let count = counters.sum(metric, label)?;
            ensure!(count >= least, "{count} {label} are counted, {least} are expected");
            Ok(counters)
        })
        .await
    }

    /// Never had the gate more memory than so many MiB above what it has idle.
    pub(crate) fn never_grew_by(&self, most: u64) -> Result<()> {
        let peak = self.memory.peak_growth()?;
        say(&format!("memory grew by {} KiB at most", peak >> 10));
        ensure!(peak <= mebibytes(most), "memory grew by {} KiB, {most} MiB are allowed", peak >> 10);
        Ok(())
    }
}

impl Deref for Scene {
    type Target = Stand;

    fn deref(&self) -> &Stand {
        &self.stand
    }
}

// === impl Stand ===

impl Stand {
    /// Ready. It has served some requests, so that all it always needs is there.
    async fn start(arguments: &[&str]) -> Result<Self> {
        let app = Bulk::start()?;
        let key = ApiKey::mint(&mut rand::rng());
        let mut bundle = bundle(vec![rule("all", None, Access::Authenticated)]);
        bundle.keys = vec![entry(&key)];
        let gate = Gated::start_with(app.address(), bundle, "", arguments).await?;
        for _ in 0..8 {
            let mut connection = Connection::open(&gate.address).await?;
            for _ in 0..8 {
                let answer = connection.send(&with_key(&key, Request::new("GET", "/"))).await?;
                ensure!(answer.status == 200, "answered {}", answer.status);
            }
        }
        Ok(Self { gate, app, key })
    }

    /// A good caller that goes on from now on.
    fn steady(&self) -> Result<Steady> {
        let request = with_key(&self.key, Request::new("GET", "/good"));
        Steady::start(source(GOOD), &self.gate.address, request)
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
