//! How much of unfinished and unanswered heads one worker holds for all its callers together.
//!
//! A small head is always read: whoever sends the usual few hundred bytes never waits for those who
//! send much. What goes beyond that is lent, and while the worker has nothing left to lend it is
//! not read: the kernel holds it, until others are done or its time is over.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    task::Waker,
};

use crate::metrics::Counters;

/// What nobody has to ask for.
const SMALL: usize = 8 << 10;
/// A buffer grows by doubling, so up to twice of what was read is held.
const GROWTH: usize = 2;

/// What one worker lends. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Buffers(Rc<Purse>);

#[derive(Debug)]
struct Purse {
    limit: usize,
    counters: Arc<Counters>,
    lent: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
}

/// What one connection has.
#[derive(Debug)]
pub(super) struct Loan {
    buffers: Buffers,
    read: Cell<usize>,
}

// === impl Buffers ===

impl Buffers {
    pub(crate) fn new(limit: usize, counters: Arc<Counters>) -> Self {
        Self(Rc::new(Purse { limit, counters, lent: Cell::default(), waiting: RefCell::default() }))
    }

    pub(super) fn loan(&self) -> Loan {
        Loan { buffers: self.clone(), read: Cell::default() }
    }

    fn lend(&self, bytes: usize) {
        self.0.lent.set(self.0.lent.get() + bytes * GROWTH);
    }

    fn take_back(&self, bytes: usize) {
        self.0.lent.set(self.0.lent.get() - bytes * GROWTH);
        if self.0.lent.get() < self.0.limit {
            self.wake();
        }
    }

    fn wake(&self) {
        for waker in self.0.waiting.take() {
            waker.wake();
        }
    }
}

// === impl Loan ===

impl Loan {
    /// May more of the head be read? If not, `waker` is woken when it is worth asking again.
    pub(super) fn may_read(&self, waker: &Waker) -> bool {
        let Purse { limit, counters, lent, waiting } = &*self.buffers.0;
        if self.read.get() < SMALL || lent.get() < *limit {
            return true;
        }
        let mut waiting = waiting.borrow_mut();
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
            counters.heads_held_back.add();
        }
        false
    }

    /// So much more of it was read.
    pub(super) fn read(&self, bytes: usize) {
        let before = lent(self.read.get());
        self.read.set(self.read.get() + bytes);
        self.buffers.lend(lent(self.read.get()) - before);
    }

    /// So much is held now.
    pub(super) fn hold(&self, bytes: usize) {
        let (before, now) = (lent(self.read.replace(bytes)), lent(bytes));
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
        self.buffers.take_back(lent(self.read.take()));
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Of so much that was read.
fn lent(read: usize) -> usize {
    read.saturating_sub(SMALL)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

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
        assert_eq!(buffers.0.waiting.borrow().len(), 1);
        drop(first);
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(second.may_read(&waker));
        second.read(SMALL);
        second.give_back();
        assert_eq!(buffers.0.lent.get(), 0);
    }
}
