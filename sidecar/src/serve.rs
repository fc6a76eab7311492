//! One connection of a caller: HTTP/1.1 in, requests to [`request::handle`], answers out.
//!
//! This is the only place that knows which HTTP/1 core reads callers' bytes; another one would
//! take hyper's place here and give the same three things: heads as `http::request::Parts`, bodies
//! that are read as they are asked for, and an end when the Gate drains.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    body::{Body as HttpBody, Frame, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{accept::Accepted, forward::Body, gate::Worker, request};

mod drain;
mod patience;

pub(crate) use drain::Drain;
use patience::{Busy, Line, Patience, Timer};

/// What a connection may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a request's head may take, and the first byte on a new connection.
    pub head: Duration,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// How long an app may still think when its caller has closed its half: it may be waiting, or
    /// gone.
    pub half_closed: Duration,
    /// How many bytes of a connection are read ahead: no head may be longer. A head has at most
    /// 100 headers.
    pub buffer: usize,
    /// How many connections a Gate may have; the others wait in the kernel's queue.
    pub connections: usize,
    /// How long the app may take to accept a connection.
    pub connect: Duration,
}

/// An answer on its way out.
struct Outgoing {
    body: Body,
    _busy: Busy,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            half_closed: Duration::from_secs(5),
            buffer: 64 << 10,
            connections: 4096,
            connect: Duration::from_secs(5),
        }
    }
}

/// Serves one connection to its end. When the Gate drains, the request in flight is the last.
pub(crate) async fn connection(gate: Rc<Worker>, accepted: Accepted) {
    let Accepted { stream, peer, load: _load, place: _place } = accepted;
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(%error, "a connection cannot be served");
            return;
        }
    };
    let limits = &gate.shared.limits;
    let patience = Patience::new(limits.clone());
    let mut timer = Timer::new(Rc::clone(&patience));
    let line = Line::new(stream, Rc::clone(&patience));
    let handler = Rc::clone(&gate);
    let service = service_fn(move |request| {
        let busy = patience.busy();
        let answer = request::handle(Rc::clone(&handler), peer.ip(), request);
        async { Ok::<_, Infallible>(answer.await.map(|body| Outgoing { body, _busy: busy })) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(limits.buffer)
            // The last read may go past the buffer. (That there are at most 100 headers is hyper's
            // own default; to say so would move them from the stack to the heap.)
            .max_header_size(limits.buffer)
            .serve_connection(TokioIo::new(line), service)
    );
    let mut draining = gate.drain.watch();
    gate.counters.connections_opened.add();
    let ended = poll_fn(|cx| {
        if draining.begins(cx) {
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        if timer.poll(cx).is_pending() {
            return Poll::Pending;
        }
        // Nobody is waited for any longer. Dropping the connection closes it, and the app's.
        Poll::Ready(Ok(()))
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a caller's connection ended");
    }
    gate.counters.connections_closed.add();
}

// === impl Outgoing ===

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
