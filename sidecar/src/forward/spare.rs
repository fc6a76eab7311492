//! Memory that no connection uses at the moment: what one has written or read, the next one writes or
//! reads over. So no connection that waits holds any.

use std::{cell::Cell, fmt};

use bytes::BytesMut;

/// As much as is kept for the next one; whoever needs more gives it back to nobody.
pub(super) const ROOM: usize = 8 << 10;

/// One worker's.
#[derive(Default)]
pub(super) struct Spare {
    written: Cell<Vec<u8>>,
    read: Cell<BytesMut>,
}

// === impl Spare ===

impl Spare {
    /// Empty, to write into.
    pub(super) fn to_write(&self) -> Vec<u8> {
        self.written.take()
    }

    pub(super) fn keep_written(&self, mut memory: Vec<u8>) {
        if memory.capacity() <= ROOM {
            memory.clear();
            self.written.set(memory);
        }
    }

    /// Empty, to read into.
    pub(super) fn to_read(&self) -> BytesMut {
        let memory = self.read.take();
        if memory.capacity() == 0 { BytesMut::with_capacity(ROOM) } else { memory }
    }

    /// Takes it back, if nothing is left in it.
    pub(super) fn keep_read(&self, mut memory: BytesMut) {
        if memory.is_empty() && memory.try_reclaim(ROOM) && memory.capacity() <= 2 * ROOM {
            self.read.set(memory);
        }
    }
}

impl fmt::Debug for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spare").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf as _;

    use super::*;

    #[test]
    fn memory_comes_back_whole_and_empty_or_not_at_all() {
        let spare = Spare::default();
        let mut read = spare.to_read();
        read.extend_from_slice(b"answer");
        read.advance(6);
        let place = read.as_ptr().addr();
        spare.keep_read(read);
        let again = spare.to_read();
        assert_eq!((again.len(), again.capacity(), again.as_ptr().addr()), (0, ROOM, place - 6));

        spare.keep_read(BytesMut::from(&b"not taken yet"[..]));
        spare.keep_read(BytesMut::with_capacity(8 * ROOM));
        assert_eq!((spare.to_read().len(), spare.to_read().capacity()), (0, ROOM));

        let mut written = spare.to_write();
        written.extend_from_slice(b"GET");
        spare.keep_written(written);
        let again = spare.to_write();
        assert!(again.is_empty() && again.capacity() > 0);
        spare.keep_written(vec![0; 2 * ROOM]);
        assert_eq!(spare.to_write().capacity(), 0);
    }
}
