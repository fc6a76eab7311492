//! The ways in which a secret can come to the gate: as bytes, so that none is left out because a client is polite.

use sidegate_bundle::ApiKey;
use sidegate_tests::raw_http2::{ACK, END_HEADERS, END_STREAM, Field, block, data, frame, kind};

/// What opens HTTP/2: the preface, and settings of which there are none.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// One way: what it is called, its secret, and the bytes.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) secret: String,
    pub(crate) bytes: Vec<u8>,
}

/// Random, and with characters that encodings change.
pub(crate) fn canary() -> String {
    let random = ApiKey::mint(&mut rand::rng());
    format!("{}+/{}", &random.expose()[23..43], &random.expose()[43..66])
}

/// All ways of HTTP/1 but those of a good key. In each `SECRET` stands for its secret.
pub(crate) fn http1() -> Vec<Way> {
    let long = |what: &str| what.replace("LONG", &"x".repeat(70_000));
    let get = |headers: &str| format!("GET /a HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    let post = |path: &str, rest: &str| format!("POST {path} HTTP/1.1\r\nHost: a\r\n{rest}");
    let texts = [
        ("malformed", get("X-API-Key: SECRET\r\n")),
        ("malformed, with spaces", get("X-API-Key: SECRET SECRET\r\n")),
        ("malformed, of bytes that are no text", get("X-API-Key: SECRET\u{fc}\r\n")),
        ("two different ones", get("X-API-Key: SECRET\r\nX-API-Key: other\r\n")),
        ("as Bearer", get("Authorization: Bearer SECRET\r\n")),
        ("as Basic", get("Authorization: Basic SECRET\r\n")),
        ("in a cookie", get("Cookie: key=SECRET\r\n")),
        ("in the query", "GET /a?key=SECRET HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("in the query of what anybody may ask", "GET /open?SECRET HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("in the fragment", "GET /a#SECRET HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("in the host", "GET /a HTTP/1.1\r\nHost: SECRET@a\r\n\r\n".to_owned()),
        ("in a denied body", post("/a", "Content-Length: 45\r\n\r\nSECRET")),
        ("in a body", post("/open", "Content-Length: 45\r\n\r\nSECRET")),
        ("in a body that expects", post("/a", "Expect: 100-continue\r\nContent-Length: 45\r\n\r\nSECRET")),
        ("in a chunk", post("/open", "Transfer-Encoding: chunked\r\n\r\n2d\r\nSECRET\r\n0\r\n\r\n")),
        ("in a chunk's size", post("/open", "Transfer-Encoding: chunked\r\n\r\nSECRET\r\n")),
        (
            "in a chunk's extension",
            post("/open", "Transfer-Encoding: chunked\r\n\r\n1;SECRET\r\na\r\n0\r\n\r\n"),
        ),
        ("behind a chunk", post("/open", "Transfer-Encoding: chunked\r\n\r\n1\r\naSECRET\r\n0\r\n\r\n")),
        (
            "in a trailer",
            post("/open", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-API-Key: SECRET\r\n\r\n"),
        ),
        (
            "in a trailer that is none",
            post("/open", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nSECRET\r\n\r\n"),
        ),
        ("as a length", post("/a", "Content-Length: SECRET\r\n\r\n")),
        ("as an encoding", post("/a", "Transfer-Encoding: SECRET\r\n\r\n")),
        ("as an expectation", post("/a", "Expect: SECRET\r\nContent-Length: 1\r\n\r\na")),
        ("as a connection option", get("Connection: SECRET\r\n")),
        ("as an upgrade", get("Connection: Upgrade\r\nUpgrade: SECRET\r\n")),
        ("as a forwarded address", get("X-Forwarded-For: SECRET\r\nForwarded: for=SECRET\r\n")),
        ("as a request id", get("X-Sidegate-Request-Id: SECRET\r\n")),
        ("in a name", get("X-SECRET: x\r\n")),
        ("in a name that is none", get("X SECRET: x\r\n")),
        ("before a colon", get("X-API-Key : SECRET\r\n")),
        ("in a folded line", get("X-API-Key:\r\n SECRET\r\n")),
        ("behind a NUL", get("X-API-Key: a\0SECRET\r\n")),
        ("in a first line that is none", "GET(/a?SECRET HTTP/1.1\r\n\r\n".to_owned()),
        ("as a first line", "SECRET\r\n\r\n".to_owned()),
        ("as a version", "GET /a HTTP/1.1SECRET\r\nHost: a\r\n\r\n".to_owned()),
        ("in a target of controls", "GET /a?SECRET\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("in a head that is too large", long(&get("X-API-Key: SECRET\r\nX-Long: LONG\r\n"))),
        ("at the end of a head that is too large", long(&get("X-Long: LONGSECRET\r\n"))),
        ("in a target that is too long", long("GET /a?SECRETLONG HTTP/1.1\r\nHost: a\r\n\r\n")),
        ("in one of too many headers", get(&("X-Many: SECRET\r\n".repeat(101)))),
        ("in a head that does not end", "GET /a HTTP/1.1\r\nHost: a\r\nX-API-Key: SECRET".to_owned()),
        ("over TLS", "\u{16}\u{3}\u{1}\u{2}SECRET".to_owned()),
        ("in an answer's head", "GET /open/header?SECRET HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("as an answer's length", "GET /open/length?SECRET HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("as an answer", "GET /open/garbage?SECRET HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (
            "in an answer's trailer",
            "GET /open/trailer?SECRET HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n".to_owned(),
        ),
        ("in an answer that breaks off", "GET /open/broken?SECRET HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("behind an answer", "GET /open/more?SECRET HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("in an answer that switches", "GET /open/switch?SECRET HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
    ];
    // A slash would end the user.
    let user = way("in the URL's user", |secret| {
        let secret = secret.replace('/', "%2F");
        format!("GET http://u:{secret}@a/x HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
    });
    let texts = texts.into_iter();
    texts
        .map(|(name, text)| way(name, |secret| text.replace("SECRET", secret).into_bytes()))
        .chain([user])
        .collect()
}

/// All ways of HTTP/2 but those of a good key.
pub(crate) fn http2() -> Vec<Way> {
    let asked = [(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":authority", "a")];
    let with = |name: &'static str, value: String| {
        let mut fields: Vec<_> =
            asked.iter().filter(|(other, _)| *other != name).map(|(n, v)| (*n, (*v).to_owned())).collect();
        // What belongs in front stands in front.
        let at = if name.starts_with(':') { 0 } else { fields.len() };
        fields.insert(at, (name, value));
        fields
    };
    let cases: [(&'static str, &'static str, &str); 12] = [
        ("h2: malformed", "x-api-key", "SECRET"),
        ("h2: as Bearer", "authorization", "Bearer SECRET"),
        ("h2: in a cookie", "cookie", "SECRET"),
        ("h2: in the query", ":path", "/a?SECRET"),
        ("h2: in a path that is none", ":path", "/a?SECRET\u{7f}"),
        ("h2: in a path without a slash", ":path", "SECRET"),
        ("h2: in the user", ":authority", "u:SECRET@a"),
        ("h2: in an authority that is none", ":authority", "SECRET /@a"),
        ("h2: as a scheme", ":scheme", "SECRET"),
        ("h2: as TE", "te", "SECRET"),
        ("h2: as a connection option", "connection", "SECRET"),
        ("h2: in a name that is none", "X-Upper", "SECRET"),
    ];
    let mut ways: Vec<_> = cases
        .into_iter()
        .map(|(name, field, value)| {
            way(name, |secret| stream(&with(field, value.replace("SECRET", secret)), None))
        })
        .collect();
    ways.push(way("h2: in a head that is too large", |secret| {
        stream(&with("x-api-key", secret.repeat(300)), None)
    }));
    ways.push(way("h2: in a body", |secret| stream(&with(":method", "POST".to_owned()), Some(secret))));
    ways.push(way("h2: in a body that is too long", |secret| {
        let mut fields = with(":method", "POST".to_owned());
        fields.push(("content-length", "1".to_owned()));
        stream(&fields, Some(secret))
    }));
    ways.push(way("h2: as a frame", |secret| [HTTP2, secret.as_bytes()].concat()));
    ways.push(way("h2: as a pong", |secret| {
        [HTTP2, &frame(kind::PING, ACK, 0, &secret.as_bytes()[..8])].concat()
    }));
    ways.push(way("h2: where it leaves", |secret| {
        [HTTP2, &frame(kind::GOAWAY, 0, 0, &[&[0; 8], secret.as_bytes()].concat())].concat()
    }));
    ways
}

fn way(name: &'static str, bytes: impl FnOnce(&str) -> Vec<u8>) -> Way {
    let secret = canary();
    Way { name, bytes: bytes(&secret), secret }
}

/// A connection with one request.
pub(crate) fn stream(fields: &[(&str, String)], body: Option<&str>) -> Vec<u8> {
    let fields: Vec<Field<'_>> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let block = block(&fields);
    let mut parts = block.chunks(16_384).peekable();
    let mut bytes = HTTP2.to_vec();
    let (mut kind, mut flags) = (kind::HEADERS, if body.is_none() { END_STREAM } else { 0 });
    while let Some(part) = parts.next() {
        flags |= if parts.peek().is_none() { END_HEADERS } else { 0 };
        bytes.extend(frame(kind, flags, 1, part));
        (kind, flags) = (kind::CONTINUATION, 0);
    }
    bytes.extend(body.iter().flat_map(|body| data(1, END_STREAM, body.as_bytes())));
    bytes
}
