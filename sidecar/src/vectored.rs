//! One write to a socket of what lies in several pieces.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;

/// What is smaller is put together first: the kernel takes one piece faster than a list, and a head
/// with a small body is what most writes are.
const SMALL: usize = 2 << 10;

/// Writes as much of the pieces as the socket takes.
pub(crate) fn poll_write(
    to: Pin<&mut impl AsyncWrite>,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [piece] = pieces {
        return to.poll_write(cx, piece);
    }
    let mut together = [0; SMALL];
    let mut length = 0;
    for piece in pieces {
        let Some(room) = together.get_mut(length..length + piece.len()) else {
            return to.poll_write_vectored(cx, pieces);
        };
        room.copy_from_slice(piece);
        length += piece.len();
    }
    to.poll_write(cx, &together[..length])
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// What each write brought, and how many pieces it had.
    #[derive(Default)]
    struct Writes(Vec<(usize, Vec<u8>)>);

    impl AsyncWrite for Writes {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.0.push((1, buf.to_vec()));
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).collect();
            let length = all.len();
            self.0.push((bufs.len(), all));
            Poll::Ready(Ok(length))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn small_pieces_are_written_as_one_and_large_ones_as_they_lie() {
        let large = vec![7; SMALL];
        for (pieces, expected) in [
            (&[][..], 1),
            (&[&b"head"[..]], 1),
            (&[&b"head"[..], b"", b"body"], 1),
            (&[&large[..]], 1),
            (&[&large[..], b""], 1),
            (&[&large[..], b"x"], 2),
            (&[&b"x"[..], &large], 2),
        ] {
            let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut writes = Writes::default();
            let mut cx = Context::from_waker(Waker::noop());
            let written = poll_write(Pin::new(&mut writes), &mut cx, &slices);
            let all = pieces.concat();
            assert!(matches!(written, Poll::Ready(Ok(length)) if length == all.len()), "{written:?}");
            assert_eq!(writes.0, [(expected, all)]);
        }
    }
}
