//! Leader election by a Lease: what to do is decided by a pure function, and a driver does it.
//!
//! A record is old when *we* have seen it unchanged for its whole duration: nobody's clock is
//! compared with another's. A leader that could not renew for [`RENEW_DEADLINE`] stops, long
//! before another may begin. It must never write anything but its Lease.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use sidegate_runtime::admin::Readiness;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::MANAGER;

/// The Lease's name, in the operator's namespace.
pub const LEASE_NAME: &str = "sidegate-operator";
/// How long a record holds after it was written.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A leader that has not renewed for this long is none any more.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often the record is read, or renewed.
pub const RETRY: Duration = Duration::from_secs(2);

const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// What a Lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseState {
    /// Who holds it; absent or empty: nobody, it was given back.
    pub holder: Option<String>,
    /// How long it holds after it was written.
    pub duration: Duration,
    /// Changes with every write.
    pub resource_version: String,
}

/// What to do about a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is none: create it.
    Create,
    /// It is nobody's, or its holder is gone: take it.
    Take,
    /// It is ours: write it again.
    Renew,
    /// It is somebody else's: look again after this time.
    Wait(Duration),
}

/// Takes part in an election.
#[derive(Clone, Debug)]
pub struct Candidate {
    api: Api<Lease>,
    me: String,
    readiness: Readiness,
}

/// The leadership, while it lasts.
#[derive(Debug)]
pub struct Term {
    api: Api<Lease>,
    me: String,
    lease: Lease,
    tenure: Tenure,
}

/// For how long a term lasts if it is not renewed: asked before each write, so that a process
/// that was frozen past its term writes nothing when it goes on.
#[derive(Clone, Debug)]
pub struct Tenure {
    /// When the last renewal that succeeded was sent.
    renewed: Arc<Mutex<Instant>>,
}

/// What a candidate saw, and since when.
struct Seen {
    resource_version: String,
    since: Instant,
}

/// What to do about a Lease that has been seen unchanged for `unchanged`.
pub fn decide(state: Option<&LeaseState>, unchanged: Duration, me: &str) -> Decision {
    let Some(state) = state else { return Decision::Create };
    match state.holder.as_deref() {
        None | Some("") => Decision::Take,
        Some(holder) if holder == me => Decision::Renew,
        Some(_) if unchanged >= state.duration => Decision::Take,
        Some(_) => Decision::Wait(RETRY.min(state.duration.saturating_sub(unchanged))),
    }
}

// === impl Candidate ===

impl Candidate {
    /// A candidate that calls itself `me`, which no other running process may do. It is ready
    /// once it could read the Lease, whoever holds it.
    pub fn new(client: Client, namespace: &str, me: impl Into<String>, readiness: Readiness) -> Self {
        Self { api: Api::namespaced(client, namespace), me: me.into(), readiness }
    }

    /// Waits until it leads. `None`: `stop` came first.
    pub async fn elected(&self, stop: &CancellationToken) -> Option<Term> {
        let mut seen: Option<Seen> = None;
        loop {
            let wait = match self.attempt(&mut seen).await {
                Ok(Ok(term)) => return Some(term),
                Ok(Err(wait)) => {
                    self.readiness.ready();
                    wait
                }
                Err(error) => {
                    self.readiness.not_ready(format!("Lease {LEASE_NAME}: {error}"));
                    tracing::warn!(%error, lease = LEASE_NAME, "the Lease could not be read or taken");
                    RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return None,
                () = sleep(wait) => {}
            }
        }
    }

    /// One look at the Lease, and one write if it can be had.
    async fn attempt(&self, seen: &mut Option<Seen>) -> Result<Result<Term, Duration>, CallError> {
        let lease = call(self.api.get_opt(LEASE_NAME)).await?;
        let state = lease.as_ref().map(state);
        let unchanged = since(seen, state.as_ref());
        let renewed = Instant::now();
        let now = Timestamp::now();
        let written = match decide(state.as_ref(), unchanged, &self.me) {
            Decision::Wait(wait) => return Ok(Err(wait)),
            Decision::Create => {
                let lease = taken(Lease::default(), &self.me, now);
                call(self.api.create(&parameters(), &lease)).await
            }
            Decision::Take | Decision::Renew => {
                let lease = taken(lease.unwrap_or_default(), &self.me, now);
                call(self.api.replace(LEASE_NAME, &parameters(), &lease)).await
            }
        };
        match written {
            Ok(lease) => {
                tracing::info!(identity = self.me, "leading");
                self.readiness.ready();
                Ok(Ok(Term {
                    api: self.api.clone(),
                    me: self.me.clone(),
                    lease,
                    tenure: Tenure::from(renewed),
                }))
            }
            Err(CallError::Api(error)) if is_conflict(&error) => Ok(Err(RETRY)),
            Err(error) => Err(error),
        }
    }
}

/// For how long the same record has been seen.
fn since(seen: &mut Option<Seen>, state: Option<&LeaseState>) -> Duration {
    let Some(state) = state else {
        *seen = None;
        return Duration::ZERO;
    };
    match seen {
        Some(seen) if seen.resource_version == state.resource_version => seen.since.elapsed(),
        _ => {
            *seen = Some(Seen { resource_version: state.resource_version.clone(), since: Instant::now() });
            Duration::ZERO
        }
    }
}

// === impl Term ===

impl Term {
    /// What is asked before each write.
    pub fn tenure(&self) -> Tenure {
        self.tenure.clone()
    }

    /// Renews the Lease until `stop`, or until it is lost; the answer says which.
    pub async fn hold(&mut self, stop: &CancellationToken) -> Held {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Held::Stopped,
                () = sleep(RETRY) => {}
            }
            // A renewal that hangs past the deadline is no renewal.
            let left = self.tenure.left();
            match timeout(left, self.renew()).await {
                Ok(Ok(true)) | Err(_) => {}
                Ok(Ok(false)) => {
                    tracing::warn!(identity = self.me, "the Lease is somebody else's now");
                    return Held::Lost;
                }
                Ok(Err(error)) => tracing::warn!(%error, "the Lease could not be renewed"),
            }
            if !self.tenure.lasts() {
                tracing::warn!(identity = self.me, "the Lease could not be renewed in time");
                return Held::Lost;
            }
        }
    }

    /// Gives the Lease back, so that another need not wait for its end.
    pub async fn release(mut self) {
        if let Some(spec) = &mut self.lease.spec {
            spec.holder_identity = None;
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        match call(self.api.replace(LEASE_NAME, &parameters(), &self.lease)).await {
            Ok(_) => tracing::info!(identity = self.me, "the Lease is given back"),
            Err(error) => tracing::warn!(%error, "the Lease could not be given back"),
        }
    }

    /// Writes the Lease again; false: it is somebody else's.
    async fn renew(&mut self) -> Result<bool, CallError> {
        let sent = Instant::now();
        let mut lease = self.lease.clone();
        if let Some(spec) = &mut lease.spec {
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        match call(self.api.replace(LEASE_NAME, &parameters(), &lease)).await {
            Ok(lease) => {
                self.lease = lease;
                self.tenure.renew(sent);
                Ok(true)
            }
            // An answer of ours was lost, or somebody put a label on it: then it is still ours,
            // and the next renewal begins with what stands there now.
            Err(CallError::Api(error)) if is_conflict(&error) => {
                self.lease = call(self.api.get(LEASE_NAME)).await?;
                Ok(state(&self.lease).holder.as_deref() == Some(self.me.as_str()))
            }
            Err(error) => Err(error),
        }
    }
}

// === impl Tenure ===

impl Tenure {
    /// A tenure that begins at `renewed`.
    fn from(renewed: Instant) -> Self {
        Self { renewed: Arc::new(Mutex::new(renewed)) }
    }

    /// May we still write?
    pub fn lasts(&self) -> bool {
        !self.left().is_zero()
    }

    fn left(&self) -> Duration {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        RENEW_DEADLINE.saturating_sub(renewed.elapsed())
    }

    fn renew(&self, sent: Instant) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = sent;
    }
}

/// How a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It was asked to stop; the Lease is still ours.
    Stopped,
    /// The Lease is not ours any more, or may not be.
    Lost,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("{0}")]
    Api(#[source] kube::Error),
    #[error("the API server did not answer within {} s", CALL_TIMEOUT.as_secs())]
    Timeout,
}

async fn call<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    timeout(CALL_TIMEOUT, request).await.map_err(|_| CallError::Timeout)?.map_err(CallError::Api)
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

fn state(lease: &Lease) -> LeaseState {
    let spec = lease.spec.as_ref();
    let seconds =
        spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    LeaseState {
        holder: spec.and_then(|spec| spec.holder_identity.clone()),
        duration: seconds.map_or(LEASE_DURATION, Duration::from_secs),
        resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// The Lease as it is written when it is taken; its resourceVersion makes that conditional.
fn taken(lease: Lease, me: &str, now: Timestamp) -> Lease {
    let before = lease.spec.unwrap_or_default();
    let again = before.holder_identity.as_deref() == Some(me);
    let metadata = ObjectMeta { name: Some(LEASE_NAME.to_owned()), managed_fields: None, ..lease.metadata };
    let spec = LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
        acquire_time: before.acquire_time.filter(|_| again).or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(before.lease_transitions.unwrap_or_default() + i32::from(!again)),
        ..LeaseSpec::default()
    };
    Lease { metadata, spec: Some(spec) }
}

#[cfg(test)]
mod tests;
