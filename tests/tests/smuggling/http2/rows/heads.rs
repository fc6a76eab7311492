//! Heads in one frame: what is in them.

use sidegate_tests::raw_http2::{Field, data, headers, request};

use super::{ABC, BAD, METHOD, OK, Row, Seen, get, head, post, row};
use crate::table::INNER;

pub(super) fn pseudo_headers() -> Vec<Row> {
    let (method, scheme): (Field<'_>, Field<'_>) = ((b":method", b"GET"), (b":scheme", b"http"));
    let (authority, path): (Field<'_>, Field<'_>) = ((b":authority", b"a"), (b":path", b"/p"));
    vec![
        head("all four", &[method, scheme, authority, path], OK),
        head("all four, in another order", &[path, authority, scheme, method], OK),
        head("no :method", &[scheme, authority, path], Seen::Reset),
        head("no :scheme", &[method, authority, path], Seen::Reset),
        head("no :path", &[method, scheme, authority], Seen::Reset),
        head("nothing at all", &[], Seen::Reset),
        head(":method twice", &[method, method, scheme, authority, path], Seen::Reset),
        head(":path twice", &[method, scheme, authority, path, path], Seen::Reset),
        head(":authority twice", &[method, scheme, authority, authority, path], Seen::Reset),
        head(":scheme twice", &[method, scheme, scheme, authority, path], Seen::Reset),
        head(":path behind a header", &[method, scheme, authority, (b"x-a", b"b"), path], Seen::Reset),
        get(":path once more, behind a header", &[(b"x-a", b"b"), (b":path", b"/admin")], Seen::Reset),
        get("an unknown pseudo-header", &[(b":foo", b"b")], Seen::Ended),
        get(":status in a request", &[(b":status", b"200")], Seen::Reset),
        get(":protocol on GET", &[(b":protocol", b"websocket")], Seen::Reset),
        head(":scheme https", &[method, (b":scheme", b"https"), authority, path], OK),
        head(":scheme file", &[method, (b":scheme", b"file"), authority, path], BAD),
        head(":scheme that is none", &[method, (b":scheme", b"ht tp"), authority, path], Seen::Reset),
        head(":scheme empty", &[method, (b":scheme", b""), authority, path], BAD),
        head(":scheme javascript", &[method, (b":scheme", b"javascript"), authority, path], BAD),
    ]
}

pub(super) fn authorities() -> Vec<Row> {
    let authority = |name, authority: &'static [u8], more: &[Field<'static>], seen| {
        let mut fields = request("GET", "/p", more);
        fields[2].1 = authority;
        head(name, &fields, seen)
    };
    let without = |name, more: &[Field<'static>], seen| {
        let mut fields = request("GET", "/p", more);
        fields.remove(2);
        head(name, &fields, seen)
    };
    vec![
        get("host beside :authority, the same", &[(b"host", b"a")], OK).telling(&[("host", &["a"])]),
        get("host with the default port", &[(b"host", b"A:80")], OK).telling(&[("host", &["a"])]),
        get("host beside :authority, another", &[(b"host", b"b")], BAD),
        get("host with another port", &[(b"host", b"a:81")], BAD),
        get("host empty beside :authority", &[(b"host", b"")], BAD),
        get("host twice, the same", &[(b"host", b"a"), (b"host", b"a")], BAD),
        get("host twice, different", &[(b"host", b"a"), (b"host", b"b")], BAD),
        get("host with a path", &[(b"host", b"a/b")], BAD),
        without("neither :authority nor host", &[], BAD),
        without("host instead of :authority", &[(b"host", b"a")], BAD),
        authority(":authority empty", b"", &[], Seen::Reset),
        authority(":authority empty, and a host", b"", &[(b"host", b"a")], Seen::Reset),
        authority(":authority with user information", b"u@a", &[], BAD),
        authority(":authority with user information, and a host", b"u@a", &[(b"host", b"a")], BAD),
        authority(":authority with a path", b"a/b", &[], Seen::Reset),
        authority(":authority with a query", b"a?b", &[], Seen::Reset),
        authority(":authority with a space", b"a b", &[], Seen::Reset),
        authority(":authority as a list", b"a,b", &[], BAD),
        authority(":authority with a port that is none", b"a:b", &[], BAD),
        authority(":authority with a high byte", b"a\xff", &[], Seen::Ended),
        authority(":authority of an address", b"[::1]:80", &[], OK).telling(&[("host", &["[::1]:80"])]),
        authority(":authority of an open bracket", b"[::1", &[], Seen::Reset),
    ]
}

pub(super) fn paths() -> Vec<Row> {
    let cases: [(&str, &[u8], Seen); 34] = [
        ("path empty", b"", Seen::Reset),
        ("path without a slash", b"p", Seen::Reset),
        ("path absolute", b"http://a/p", Seen::Reset),
        ("path absolute, of another host", b"http://b/p", Seen::Reset),
        ("path of an authority", b"a:80", Seen::Reset),
        ("path with a space", b"/p q", Seen::Reset),
        ("path that would end a request line", b"/p HTTP/1.1\r\nX-A: b\r\n\r\nGET /admin", Seen::Reset),
        ("path with a line feed", b"/p\n", Seen::Reset),
        ("path with a NUL", b"/p\0", Seen::Reset),
        ("path with a DEL", b"/p\x7f", Seen::Reset),
        ("path with a byte that is not UTF-8", b"/p\xff", Seen::Ended),
        ("path with raw UTF-8", "/\u{e9}".as_bytes(), BAD),
        ("path of an asterisk", b"*", BAD),
        ("path of two slashes", b"//evil/p", BAD),
        ("path with two slashes", b"/p//q", BAD),
        ("path with a backslash", b"/a\\..\\b", BAD),
        ("path with an encoded backslash", b"/a%5c..%5cb", BAD),
        ("path with an encoded slash", b"/a%2fb", BAD),
        ("path with a bad percent sign", b"/%zz/%", BAD),
        ("path with a semicolon", b"/a;x/p", BAD),
        ("path with an encoded line feed", b"/p%0a", BAD),
        ("path with an encoded NUL", b"/p%00", BAD),
        ("path with dots encoded twice", b"/a/%252e%252e/p", BAD),
        ("path with dot segments", b"/a/../p", OK),
        ("path with encoded dot segments", b"/a/%2e%2E/p", OK),
        ("path with an encoded letter", b"/%70", OK),
        ("path with a fragment", b"/p#f", OK),
        ("path with a fragment that climbs", b"/p#/../admin", OK),
        ("path of a fragment alone", b"#/p", Seen::One("GET", "/", "")),
        ("path of a query alone", b"?a", Seen::One("GET", "/?a", "")),
        ("path with a query and a fragment", b"/p?a#b", Seen::One("GET", "/p?a", "")),
        ("path with two question marks", b"/p??", Seen::One("GET", "/p??", "")),
        ("path with a quotation mark", b"/p\"", Seen::AtMostOne),
        ("path with a space in its query", b"/p?a b", Seen::Reset),
    ];
    let row = |(name, path, seen): (&'static str, &'static [u8], Seen)| {
        let mut fields = request("GET", "/p", &[]);
        fields[3].1 = path;
        head(name, &fields, seen)
    };
    cases.map(row).into()
}

pub(super) fn methods() -> Vec<Row> {
    let (connect, authority): (Field<'_>, Field<'_>) = ((b":method", b"CONNECT"), (b":authority", b"a:80"));
    let protocol = [
        connect,
        (b":protocol", b"websocket"),
        (b":scheme", b"http"),
        (b":authority", b"a"),
        (b":path", b"/p"),
        (b"sec-websocket-version", b"13"),
    ];
    vec![
        head("HEAD", &request("HEAD", "/p", &[]), Seen::One("HEAD", "/p", "")),
        head("DELETE", &request("DELETE", "/p", &[]), Seen::One("DELETE", "/p", "")),
        head("lower case", &request("get", "/p", &[]), METHOD),
        head("TRACE", &request("TRACE", "/p", &[]), METHOD),
        head("an unknown method", &request("BREW", "/p", &[]), METHOD),
        head("PRI", &request("PRI", "/p", &[]), METHOD),
        head("a method with a colon", &request("GE:T", "/p", &[]), Seen::Ended),
        head("a method that is a request line", &request("GET /admin HTTP/1.1", "/p", &[]), Seen::Ended),
        head("an empty method", &request("", "/p", &[]), Seen::Ended),
        head("OPTIONS of the server", &request("OPTIONS", "*", &[]), Seen::AtMostOne),
        head("CONNECT", &[connect, authority], METHOD),
        row(
            "CONNECT, and bytes for the tunnel",
            [headers(1, 0, &[connect, authority]), data(1, 0, INNER.as_bytes())].concat(),
            METHOD,
        ),
        head("CONNECT with a path", &request("CONNECT", "/p", &[]), Seen::Reset),
        head("extended CONNECT", &protocol, Seen::Reset),
        row("extended CONNECT that goes on", headers(1, 0, &protocol), Seen::Reset),
    ]
}

pub(super) fn names_and_values() -> Vec<Row> {
    vec![
        get("an upper-case name", &[(b"X-A", b"b")], Seen::Ended),
        get("a space in a name", &[(b"x a", b"b")], Seen::Ended),
        get("a space behind a name", &[(b"x-a ", b"b")], Seen::Ended),
        get("a colon in a name", &[(b"x-a:b", b"b")], Seen::Ended),
        get("a line feed in a name", &[(b"x-a: b\r\nx-b", b"b")], Seen::Ended),
        get("a high byte in a name", &[(b"x-\xe9", b"b")], Seen::Ended),
        get("an empty name", &[(b"", b"b")], Seen::Ended),
        get("a carriage return in a value", &[(b"x-a", b"b\rc")], Seen::Ended),
        get("a line feed in a value", &[(b"x-a", b"b\nx-sidegate-subject: root")], Seen::Ended),
        get(
            "a whole request in a value",
            &[(b"x-a", b"b\r\n\r\nGET /admin HTTP/1.1\r\nHost: a")],
            Seen::Ended,
        ),
        get("a NUL in a value", &[(b"x-a", b"b\0c")], Seen::Ended),
        get("high bytes in a value", &[(b"x-a", b"\xe9\xff")], OK),
        get("an empty value", &[(b"x-a", b"")], OK).telling(&[("x-a", &[""])]),
        get("a space before a value", &[(b"x-a", b" b")], OK).telling(&[("x-a", &["b"])]),
        get("blanks around a value", &[(b"x-a", b"\t b c \t")], OK).telling(&[("x-a", &["b c"])]),
        get("a value that is a blank", &[(b"x-a", b" ")], OK).telling(&[("x-a", &[""])]),
        get("a space behind a value", &[(b"x-a", b"b ")], OK).telling(&[("x-a", &["b"])]),
        get("an underscore in a name", &[(b"x_sidegate_subject", b"root")], OK),
        get("odd characters in a name", &[(b"x!#$%&'*+.^`|~", b"b")], OK),
        get("identity", &[(b"x-sidegate-subject", b"root"), (b"x-sidegate-scopes", b"all")], OK),
        get(
            "identity, spelled otherwise",
            &[(b"x_sidegate_tenant", b"root"), (b"x-sidegate.subject", b"root")],
            OK,
        ),
        get(
            "a request id",
            &[(b"x-sidegate-request-id", b"mine"), (b"x-sidegate-request-id", b"mine too")],
            OK,
        ),
        get(
            "what other proxies would say",
            &[
                (b"x-forwarded-user", b"root"),
                (b"remote-user", b"root"),
                (b"x-auth-request-email", b"root"),
                (b"x-original-url", b"/admin"),
                (b"x-http-method-override", b"DELETE"),
                (b"script-name", b"/admin"),
                (b"script_name", b"/admin"),
            ],
            OK,
        ),
        get("cookies", &[(b"cookie", b"a=1"), (b"x-a", b"b"), (b"cookie", b"b=2")], OK)
            .telling(&[("cookie", &["a=1; b=2"])]),
        get("a cookie of cookies", &[(b"cookie", b"a=1; b=2"), (b"cookie", b"a=3")], OK)
            .telling(&[("cookie", &["a=1; b=2; a=3"])]),
    ]
}

/// What only belongs to a connection of HTTP/1.
pub(super) fn of_one_connection() -> Vec<Row> {
    vec![
        post("transfer-encoding", &[(b"transfer-encoding", b"chunked")], Seen::Reset),
        post(
            "transfer-encoding beside a length",
            &[(b"content-length", b"3"), (b"transfer-encoding", b"chunked")],
            Seen::Reset,
        ),
        post("transfer_encoding", &[(b"transfer_encoding", b"chunked")], ABC),
        get("connection", &[(b"connection", b"x-sidegate-subject")], Seen::Reset),
        get("connection: close", &[(b"connection", b"close")], Seen::Reset),
        get("proxy-connection", &[(b"proxy-connection", b"keep-alive")], Seen::Reset),
        get("keep-alive", &[(b"keep-alive", b"timeout=5")], Seen::Reset),
        get("upgrade", &[(b"upgrade", b"h2c")], Seen::Reset),
        get("http2-settings", &[(b"http2-settings", b"AAMAAABkAAQAAP__")], OK),
        get("te: gzip", &[(b"te", b"gzip")], Seen::Reset),
        get("te: trailers, gzip", &[(b"te", b"trailers, gzip")], Seen::Reset),
        get("te: trailers", &[(b"te", b"trailers")], OK),
        get("trailer", &[(b"trailer", b"x-sidegate-subject")], OK),
        post("expecting 100-continue", &[(b"expect", b"100-continue")], ABC),
        post("expecting something else", &[(b"expect", b"200-nonsense")], Seen::Refused(417)),
    ]
}

/// The gate takes keys in `X-API-Key` and as a bearer's.
pub(super) fn credentials() -> Vec<Row> {
    vec![
        get(
            "authorization that is not ours, twice",
            &[(b"authorization", b"Basic a"), (b"authorization", b"Basic b")],
            OK,
        ),
        get(
            "bearers, twice the same",
            &[(b"authorization", b"Bearer a"), (b"authorization", b"Bearer a")],
            BAD,
        ),
        get(
            "a bearer and something else",
            &[(b"authorization", b"Basic a"), (b"authorization", b"Bearer a")],
            BAD,
        ),
        get("keys, twice the same", &[(b"x-api-key", b"a"), (b"x-api-key", b"a")], BAD),
        get("keys, the first empty", &[(b"x-api-key", b""), (b"x-api-key", b"a")], BAD),
        get("a key and another bearer", &[(b"x-api-key", b"a"), (b"authorization", b"Bearer b")], BAD),
    ]
}
