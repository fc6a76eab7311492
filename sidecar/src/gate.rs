//! A running Gate: one address, one app, one bundle after the other.
//!
//! A process may run several; they can share their worker threads and never share anything else.

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc, thread, time::Duration};

use futures::{
    executor,
    future::{self, Either},
};
use sidegate_bundle::{GateBundle, Revision, gate::GateName};
use sidegate_runtime::follow::{Newest, Reader};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    accept::{self, Acceptor, Places, Workers},
    audit::Audit,
    forward::App,
    index::Index,
    metrics::Metrics,
    serve::Limits,
};

mod standings;
mod vitals;
mod worker;

pub(crate) use standings::Watch;
pub(crate) use vitals::Part;
pub use vitals::Vitals;
pub(crate) use worker::Worker;

/// What a Gate needs in order to run.
pub struct GateConfig {
    /// Which Gate it is, in audit lines and metrics.
    pub gate: GateName,
    /// Where it listens. Port 0: the system chooses.
    pub listen: SocketAddr,
    /// Where permitted requests go.
    pub app: App,
    /// What it decides by. Until there is one every request gets 503.
    pub bundles: Newest<GateBundle>,
    /// The threads that serve it.
    pub workers: Workers,
    /// Where its decisions are told.
    pub audit: Arc<dyn Audit>,
    /// Where it counts.
    pub metrics: Metrics,
    /// What a connection may cost.
    pub limits: Limits,
    /// How long what is in flight may take when it stops.
    pub drain: Duration,
    /// Cancelled: it stops accepting, finishes what is in flight, and ends.
    pub shutdown: CancellationToken,
}

/// A Gate that listens.
#[derive(Debug)]
pub struct RunningGate {
    local_addr: SocketAddr,
    index: Newest<Index>,
    vitals: Vitals,
    leaving: CancellationToken,
    /// Every worker holds the other end until it is done with this Gate.
    workers: mpsc::Receiver<()>,
}

/// Why a Gate does not run.
#[derive(Debug, Error)]
pub enum StartError {
    /// Somebody else listens there.
    #[error("{0} is in use")]
    InUse(SocketAddr),
    /// The system refuses the address for another reason.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The system gives no thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// Where a Gate is run.
#[derive(Debug)]
pub struct Gate;

/// What the workers of one Gate have in common. Nothing in it changes.
pub(crate) struct Shared {
    pub(crate) gate: GateName,
    /// Where it listens.
    pub(crate) port: u16,
    pub(crate) app: App,
    pub(crate) index: Newest<Index>,
    pub(crate) audit: Arc<dyn Audit>,
    pub(crate) limits: Limits,
    pub(crate) places: Places,
    pub(crate) drain: Duration,
    /// Cancelled: callers are to go elsewhere.
    pub(crate) leaving: CancellationToken,
}

// === impl Gate ===

impl Gate {
    /// Listens, and serves on the workers' threads; needs no runtime of the caller's. A bundle that
    /// is there already is in force when this returns.
    pub fn start(config: GateConfig) -> Result<RunningGate, StartError> {
        let GateConfig { gate, listen, app, bundles, workers, audit, metrics, limits, drain, shutdown } =
            config;
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => StartError::InUse(listen),
            _ => StartError::Listen(listen, error),
        };
        let listener = accept::listen(listen, &limits).map_err(refused)?;
        let local_addr = listener.local_addr().map_err(refused)?;
        let (index, vitals, leaving) = (Newest::new(), Vitals::default(), CancellationToken::new());
        // What is in flight when it stops still ends with its credential: bundles count to the end.
        let over = CancellationToken::new();
        let until = Arc::new(over.clone().drop_guard());
        compile(bundles, index.clone(), over, vitals.part("the compiler of bundles"))
            .map_err(StartError::Thread)?;
        let mut counters = metrics.add(&gate, workers.count() + 1, index.clone());
        // The acceptor is one more thread that counts.
        let accepted = counters.pop().unwrap_or_default();
        let accepting = limits.clone();
        let places = Places::new(limits.connections);
        let shared = Arc::new(Shared {
            places: places.clone(),
            gate,
            port: local_addr.port(),
            app,
            index: index.clone(),
            audit,
            limits,
            drain,
            leaving: leaving.clone(),
        });
        let (running, done) = mpsc::channel(1);
        let queues = counters
            .into_iter()
            .enumerate()
            .map(|(worker, counters)| {
                let (queue, accepted) = mpsc::unbounded_channel();
                let (shared, running, until) = (Arc::clone(&shared), running.clone(), Arc::clone(&until));
                let (threads, part) = (workers.clone(), vitals.part("a worker"));
                workers.spawn(worker, move || async move {
                    worker::run(Worker::new(shared, counters, threads.count()), accepted).await;
                    part.done();
                    drop(until);
                    drop(running);
                    // The threads must not end before this: they end with the last handle.
                    drop(threads);
                });
                queue
            })
            .collect();
        let acceptor = Acceptor {
            listener,
            limits: accepting,
            places,
            workers,
            queues,
            index: index.reader(),
            counters: accepted,
            part: vitals.part("the acceptor"),
        };
        acceptor.start(shutdown).map_err(StartError::Thread)?;
        Ok(RunningGate { local_addr, index, vitals, leaving, workers: done })
    }
}

// === impl RunningGate ===

impl RunningGate {
    /// Where it listens, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The revision by which requests are decided; `None`: there is no bundle yet.
    pub fn revision(&self) -> Option<Revision> {
        self.index.current().map(|index| index.revision())
    }

    /// Cancelled, it sends callers elsewhere: it still listens and answers every request as ever, and
    /// says `Connection: close` or GOAWAY with the answer. For the time in which nobody knows yet that
    /// it is about to stop.
    pub fn leaving(&self) -> CancellationToken {
        self.leaving.clone()
    }

    /// Asks whether every part of it runs.
    pub fn vitals(&self) -> Vitals {
        self.vitals.clone()
    }

    /// Asks for that, at any time and from anywhere.
    pub fn revisions(&self) -> impl Fn() -> Option<Revision> + Send + Sync + use<> {
        let index = self.index.clone();
        move || index.current().map(|index| index.revision())
    }

    /// Waits until requests are decided by `revision` or a newer one.
    pub fn in_force(&self, revision: Revision) -> impl Future<Output = ()> + Send + use<> {
        let mut index = self.index.reader();
        async move {
            while index.current().is_none_or(|index| index.revision() < revision) {
                if !index.changed().await {
                    return;
                }
            }
        }
    }

    /// Waits until it has stopped: after its token was cancelled, and what was in flight is done or
    /// was cut off at the deadline.
    pub async fn stopped(&mut self) {
        let none = self.workers.recv().await;
        debug_assert!(none.is_none(), "nothing is ever sent");
    }
}

/// Compiles each bundle into an index, on a thread of its own so that no request waits for it.
fn compile(
    bundles: Newest<GateBundle>,
    index: Newest<Index>,
    stop: CancellationToken,
    part: Part,
) -> io::Result<()> {
    let mut bundles = bundles.reader();
    if let Some(bundle) = bundles.current() {
        index.set(Arc::new(Index::new(bundle)));
    }
    thread::Builder::new().name("compile".to_owned()).spawn(move || {
        executor::block_on(async {
            let mut stopped = pin!(stop.cancelled());
            let mut next = async |bundles: &mut Reader<GateBundle>| {
                let changed = pin!(bundles.changed());
                matches!(future::select(changed, stopped.as_mut()).await, Either::Left((true, _)))
            };
            while next(&mut bundles).await {
                if let Some(bundle) = bundles.current() {
                    index.set(Arc::new(Index::new(bundle)));
                }
            }
        });
        part.done();
    })?;
    Ok(())
}

#[cfg(test)]
mod tests;
