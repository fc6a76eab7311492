//! A stream of bytes without end that two sides know: each piece that arrives is compared, byte by byte, with
//! what must stand at its place.

use std::sync::OnceLock;

use anyhow::{Result, ensure};

/// After so many bytes it begins again. A prime, so that no buffer's size hides a piece that is missing.
const PERIOD: usize = 65_521;
/// The longest piece.
pub const PIECE: usize = PERIOD;

/// Compares what arrives.
#[derive(Debug, Clone, Copy, Default)]
pub struct Check {
    position: u64,
}

/// The bytes from `position` on: at most `room`, and at most [`PIECE`].
pub fn pattern(position: u64, room: u64) -> &'static [u8] {
    static TWICE: OnceLock<Vec<u8>> = OnceLock::new();
    let twice = TWICE.get_or_init(|| {
        let mut state = 1_u32;
        let once: Vec<u8> = (0..PERIOD)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .collect();
        once.repeat(2)
    });
    let start = usize::try_from(position % PERIOD as u64).unwrap_or_default();
    let length = usize::try_from(room).unwrap_or(PIECE).min(PIECE);
    &twice[start..start + length]
}

// === impl Check ===

impl Check {
    /// The next piece has come.
    pub fn take(&mut self, mut piece: &[u8]) -> Result<()> {
        while !piece.is_empty() {
            let expected = pattern(self.position, piece.len() as u64);
            let (now, rest) = piece.split_at(expected.len());
            ensure!(now == expected, "other bytes than were sent, from byte {} on", self.position);
            self.position += now.len() as u64;
            piece = rest;
        }
        Ok(())
    }

    /// How many bytes have come.
    pub fn taken(&self) -> u64 {
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_missing_doubled_or_changed_is_seen() {
        let sent: Vec<u8> = [pattern(0, 50_000), pattern(50_000, 60_000), pattern(110_000, 9)].concat();
        let whole = |bytes: &[u8]| {
            let mut check = Check::default();
            bytes.chunks(70_000).try_for_each(|piece| check.take(piece)).map(|()| check.taken())
        };
        assert_eq!(whole(&sent).unwrap(), 110_009);
        let mut changed = sent.clone();
        changed[99_999] ^= 1;
        let missing = [&sent[..65_000], &sent[65_001..]].concat();
        let doubled = [&sent[..16_384], &sent[..]].concat();
        for wrong in [changed, missing, doubled] {
            assert!(whole(&wrong).is_err());
        }
    }
}
