//! World -> Plan by kind, and what carries plans out one after the other.
//!
//! A controller is one pure function; nothing between [`watch`](crate::watch) and
//! [`execute`](crate::execute) holds a client.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rand::CryptoRng;

use crate::{
    execute::{Class, Execute, WriteError},
    plan::{Plan, StatusWrite, Write},
    world::{ObjectRef, Update, World},
};

mod api_key;
mod driver;
mod gate;
mod queue;

pub use driver::Driver;

/// What should be done about `object` at `now`. Nothing is planned before the World is complete.
pub fn plan(world: &World, object: &ObjectRef, now: Timestamp, rng: &mut dyn CryptoRng) -> Plan {
    if !world.complete() {
        return Plan::default();
    }
    match object {
        ObjectRef::Gate(name) => gate::plan(world, name, now),
        ObjectRef::ApiKey(name) => api_key::plan(world, name, now, rng),
    }
}

/// Carries out what needs a write: the writes in order, then the status, unless the writes
/// changed what the plan was made from. What was seen before an error is kept.
pub async fn carry_out<E: Execute>(
    execute: &E,
    object: &ObjectRef,
    writes: &[Write],
    status: Option<&StatusWrite>,
    now: Timestamp,
) -> (Vec<Update>, Result<(), WriteError>) {
    let mut seen = Vec::new();
    for write in writes {
        match execute.write(write, now).await {
            Ok(updates) => seen.extend(updates),
            Err(error) => {
                match (&error, write) {
                    (WriteError::Denied { access, .. }, _) => {
                        seen.push(Update::Denied(object.clone(), access.clone(), now));
                    }
                    (WriteError::TooLarge { .. }, Write::Bundle(write)) => {
                        seen.push(Update::BundleTooLarge(write.gate.clone(), write.bundle.keys.len()));
                    }
                    _ => {}
                }
                return (seen, Err(error));
            }
        }
    }
    let status = status.filter(|_| seen.is_empty());
    if !writes.is_empty() {
        seen.push(Update::Allowed(object.clone()));
    }
    // Updates mean that the object is planned again at once, with what the writes made.
    if let Some(status) = status {
        match execute.status(status, now).await {
            Ok(updates) => seen.extend(updates),
            Err(error) => return (seen, Err(error)),
        }
    }
    (seen, Ok(()))
}

/// What [`settle`] leaves behind.
#[derive(Debug, Default)]
pub struct Settled {
    /// When objects want to be planned again though nothing changes.
    pub wakes: BTreeMap<ObjectRef, Timestamp>,
    /// What could not be done; the next [`settle`] that is given the object tries again.
    pub failed: Vec<(ObjectRef, WriteError)>,
    /// How many plans were made.
    pub plans: usize,
}

/// Plans `objects`, and all that their writes affect, until nothing is left to do: one after
/// the other, for a single process that owns its World.
pub async fn settle<E: Execute>(
    world: &mut World,
    execute: &E,
    objects: impl IntoIterator<Item = ObjectRef>,
    clock: impl Fn() -> Timestamp,
    rng: &mut dyn CryptoRng,
) -> Settled {
    /// An object that conflicts with itself this often is left for the next time.
    const ATTEMPTS: usize = 5;

    let mut settled = Settled::default();
    let mut due: BTreeSet<ObjectRef> = objects.into_iter().collect();
    let mut conflicts: BTreeMap<ObjectRef, usize> = BTreeMap::new();
    while let Some(object) = due.pop_last() {
        let now = clock();
        let plan = plan(world, &object, now, rng);
        settled.plans += 1;
        match plan.wake {
            Some(wake) => settled.wakes.insert(object.clone(), wake),
            None => settled.wakes.remove(&object),
        };
        let (seen, result) = carry_out(execute, &object, &plan.writes, plan.status.as_ref(), now).await;
        for update in plan.observed.into_iter().chain(seen) {
            due.extend(world.apply(update));
        }
        if let Err(error) = result {
            let attempts = conflicts.entry(object.clone()).or_default();
            *attempts += 1;
            if error.class() == Class::Conflict && *attempts < ATTEMPTS {
                due.insert(object);
            } else {
                settled.failed.push((object, error));
            }
        }
    }
    settled
}

#[cfg(test)]
mod tests;
