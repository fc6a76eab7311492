//! Base62 text (`0-9A-Za-z`), as used in keys: no character needs quoting anywhere.

use rand::CryptoRng;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Fills `out` with uniformly distributed base62 characters.
pub(crate) fn random(out: &mut [u8], rng: &mut dyn CryptoRng) {
    // 248 is the largest multiple of 62 in a byte; what lies above would favour the first
    // eight characters, so it is thrown away.
    let mut pool = [0u8; 64];
    let mut next = pool.len();
    for slot in out {
        loop {
            if next == pool.len() {
                rng.fill_bytes(&mut pool);
                next = 0;
            }
            let byte = pool[next];
            next += 1;
            if byte < 248 {
                *slot = ALPHABET[usize::from(byte % 62)];
                break;
            }
        }
    }
    zeroize::Zeroize::zeroize(&mut pool);
}

/// `value` as exactly six base62 characters, most significant first.
pub(crate) fn six(mut value: u32) -> [u8; 6] {
    let mut out = [b'0'; 6];
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(value % 62) as usize];
        value /= 62;
    }
    out
}

/// Is every byte one of the 62?
pub(crate) fn is_base62(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, rngs::StdRng};

    #[test]
    fn six_characters_hold_every_u32_and_differ() {
        assert_eq!(&six(0), b"000000");
        assert_eq!(&six(61), b"00000z");
        assert_eq!(&six(62), b"000010");
        assert_eq!(&six(u32::MAX), b"4gfFC3");
    }

    #[test]
    fn random_text_uses_the_whole_alphabet_evenly() {
        let mut text = vec![0u8; 62_000];
        random(&mut text, &mut StdRng::seed_from_u64(7));
        let mut counts = [0u32; 256];
        for byte in text {
            counts[usize::from(byte)] += 1;
        }
        for (byte, count) in (0u8..=255).zip(counts) {
            let expected = if ALPHABET.contains(&byte) { 850..1150 } else { 0..1 };
            assert!(expected.contains(&count), "{byte:#x} appears {count} times");
        }
    }
}
