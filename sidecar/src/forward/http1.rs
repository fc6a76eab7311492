//! HTTP/1.1 as a client speaks it that sends requests without a body: what is written, and what of
//! the bytes that come back is an answer. Nothing here does I/O.
//!
//! An answer whose end two readers could find in different places is no answer: it must never be
//! that something of it is taken for the answer to the next request.

use std::io;

use thiserror::Error;

mod answer;
mod framed;
mod request;

pub(super) use answer::{Answer, Read};
pub(super) use framed::Framed;
pub(super) use request::write;

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
