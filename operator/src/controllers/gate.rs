//! The plan of a Gate: its bundle and its status.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sidegate_bundle::{GateBundle, Revision, gate::GateName};
use sidegate_crds::{
    Gate,
    condition::{self, ConditionType, Finding, Secret},
    gate::{Allow, GateRule, GateStatus, Match, Mode, PathMatch, PathType},
};

use crate::{
    accept, compile,
    credential::LOOK_AGAIN,
    plan::{BundleWrite, Plan, Status, StatusWrite, Write, within},
    world::{
        InForce, Meta, ObjectName, ObjectRef, Observed, OurSecret, Owner, SecretKind, Stored, Update, World,
    },
};

/// The shortest time between two writes of one bundle.
const SHORTEST: SignedDuration = SignedDuration::from_millis(50);
/// The longest that a change waits which takes something away.
const TAKEN_AWAY_WITHIN: SignedDuration = SignedDuration::from_millis(250);
/// How fast one bundle may grow etcd, in bytes a second: etcd keeps every version.
const BYTES_A_SECOND: u64 = 256 << 10;

/// What should be done about the Gate `name`. One that is not accepted keeps its last bundle, less
/// what is taken away; so does one that somebody's finalizer keeps from being deleted.
pub(super) fn plan(world: &World, name: &GateName, now: Timestamp) -> Plan {
    let Some(known) = world.gate(name) else { return Plan::default() };
    let observed = &known.value;
    let secret = ObjectName::new(&name.namespace, name.secret_name());
    // The Secret of a Gate that is being deleted goes with it, and is not made again.
    if observed.meta.deleting && world.secret(&secret).is_none_or(|known| known.value.deleting) {
        return Plan::default();
    }
    let mut plan = plan_bundle(world, name, &observed.meta, &secret, now);
    let denied = plan.hold_back(world, &ObjectRef::Gate(name.clone()), now);
    if observed.meta.deleting {
        return plan;
    }
    let problem = accept::gate(observed).err().map(|finding| *finding);
    let problem = problem
        .or_else(|| world.foreign(&secret).map(|_| Finding::BundleConflict(to_secret(&secret))))
        .or_else(|| denied.map(|denied| Finding::NoAccess(denied.access.clone())));
    plan.status = status(world, name, observed, &secret, problem.as_ref(), now);
    plan
}

/// What should be done about the bundle of a Gate.
fn plan_bundle(world: &World, name: &GateName, meta: &Meta, secret: &ObjectName, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let this = ObjectRef::Gate(name.clone());
    if let Some(until) = world.foreign(secret).and_then(|seen_at| within(seen_at, LOOK_AGAIN, now)) {
        plan.wake_at(until);
        return plan;
    }
    if world.is_unread(name) {
        plan.writes.push(Write::Recall(name.clone(), Owner::of(&this, &meta.uid)));
        return plan;
    }
    let last = world.in_force(name).map(|in_force| &*in_force.bundle);
    let tick = world.inputs_of(name);
    let in_force = world
        .in_force(name)
        .filter(|in_force| world.secret(secret).is_some_and(|known| is_intact(&known.value, in_force, meta)));
    if let Some(in_force) = in_force {
        if in_force.tick >= tick {
            return plan;
        }
        if let Some(until) = in_force.written.and_then(|(written, _)| within(written, SHORTEST, now)) {
            plan.wake_at(until);
            return plan;
        }
    }
    let Some(mut bundle) = compile::gate(world, name, last) else { return plan };
    if world.too_many_keys(name).is_some_and(|most| bundle.keys.len() >= most) {
        // No room for what is new must not keep in what is taken away.
        compile::without_new_keys(&mut bundle, last);
    }
    let digest = match bundle.digest() {
        Ok(digest) => digest,
        Err(error) => {
            tracing::error!(gate = %name, %error, "the bundle cannot be written: this is a bug");
            return plan;
        }
    };
    if let Some(in_force) = in_force {
        if in_force.digest == digest {
            let same = InForce { tick, ..in_force.clone() };
            plan.observed.push(Update::BundleInForce(name.clone(), same));
            return plan;
        }
        if let Some(until) = waits(in_force, &bundle, now) {
            plan.wake_at(until);
            return plan;
        }
    }
    plan.writes.push(Write::Bundle(BundleWrite {
        gate: name.clone(),
        owner: Owner::of(&this, &meta.uid),
        bundle: Arc::new(bundle),
        digest,
        tick,
    }));
    plan
}

/// Is the Secret as it was when its bytes were last written or compared?
fn is_intact(secret: &OurSecret, in_force: &InForce, meta: &Meta) -> bool {
    secret.resource_version == in_force.resource_version
        && secret.owner.as_ref().is_some_and(|owner| owner.uid == meta.uid)
}

/// Until when the bundle that follows `in_force` has to wait, if it has to. What takes away does
/// not wait for the size of the bundle.
fn waits(in_force: &InForce, next: &GateBundle, now: Timestamp) -> Option<Timestamp> {
    let (written, bytes) = in_force.written?;
    let millis = (bytes as u64).saturating_mul(1000) / BYTES_A_SECOND;
    let growth = SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)).max(SHORTEST);
    let wait = if only_adds(&in_force.bundle, next) { growth } else { growth.min(TAKEN_AWAY_WITHIN) };
    within(written, wait, now)
}

/// Is everything that `before` says still said by `after`?
fn only_adds(before: &GateBundle, after: &GateBundle) -> bool {
    let without_keys = |bundle: &GateBundle| GateBundle {
        keys: Vec::new(),
        revision: Revision::default(),
        ..bundle.clone()
    };
    // Keys are in the order of their ids.
    let mut rest = after.keys.iter();
    without_keys(before) == without_keys(after)
        && before.keys.iter().all(|key| rest.any(|other| other == key))
}

/// The status, if it is not what it should be.
fn status(
    world: &World,
    name: &GateName,
    observed: &Observed<Gate>,
    secret: &ObjectName,
    problem: Option<&Finding>,
    now: Timestamp,
) -> Option<StatusWrite> {
    let (gate, before) = match &observed.stored {
        Stored::Parsed { object, .. } => (Some(object), object.status.clone().unwrap_or_default()),
        Stored::Unparsable { status, .. } => {
            (None, serde_json::from_value(status.clone()).unwrap_or_default())
        }
    };
    let mut after = before.clone();
    after.observed_generation = Some(observed.meta.generation);
    after.audience = gate.map(|_| name.audience());
    let written = world.secret(secret).and_then(|known| match &known.value.kind {
        SecretKind::Bundle { revision, .. } => *revision,
        SecretKind::Credential { .. } => None,
    });
    let revision = world.in_force(name).map(|in_force| in_force.revision).or(written);
    after.revision = revision.and_then(|revision| i64::try_from(revision.0).ok());

    let waiting = Finding::WaitingForBundle { gate: name.clone() };
    let accepted = problem.unwrap_or(&Finding::GateAccepted);
    let ready = problem.unwrap_or(if revision.is_some() { &Finding::GateReady } else { &waiting });
    let generation = Some(observed.meta.generation);
    let conditions = &mut after.conditions;
    condition::set(conditions, accepted.condition(), generation, now);
    condition::set(conditions, ready.ready(), generation, now);
    if ready.stalls() {
        condition::set(conditions, ready.stalled(), generation, now);
    } else {
        condition::remove(conditions, ConditionType::Stalled);
    }
    match gate.and_then(|gate| shadowed(gate)) {
        Some(finding) => {
            condition::set(conditions, finding.condition(), generation, now);
        }
        None => {
            condition::remove(conditions, ConditionType::RuleShadowed);
        }
    }
    match gate.and_then(|gate| not_enforced(gate)) {
        Some(finding) => {
            condition::set(conditions, finding.condition(), generation, now);
        }
        None => {
            condition::remove(conditions, ConditionType::NotEnforced);
        }
    }

    // In a burst of changes the revision alone is told once, at its end.
    let behind = problem.is_none()
        && world.in_force(name).is_some_and(|in_force| in_force.tick < world.inputs_of(name));
    let same = if behind {
        GateStatus { revision: before.revision, ..after.clone() } == before
    } else {
        after == before
    };
    (!same).then(|| StatusWrite {
        object: ObjectRef::Gate(name.clone()),
        uid: observed.meta.uid.clone(),
        resource_version: observed.meta.resource_version.clone(),
        status: Status::Gate(Box::new(after)),
    })
}

/// The first rule that is never reached, since one before it matches every request.
fn shadowed(gate: &Gate) -> Option<Finding> {
    let rules = gate.spec.rules.as_deref()?;
    let by = rules.iter().position(|rule| rule.matches.as_ref().is_none_or(Vec::is_empty))?;
    (by + 1 < rules.len()).then_some(Finding::RuleShadowed { index: by + 1, by })
}

/// Why requests pass that nothing was asked of, if they do.
fn not_enforced(gate: &Gate) -> Option<Finding> {
    if gate.spec.mode == Some(Mode::Audit) {
        return Some(Finding::Audits);
    }
    let is_root = |path: &PathMatch| path.kind == PathType::PathPrefix && path.value == "/";
    let is_all = |entry: &Match| {
        entry.path.as_ref().is_none_or(is_root) && entry.methods.as_ref().is_none_or(Vec::is_empty)
    };
    let takes_all = |rule: &GateRule| {
        rule.matches.as_deref().is_none_or(|entries| entries.is_empty() || entries.iter().any(is_all))
    };
    let rules = gate.spec.rules.as_deref()?;
    let index = rules.iter().position(takes_all)?;
    (rules[index].allow == Some(Allow::Anonymous)).then_some(Finding::OpenToAll { index })
}

fn to_secret(name: &ObjectName) -> Secret {
    Secret { namespace: name.namespace.clone(), name: name.name.clone() }
}

#[cfg(test)]
mod tests;
