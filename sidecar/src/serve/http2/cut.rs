//! Bytes cut into frames (RFC 9113 §4.1), however they come.

/// Of a frame.
pub(super) const HEAD: usize = 9;

/// Where in a frame the bytes of one direction are.
#[derive(Debug)]
pub(super) struct Cut {
    /// What has come of the next frame's head.
    head: [u8; HEAD],
    come: usize,
    /// How much is still to come of what is behind it.
    rest: usize,
}

/// A piece of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Its head, whole.
    Head(Head),
    /// Some of what is behind the head that came last.
    Payload(&'a [u8]),
}

/// What a frame's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

// === impl Cut ===

impl Cut {
    /// Before the first frame come so many bytes.
    pub(super) fn behind(preface: usize) -> Self {
        Self { head: [0; HEAD], come: 0, rest: preface }
    }

    /// Takes the next piece off these bytes; `None`: there is no whole one.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        let room = if self.rest > 0 { self.rest } else { HEAD - self.come };
        let (piece, behind) = bytes.split_at(room.min(bytes.len()));
        *bytes = behind;
        if piece.is_empty() {
            return None;
        }
        if self.rest > 0 {
            self.rest -= piece.len();
            return Some(Piece::Payload(piece));
        }
        self.head[self.come..][..piece.len()].copy_from_slice(piece);
        self.come += piece.len();
        if self.come < HEAD {
            return None;
        }
        self.come = 0;
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        self.rest = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        Some(Piece::Head(Head { length: self.rest, kind, flags, stream }))
    }

    /// Is more of a frame to come behind its head?
    pub(super) fn is_within(&self) -> bool {
        self.rest > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_wherever_their_bytes_are() {
        let frames = [
            &b"PRI"[..],
            &[0, 0, 2, 8, 1, 0x80, 0, 0, 5, b'a', b'b'],
            &[0, 0, 0, 4, 0, 0, 0, 0, 0],
            &[0, 1, 0, 0, 0, 0, 0, 0, 7, b'c'],
        ];
        let bytes = frames.concat();
        for size in 1..=bytes.len() {
            let (mut cut, mut heads, mut payload) = (Cut::behind(3), Vec::new(), Vec::<u8>::new());
            for mut part in bytes.chunks(size) {
                while let Some(piece) = cut.next(&mut part) {
                    match piece {
                        Piece::Head(Head { length, kind, flags, stream }) => {
                            heads.push((length, kind, flags, stream));
                        }
                        Piece::Payload(bytes) => payload.extend(bytes),
                    }
                }
                assert!(part.is_empty());
            }
            assert_eq!(heads, [(2, 8, 1, 5), (0, 4, 0, 0), (256, 0, 0, 7)], "{size}");
            assert_eq!(payload, b"PRIabc", "{size}");
            assert!(cut.is_within());
        }
    }
}
