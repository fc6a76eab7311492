//! Hands a permitted request to the app, and its answer back, as they come.
//!
//! Nothing can be forwarded without a [`Permit`], which only a decision makes. No body is held
//! here: each side is read as fast as the other one takes. Upstream is HTTP/1.1, on a connection
//! that carries one request at a time; gRPC alone goes on by HTTP/2.

use std::{io, rc::Rc};

use http::{HeaderValue, Request, Response, StatusCode, header, response};
use hyper::body::{Body as _, Incoming};
use thiserror::Error;

use crate::{authorise::Permit, rewrite::Outbound};

mod alone;
mod app;
mod body;
mod http1;
mod http2;
mod kept;
mod piece;
mod pool;
mod spare;
mod stream;
mod tunnel;
mod websocket;

pub use app::{App, AppAddressError};
pub(crate) use body::{AnswerError, AppBody, Body, RequestBody};
use body::{Progress, Sent, Source};
use http1::Fault;
pub(crate) use http2::is_grpc;
use kept::Failed;
pub(crate) use piece::BodyPiece;
pub(crate) use pool::Pool;
pub(crate) use tunnel::Tunnel;
pub(crate) use websocket::{Opening, mark};

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
    BrokeOff(#[source] Fault),
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

/// How a request is handed on.
#[derive(Debug)]
pub(crate) struct Way {
    /// The WebSocket that it asks for.
    pub(crate) opening: Option<Opening>,
    /// May the connection to the app be used again?
    pub(crate) keep_alive: bool,
    /// Does it go on by HTTP/2?
    pub(crate) http2: bool,
}

/// What comes of it.
#[derive(Debug)]
pub(crate) enum Forwarded {
    /// An answer.
    Answer(Response<AppBody>),
    /// The WebSocket that was asked for.
    Opened(response::Parts, Tunnel),
}

// === impl AppError ===

impl AppError {
    /// Whose fault it is, the body that we were to send tells.
    fn of(error: hyper::Error, sent: &Sent) -> Self {
        match sent.progress() {
            Progress::Late => Self::CallerLate,
            Progress::Broken => Self::Caller(error),
            Progress::Good => Self::BrokeOff(error.into()),
        }
    }
}

/// Forwards one request, as `rewrite` made it.
///
/// Dropping the future, or the body of the answer before its end, closes the app's connection.
pub(crate) async fn forward(
    pool: &Rc<Pool>,
    _permit: &Permit,
    request: Outbound,
    body: Incoming,
    way: Way,
) -> Result<Forwarded, AppError> {
    if body.is_end_stream() && way.keep_alive && way.opening.is_none() && !way.http2 {
        return again(pool, &request).await;
    }
    // The room for it would be in every request.
    Box::pin(once(pool, request, body, way)).await
}

/// Forwards a request on a connection that carries no other HTTP/1 request.
async fn once(pool: &Rc<Pool>, request: Outbound, body: Incoming, way: Way) -> Result<Forwarded, AppError> {
    let Way { opening, keep_alive, http2 } = way;
    let has_body = !body.is_end_stream();
    let mut head = request.into_head();
    let (body, sent) = RequestBody::new(body, pool.limits().body, pool.holding());
    if http2 {
        let answer = pool.send_http2(head, body, &sent, keep_alive).await?;
        return Ok(Forwarded::Answer(answer.map(|body| AppBody::new(Source::Shared(body), pool.holding()))));
    }
    if opening.is_some() {
        mark(&mut head.headers);
    } else {
        if has_body && !head.headers.contains_key(header::CONTENT_LENGTH) {
            // HTTP/2 says no more than this; and the library drops the body of a GET whose length
            // it is not told.
            head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        // An app that does not read a body would take it for the next request; which apps read
        // theirs, nobody can tell from here.
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let mut alone = pool.connect_alone().await?;
    let sending = alone.send(Request::from_parts(head, body));
    let answer = sending.await.map_err(|failed| AppError::of(failed.into_error(), &sent))?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let (head, _) = answer.into_parts();
        let opened = opening.is_some_and(|opening| opening.is_accepted(&head));
        let tunnel = if opened { alone.into_tunnel().await } else { None };
        return Ok(Forwarded::Opened(head, tunnel.ok_or(AppError::Switched)?));
    }
    Ok(Forwarded::Answer(answer.map(|body| AppBody::new(Source::Alone(body, alone), pool.holding()))))
}

/// Forwards a request without a body on a connection that is used again.
async fn again(pool: &Rc<Pool>, request: &Outbound) -> Result<Forwarded, AppError> {
    let mut kept = pool.checkout().await?;
    loop {
        let failed = match kept.send(request).await {
            Ok(head) => {
                let body = AppBody::new(Source::Kept(kept), pool.holding());
                return Ok(Forwarded::Answer(Response::from_parts(head, body)));
            }
            Err(failed) => failed,
        };
        match failed {
            // The app had closed an idle connection.
            Failed::Unsent if kept.reused() => kept = Box::pin(pool.connect()).await?,
            Failed::Unsent => return Err(AppError::BrokeOff(Fault::Closed)),
            Failed::Switched => return Err(AppError::Switched),
            Failed::Fault(fault) => return Err(AppError::BrokeOff(fault)),
        }
    }
}
