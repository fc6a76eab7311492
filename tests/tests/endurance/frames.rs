//! HTTP/2 frames by hand (RFC 9113 §4.1), for what no client can be made to send.

use sidegate_bundle::ApiKey;

pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What a connection begins with: the preface, and SETTINGS without any.
pub(crate) const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The same, with SETTINGS by which one byte may be sent of each answer.
pub(crate) const BEGIN_NARROW: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\x01";

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    // No payload here is longer than what every receiver takes.
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A block of fields, none of them compressed (RFC 7541 §6.2.2).
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            string_length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The fields of a GET, with this key if there is one.
pub(crate) fn get(path: &str, key: Option<&ApiKey>) -> Vec<u8> {
    let mut all = vec![(":method", "GET"), (":scheme", "http"), (":authority", "gate"), (":path", path)];
    all.extend(key.map(|key| ("x-api-key", key.expose())));
    fields(&all)
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn string_length(block: &mut Vec<u8>, length: usize) {
    let byte = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
    if length < 0x7f {
        return block.push(byte(length));
    }
    block.push(0x7f);
    let mut rest = length - 0x7f;
    while rest >= 0x80 {
        block.push(byte(rest % 0x80 + 0x80));
        rest /= 0x80;
    }
    block.push(byte(rest));
}
