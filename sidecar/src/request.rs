//! The way of a request, on one screen.

use std::{ops::Deref, rc::Rc};

use http::{Request, Response};
use hyper::body::{Body as _, Incoming};

use crate::{
    client::Peer,
    forward::{Body, Forwarded, Opening, Way, forward, is_grpc},
    gate::Worker,
    rewrite::rewrite,
};

mod entry;
mod unread_body;

use entry::Entry;
pub(crate) use entry::unread;

/// Decides about one request, and carries the decision out. One index decides all of it.
///
/// Dropped before it is done, it closes the app's connection, and the request is still recorded.
pub(crate) async fn handle(gate: Rc<Worker>, peer: Rc<Peer>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let index = gate.index();
    let index = index.as_deref().map(Deref::deref);
    let entry = Entry::decide(&gate, index, peer.address(), &head);
    let (permit, index) = match (entry.verdict(), index) {
        (Ok(permit), Some(index)) => (permit, index),
        (Err(denial), index) => {
            let answer = entry.refuse(&denial, index);
            return Box::pin(unread_body::behind(answer, &head, body)).await;
        }
        (Ok(_), None) => unreachable!("a permit is made of an index"),
    };
    let opening = Opening::of(&head, !body.is_end_stream());
    let way = Way { opening, keep_alive: index.keeps_alive(), http2: is_grpc(&head) };
    let request = rewrite(permit, index, head, &peer, entry.id());
    match forward(&gate.pool, permit, request, body, way).await {
        Ok(Forwarded::Answer(answer)) => entry.pass(answer),
        Ok(Forwarded::Opened(head, tunnel)) => entry.open(head, tunnel),
        Err(error) => entry.give_up(&error, index),
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    fn room<A, B, C, F>(_: fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_is_rare_takes_no_room_in_every_request() {
        assert!(room(handle) < 2 << 10, "{}", room(handle));
    }
}
