//! A connection to the app that carries one request without a body after the other.
//!
//! Whoever waits for an answer moves the connection's bytes, in the same turn: no task of its own
//! has to be woken in between. That this is enough rests on there being nothing to send but a head.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use tokio::task::coop::unconstrained;

use super::{App, AppError, Pool, RequestBody, stream::Stream};
use crate::serve::Buffers;

/// How much of an answer's head, and of a body at once, is read ahead.
pub(super) const BUFFER: usize = 64 << 10;

/// A connection, at rest or not.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<RequestBody>,
    /// What moves the bytes; it has to be polled by whoever waits for them.
    bytes: Box<http1::Connection<TokioIo<Stream>, RequestBody>>,
    /// It has ended, and is not to be polled again.
    over: bool,
    stream: Stream,
}

/// A connection that is out for one request. Dropped, it closes.
#[derive(Debug)]
pub(crate) struct Kept {
    connection: Connection,
    pool: Rc<Pool>,
    reused: bool,
}

// === impl Connection ===

impl Connection {
    pub(super) async fn open(app: &App, buffers: &Buffers) -> Result<Self, AppError> {
        let stream = Stream::open(app, buffers).await?;
        let (sender, bytes) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream.clone()))
            .await
            .map_err(AppError::BrokeOff)?;
        Ok(Self { sender, bytes: Box::new(bytes), over: false, stream })
    }

    /// Open, ready, and silent since the last answer.
    pub(super) fn is_clean(&mut self) -> bool {
        self.sender.is_ready() && self.stream.is_silent()
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) {
        if !self.over
            && let Poll::Ready(ended) = Pin::new(&mut *self.bytes).poll(cx)
        {
            self.over = true;
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to the app ended");
            }
        }
    }

    /// Is it ready for another request, its answer being over? It wakes nobody from here on.
    fn rests(&mut self) -> bool {
        self.poll_bytes(&mut nobody());
        !self.over && self.sender.is_ready()
    }
}

// === impl Kept ===

impl Kept {
    pub(super) fn new(connection: Connection, pool: Rc<Pool>, reused: bool) -> Self {
        Self { connection, pool, reused }
    }

    /// Did it carry a request before this one?
    pub(super) fn reused(&self) -> bool {
        self.reused
    }

    /// Sends a request; the error has it again if nothing of it was written.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        // A task that has done much in one turn would be told to come back, by waking nobody.
        let mut answer = pin!(unconstrained(self.connection.sender.try_send_request(request)));
        poll_fn(|cx| {
            // Nothing but this brings the answer, so that nothing else has to wake anybody.
            self.connection.poll_bytes(cx);
            answer.as_mut().poll(&mut nobody())
        })
        .await
    }

    /// Moves what there is of the answer's body.
    pub(super) fn poll_bytes(&mut self, cx: &mut Context<'_>) {
        self.connection.poll_bytes(cx);
    }

    /// The answer is over: ready for another request, some time.
    pub(super) fn give_back(mut self) {
        if self.connection.rests() {
            self.pool.give_back(self.connection);
        }
    }
}

/// Nobody has to be woken.
fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
