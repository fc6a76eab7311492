//! One connection of a caller: HTTP/1.1 in, requests to [`request::handle`], answers out.
//!
//! This is the only place that knows which HTTP/1 core reads callers' bytes; another one would
//! take hyper's place here and give the same three things: heads as `http::request::Parts`, bodies
//! that are read as they are asked for, and an end when the Gate drains.

use std::{convert::Infallible, future::Future, pin::pin, rc::Rc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::{accept::Accepted, gate::Worker, request};

mod drain;

pub(crate) use drain::Drain;

/// What a connection may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a request's head may take, and a connection may be idle.
    pub head: Duration,
    /// How many bytes of a connection are read ahead: no head may be longer. A head has at most
    /// 100 headers.
    pub buffer: usize,
    /// How many connections a Gate may have; the others wait in the kernel's queue.
    pub connections: usize,
    /// How long the app may take to accept a connection.
    pub connect: Duration,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
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
    gate.counters.connections_opened.add();
    let limits = &gate.shared.limits;
    let handled = Rc::clone(&gate);
    let service = service_fn(move |request| {
        let handled = request::handle(Rc::clone(&handled), peer.ip(), request);
        async { Ok::<_, Infallible>(handled.await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(limits.buffer)
            // The last read may go past the buffer. (That there are at most 100 headers is hyper's
            // own default; to say so would move them from the stack to the heap.)
            .max_header_size(limits.buffer)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut draining = gate.drain.watch();
    let ended = std::future::poll_fn(|cx| {
        if draining.begins(cx) {
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a caller's connection ended");
    }
    gate.counters.connections_closed.add();
}
