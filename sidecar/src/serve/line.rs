//! The caller's socket, as the HTTP library sees it.
//!
//! It says when bytes come, does not say at once when they end, and keeps back what the library
//! would answer by itself to a head that it cannot read: that answer is ours to give.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{buffers::poll_read_within, patience::Patience};
use crate::vectored;

/// How a connection that speaks HTTP/2 from the start begins (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The caller's socket.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    patience: Rc<Patience>,
    /// What was read in order to learn what is spoken.
    begin: [u8; PREFACE.len()],
    read: usize,
    /// How much of that was handed on.
    given: usize,
    /// What was read before it rested, and is to be read again.
    again: Bytes,
    /// The status of an answer that was kept back.
    kept_back: Option<u16>,
}

/// What a caller speaks, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// HTTP/1, or nothing that can be told from it.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// TLS, which somebody else has to end.
    Tls,
    /// It closed without a word.
    Nothing,
}

// === impl Line ===

impl Line {
    pub(super) fn new(stream: TcpStream, patience: Rc<Patience>) -> Self {
        Self {
            stream,
            patience,
            begin: [0; PREFACE.len()],
            read: 0,
            given: 0,
            again: Bytes::new(),
            kept_back: None,
        }
    }

    /// Reads no more than it takes to know.
    pub(super) fn poll_spoken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Spoken>> {
        loop {
            if let Some(spoken) = spoken(&self.begin[..self.read]) {
                return Poll::Ready(Ok(spoken));
            }
            let mut buf = ReadBuf::new(&mut self.begin[self.read..]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            match buf.filled().len() {
                0 if self.read == 0 => return Poll::Ready(Ok(Spoken::Nothing)),
                0 => return Poll::Ready(Ok(Spoken::Http1)),
                count => {
                    self.read += count;
                    self.patience.heard(count);
                }
            }
        }
    }

    /// What the HTTP library had read, and nobody has looked at.
    pub(super) fn put_back(&mut self, unread: Bytes) {
        self.again = unread;
    }

    /// Ready when there is something to read, and be it the end.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.again.is_empty() { self.stream.poll_read_ready(cx).map(|_| ()) } else { Poll::Ready(()) }
    }

    /// The status that the HTTP library would have answered with, if it did so by itself.
    pub(super) fn kept_back(&self) -> Option<u16> {
        self.kept_back
    }

    /// The socket, when the HTTP library is done with it.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Does the library answer what nobody asked us about? All of such an answer is one write, and
    /// nothing comes after it.
    fn keeps_back(&mut self, buf: &[u8]) -> bool {
        if self.kept_back.is_none() && !self.patience.may_answer() {
            self.kept_back = status(buf);
        }
        self.kept_back.is_some()
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.given < self.read {
            let count = buf.remaining().min(self.read - self.given);
            buf.put_slice(&self.begin[self.given..][..count]);
            self.given += count;
            return Poll::Ready(Ok(()));
        }
        if !self.again.is_empty() {
            let count = buf.remaining().min(self.again.len());
            buf.put_slice(&self.again.split_to(count));
            return Poll::Ready(Ok(()));
        }
        if !self.patience.may_read(cx.waker()) {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let Self { stream, patience, .. } = &mut *self;
        ready!(poll_read_within(patience.buffers(), Pin::new(stream), cx, buf))?;
        if buf.filled().len() > before {
            self.patience.heard(buf.filled().len() - before);
            Poll::Ready(Ok(()))
        } else if self.patience.says_end() {
            Poll::Ready(Ok(()))
        } else {
            self.patience.tell_end_to(cx.waker());
            Poll::Pending
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.keeps_back(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.patience.offered(written.is_ready());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.keeps_back(bufs.first().map_or(&[], |buf| &**buf)) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let written = vectored::poll_write(Pin::new(&mut self.stream), cx, bufs);
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
        if self.kept_back.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// `None`: more has to be read.
fn spoken(begin: &[u8]) -> Option<Spoken> {
    match begin {
        [] | [0x16] => None,
        // A handshake record of any version of TLS (RFC 8446 §5.1).
        [0x16, 0x03, ..] => Some(Spoken::Tls),
        _ if begin.starts_with(PREFACE) => Some(Spoken::Http2),
        _ if PREFACE.starts_with(begin) => None,
        _ => Some(Spoken::Http1),
    }
}

/// Of an answer's first bytes.
fn status(head: &[u8]) -> Option<u16> {
    let digits = head.strip_prefix(b"HTTP/1.1 ").or_else(|| head.strip_prefix(b"HTTP/1.0 "))?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, sync::Arc};

    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;
    use crate::{
        accept::Places,
        serve::{Buffers, Limits},
    };

    #[tokio::test]
    async fn only_an_answer_of_http_1_that_nobody_asked_for_is_kept_back() {
        const LIKE_AN_ANSWER: &[u8; 12] = b"HTTP/1.1 400";
        for (many_at_once, expected) in [(false, &b""[..]), (true, LIKE_AN_ANSWER)] {
            let loan = Buffers::new(0, Arc::default()).loan();
            let patience = Patience::new(Limits::default(), loan, Places::new(1));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut caller = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut line = Line::new(listener.accept().await.unwrap().0, Rc::clone(&patience));
            if many_at_once {
                patience.many_at_once();
            }
            line.write_all(LIKE_AN_ANSWER).await.unwrap();
            drop(line);
            let mut come = Vec::new();
            caller.read_to_end(&mut come).unwrap();
            assert_eq!(come, expected);
        }
    }

    #[test]
    fn the_first_bytes_say_what_is_spoken() {
        let cases: [(&[u8], Option<Spoken>); 11] = [
            (b"", None),
            (b"G", Some(Spoken::Http1)),
            (b"P", None),
            (b"PR", None),
            (b"PRO", Some(Spoken::Http1)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(Spoken::Http2)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", None),
            (b"PRI * HTTP/1.1\r\n", Some(Spoken::Http1)),
            (b"\x16", None),
            (b"\x16\x03\x01\x02", Some(Spoken::Tls)),
            (b"\x16G", Some(Spoken::Http1)),
        ];
        for (begin, expected) in cases {
            assert_eq!(spoken(begin), expected, "{begin:?}");
        }
    }
}
