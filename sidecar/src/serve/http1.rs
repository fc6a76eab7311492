//! A connection that speaks HTTP/1.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    body::{Body as HttpBody, Frame, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use sidegate_bundle::denial::Denial;

use super::{
    drain::Watch,
    line::Line,
    patience::{Busy, Patience, Timer},
    unread,
};
use crate::{forward::Body, gate::Worker, request};

/// An answer on its way out.
struct Outgoing {
    body: Body,
    _busy: Busy,
}

/// How it came to an end.
enum End {
    Over,
    Failed(hyper::Error),
    /// Nobody is waited for any longer.
    Late,
}

/// Serves it to its end.
pub(super) async fn serve(
    gate: &Rc<Worker>,
    peer: SocketAddr,
    line: Line,
    patience: &Rc<Patience>,
    timer: &mut Timer,
    draining: &mut Watch,
) {
    let (handler, asked) = (Rc::clone(gate), Rc::clone(patience));
    let service = service_fn(move |request| {
        let busy = asked.busy();
        let answer = request::handle(Rc::clone(&handler), peer.ip(), request);
        async { Ok::<_, Infallible>(answer.await.map(|body| Outgoing { body, _busy: busy })) }
    });
    let buffer = gate.shared.limits.buffer;
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(buffer)
        // The last read may go past the buffer. (That there are at most 100 headers is hyper's own
        // default; to say so would move them from the stack to the heap.)
        .max_header_size(buffer)
        .serve_connection(TokioIo::new(line), service);
    let end = poll_fn(|cx| {
        if draining.begins(cx) {
            Pin::new(&mut connection).graceful_shutdown();
        }
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(ended.map_or_else(End::Failed, |()| End::Over));
        }
        timer.poll(cx).map(|()| End::Late)
    })
    .await;
    let parts = connection.into_parts();
    let line = parts.io.into_inner();
    let denial = match end {
        End::Failed(error) if error.is_parse() => {
            tracing::debug!(%error, "a head was not read");
            unread::denial(line.kept_back(), &parts.read_buf)
        }
        End::Late if patience.is_in_a_head() => Denial::HeadTimeout,
        End::Failed(error) => return tracing::debug!(%error, "a caller's connection ended"),
        // Dropping the connection closes it, and the app's.
        End::Over | End::Late => return,
    };
    unread::answer(gate, peer.ip(), &denial, line.into_stream()).await;
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
