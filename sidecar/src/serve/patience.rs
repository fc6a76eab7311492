//! How long a connection may keep us waiting.
//!
//! hyper has one timer for a request's head and for the pause before it, and either ends with the
//! caller's half of the connection or never looks at it. Here a connection may be idle for a while,
//! a head that has begun must be over soon, a caller that has finished sending may still read its
//! answer, and one that is gone does not keep the app busy for long. One timer a connection, set
//! again when it fires and not for each request.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    Limits,
    buffers::{Buffers, Loan},
};
use crate::accept::Places;

/// How often it is looked whether somebody else needs the place of a connection that is idle.
const LOOK: Duration = Duration::from_secs(5);

/// What one connection waits for, shared by its socket, its requests and its timer.
#[derive(Debug)]
pub(super) struct Patience {
    limits: Limits,
    /// What is held of the head that comes, or that is being answered.
    loan: Loan,
    places: Places,
    phase: Cell<Phase>,
    /// How many requests are there. Of HTTP/2 there can be more than one.
    requests: Cell<usize>,
    /// Did the last request have a body? If all of it was read, only the HTTP library knows.
    had_body: Cell<bool>,
    /// Do bytes that come say nothing of whether a head has begun?
    many_at_once: Cell<bool>,
    /// When the caller's bytes had ended, or when it took something of the answer after that.
    ended: Cell<Option<Instant>>,
    /// Does something of an answer wait for the caller to take it? The app's part is over by then.
    waiting: Cell<bool>,
    /// Is anything of an answer still to be written? Else what is written is not ours.
    answering: Cell<bool>,
    /// Who was not told of that end, and is to ask again when the app has answered.
    untold: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// For the first byte of all, or for the rest of a head.
    Head(Instant),
    /// For the first byte of another request.
    Idle(Instant),
    /// For the app.
    Busy,
}

/// While this lives the app is waited for, not the caller.
#[derive(Debug)]
pub(super) struct Busy(Rc<Patience>);

/// What a timer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fired {
    /// Nobody is waited for any longer.
    Late,
    /// Nothing was asked for a while, and nothing is owed: what it takes to speak can be given back.
    Rest,
}

/// Fires when patience ends, or a little later if nobody lost it.
#[derive(Debug)]
pub(super) struct Timer {
    sleep: Pin<Box<Sleep>>,
    patience: Rc<Patience>,
}

// === impl Patience ===

impl Patience {
    /// A connection that was just made.
    pub(super) fn new(limits: Limits, loan: Loan, places: Places) -> Rc<Self> {
        let phase = Cell::new(Phase::Head(Instant::now()));
        let (ended, waiting, answering) = (Cell::default(), Cell::default(), Cell::default());
        Rc::new(Self {
            requests: Cell::default(),
            had_body: Cell::default(),
            many_at_once: Cell::default(),
            limits,
            loan,
            places,
            phase,
            ended,
            waiting,
            answering,
            untold: RefCell::default(),
        })
    }

    /// It speaks HTTP/2: requests come beside each other, and bytes that belong to none.
    pub(super) fn many_at_once(&self) {
        self.many_at_once.set(true);
    }

    /// What all callers of its worker have together.
    pub(super) fn buffers(&self) -> &Buffers {
        self.loan.buffers()
    }

    /// The request that is there next has a body, or has none.
    pub(super) fn has_body(&self, has_body: bool) {
        self.had_body.set(has_body);
    }

    /// A request is there.
    pub(super) fn busy(self: &Rc<Self>) -> Busy {
        self.requests.set(self.requests.get() + 1);
        self.phase.set(Phase::Busy);
        self.answering.set(true);
        Busy(Rc::clone(self))
    }

    /// Has a head begun, and nothing is owed to the caller but an answer to it?
    pub(super) fn is_in_a_head(&self) -> bool {
        matches!(self.phase.get(), Phase::Head(_)) && !self.answering.get()
    }

    /// May what is written be an answer of ours? By HTTP/1 only if a request has come whose answer is
    /// not written in full; by HTTP/2 always, since the library holds the end of an answer.
    pub(super) fn may_answer(&self) -> bool {
        self.answering.get() || self.many_at_once.get()
    }

    /// May more be read? If not, `waker` is woken when it is worth asking again.
    pub(super) fn may_read(&self, waker: &Waker) -> bool {
        matches!(self.phase.get(), Phase::Busy) || self.loan.may_read(waker)
    }

    /// So many bytes came.
    pub(super) fn heard(&self, bytes: usize) {
        if self.many_at_once.get() {
            return;
        }
        match self.phase.get() {
            Phase::Idle(_) => self.phase.set(Phase::Head(Instant::now())),
            Phase::Head(_) => {}
            Phase::Busy => return,
        }
        self.loan.read(bytes);
    }

    /// Did the caller take something? Then it is still there.
    pub(super) fn offered(&self, taken: bool) {
        self.waiting.set(!taken);
        if taken && self.ended.get().is_some() {
            self.ended.set(Some(Instant::now()));
        }
    }

    /// The caller took all that there was.
    pub(super) fn flushed(&self) {
        if !matches!(self.phase.get(), Phase::Busy) {
            self.answering.set(false);
        }
        if self.waiting.take()
            && let Phase::Idle(_) = self.phase.get()
        {
            self.phase.set(Phase::Idle(Instant::now()));
        }
    }

    /// The caller's bytes have ended: is it time to say so?
    pub(super) fn says_end(&self) -> bool {
        let ended = self.ended.get().unwrap_or_else(|| {
            let now = Instant::now();
            self.ended.set(Some(now));
            now
        });
        self.many_at_once.get()
            || !matches!(self.phase.get(), Phase::Busy)
            || ended.elapsed() >= self.limits.half_closed
    }

    /// The caller's end is not told yet: this asks again when the app has answered.
    pub(super) fn tell_end_to(&self, waker: &Waker) {
        self.untold.replace(Some(waker.clone()));
    }

    /// Is it between two requests, and has been for a while?
    fn is_idle(&self) -> bool {
        let idle = matches!(self.phase.get(), Phase::Idle(since) if since.elapsed() >= self.limits.rest);
        idle && !self.answering.get()
    }

    fn rests(&self) -> bool {
        self.is_idle() && !self.had_body.get() && !self.many_at_once.get()
    }

    /// When it ends; `None`: not as things are.
    fn deadline(&self) -> Option<Instant> {
        match self.phase.get() {
            Phase::Head(since) => Some(since + self.limits.head),
            Phase::Idle(since) if !self.waiting.get() => Some(since + self.limits.idle),
            Phase::Idle(_) | Phase::Busy => self.ended.get().map(|ended| ended + self.limits.half_closed),
        }
    }
}

// === impl Busy ===

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get() - 1);
        if self.0.requests.get() > 0 {
            return;
        }
        self.0.phase.set(Phase::Idle(Instant::now()));
        self.0.loan.give_back();
        if let Some(waker) = self.0.untold.take() {
            waker.wake();
        }
    }
}

// === impl Timer ===

impl Timer {
    pub(super) fn new(patience: Rc<Patience>) -> Self {
        let first = patience.deadline().unwrap_or_else(Instant::now);
        Self { sleep: Box::pin(sleep_until(first)), patience }
    }

    /// From now on it is looked whether it could rest.
    pub(super) fn may_rest(&mut self) {
        let first = Instant::now() + self.patience.limits.rest;
        if first < self.sleep.deadline() {
            self.sleep.as_mut().reset(first);
        }
    }

    /// Ready when patience has ended. To be asked after whatever may have changed the phase.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_within(cx, LOOK, |_| false).map(|_| ())
    }

    /// The same, and ready too when it could rest: after [`Timer::may_rest`].
    pub(super) fn poll_or_rest(&mut self, cx: &mut Context<'_>) -> Poll<Fired> {
        self.poll_within(cx, self.patience.limits.rest, Patience::rests)
    }

    /// Looks at least so often.
    fn poll_within(
        &mut self,
        cx: &mut Context<'_>,
        longest: Duration,
        rests: impl Fn(&Patience) -> bool,
    ) -> Poll<Fired> {
        if let Some(deadline) = self.patience.deadline()
            && deadline < self.sleep.deadline()
        {
            self.sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            let now = Instant::now();
            let next = match self.patience.deadline() {
                Some(deadline) if deadline <= now => return Poll::Ready(Fired::Late),
                _ if self.patience.is_idle() && self.patience.places.gives_way() => {
                    return Poll::Ready(Fired::Late);
                }
                _ if rests(&self.patience) => return Poll::Ready(Fired::Rest),
                Some(deadline) => deadline.min(now + longest),
                None => now + longest,
            };
            self.sleep.as_mut().reset(next);
        }
    }
}

#[cfg(test)]
mod tests;
