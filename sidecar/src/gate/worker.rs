//! One worker's part of a Gate: everything in it belongs to one thread.

use std::{
    cell::{Cell, RefCell},
    fmt,
    ops::Deref,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sidegate_runtime::follow::Reader;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::{self, MissedTickBehavior, Sleep},
};

use super::{Shared, Watch, standings::Standings};
use crate::{
    accept::Accepted,
    audit::{Recorder, Seen},
    forward::Pool,
    index::Index,
    metrics::Counters,
    request_id::RequestId,
    serve::{self, Buffers, Drain},
    verify::Principal,
};

/// How often the pool is swept, the recorder flushed, and what lasts looked at in any case.
const TICK: Duration = Duration::from_secs(1);
/// Seconds, rounded up, by when what lasts is looked at next.
const LOOK: i64 = 2;
/// One line in so long about callers that speak TLS.
const TLS_SAID: Duration = Duration::from_secs(10);
/// How many ids the system's randomness is asked for at once.
const IDS: usize = 64;
const ID: usize = size_of::<u128>();

/// What the connections of one worker share.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: Rc<Pool>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) drain: Drain,
    pub(crate) buffers: Buffers,
    standings: Standings,
    /// Something that lasts has begun whose credential expires before it would be looked at.
    expires_soon: Notify,
    reader: RefCell<Reader<Index>>,
    index: RefCell<Option<Rc<InForce>>>,
    recorder: RefCell<Box<dyn Recorder>>,
    random: RefCell<[u8; IDS * ID]>,
    /// How many bytes of `random` are still unused.
    unused: Cell<usize>,
    /// When it was last said that somebody speaks TLS here.
    tls_said: Cell<Option<Instant>>,
}

/// The index in force. Behind an [`Rc`] its handles are counted on this thread only: no two workers
/// write one counter for each request.
pub(crate) struct InForce(Arc<Index>);

// === impl InForce ===

impl Deref for InForce {
    type Target = Index;

    fn deref(&self) -> &Index {
        &self.0
    }
}

// === impl Worker ===

impl Worker {
    /// One of so many, made on its thread.
    pub(super) fn new(shared: Arc<Shared>, counters: Arc<Counters>, workers: usize) -> Self {
        let buffers = Buffers::new(shared.limits.buffers / workers, Arc::clone(&counters));
        Self {
            pool: Pool::new(
                shared.app.clone(),
                shared.limits.clone(),
                buffers.clone(),
                Arc::clone(&counters),
            ),
            drain: Drain::default(),
            standings: Standings::default(),
            buffers,
            expires_soon: Notify::new(),
            reader: RefCell::new(shared.index.reader()),
            index: RefCell::default(),
            recorder: RefCell::new(shared.audit.recorder(&shared.gate)),
            random: RefCell::new([0; IDS * ID]),
            unused: Cell::new(0),
            counters,
            tls_said: Cell::default(),
            shared,
        }
    }

    /// The index in force.
    pub(crate) fn index(&self) -> Option<Rc<InForce>> {
        let mut reader = self.reader.borrow_mut();
        let current = reader.current()?;
        let mut held = self.index.borrow_mut();
        match &*held {
            Some(index) if Arc::ptr_eq(&index.0, current) => {}
            _ => *held = Some(Rc::new(InForce(Arc::clone(current)))),
        }
        held.clone()
    }

    /// An id that nobody can guess.
    pub(crate) fn new_id(&self) -> RequestId {
        let mut random = self.random.borrow_mut();
        if self.unused.get() < ID {
            if let Err(error) = getrandom::fill(&mut *random) {
                // The ids of before come again; they open nothing.
                tracing::error!(%error, "the system gives no randomness");
            }
            self.unused.set(random.len());
        }
        let start = random.len() - self.unused.get();
        self.unused.set(self.unused.get() - ID);
        let mut id = [0; ID];
        id.copy_from_slice(&random[start..start + ID]);
        RequestId::new(u128::from_ne_bytes(id))
    }

    /// Looks at this credential with every new bundle, for something that lasts.
    pub(crate) fn watch(&self, principal: &Arc<Principal>) -> Watch {
        let (index, now) = (self.index(), Timestamp::now());
        if principal.expires_at.is_some_and(|expires| expires <= now.as_second() + LOOK) {
            self.expires_soon.notify_one();
        }
        self.standings.watch(Arc::clone(principal), index.as_deref().map(Deref::deref), now)
    }

    /// Gives the time until the first of those that it looked at expires; with a clock that is set
    /// anew it is another time, so it is not to be trusted for long.
    fn look_at_standings(&self) -> Option<Duration> {
        let (index, now) = (self.index(), Timestamp::now());
        let index = index.as_deref().map(Deref::deref);
        let over = self.standings.look(index, now);
        (0..over).for_each(|_| self.counters.cut_off.add());
        let expires = Timestamp::from_second(self.standings.first_to_expire(index)?).ok()?;
        Some(Duration::try_from(expires.duration_since(now)).unwrap_or_default())
    }

    /// A caller spoke TLS: said, but not for each.
    pub(crate) fn refuse_tls(&self) {
        self.counters.tls_refused.add();
        let now = Instant::now();
        if self.tls_said.get().is_none_or(|last| now.duration_since(last) >= TLS_SAID) {
            self.tls_said.set(Some(now));
            let Shared { gate, port, .. } = &*self.shared;
            tracing::warn!(%gate, port, "TLS on port {port}: terminate it before the pod");
        }
    }

    /// Tells one decision.
    pub(crate) fn record(&self, seen: &Seen<'_>) {
        self.recorder.borrow_mut().record(seen);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

/// Serves what comes by `accepted` until the acceptor has ended, then what is in flight. What lasts
/// is looked at to the end.
pub(super) async fn run(worker: Worker, mut accepted: mpsc::UnboundedReceiver<Accepted>) {
    let worker = Rc::new(worker);
    let mut connections = JoinSet::new();
    let mut tick = time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut bundles, mut more) = (worker.shared.index.reader(), true);
    let leaving = worker.shared.leaving.clone();
    let mut leaves = pin!(leaving.cancelled());
    let (mut expiry, mut deadline) = (pin!(time::sleep(TICK)), pin!(time::sleep(TICK)));
    let look = |expiry: Pin<&mut Sleep>| {
        let wait = worker.look_at_standings().unwrap_or(TICK).min(TICK);
        expiry.reset(time::Instant::now() + wait);
    };
    let mut stopping = false;
    while !(stopping && connections.is_empty()) {
        tokio::select! {
            accepted = accepted.recv(), if !stopping => if let Some(accepted) = accepted {
                connections.spawn_local(serve::connection(Rc::clone(&worker), accepted));
            } else {
                stopping = true;
                worker.drain.begin();
                deadline.as_mut().reset(time::Instant::now() + worker.shared.drain);
            },
            Some(ended) = connections.join_next() => say_panic(ended),
            () = &mut leaves, if !worker.drain.is_leaving() => worker.drain.leave(),
            changed = bundles.changed(), if more => {
                more = changed;
                look(expiry.as_mut());
            }
            () = &mut expiry => look(expiry.as_mut()),
            () = worker.expires_soon.notified() => look(expiry.as_mut()),
            () = &mut deadline, if stopping => {
                tracing::warn!(connections = connections.len(), "not over by the deadline, cut off");
                connections.shutdown().await;
            }
            _ = tick.tick() => {
                worker.pool.sweep();
                worker.recorder.borrow_mut().flush(Timestamp::now(), false);
            }
        }
    }
    worker.recorder.borrow_mut().flush(Timestamp::now(), true);
}

/// A panic ends its connection and nothing else.
fn say_panic(ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a connection was ended by a panic");
    }
}
