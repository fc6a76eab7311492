//! Hands a permitted request to the app, and its answer back, as they come.
//!
//! Nothing can be forwarded without a [`Permit`], which only a decision makes. No body is held
//! here: each side is read as fast as the other one takes. Upstream is always HTTP/1.1, on a
//! connection that carries one request at a time.

use std::{io, rc::Rc};

use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use hyper::body::{Body as _, Incoming};
use thiserror::Error;

use crate::authorise::Permit;

mod app;
mod body;
mod pool;

pub use app::{App, AppAddressError};
use body::BodyError;
pub(crate) use body::{AppBody, Body, RequestBody};
pub(crate) use pool::Pool;

/// Why there is no answer of the app.
#[derive(Debug, Error)]
pub(crate) enum AppError {
    /// It cannot be reached.
    #[error("cannot connect to the app")]
    Connect(#[source] io::Error),
    /// It did not take the connection in time.
    #[error("the app did not take the connection in time")]
    ConnectTimeout,
    /// It took the request, and closed or said something that is not HTTP.
    #[error("the app broke off before it answered")]
    BrokeOff(#[source] hyper::Error),
    /// The caller broke its request's body.
    #[error("the caller broke off its body")]
    Caller(#[source] hyper::Error),
    /// The caller stopped sending its request's body.
    #[error("the caller stopped sending its body")]
    CallerLate,
    /// It answered 101, which nobody had asked for.
    #[error("the app switched protocols unasked")]
    Switched,
}

// === impl AppError ===

impl AppError {
    /// hyper calls it the user's fault if it could not read the body that we gave it.
    fn of(error: hyper::Error) -> Self {
        match std::error::Error::source(&error).and_then(|cause| cause.downcast_ref()) {
            Some(BodyError::Late) => Self::CallerLate,
            Some(BodyError::Broken(_)) => Self::Caller(error),
            None if error.is_user() => Self::Caller(error),
            None => Self::BrokeOff(error),
        }
    }
}

/// Forwards one request. The head is what `rewrite` made of it.
///
/// Dropping the future, or the body of the answer before its end, closes the app's connection.
pub(crate) async fn forward(
    pool: &Rc<Pool>,
    _permit: &Permit,
    mut head: Parts,
    body: Incoming,
) -> Result<Response<AppBody>, AppError> {
    let alone = !body.is_end_stream() && !takes_a_body(&head.method);
    if alone {
        // An app that does not read this body would take it for the next request.
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let (body, sent) = RequestBody::new(body, pool.limits().body);
    let mut request = Request::from_parts(head, body);
    let mut lease = if alone { pool.connect().await? } else { pool.checkout().await? };
    let answer = loop {
        match lease.send(request).await {
            Ok(answer) => break answer,
            Err(mut failed) => match failed.take_message() {
                // The app had closed an idle connection: nothing of the request was written.
                Some(unsent) if lease.reused() => {
                    request = unsent;
                    lease = pool.connect().await?;
                }
                _ => return Err(AppError::of(failed.into_error())),
            },
        }
    };
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(AppError::Switched);
    }
    Ok(answer.map(|body| AppBody::new(body, (!alone).then_some((lease, sent)))))
}

/// Methods whose bodies every app reads.
fn takes_a_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
