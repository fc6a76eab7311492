//! The path normaliser: what it lets through has one reading, and means what it meant before.

use sidegate_bundle::gate::Paths;
use sidegate_sidecar::fuzz::{path as normalise, path_passing};

use crate::{here, lines, run};

const CORPUS: &str = include_str!("corpus/path.txt");
const TOKENS: [&str; 28] = [
    "/", "//", "/.", "/..", "/../", "/./", "%2e", "%2E%2e", "%2f", "%5c", "\\", ";", "%3b", "%25", "%252e",
    "%00", "%0a", "%7f", "%c2%85", "%c3%a9", "%ff", "%", "%4", "%61", "admin", "?", "#", " ",
];

/// What holds also where doubtful paths pass.
fn check_passing(raw: &str, passing: Paths) {
    let Ok(normal) = path_passing(raw, passing) else { return };
    let shown = format!("{raw:?} {normal:?} {passing:?}");
    assert!(normal.starts_with('/') && normal.bytes().all(|byte| byte.is_ascii_graphic()), "{shown}");
    assert_eq!(path_passing(&normal, passing).as_deref(), Ok(normal.as_ref()), "changed twice: {shown}");
    assert!(!normal.contains(['\\', '?', '#']), "{shown}");
    assert!(!normal.split('/').any(|segment| matches!(segment, "." | "..")), "{shown}");
    assert!(passing.double_slash || !normal.contains("//"), "{shown}");
    assert!(passing.semicolon || !normal.contains(';'), "{shown}");
    assert!(passing.encoded_slash || !(normal.contains("%2F") || normal.contains("%5C")), "{shown}");
    let text = String::from_utf8(decoded(&normal)).expect("UTF-8 once decoded");
    assert!(!text.chars().any(char::is_control), "{shown}");
}

fn check(raw: &str) {
    let Ok(normal) = normalise(raw) else { return };
    assert!(
        normal.starts_with('/') && normal.bytes().all(|byte| byte.is_ascii_graphic()),
        "{raw:?} {normal:?}"
    );
    assert_eq!(normalise(&normal).as_deref(), Ok(normal.as_ref()), "{raw:?} is changed twice");
    assert!(!normal.contains("//") && !normal.contains(['\\', ';', '?', '#']), "{raw:?} {normal:?}");
    assert!(!normal.split('/').any(|segment| matches!(segment, "." | "..")), "{raw:?} {normal:?}");
    assert_eq!(resolved(raw), resolved(&normal), "{raw:?} {normal:?}");
    let text = String::from_utf8(decoded(&normal)).expect("UTF-8 once decoded");
    assert!(!text.chars().any(char::is_control), "{raw:?} {text:?}");
    // A server that decodes twice sees no other segments than one that decodes once.
    let twice = String::from_utf8_lossy(&decoded(&text)).into_owned();
    let marks = |text: &str| text.matches(['.', '/', '\\']).count();
    assert_eq!(marks(&text), marks(&twice), "{raw:?} {twice:?}");
}

/// What a plain server makes of a path: it decodes, then walks.
fn resolved(path: &str) -> Vec<Vec<u8>> {
    let whole = decoded(path);
    let mut folders: Vec<&[u8]> = Vec::new();
    for segment in whole[1..].split(|byte| *byte == b'/') {
        match segment {
            b"." => {}
            b".." => {
                folders.pop();
            }
            name => folders.push(name),
        }
    }
    let ends_in_folder = whole.ends_with(b"/.") || whole.ends_with(b"/..");
    if ends_in_folder {
        folders.push(b"");
    }
    folders.into_iter().map(<[u8]>::to_vec).collect()
}

fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let two = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        let plain = two.filter(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match plain.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

#[test]
fn path() {
    let seeds = lines(CORPUS);
    for seed in &seeds {
        check(seed);
    }
    assert!(seeds.iter().any(|seed| normalise(seed).is_ok()), "the corpus has no good path");
    run(here!(), |choices| {
        let raw = choices.text(&seeds, &TOKENS);
        check(&raw);
        let bits = choices.byte();
        let passing =
            Paths { encoded_slash: bits & 1 > 0, double_slash: bits & 2 > 0, semicolon: bits & 4 > 0 };
        check_passing(&raw, passing);
    });
}
