//! A connection that speaks HTTP/1.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::Poll,
};

use http::{Request, header};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use sidegate_bundle::denial::Denial;

use super::{
    drain,
    line::Line,
    outgoing::Outgoing,
    patience::{Fired, Patience, Timer},
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
    /// It does not end, but nobody asks for anything at the moment.
    Rest,
}

/// Serves it to its end, or until it rests: then the line comes back, and this is to be called
/// again with it when something is to be read. In between it needs no room but the line's.
pub(super) async fn serve(
    gate: &Rc<Worker>,
    caller: &Rc<Peer>,
    line: Line,
    patience: &Rc<Patience>,
    timer: &mut Timer,
    draining: &mut drain::Watch,
) -> Option<Line> {
    timer.may_rest();
    let (handler, asked) = (Rc::clone(gate), Rc::clone(patience));
    let asking = Rc::clone(caller);
    let opened = Rc::<RefCell<Option<(Tunnel, Option<Watch>)>>>::default();
    let opening = Rc::clone(&opened);
    let announced = Rc::<Cell<bool>>::default();
    let announcing = Rc::clone(&announced);
    let service = service_fn(move |request: Request<Incoming>| {
        let has_body = !request.body().is_end_stream();
        asked.has_body(has_body);
        let busy = asked.busy();
        // hyper keeps room for it in every connection, also in those that wait.
        let answer = Box::pin(request::handle(Rc::clone(&handler), Rc::clone(&asking), request));
        let (opening, announcing) = (Rc::clone(&opening), Rc::clone(&announcing));
        let drain = handler.drain.clone();
        async move {
            let mut answer = answer.await;
            drain.say_in(&mut answer);
            // Of a body that is not read to its end the HTTP library says so by itself.
            announcing.set(has_body || answer.headers().contains_key(header::CONNECTION));
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
        timer.poll_or_rest(cx).map(|fired| match fired {
            Fired::Late => End::Late,
            Fired::Rest => End::Rest,
        })
    })
    .await;
    let parts = connection.into_parts();
    let mut line = parts.io.into_inner();
    if let (End::Over, Some((tunnel, watch))) = (&end, opened.take()) {
        // When the Gate stops it has as long as any request: to its deadline.
        let over = poll_fn(|cx| watch.as_ref().map_or(Poll::Pending, |watch| watch.poll_over(cx)));
        // These two are rare, and the room for them would be in every connection.
        Box::pin(tunnel.carry(line.into_stream(), parts.read_buf, over)).await;
        return None;
    }
    let denial = match end {
        End::Failed(error) if error.is_parse() => {
            tracing::debug!(%error, "a head was not read");
            // Else an answer is on its way already, and another behind it would be nobody's.
            let status = line.kept_back()?;
            unread::denial(status, &parts.read_buf)
        }
        End::Late if patience.is_in_a_head() => Denial::HeadTimeout,
        End::Failed(error) => {
            tracing::debug!(%error, "a caller's connection ended");
            return None;
        }
        // Our answer said that it ends, and the caller may be in the middle of its request.
        End::Over if announced.get() => {
            Box::pin(unread::linger(line.into_stream())).await;
            return None;
        }
        // Dropping the connection closes it, and the app's.
        End::Over | End::Late => return None,
        End::Rest => {
            if !parts.read_buf.is_empty() {
                // A head that began behind the last request; from now on it has its time.
                patience.heard(parts.read_buf.len());
            }
            line.put_back(parts.read_buf);
            return Some(line);
        }
    };
    Box::pin(unread::answer(gate, caller.address(), &denial, line.into_stream())).await;
    None
}
