//! The key parser: one text for one key, and no other text is one.

use sidegate_bundle::ApiKey;
use sidegate_bundle::api_key::PresentedKey;

use crate::choices::Choices;
use crate::{here, lines, run};

const CORPUS: &str = include_str!("corpus/key.txt");
const TOKENS: [&str; 12] =
    ["sk-sg_", "sk-sg-", "_", "0", "Z", "z", " ", "\0", "é", "\u{202e}", "SK-SG_", "0000000000000000"];
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn check(text: &str) {
    let parsed = PresentedKey::parse(text);
    assert_eq!(parsed.is_ok(), is_key(text), "{text:?}");
    if let Ok(presented) = parsed {
        let key: ApiKey = text.parse().unwrap();
        assert_eq!((key.expose(), key.id(), key.verifier()), (text, presented.id, presented.verifier()));
        assert!(text.contains(presented.id.as_str()));
        let shown = format!("{key:?} {presented:?}");
        assert!(!shown.contains(&text[23..66]), "Debug shows the secret");
    }
}

/// The form, said once more: the code under test is not asked.
fn is_key(text: &str) -> bool {
    let alphanumeric = |text: &[u8]| text.iter().all(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() == 72
        && bytes.starts_with(b"sk-sg_")
        && alphanumeric(&bytes[6..22])
        && bytes[22] == b'_'
        && alphanumeric(&bytes[23..])
        && bytes[66..] == checksum(&bytes[..66])
}

/// CRC-32 (IEEE), bit by bit, as six digits.
fn checksum(bytes: &[u8]) -> [u8; 6] {
    let crc = !bytes.iter().fold(!0u32, |crc, byte| {
        let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        (0..8).fold(crc ^ u32::from(*byte), step)
    });
    [5, 4, 3, 2, 1, 0].map(|place| DIGITS[(crc / 62u32.pow(place) % 62) as usize])
}

/// A text whose checksum holds, whatever stands before it.
fn completed(mut choices: Choices<'_>, seed: &str) -> String {
    let mut text = seed.as_bytes()[..66.min(seed.len())].to_vec();
    for _ in 0..choices.below(4) {
        let at = choices.below(text.len());
        text[at] = if choices.below(4) == 0 { choices.byte() & 0x7f } else { choices.one(DIGITS) };
    }
    let crc = checksum(&text);
    text.extend(crc);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn key() {
    let seeds = lines(CORPUS);
    for seed in &seeds {
        check(seed);
    }
    assert!(seeds.iter().any(|seed| is_key(seed)), "the corpus has no key");
    run(here!(), |choices| {
        let text = if choices.below(2) == 0 {
            choices.text(&seeds, &TOKENS)
        } else {
            let seed = choices.one(&seeds);
            completed(choices.rest(), seed)
        };
        check(&text);
    });
}
