//! One connection of a caller: HTTP in, requests to [`request::handle`], answers out.
//!
//! This is the only place that knows which HTTP core reads callers' bytes; another one would
//! take hyper's place here and give the same three things: heads as `http::request::Parts`, bodies
//! that are read as they are asked for, and an end when the Gate drains.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::net::TcpStream;

use crate::{accept::Accepted, client::Peer, gate::Worker};

mod buffers;
mod drain;
mod http1;
mod http2;
mod line;
mod outgoing;
mod patience;
mod unread;

pub(crate) use buffers::{Buffers, poll_read_more, poll_read_within};
pub(crate) use drain::Drain;
pub(crate) use http2::Here;
use line::{Line, Spoken};
use patience::{Patience, Timer};

/// What a connection may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a request's head may take, and the first byte on a new connection.
    pub head: Duration,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// How long it is idle, and up to once more that, before it gives back what it does not need
    /// while it waits.
    pub rest: Duration,
    /// How long an app may still think when its caller has closed its half: it may be waiting, or
    /// gone.
    pub half_closed: Duration,
    /// How many bytes of a connection are read ahead: no head may be longer. A head has at most
    /// 100 headers.
    pub buffer: usize,
    /// How much of large heads and of bodies is held for all callers of a Gate together; past it only
    /// small heads are read, and one piece of each body, until others are done.
    pub buffers: usize,
    /// How many connections a Gate may have. For one more, one that only waits for its next request
    /// gives way; if none does, it waits in the kernel's queue.
    pub connections: usize,
    /// How many of them one source may have (an IPv4 address, an IPv6 /64) that is not a trusted
    /// proxy.
    pub connections_per_source: usize,
    /// How long nothing of a request's body may come while the app waits for it.
    pub body: Duration,
    /// How long a caller may take nothing of what it is sent. It is the kernel that looks.
    pub untaken: Duration,
    /// How long the app may take to accept a connection.
    pub connect: Duration,
}

/// One connection is open while this lives.
struct Open<'a>(&'a Worker);

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            rest: Duration::from_millis(100),
            half_closed: Duration::from_secs(5),
            buffer: 64 << 10,
            buffers: 24 << 20,
            connections: 4096,
            connections_per_source: 256,
            body: Duration::from_mins(1),
            untaken: Duration::from_mins(2),
            connect: Duration::from_secs(5),
        }
    }
}

/// Serves one connection to its end. When the Gate drains, the request in flight is the last.
pub(crate) async fn connection(gate: Rc<Worker>, accepted: Accepted) {
    let Accepted { stream, peer, load: _load, place: _place, share: _share } = accepted;
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!(%error, "a connection cannot be served"),
    };
    let _open = Open::new(&gate);
    let patience = Patience::new(gate.shared.limits.clone(), gate.buffers.loan(), gate.shared.places.clone());
    let mut timer = Timer::new(Rc::clone(&patience));
    let mut draining = gate.drain.watch();
    let mut line = Line::new(stream, Rc::clone(&patience));
    let caller = Rc::new(Peer::from(peer.ip()));
    let spoken = in_time(&mut draining, &mut timer, |cx| line.poll_spoken(cx)).await;
    match spoken.unwrap_or(Ok(Spoken::Nothing)) {
        Ok(Spoken::Http1) => loop {
            // What this needs room for is given back while it rests.
            let serving = Box::pin(http1::serve(&gate, &caller, line, &patience, &mut timer, &mut draining));
            let Some(rested) = serving.await else { break };
            line = rested;
            gate.counters.rested.add();
            let wanted = in_time(&mut draining, &mut timer, |cx| line.poll_readable(cx)).await;
            gate.counters.resumed.add();
            if wanted.is_none() {
                break;
            }
        },
        Ok(Spoken::Http2) => {
            patience.many_at_once();
            // Each connection would have the room for it, and few are of this kind.
            Box::pin(http2::serve(&gate, &caller, line, &patience, &mut timer, &mut draining)).await;
        }
        Ok(Spoken::Tls) => gate.refuse_tls(),
        Ok(Spoken::Nothing) => {}
        Err(error) => tracing::debug!(%error, "a caller's connection ended"),
    }
}

/// What a caller is waited for; `None`: the Gate stops, or nobody is waited for any longer.
async fn in_time<T>(
    draining: &mut drain::Watch,
    timer: &mut Timer,
    mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    poll_fn(|cx| {
        if draining.begins(cx) {
            return Poll::Ready(None);
        }
        match wanted(cx) {
            Poll::Pending => timer.poll(cx).map(|()| None),
            Poll::Ready(wanted) => Poll::Ready(Some(wanted)),
        }
    })
    .await
}

// === impl Open ===

impl<'a> Open<'a> {
    fn new(gate: &'a Worker) -> Self {
        gate.counters.connections_opened.add();
        Self(gate)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.counters.connections_closed.add();
    }
}
