//! Tells the connections of one worker that callers are to go elsewhere, and later that the Gate stops.
//!
//! It is asked at every turn of every connection, so it is a flag of the worker's own thread.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    task::{Context, Waker},
};

use http::{HeaderValue, Response, StatusCode, header};

/// How far has it come? Clones are handles to the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    state: Rc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Every request is still answered, and every caller is told not to ask here again.
    leaving: Cell<bool>,
    /// What is in flight is finished, and nothing else.
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
    /// Callers are to go elsewhere from now on. Wakes every connection.
    pub(crate) fn leave(&self) {
        self.state.leaving.set(true);
        for waker in self.state.wakers.borrow().values() {
            waker.wake_by_ref();
        }
    }

    /// Begins it, and wakes every connection.
    pub(crate) fn begin(&self) {
        self.state.leaving.set(true);
        self.state.begun.set(true);
        for (_, waker) in self.state.wakers.take() {
            waker.wake();
        }
    }

    /// Are callers to go elsewhere?
    pub(crate) fn is_leaving(&self) -> bool {
        self.state.leaving.get()
    }

    /// Says it in an answer of HTTP/1: the connection ends behind it, and no caller takes it for
    /// another request just then. Not in one that makes it something else than HTTP.
    pub(crate) fn say_in<B>(&self, answer: &mut Response<B>) {
        if self.is_leaving() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch { drain: self.clone(), place: None, told: false }
    }
}

// === impl Watch ===

impl Watch {
    /// `true` once: the first time that it is asked after the drain has begun. Until then its task
    /// is woken for that, and when callers are to go elsewhere.
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
    use std::{
        future::poll_fn,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Poll, Wake},
    };

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

    /// Counts.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_watcher_is_woken_when_callers_are_to_leave_and_again_when_it_begins() {
        let (drain, woken) = (Drain::default(), Arc::<Woken>::default());
        let waker = Waker::from(Arc::clone(&woken));
        let (mut watch, mut cx) = (drain.watch(), Context::from_waker(&waker));
        let mut seen =
            |drain: &Drain| (woken.0.load(Ordering::Relaxed), drain.is_leaving(), watch.begins(&mut cx));
        assert_eq!(seen(&drain), (0, false, false));
        drain.leave();
        assert_eq!(seen(&drain), (1, true, false));
        drain.begin();
        assert_eq!(seen(&drain), (2, true, true));
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
