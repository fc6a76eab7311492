//! The way of a request, on one screen.

use std::{net::IpAddr, ops::Deref, rc::Rc};

use http::{Request, Response};
use hyper::body::Incoming;

use crate::{
    forward::{Body, forward},
    gate::Worker,
    rewrite::rewrite,
};

mod entry;

use entry::Entry;
pub(crate) use entry::unread;

/// Decides about one request, and carries the decision out. One index decides all of it.
///
/// Dropped before it is done, it closes the app's connection, and the request is still recorded.
pub(crate) async fn handle(gate: Rc<Worker>, peer: IpAddr, request: Request<Incoming>) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    let index = gate.index();
    let index = index.as_deref().map(Deref::deref);
    let entry = Entry::decide(&gate, index, peer, &head);
    let (permit, index) = match (entry.verdict(), index) {
        (Ok(permit), Some(index)) => (permit, index),
        (Err(denial), index) => return entry.refuse(&denial, index),
        (Ok(_), None) => unreachable!("a permit is made of an index"),
    };
    rewrite(permit, index, &mut head, peer, entry.id());
    match forward(&gate.pool, permit, head, body).await {
        Ok(answer) => entry.pass(answer),
        Err(error) => entry.give_up(&error, index),
    }
}
