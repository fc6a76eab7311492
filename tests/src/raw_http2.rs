//! HTTP/2 frame by frame: for what no client can be made to send.
//!
//! Header blocks are literals without indexing and without Huffman coding, and nothing that is sent is
//! corrected, counted or answered: no acknowledgement, no flow control but what the test writes itself.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// What a connection begins with (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 §6).
pub mod kind {
    #![allow(missing_docs, reason = "the names are the RFC's")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// The last of a message.
pub const END_STREAM: u8 = 1;
/// The last of a header block.
pub const END_HEADERS: u8 = 4;
/// Of SETTINGS and PING.
pub const ACK: u8 = 1;

/// A header as it is sent, pseudo-headers too.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0: the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// A connection on which nothing is corrected.
#[derive(Debug)]
pub struct RawHttp2 {
    stream: TcpStream,
    read: Vec<u8>,
}

/// What became of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The status of its answer.
    pub status: Option<u16>,
    /// The body of its answer.
    pub body: Vec<u8>,
    /// Did the answer end in good order?
    pub ended: bool,
    /// The code with which it was reset.
    pub reset: Option<u32>,
    /// The code with which the whole connection was told to go.
    pub goaway: Option<u32>,
    /// Did the other side close?
    pub closed: bool,
}

/// One frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// A header block of these, in this order.
pub fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name);
        string(&mut block, value);
    }
    block
}

/// A whole request's head, or trailers, in one frame.
pub fn headers(stream: u32, flags: u8, fields: &[Field<'_>]) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS | flags, stream, &block(fields))
}

/// Some of a body.
pub fn data(stream: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, stream, bytes)
}

/// The head of `method path` at host `a`, with more behind it.
pub fn request<'a>(method: &'a str, path: &'a str, more: &[Field<'a>]) -> Vec<Field<'a>> {
    let mut fields: Vec<Field<'a>> = vec![
        (b":method", method.as_bytes()),
        (b":scheme", b"http"),
        (b":authority", b"a"),
        (b":path", path.as_bytes()),
    ];
    fields.extend_from_slice(more);
    fields
}

/// RFC 7541 §5.2, not Huffman-coded.
fn string(block: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text.len();
    if rest < 127 {
        block.push(u8::try_from(rest).unwrap_or_default());
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128 + 128).unwrap_or_default());
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap_or_default());
    }
    block.extend_from_slice(text);
}

// === impl RawHttp2 ===

impl RawHttp2 {
    /// Connects, and sends the preface and these settings. A table size of 0 among them is what
    /// [`Outcome::status`] relies on.
    pub async fn open(address: &str) -> Result<Self> {
        let mut raw = Self::connect(address).await?;
        raw.send(&[PREFACE, &settings(&[(1, 0)])].concat()).await;
        Ok(raw)
    }

    /// Connects and sends nothing.
    pub async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Sends these bytes. Whether the other side has closed is seen in what it sends.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next frame; `None`: the other side closed, or said nothing until then.
    pub async fn next(&mut self, until: Instant) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            match timeout_at(until, self.stream.read_buf(&mut self.read)).await {
                Ok(Ok(1..)) => {}
                _ => return None,
            }
        }
    }

    /// Reads until this stream is over in any way, or nothing more comes in this time.
    pub async fn outcome(&mut self, stream: u32, wait: Duration) -> Outcome {
        let until = Instant::now() + wait;
        let mut outcome = Outcome::default();
        while let Some(Frame { kind, flags, stream: of, payload }) = self.next(until).await {
            match kind {
                kind::HEADERS if of == stream && outcome.status.is_none() => {
                    outcome.status = status(&payload);
                }
                kind::DATA if of == stream => outcome.body.extend(&payload),
                kind::RST_STREAM if of == stream => outcome.reset = number(&payload),
                kind::GOAWAY => outcome.goaway = payload.get(4..).and_then(number),
                _ => {}
            }
            outcome.ended |=
                of == stream && matches!(kind, kind::HEADERS | kind::DATA) && flags & END_STREAM != 0;
            if outcome.ended || outcome.reset.is_some() || outcome.goaway.is_some_and(|code| code != 0) {
                return outcome;
            }
        }
        outcome.closed = Instant::now() < until;
        outcome
    }

    /// Reads and drops until the other side closes; `false`: it has not until then.
    pub async fn closes(&mut self, until: Instant) -> bool {
        while self.next(until).await.is_some() {}
        Instant::now() < until
    }

    fn take(&mut self) -> Option<Frame> {
        let head = self.read.get(..9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let stream = number(&head[5..])? & 0x7fff_ffff;
        let payload = self.read.get(9..9 + length)?.to_vec();
        self.read.drain(..9 + length);
        Some(Frame { kind, flags, stream, payload })
    }
}

// === impl Outcome ===

impl Outcome {
    /// The answer, if it came and ended in good order.
    pub fn answer(&self) -> Result<(u16, String)> {
        ensure!(self.ended, "no whole answer: {self:?}");
        Ok((self.status.unwrap_or_default(), String::from_utf8_lossy(&self.body).into_owned()))
    }
}

/// A SETTINGS frame.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let values = values.iter().map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(kind::SETTINGS, 0, 0, &values.collect::<Vec<_>>().concat())
}

/// A PING frame.
pub fn ping() -> Vec<u8> {
    frame(kind::PING, 0, 0, &[7; 8])
}

/// A WINDOW_UPDATE frame.
pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// A RST_STREAM frame, for CANCEL.
pub fn reset(stream: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
}

/// `:status`, which comes first in the block of an answer: an entry of the static table, or a literal with
/// its name, whose digits are Huffman-coded (RFC 7541 Appendix B) or not.
fn status(block: &[u8]) -> Option<u16> {
    const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // A change of the table's size may come before it.
    let block = block.strip_prefix(&[0x20]).unwrap_or(block);
    match block {
        [index @ 0x88..=0x8e, ..] => STATIC.get(usize::from(index - 0x88)).copied(),
        [0x08 | 0x18 | 0x48, length, text @ ..] if length & 0x80 == 0 => {
            std::str::from_utf8(text.get(..usize::from(*length))?).ok()?.parse().ok()
        }
        [0x08 | 0x18 | 0x48, length, text @ ..] => {
            huffman_digits(text.get(..usize::from(length & 0x7f))?, 3)?.parse().ok()
        }
        _ => None,
    }
}

fn huffman_digits(bytes: &[u8], count: usize) -> Option<String> {
    let mut bits =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |place| usize::from(byte >> place & 1)));
    let mut digits = String::new();
    while digits.len() < count {
        let mut code = 0;
        for _ in 0..5 {
            code = code << 1 | bits.next()?;
        }
        // Five bits for 0 to 2, six for 3 to 9.
        let digit = if code < 3 { code } else { (code << 1 | bits.next()?).checked_sub(0x19 - 3)? };
        digits.push(char::from_digit(u32::try_from(digit).ok()?, 10)?);
    }
    Some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_in_every_way_that_it_is_written() {
        for (block, expected) in [
            (&[0x88][..], Some(200)),
            (&[0x8e], Some(500)),
            (&[0x20, 0x8c, 0x76], Some(400)),
            (&[0x08, 3, b'4', b'3', b'1'], Some(431)),
            // RFC 7541 §C.6.1 and §C.6.2.
            (&[0x48, 0x82, 0x64, 0x02], Some(302)),
            (&[0x48, 0x83, 0x64, 0x0e, 0xff], Some(307)),
            (&[0x00], None),
        ] {
            assert_eq!(status(block), expected, "{block:x?}");
        }
    }

    #[test]
    fn long_strings_have_their_length_in_sevens_of_bits() {
        let block = block(&[(b"a", &[b'b'; 300])]);
        assert_eq!(block[..6], [0, 1, b'a', 127, 173, 1]);
        assert_eq!(block.len(), 306);
    }
}
