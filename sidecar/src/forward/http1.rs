//! HTTP/1.1 as a client speaks it that sends requests without a body: what is written, and what of
//! the bytes that come back is an answer. Nothing here does I/O.
//!
//! An answer whose end two readers could find in different places is no answer: it must never be
//! that something of it is taken for the answer to the next request.

use std::io;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

mod answer;
mod framed;
mod request;

pub(super) use answer::{Answer, Read};
pub(super) use framed::Framed;
pub(super) use request::write;

/// More headers, or trailers, are no answer.
const MAX_HEADERS: usize = 100;

/// How an app breaks off, or what is wrong with what it says.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// It is not HTTP, or has more than one reading.
    #[error("the app's answer is bad: {0}")]
    Bad(&'static str),
    /// The end came before the answer's.
    #[error("the app closed before the end of its answer")]
    Closed,
    /// The connection broke.
    #[error("the connection to the app broke")]
    Broke(#[from] io::Error),
    /// In the words of the HTTP library.
    #[error(transparent)]
    Library(#[from] hyper::Error),
}

/// What was found in these bytes, on one piece of memory of its own. `None`: something of it is no
/// header.
fn headers(bytes: &[u8], found: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let own = Bytes::copy_from_slice(bytes);
    let mut headers = HeaderMap::with_capacity(found.len());
    for line in found {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        // An empty value may lie anywhere.
        let start = line.value.as_ptr().addr() - bytes.as_ptr().addr();
        let value =
            if line.value.is_empty() { Bytes::new() } else { own.slice(start..start + line.value.len()) };
        headers.append(name, HeaderValue::from_maybe_shared(value).ok()?);
    }
    Some(headers)
}
