//! The requests that parsers disagree about, and what may become of each.

/// What the app may see of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing: the gate answers with one of these.
    Refused(&'static [u16]),
    /// This one request.
    One(&'static str, &'static str, &'static str),
    /// These two, one after the other.
    Two(&'static str, &'static str),
    /// Nothing, or a request that breaks off.
    Broken,
    /// One request or none: some servers answer by themselves.
    AtMostOne,
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) seen: Seen,
}

const BAD: Seen = Seen::Refused(&[400]);
const METHOD: Seen = Seen::Refused(&[405]);
const LARGE: Seen = Seen::Refused(&[414, 431]);
const ABC: Seen = Seen::One("POST", "/p", "abc");
const OK: Seen = Seen::One("GET", "/p", "");

/// A request that a body-ignoring app would take for the next one.
pub(crate) const INNER: &str = "GET /admin HTTP/1.1\r\nHost: a\r\nX-Sidegate-Subject: root\r\n\r\n";

/// POST /p with these header lines and what follows them.
fn post(name: &'static str, lines: &str, body: &str, seen: Seen) -> Row {
    raw(name, &format!("POST /p HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{body}"), seen)
}

/// GET /p with these header lines.
fn get(name: &'static str, lines: &str, seen: Seen) -> Row {
    raw(name, &format!("GET /p HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n"), seen)
}

/// A first line, with one Host.
fn line(name: &'static str, line: &str, seen: Seen) -> Row {
    raw(name, &format!("{line}\r\nHost: a\r\n\r\n"), seen)
}

/// A target of GET.
fn target(name: &'static str, target: &str, seen: Seen) -> Row {
    line(name, &format!("GET {target} HTTP/1.1"), seen)
}

fn raw(name: &'static str, text: &str, seen: Seen) -> Row {
    Row { name, bytes: text.as_bytes().to_vec(), seen }
}

fn bytes(name: &'static str, bytes: &[u8], seen: Seen) -> Row {
    Row { name, bytes: bytes.to_vec(), seen }
}

pub(crate) fn rows() -> Vec<Row> {
    [lengths(), chunks(), bodies(), heads(), hosts(), targets(), others()].into_iter().flatten().collect()
}

fn lengths() -> Vec<Row> {
    let cases = [
        ("length twice, the same", "Content-Length: 3\r\nContent-Length: 3", ABC),
        ("length twice, different", "Content-Length: 3\r\nContent-Length: 4", BAD),
        ("length as a list", "Content-Length: 3, 3", BAD),
        ("length +3", "Content-Length: +3", BAD),
        ("length -1", "Content-Length: -1", BAD),
        ("length 0x3", "Content-Length: 0x3", BAD),
        ("length 003", "Content-Length: 003", ABC),
        ("length empty", "Content-Length:", BAD),
        ("length 2^64+3", "Content-Length: 18446744073709551619", BAD),
        (
            "an underscore for a hyphen, beside a length",
            "Transfer_Encoding: chunked\r\nContent-Length: 3",
            ABC,
        ),
    ];
    cases.map(|(name, lines, seen)| post(name, lines, "abc", seen)).into()
}

fn chunks() -> Vec<Row> {
    const CHUNKED: &str = "Transfer-Encoding: chunked";
    const BODY: &str = "3\r\nabc\r\n0\r\n\r\n";
    let encodings = [
        ("length, then chunked", "Content-Length: 3\r\nTransfer-Encoding: chunked", ABC),
        ("chunked, then length", "Transfer-Encoding: chunked\r\nContent-Length: 3", ABC),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", BAD),
        ("chunked, identity", "Transfer-Encoding: chunked, identity", BAD),
        ("identity", "Transfer-Encoding: identity", BAD),
        ("gzip, chunked", "Transfer-Encoding: gzip, chunked", BAD),
        ("xchunked", "Transfer-Encoding: xchunked", BAD),
        ("CHUNKED", "Transfer-Encoding: CHUNKED", ABC),
        ("chunked between tabs", "Transfer-Encoding: \tchunked\t", ABC),
        ("a vertical tab before chunked", "Transfer-Encoding: \x0bchunked", BAD),
        ("a space before the colon of an encoding", "Transfer-Encoding : chunked", BAD),
    ];
    let bodies = [
        ("chunk extension", "3;a=b\r\nabc\r\n0\r\n\r\n", ABC),
        ("chunk extension with a bare line feed", "3;a\nb\r\nabc\r\n0\r\n\r\n", Seen::Broken),
        ("chunk size 0x3", "0x3\r\nabc\r\n0\r\n\r\n", Seen::Broken),
        ("chunk size +3", "+3\r\nabc\r\n0\r\n\r\n", Seen::Broken),
        ("chunk size with a space before", " 3\r\nabc\r\n0\r\n\r\n", Seen::Broken),
        ("chunk size with a space behind", "3 \r\nabc\r\n0\r\n\r\n", ABC),
        ("chunk size with many zeros", "00000000000000000003\r\nabc\r\n0\r\n\r\n", ABC),
        ("chunk size with a bare line feed", "3\nabc\r\n0\r\n\r\n", Seen::Broken),
        ("chunk ended by a bare line feed", "3\r\nabc\n0\r\n\r\n", Seen::Broken),
        ("chunk ended by something else", "3\r\nabcxx0\r\n\r\n", Seen::Broken),
        ("last chunk with a bare line feed", "3\r\nabc\r\n0\n\r\n", Seen::Broken),
        ("identity in a trailer", "3\r\nabc\r\n0\r\nX-Sidegate-Subject: root\r\n\r\n", ABC),
    ];
    let mut rows: Vec<_> = encodings.map(|(name, lines, seen)| post(name, lines, BODY, seen)).into();
    rows.extend(bodies.map(|(name, body, seen)| post(name, CHUNKED, body, seen)));
    let announced = "Transfer-Encoding: chunked\r\nTrailer: X-Sidegate-Subject";
    rows.push(post(
        "identity in a trailer that is announced",
        announced,
        "3\r\nabc\r\n0\r\nX-Sidegate-Subject: root\r\n\r\n",
        ABC,
    ));
    rows.push(raw(
        "chunked on HTTP/1.0",
        &format!("POST /p HTTP/1.0\r\nHost: a\r\n{CHUNKED}\r\n\r\n{BODY}"),
        BAD,
    ));
    rows
}

fn bodies() -> Vec<Row> {
    let length = format!("Content-Length: {}", INNER.len());
    vec![
        raw(
            "GET with a body",
            "GET /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            Seen::One("GET", "/p", "abc"),
        ),
        raw(
            "GET with a chunked body",
            "GET /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            Seen::One("GET", "/p", "abc"),
        ),
        raw(
            "GET whose body is a request",
            &format!("GET /p HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n{INNER}"),
            Seen::One("GET", "/p", INNER),
        ),
        raw(
            "DELETE whose body is a request",
            &format!("DELETE /p HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n{INNER}"),
            Seen::One("DELETE", "/p", INNER),
        ),
        post("POST whose body is a request", &length, INNER, Seen::One("POST", "/p", INNER)),
        post("expecting 100-continue", "Expect: 100-continue\r\nContent-Length: 3", "abc", ABC),
        post(
            "expecting something else",
            "Expect: 200-nonsense\r\nContent-Length: 3",
            "abc",
            Seen::Refused(&[417]),
        ),
        raw("HEAD", "HEAD /p HTTP/1.1\r\nHost: a\r\n\r\n", Seen::One("HEAD", "/p", "")),
        raw(
            "two requests in one write",
            "GET /p HTTP/1.1\r\nHost: a\r\n\r\nGET /q HTTP/1.1\r\nHost: a\r\n\r\n",
            Seen::Two("/p", "/q"),
        ),
    ]
}

fn heads() -> Vec<Row> {
    vec![
        raw("bare line feeds everywhere", "GET /p HTTP/1.1\nHost: a\nX-A: b\n\n", OK),
        raw("a bare line feed behind one header", "GET /p HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n", OK),
        get("a folded header", "X-A: b\r\n c", BAD),
        raw("a folded first header", "GET /p HTTP/1.1\r\n Host: a\r\n\r\n", BAD),
        get("a space before a colon", "X-A : b", BAD),
        get("an underscore in a name", "X_Sidegate_Subject: root", OK),
        get("odd characters in a name", "X!#$%&'*+.^`|~: b", OK),
        get("a header without a colon", "X-A", BAD),
        get("an empty name", ": b", BAD),
        get("a space in a name", "X A: b", BAD),
        get("a NUL in a value", "X-A: b\0c", BAD),
        bytes(
            "a bare carriage return in a value",
            b"GET /p HTTP/1.1\r\nHost: a\r\nX-A: b\rX-B: c\r\n\r\n",
            BAD,
        ),
        bytes("high bytes in a value", b"GET /p HTTP/1.1\r\nHost: a\r\nX-A: \xe9\xff\r\n\r\n", OK),
        bytes("a high byte in a name", b"GET /p HTTP/1.1\r\nHost: a\r\nX-\xe9: b\r\n\r\n", BAD),
        raw("an empty line first", "\r\nGET /p HTTP/1.1\r\nHost: a\r\n\r\n", OK),
        get("101 headers", "X-A: b\r\n".repeat(100).trim_end(), LARGE),
        get("a header of 64 KiB", &format!("X-A: {}", "b".repeat(64 << 10)), LARGE),
        get("a header of 600 KiB", &format!("X-A: {}", "b".repeat(600 << 10)), LARGE),
        target("a target of 70,000 bytes", &format!("/{}", "b".repeat(70_000)), LARGE),
    ]
}

fn hosts() -> Vec<Row> {
    let cases = [
        ("no Host", "X-A: b", BAD),
        ("Host twice, the same", "Host: a\r\nHost: a", BAD),
        ("Host twice, different", "Host: a\r\nHost: b", BAD),
        ("Host empty", "Host:", BAD),
        ("Host with a path and more", "Host: a/b?c @d", BAD),
        ("Host with user information", "Host: u@a", BAD),
        ("Host as a list", "Host: a, b", BAD),
        ("Host with a port that is none", "Host: a:b", BAD),
    ];
    let mut rows: Vec<_> = cases
        .map(|(name, lines, seen)| raw(name, &format!("GET /p HTTP/1.1\r\n{lines}\r\n\r\n"), seen))
        .into();
    rows.push(raw("HTTP/1.0 without Host", "GET /p HTTP/1.0\r\n\r\n", BAD));
    rows.push(raw(
        "HTTP/1.0 that keeps the connection",
        "GET /p HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
        OK,
    ));
    rows
}

fn targets() -> Vec<Row> {
    let cases = [
        ("absolute-form", "http://a/p", OK),
        ("absolute-form without a path", "http://a", Seen::One("GET", "/", "")),
        ("absolute-form without a path, with a query", "http://a?b", Seen::One("GET", "/?b", "")),
        ("absolute-form, another host", "http://b/p", BAD),
        ("absolute-form with user information", "http://a@a/p", BAD),
        ("absolute-form of ftp", "ftp://a/p", BAD),
        ("authority-form", "a:80", BAD),
        ("an asterisk", "*", BAD),
        ("no slash", "p", BAD),
        ("a fragment", "/p#f", OK),
        ("a query and a fragment", "/p?a#b", Seen::One("GET", "/p?a", "")),
        ("two question marks", "/p??", Seen::One("GET", "/p??", "")),
        ("raw UTF-8", "/\u{e9}", BAD),
        ("a quotation mark", "/p\"", Seen::AtMostOne),
        ("braces and a bar", "/{|}^", Seen::AtMostOne),
        ("a backslash", "/a\\..\\b", BAD),
        ("an encoded backslash", "/a%5c..%5cb", BAD),
        ("an encoded slash", "/a%2fb", BAD),
        ("a bad percent sign", "/%zz/%", BAD),
        ("dot segments", "/a/../p", OK),
        ("encoded dot segments", "/a/%2e%2E/p", OK),
        ("dots encoded twice", "/a/%252e%252e/p", BAD),
        ("two slashes", "//p", BAD),
        ("a semicolon", "/a;x/p", BAD),
        ("an encoded line feed", "/p%0a", BAD),
        ("an encoded NUL", "/p%00", BAD),
        ("an encoded letter", "/%70", OK),
        ("a DEL", "/p\x7f", BAD),
        ("a control", "/p\x01", BAD),
    ];
    cases.map(|(name, text, seen)| target(name, text, seen)).into()
}

fn others() -> Vec<Row> {
    vec![
        target("absolute-form without a path, with a fragment", "http://a#/p", Seen::One("GET", "/", "")),
        line("two spaces", "GET  /p HTTP/1.1", BAD),
        line("a tab", "GET\t/p HTTP/1.1", BAD),
        line("a space behind", "GET /p HTTP/1.1 ", BAD),
        line("HTTP/1.2", "GET /p HTTP/1.2", BAD),
        line("HTTP/2.0", "GET /p HTTP/2.0", BAD),
        line("HTTP/0.9", "GET /p", BAD),
        line("a lower-case method", "get /p HTTP/1.1", METHOD),
        line("TRACE", "TRACE /p HTTP/1.1", METHOD),
        line("an unknown method", "BREW /p HTTP/1.1", METHOD),
        line("a colon in a method", "GE:T /p HTTP/1.1", BAD),
        line("CONNECT with an authority", "CONNECT a:80 HTTP/1.1", Seen::Refused(&[400, 405])),
        line("CONNECT with a path", "CONNECT /p HTTP/1.1", Seen::Refused(&[400, 405])),
        line("OPTIONS of the server", "OPTIONS * HTTP/1.1", Seen::AtMostOne),
        get(
            "an upgrade to h2c",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
            OK,
        ),
        get("an upgrade to something", "Connection: upgrade\r\nUpgrade: foo/1", OK),
        get("our header in Connection", "Connection: X-Sidegate-Subject\r\nX-Sidegate-Subject: root", OK),
        get("our scopes in Connection", "Connection: close, X-Sidegate-Scopes", OK),
        get("the length in Connection", "Connection: Content-Length\r\nContent-Length: 0", BAD),
        get(
            "identity, in every spelling",
            "X-Sidegate-Subject: root\r\nx-sidegate-scopes: all\r\nX_Sidegate_Tenant: ns:root\r\nX-Sidegate.Subject: root",
            OK,
        ),
        get(
            "what other proxies would say",
            "X-Forwarded-User: root\r\nRemote-User: root\r\nX-Auth-Request-Email: root\r\nX-Original-URL: /admin\r\nX-HTTP-Method-Override: DELETE\r\nScript_Name: /admin\r\nScript-Name: /admin",
            OK,
        ),
    ]
}
