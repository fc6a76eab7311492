//! A WebSocket that was opened: bytes both ways, until either side ends it, its credential does not
//! count any more, or the Gate stops.

use std::{future::Future, io, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy, split},
    select,
    time::timeout,
};

use super::stream::Stream;

/// How long one direction may go on when the other has ended.
const LINGER: Duration = Duration::from_secs(10);

/// The app's end of it.
#[derive(Debug)]
pub(crate) struct Tunnel {
    app: Stream,
    /// What the app sent at once behind its answer.
    early: Bytes,
}

// === impl Tunnel ===

impl Tunnel {
    pub(super) fn new(app: Stream, early: Bytes) -> Self {
        Self { app, early }
    }

    /// Carries bytes to the end, or until `over`. `early` is what the caller sent behind its request.
    pub(crate) async fn carry(
        self,
        caller: impl AsyncRead + AsyncWrite,
        early: Bytes,
        over: impl Future<Output = ()>,
    ) {
        let (caller_read, caller_write) = split(caller);
        let (app_read, app_write) = split(self.app);
        let bytes = async {
            let up = one_way(early, caller_read, app_write);
            let down = one_way(self.early, app_read, caller_write);
            futures::pin_mut!(up, down);
            select! {
                first = &mut up => first.and(timeout(LINGER, down).await.unwrap_or(Ok(()))),
                first = &mut down => first.and(timeout(LINGER, up).await.unwrap_or(Ok(()))),
            }
        };
        select! {
            ended = bytes => if let Err(error) = ended {
                tracing::debug!(%error, "a WebSocket ended");
            },
            () = over => {}
        }
    }
}

/// To the end, and tells the other side that it is the end.
async fn one_way(
    early: Bytes,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    to.write_all(&early).await?;
    copy(&mut from, &mut to).await?;
    to.shutdown().await
}
