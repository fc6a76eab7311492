//! The caller's socket with an eye on its frames, and on what they make us hold: past what the worker
//! lends no more is read. (Whoever leaves meanwhile is missed when a ping is not answered.)

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{frames::Frames, held::Held};
use crate::serve::line::Line;

/// Goes to the HTTP library, which keeps it to itself.
#[derive(Debug)]
pub(super) struct Watched {
    line: Line,
    eye: Eye,
    held: Rc<Held>,
}

/// What was seen so far. Clones see the same.
#[derive(Clone, Debug)]
pub(super) struct Eye(Rc<RefCell<Frames>>);

// === impl Watched ===

impl Watched {
    /// From the first byte of the preface.
    pub(super) fn new(line: Line, held: Rc<Held>) -> (Self, Eye) {
        let eye = Eye(Rc::new(RefCell::new(Frames::new())));
        (Self { line, eye: eye.clone(), held }, eye)
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.held.may_read(cx.waker()) {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.line).poll_read(cx, buf))?;
        let mut frames = self.eye.0.borrow_mut();
        let bodies = frames.follow(&buf.filled()[before..]);
        self.held.came(bodies, frames.block());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.line).poll_write(cx, buf))?;
        self.held.wrote(&buf[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.line).poll_write_vectored(cx, bufs))?;
        let mut rest = written;
        for buf in bufs {
            let part = &buf[..rest.min(buf.len())];
            self.held.wrote(part);
            rest -= part.len();
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.line.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(cx)
    }
}

// === impl Eye ===

impl Eye {
    /// Since when a request's head is begun and not over.
    pub(super) fn in_a_head_since(&self) -> Option<Instant> {
        self.0.borrow().in_a_head_since()
    }
}
