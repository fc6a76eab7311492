//! The path normaliser, against RFC 3986's examples, attacks, and anything at all.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

#[test]
fn a_path_has_one_text() {
    for (raw, normal) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/%61dmin", "/admin"),
        ("/%7Euser/%2D%5f%30", "/~user/-_0"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%20b%2c", "/a%20b%2C"),
        ("/%40me", "/%40me"),
        ("/100%25", "/100%25"),
        ("/%2525", "/%2525"),
        ("/a%3Bb", "/a%3Bb"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/a/..", "/"),
        ("/..", "/"),
        ("/.", "/"),
        ("/../../etc", "/etc"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/...", "/a/..."),
        ("/a/b../c", "/a/b../c"),
        ("/a|b{c}^\"", "/a|b{c}^\""),
    ] {
        assert_eq!(path(raw).as_deref(), Ok(normal), "{raw}");
    }
}

#[test]
fn a_path_with_two_readings_is_refused() {
    for (raw, why) in [
        ("", NO_SLASH),
        ("a", NO_SLASH),
        ("*", NO_SLASH),
        ("//admin", EMPTY_SEGMENT),
        ("/a//b", EMPTY_SEGMENT),
        ("/a//../b", EMPTY_SEGMENT),
        ("/a\\..\\b", BACKSLASH),
        ("/a;x=1", SEMICOLON),
        ("/a/..;/b", SEMICOLON),
        ("/a%2fb", ENCODED_SLASH),
        ("/a%2Fb", ENCODED_SLASH),
        ("/a%5cb", ENCODED_BACKSLASH),
        ("/admin%0a", CONTROL),
        ("/admin%00", CONTROL),
        ("/admin%7F", CONTROL),
        ("/admin%C2%85", CONTROL),
        ("/%zz/%", NOT_HEX),
        ("/%4", NOT_HEX),
        ("/%", NOT_HEX),
        ("/%+1", NOT_HEX),
        ("/%ff", NOT_UTF8),
        ("/%c0%af", NOT_UTF8),
        ("/%c3", NOT_UTF8),
        ("/%ed%a0%80", NOT_UTF8),
        ("/a/%252e%252e/b", TWICE),
        ("/a/%252E", TWICE),
        ("/a%252fb", TWICE),
        ("/a%255Cb", TWICE),
        ("/a%25252fb", TWICE),
        ("/a%25%32fb", TWICE),
        ("/a%25%32%66b", TWICE),
        ("/a%25%2532f", TWICE),
        ("/a%2525252525", TWICE),
        ("/a?b", DELIMITER),
        ("/a#b", DELIMITER),
        ("/a b", OUTSIDE_ASCII),
        ("/é", OUTSIDE_ASCII),
        ("/a\u{7f}", OUTSIDE_ASCII),
    ] {
        assert_eq!(path(raw), Err(why), "{raw}");
    }
}

#[test]
fn the_app_is_asked_for_what_was_matched_with_the_query_as_it_came() {
    for (raw, target) in [
        ("/a/b?x=%2e%2F..//\\;", "/a/b?x=%2e%2F..//\\;"),
        ("/a/../b?x", "/b?x"),
        ("/a/../b?", "/b?"),
        ("/%61", "/a"),
        ("http://api?x", "/?x"),
        ("http://api", "/"),
        ("http://api/a/./b", "/a/b"),
        ("*", "*"),
    ] {
        let normal = Target::of(&raw.parse().unwrap(), Paths::default()).unwrap();
        assert_eq!(normal.path_and_query().as_str(), target, "{raw}");
        assert_eq!(Uri::from(normal.path_and_query().clone()).to_string(), target, "{raw}");
    }
}

#[test]
fn a_raw_byte_in_the_query_is_refused() {
    let uri = Uri::from_maybe_shared("/a?q=é".as_bytes()).unwrap();
    assert_eq!(Target::of(&uri, Paths::default()).unwrap_err(), Denial::AmbiguousPath(QUERY_BYTE));
}

/// Paths made of what matters.
fn paths() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "/", "/", "/", "a", "B", ".", "..", "/.", "/..", "%2e", "%2E", "%61", "%25", "25", "2e", "%32",
        "%65", "%5c", "%2f", "%c3%a9", "%C3%89", "%20", "%40", "@", "~", "%7e", "%z", ";", "|", "%0a", "\\",
        "é", "?",
    ]);
    vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_normal_stays_as_it_is(raw in paths()) {
        if let Ok(normal) = path(&raw) {
            let again = path(&normal);
            prop_assert_eq!(again.as_deref(), Ok(&*normal));
            prop_assert!(matches!(again, Ok(Cow::Borrowed(_))) || normal.contains('%'), "copied");
        }
    }

    #[test]
    fn what_is_normal_has_one_reading(raw in paths()) {
        if let Ok(normal) = path(&raw) {
            prop_assert!(normal.starts_with('/'));
            prop_assert!(normal.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(!normal.contains("//") && !normal.contains([';', '\\', '?', '#']));
            prop_assert!(!normal.split('/').any(|segment| segment == "." || segment == ".."));
            for (at, _) in normal.match_indices('%') {
                let code = &normal[at + 1..at + 3];
                prop_assert!(code.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)));
                let byte = u8::from_str_radix(code, 16).unwrap();
                prop_assert!(!byte.is_ascii_alphanumeric() && !b"-._~/\\".contains(&byte));
                prop_assert!(!byte.is_ascii_control());
            }
        }
    }

    #[test]
    fn no_app_that_decodes_finds_dots_or_slashes_that_were_not_matched(raw in paths()) {
        if let Ok(normal) = path(&raw) {
            let mut text = normal.into_owned();
            for _ in 0..4 {
                let again = decoded(&text).into_owned();
                prop_assert_eq!(again.matches('/').count(), text.matches('/').count());
                prop_assert!(!again.contains('\\'));
                prop_assert!(!again.split('/').any(|segment| segment == "." || segment == ".."));
                text = again;
            }
        }
    }

    #[test]
    fn what_is_normalised_is_what_is_forwarded(raw in paths(), query in "[!-~&&[^#<>\"]]{0,8}") {
        let text = format!("{raw}?{query}");
        if let Ok(uri) = text.parse::<Uri>()
            && let Ok(target) = Target::of(&uri, Paths::default())
        {
            let normal = path(uri.path());
            prop_assert_eq!(Ok(target.path()), normal.as_deref());
            prop_assert_eq!(target.path_and_query().query(), uri.query());
            let forwarded = Uri::from(target.path_and_query().clone());
            prop_assert_eq!(forwarded.path(), target.path());
        }
    }

    #[test]
    fn no_text_makes_it_panic(raw in "\\PC{0,20}") {
        let _ = path(&raw);
        let _ = path(&format!("/{raw}"));
    }
}
