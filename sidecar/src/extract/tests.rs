//! Which credential, by tables.

use super::*;
use crate::builders::{api_key, head};

fn places(headers: &[&str], bearer: bool) -> Places {
    Places::new(&KeyPolicy {
        headers: headers.iter().copied().map(str::to_owned).collect(),
        bearer,
        invalid_status: 403,
    })
}

/// What was found, in a word: the text, `unreadable`, `nothing` or `two`.
fn found(places: &Places, headers: &[(&str, &[u8])]) -> String {
    let head = head("GET", "/", headers);
    match extract(places, &head.headers) {
        Ok(None) => "nothing".to_owned(),
        Ok(Some(Presented { text, place: Place::KeyHeader })) => text.unwrap_or("unreadable").to_owned(),
        Ok(Some(Presented { text, place: Place::Authorization })) => {
            format!("bearer {}", text.unwrap_or("unreadable"))
        }
        Err(Denial::AmbiguousCredentials) => "two".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

#[test]
fn a_gate_that_takes_keys_in_headers_and_bearer() {
    let places = places(&["X-API-Key", "Api-Key"], true);
    for (headers, expected) in [
        (&[][..], "nothing"),
        (&[("x-api-key", &b"k"[..])], "k"),
        (&[("API-KEY", b"k")], "k"),
        (&[("x-api-key", b"")], "nothing"),
        (&[("x-api-key", b""), ("api-key", b"k")], "k"),
        (&[("x-api-key", b"k"), ("api-key", b"k")], "k"),
        (&[("x-api-key", b"k"), ("api-key", b"l")], "two"),
        (&[("x-api-key", b"k"), ("x-api-key", b"k")], "two"),
        (&[("x-api-key", b""), ("x-api-key", b"k")], "two"),
        (&[("x-api-key", b"k"), ("authorization", b"Bearer k")], "k"),
        (&[("x-api-key", b"k"), ("authorization", b"Bearer l")], "two"),
        (&[("x-api-key", b"k"), ("authorization", b"Basic bDps")], "k"),
        (&[("x-api-key", b"k"), ("authorization", b"Bearer")], "k"),
        (&[("authorization", b"Bearer k")], "bearer k"),
        (&[("authorization", b"bEARER k")], "bearer k"),
        (&[("authorization", b"Bearer")], "nothing"),
        (&[("authorization", b"Bearer ")], "nothing"),
        (&[("authorization", b"Bearer  ")], "nothing"),
        (&[("authorization", b"Bearer  k")], "bearer unreadable"),
        (&[("authorization", b"Bearer\tk")], "bearer unreadable"),
        (&[("authorization", b" Bearer k")], "bearer unreadable"),
        (&[("authorization", b"Bearer k ")], "bearer unreadable"),
        (&[("authorization", b"Bearer k l")], "bearer k l"),
        (&[("authorization", b"Bearerk")], "nothing"),
        (&[("authorization", b"Bearer,k")], "nothing"),
        (&[("authorization", b"Basic bDps")], "nothing"),
        (&[("authorization", b"Bea")], "nothing"),
        (&[("authorization", b"Bearer k"), ("authorization", b"Bearer k")], "two"),
        (&[("authorization", b"Basic bDps"), ("authorization", b"Bearer k")], "two"),
        (&[("authorization", b"Basic bDps"), ("authorization", b"Digest x")], "nothing"),
        (&[("x-api-key", b" k")], "unreadable"),
        (&[("x-api-key", b"k ")], "unreadable"),
        (&[("x-api-key", b"k  l")], "unreadable"),
        (&[("x-api-key", b"k\tl")], "unreadable"),
        (&[("x-api-key", b"k\xe9")], "unreadable"),
        (&[("x-api-key", b" ")], "unreadable"),
        (&[("x-api-key", b"k l")], "k l"),
        (&[("x_api_key", b"k"), ("cookie", b"x-api-key=k")], "nothing"),
    ] {
        assert_eq!(found(&places, headers), expected, "{headers:?}");
    }
}

#[test]
fn a_bearer_is_the_apps_where_the_gate_takes_none() {
    let places = places(&["X-API-Key"], false);
    let key = api_key("ci");
    let ours = format!("Bearer {}", key.expose());
    for authorization in [&b"Bearer app-1"[..], b"Bearer", b"Basic bDps", ours.as_bytes()] {
        assert_eq!(found(&places, &[("authorization", authorization)]), "nothing");
        let both = [("authorization", authorization), ("x-api-key", b"k")];
        assert_eq!(found(&places, &both), "k");
        let twice = [("authorization", authorization), ("authorization", authorization), ("x-api-key", b"k")];
        assert_eq!(found(&places, &twice), "k");
    }
}

#[test]
fn headers_that_frame_or_route_a_request_never_carry_keys() {
    let places =
        places(&["Host", "Content-Length", "Authorization", "Cookie", "not a name", "X-API-Key"], false);
    assert_eq!(places.headers.as_ref(), [HeaderName::from_static("x-api-key")]);
}

#[test]
fn a_gate_may_take_no_keys() {
    assert_eq!(found(&places(&[], false), &[("x-api-key", b"k"), ("authorization", b"Bearer k")]), "nothing");
}

#[test]
fn ours_is_what_a_key_could_stand_in() {
    let (with, without) = (places(&["X-API-Key"], true), places(&["X-API-Key"], false));
    for (name, value, with_bearer, without_bearer) in [
        ("x-api-key", "anything", true, true),
        ("api-key", "anything", false, false),
        ("authorization", "Bearer k", true, false),
        ("authorization", " bearer\tk", true, false),
        ("authorization", "Bearer", true, false),
        ("authorization", "Basic bDps", false, false),
    ] {
        let head = head("GET", "/", &[(name, value)]);
        let name = name.parse().unwrap();
        let ours = |places: &Places| places.is_key_header(&name) || places.has_bearer(&head.headers);
        assert_eq!((ours(&with), ours(&without)), (with_bearer, without_bearer), "{name}: {value}");
    }
}

#[test]
fn what_was_presented_is_never_shown() {
    let presented = Presented { text: Some("sesame"), place: Place::KeyHeader };
    assert!(!format!("{presented:?}").contains("sesame"));
}
