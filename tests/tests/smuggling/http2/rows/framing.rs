//! How a request is cut into frames, how long it is, and how it ends.

use sidegate_tests::raw_http2::{
    END_HEADERS, END_STREAM, Field, block, data, frame, headers, kind, request, reset,
};

use super::{ABC, BAD, LARGE, OK, Row, Seen, get, post, posted, row};
use crate::table::INNER;

pub(super) fn lengths() -> Vec<Row> {
    vec![
        post("a length", &[(b"content-length", b"3")], ABC).telling(&[("content-length", &["3"])]),
        post("no length", &[], ABC).telling(&[("transfer-encoding", &["chunked"])]),
        post("length 003", &[(b"content-length", b"003")], ABC).telling(&[("content-length", &["3"])]),
        post("length twice, the same", &[(b"content-length", b"3"), (b"content-length", b"3")], BAD),
        post("length twice, different", &[(b"content-length", b"3"), (b"content-length", b"4")], Seen::Reset),
        post("length as a list", &[(b"content-length", b"3, 3")], Seen::Reset),
        post("length +3", &[(b"content-length", b"+3")], Seen::Reset),
        post("length -1", &[(b"content-length", b"-1")], Seen::Reset),
        post("length 0x3", &[(b"content-length", b"0x3")], Seen::Reset),
        post("length with a space", &[(b"content-length", b" 3")], Seen::Reset),
        post("length of 20 digits", &[(b"content-length", b"00000000000000000003")], Seen::Reset),
        post("length empty", &[(b"content-length", b"")], Seen::Broken),
        post("length 2, of 3", &[(b"content-length", b"2")], Seen::Broken),
        post("length 4, of 3", &[(b"content-length", b"4")], Seen::Broken),
        post("length 0, of 3", &[(b"content-length", b"0")], Seen::Broken),
        posted(
            "length 6, of 3 and trailers",
            &[(b"content-length", b"6")],
            &[data(1, 0, b"abc"), headers(1, END_STREAM, &[(b"x-a", b"b")])].concat(),
            Seen::Broken,
        ),
        get("a length and no body", &[(b"content-length", b"3")], Seen::Reset),
        get("length 0 and no body", &[(b"content-length", b"0")], OK),
    ]
}

pub(super) fn bodies() -> Vec<Row> {
    let inner = data(1, END_STREAM, INNER.as_bytes());
    let with = |method: &'static str, body: &[u8]| {
        [headers(1, 0, &request(method, "/p", &[])), body.to_vec()].concat()
    };
    vec![
        row("GET with a body", with("GET", &data(1, END_STREAM, b"abc")), Seen::One("GET", "/p", "abc")),
        row("GET whose body is a request", with("GET", &inner), Seen::One("GET", "/p", INNER)),
        row("DELETE whose body is a request", with("DELETE", &inner), Seen::One("DELETE", "/p", INNER)),
        row("POST whose body is a request", with("POST", &inner), Seen::One("POST", "/p", INNER)),
        row("GET that ends with an empty frame", with("GET", &data(1, END_STREAM, b"")), OK),
        posted(
            "a body that ends with an empty frame",
            &[],
            &[data(1, 0, b"abc"), data(1, END_STREAM, b"")].concat(),
            ABC,
        ),
        posted(
            "a body in pieces",
            &[],
            &[data(1, 0, b"a"), data(1, 0, b""), data(1, END_STREAM, b"bc")].concat(),
            ABC,
        ),
        posted("a body with padding", &[], &frame(kind::DATA, END_STREAM | 8, 1, b"\x02abc\0\0"), ABC),
        posted(
            "a body of chunks",
            &[],
            &data(1, END_STREAM, b"0\r\n\r\n"),
            Seen::One("POST", "/p", "0\r\n\r\n"),
        ),
        posted("a body that is cut off", &[], &[data(1, 0, b"abc"), reset(1)].concat(), Seen::Broken),
        posted(
            "identity in a trailer",
            &[],
            &[data(1, 0, b"abc"), headers(1, END_STREAM, &[(b"x-sidegate-subject", b"root")])].concat(),
            ABC,
        ),
        posted(
            "identity in a trailer that is announced",
            &[(b"trailer", b"x-sidegate-subject")],
            &[data(1, 0, b"abc"), headers(1, END_STREAM, &[(b"x-sidegate-subject", b"root")])].concat(),
            ABC,
        ),
        posted(
            "a length in a trailer",
            &[],
            &[data(1, 0, b"abc"), headers(1, END_STREAM, &[(b"content-length", b"30")])].concat(),
            ABC,
        ),
        posted(
            "a pseudo-header in a trailer",
            &[],
            &[data(1, 0, b"abc"), headers(1, END_STREAM, &[(b":path", b"/admin")])].concat(),
            ABC,
        ),
        posted(
            "a trailer that does not end",
            &[],
            &[data(1, 0, b"abc"), headers(1, 0, &[(b"x-a", b"b")])].concat(),
            Seen::Broken,
        ),
        posted(
            "a second head on the same stream",
            &[],
            &[data(1, 0, b"abc"), headers(1, 0, &request("GET", "/admin", &[]))].concat(),
            Seen::Broken,
        ),
    ]
}

/// Heads in more than one frame.
pub(super) fn blocks() -> Vec<Row> {
    let whole = block(&request("GET", "/p", &[(b"x-a", b"b")]));
    let split = |at: &[usize]| {
        let ends = at.iter().copied().chain([whole.len()]);
        let begins = [0].into_iter().chain(at.iter().copied());
        let parts = begins.zip(ends).enumerate().map(|(number, (begin, end))| {
            let kind = if number == 0 { kind::HEADERS } else { kind::CONTINUATION };
            let begun = if number == 0 { END_STREAM } else { 0 };
            let last = if number == at.len() { END_HEADERS } else { 0 };
            frame(kind, begun | last, 1, &whole[begin..end])
        });
        parts.collect::<Vec<_>>()
    };
    let begun = split(&[4]).swap_remove(0);
    let told: &[(&str, &[&str])] = &[("x-a", &["b"])];
    vec![
        row("a head in two frames", split(&[20]).concat(), OK).telling(told),
        row("a head split in names and values", split(&[1, 5, 11, 30]).concat(), OK).telling(told),
        row("a head that begins with an empty frame", split(&[0]).concat(), OK).telling(told),
        row("a head that ends with an empty frame", split(&[whole.len()]).concat(), OK).telling(told),
        row(
            "another stream's continuation",
            [begun.clone(), frame(kind::CONTINUATION, END_HEADERS, 3, &whole[4..])].concat(),
            Seen::Ended,
        ),
        row("a body between the frames of a head", [begun.clone(), data(1, 0, b"abc")].concat(), Seen::Ended),
        row(
            "another head between the frames of a head",
            [begun.clone(), headers(3, END_STREAM, &request("GET", "/admin", &[]))].concat(),
            Seen::Ended,
        ),
        row(
            "an unknown frame between the frames of a head",
            [begun, frame(0x4a, 0, 1, b"")].concat(),
            Seen::Ended,
        ),
        row("a continuation of nothing", frame(kind::CONTINUATION, END_HEADERS, 1, &whole), Seen::Ended),
        row(
            "a block that is cut short",
            frame(kind::HEADERS, END_STREAM | END_HEADERS, 1, &whole[..whole.len() - 1]),
            Seen::Ended,
        ),
        row(
            "an index that is not there",
            frame(kind::HEADERS, END_STREAM | END_HEADERS, 1, &[0xff, 0x7f]),
            Seen::Ended,
        ),
        row(
            "a table larger than was offered",
            frame(kind::HEADERS, END_STREAM | END_HEADERS, 1, &[&[0x3f, 0xe1, 0xff, 3], &*whole].concat()),
            Seen::Ended,
        ),
    ]
}

pub(super) fn frames() -> Vec<Row> {
    let whole = block(&request("GET", "/p", &[]));
    let ends = END_STREAM | END_HEADERS;
    let padded = [&[2], &*whole, &[0, 0]].concat();
    let weighed = [&[0, 0, 0, 0, 15], &*whole].concat();
    let itself = [&[0, 0, 0, 1, 15], &*whole].concat();
    vec![
        row("a head with padding", frame(kind::HEADERS, ends | 8, 1, &padded), OK),
        row("a head that is all padding", frame(kind::HEADERS, ends | 8, 1, &[200, 0, 0]), Seen::Ended),
        row("a head with a priority", frame(kind::HEADERS, ends | 0x20, 1, &weighed), OK),
        row("a head that depends on itself", frame(kind::HEADERS, ends | 0x20, 1, &itself), Seen::Reset),
        row("a head on stream 0", frame(kind::HEADERS, ends, 0, &whole), Seen::Ended),
        row("a head on a stream of the gate's", frame(kind::HEADERS, ends, 2, &whole), Seen::Ended),
        row("a body on stream 0", data(0, 0, b"abc"), Seen::Ended),
        row("a body without a head", data(1, 0, b"abc"), Seen::Ended),
        row(
            "a promise by the caller",
            frame(5, END_HEADERS, 1, &[&[0, 0, 0, 2], &*whole].concat()),
            Seen::Ended,
        ),
        row("a frame longer than was offered", frame(kind::HEADERS, ends, 1, &vec![0; 16_385]), Seen::Ended),
        row("a reset of nothing", reset(1), Seen::Ended),
        row(
            "an unknown frame before a head",
            [frame(0x4a, 0xff, 1, b"abc"), headers(1, END_STREAM, &request("GET", "/p", &[]))].concat(),
            OK,
        ),
        row("unknown flags on a head", frame(kind::HEADERS, ends | 0x42, 1, &whole), OK),
        row("the reserved bit of a stream", frame(kind::HEADERS, ends, 0x8000_0001, &whole), OK),
        row(
            "a body behind the end",
            [headers(1, END_STREAM, &request("GET", "/p", &[])), data(1, 0, b"abc")].concat(),
            Seen::AtMostOne,
        ),
    ]
}

pub(super) fn sizes() -> Vec<Row> {
    const MANY: [Field<'static>; 300] = [(b"x-a", b"b"); 300];
    static LONG: [u8; 64 << 10] = [b'b'; 64 << 10];
    static LARGE_FIELD: Field<'static> = (b"x-a", &LONG);
    let in_frames = |name, fields: &[Field<'static>], seen| {
        let block = block(&request("GET", "/p", fields));
        let last = block.chunks(16_384).count() - 1;
        let frames = block.chunks(16_384).enumerate().map(|(number, part)| {
            let kind = if number == 0 { kind::HEADERS } else { kind::CONTINUATION };
            let begun = if number == 0 { END_STREAM } else { 0 };
            frame(kind, begun | if number == last { END_HEADERS } else { 0 }, 1, part)
        });
        row(name, frames.collect::<Vec<_>>().concat(), seen)
    };
    vec![
        get("90 headers", &MANY[..90], OK),
        get("101 headers", &MANY[..101], LARGE),
        get("200 headers", &MANY[..200], LARGE),
        in_frames("a header of 15 KiB", &[(b"x-a", &LONG[..15 << 10])], Seen::AtMostOne),
        in_frames("a header of 33 KiB", &[(b"x-a", &LONG[..33 << 10])], LARGE),
        in_frames("headers of 40 KiB", &[(b"x-a", &LONG[..20 << 10]), (b"x-b", &LONG[..20 << 10])], LARGE),
        in_frames("a header of 60 KiB", &[(b"x-a", &LONG[..60 << 10])], LARGE),
        // Past what the library holds it answers by itself, and past four times of that it is over.
        in_frames(
            "headers of 80 KiB",
            &[(b"x-a", &LONG[..40 << 10]), (b"x-b", &LONG[..40 << 10])],
            Seen::Bare(431),
        ),
        in_frames("headers of 320 KiB", &[LARGE_FIELD; 5], Seen::Ended),
    ]
}
