//! Heads with two readings, by tables.

use super::*;
use crate::builders::{head, plain_head};

fn word(head: &Parts) -> String {
    match refuse(head, &Methods::new(&["PROPFIND".to_owned()])) {
        Ok(Some(_)) => "fine".to_owned(),
        Ok(None) => "not listed".to_owned(),
        Err(Denial::DoubtfulRequest(why)) => why.to_owned(),
        Err(denial) => denial.word().to_owned(),
    }
}

fn with(headers: &[(&str, &str)]) -> String {
    word(&head("POST", "/", headers))
}

#[test]
fn a_method_is_served_or_could_be_or_never_is() {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        assert_eq!(word(&plain_head(method, "/")), "fine", "{method}");
    }
    for method in ["GETT", "QUERY", "M-SEARCH"] {
        assert_eq!(word(&plain_head(method, "/")), "not listed", "{method}");
    }
    for method in ["CONNECT", "TRACE", "get", "Get", "propfind", "GET1", "GE_T", "-", "A-", "$"] {
        assert_eq!(word(&plain_head(method, "/")), "method_not_allowed", "{method}");
    }
    assert_eq!(word(&plain_head("CONNECT", "a:80")), "method_not_allowed");
}

#[test]
fn there_is_one_well_formed_host() {
    for host in [
        "api",
        "api.example.com",
        "API.example.com",
        "my_app.ns",
        "api:80",
        "api:65535",
        "1.2.3.4",
        "1.2.3.4:8080",
        "[::1]",
        "[2001:db8::1]:443",
        "[::ffff:1.2.3.4]",
    ] {
        assert_eq!(with(&[("host", host)]), "fine", "{host}");
    }
    for host in [
        "",
        " ",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "u@a",
        "a,b",
        "a:b",
        "a:",
        ":80",
        "a:80:80",
        "a:65536",
        "a:+8",
        "a:-1",
        "[::1",
        "::1",
        "[]",
        "[1.2.3.4]",
        "[::1%25eth0]",
        "[::1]x",
        "[::1]x:80",
        "x[::1]",
        "a%2fb",
        "a\\b",
    ] {
        assert_eq!(with(&[("host", host)]), MALFORMED_HOST, "{host}");
    }
    assert_eq!(word(&head("GET", "/", &[("host", b"\xe9".as_slice())])), MALFORMED_HOST);
    assert_eq!(with(&[("host", "api"), ("host", "api")]), "more than one Host");
    assert_eq!(with(&[("host", "api"), ("host", "b")]), "more than one Host");
}

#[test]
fn without_host_nothing_is_served_in_http_1_0_either() {
    for version in [Version::HTTP_10, Version::HTTP_11] {
        let mut head = plain_head("GET", "/");
        head.version = version;
        assert_eq!(word(&head), "fine");
        head.headers.remove(header::HOST);
        assert_eq!(word(&head), "there is no Host");
    }
}

#[test]
fn other_versions_are_not_served() {
    for version in [Version::HTTP_09, Version::HTTP_3] {
        let mut head = plain_head("GET", "/");
        head.version = version;
        assert_eq!(word(&head), "only HTTP/1.0, HTTP/1.1 and HTTP/2 are served here");
    }
}

#[test]
fn the_target_is_a_path_or_says_what_host_says() {
    let (other_host, no_path) =
        ("the request target names another host than Host", "the request target is not a path");
    let malformed = "the request target's authority is not a name or address with an optional port";
    let scheme = "the request target is of another scheme than http and https";
    for (method, target, host, expected) in [
        ("GET", "/", "api", "fine"),
        ("GET", "/p?q", "api", "fine"),
        ("OPTIONS", "*", "api", "fine"),
        ("GET", "*", "api", no_path),
        ("GET", "a:80", "api", no_path),
        ("GET", "a", "api", no_path),
        ("GET", "http://api/p", "api", "fine"),
        ("GET", "http://API/p", "api", "fine"),
        ("GET", "http://api:80/p", "api", "fine"),
        ("GET", "http://api/p", "api:80", "fine"),
        ("GET", "https://api/p", "api:443", "fine"),
        ("GET", "http://[::1]:80/p", "[::1]", "fine"),
        ("GET", "http://api?q", "api", "fine"),
        ("GET", "https://api/p", "api:80", other_host),
        ("GET", "http://api:81/p", "api", other_host),
        ("GET", "http://evil/p", "api", other_host),
        ("GET", "http://api.evil/p", "api", other_host),
        ("GET", "http://u@api/p", "api", malformed),
        ("GET", "http://u:p@api/p", "api", malformed),
        ("GET", "http://api:/p", "api", malformed),
        ("GET", "ftp://api/p", "api", scheme),
        ("GET", "ws://api/p", "api", scheme),
    ] {
        assert_eq!(word(&head(method, target, &[("host", host)])), expected, "{method} {target} at {host}");
    }
}

#[test]
fn where_a_body_ends_is_beyond_doubt() {
    let not_chunked = "the only Transfer-Encoding served is chunked";
    for (headers, expected) in [
        (&[("transfer-encoding", "chunked")][..], "fine"),
        (&[("transfer-encoding", "CHUNKED")], "fine"),
        (&[("transfer-encoding", "gzip, chunked")], not_chunked),
        (&[("transfer-encoding", "chunked, chunked")], not_chunked),
        (&[("transfer-encoding", "identity")], not_chunked),
        (&[("transfer-encoding", "xchunked")], not_chunked),
        (&[("transfer-encoding", "")], not_chunked),
        (
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            "more than one Transfer-Encoding",
        ),
        (&[("content-length", "3")], "fine"),
        (&[("content-length", "003")], "fine"),
        (&[("content-length", "18446744073709551615")], "fine"),
        (&[("content-length", "18446744073709551616")], "the Content-Length is not a number"),
        (&[("content-length", "+3")], "the Content-Length is not a number"),
        (&[("content-length", "-1")], "the Content-Length is not a number"),
        (&[("content-length", "0x3")], "the Content-Length is not a number"),
        (&[("content-length", "3, 3")], "the Content-Length is not a number"),
        (&[("content-length", "")], "the Content-Length is not a number"),
        (&[("content-length", "3"), ("content-length", "3")], "more than one Content-Length"),
        (
            &[("content-length", "3"), ("transfer-encoding", "chunked")],
            "a Content-Length beside Transfer-Encoding",
        ),
    ] {
        assert_eq!(with(headers), expected, "{headers:?}");
    }
}

#[test]
fn the_only_expectation_is_100_continue() {
    for (headers, expected) in [
        (&[("expect", "100-continue")][..], "fine"),
        (&[("expect", "100-Continue")], "fine"),
        (&[("expect", "200-nonsense")], "expectation_failed"),
        (&[("expect", "")], "expectation_failed"),
        (&[("expect", "100-continue, x")], "expectation_failed"),
        (&[("expect", "100-continue"), ("expect", "100-continue")], "expectation_failed"),
    ] {
        assert_eq!(with(headers), expected, "{headers:?}");
    }
}

#[test]
fn connection_may_not_take_away_what_frames_or_routes() {
    for (connection, expected) in [
        ("keep-alive", "fine"),
        ("close, X-Sidegate-Subject", "fine"),
        ("TE, Upgrade", "fine"),
        (",, ,", "fine"),
        ("host", "Connection names a header that must be kept"),
        ("close, Content-Length", "Connection names a header that must be kept"),
        ("close,transfer-encoding", "Connection names a header that must be kept"),
        ("X-Forwarded-For", "Connection names a header that must be kept"),
        ("Forwarded", "Connection names a header that must be kept"),
        ("x-real-ip", "Connection names a header that must be kept"),
    ] {
        assert_eq!(with(&[("connection", connection)]), expected, "{connection}");
    }
    assert_eq!(
        with(&[("connection", "close"), ("connection", "Host")]),
        "Connection names a header that must be kept"
    );
}

#[test]
fn by_http2_there_are_so_many_headers_and_so_large() {
    let by_http2 = |path: &str, headers: &[(&str, &str)]| {
        let mut head = head("GET", &format!("http://api{path}"), headers);
        head.headers.remove(header::HOST);
        head.version = Version::HTTP_2;
        word(&head)
    };
    assert_eq!(by_http2("/", &[("x-a", "b"); 100]), "fine");
    assert_eq!(by_http2("/", &[("x-a", "b"); 101]), "head_too_large");
    // Four of the names of pseudo-headers, their values, a name; and 32 for each.
    let rest = ":method:scheme:authority:path".len() + "GEThttpapi/".len() + "x-a".len() + 5 * 32;
    let value = "b".repeat((32 << 10) - rest);
    assert_eq!(by_http2("/", &[("x-a", &value)]), "fine");
    assert_eq!(by_http2("/c", &[("x-a", &value)]), "head_too_large");
    assert_eq!(by_http2("/", &[("x-ab", &value)]), "head_too_large");
}
