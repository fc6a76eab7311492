//! Answers and WebSockets that last: does the credential that they were allowed by still count?
//!
//! A request is decided once. What lasts after that is looked at again with every new bundle, when
//! the first of their credentials expires, and once a second, and is cut off when its credential has
//! expired, was suspended or deleted, or lost something of what it had: the app was told of that. A
//! rule that has changed cuts off nothing.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use jiff::Timestamp;
use sidegate_bundle::{
    Verifier,
    gate::{Mode, Standing},
};

use crate::{index::Index, verify::Principal};

/// What lasts on one worker. Clones are handles to the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standings(Rc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    next: Cell<u64>,
    lasting: RefCell<HashMap<u64, Rc<Lasting>>>,
}

/// Something that lasts, by the credential that it was allowed by.
#[derive(Debug)]
struct Lasting {
    principal: Arc<Principal>,
    hash: Option<Verifier>,
    over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// One that is looked at while this lives.
#[derive(Debug)]
pub(crate) struct Watch {
    standings: Standings,
    number: u64,
    lasting: Rc<Lasting>,
}

// === impl Standings ===

impl Standings {
    /// Looks at it from now on.
    pub(crate) fn watch(&self, principal: Arc<Principal>, index: Option<&Index>, now: Timestamp) -> Watch {
        let hash = index.and_then(|index| index.key(principal.key_id)).map(|known| known.hash);
        let lasting = Rc::new(Lasting { principal, hash, over: Cell::default(), waker: RefCell::default() });
        lasting.look(index, now);
        let number = self.0.next.replace(self.0.next.get() + 1);
        self.0.lasting.borrow_mut().insert(number, Rc::clone(&lasting));
        Watch { standings: self.clone(), number, lasting }
    }

    /// Looks at all of them, and says how many are over now that were not.
    pub(super) fn look(&self, index: Option<&Index>, now: Timestamp) -> usize {
        self.0.lasting.borrow().values().filter(|lasting| lasting.look(index, now)).count()
    }

    /// When the first of those that still count expires, in unix seconds.
    pub(super) fn first_to_expire(&self, index: Option<&Index>) -> Option<i64> {
        let expires = |lasting: &Rc<Lasting>| index?.key(lasting.principal.key_id)?.exp;
        self.0.lasting.borrow().values().filter(|lasting| !lasting.over.get()).filter_map(expires).min()
    }
}

// === impl Lasting ===

impl Lasting {
    /// Is it over since now?
    fn look(&self, index: Option<&Index>, now: Timestamp) -> bool {
        if self.over.get() || index.is_some_and(|index| self.counts(index, now)) {
            return false;
        }
        self.over.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        true
    }

    fn counts(&self, index: &Index, now: Timestamp) -> bool {
        if index.mode() == Mode::Audit {
            return true;
        }
        let Some(known) = index.key(self.principal.key_id) else { return false };
        let (before, after, now) = (&self.principal, &known.principal, now.as_second());
        Some(known.hash) == self.hash
            && known.standing == Standing::Good
            && known.nbf.is_none_or(|nbf| now >= nbf)
            && known.exp.is_none_or(|exp| now < exp)
            && before.tenant == after.tenant
            && before.kind == after.kind
            && before.scopes.difference(&after.scopes).is_empty()
    }
}

// === impl Watch ===

impl Watch {
    /// Ready when it does not count any more. To be polled by one task.
    pub(crate) fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.lasting.over.get() {
            return Poll::Ready(());
        }
        let mut waker = self.lasting.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.standings.0.lasting.borrow_mut().remove(&self.number);
    }
}
