//! Audit lines: denials each, up to a number a second for each reason, then counted; what was
//! allowed as one line a minute for all that is alike, or as its Gate wants it.
//!
//! A thread of its own writes them. The way to it is bounded and never waited for: what does not
//! fit is counted, and the count is said.

use std::{
    collections::HashMap,
    fmt,
    io::{self, BufWriter, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::Duration,
};

use jiff::Timestamp;
use sidegate_bundle::{
    Revision,
    audit::{Actor, AuditEvent, Repeated},
    gate::{AuditAllow, GateName},
};

use super::{Audit, Recorder, Seen};

/// Lines a second for each reason of a denial.
const DENIALS: u32 = 100;
/// How many lines may wait for the writer.
const QUEUE: usize = 8192;
/// How long what was allowed is gathered, in seconds.
const MINUTE: i64 = 60;
/// So many kinds of allowed requests are gathered at most; then they are told early, and all of
/// them find room in the queue.
const MAX_KINDS: usize = QUEUE / 2;
/// How often it is said that lines were lost, at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes audit lines. Clones are handles to the same writer, which ends with the last of them.
#[derive(Clone)]
pub struct Lines {
    out: Out,
    windows: Arc<Mutex<HashMap<&'static str, Window>>>,
}

/// The thread that writes.
#[derive(Debug)]
pub struct Writing {
    over: Receiver<()>,
}

#[derive(Clone)]
struct Out {
    lines: SyncSender<String>,
    lost: Arc<AtomicU64>,
}

/// How many lines a reason had in one second, over all workers.
#[derive(Clone, Copy, Default)]
struct Window {
    second: i64,
    lines: u32,
}

struct LineRecorder {
    lines: Lines,
    gate: GateName,
    denials: HashMap<&'static str, Denied>,
    /// By subject; the empty one is nobody.
    allows: HashMap<Box<str>, Vec<Allowed>>,
    kinds: usize,
    flushed: Option<i64>,
    /// What the clock said last.
    clock: i64,
}

/// What this worker does about one reason in one second.
#[derive(Default)]
struct Denied {
    second: i64,
    /// No line is left for it in this second.
    spent: bool,
    suppressed: u64,
}

/// Allowed requests that are alike.
struct Allowed {
    rule: String,
    method: String,
    actor: Option<Actor<'static>>,
    revision: Option<Revision>,
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

// === impl Lines ===

impl Lines {
    /// Starts to write to `out`.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Writing)> {
        let (lines, queue) = mpsc::sync_channel(QUEUE);
        let (done, over) = mpsc::channel();
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        thread::Builder::new().name("audit".to_owned()).spawn(move || {
            write(&queue, out, &counted);
            drop(done);
        })?;
        Ok((Self { out: Out { lines, lost }, windows: Arc::default() }, Writing { over }))
    }

    /// May one more line of this reason be written in this second?
    fn take(&self, word: &'static str, second: i64) -> bool {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(word).or_default();
        if window.second < second {
            *window = Window { second, lines: 0 };
        }
        window.lines += 1;
        window.lines <= DENIALS
    }

    /// Every reason has all its lines again.
    fn forget(&self) {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Audit for Lines {
    fn recorder(&self, gate: &GateName) -> Box<dyn Recorder> {
        Box::new(LineRecorder {
            lines: self.clone(),
            gate: gate.clone(),
            denials: HashMap::new(),
            allows: HashMap::new(),
            kinds: 0,
            flushed: None,
            clock: i64::MIN,
        })
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

// === impl Writing ===

impl Writing {
    /// Waits until all is written that was told, if no [`Lines`] is left, but no longer than this.
    pub fn finish(self, patience: Duration) -> bool {
        self.over.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected)
    }
}

// === impl Out ===

impl Out {
    fn write(&self, event: &AuditEvent<'_>) {
        if self.lines.try_send(event.to_line()).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// === impl LineRecorder ===

impl Recorder for LineRecorder {
    fn record(&mut self, seen: &Seen<'_>) {
        match seen.decision.denied {
            Some(word) => self.denied(word, seen),
            None => match seen.allows {
                AuditAllow::Aggregated => self.allowed(seen),
                AuditAllow::Each => self.lines.out.write(&AuditEvent::from(seen.decision.clone())),
                AuditAllow::None => {}
            },
        }
    }

    fn flush(&mut self, now: Timestamp, last: bool) {
        let second = now.as_second();
        // A clock that was set back begins anew: else nothing would be told until it is there again.
        let back = second < std::mem::replace(&mut self.clock, second);
        if back {
            self.lines.forget();
        }
        for (word, denied) in &mut self.denials {
            if last || back || denied.second < second {
                denied.tell(&self.lines.out, &self.gate, word);
            }
        }
        if back {
            self.denials.clear();
        }
        let flushed = *self.flushed.get_or_insert(second);
        if second - flushed >= MINUTE || back || last {
            self.tell_allowed();
            self.flushed = Some(second);
        }
    }
}

impl LineRecorder {
    fn denied(&mut self, word: &'static str, seen: &Seen<'_>) {
        let second = seen.decision.time.as_second();
        let denied = self.denials.entry(word).or_default();
        if denied.second < second {
            denied.tell(&self.lines.out, &self.gate, word);
            *denied = Denied { second, ..Denied::default() };
        }
        // Once the reason is spent its other denials of this second cost no lock.
        denied.spent = denied.spent || !self.lines.take(word, second);
        if denied.spent {
            denied.suppressed += 1;
        } else {
            self.lines.out.write(&AuditEvent::from(seen.decision.clone()));
        }
    }

    fn allowed(&mut self, seen: &Seen<'_>) {
        let decision = &seen.decision;
        let subject = decision.actor.as_ref().map_or("", |actor| &actor.subject);
        let rule = decision.rule.as_deref().unwrap_or_default();
        if let Some(allowed) = self.allows.get_mut(subject)
            && let Some(allowed) = allowed.iter_mut().find(|allowed| {
                allowed.rule == rule
                    && allowed.method == decision.method
                    && allowed.actor.as_ref().and_then(|actor| actor.key_id)
                        == decision.actor.as_ref().and_then(|actor| actor.key_id)
            })
        {
            allowed.count += 1;
            allowed.last = allowed.last.max(decision.time);
            allowed.revision = decision.revision;
            return;
        }
        if self.kinds >= MAX_KINDS {
            self.tell_allowed();
        }
        self.kinds += 1;
        self.allows.entry(subject.into()).or_default().push(Allowed {
            rule: rule.to_owned(),
            method: decision.method.to_owned(),
            actor: decision.actor.as_ref().map(owned),
            revision: decision.revision,
            count: 1,
            first: decision.time,
            last: decision.time,
        });
    }

    fn tell_allowed(&mut self) {
        self.kinds = 0;
        for allowed in self.allows.drain().flat_map(|(_, allowed)| allowed) {
            let Allowed { rule, method, actor, revision, count, first, last } = allowed;
            let repeated = Repeated {
                gate: &self.gate,
                revision,
                rule: rule.into(),
                actor,
                method: &method,
                count,
                first,
                last,
            };
            self.lines.out.write(&AuditEvent::from(repeated));
        }
    }
}

// === impl Denied ===

impl Denied {
    fn tell(&mut self, out: &Out, gate: &GateName, word: &'static str) {
        let count = std::mem::take(&mut self.suppressed);
        if count > 0 {
            let time = Timestamp::from_second(self.second).unwrap_or_default();
            out.write(&AuditEvent::suppressed(gate, word, count, time));
        }
    }
}

fn owned(actor: &Actor<'_>) -> Actor<'static> {
    Actor {
        subject: actor.subject.clone().into_owned().into(),
        tenant: actor.tenant.clone().into_owned().into(),
        key_id: actor.key_id,
    }
}

/// Writes until nobody can send any more. Flushes whenever nothing waits.
fn write(queue: &Receiver<String>, out: impl Write, lost: &AtomicU64) {
    let mut out = BufWriter::new(out);
    let mut broken = false;
    loop {
        let line = match queue.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut written = Ok(());
        for line in line.into_iter().chain(queue.try_iter()) {
            written = written.and(out.write_all(line.as_bytes())).and(out.write_all(b"\n"));
        }
        let written = written.and_then(|()| out.flush());
        if let Err(error) = &written
            && !broken
        {
            tracing::error!(%error, "audit lines cannot be written");
        }
        broken = written.is_err();
        say_lost(lost);
    }
    say_lost(lost);
}

fn say_lost(lost: &AtomicU64) {
    let count = lost.swap(0, Ordering::Relaxed);
    if count > 0 {
        tracing::error!(count, "audit lines were lost: standard output is too slow");
    }
}

#[cfg(test)]
mod tests;
