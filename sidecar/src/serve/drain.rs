//! Tells the connections of one worker that the Gate stops.
//!
//! It is asked at every turn of every connection, so it is a flag of the worker's own thread.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    task::{Context, Waker},
};

/// Has the drain begun? Clones are handles to the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    state: Rc<State>,
}

#[derive(Debug, Default)]
struct State {
    begun: Cell<bool>,
    next: Cell<u64>,
    wakers: RefCell<HashMap<u64, Waker>>,
}

/// One connection's look at it. The connection must stay in one task.
#[derive(Debug)]
pub(crate) struct Watch {
    drain: Drain,
    place: Option<u64>,
    told: bool,
}

// === impl Drain ===

impl Drain {
    /// Begins it, and wakes every connection.
    pub(crate) fn begin(&self) {
        self.state.begun.set(true);
        for (_, waker) in self.state.wakers.take() {
            waker.wake();
        }
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch { drain: self.clone(), place: None, told: false }
    }
}

// === impl Watch ===

impl Watch {
    /// `true` once: the first time that it is asked after the drain has begun.
    pub(crate) fn begins(&mut self, cx: &mut Context<'_>) -> bool {
        if self.told {
            return false;
        }
        let state = &self.drain.state;
        self.told = state.begun.get();
        if !self.told && self.place.is_none() {
            let place = state.next.replace(state.next.get() + 1);
            state.wakers.borrow_mut().insert(place, cx.waker().clone());
            self.place = Some(place);
        }
        self.told
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.drain.state.wakers.borrow_mut().remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use super::*;

    #[tokio::test]
    async fn a_watcher_is_woken_and_told_once() {
        let drain = Drain::default();
        let mut watch = drain.watch();
        let told = poll_fn(|cx| if watch.begins(cx) { Poll::Ready(()) } else { Poll::Pending });
        let begin = async {
            tokio::task::yield_now().await;
            drain.begin();
        };
        tokio::join!(told, begin);
        assert!(!poll_fn(|cx| Poll::Ready(watch.begins(cx))).await);
    }

    #[tokio::test]
    async fn whoever_comes_late_is_told_at_once_and_whoever_leaves_is_forgotten() {
        let drain = Drain::default();
        let mut early = drain.watch();
        assert!(!poll_fn(|cx| Poll::Ready(early.begins(cx))).await);
        drop(early);
        assert!(drain.state.wakers.borrow().is_empty());
        drain.begin();
        let mut late = drain.watch();
        assert!(poll_fn(|cx| Poll::Ready(late.begins(cx))).await);
    }
}
