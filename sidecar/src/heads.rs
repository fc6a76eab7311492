//! Every kind of head that the HTTP library lets reach us although servers differ about it: what
//! the app receives of it, or with which words it is refused. HTTP/1 first, then HTTP/2.

use http::{HeaderName, HeaderValue, Method, Request, Uri, Version, request::Parts};
use sidegate_bundle::{GateBundle, denial::Denial, gate::Access};

use crate::{
    builders::{api_key, matching, now, peer, prefix, quickstart, rule},
    decide,
    index::Index,
    request_id::RequestId,
    rewrite,
};

/// `/me` needs a key, the rest nothing.
fn gate() -> Index {
    let mut bundle = GateBundle { methods: vec!["PROPFIND".to_owned()], ..quickstart() };
    bundle.api_keys.bearer = true;
    bundle.rules = vec![
        rule("me", vec![matching(prefix("/me"), &[])], Access::Authenticated),
        rule("all", vec![], Access::Anonymous),
    ];
    Index::new(&bundle)
}

/// The request line and headers that the app receives, ours left out; or status and detail of the
/// refusal.
fn outcome(head: Parts) -> String {
    let index = gate();
    match decide(&index, &head, now()).verdict {
        Err(denial) => {
            let answer = denial.answer(Some(index.face()));
            match denial {
                Denial::InvalidKey(..) => format!("{} {}", answer.status, denial.word()),
                _ => format!("{} {}", answer.status, answer.detail),
            }
        }
        Ok(permit) => {
            let head = rewrite::rewrite(&permit, &index, head, &peer("192.0.2.7"), &RequestId::new(1));
            let head = head.into_head();
            let mut lines = vec![format!("{} {}", head.method, head.uri)];
            let theirs = head.headers.iter().filter(|(name, _)| {
                let name = name.as_str();
                name != "x-forwarded-for" && (!name.starts_with("x-sidegate-") || name.ends_with("-subject"))
            });
            let theirs =
                theirs.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
            let mut theirs: Vec<_> = theirs.collect();
            theirs.sort_by_key(|line| (!line.starts_with("host: "), line.clone()));
            lines.extend(theirs);
            lines.join(" | ")
        }
    }
}

fn made(version: Version, method: &str, uri: Uri, headers: &[(&str, &[u8])]) -> Parts {
    let mut head = Request::new(()).into_parts().0;
    (head.version, head.uri) = (version, uri);
    head.method = Method::from_bytes(method.as_bytes()).unwrap();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        head.headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    head
}

/// One row: a name, method and target, headers, outcome.
type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a [u8])], &'a str);

const HOST: (&str, &[u8]) = ("host", b"api");
const PASSES: &str = "GET /p | host: api";
const NO_PATH: &str = "400 the request target is not a path";
const BAD_HOST: &str = "400 the Host is not a name or address with an optional port";
const BAD_TE: &str = "400 the only Transfer-Encoding served is chunked";
const NOT_SERVED: &str = "405 this method is not served here";

#[test]
fn of_every_http_1_head_the_app_receives_one_form_or_nothing() {
    let rows: &[Row<'_>] = &[
        // Framing.
        (
            "09 length with zeros",
            "POST /p",
            &[HOST, ("content-length", b"003")],
            "POST /p | host: api | content-length: 3",
        ),
        (
            "10 length empty",
            "POST /p",
            &[HOST, ("content-length", b"")],
            "400 the Content-Length is not a number",
        ),
        (
            "14 chunked twice",
            "POST /p",
            &[HOST, ("transfer-encoding", b"chunked"), ("transfer-encoding", b"chunked")],
            "400 more than one Transfer-Encoding",
        ),
        ("17 gzip, chunked", "POST /p", &[HOST, ("transfer-encoding", b"gzip, chunked")], BAD_TE),
        ("17 gzip", "POST /p", &[HOST, ("transfer-encoding", b"gzip")], BAD_TE),
        (
            "19 CHUNKED",
            "POST /p",
            &[HOST, ("transfer-encoding", b"CHUNKED")],
            "POST /p | host: api | transfer-encoding: chunked",
        ),
        ("20 tab-padded", "POST /p", &[HOST, ("transfer-encoding", b"\tchunked\t")], BAD_TE),
        (
            "24 underscore beside length",
            "POST /p",
            &[HOST, ("transfer_encoding", b"chunked"), ("content-length", b"3")],
            "POST /p | host: api | content-length: 3",
        ),
        (
            "25 a body on GET",
            "GET /p",
            &[HOST, ("content-length", b"3")],
            "GET /p | host: api | content-length: 3",
        ),
        (
            "26 a chunked body on GET",
            "GET /p",
            &[HOST, ("transfer-encoding", b"chunked")],
            "GET /p | host: api | transfer-encoding: chunked",
        ),
        (
            "39 trailers announced",
            "POST /p",
            &[HOST, ("trailer", b"x-sidegate-subject"), ("te", b"trailers")],
            "POST /p | host: api",
        ),
        // Names and values.
        (
            "48 underscore",
            "GET /p",
            &[HOST, ("x_sidegate_subject", b"admin"), ("script_name", b"/admin")],
            PASSES,
        ),
        ("49 odd names", "GET /p", &[HOST, ("!#$%&'*+.^`|~", b"1"), ("x.y", b"1")], PASSES),
        (
            "53 high bytes in a value",
            "GET /p",
            &[HOST, ("x-name", b"\xe9")],
            "GET /p | host: api | x-name: \u{fffd}",
        ),
        ("53 high bytes in a key", "GET /me", &[HOST, ("x-api-key", b"\xe9")], "403 malformed_key"),
        (
            "53 high bytes in a bearer",
            "GET /me",
            &[HOST, ("authorization", b"Bearer \xe9")],
            "401 malformed_key",
        ),
        // Host and target.
        ("55 no Host", "GET /p", &[], "400 there is no Host"),
        ("56 Host twice, same", "GET /p", &[HOST, HOST], "400 more than one Host"),
        ("57 Host twice, other", "GET /p", &[HOST, ("host", b"b")], "400 more than one Host"),
        ("58 Host empty", "GET /p", &[("host", b"")], BAD_HOST),
        ("59 Host malformed", "GET /p", &[("host", b"a/b?c @d")], BAD_HOST),
        ("59 Host with userinfo", "GET /p", &[("host", b"u@api")], BAD_HOST),
        ("60 absolute-form", "GET http://api/p?q", &[HOST], "GET /p?q | host: api"),
        ("60 absolute-form without a path", "GET http://api", &[HOST], "GET / | host: api"),
        (
            "61 absolute-form, other host",
            "GET http://evil/p",
            &[HOST],
            "400 the request target names another host than Host",
        ),
        (
            "61 absolute-form, userinfo",
            "GET http://u@api/p",
            &[HOST],
            "400 the request target's authority is not a name or address with an optional port",
        ),
        (
            "62 absolute-form, ftp",
            "GET ftp://api/p",
            &[HOST],
            "400 the request target is of another scheme than http and https",
        ),
        ("63 authority-form", "GET api:80", &[HOST], NO_PATH),
        ("64 CONNECT", "CONNECT api:80", &[HOST], NOT_SERVED),
        ("65 CONNECT with a path", "CONNECT /p", &[HOST], NOT_SERVED),
        ("66 OPTIONS *", "OPTIONS *", &[HOST], "OPTIONS * | host: api"),
        ("67 GET *", "GET *", &[HOST], NO_PATH),
        ("78 no slash", "GET p", &[HOST], NO_PATH),
        // Methods.
        ("72 lower case", "get /p", &[HOST], NOT_SERVED),
        ("72 mixed case", "Post /p", &[HOST], NOT_SERVED),
        ("72 TRACE", "TRACE /p", &[HOST], NOT_SERVED),
        ("72 not listed", "REPORT /p", &[HOST], NOT_SERVED),
        ("72 listed", "PROPFIND /p", &[HOST], "PROPFIND /p | host: api"),
        // Paths.
        ("83 backslash", "GET /a\\..\\b", &[HOST], "400 the path has a backslash"),
        (
            "86 bad percent",
            "GET /%zz/%",
            &[HOST],
            "400 the path has a percent sign without two hexadecimal digits",
        ),
        ("87 dots", "GET /x/../p", &[HOST], PASSES),
        ("87 encoded dots", "GET /x/%2e%2E/p", &[HOST], PASSES),
        ("87 two slashes", "GET /x/..//p", &[HOST], "400 the path has two slashes in a row"),
        ("87 two slashes first", "GET //evil/p", &[HOST], "400 the path has two slashes in a row"),
        ("88 question marks", "GET /p??a=//..;%2f", &[HOST], "GET /p??a=//..;%2f | host: api"),
        // What asks something of the server or of the hop.
        ("90 Expect", "POST /p", &[HOST, ("expect", b"100-continue")], "POST /p | host: api"),
        (
            "91 Expect, nonsense",
            "POST /p",
            &[HOST, ("expect", b"200-nonsense")],
            "417 the only expectation served is 100-continue",
        ),
        (
            "92 h2c",
            "GET /p",
            &[
                HOST,
                ("connection", b"Upgrade, HTTP2-Settings"),
                ("upgrade", b"h2c"),
                ("http2-settings", b"AAMAAABk"),
            ],
            PASSES,
        ),
        (
            "93 Connection names ours",
            "GET /p",
            &[
                HOST,
                ("connection", b"x-sidegate-subject, x-sidegate-scopes"),
                ("x-sidegate-subject", b"admin"),
            ],
            PASSES,
        ),
        (
            "93 Connection names Host",
            "GET /p",
            &[HOST, ("connection", b"host")],
            "400 Connection names a header that must be kept",
        ),
        (
            "identity in headers",
            "GET /p",
            &[
                HOST,
                ("x-sidegate-subject", b"a"),
                ("x-sidegate-subject", b"b"),
                ("X-Forwarded-User", b"a"),
                ("remote-user", b"a"),
            ],
            PASSES,
        ),
        (
            "another method asked for",
            "POST /p",
            &[
                HOST,
                ("x-http-method-override", b"DELETE"),
                ("x-original-url", b"/admin"),
                ("x-rewrite-url", b"/admin"),
            ],
            "POST /p | host: api",
        ),
    ];
    for (name, line, headers, expected) in rows {
        let (method, target) = line.split_once(' ').unwrap();
        let head = made(Version::HTTP_11, method, target.parse().unwrap(), headers);
        assert_eq!(outcome(head), *expected, "{name}");
    }
    let raw = Uri::from_maybe_shared(&b"/\xc3\xa9"[..]).unwrap();
    let outside = "400 the path has bytes outside printable ASCII: percent-encode them";
    assert_eq!(outcome(made(Version::HTTP_11, "GET", raw, &[HOST])), outside, "81 raw UTF-8");
    let old = made(Version::HTTP_10, "GET", "/p".parse().unwrap(), &[HOST, ("connection", b"keep-alive")]);
    assert_eq!(outcome(old), PASSES, "77 HTTP/1.0");
    let old = made(Version::HTTP_10, "GET", "/p".parse().unwrap(), &[]);
    assert_eq!(outcome(old), "400 there is no Host", "77 HTTP/1.0 without Host");
}

/// One row: a name, method, scheme, authority, path, headers, outcome.
type H2Row<'a> = (&'a str, &'a str, Option<(&'a str, &'a str)>, &'a str, &'a [(&'a str, &'a [u8])], &'a str);

#[test]
fn of_every_http_2_head_the_app_receives_one_form_or_nothing() {
    let api = Some(("http", "api"));
    let other = "400 the request target names another host than Host";
    let malformed = "400 the :authority is not a name or address with an optional port";
    let scheme = "400 the request target is of another scheme than http and https";
    let rows: &[H2Row<'_>] = &[
        ("plain", "GET", api, "/p?q", &[], "GET /p?q | host: api"),
        ("with a port", "GET", Some(("http", "api:8080")), "/p", &[], "GET /p | host: api:8080"),
        (
            "https, as a proxy says that ended TLS",
            "GET",
            Some(("https", "api")),
            "/p",
            &[("host", b"api:443")],
            PASSES,
        ),
        ("host, same", "GET", api, "/p", &[("host", b"API:80")], PASSES),
        ("host, other", "GET", api, "/p", &[("host", b"evil")], other),
        ("host twice", "GET", api, "/p", &[HOST, HOST], "400 more than one Host"),
        ("host empty", "GET", api, "/p", &[("host", b"")], BAD_HOST),
        ("neither", "GET", None, "/p", &[], "400 there is no :authority"),
        ("host alone", "GET", None, "/p", &[HOST], "400 there is no :authority"),
        ("userinfo", "GET", Some(("http", "u@api")), "/p", &[], malformed),
        ("scheme file", "GET", Some(("file", "api")), "/p", &[], scheme),
        ("path *", "GET", api, "*", &[], NO_PATH),
        ("OPTIONS *", "OPTIONS", api, "*", &[], "OPTIONS * | host: api"),
        ("two slashes", "GET", api, "//evil/p", &[], "400 the path has two slashes in a row"),
        ("backslash", "GET", api, "/a\\b", &[], "400 the path has a backslash"),
        ("CONNECT", "CONNECT", api, "/p", &[], NOT_SERVED),
        ("underscore", "GET", api, "/p", &[("x_sidegate_subject", b"admin")], PASSES),
        ("a key with outer space", "GET", api, "/me", &[("x-api-key", b" k ")], "403 malformed_key"),
        (
            "a bearer with outer space",
            "GET",
            api,
            "/me",
            &[("authorization", b" Bearer k")],
            "401 malformed_key",
        ),
        (
            "authorization twice",
            "GET",
            api,
            "/me",
            &[("authorization", b"Bearer k"), ("authorization", b"Bearer k")],
            "400 send one credential, once",
        ),
        ("te", "GET", api, "/p", &[("te", b"trailers")], PASSES),
        (
            "gRPC",
            "POST",
            api,
            "/p",
            &[("te", b"trailers"), ("content-type", b"application/grpc+proto")],
            "POST /p | host: api | content-type: application/grpc+proto | te: trailers",
        ),
        (
            "cookies",
            "GET",
            api,
            "/p",
            &[("cookie", b"a=1"), ("cookie", b"b=2")],
            "GET /p | host: api | cookie: a=1; b=2",
        ),
        ("identity", "GET", api, "/p", &[("x-sidegate-subject", b"admin")], PASSES),
    ];
    for (name, method, front, path, headers, expected) in rows {
        let uri = match front {
            Some((scheme, authority)) => {
                Uri::builder().scheme(*scheme).authority(*authority).path_and_query(*path).build().unwrap()
            }
            None => path.parse().unwrap(),
        };
        assert_eq!(outcome(made(Version::HTTP_2, method, uri, headers)), *expected, "{name}");
    }
}

#[test]
fn a_key_is_taken_from_one_place_whatever_the_version() {
    let key = api_key("ci");
    let bearer = format!("Bearer {}", key.expose());
    let told = "GET /me | host: api | x-sidegate-subject: key:team-a.ci";
    let http2 = Uri::from_static("http://api/me");
    for (version, uri) in [(Version::HTTP_11, Uri::from_static("/me")), (Version::HTTP_2, http2)] {
        for credential in [("x-api-key", key.expose().as_bytes()), ("authorization", bearer.as_bytes())] {
            let head = made(version, "GET", uri.clone(), &[HOST, credential]);
            assert_eq!(outcome(head), told, "{version:?} {}", credential.0);
        }
    }
}
