//! Whether callers take what they are sent.
//!
//! By HTTP/1 it is the kernel that sees it. By HTTP/2 a caller can acknowledge every byte of the
//! connection and open no window for a stream: its answer waits then, and holds the app.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::{
    body::{Body, Frame, SizeHint},
    rt::Executor,
};
use tokio::{
    task,
    time::{Instant, Sleep, sleep_until},
};

use super::held::Asked;
use crate::{
    forward::{AnswerError, BodyPiece},
    serve::outgoing::Outgoing,
};

/// Since when one stream's caller has had something that it does not take.
type Since = Rc<Cell<Option<Instant>>>;

/// Runs the streams of one connection, each as long as its caller takes of it. The library makes a
/// stream's future and has it run at once, so the two halves find each other here.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    untaken: Duration,
    made: Rc<RefCell<Option<Since>>>,
}

/// An answer on its way out, one stream's.
#[derive(Debug)]
pub(super) struct Offered {
    body: Outgoing,
    since: Since,
    _asked: Asked,
}

// === impl Streams ===

impl Streams {
    /// `untaken`: how long a caller may take nothing.
    pub(super) fn new(untaken: Duration) -> Self {
        Self { untaken, made: Rc::default() }
    }

    /// The next stream.
    pub(super) fn make(&self) -> Since {
        let since = Since::default();
        self.made.replace(Some(Rc::clone(&since)));
        since
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let since = self.made.take().unwrap_or_default();
        let untaken = self.untaken;
        task::spawn_local(async move {
            let mut stream = pin!(stream);
            let mut timer = None;
            poll_fn(|cx| {
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                late(since.get().map(|since| since + untaken), &mut timer, cx)
            })
            .await;
            // Dropped before its end, it is reset.
        });
    }
}

/// Ready when this time has come. There is a timer only while there is such a time.
pub(super) fn late(
    deadline: Option<Instant>,
    timer: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let Some(deadline) = deadline else {
        *timer = None;
        return Poll::Pending;
    };
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    if timer.deadline() != deadline {
        timer.as_mut().reset(deadline);
    }
    timer.as_mut().poll(cx)
}

// === impl Offered ===

impl Offered {
    pub(super) fn new(body: Outgoing, since: Since, asked: Asked) -> Self {
        Self { body, since, _asked: asked }
    }
}

impl Body for Offered {
    type Data = BodyPiece;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<BodyPiece>, AnswerError>>> {
        // The library asks for more when what it had is taken.
        self.since.set(None);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.since.set(Some(Instant::now()));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
