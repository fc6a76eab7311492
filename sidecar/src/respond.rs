//! Denial to response: the words are [`Denial::answer`]'s, the bytes are made here.
//!
//! The body is always there; for `HEAD` the HTTP library sends the head alone. No answer ever
//! repeats anything of the request but its id, which is ours.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use sidegate_bundle::denial::{Answer, Denial};

use crate::{index::Index, request_id::RequestId, rewrite::REQUEST_ID};

/// The answer to a request that is not let through. Without an index there is no bundle yet.
pub(crate) fn respond(denial: &Denial, index: Option<&Index>, id: &RequestId) -> Response<Bytes> {
    let answer = denial.answer(index.map(Index::face));
    let mut response = Response::new(Bytes::from(answer.body(id.as_str())));
    let Answer { status, challenges, retry_after, close, error: _, title: _, detail: _ } = answer;
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Answer::MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::SERVER, HeaderValue::from_static("sidegate"));
    headers.insert(REQUEST_ID, id.header().clone());
    for challenge in challenges {
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            headers.append(header::WWW_AUTHENTICATE, challenge);
        }
    }
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let (Denial::MethodNotAllowed, Some(index)) = (denial, index) {
        headers.insert(header::ALLOW, index.methods.allow().clone());
    }
    if close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests;
