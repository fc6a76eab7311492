//! A connection to the app that carries one request without a body after the other.
//!
//! Whoever waits for an answer reads it, in the same turn, into memory that the worker's connections
//! use one after the other: while an app thinks nothing is held for its answer.

use std::{
    fmt,
    future::poll_fn,
    io, mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Method, StatusCode, response};
use hyper::body::Frame;
use tokio::{io::AsyncWrite as _, net::TcpStream};

use super::{
    App, AppError, Pool,
    http1::{self, Answer, Fault, Framed, Read},
    spare::ROOM,
    stream,
};
use crate::{rewrite::Outbound, serve::poll_read_more};

/// How much of an answer's head, and of a body at once, is read ahead.
pub(super) const BUFFER: usize = 64 << 10;

/// A connection, at rest or not.
#[derive(Debug)]
pub(super) struct Connection(TcpStream);

/// A connection that is out for one request. Dropped, it closes.
pub(crate) struct Kept {
    connection: Connection,
    pool: Rc<Pool>,
    reused: bool,
    /// What was read and not taken yet.
    read: BytesMut,
    /// What is still to come of the answer.
    body: Framed,
    /// May it carry another request when the answer is over?
    again: bool,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// The app had closed, and nothing of it was written.
    Unsent,
    /// The app switched protocols.
    Switched,
    /// The app broke off, or what it says is no answer.
    Fault(Fault),
}

// === impl Connection ===

impl Connection {
    pub(super) async fn open(app: &App) -> Result<Self, AppError> {
        stream::open(app).await.map(Self)
    }

    /// Open, and silent since the last answer.
    pub(super) fn is_clean(&self) -> bool {
        stream::is_silent(&self.0)
    }
}

// === impl Kept ===

impl Kept {
    pub(super) fn new(connection: Connection, pool: Rc<Pool>, reused: bool) -> Self {
        Self { connection, pool, reused, read: BytesMut::new(), body: Framed::Over, again: false }
    }

    /// Did it carry a request before this one?
    pub(super) fn reused(&self) -> bool {
        self.reused
    }

    /// What is still to come of the answer.
    pub(super) fn body(&self) -> &Framed {
        &self.body
    }

    /// Sends a request, and reads the head of its answer.
    pub(super) async fn send(&mut self, request: &Outbound) -> Result<response::Parts, Failed> {
        let mut out = self.pool.spare().to_write();
        http1::write(&mut out, request);
        let (mut sent, mut broken) = (0, None);
        let answer = poll_fn(|cx| {
            while sent < out.len() && broken.is_none() {
                match Pin::new(&mut self.connection.0).poll_write(cx, &out[sent..]) {
                    Poll::Ready(Ok(written)) => sent += written,
                    Poll::Ready(Err(_)) if sent == 0 => return Poll::Ready(Err(Failed::Unsent)),
                    // It may have said why.
                    Poll::Ready(Err(error)) => broken = Some(error),
                    Poll::Pending => break,
                }
            }
            let answer = ready!(self.poll_answer(cx, &request.method));
            Poll::Ready(answer.map_err(|failed| match (failed, broken.take()) {
                (Failed::Fault(Fault::Closed), Some(error)) => Failed::Fault(error.into()),
                (failed, _) => failed,
            }))
        })
        .await?;
        self.again = answer.again && sent == out.len();
        self.pool.spare().keep_written(out);
        self.body = answer.body;
        Ok(answer.head)
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>, method: &Method) -> Poll<Result<Box<Answer>, Failed>> {
        loop {
            let read = if self.read.is_empty() { Ok(Read::More) } else { Answer::read(&self.read, method) };
            match read.map_err(Failed::Fault)? {
                Read::Answer(answer, length) => {
                    self.read.advance(length);
                    let switched = answer.head.status == StatusCode::SWITCHING_PROTOCOLS;
                    return Poll::Ready(if switched { Err(Failed::Switched) } else { Ok(answer) });
                }
                Read::Interim(length) => self.read.advance(length),
                Read::More if self.read.len() >= BUFFER => {
                    return Poll::Ready(Err(Failed::Fault(Fault::Bad("its head is too large"))));
                }
                Read::More => match ready!(self.poll_more(cx)) {
                    Ok(0) => return Poll::Ready(Err(Failed::Fault(Fault::Closed))),
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Err(Failed::Fault(error.into()))),
                },
            }
        }
    }

    /// The next piece of the answer's body. Nothing is read before it is asked for.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            match self.body.take(&mut self.read) {
                Ok(None) if self.body.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                piece => {
                    self.keep_if_empty();
                    return Poll::Ready(piece.transpose());
                }
            }
            match ready!(self.poll_more(cx)) {
                Ok(0) => return Poll::Ready(self.body.end().err().map(Err)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// Reads what there is; 0: the end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let buffers = self.pool.buffers();
        let most = buffers.at_once().min(BUFFER);
        let expected = usize::try_from(self.body.expects()).unwrap_or(most).min(most);
        if self.read.capacity() == 0 && expected <= ROOM {
            self.read = self.pool.spare().to_read();
        }
        if self.read.capacity() - self.read.len() < ROOM / 4 {
            self.read.reserve(expected.max(ROOM));
        }
        let read = poll_read_more(buffers, Pin::new(&mut self.connection.0), cx, &mut self.read);
        self.keep_if_empty();
        if let Poll::Ready(Ok(0)) = read {
            self.again = false;
        }
        read
    }

    /// Who waits, for the app or for the caller, holds no memory to read into.
    fn keep_if_empty(&mut self) {
        if self.read.is_empty() {
            self.pool.spare().keep_read(mem::take(&mut self.read));
        }
    }

    /// The answer is over: ready for another request, if nothing stands against it.
    pub(super) fn give_back(self) {
        let Self { connection, pool, read, body, again, .. } = self;
        // What was read behind the end is nobody's answer.
        if again && body.is_over() && read.is_empty() {
            pool.give_back(connection);
        }
        pool.spare().keep_read(read);
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("body", &self.body).finish_non_exhaustive()
    }
}
