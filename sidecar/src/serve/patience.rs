//! How long a connection may keep us waiting.
//!
//! hyper has one timer for a request's head and for the pause before it, and either ends with the
//! caller's half of the connection or never looks at it. Here a connection may be idle for a while,
//! a head that has begun must be over soon, a caller that has finished sending may still read its
//! answer, and one that is gone does not keep the app busy for long. One timer a connection, set
//! again when it fires and not for each request.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::Limits;

/// What one connection waits for, shared by its socket, its requests and its timer.
#[derive(Debug)]
pub(super) struct Patience {
    limits: Limits,
    phase: Cell<Phase>,
    /// When the caller's bytes had ended, or when it took something of the answer after that.
    ended: Cell<Option<Instant>>,
    /// Does something of an answer wait for the caller to take it? The app's part is over by then.
    waiting: Cell<bool>,
    /// Who was not told of that end, and is to ask again when the app has answered.
    untold: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// For the first byte of all, or for the rest of a head.
    Head(Instant),
    /// For the first byte of another request.
    Idle(Instant),
    /// For the app.
    Busy,
}

/// The caller's socket. It says when bytes come, and does not say at once when they end.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    patience: Rc<Patience>,
}

/// While this lives the app is waited for, not the caller.
#[derive(Debug)]
pub(super) struct Busy(Rc<Patience>);

/// Fires when patience ends, or a little later if nobody lost it.
#[derive(Debug)]
pub(super) struct Timer {
    sleep: Pin<Box<Sleep>>,
    patience: Rc<Patience>,
}

// === impl Patience ===

impl Patience {
    /// A connection that was just made.
    pub(super) fn new(limits: Limits) -> Rc<Self> {
        let phase = Cell::new(Phase::Head(Instant::now()));
        let (ended, waiting, untold) = (Cell::default(), Cell::default(), RefCell::default());
        Rc::new(Self { limits, phase, ended, waiting, untold })
    }

    /// A request is there.
    pub(super) fn busy(self: &Rc<Self>) -> Busy {
        self.phase.set(Phase::Busy);
        Busy(Rc::clone(self))
    }

    fn heard(&self) {
        if let Phase::Idle(_) = self.phase.get() {
            self.phase.set(Phase::Head(Instant::now()));
        }
    }

    /// Did the caller take something? Then it is still there.
    fn offered(&self, taken: bool) {
        self.waiting.set(!taken);
        if taken && self.ended.get().is_some() {
            self.ended.set(Some(Instant::now()));
        }
    }

    /// The caller took all that there was.
    fn flushed(&self) {
        if self.waiting.take()
            && let Phase::Idle(_) = self.phase.get()
        {
            self.phase.set(Phase::Idle(Instant::now()));
        }
    }

    /// The caller's bytes have ended: is it time to say so?
    fn says_end(&self) -> bool {
        let ended = self.ended.get().unwrap_or_else(|| {
            let now = Instant::now();
            self.ended.set(Some(now));
            now
        });
        !matches!(self.phase.get(), Phase::Busy) || ended.elapsed() >= self.limits.half_closed
    }

    /// When it ends; `None`: not as things are.
    fn deadline(&self) -> Option<Instant> {
        match self.phase.get() {
            Phase::Head(since) => Some(since + self.limits.head),
            Phase::Idle(since) if !self.waiting.get() => Some(since + self.limits.idle),
            Phase::Idle(_) | Phase::Busy => self.ended.get().map(|ended| ended + self.limits.half_closed),
        }
    }
}

// === impl Busy ===

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.phase.set(Phase::Idle(Instant::now()));
        if let Some(waker) = self.0.untold.take() {
            waker.wake();
        }
    }
}

// === impl Timer ===

impl Timer {
    pub(super) fn new(patience: Rc<Patience>) -> Self {
        let first = patience.deadline().unwrap_or_else(Instant::now);
        Self { sleep: Box::pin(sleep_until(first)), patience }
    }

    /// Ready when patience has ended. To be asked after whatever may have changed the phase.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(deadline) = self.patience.deadline()
            && deadline < self.sleep.deadline()
        {
            self.sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            let now = Instant::now();
            match self.patience.deadline() {
                Some(deadline) if deadline <= now => return Poll::Ready(()),
                Some(deadline) => self.sleep.as_mut().reset(deadline),
                None => self.sleep.as_mut().reset(now + self.patience.limits.idle),
            }
        }
    }
}

// === impl Line ===

impl Line {
    pub(super) fn new(stream: TcpStream, patience: Rc<Patience>) -> Self {
        Self { stream, patience }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.patience.heard();
            Poll::Ready(Ok(()))
        } else if self.patience.says_end() {
            Poll::Ready(Ok(()))
        } else {
            self.patience.untold.replace(Some(cx.waker().clone()));
            Poll::Pending
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.patience.offered(written.is_ready());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.patience.offered(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.patience.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
