//! The HTTP/2 requests that parsers disagree about, and what becomes of each.

use sidegate_tests::raw_http2::{END_STREAM, Field, data, headers, request};

mod framing;
mod heads;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The gate answers with this status; the app sees nothing.
    Refused(u16),
    /// The library answers with this status and not a word; the app sees nothing.
    Bare(u16),
    /// The stream is reset, and its connection goes on; the app sees nothing.
    Reset,
    /// The connection is told to go; the app sees nothing.
    Ended,
    /// Neither is the app's request whole, nor does the caller get an answer of the app.
    Broken,
    /// The app sees this one.
    One(&'static str, &'static str, &'static str),
    /// The app sees this one or, since some servers answer it by themselves, none.
    AtMostOne,
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) seen: Seen,
    /// All values of headers that the app sees beside ours.
    pub(crate) told: &'static [(&'static str, &'static [&'static str])],
}

const BAD: Seen = Seen::Refused(400);
const METHOD: Seen = Seen::Refused(405);
const LARGE: Seen = Seen::Refused(431);
const ABC: Seen = Seen::One("POST", "/p", "abc");
const OK: Seen = Seen::One("GET", "/p", "");

fn row(name: &'static str, bytes: Vec<u8>, seen: Seen) -> Row {
    Row { name, bytes, seen, told: &[] }
}

/// A head of these alone.
fn head(name: &'static str, fields: &[Field<'_>], seen: Seen) -> Row {
    row(name, headers(1, END_STREAM, fields), seen)
}

/// GET /p with these headers.
fn get(name: &'static str, more: &[Field<'static>], seen: Seen) -> Row {
    head(name, &request("GET", "/p", more), seen)
}

/// POST /p with these headers and a body of `abc`.
fn post(name: &'static str, more: &[Field<'static>], seen: Seen) -> Row {
    posted(name, more, &data(1, END_STREAM, b"abc"), seen)
}

/// POST /p with these headers, and what follows the head.
fn posted(name: &'static str, more: &[Field<'static>], rest: &[u8], seen: Seen) -> Row {
    row(name, [headers(1, 0, &request("POST", "/p", more)), rest.to_vec()].concat(), seen)
}

// === impl Row ===

impl Row {
    fn telling(self, told: &'static [(&'static str, &'static [&'static str])]) -> Self {
        Self { told, ..self }
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let tables = [
        heads::pseudo_headers(),
        heads::authorities(),
        heads::paths(),
        heads::methods(),
        heads::names_and_values(),
        heads::of_one_connection(),
        framing::lengths(),
        framing::bodies(),
        framing::blocks(),
        framing::frames(),
        heads::credentials(),
        framing::sizes(),
    ];
    tables.into_iter().flatten().collect()
}
