//! A connection that speaks HTTP/1.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::Poll,
};

use http::header;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use sidegate_bundle::denial::Denial;

use super::{
    drain,
    line::Line,
    outgoing::Outgoing,
    patience::{Patience, Timer},
    unread,
};
use crate::{
    client::Peer,
    forward::{Body, Tunnel},
    gate::{Watch, Worker},
    request,
};

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
    draining: &mut drain::Watch,
) {
    let (handler, asked) = (Rc::clone(gate), Rc::clone(patience));
    let caller = Rc::new(Peer::from(peer.ip()));
    let opened = Rc::<RefCell<Option<(Tunnel, Option<Watch>)>>>::default();
    let opening = Rc::clone(&opened);
    let announced = Rc::<Cell<bool>>::default();
    let announcing = Rc::clone(&announced);
    let service = service_fn(move |request| {
        let busy = asked.busy();
        // hyper keeps room for it in every connection, also in those that wait.
        let answer = Box::pin(request::handle(Rc::clone(&handler), Rc::clone(&caller), request));
        let (opening, announcing) = (Rc::clone(&opening), Rc::clone(&announcing));
        let drain = handler.drain.clone();
        async move {
            let mut answer = answer.await;
            drain.say_in(&mut answer);
            announcing.set(answer.headers().contains_key(header::CONNECTION));
            let body = |body| match body {
                Body::Tunnel(tunnel, watch) => {
                    opening.replace(Some((tunnel, watch)));
                    Body::Ours(None)
                }
                body => body,
            };
            Ok::<_, Infallible>(answer.map(|ours| Outgoing::new(body(ours), busy)))
        }
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
    if let (End::Over, Some((tunnel, watch))) = (&end, opened.take()) {
        // When the Gate stops it has as long as any request: to its deadline.
        let over = poll_fn(|cx| watch.as_ref().map_or(Poll::Pending, |watch| watch.poll_over(cx)));
        // These two are rare, and the room for them would be in every connection.
        return Box::pin(tunnel.carry(line.into_stream(), parts.read_buf, over)).await;
    }
    let denial = match end {
        End::Failed(error) if error.is_parse() => {
            tracing::debug!(%error, "a head was not read");
            // Else an answer is on its way already, and another behind it would be nobody's.
            let Some(status) = line.kept_back() else { return };
            unread::denial(status, &parts.read_buf)
        }
        End::Late if patience.is_in_a_head() => Denial::HeadTimeout,
        End::Failed(error) => return tracing::debug!(%error, "a caller's connection ended"),
        // Our answer said that it ends, and the caller may be in the middle of its request.
        End::Over if announced.get() => return Box::pin(unread::linger(line.into_stream())).await,
        // Dropping the connection closes it, and the app's.
        End::Over | End::Late => return,
    };
    Box::pin(unread::answer(gate, peer.ip(), &denial, line.into_stream())).await;
}
