//! The socket to the app, for the HTTP library to use and a tunnel to take over; and what is to be known
//! of any.

use std::{
    cell::RefCell,
    io,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{App, AppError};
use crate::{
    serve::{Buffers, poll_read_within},
    vectored,
};

/// A handle to it; it closes with the last one.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    socket: Rc<RefCell<TcpStream>>,
    buffers: Buffers,
}

// === impl Stream ===

impl Stream {
    pub(super) async fn open(app: &App, buffers: &Buffers) -> Result<Self, AppError> {
        Ok(Self { socket: Rc::new(RefCell::new(open(app).await?)), buffers: buffers.clone() })
    }
}

/// A new connection to the app.
pub(super) async fn open(app: &App) -> Result<TcpStream, AppError> {
    let socket = app.connect().await.map_err(AppError::Connect)?;
    socket.set_nodelay(true).map_err(AppError::Connect)?;
    Ok(socket)
}

/// Is there nothing to read, not even the end?
pub(super) fn is_silent(socket: &TcpStream) -> bool {
    let peeked = SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]);
    matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        poll_read_within(&self.buffers, Pin::new(&mut *self.socket.borrow_mut()), cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.socket.borrow_mut()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        vectored::poll_write(Pin::new(&mut *self.socket.borrow_mut()), cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket.borrow_mut()).poll_shutdown(cx)
    }
}
