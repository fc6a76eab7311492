//! Bodies on their way through: passed on frame by frame, never held.

use std::{
    cell::Cell,
    future::Future as _,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use thiserror::Error;
use tokio::time::{Sleep, sleep};

use super::pool::Lease;
use crate::rewrite;

type Polled<E> = Poll<Option<Result<Frame<Bytes>, E>>>;

/// A request's body, on its way to the app. Its trailers are dropped: a name in them would come
/// past everything that looks at headers.
#[derive(Debug)]
pub(crate) struct RequestBody {
    body: Incoming,
    sent: Sent,
    /// How long nothing may come while the app would take it.
    patience: Duration,
    /// When that is over; `None`: nothing is waited for.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// Why a request's body ends before its end.
#[derive(Debug, Error)]
pub(crate) enum BodyError {
    /// It is cut short or badly framed.
    #[error("the caller broke off its body")]
    Broken(#[source] hyper::Error),
    /// Nothing of it came for too long.
    #[error("the caller stopped sending its body")]
    Late,
}

/// Was the request's body taken to its end?
#[derive(Clone, Debug)]
pub(crate) struct Sent(Rc<Cell<bool>>);

/// The body of an answer of the app.
#[derive(Debug)]
pub(crate) struct AppBody {
    body: Incoming,
    /// What the answer came on, and whether the request is out; absent: not for a second request.
    lease: Option<(Lease, Sent)>,
}

/// The body of any answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// Of the app.
    App(AppBody),
    /// Ours. `None`: it was handed over.
    Ours(Option<Bytes>),
}

// === impl RequestBody ===

impl RequestBody {
    pub(crate) fn new(body: Incoming, patience: Duration) -> (Self, Sent) {
        let sent = Sent(Rc::new(Cell::new(body.is_end_stream())));
        (Self { body, sent: sent.clone(), patience, deadline: None }, sent)
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<BodyError> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                let patience = self.patience;
                let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
                return deadline.as_mut().poll(cx).map(|()| Some(Err(BodyError::Late)));
            };
            self.deadline = None;
            if frame.is_none() || self.body.is_end_stream() {
                self.sent.0.set(true);
            }
            match frame {
                Some(Ok(frame)) if frame.is_trailers() => {}
                other => return Poll::Ready(other.map(|frame| frame.map_err(BodyError::Broken))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl AppBody ===

impl AppBody {
    pub(super) fn new(body: Incoming, lease: Option<(Lease, Sent)>) -> Self {
        let mut body = Self { body, lease };
        body.give_back_if_over();
        body
    }

    fn give_back_if_over(&mut self) {
        if self.body.is_end_stream() {
            self.give_back();
        }
    }

    /// The answer is complete. Its connection may carry another request only if the whole of this
    /// one is out: else the app would read the rest of it as the next.
    fn give_back(&mut self) {
        if let Some((lease, sent)) = self.lease.take()
            && sent.0.get()
        {
            lease.give_back();
        }
    }
}

impl HttpBody for AppBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<hyper::Error> {
        let mut frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &mut frame {
            None => self.give_back(),
            Some(Ok(frame)) => {
                frame.trailers_mut().map(rewrite::trailers);
                self.give_back_if_over();
            }
            Some(Err(_)) => self.lease = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Body ===

impl HttpBody for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<hyper::Error> {
        match &mut *self {
            Self::App(body) => Pin::new(body).poll_frame(cx),
            Self::Ours(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::App(body) => body.is_end_stream(),
            Self::Ours(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::App(body) => body.size_hint(),
            Self::Ours(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}
