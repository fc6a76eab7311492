//! Answers of ours, whole.

use http::Response;
use sidegate_bundle::{
    ScopeSet,
    denial::{KeyFault, Place, Unusable},
};

use super::*;
use crate::builders::quickstart;

fn text(response: &Response<Bytes>) -> String {
    let mut lines = vec![response.status().to_string()];
    lines.extend(
        response.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())),
    );
    lines.push(String::from_utf8(response.body().to_vec()).unwrap());
    lines.join("\n")
}

fn answer(denial: &Denial, bearer: bool) -> String {
    let mut bundle = quickstart();
    bundle.api_keys.bearer = bearer;
    text(&respond(denial, Some(&Index::new(&bundle)), &RequestId::new(0x0a)))
}

#[test]
fn answers_have_this_text() {
    let scopes =
        Denial::InsufficientScope { all: ScopeSet::parse(["apps:write"]).unwrap(), any: ScopeSet::default() };
    let answers = [
        answer(&Denial::MissingCredentials, true),
        answer(&Denial::InvalidKey(Place::KeyHeader, KeyFault::Unknown), false),
        answer(&scopes, true),
        answer(&Denial::MethodNotAllowed, false),
        answer(&Denial::DoubtfulRequest("more than one Host"), false),
        text(&respond(&Denial::NoBundle, None, &RequestId::new(0x0a))),
    ];
    insta::assert_snapshot!(answers.join("\n\n"));
}

#[test]
fn an_unknown_a_wrong_and_a_malformed_key_get_the_same_bytes() {
    for place in [Place::KeyHeader, Place::Authorization] {
        let answers = [KeyFault::Malformed, KeyFault::Unknown, KeyFault::WrongSecret]
            .map(|fault| answer(&Denial::InvalidKey(place, fault), true));
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0], answers[2]);
        let usable = answer(&Denial::KeyNotUsable(place, Unusable::Expired), true);
        assert_ne!(answers[0], usable, "the holder of a right key is told more");
    }
}

#[test]
fn a_connection_whose_next_request_nobody_can_find_is_closed() {
    for (denial, closes) in [
        (Denial::DoubtfulRequest("x"), true),
        (Denial::HeadTooLarge, true),
        (Denial::AmbiguousPath("x"), false),
        (Denial::MissingCredentials, false),
    ] {
        let response = respond(&denial, None, &RequestId::new(1));
        assert_eq!(response.headers().contains_key(header::CONNECTION), closes, "{denial:?}");
    }
}

#[test]
fn a_405_lists_the_methods_of_this_gate() {
    let bundle = sidegate_bundle::GateBundle { methods: vec!["PROPFIND".to_owned()], ..quickstart() };
    let response = respond(&Denial::MethodNotAllowed, Some(&Index::new(&bundle)), &RequestId::new(1));
    assert_eq!(response.headers()[header::ALLOW], "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, PROPFIND");
}
