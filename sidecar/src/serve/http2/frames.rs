//! Where in its frames a caller's bytes are, by the frames' heads alone (RFC 9113 §4.1).
//!
//! The HTTP library says nothing of a request until its head is whole, and waits for that as long as
//! the caller likes.

use tokio::time::Instant;

const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Follows one connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// What has come of the next frame's head.
    head: [u8; FRAME_HEAD],
    come: usize,
    /// How much of a frame is still to come behind its head.
    rest: usize,
    /// Is that frame the last of a request's head, or one before it? `None`: of something else.
    last: Option<bool>,
    /// Since when a request's head is begun and not over.
    since: Option<Instant>,
}

// === impl Frames ===

impl Frames {
    /// From the first byte of the preface.
    pub(super) fn new() -> Self {
        Self { head: [0; FRAME_HEAD], come: 0, rest: PREFACE, last: None, since: None }
    }

    /// These came.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        let mut begun = false;
        while !bytes.is_empty() {
            let room = if self.rest > 0 { self.rest } else { FRAME_HEAD - self.come };
            let (now, behind) = bytes.split_at(room.min(bytes.len()));
            bytes = behind;
            if self.rest > 0 {
                self.rest -= now.len();
                continue;
            }
            self.head[self.come..][..now.len()].copy_from_slice(now);
            self.come += now.len();
            if self.come == FRAME_HEAD {
                self.come = 0;
                let [a, b, c, kind, flags, ..] = self.head;
                self.rest = u32::from_be_bytes([0, a, b, c]) as usize;
                self.last = matches!(kind, HEADERS | CONTINUATION).then_some(flags & END_HEADERS != 0);
                begun |= kind == HEADERS;
            }
        }
        // A frame that is over still stands for what comes next: more of the same head, or not.
        let inside = self.last.is_some_and(|last| !last || self.rest > 0);
        if !inside {
            self.since = None;
        } else if begun || self.since.is_none() {
            self.since = Some(Instant::now());
        }
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
