//! What is said of a credential: its conditions and the standing of each grant.
//!
//! A copy for people, made from the World each time. The one thing taken from the old status is
//! `Programmed`, which is about a change and stays True until there is another.

use jiff::Timestamp;
use sidegate_bundle::{
    ScopeSet,
    gate::GateName,
    record::{Record, State},
};
use sidegate_crds::{
    ApiKey,
    api_key::{ApiKeySpec, ApiKeyStatus},
    condition::{self, ConditionType, Finding, NewCondition, Reason, Secret, Status as Holds},
    credential::{GateStanding, RotationStatus, Version, VersionState},
};

use super::{Held, held, wanted};
use crate::{
    accept,
    admit::{self, Admitted, Refusal, scope_set},
    credential,
    plan::{Status, StatusWrite},
    world::{Denied, Known, ObjectName, ObjectRef, Observed, Stored, World},
};

/// What became of an ApiKey's grants.
#[derive(Debug)]
pub struct Judged {
    /// Why the ApiKey itself is not accepted, whatever the Gates say.
    refused: Option<Finding>,
    grants: Vec<JudgedGrant>,
}

#[derive(Debug)]
struct JudgedGrant {
    gate: GateName,
    admitted: Result<Admitted, Finding>,
    /// What is not well with it, though it is admitted.
    partial: Option<Finding>,
}

// === impl Judged ===

impl Judged {
    /// Judges each grant of an ApiKey.
    pub fn of(world: &World, owner: &ObjectName, observed: &Observed<ApiKey>) -> Self {
        let refused = accept::api_key(observed).err().map(|finding| *finding);
        let grants = observed.live().into_iter().flat_map(|key| {
            let spec = &key.spec;
            spec.grants.iter().enumerate().map(move |(index, grant)| {
                let gate = grant.gate_name(&owner.namespace);
                let judged = admit::grant(world, owner, spec, grant);
                let scopes = scope_set(&grant.scopes);
                judge(owner, spec, index, gate, scopes, judged)
            })
        });
        Self { refused, grants: grants.collect() }
    }

    /// Does some Gate let the credential in?
    pub fn any_admitted(&self) -> bool {
        self.refused.is_none() && self.grants.iter().any(|grant| grant.admitted.is_ok())
    }

    /// What `Accepted` says, the Secret aside.
    fn accepted(&self) -> Finding {
        if let Some(refused) = &self.refused {
            return refused.clone();
        }
        let well = self.grants.iter().filter(|grant| grant.problem().is_none()).count();
        match self.grants.iter().find_map(JudgedGrant::problem) {
            Some(first) if !self.any_admitted() => first.clone(),
            Some(first) => Finding::PartiallyAccepted {
                accepted: well,
                of: self.grants.len(),
                first: Box::new(first.clone()),
            },
            None => self
                .grants
                .iter()
                .find_map(JudgedGrant::without_scopes)
                .unwrap_or(Finding::CredentialAccepted { gates: self.grants.len() }),
        }
    }
}

// === impl JudgedGrant ===

impl JudgedGrant {
    fn problem(&self) -> Option<&Finding> {
        self.admitted.as_ref().err().or(self.partial.as_ref())
    }

    fn without_scopes(&self) -> Option<Finding> {
        let admitted = self.admitted.as_ref().ok()?;
        (admitted.scopes.is_empty() && !admitted.offered.is_empty())
            .then(|| Finding::NoScopes { admitted: admitted.offered.clone() })
    }
}

fn judge(
    owner: &ObjectName,
    spec: &ApiKeySpec,
    index: usize,
    gate: GateName,
    asked: ScopeSet,
    judged: Result<Admitted, Refusal>,
) -> JudgedGrant {
    let namespace = owner.namespace.clone();
    let tenant = || spec.tenant(&owner.namespace);
    let not_admitted = |admitted: ScopeSet, refused: ScopeSet| {
        let granted = asked.difference(&refused);
        let (gate, namespace) = (gate.clone(), owner.namespace.clone());
        Finding::ScopeNotAdmitted { gate, namespace, admitted, refused, granted }
    };
    let partial = match &judged {
        Ok(admitted) if !admitted.refused.is_empty() => {
            Some(not_admitted(admitted.offered.clone(), admitted.refused.clone()))
        }
        _ => None,
    };
    let admitted = judged.map_err(|refusal| match refusal {
        Refusal::NoGate | Refusal::NotAdmitted => {
            Finding::GateNotAvailable { index, gate: gate.clone(), namespace }
        }
        Refusal::Scopes { offered, refused } => not_admitted(offered, refused),
        Refusal::TenantWithoutLabel => Finding::TenantNotAllowed { tenant: tenant() },
        Refusal::TenantNotAdmitted => Finding::TenantNotAdmitted { gate: gate.clone(), tenant: tenant() },
    });
    JudgedGrant { gate, admitted, partial }
}

/// The status of an ApiKey, if it is not what it should be, and when it changes by itself.
/// `denied`: what it needs and the API server does not let us do.
pub fn status(
    world: &World,
    owner: &ObjectName,
    known: &Known<Observed<ApiKey>>,
    judged: &Judged,
    denied: Option<&Denied>,
    now: Timestamp,
) -> (Option<StatusWrite>, Option<Timestamp>) {
    let observed = &known.value;
    let (key, before) = match &observed.stored {
        Stored::Parsed { object, .. } => (Some(object), object.status.clone().unwrap_or_default()),
        Stored::Unparsable { status, .. } => {
            (None, serde_json::from_value(status.clone()).unwrap_or_default())
        }
    };
    let spec = key.map(|key| &key.spec);
    let held = spec.map_or(Held::Nothing, |spec| held(world, owner, &observed.meta, spec));
    let mut after = before.clone();
    after.observed_generation = Some(observed.meta.generation);
    after.rotation = None;
    describe_secret(&mut after, owner, spec, &held, now);
    after.gates_summary = spec.map(|_| {
        let admitted =
            judged.grants.iter().filter(|grant| judged.refused.is_none() && grant.admitted.is_ok());
        format!("{}/{}", admitted.count(), judged.grants.len())
    });
    after.gates = standings(world, owner, known, judged, &held, &before, &after);
    let findings = Findings {
        accepted: about_secret(owner, spec, &held)
            .filter(|_| judged.any_admitted())
            .or_else(|| denied.map(|denied| Finding::NoAccess(denied.access.clone())))
            .unwrap_or_else(|| judged.accepted()),
        times: spec.and_then(|spec| about_times(spec, &held, now)),
        programmed: programmed(&after.gates),
        ready: Finding::CredentialReady { secret: to_secret(owner, spec) },
    };
    findings.set(&mut after, observed.meta.generation, now);

    let wake = spec.and_then(|spec| {
        let times = spec.not_before.into_iter().chain(spec.expires_at);
        times.chain(after.expires_at).filter(|time| *time > now).min()
    });
    let write = (after != before).then(|| StatusWrite {
        object: ObjectRef::ApiKey(owner.clone()),
        uid: observed.meta.uid.clone(),
        resource_version: observed.meta.resource_version.clone(),
        status: Status::ApiKey(Box::new(after)),
    });
    (write, wake)
}

/// What each condition says.
struct Findings {
    accepted: Finding,
    /// Expired, suspended, not yet valid.
    times: Option<Finding>,
    programmed: Finding,
    /// When nothing blocks.
    ready: Finding,
}

// === impl Findings ===

impl Findings {
    fn set(&self, status: &mut ApiKeyStatus, generation: i64, now: Timestamp) {
        let accepted = self.accepted.status() == Holds::True;
        let programmed = if accepted { self.programmed.condition() } else { not_programmed() };
        let order = [Some(&self.accepted), self.times.as_ref(), Some(&self.programmed)];
        let ready = order.into_iter().flatten().find(|finding| finding.blocks_ready()).unwrap_or(&self.ready);
        let conditions = &mut status.conditions;
        let generation = Some(generation);
        condition::set(conditions, self.accepted.condition(), generation, now);
        condition::set(conditions, programmed, generation, now);
        condition::set(conditions, ready.ready(), generation, now);
        if ready.stalls() {
            condition::set(conditions, ready.stalled(), generation, now);
        } else {
            condition::remove(conditions, ConditionType::Stalled);
        }
    }
}

/// What is not accepted is in no bundle, and waits for none.
fn not_programmed() -> NewCondition {
    NewCondition {
        kind: ConditionType::Programmed,
        status: Holds::Unknown,
        reason: Reason::Pending,
        message: "no Gate is told of it before it is accepted".to_owned(),
    }
}

/// What the record says, for people.
fn describe_secret(
    status: &mut ApiKeyStatus,
    owner: &ObjectName,
    spec: Option<&ApiKeySpec>,
    held: &Held<'_>,
    now: Timestamp,
) {
    let record = match held {
        Held::Ours { record, .. } => Some(record),
        _ => None,
    };
    let current = record.and_then(|record| record.current());
    status.secret_name = record.and(spec).map(|spec| wanted(owner, spec).name);
    status.key_id = current.map(|version| version.id.to_string());
    status.previous_key_id = None;
    status.versions = record.map(|record| versions(record)).unwrap_or_default();
    status.rotation =
        record.map(|record| RotationStatus { observed_generation: Some(record.rotation_generation) });
    let ends =
        |spec: &ApiKeySpec| spec.expires_at.into_iter().chain(current.and_then(|it| it.expires_at)).min();
    status.expires_at = current.and(spec).and_then(ends);
    status.valid = current.and(spec).map(|spec| about_times(spec, held, now).is_none());
}

/// The latest four versions, without their hashes.
fn versions(record: &Record) -> Vec<Version> {
    let shown = record.versions.len().saturating_sub(4);
    let version = |version: &sidegate_bundle::record::Version| Version {
        id: version.id.to_string(),
        state: match version.state {
            State::Pending => VersionState::Pending,
            State::Current => VersionState::Current,
            State::Retiring => VersionState::Retiring,
            State::Retired => VersionState::Retired,
            State::Revoked => VersionState::Revoked,
        },
        not_before: version.not_before,
        expires_at: version.expires_at,
        last_used_time: None,
    };
    record.versions[shown..].iter().map(version).collect()
}

/// What is not well with the Secret.
fn about_secret(owner: &ObjectName, spec: Option<&ApiKeySpec>, held: &Held<'_>) -> Option<Finding> {
    let secret = to_secret(owner, spec);
    match held {
        Held::Nothing | Held::Ours { .. } => None,
        Held::Damaged { why } => Some(Finding::SecretDamaged { secret, why: (*why).to_owned() }),
        Held::Earlier(_) => Some(Finding::SecretOfEarlier(secret)),
        Held::Foreign { .. } => Some(Finding::SecretConflict(secret)),
    }
}

/// What keeps a good key from being let in now.
fn about_times(spec: &ApiKeySpec, held: &Held<'_>, now: Timestamp) -> Option<Finding> {
    let current = match held {
        Held::Ours { record, .. } => record.current().cloned(),
        _ => None,
    };
    let ends =
        spec.expires_at.into_iter().chain(current.as_ref().and_then(|version| version.expires_at)).min();
    let begins = spec.not_before.max(current.as_ref().and_then(|version| version.not_before));
    match (ends, begins) {
        (Some(at), _) if at <= now => Some(Finding::Expired { at }),
        _ if spec.suspended() => Some(Finding::Suspended),
        (_, Some(from)) if from > now => Some(Finding::NotYetValid { from }),
        _ => None,
    }
}

/// The standing of each grant.
fn standings(
    world: &World,
    owner: &ObjectName,
    known: &Known<Observed<ApiKey>>,
    judged: &Judged,
    held: &Held<'_>,
    before: &ApiKeyStatus,
    after: &ApiKeyStatus,
) -> Vec<GateStanding> {
    let unchanged = before.observed_generation == after.observed_generation && before.key_id == after.key_id;
    let standing = |grant: &JudgedGrant| {
        let (accepted, reason, scopes) = match (&judged.refused, &grant.admitted) {
            (Some(refused), _) => (false, refused.reason(), Vec::new()),
            (None, Err(finding)) => (false, finding.reason(), Vec::new()),
            (None, Ok(admitted)) => {
                let reason = grant.partial.as_ref().map_or(Reason::Accepted, |_| Reason::PartiallyAccepted);
                (true, reason, admitted.scopes.iter().map(ToString::to_string).collect())
            }
        };
        let (namespace, gate) = (grant.gate.namespace.clone(), grant.gate.name.clone());
        // Once True, it stays so until the key, its version or its scopes change.
        let latched = unchanged
            && before.gates.iter().any(|old| {
                old.programmed && old.namespace == namespace && old.gate == gate && old.scopes == scopes
            });
        let holds = || {
            grant.admitted.as_ref().is_ok_and(|it| holds(world, owner, known, &grant.gate, held, &it.scopes))
        };
        let programmed = accepted && (latched || holds());
        GateStanding { gate, namespace, accepted, programmed, reason: reason.as_str().to_owned(), scopes }
    };
    judged.grants.iter().map(standing).collect()
}

/// Does the bundle of `gate` hold all that is known of this key, and let its current version in
/// with these scopes? A Gate that is not accepted takes in nothing new, whatever has been
/// compiled since.
fn holds(
    world: &World,
    owner: &ObjectName,
    known: &Known<Observed<ApiKey>>,
    gate: &GateName,
    held: &Held<'_>,
    scopes: &ScopeSet,
) -> bool {
    let Held::Ours { record, .. } = held else { return false };
    let (Some(current), Some(in_force)) = (record.current(), world.in_force(gate)) else { return false };
    let secret = known.value.live().and_then(|key| world.secret(&wanted(owner, &key.spec)));
    let newest = [
        Some(known.tick),
        secret.map(|secret| secret.tick),
        world.namespace(&owner.namespace).map(|namespace| namespace.tick),
        world.gate(gate).map(|gate| gate.tick),
    ];
    let newest = newest.into_iter().flatten().max().unwrap_or_default();
    let keys = &in_force.bundle.keys;
    let listed = keys.binary_search_by(|key| key.id.cmp(&current.id)).is_ok_and(|at| {
        let key = &keys[at];
        key.hash == current.hash && key.scopes == *scopes && key.sub == credential::subject(owner)
    });
    in_force.tick >= newest && listed
}

fn programmed(gates: &[GateStanding]) -> Finding {
    let accepted = || gates.iter().filter(|gate| gate.accepted);
    match accepted().find(|gate| !gate.programmed) {
        Some(gate) => Finding::WaitingForBundle { gate: GateName::new(&gate.namespace, &gate.gate) },
        None => Finding::BundleWritten { gates: accepted().count() },
    }
}

fn to_secret(owner: &ObjectName, spec: Option<&ApiKeySpec>) -> Secret {
    let name = spec.map_or_else(|| owner.clone(), |spec| wanted(owner, spec));
    Secret { namespace: name.namespace, name: name.name }
}
