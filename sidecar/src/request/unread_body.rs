//! The body of a request that is refused. Nobody wants it, and it stands before the next request.
//!
//! What is small and on its way is read, so that the connection goes on. Otherwise the answer says
//! that it ends: a caller that was not told would send its next request to nobody.

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
    if !answer.headers().contains_key(header::CONNECTION) && !is_over(head, body).await {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Can the connection carry another request behind this one?
async fn is_over(head: &Parts, mut body: Incoming) -> bool {
    // In HTTP/2 a request is a stream of its own.
    if body.is_end_stream() || head.version == Version::HTTP_2 {
        return true;
    }
    // It is held back until we say that it may come.
    if head.headers.contains_key(header::EXPECT) || body.size_hint().lower() > MOST as u64 {
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
