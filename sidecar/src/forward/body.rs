//! Bodies on their way through: passed on frame by frame, never held.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::pool::Lease;
use crate::rewrite;

type Polled = Poll<Option<Result<Frame<Bytes>, hyper::Error>>>;

/// A request's body, on its way to the app. Its trailers are dropped: a name in them would come
/// past everything that looks at headers.
#[derive(Debug)]
pub(crate) struct RequestBody {
    body: Incoming,
    sent: Sent,
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
    pub(crate) fn new(body: Incoming) -> (Self, Sent) {
        let sent = Sent(Rc::new(Cell::new(body.is_end_stream())));
        (Self { body, sent: sent.clone() }, sent)
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        loop {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            if frame.is_none() || self.body.is_end_stream() {
                self.sent.0.set(true);
            }
            match frame {
                Some(Ok(frame)) if frame.is_trailers() => {}
                other => return Poll::Ready(other),
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

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
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

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
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
