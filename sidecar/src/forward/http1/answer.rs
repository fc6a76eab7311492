//! An answer's head.

use std::mem::MaybeUninit;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header, response::Parts};
use hyper::ext::ReasonPhrase;

use super::{Fault, Framed, MAX_HEADERS, headers};
use crate::refuse;

/// What an app answers, but for the body.
#[derive(Debug)]
pub(in crate::forward) struct Answer {
    pub(in crate::forward) head: Parts,
    /// How its body comes.
    pub(in crate::forward) body: Framed,
    /// Does the app keep the connection for another request?
    pub(in crate::forward) again: bool,
}

/// What the bytes that came so far begin with.
#[derive(Debug)]
pub(in crate::forward) enum Read {
    /// A head that is not over yet.
    More,
    /// A head of so many bytes that an answer is still to follow (RFC 9110 §15.2).
    Interim(usize),
    /// An answer, its head so many bytes long.
    Answer(Box<Answer>, usize),
}

// === impl Answer ===

impl Answer {
    /// Reads an answer to a request of this method.
    pub(in crate::forward) fn read(bytes: &[u8], method: &Method) -> Result<Read, Fault> {
        let mut room = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let length = match parser.parse_response_with_uninit_headers(&mut parsed, bytes, &mut room) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(Read::More),
            Err(httparse::Error::TooManyHeaders) => return Err(Fault::Bad("more than 100 headers")),
            Err(_) => return Err(Fault::Bad("its head is not one of HTTP/1")),
        };
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(Fault::Bad("its status is none"))?;
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Read::Interim(length));
        }
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = status;
        head.version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
        if let Some(reason) = parsed.reason.filter(|reason| Some(*reason) != status.canonical_reason())
            && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
        {
            head.extensions.insert(reason);
        }
        head.headers =
            headers(&bytes[..length], parsed.headers).ok_or(Fault::Bad("a header of it is none"))?;
        let has_body = *method != Method::HEAD
            && !matches!(
                status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS
            );
        let (body, clear) = framing(head.version, &mut head.headers)?;
        let body = if has_body { body } else { Framed::Over };
        let again = clear && stays_open(head.version, &head.headers);
        Ok(Read::Answer(Box::new(Answer { head, body, again }), length))
    }
}

/// Where the body ends (RFC 9112 §6.3), and whether that was said once only.
fn framing(version: Version, headers: &mut HeaderMap) -> Result<(Framed, bool), Fault> {
    let length = length(headers)?;
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => Ok((length.map_or(Framed::Close, Framed::of), true)),
        (Some(_), _) if version == Version::HTTP_10 => Err(Fault::Bad("a Transfer-Encoding in HTTP/1.0")),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok((Framed::chunked(), length.is_none()))
        }
        _ => Err(Fault::Bad("another Transfer-Encoding than chunked")),
    }
}

/// The one length that it says, and be it more than once; then it is said once.
fn length(headers: &mut HeaderMap) -> Result<Option<u64>, Fault> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(None) };
    let mut more = false;
    for other in lengths {
        if other != first {
            return Err(Fault::Bad("two Content-Lengths that differ"));
        }
        more = true;
    }
    let length = refuse::content_length(first).ok_or(Fault::Bad("its Content-Length is no number"))?;
    if more {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(Some(length))
}

/// RFC 9112 §9.3.
fn stays_open(version: Version, headers: &HeaderMap) -> bool {
    let says = |option: &[u8]| refuse::options(headers).any(|said| said.eq_ignore_ascii_case(option));
    !says(b"close") && (version == Version::HTTP_11 || says(b"keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of this, in one line.
    fn read(bytes: &str, method: &Method) -> String {
        match Answer::read(bytes.as_bytes(), method) {
            Err(fault) => fault.to_string(),
            Ok(Read::More) => "more".to_owned(),
            Ok(Read::Interim(length)) => format!("interim, {length}"),
            Ok(Read::Answer(answer, length)) => {
                let Answer { head, body, again } = *answer;
                let rest = &bytes[length..];
                let headers = head.headers.iter();
                let headers = headers.map(|(name, value)| format!("{name}={}", value.to_str().unwrap()));
                let headers = headers.collect::<Vec<_>>().join(",");
                let again = if again { "again" } else { "once" };
                format!("{} {body:?} {again} [{headers}] {rest}", head.status.as_u16())
            }
        }
    }

    #[test]
    fn an_answer_has_one_end_or_is_none() {
        let bad = "the app's answer is bad: ";
        let cases = [
            ("HTTP/1.1 200 OK\r\n", "more"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 Length(2) again [content-length=2] ok"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 Over again [content-length=0] "),
            ("HTTP/1.1 200\r\nX:\r\nContent-Length: 0\r\n\r\n", "200 Over again [x=,content-length=0] "),
            ("HTTP/1.1 200 OK\r\n\r\nto the end", "200 Close again [] to the end"),
            ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n", "200 Length(2) once [content-length=2] "),
            (
                "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\n",
                "200 Length(2) again [connection=Keep-Alive,content-length=2] ",
            ),
            (
                "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\n",
                "200 Length(2) once [connection=x, Close,content-length=2] ",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
                "200 Chunked(Size) again [transfer-encoding=Chunked] ",
            ),
            // Which of the two counts is beyond doubt (RFC 9112 §6.3), but not that the app knows it.
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
                "200 Chunked(Size) once [transfer-encoding=chunked,content-length=2] ",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
                "200 Length(2) again [content-length=2] ",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
                "two Content-Lengths that differ",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n", "its Content-Length is no number"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n", "its Content-Length is no number"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
                "its Content-Length is no number",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "its Content-Length is no number"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                "another Transfer-Encoding than chunked",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                "another Transfer-Encoding than chunked",
            ),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "a Transfer-Encoding in HTTP/1.0"),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", "204 Over again [content-length=2] "),
            (
                "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
                "304 Over again [transfer-encoding=chunked] ",
            ),
            ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200", "interim, 40"),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "101 Over again [] "),
            ("HTTP/1.1 099 No\r\n\r\n", "its status is none"),
            ("HTTP/1.1 20 OK\r\n\r\n", "its head is not one of HTTP/1"),
            ("HTTP/2.0 200 OK\r\n\r\n", "its head is not one of HTTP/1"),
            ("SSH-2.0-x\r\n", "its head is not one of HTTP/1"),
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "its head is not one of HTTP/1"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "its head is not one of HTTP/1"),
            ("HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", "its head is not one of HTTP/1"),
        ];
        for (bytes, expected) in cases {
            let got = read(bytes, &Method::GET);
            assert_eq!(got.strip_prefix(bad).unwrap_or(&got), expected, "{bytes:?}");
        }
        let to_head = read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", &Method::HEAD);
        assert_eq!(to_head, "200 Over again [content-length=2] ");
    }

    #[test]
    fn a_head_may_come_in_any_pieces() {
        let whole = "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nX-A: b\r\n\r\n";
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length], &Method::GET), "more", "{length}");
        }
        assert_eq!(read(whole, &Method::GET), "200 Length(2) again [content-length=2,x-a=b] ");
    }

    #[test]
    fn a_reason_of_its_own_is_kept() {
        for (reason, kept) in [("OK", false), ("", true), ("Fine", true)] {
            let bytes = format!("HTTP/1.1 200 {reason}\r\n\r\n");
            let Ok(Read::Answer(answer, _)) = Answer::read(bytes.as_bytes(), &Method::GET) else { panic!() };
            let said = answer.head.extensions.get::<ReasonPhrase>();
            assert_eq!(said.map(ReasonPhrase::as_bytes), kept.then_some(reason.as_bytes()), "{reason}");
        }
    }

    #[test]
    fn a_hundred_headers_are_read_and_no_more() {
        for (count, fine) in [(100, true), (101, false)] {
            let bytes = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(count));
            assert_eq!(Answer::read(bytes.as_bytes(), &Method::GET).is_ok(), fine, "{count}");
        }
    }
}
