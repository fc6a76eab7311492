//! Bodies on their way through: passed on frame by frame. What was read and is not written yet is a
//! [`BodyPiece`]; no more than that is held.

use std::{
    cell::Cell,
    fmt,
    future::Future as _,
    mem,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use thiserror::Error;
use tokio::time::{Sleep, sleep};

use super::{
    alone::Alone,
    http1::Fault,
    kept::Kept,
    piece::{BodyPiece, Holding},
    tunnel::Tunnel,
};
use crate::{
    gate::{Watch, Worker},
    rewrite,
    verify::Principal,
};

/// An answer of more pieces is one that lasts, even if nothing of it ever had to be waited for.
const PIECES: usize = 16;

type Polled<E, D = BodyPiece> = Poll<Option<Result<Frame<D>, E>>>;

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
    holding: Holding,
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

/// What became of the request's body, for whoever sends it.
#[derive(Clone, Debug)]
pub(crate) struct Sent(Rc<Cell<Progress>>);

/// How far a request's body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// As far as it should be.
    Good,
    /// The caller broke it off.
    Broken,
    /// The caller stopped sending it.
    Late,
}

/// The body of an answer of the app.
#[derive(Debug)]
pub(crate) struct AppBody {
    source: Source,
    allowed: Allowed,
    holding: Holding,
}

/// What an answer comes on: its end ends the answer.
#[derive(Debug)]
pub(super) enum Source {
    /// It may carry another request.
    Kept(Kept),
    /// It closes with the answer.
    Alone(Incoming, #[expect(dead_code, reason = "it is held, and closes when it is dropped")] Alone),
    /// It carries other answers beside this one.
    Shared(Incoming),
    /// Nothing any more.
    Over,
}

/// By whose leave an answer goes on.
enum Allowed {
    /// Nobody's.
    Free,
    /// Theirs; it has not lasted yet, and came in so many pieces.
    By(Rc<Worker>, Arc<Principal>, usize),
    /// It lasts.
    While(Watch),
}

/// Why an answer ends before its end.
#[derive(Debug, Error)]
pub(crate) enum AnswerError {
    /// The app broke it off.
    #[error("the app broke off its answer")]
    App(#[source] Fault),
    /// The credential that it was allowed by does not count any more.
    #[error("the credential does not count any more")]
    CutOff,
}

/// The body of any answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// Of the app.
    App(AppBody),
    /// Ours. `None`: it was handed over.
    Ours(Option<Bytes>),
    /// None: the connection becomes a WebSocket.
    Tunnel(Tunnel, Option<Watch>),
}

// === impl Allowed ===

impl fmt::Debug for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => "Free",
            Self::By(..) => "By",
            Self::While(_) => "While",
        })
    }
}

// === impl Sent ===

impl Sent {
    pub(super) fn progress(&self) -> Progress {
        self.0.get()
    }
}

// === impl RequestBody ===

impl RequestBody {
    pub(crate) fn new(body: Incoming, patience: Duration, holding: Holding) -> (Self, Sent) {
        let sent = Sent(Rc::new(Cell::new(Progress::Good)));
        (Self { body, sent: sent.clone(), patience, deadline: None, holding }, sent)
    }
}

impl HttpBody for RequestBody {
    type Data = BodyPiece;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<BodyError> {
        ready!(self.holding.poll_room(cx));
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                let patience = self.patience;
                let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
                ready!(deadline.as_mut().poll(cx));
                self.sent.0.set(Progress::Late);
                return Poll::Ready(Some(Err(BodyError::Late)));
            };
            self.deadline = None;
            match frame {
                Some(Err(error)) => {
                    self.sent.0.set(Progress::Broken);
                    return Poll::Ready(Some(Err(BodyError::Broken(error))));
                }
                Some(Ok(frame)) if frame.is_trailers() => {}
                Some(Ok(frame)) => {
                    return Poll::Ready(Some(Ok(frame.map_data(|bytes| self.holding.hold(bytes)))));
                }
                None => return Poll::Ready(None),
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

// === impl Source ===

impl Source {
    fn is_over(&self) -> bool {
        match self {
            Self::Kept(kept) => kept.body().is_over(),
            Self::Alone(body, _) | Self::Shared(body) => body.is_end_stream(),
            Self::Over => true,
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled<Fault, Bytes> {
        match self {
            Self::Kept(kept) => kept.poll_piece(cx),
            Self::Alone(body, _) | Self::Shared(body) => Pin::new(body).poll_frame(cx).map_err(Fault::from),
            Self::Over => Poll::Ready(None),
        }
    }
}

// === impl AppBody ===

impl AppBody {
    pub(super) fn new(source: Source, holding: Holding) -> Self {
        let mut body = Self { source, allowed: Allowed::Free, holding };
        body.give_back_if_over();
        body
    }

    /// Goes on only while this credential counts.
    pub(crate) fn allowed_by(mut self, gate: &Rc<Worker>, principal: &Arc<Principal>) -> Self {
        if !self.source.is_over() {
            self.allowed = Allowed::By(Rc::clone(gate), Arc::clone(principal), 0);
        }
        self
    }

    /// From now on it is one that lasts.
    fn lasts(&mut self) {
        if let Allowed::By(gate, principal, _) = &self.allowed {
            self.allowed = Allowed::While(gate.watch(principal));
        }
    }

    /// Nothing more is there at the moment: is it to be waited for?
    fn poll_cut_off(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.lasts();
        match &self.allowed {
            Allowed::While(watch) => watch.poll_over(cx),
            Allowed::Free | Allowed::By(..) => Poll::Pending,
        }
    }

    fn give_back_if_over(&mut self) {
        if self.source.is_over() {
            self.give_back();
        }
    }

    /// The answer is complete. Its connection may carry another request only if the whole of this
    /// one is out; of one without a body it is.
    fn give_back(&mut self) {
        if let Source::Kept(kept) = mem::replace(&mut self.source, Source::Over) {
            kept.give_back();
        }
    }
}

impl HttpBody for AppBody {
    type Data = BodyPiece;
    type Error = AnswerError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<AnswerError> {
        if let Allowed::By(.., pieces) = &mut self.allowed {
            *pieces += 1;
            if *pieces > PIECES {
                self.lasts();
            }
        }
        if let Allowed::While(watch) = &self.allowed {
            // An app that always has more to say is no reason to wait.
            if watch.poll_over(cx).is_ready() {
                self.source = Source::Over;
                return Poll::Ready(Some(Err(AnswerError::CutOff)));
            }
        }
        ready!(self.holding.poll_room(cx));
        let Poll::Ready(mut frame) = self.source.poll_frame(cx) else {
            ready!(self.poll_cut_off(cx));
            self.source = Source::Over;
            return Poll::Ready(Some(Err(AnswerError::CutOff)));
        };
        match &mut frame {
            None => self.give_back(),
            Some(Ok(frame)) => {
                frame.trailers_mut().map(rewrite::trailers);
                self.give_back_if_over();
            }
            Some(Err(_)) => self.source = Source::Over,
        }
        let held = |frame: Frame<Bytes>| frame.map_data(|bytes| self.holding.hold(bytes));
        Poll::Ready(frame.map(|frame| frame.map(held).map_err(AnswerError::App)))
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Kept(kept) => kept.body().length().map_or_else(SizeHint::new, SizeHint::with_exact),
            Source::Alone(body, _) | Source::Shared(body) => body.size_hint(),
            Source::Over => SizeHint::with_exact(0),
        }
    }
}

// === impl Body ===

impl HttpBody for Body {
    type Data = BodyPiece;
    type Error = AnswerError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<AnswerError> {
        match &mut *self {
            Self::App(body) => Pin::new(body).poll_frame(cx),
            Self::Ours(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes.into())))),
            Self::Tunnel(..) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::App(body) => body.is_end_stream(),
            Self::Ours(bytes) => bytes.is_none(),
            Self::Tunnel(..) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::App(body) => body.size_hint(),
            Self::Ours(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Tunnel(..) => SizeHint::with_exact(0),
        }
    }
}
