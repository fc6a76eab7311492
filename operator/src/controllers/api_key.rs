//! The plan of an ApiKey: its Secret and its status.

use jiff::Timestamp;
use rand::CryptoRng;

use crate::{
    accept,
    credential::{self, status::Judged},
    plan::Plan,
    world::{ObjectName, ObjectRef, World},
};

/// What should be done about the ApiKey `name`. Times and suspension are in bundles: they never
/// need a write of the Secret.
pub(super) fn plan(world: &World, name: &ObjectName, now: Timestamp, rng: &mut dyn CryptoRng) -> Plan {
    let Some(known) = world.api_key(name) else { return Plan::default() };
    let observed = &known.value;
    if observed.meta.deleting {
        return Plan::default();
    }
    let judged = Judged::of(world, name, observed);
    let mut plan = match accept::api_key(observed) {
        Ok(key) => credential::plan_secret(world, name, observed, &key.spec, judged.any_admitted(), now, rng),
        Err(_) => Plan::default(),
    };
    let denied = plan.hold_back(world, &ObjectRef::ApiKey(name.clone()), now);
    let (status, wake) = credential::status::status(world, name, known, &judged, denied, now);
    plan.status = status;
    if let Some(wake) = wake {
        plan.wake_at(wake);
    }
    plan
}

#[cfg(test)]
mod tests;
