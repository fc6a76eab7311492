//! A connection to the app for one request that has a body, or that may become a WebSocket.
//!
//! Both ways go on by themselves, on a task of the connection's own: an app may answer while it is
//! still being sent to, and a caller may send while it takes nothing of the answer.

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::oneshot,
    task::{self, AbortHandle},
};

use super::{App, AppError, RequestBody, kept::BUFFER, stream::Stream, tunnel::Tunnel};
use crate::serve::Buffers;

/// Dropped, it closes.
#[derive(Debug)]
pub(crate) struct Alone {
    sender: http1::SendRequest<RequestBody>,
    stream: Stream,
    task: Task,
    /// What the app sent behind a 101, once the task has ended by it.
    switched: oneshot::Receiver<Bytes>,
}

/// The task that moves the bytes; it ends with this.
#[derive(Debug)]
struct Task(AbortHandle);

// === impl Alone ===

impl Alone {
    pub(super) async fn open(app: &App, buffers: &Buffers) -> Result<Self, AppError> {
        let stream = Stream::open(app, buffers).await?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream.clone()))
            .await
            .map_err(|error| AppError::BrokeOff(error.into()))?;
        let (behind, switched) = oneshot::channel();
        let task = task::spawn_local(async move {
            match connection.without_shutdown().await {
                // Closed by whoever has the socket: this, or a tunnel.
                Ok(parts) => drop(behind.send(parts.read_buf)),
                Err(error) => tracing::debug!(%error, "a connection to the app ended"),
            }
        });
        Ok(Self { sender, stream, task: Task(task.abort_handle()), switched })
    }

    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        self.sender.try_send_request(request).await
    }

    /// The app has switched protocols: what is left is the socket. `None`: it has closed.
    pub(super) async fn into_tunnel(self) -> Option<Tunnel> {
        let Self { sender: _sender, stream, task: _task, switched } = self;
        let early = switched.await.ok()?;
        Some(Tunnel::new(stream, early))
    }
}

// === impl Task ===

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
