//! Drives the World: takes updates in, plans what is due, carries plans out at a bounded number
//! at once. It owns the World, so that every plan is made from one consistent view.

use std::{
    collections::HashMap,
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use rand::RngExt as _;
use tokio::{
    sync::mpsc,
    task::{Id, JoinError, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{carry_out, plan, queue::Queue};
use crate::{
    execute::{Class, Execute, WriteError},
    metrics::Metrics,
    world::{ObjectRef, Update, World},
};

/// How many plans are carried out at once.
const CONCURRENCY: usize = 32;
/// How many updates are taken in before something is planned again.
const BATCH: usize = 4096;
/// How long a graceful stop waits for writes that are under way.
const DRAIN: Duration = Duration::from_secs(6);

/// A World, its queue, and what carries its plans out.
#[derive(Debug)]
pub struct Driver<E> {
    world: World,
    queue: Queue,
    execute: Arc<E>,
    updates: mpsc::Receiver<Update>,
    metrics: Metrics,
    carried_out: JoinSet<Done>,
    under_way: HashMap<Id, ObjectRef>,
}

/// What became of a plan.
type Done = (ObjectRef, Vec<Update>, Result<(), WriteError>);

// === impl Driver ===

impl<E: Execute> Driver<E> {
    /// A driver with an empty World, which `updates` fill.
    pub fn new(execute: Arc<E>, updates: mpsc::Receiver<Update>, metrics: Metrics) -> Self {
        Self {
            world: World::new(),
            queue: Queue::default(),
            execute,
            updates,
            metrics,
            carried_out: JoinSet::new(),
            under_way: HashMap::new(),
        }
    }

    /// Runs until `stop`, then waits for the writes under way. `lost` ends these as well: the
    /// lease is somebody else's now.
    pub async fn run(mut self, stop: CancellationToken, lost: CancellationToken) {
        while !stop.is_cancelled() && !lost.is_cancelled() {
            self.plan_what_is_due();
            let due = self.queue.next_due().filter(|_| self.world.complete() && self.has_room());
            tokio::select! {
                () = stop.cancelled() => break,
                () = lost.cancelled() => break,
                Some(update) = self.updates.recv() => self.take_in(update),
                Some(done) = self.carried_out.join_next_with_id() => match done {
                    Ok((id, done)) => {
                        self.under_way.remove(&id);
                        self.done(done);
                    }
                    Err(error) => self.crashed(&error),
                },
                () = until(due) => {}
            }
        }
        self.metrics.queue_depth.set(0);
        tokio::select! {
            () = lost.cancelled() => {}
            () = sleep(DRAIN) => {}
            () = async { while self.carried_out.join_next().await.is_some() {} } => {}
        }
        self.carried_out.abort_all();
    }

    fn has_room(&self) -> bool {
        self.queue.running() < CONCURRENCY
    }

    fn plan_what_is_due(&mut self) {
        let now = Timestamp::now();
        if !self.world.complete() {
            return;
        }
        while self.has_room() {
            let Some(object) = self.queue.next(now) else { break };
            self.plan(object, now);
        }
        self.metrics.queue_depth.set(i64::try_from(self.queue.depth(now)).unwrap_or(i64::MAX));
    }

    fn plan(&mut self, object: ObjectRef, now: Timestamp) {
        self.metrics.planned(&object);
        // A plan only reads the World: one that panics leaves it whole, and stops nobody else.
        let planned = catch_unwind(AssertUnwindSafe(|| plan(&self.world, &object, now, &mut rand::rng())));
        let Ok(plan) = planned else {
            self.metrics.failed(Class::Bug);
            tracing::error!(%object, "planning crashed: this is a bug");
            self.queue.done(&object, Some(Class::Bug), now, 1.0);
            return;
        };
        if let Some(wake) = plan.wake {
            self.queue.push(&object, wake);
        }
        for update in plan.observed {
            self.apply(update, now);
        }
        if plan.writes.is_empty() && plan.status.is_none() {
            self.queue.done(&object, None, now, 0.0);
            return;
        }
        let execute = Arc::clone(&self.execute);
        let planned = object.clone();
        let task = self.carried_out.spawn(async move {
            for write in &plan.writes {
                tracing::debug!(%object, write = write.kind(), secret = %write.secret(), "writing");
            }
            let (seen, result) = carry_out(&*execute, &object, &plan.writes, plan.status.as_ref(), now).await;
            (object, seen, result)
        });
        self.under_way.insert(task.id(), planned);
    }

    fn done(&mut self, (object, seen, result): Done) {
        let now = Timestamp::now();
        for update in seen {
            self.apply(update, now);
        }
        let failed = result.err().map(|error| {
            self.metrics.failed(error.class());
            match error.class() {
                Class::Conflict => tracing::debug!(%object, error = error.chain(), "looking again"),
                Class::Transient | Class::User => {
                    tracing::warn!(%object, error = error.chain(), class = error.class().as_str(), "not written");
                }
                Class::Bug => tracing::error!(%object, error = error.chain(), "not written: this is a bug"),
            }
            error.class()
        });
        self.queue.done(&object, failed, now, rand::rng().random());
    }

    /// A plan that panicked stops no other, and is tried again after a long while.
    fn crashed(&mut self, error: &JoinError) {
        let Some(object) = self.under_way.remove(&error.id()) else { return };
        self.metrics.failed(Class::Bug);
        tracing::error!(%object, "a plan crashed while it was carried out: this is a bug");
        self.queue.done(&object, Some(Class::Bug), Timestamp::now(), 1.0);
    }

    /// Takes in `first` and whatever else has come, up to a limit.
    fn take_in(&mut self, first: Update) {
        let now = Timestamp::now();
        self.apply(first, now);
        for _ in 1..BATCH {
            match self.updates.try_recv() {
                Ok(update) => self.apply(update, now),
                Err(_) => break,
            }
        }
    }

    fn apply(&mut self, update: Update, now: Timestamp) {
        for object in self.world.apply(update) {
            self.queue.push(&object, now);
        }
    }
}

/// Sleeps until `at`, or for ever.
async fn until(at: Option<Timestamp>) {
    match at {
        Some(at) => sleep(Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
