//! Where decisions are told. Each worker tells its own recorder, which must return at once: what
//! takes long (a terminal, a full pipe) stands behind a queue of the recorder's own.

use jiff::Timestamp;
use sidegate_bundle::{
    audit::Decision,
    denial::Denial,
    gate::{AuditAllow, GateName},
};

mod lines;

pub use lines::{Lines, Writing};

/// Makes a recorder for each worker of each Gate.
pub trait Audit: Send + Sync + 'static {
    /// One worker's recorder for one Gate. It is made on that worker's thread and stays there.
    fn recorder(&self, gate: &GateName) -> Box<dyn Recorder>;
}

/// What one worker tells.
pub trait Recorder {
    /// One decision, told when its answer begins.
    fn record(&mut self, seen: &Seen<'_>);

    /// Called once a second, and with `last` when the Gate has stopped: time to hand on what was
    /// held back.
    fn flush(&mut self, now: Timestamp, last: bool) {
        let _ = (now, last);
    }
}

/// One decision and what the caller got.
#[derive(Debug)]
pub struct Seen<'a> {
    /// What an audit line has of it.
    pub decision: Decision<'a>,
    /// Why the caller did not get the app's answer; `None`: it did.
    pub denial: Option<&'a Denial>,
    /// The answer's status; `None`: the caller left before there was one.
    pub status: Option<u16>,
    /// How the Gate wants allowed requests told. Denials are told in any case.
    pub allows: AuditAllow,
}

/// Tells every decision to one function, on the worker's thread: it must not block.
#[derive(Clone, Debug)]
pub struct Each<F>(pub F);

// === impl Each ===

impl<F: Fn(&Seen<'_>) + Clone + Send + Sync + 'static> Audit for Each<F> {
    fn recorder(&self, _gate: &GateName) -> Box<dyn Recorder> {
        Box::new(self.clone())
    }
}

impl<F: Fn(&Seen<'_>)> Recorder for Each<F> {
    fn record(&mut self, seen: &Seen<'_>) {
        (self.0)(seen);
    }
}
