//! Pieces of bodies on their way, counted while they wait to be written.
//!
//! All that one worker holds of bodies is of one budget with the large heads. Past it a body waits
//! until what it has on its way is written; it may always have one piece there, so that every body
//! goes on, at the pace of whoever takes it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};

use crate::serve::Buffers;

/// What one body has on its way.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    buffers: Buffers,
    pieces: Arc<AtomicUsize>,
}

/// A piece of a body. It counts until it is dropped.
#[derive(Debug)]
pub(crate) struct BodyPiece {
    bytes: Bytes,
    /// How long it was, and of which body; absent: it is short, and not of a body that comes.
    counted: Option<(usize, Holding)>,
}

// === impl Holding ===

impl Holding {
    pub(super) fn new(buffers: Buffers) -> Self {
        Self { buffers, pieces: Arc::default() }
    }

    /// Ready if one more piece may be asked for.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.pieces.load(Relaxed) == 0 || self.buffers.has_room(cx.waker()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    pub(super) fn hold(&self, bytes: Bytes) -> BodyPiece {
        self.pieces.fetch_add(1, Relaxed);
        self.buffers.lend(bytes.len());
        BodyPiece { counted: Some((bytes.len(), self.clone())), bytes }
    }
}

// === impl BodyPiece ===

impl From<Bytes> for BodyPiece {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, counted: None }
    }
}

impl Buf for BodyPiece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for BodyPiece {
    fn drop(&mut self) {
        if let Some((length, Holding { buffers, pieces })) = self.counted.take() {
            buffers.take_back(length);
            if pieces.fetch_sub(1, Relaxed) == 1 {
                // This body may go on, whoever else has to wait.
                buffers.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn past_the_budget_a_body_waits_for_its_own_pieces() {
        let buffers = Buffers::new(100, Arc::default());
        let mut cx = Context::from_waker(Waker::noop());
        let [one, other] = [0, 1].map(|_| Holding::new(buffers.clone()));
        let first = one.hold(Bytes::from_static(&[0; 40]));
        assert!(one.poll_room(&mut cx).is_ready());
        let second = one.hold(Bytes::from_static(&[0; 40]));
        assert!(one.poll_room(&mut cx).is_pending());
        assert!(other.poll_room(&mut cx).is_ready());
        drop(first);
        assert!(one.poll_room(&mut cx).is_ready());
        let third = other.hold(Bytes::from_static(&[0; 40]));
        assert!(one.poll_room(&mut cx).is_pending());
        drop(second);
        assert!(one.poll_room(&mut cx).is_ready());
        drop(third);
        assert_eq!(buffers.lent(), 0);
    }
}
