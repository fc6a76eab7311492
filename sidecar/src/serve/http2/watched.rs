//! The caller's socket with an eye on its frames, and on what they make us hold: past what the worker
//! lends no more is read. (Whoever leaves meanwhile is missed when a ping is not answered.)

use std::{
    cell::RefCell,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task,
    time::Instant,
};

use super::{frames::Frames, held::Held};
use crate::serve::line::Line;

/// How much is read at once: frames that only have to be answered come some ten thousand to a mebibyte.
const TURN: usize = 16 << 10;

/// Goes to the HTTP library, which keeps it to itself.
#[derive(Debug)]
pub(super) struct Watched {
    line: Line,
    eye: Eye,
    held: Rc<Held>,
    /// How much was read since the worker's other connections had their turn.
    turn: usize,
}

/// What was seen so far. Clones see the same.
#[derive(Clone, Debug)]
pub(super) struct Eye(Rc<RefCell<Frames>>);

// === impl Watched ===

impl Watched {
    /// From the first byte of the preface.
    pub(super) fn new(line: Line, held: Rc<Held>) -> (Self, Eye) {
        let eye = Eye(Rc::new(RefCell::new(Frames::new())));
        (Self { line, eye: eye.clone(), held, turn: 0 }, eye)
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
        if self.turn >= TURN {
            self.turn = 0;
            // More is there. Woken behind those for whom something has come meanwhile.
            let _ = pin!(task::yield_now()).poll(cx);
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.line).poll_read(cx, buf) else {
            self.turn = 0;
            return Poll::Pending;
        };
        read?;
        self.turn += buf.filled().len() - before;
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
