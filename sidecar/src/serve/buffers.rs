//! How much of unfinished and unanswered heads, and of bodies on their way, one worker holds for all
//! its callers together.
//!
//! A small head is always read: whoever sends the usual few hundred bytes never waits for those who
//! send much. What goes beyond that is lent, and while the worker has nothing left to lend it is
//! not read: the kernel holds it, until others are done or its time is over.

use std::{
    cell::Cell,
    io, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker, ready},
};

use bytes::{BufMut as _, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::metrics::Counters;

/// What nobody has to ask for.
const SMALL: usize = 8 << 10;
/// A buffer grows by doubling, so up to twice of what was read is held.
const GROWTH: usize = 2;

/// What one worker lends. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Buffers(Arc<Purse>);

/// One thread's; that others could have it is asked by the HTTP library, for pieces of bodies.
#[derive(Debug)]
struct Purse {
    limit: usize,
    counters: Arc<Counters>,
    waiting: Mutex<Vec<Waker>>,
}

/// What one connection has.
#[derive(Debug)]
pub(super) struct Loan {
    buffers: Buffers,
    read: Cell<usize>,
    /// Did it have to wait since it was given back?
    held_back: Cell<bool>,
}

// === impl Buffers ===

impl Buffers {
    pub(crate) fn new(limit: usize, counters: Arc<Counters>) -> Self {
        Self(Arc::new(Purse { limit, counters, waiting: Mutex::default() }))
    }

    pub(super) fn loan(&self) -> Loan {
        Loan { buffers: self.clone(), read: Cell::default(), held_back: Cell::default() }
    }

    /// Is there something left to lend? If not, `waker` is woken when it is worth asking again.
    pub(crate) fn has_room(&self, waker: &Waker) -> bool {
        let has_room = !self.is_full();
        if !has_room {
            self.wait(waker);
        }
        has_room
    }

    pub(crate) fn is_full(&self) -> bool {
        self.lent() >= self.0.limit
    }

    /// How much may be read at once: little while there is nothing left to lend, since whoever reads
    /// much makes much room for it.
    pub(crate) fn at_once(&self) -> usize {
        if self.is_full() { SMALL - 1 } else { usize::MAX }
    }

    fn wait(&self, waker: &Waker) {
        let mut waiting = self.waiting();
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    pub(crate) fn lend(&self, bytes: usize) {
        self.0.counters.buffered.fetch_add(bytes * GROWTH, Relaxed);
    }

    pub(crate) fn take_back(&self, bytes: usize) {
        self.0.counters.buffered.fetch_sub(bytes * GROWTH, Relaxed);
        if !self.is_full() {
            self.wake();
        }
    }

    /// Whoever waits asks again.
    pub(crate) fn wake(&self) {
        let waiting = mem::take(&mut *self.waiting());
        for waker in waiting {
            waker.wake();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lent(&self) -> usize {
        self.0.counters.buffered.load(Relaxed)
    }
}

// === impl Loan ===

impl Loan {
    pub(super) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// May more of the head be read? If not, `waker` is woken when it is worth asking again.
    pub(super) fn may_read(&self, waker: &Waker) -> bool {
        if self.read.get() < SMALL || !self.buffers.is_full() {
            return true;
        }
        self.buffers.wait(waker);
        if !self.held_back.replace(true) {
            self.buffers.0.counters.heads_held_back.add();
        }
        false
    }

    /// So much more of it was read.
    pub(super) fn read(&self, bytes: usize) {
        let before = beyond(self.read.get());
        self.read.set(self.read.get() + bytes);
        self.buffers.lend(beyond(self.read.get()) - before);
    }

    /// So much is held now.
    pub(super) fn hold(&self, bytes: usize) {
        let (before, now) = (beyond(self.read.replace(bytes)), beyond(bytes));
        if now > before {
            self.buffers.lend(now - before);
        } else if now < before {
            self.buffers.take_back(before - now);
            if bytes < SMALL {
                // It may go on by itself, whoever else has to wait.
                self.buffers.wake();
            }
        }
    }

    /// How much that is.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.read.get()
    }

    /// Nothing of it is held any more.
    pub(super) fn give_back(&self) {
        self.held_back.set(false);
        self.buffers.take_back(beyond(self.read.take()));
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// What of so much needs leave.
fn beyond(read: usize) -> usize {
    read.saturating_sub(SMALL)
}

/// Reads no more than may be read at once.
pub(crate) fn poll_read_within(
    buffers: &Buffers,
    from: Pin<&mut impl AsyncRead>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let most = buffers.at_once();
    if buf.remaining() <= most {
        return from.poll_read(cx, buf);
    }
    let mut little = ReadBuf::new(buf.initialize_unfilled_to(most));
    ready!(from.poll_read(cx, &mut little))?;
    let read = little.filled().len();
    buf.advance(read);
    Poll::Ready(Ok(()))
}

/// The same into memory that has some room left.
pub(crate) fn poll_read_more(
    buffers: &Buffers,
    from: Pin<&mut impl AsyncRead>,
    cx: &mut Context<'_>,
    to: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    poll_read_buf(from, cx, &mut to.limit(buffers.at_once()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_large_head_waits_for_the_others_and_a_small_one_never() {
        let buffers = Buffers::new(GROWTH * SMALL, Arc::default());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let (first, second, small) = (buffers.loan(), buffers.loan(), buffers.loan());
        first.read(2 * SMALL);
        second.read(SMALL);
        assert!(!second.may_read(&waker) && !second.may_read(&waker));
        assert!(small.may_read(&waker));
        assert_eq!(buffers.waiting().len(), 1);
        drop(first);
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(second.may_read(&waker));
        second.read(SMALL);
        second.give_back();
        assert_eq!(buffers.lent(), 0);
    }
}
