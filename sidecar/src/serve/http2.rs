//! A connection that speaks HTTP/2 from its first byte (prior knowledge; RFC 9113 §3.3).
//!
//! Each stream is a request like any other. What a connection may hold is bounded by windows and by
//! the number of its streams; a caller that resets them faster than it reads is told to go, and so is
//! one that begins a head and does not end it. A stream whose caller takes nothing of it is reset.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use http::Request;
use hyper::{rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use sidegate_bundle::denial::Denial;
use tokio::{task, time};

use super::{
    drain,
    line::Line,
    outgoing::Outgoing,
    patience::{Patience, Timer},
};
use crate::{client::Peer, gate::Worker, request};

mod cut;
mod frames;
mod held;
mod taking;
mod watched;

use held::Held;
use taking::{Offered, Streams, late};
use watched::Watched;

/// Requests at once.
const STREAMS: u32 = 100;
/// Of all headers of one request, as RFC 9113 §6.5.2 counts them. We refuse half of it, in our own
/// words; past this the library answers with a bare 431, and past four times this it ends the
/// connection.
const HEADERS: u32 = 64 << 10;
/// What may be sent of one body before it is taken, and of all of them.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// What is held of one answer that is not taken.
const SEND_BUFFER: usize = 64 << 10;
/// Streams that are reset before anybody looked at them, and for an error of the caller's.
const RESETS: usize = 20;
const ERRORS: usize = 100;
/// How often it is asked whether anybody is there, and how long the answer may take.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);
/// How long a caller may take to go when it is told to, with nothing in flight.
const LEAVE: Duration = Duration::from_secs(1);

/// How it came to an end.
enum End {
    Over(hyper::Result<()>),
    /// It has been idle for too long, or is late with its first request.
    Idle,
    /// A head does not come to its end.
    Head,
}

/// Runs what belongs to a connection on its worker's thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here;

/// Serves it to its end.
pub(super) async fn serve(
    gate: &Rc<Worker>,
    caller: &Rc<Peer>,
    line: Line,
    patience: &Rc<Patience>,
    timer: &mut Timer,
    draining: &mut drain::Watch,
) {
    let limits = &gate.shared.limits;
    let streams = Streams::new(limits.untaken);
    let (handler, asked, made) = (Rc::clone(gate), Rc::clone(patience), streams.clone());
    let asking = Rc::clone(caller);
    let served = Rc::<Cell<bool>>::default();
    let serving = Rc::clone(&served);
    let held = Held::new(gate.buffers.loan(), CONNECTION_WINDOW);
    let holding = Rc::clone(&held);
    let service = service_fn(move |request| {
        serving.set(true);
        let (busy, since) = (asked.busy(), made.make());
        let (parts, body) = Request::into_parts(request);
        let held = holding.asked(&parts);
        let request = Request::from_parts(parts, body);
        let answer = request::handle(Rc::clone(&handler), Rc::clone(&asking), request);
        async move {
            let answer = answer.await;
            held.answered();
            Ok::<_, Infallible>(answer.map(|body| Offered::new(Outgoing::new(body, busy), since, held)))
        }
    });
    let (watched, eye) = Watched::new(line, held);
    let connection = http2::Builder::new(streams)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(ERRORS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .serve_connection(TokioIo::new(watched), service);
    let mut connection = pin!(connection);
    let (mut late_head, mut told) = (None, false);
    let end = poll_fn(|cx| {
        if draining.begins(cx) {
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(End::Over(ended));
        }
        // Not before its first request: a caller that was told so at once would come again with the
        // same request, and be told the same.
        if !told && served.get() && gate.drain.is_leaving() {
            told = true;
            connection.as_mut().graceful_shutdown();
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(End::Over(ended));
            }
        }
        if late(eye.in_a_head_since().map(|since| since + limits.head), &mut late_head, cx).is_ready() {
            return Poll::Ready(End::Head);
        }
        timer.poll(cx).map(|()| End::Idle)
    })
    .await;
    if let End::Head = end {
        // It is recorded, but cannot be answered: until the head is over there is no stream.
        request::unread(gate, caller.address(), &Denial::HeadTimeout);
    }
    let ended = match end {
        End::Over(ended) => ended,
        End::Idle | End::Head => {
            // What it sends meanwhile is answered.
            connection.as_mut().graceful_shutdown();
            time::timeout(LEAVE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a caller's connection ended");
    }
}

// === impl Here ===

impl<F: Future<Output = ()> + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        task::spawn_local(future);
    }
}
