//! The body of a request that is refused. Nobody wants it, and it stands before the next request.
//!
//! What is small and on its way is read, so that the connection goes on. Otherwise the answer says
//! that it ends: a caller that was not told would send its next request to nobody. In HTTP/2 a
//! request is a stream of its own, and nothing has to be said; but some callers (curl 7.88) lose an
//! answer that ends their stream while they still send.

use std::{future::poll_fn, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, Version, header, request::Parts};
use hyper::body::{Body as _, Incoming};
use tokio::time;

use crate::forward::Body;

/// More than this is not worth reading.
const MOST: usize = 64 << 10;
/// How long the rest may take to arrive. The answer waits for it.
const WAIT: Duration = Duration::from_millis(200);

/// The answer to such a request, when the body is done with.
pub(super) async fn behind(mut answer: Response<Body>, head: &Parts, body: Incoming) -> Response<Body> {
    let closes = answer.headers().contains_key(header::CONNECTION);
    if !closes && !is_over(head, body).await && head.version != Version::HTTP_2 {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Has all of it been read?
async fn is_over(head: &Parts, mut body: Incoming) -> bool {
    if body.is_end_stream() {
        return true;
    }
    let size = body.size_hint();
    // It is held back until we say that it may come.
    let held_back = head.headers.contains_key(header::EXPECT);
    // Such as a call of gRPC, whose caller waits for the answer before it says more.
    let endless = head.version == Version::HTTP_2 && size.exact().is_none();
    if held_back || endless || size.lower() > MOST as u64 {
        return false;
    }
    let rest = async {
        let mut read = 0;
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            read += frame.ok()?.data_ref().map_or(0, Bytes::len);
            if read > MOST {
                return None;
            }
        }
        Some(())
    };
    matches!(time::timeout(WAIT, rest).await, Ok(Some(())))
}
