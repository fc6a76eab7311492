//! An answer's body, found in the bytes that come.

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use hyper::body::Frame;

use super::{Fault, MAX_HEADERS, headers};

/// No chunk's size with all that stands behind it is longer.
const MAX_LINE: usize = 4 << 10;
/// Nor are all trailers together.
const MAX_TRAILERS: usize = 16 << 10;

/// What is still to come of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::forward) enum Framed {
    /// So many bytes, at least one.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// Whatever comes before the connection ends.
    Close,
    /// Nothing.
    Over,
}

/// Where in a chunk it goes on (RFC 9112 §7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::forward) enum Chunk {
    Size,
    /// So many bytes of it are still to come, at least one.
    Data(u64),
    /// The end of the line behind its last byte.
    DataEnd,
    Trailers,
}

// === impl Framed ===

impl Framed {
    pub(super) fn of(length: u64) -> Self {
        if length == 0 { Self::Over } else { Self::Length(length) }
    }

    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunk::Size)
    }

    pub(in crate::forward) fn is_over(&self) -> bool {
        *self == Self::Over
    }

    /// How long it is, if that is known.
    pub(in crate::forward) fn length(&self) -> Option<u64> {
        match self {
            Self::Length(length) => Some(*length),
            Self::Over => Some(0),
            Self::Chunked(_) | Self::Close => None,
        }
    }

    /// How much of it is known to come next.
    pub(in crate::forward) fn expects(&self) -> u64 {
        match self {
            Self::Length(bytes) | Self::Chunked(Chunk::Data(bytes)) => *bytes,
            Self::Chunked(_) | Self::Close | Self::Over => 0,
        }
    }

    /// Takes the next piece out of what was read. `None`: it is over, or more has to be read.
    pub(in crate::forward) fn take(&mut self, read: &mut BytesMut) -> Result<Option<Frame<Bytes>>, Fault> {
        loop {
            match self {
                Self::Over => return Ok(None),
                _ if read.is_empty() => return Ok(None),
                Self::Close => return Ok(Some(Frame::data(piece(read, u64::MAX)))),
                Self::Length(left) => {
                    let data = piece(read, *left);
                    *self = Self::of(*left - data.len() as u64);
                    return Ok(Some(Frame::data(data)));
                }
                Self::Chunked(Chunk::Data(left)) => {
                    let data = piece(read, *left);
                    let left = *left - data.len() as u64;
                    *self = Self::Chunked(if left == 0 { Chunk::DataEnd } else { Chunk::Data(left) });
                    return Ok(Some(Frame::data(data)));
                }
                Self::Chunked(Chunk::DataEnd) => match **read {
                    [b'\r', b'\n', ..] => {
                        read.advance(2);
                        *self = Self::chunked();
                    }
                    [b'\r'] => return Ok(None),
                    _ => return Err(Fault::Bad("a chunk is longer than its size")),
                },
                Self::Chunked(Chunk::Size) => match size(read)? {
                    None => return Ok(None),
                    Some(0) => *self = Self::Chunked(Chunk::Trailers),
                    Some(size) => *self = Self::Chunked(Chunk::Data(size)),
                },
                Self::Chunked(Chunk::Trailers) => {
                    let Some(trailers) = trailers(read)? else { return Ok(None) };
                    *self = Self::Over;
                    return Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers)));
                }
            }
        }
    }

    /// The connection has ended: is the body whole?
    pub(in crate::forward) fn end(&mut self) -> Result<(), Fault> {
        match self {
            Self::Close | Self::Over => {
                *self = Self::Over;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) => Err(Fault::Closed),
        }
    }
}

/// At most so many bytes. A small part of what there is room for is copied: else it would hold all of
/// that, and nothing could be read into it again.
fn piece(read: &mut BytesMut, most: u64) -> Bytes {
    let length = usize::try_from(most).map_or(read.len(), |most| most.min(read.len()));
    if 2 * length >= read.capacity() {
        return read.split_to(length).freeze();
    }
    let piece = Bytes::copy_from_slice(&read[..length]);
    read.advance(length);
    piece
}

/// The size of a chunk, once its whole line is there.
fn size(read: &mut BytesMut) -> Result<Option<u64>, Fault> {
    let bad = Fault::Bad("a chunk's size is no number");
    match httparse::parse_chunk_size(read) {
        _ if !read[0].is_ascii_hexdigit() => Err(bad),
        Ok(httparse::Status::Complete((line, size))) if line <= MAX_LINE => {
            read.advance(line);
            Ok(Some(size))
        }
        Ok(httparse::Status::Partial) if read.len() < MAX_LINE => Ok(None),
        Ok(_) => Err(Fault::Bad("a chunk's extensions are too long")),
        Err(_) => Err(bad),
    }
}

/// What stands behind the last chunk, once all of it is there.
fn trailers(read: &mut BytesMut) -> Result<Option<HeaderMap>, Fault> {
    let mut room = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let bad = Fault::Bad("its trailers are none");
    let (length, trailers) = match httparse::parse_headers(read, &mut room) {
        Ok(httparse::Status::Complete((length, lines))) if length <= MAX_TRAILERS => {
            (length, headers(&read[..length], lines))
        }
        Ok(httparse::Status::Partial) if read.len() < MAX_TRAILERS => return Ok(None),
        Ok(_) | Err(_) => return Err(bad),
    };
    read.advance(length);
    trailers.map(Some).ok_or(bad)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// What is taken of these pieces, each read when nothing more can be taken: the data, trailers in
    /// brackets, then what is left over, or what is wrong.
    fn taken(mut body: Framed, pieces: &[&[u8]]) -> String {
        let (mut read, mut taken) = (BytesMut::new(), String::new());
        let mut pieces = pieces.iter();
        let end = loop {
            match body.take(&mut read) {
                Err(fault) => break fault.to_string(),
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(data) => taken.push_str(std::str::from_utf8(&data).unwrap()),
                    Err(frame) => write!(taken, "{:?}", frame.into_trailers().unwrap()).unwrap(),
                },
                Ok(None) if body.is_over() => break format!("+{}", String::from_utf8_lossy(&read)),
                Ok(None) => match pieces.next() {
                    Some(piece) => read.extend_from_slice(piece),
                    None => match body.end() {
                        Ok(()) => break "+".to_owned(),
                        Err(fault) => break fault.to_string(),
                    },
                },
            }
        };
        format!("{taken}{end}")
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        let long = format!("2;{}\r\nok\r\n0\r\n\r\n", "x".repeat(MAX_LINE));
        let many = format!("0\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
        let large = format!("0\r\na: {}\r\n\r\n", "b".repeat(MAX_TRAILERS));
        let closed = "the app closed before the end of its answer";
        let cases = [
            (Framed::Over, "more", "+"),
            (Framed::of(0), "", "+"),
            (Framed::of(2), "ok", "ok+"),
            (Framed::of(2), "okmore", "ok+more"),
            (Framed::of(3), "ok", closed),
            (Framed::Close, "to the end", "to the end+"),
            (Framed::chunked(), "2\r\nok\r\n0\r\n\r\n", "ok+"),
            (Framed::chunked(), "2\r\nok\r\n0\r\n\r\nmore", "ok+more"),
            (Framed::chunked(), "1;a=b\r\no\r\n01 ; c\r\nk\r\n000\r\n\r\n", "ok+"),
            (Framed::chunked(), "A\r\n0123456789\r\n0\r\n\r\n", "0123456789+"),
            (Framed::chunked(), "2\r\nok\r\n0\r\nx: y\r\n\r\n", "ok{\"x\": \"y\"}+"),
            (Framed::chunked(), "2\r\nok\r\n0\r\n", closed),
            (Framed::chunked(), "2\r\nok\r\n", closed),
            (Framed::chunked(), "3\r\nok", closed),
            (Framed::chunked(), "2\r\nokay\r\n0\r\n\r\n", "a chunk is longer than its size"),
            (Framed::chunked(), "2\r\nok\n0\r\n\r\n", "a chunk is longer than its size"),
            (Framed::chunked(), "\r\n", "a chunk's size is no number"),
            (Framed::chunked(), "-1\r\n", "a chunk's size is no number"),
            (Framed::chunked(), "0x2\r\nok\r\n", "a chunk's size is no number"),
            (Framed::chunked(), "2\nok\r\n", "a chunk's size is no number"),
            (Framed::chunked(), "11111111111111111\r\n", "a chunk's size is no number"),
            (Framed::chunked(), &long, "a chunk's extensions are too long"),
            (Framed::chunked(), &many, "its trailers are none"),
            (Framed::chunked(), &large, "its trailers are none"),
            (Framed::chunked(), "0\r\nx y\r\n\r\n", "its trailers are none"),
        ];
        for (body, bytes, expected) in cases {
            let bytes = bytes.as_bytes();
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            for (how, pieces) in [("whole", &[bytes][..]), ("byte by byte", &single)] {
                let got = taken(body.clone(), pieces).replace("the app's answer is bad: ", "");
                // What has come before the fault is passed on.
                let fine = got == expected || (!expected.contains('+') && got.ends_with(expected));
                // What follows an end is not read where it comes later.
                let fine = fine || how == "byte by byte" && got.ends_with('+') && expected.starts_with(&*got);
                assert!(fine, "{how}: {:?}: {got:?}, not {expected:?}", String::from_utf8_lossy(bytes));
            }
        }
    }

    proptest! {
        #[test]
        fn chunks_are_put_together_however_they_come(
            chunks in prop::collection::vec("[a-z]{1,9000}", 0..5),
            cuts in prop::collection::vec(1..5000usize, 1..6),
        ) {
            let mut bytes: Vec<u8> = chunks
                .iter()
                .flat_map(|chunk| format!("{:X}\r\n{chunk}\r\n", chunk.len()).into_bytes())
                .collect();
            bytes.extend(b"0\r\n\r\nmore");
            let (mut pieces, mut rest) = (Vec::new(), &bytes[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, behind) = rest.split_at(rest.len().min(*cut));
                pieces.push(piece);
                rest = behind;
            }
            let taken = taken(Framed::chunked(), &pieces);
            prop_assert_eq!(taken.split('+').next().unwrap(), chunks.concat());
        }
    }
}
