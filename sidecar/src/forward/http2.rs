//! The app's HTTP/2 connection: one a worker, for gRPC, which needs it; one a call where none is used
//! again. All other requests go by HTTP/1.1.

use std::{cell::RefCell, time::Duration};

use http::{HeaderValue, Request, Response, Uri, Version, header, request::Parts, uri::Scheme};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{sync::Mutex, task, time};

use super::{App, AppError, RequestBody, Sent};
use crate::serve::Here;

/// How often it is asked whether the app is there, while something is in flight.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);
/// What the app may send of one answer before the caller takes it, and of all of them.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
const SEND_BUFFER: usize = 64 << 10;
/// Of an answer's headers, and of its trailers. More headers are no answer; more trailers the library
/// cuts off without a word, so that what is left must not be more than callers' libraries take: some
/// leave the whole connection over 16 KiB.
const HEADERS: u32 = 16 << 10;

/// The connection, if there is one.
#[derive(Debug, Default)]
pub(super) struct Shared {
    sender: RefCell<Option<http2::SendRequest<RequestBody>>>,
    /// Held by whoever connects: calls that come meanwhile go by the same connection.
    connecting: Mutex<()>,
}

/// Does a request that came by HTTP/2 go on by it?
pub(crate) fn is_grpc(head: &Parts) -> bool {
    let grpc = |value: &HeaderValue| {
        value.as_bytes().get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
    };
    head.version == Version::HTTP_2 && head.headers.get(header::CONTENT_TYPE).is_some_and(grpc)
}

// === impl Shared ===

impl Shared {
    /// Sends one request; not `again`: on a connection of its own. `opened` is called for each new
    /// connection.
    pub(super) async fn send(
        &self,
        app: &App,
        timeout: Duration,
        opened: impl Fn(),
        (mut head, body): (Parts, RequestBody),
        sent: &Sent,
        again: bool,
    ) -> Result<Response<Incoming>, AppError> {
        address(&mut head);
        let mut request = Request::from_parts(head, body);
        loop {
            let (mut sender, reused) = if let Some(sender) = self.sender().filter(|_| again) {
                (sender, true)
            } else {
                let connecting = time::timeout(timeout, self.connect(app, &opened, again)).await;
                connecting.map_err(|_| AppError::ConnectTimeout)??
            };
            match sender.try_send_request(request).await {
                Ok(answer) => return Ok(answer),
                // It closed before anything of the request was written.
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if reused => request = unsent,
                    _ => return Err(AppError::of(failed.into_error(), sent)),
                },
            }
        }
    }

    /// A connection, and whether somebody else had it made; not `again`: nobody else's.
    async fn connect(
        &self,
        app: &App,
        opened: impl Fn(),
        again: bool,
    ) -> Result<(http2::SendRequest<RequestBody>, bool), AppError> {
        if !again {
            let sender = connect(app).await?;
            opened();
            return Ok((sender, false));
        }
        let _connecting = self.connecting.lock().await;
        if let Some(sender) = self.sender() {
            return Ok((sender, true));
        }
        let sender = connect(app).await?;
        opened();
        self.sender.replace(Some(sender.clone()));
        Ok((sender, false))
    }

    fn sender(&self) -> Option<http2::SendRequest<RequestBody>> {
        let mut sender = self.sender.borrow_mut();
        if sender.as_ref().is_some_and(http2::SendRequest::is_closed) {
            *sender = None;
        }
        sender.clone()
    }
}

async fn connect(app: &App) -> Result<http2::SendRequest<RequestBody>, AppError> {
    let stream = app.connect().await.map_err(AppError::Connect)?;
    stream.set_nodelay(true).map_err(AppError::Connect)?;
    let (sender, connection) = http2::Builder::new(Here)
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEADERS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| AppError::BrokeOff(error.into()))?;
    // It ends with the last sender and the last stream.
    task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP/2 connection to the app ended");
        }
    });
    Ok(sender)
}

/// `Host` becomes `:authority`.
fn address(head: &mut Parts) {
    head.version = Version::HTTP_2;
    let host = head.headers.remove(header::HOST);
    let mut uri = std::mem::take(&mut head.uri).into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = host.and_then(|host| host.as_bytes().try_into().ok());
    // A host was there and well-formed, and so is the path; else the app sees a request for `/`
    // of nobody, which the library refuses to send.
    head.uri = Uri::from_parts(uri).unwrap_or_default();
}
