//! The key's form: one text for one key, and nothing else is a key.

use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

use super::*;

/// Fixed for ever: keys that are out there must go on working. The checksum was computed with
/// Python's `zlib.crc32`.
const KNOWN: &str = "sk-sg_0123456789ABCDEF_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg3dziji";

fn key(seed: u64) -> ApiKey {
    ApiKey::mint(&mut StdRng::seed_from_u64(seed))
}

#[test]
fn a_key_of_the_first_release_still_parses() {
    let known = PresentedKey::parse(KNOWN).unwrap();
    assert_eq!(known.id.as_str(), "0123456789ABCDEF");
    assert_eq!(known.secret, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg");
}

#[test]
fn debug_shows_the_id_and_not_the_secret() {
    let key = key(1);
    let shown = format!("{key:?} {:?}", PresentedKey::parse(key.expose()).unwrap());
    assert!(shown.contains(key.id().as_str()));
    assert!(!shown.contains(&key.expose()[SECRET_START..SECRET_END]));
}

#[test]
fn what_is_not_exactly_a_key_is_none() {
    let good = key(2).expose().to_owned();
    let swapped_case: String =
        good.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c }).collect();
    for bad in [
        String::new(),
        PREFIX.to_owned(),
        good[..KEY_LENGTH - 1].to_owned(),
        format!("{good}0"),
        format!(" {good}"),
        format!("{good}\n"),
        good.replacen("sk-sg_", "sk-sG_", 1),
        good.replacen('_', "-", 2),
        format!("{}ä{}", &good[..20], &good[22..]),
        swapped_case,
    ] {
        assert_eq!(PresentedKey::parse(&bad), Err(MalformedKey), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn a_minted_key_parses_to_the_same_key(seed: u64) {
        let key = key(seed);
        let parsed: ApiKey = key.expose().parse().unwrap();
        prop_assert_eq!(parsed.id(), key.id());
        prop_assert_eq!(parsed.verifier(), key.verifier());
        prop_assert_eq!(parsed.expose().len(), KEY_LENGTH);
    }

    #[test]
    fn one_changed_byte_is_noticed(seed: u64, at in 0..KEY_LENGTH, with in 0x20u8..0x7f) {
        let mut text = key(seed).expose().as_bytes().to_vec();
        prop_assume!(text[at] != with);
        text[at] = with;
        prop_assert_eq!(PresentedKey::parse(std::str::from_utf8(&text).unwrap()), Err(MalformedKey));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,100}") {
        let _ = PresentedKey::parse(&text);
        let _ = text.parse::<KeyId>();
    }

    #[test]
    fn two_keys_differ_in_id_secret_and_verifier(one: u64, other: u64) {
        prop_assume!(one != other);
        let (one, other) = (key(one), key(other));
        prop_assert_ne!(one.id(), other.id());
        prop_assert_ne!(one.verifier(), other.verifier());
    }
}

#[test]
fn what_is_told_of_a_key_in_a_text_is_its_id() {
    let id = "0123456789ABCDEF";
    for (text, told) in [
        ("/api/v1/apps", "/api/v1/apps".to_owned()),
        (&format!("/keys/{KNOWN}/x"), format!("/keys/sk-sg_{id}_…/x")),
        (&format!("{KNOWN}{KNOWN}"), format!("sk-sg_{id}_…sk-sg_{id}_…")),
        (&KNOWN[..40], format!("sk-sg_{id}_…")),
        ("a very long text before sk-sg_ab%20", "a very long text before sk-sg_ab%20".to_owned()),
        ("é sk-sg_éééééééééééééééé", "é sk-sg_éééééééééééééééé".to_owned()),
    ] {
        assert_eq!(without_secrets(text), told, "{text}");
    }
}
