//! One path, one text: what the rules see is what the app receives.
//!
//! Unreserved characters are decoded, percent-encodings upper-cased, dot segments removed
//! (RFC 3986 §6.2.2). What different servers resolve differently is refused, with what is wrong:
//! an encoded or doubled slash, backslashes, semicolons, control characters, text encoded twice.
//! A Gate may let the first ones and semicolons pass as they are; then the rules are told every
//! way to read the path.
//!
//! It must never let a text through that it would itself change again, and never hand on
//! another path than the one that was matched.

use std::borrow::Cow;

use bytes::Bytes;
use http::uri::{PathAndQuery, Uri};
use sidegate_bundle::{denial::Denial, gate::Paths};

mod readings;

/// A request's path, normalised, and its query as it came; or `*`.
#[derive(Clone, Debug)]
pub struct Target {
    wire: PathAndQuery,
    /// Other ways in which a server could read the path.
    readings: Box<[String]>,
}

const NO_SLASH: &str = "the path does not begin with a slash";
const OUTSIDE_ASCII: &str = "the path has bytes outside printable ASCII: percent-encode them";
const QUERY_BYTE: &str = "the query has bytes outside printable ASCII: percent-encode them";
const DELIMITER: &str = "the path has a question mark or a number sign";
const BACKSLASH: &str = "the path has a backslash";
const SEMICOLON: &str = "the path has a semicolon";
const EMPTY_SEGMENT: &str = "the path has two slashes in a row";
const NOT_HEX: &str = "the path has a percent sign without two hexadecimal digits";
const ENCODED_SLASH: &str = "the path has an encoded slash";
const ENCODED_BACKSLASH: &str = "the path has an encoded backslash";
const CONTROL: &str = "the path has an encoded control character";
const NOT_UTF8: &str = "the path is not UTF-8 once it is decoded";
const TWICE: &str = "the path is encoded twice";

const HEX: &[u8; 16] = b"0123456789ABCDEF";

// === impl Target ===

impl Target {
    /// The target of a request whose form [`crate::refuse`] has checked.
    pub fn of(uri: &Uri, passing: Paths) -> Result<Self, Denial> {
        let Some(raw) = uri.path_and_query() else { return Err(Denial::AmbiguousPath(NO_SLASH)) };
        if raw.as_str() == "*" {
            return Ok(Self { wire: raw.clone(), readings: Box::default() });
        }
        if raw.query().is_some_and(|query| !query.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Denial::AmbiguousPath(QUERY_BYTE));
        }
        let normal = path_passing(raw.path(), passing).map_err(Denial::AmbiguousPath)?;
        let readings = if readings::are_several(&normal) {
            readings::of(&normal).map_err(Denial::AmbiguousPath)?
        } else {
            Box::default()
        };
        // `http://host?query` and `http://host` have no path at all: their text does not begin with
        // the slash that `raw.path()` shows. An empty text shows as `/` too, and only after a scheme.
        let has_slash = raw.as_str().starts_with('/') && (uri.scheme().is_none() || raw.as_str() != "/");
        if matches!(normal, Cow::Borrowed(_)) && has_slash {
            return Ok(Self { wire: raw.clone(), readings });
        }
        let text = match raw.query() {
            Some(query) => [&normal, "?", query].concat(),
            None => normal.into_owned(),
        };
        // What is left has only characters that were in the target before.
        PathAndQuery::from_maybe_shared(Bytes::from(text))
            .map(|wire| Self { wire, readings })
            .map_err(|_| Denial::AmbiguousPath(OUTSIDE_ASCII))
    }

    /// The normalised path, or `*`.
    pub fn path(&self) -> &str {
        self.wire.path()
    }

    /// Is it `*`, the server as a whole?
    pub fn is_asterisk(&self) -> bool {
        self.wire.as_str() == "*"
    }

    /// Path and query, as the app receives them.
    pub fn path_and_query(&self) -> &PathAndQuery {
        &self.wire
    }

    /// The path, and every other way in which a server could read it.
    pub(crate) fn readings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.path()).chain(self.readings.iter().map(String::as_str))
    }
}

/// The one text of this path, or what is wrong with it.
pub(crate) fn path(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    path_passing(raw, Paths::default())
}

/// The same where some doubtful paths pass: they keep what is doubtful.
pub(crate) fn path_passing(raw: &str, passing: Paths) -> Result<Cow<'_, str>, &'static str> {
    if !raw.starts_with('/') {
        return Err(NO_SLASH);
    }
    let mut encoded = false;
    let mut before = 0;
    for byte in raw.bytes() {
        match byte {
            b'\\' => return Err(BACKSLASH),
            b';' if !passing.semicolon => return Err(SEMICOLON),
            b'?' | b'#' => return Err(DELIMITER),
            b'/' if before == b'/' && !passing.double_slash => return Err(EMPTY_SEGMENT),
            b'%' => encoded = true,
            byte if !byte.is_ascii_graphic() => return Err(OUTSIDE_ASCII),
            _ => {}
        }
        before = byte;
    }
    let canonical = if encoded {
        Cow::Owned(canonical_encoding(raw, passing.encoded_slash)?)
    } else {
        Cow::Borrowed(raw)
    };
    if canonical.contains("/.") && canonical.split('/').any(is_dots) {
        return Ok(Cow::Owned(without_dot_segments(&canonical)));
    }
    Ok(canonical)
}

/// The characters that a normalised path stands for. A normalised path is UTF-8 once decoded.
pub(crate) fn decoded(normal: &str) -> Cow<'_, str> {
    if !normal.contains('%') {
        return Cow::Borrowed(normal);
    }
    Cow::Owned(String::from_utf8_lossy(&decoded_bytes(normal.as_bytes())).into_owned())
}

fn decoded_bytes(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, tail)) = next(rest) {
        bytes.push(byte);
        rest = tail;
    }
    bytes
}

/// Decodes what is unreserved, upper-cases the rest, refuses what has two readings.
fn canonical_encoding(raw: &str, slashes_pass: bool) -> Result<String, &'static str> {
    let mut text = String::with_capacity(raw.len());
    let mut beyond = false;
    let mut rest = raw.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            text.push(char::from(*first));
            rest = tail;
            continue;
        }
        let Some((byte, tail)) = next(rest) else { return Err(NOT_HEX) };
        match byte {
            b'%' if tail.len() + 3 != rest.len() => return Err(NOT_HEX),
            b'/' if !slashes_pass => return Err(ENCODED_SLASH),
            b'\\' if !slashes_pass => return Err(ENCODED_BACKSLASH),
            0..=0x1f | 0x7f => return Err(CONTROL),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => {
                beyond |= !byte.is_ascii();
                text.push('%');
                text.push(char::from(HEX[usize::from(byte >> 4)]));
                text.push(char::from(HEX[usize::from(byte & 0xf)]));
            }
        }
        rest = tail;
    }
    if beyond {
        readable(&text)?;
    }
    if encoded_twice(&text) { Err(TWICE) } else { Ok(text) }
}

/// The first character's byte, decoded, and what follows it. A percent sign without two digits
/// is itself.
fn next(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match text {
        [b'%', high, low, tail @ ..] => match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => Some((high << 4 | low, tail)),
            _ => Some((b'%', &text[1..])),
        },
        [byte, tail @ ..] => Some((*byte, tail)),
        [] => None,
    }
}

/// Is it text without control characters? U+0080 to U+009F are some as well.
fn readable(canonical: &str) -> Result<(), &'static str> {
    let bytes = decoded_bytes(canonical.as_bytes());
    let text = std::str::from_utf8(&bytes).map_err(|_| NOT_UTF8)?;
    if text.chars().any(char::is_control) { Err(CONTROL) } else { Ok(()) }
}

/// Would a server that decodes again, and again, find a dot, a slash or a backslash? One that
/// has more layers than anybody needs is not looked through.
fn encoded_twice(canonical: &str) -> bool {
    if !canonical.contains("%25") {
        return false;
    }
    let marks = |text: &[u8]| text.iter().filter(|byte| b"./\\".contains(byte)).count();
    let mut text = decoded_bytes(canonical.as_bytes());
    for _ in 0..3 {
        let again = decoded_bytes(&text);
        if again == text {
            return false;
        }
        if marks(&again) != marks(&text) {
            return true;
        }
        text = again;
    }
    true
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// RFC 3986 §5.2.4. Nothing is above the root.
fn without_dot_segments(path: &str) -> String {
    let mut kept = Vec::new();
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            name => kept.push(name),
        }
        if is_dots(segment) && segments.peek().is_none() {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests;
