//! Where in its frames a caller's bytes are, by the frames' heads alone (RFC 9113 §4.1).
//!
//! The HTTP library says nothing of a request until its head is whole, and waits for that as long as
//! the caller likes.

use tokio::time::Instant;

use super::cut::{Cut, Head, Piece};

const PREFACE: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Follows one connection.
#[derive(Debug)]
pub(super) struct Frames {
    cut: Cut,
    /// What kind of frame it is in, or was in last.
    of: Of,
    /// Since when a request's head is begun and not over.
    since: Option<Instant>,
    /// How much has come of that head.
    block: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// A request's head: its last frame, or one before it.
    Head {
        last: bool,
    },
    Body,
    Other,
}

// === impl Frames ===

impl Frames {
    /// From the first byte of the preface.
    pub(super) fn new() -> Self {
        Self { cut: Cut::behind(PREFACE), of: Of::Other, since: None, block: 0 }
    }

    /// These came; so many of them are of bodies.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> usize {
        let (mut begun, mut body) = (false, 0);
        while let Some(piece) = self.cut.next(&mut bytes) {
            match piece {
                Piece::Head(Head { kind, flags, .. }) => {
                    self.of = match kind {
                        DATA => Of::Body,
                        HEADERS | CONTINUATION => Of::Head { last: flags & END_HEADERS != 0 },
                        _ => Of::Other,
                    };
                    if kind == HEADERS {
                        (begun, self.block) = (true, 0);
                    }
                }
                Piece::Payload(bytes) if self.of == Of::Body => body += bytes.len(),
                Piece::Payload(bytes) => self.block += bytes.len(),
            }
        }
        // A frame that is over still stands for what comes next: more of the same head, or not.
        if !matches!(self.of, Of::Head { last } if !last || self.cut.is_within()) {
            (self.since, self.block) = (None, 0);
        } else if begun || self.since.is_none() {
            self.since = Some(Instant::now());
        }
        body
    }

    /// How much is held of a head that is not over.
    pub(super) fn block(&self) -> usize {
        self.block
    }

    /// Since when a request's head is begun and not over.
    pub(super) fn in_a_head_since(&self) -> Option<Instant> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: u8, kind: u8, flags: u8) -> Vec<u8> {
        let head = [0, 0, length, kind, flags, 0, 0, 0, 1];
        [&head[..], &vec![0; usize::from(length)]].concat()
    }

    #[test]
    fn a_head_is_begun_until_its_last_byte() {
        let mut frames = Frames::new();
        let mut inside = |bytes: &[u8], expected: &str| {
            let seen: String = bytes
                .iter()
                .map(|byte| {
                    frames.follow(&[*byte]);
                    if frames.in_a_head_since().is_some() { '+' } else { '.' }
                })
                .collect();
            assert_eq!(seen, expected);
        };
        inside(&[b'P'; PREFACE], &".".repeat(PREFACE));
        inside(&frame(2, 4, 0), "...........");
        // What kind of frame it is, is known when its head is over.
        inside(&frame(2, HEADERS, END_HEADERS), "........++.");
        inside(&frame(0, HEADERS, END_HEADERS), ".........");
        inside(&frame(1, HEADERS, 0), "........++");
        inside(&frame(1, CONTINUATION, 0), "++++++++++");
        inside(&frame(1, CONTINUATION, END_HEADERS), "+++++++++.");
        inside(&frame(3, 0, END_HEADERS), "............");
    }

    #[test]
    fn the_time_is_that_of_the_head_that_came_last() {
        let mut frames = Frames::new();
        frames.follow(&[0; PREFACE]);
        frames.follow(&frame(1, HEADERS, 0));
        let first = frames.in_a_head_since().unwrap();
        frames.follow(&frame(1, CONTINUATION, 0));
        assert_eq!(frames.in_a_head_since(), Some(first));
        let both = [frame(1, CONTINUATION, END_HEADERS), frame(1, HEADERS, 0)].concat();
        frames.follow(&both);
        assert!(frames.in_a_head_since().unwrap() > first);
    }
}
