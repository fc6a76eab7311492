//! A Gate on loopback, with a backend that is a plain socket.

use std::{num::NonZeroUsize, sync::Mutex, time::Instant};

mod answers;
mod apps;
mod backend;
mod bodies;
mod client;
mod connections;
mod http2;
mod lasting;
mod limits;
mod resting;
mod says;
mod unread;
mod ways;

use backend::Backend;
use client::Client;
use jiff::Timestamp;

use super::*;
use crate::{
    audit::{Each, Seen},
    builders::{api_key, quickstart},
    metrics::Counters,
};

/// A Gate, its backend, and what it told.
struct Setup {
    gate: RunningGate,
    bundles: Newest<GateBundle>,
    stop: CancellationToken,
    metrics: Metrics,
    told: Arc<Mutex<Vec<Told>>>,
}

/// One decision, as the audit was told.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    method: String,
    path: String,
    rule: Option<String>,
    subject: Option<String>,
    denied: Option<&'static str>,
    status: Option<u16>,
}

impl Setup {
    /// With the quickstart's bundle in force.
    fn new(app: SocketAddr) -> Self {
        // Every test is one of connections that rest as soon as they can.
        let limits = Limits { rest: Duration::from_millis(5), ..Limits::default() };
        let setup = Self::without_bundle(app, limits);
        setup.put_in_force(1);
        setup
    }

    fn without_bundle(app: SocketAddr, limits: Limits) -> Self {
        let told = Arc::<Mutex<Vec<Told>>>::default();
        let telling = Arc::clone(&told);
        let audit = Each(move |seen: &Seen<'_>| {
            let decision = &seen.decision;
            telling.lock().unwrap().push(Told {
                method: decision.method.to_owned(),
                path: decision.path.to_owned(),
                rule: decision.rule.as_deref().map(str::to_owned),
                subject: decision.actor.as_ref().map(|actor| actor.subject.to_string()),
                denied: decision.denied,
                status: seen.status,
            });
        });
        let (bundles, stop, metrics) = (Newest::new(), CancellationToken::new(), Metrics::new());
        let gate = Gate::start(GateConfig {
            gate: GateName::new("dify", "api"),
            listen: "127.0.0.1:0".parse().unwrap(),
            app: app.into(),
            bundles: bundles.clone(),
            workers: Workers::start(NonZeroUsize::new(2).unwrap()).unwrap(),
            audit: Arc::new(audit),
            metrics: metrics.clone(),
            limits,
            drain: Duration::from_secs(2),
            shutdown: stop.clone(),
        })
        .unwrap();
        Self { gate, bundles, stop, metrics, told }
    }

    fn put_in_force(&self, revision: u64) {
        let bundle = GateBundle { revision: Revision(revision), ..quickstart() };
        self.bundles.offer(bundle, Timestamp::now()).unwrap();
        executor::block_on(self.gate.in_force(Revision(revision)));
    }

    fn client(&self) -> Client {
        Client::connect(self.gate.local_addr())
    }

    /// Everything that was told so far, of which there are so many.
    fn told(&self, count: usize) -> Vec<Told> {
        until(|| self.told.lock().unwrap().len() >= count);
        self.told.lock().unwrap().clone()
    }

    fn count(&self, count: impl Fn(&Counters) -> u64) -> u64 {
        self.metrics.sum(&count)
    }

    /// Asks it to stop, and says how long that took.
    fn stop(mut self) -> Duration {
        let begun = Instant::now();
        self.stop.cancel();
        executor::block_on(self.gate.stopped());
        begun.elapsed()
    }
}

/// Waits for what happens on other threads.
fn until(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(10), "nothing happened");
        thread::sleep(Duration::from_millis(2));
    }
}

fn key_line(name: &str) -> String {
    format!("X-API-Key: {}\r\n", api_key(name).expose())
}
