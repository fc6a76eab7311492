//! Every denial and its answer, as one table that a person can read.

use std::collections::BTreeMap;

use super::*;
use crate::gate::GateName;

fn every() -> Vec<Denial> {
    let scopes = |texts: &[&str]| ScopeSet::parse(texts).unwrap();
    let mut all = vec![
        Denial::MissingCredentials,
        Denial::InsufficientScope { all: scopes(&["apps:read", "apps:write"]), any: ScopeSet::default() },
        Denial::InsufficientScope { all: ScopeSet::default(), any: scopes(&["a", "b"]) },
        Denial::InsufficientScope { all: scopes(&["c"]), any: scopes(&["a", "b"]) },
        Denial::TenantNotAllowed,
        Denial::TypeNotAllowed,
        Denial::NoRule,
        Denial::RuleNotUnderstood,
        Denial::AmbiguousCredentials,
        Denial::AmbiguousPath("the path has an encoded slash"),
        Denial::DoubtfulRequest("more than one Host"),
        Denial::MethodNotAllowed,
        Denial::ExpectationFailed,
        Denial::HeadTooLarge,
        Denial::TargetTooLong,
        Denial::HeadTimeout,
        Denial::BodyTimeout,
        Denial::AppUnavailable,
        Denial::NoBundle,
    ];
    for place in [Place::KeyHeader, Place::Authorization] {
        for fault in [KeyFault::Malformed, KeyFault::Unknown, KeyFault::WrongSecret] {
            all.push(Denial::InvalidKey(place, fault));
        }
        for unusable in [Unusable::Expired, Unusable::NotYetValid, Unusable::Suspended, Unusable::Revoked] {
            all.push(Denial::KeyNotUsable(place, unusable));
        }
    }
    all
}

fn bundle(headers: &[&str], bearer: bool, invalid_status: u16) -> GateBundle {
    let mut bundle = GateBundle::closed(GateName::new("dify", "api"));
    bundle.api_keys.headers = headers.iter().map(|&header| header.to_owned()).collect();
    bundle.api_keys.bearer = bearer;
    bundle.api_keys.invalid_status = invalid_status;
    bundle
}

#[test]
fn the_caller_receives_this() {
    let table = |bundle: Option<&GateBundle>| -> BTreeMap<String, String> {
        every()
            .iter()
            .map(|denial| {
                let Answer { status, challenges, retry_after, close, error, title, detail } =
                    denial.answer(bundle);
                let retry = retry_after.map(|seconds| format!(" retry={seconds}")).unwrap_or_default();
                let close = if close { " close" } else { "" };
                (
                    format!("{denial:?}"),
                    format!(
                        "{status}{retry}{close} {error} | {title} | {detail} | {}",
                        challenges.join(" & ")
                    ),
                )
            })
            .collect()
    };
    insta::assert_yaml_snapshot!("header_only", table(Some(&bundle(&["X-API-Key"], false, 403))));
    insta::assert_yaml_snapshot!("header_and_bearer_401", table(Some(&bundle(&["X-API-Key"], true, 401))));
    insta::assert_yaml_snapshot!("no_bundle", table(None));
}

#[test]
fn a_malformed_an_unknown_and_a_wrong_key_get_the_same_answer() {
    for bundle in [bundle(&["X-API-Key"], true, 403), bundle(&["X-API-Key"], true, 401)] {
        for place in [Place::KeyHeader, Place::Authorization] {
            let [malformed, unknown, wrong] = [KeyFault::Malformed, KeyFault::Unknown, KeyFault::WrongSecret]
                .map(|fault| Denial::InvalidKey(place, fault).answer(Some(&bundle)));
            assert_eq!(malformed, unknown);
            assert_eq!(unknown, wrong);
        }
    }
}

#[test]
fn no_challenge_names_a_way_that_the_gate_does_not_take() {
    for denial in every() {
        let answer = denial.answer(Some(&bundle(&[], false, 403)));
        let invalid_bearer = matches!(
            denial,
            Denial::InvalidKey(Place::Authorization, _) | Denial::KeyNotUsable(Place::Authorization, _)
        );
        assert!(answer.challenges.is_empty() || invalid_bearer, "{denial:?}: {:?}", answer.challenges);
    }
}

#[test]
fn a_realm_cannot_break_out_of_its_quotes() {
    let mut bundle = bundle(&["X-API-Key"], false, 403);
    bundle.realm = "a\", evil=\"b\\\r\nX: y".to_owned();
    let answer = Denial::MissingCredentials.answer(Some(&bundle));
    assert_eq!(answer.challenges, ["ApiKey realm=\"a, evil=bX: y\""]);
}

#[test]
fn a_body_is_problem_json_with_the_request_id() {
    let answer = Denial::NoRule.answer(None);
    assert_eq!(
        answer.body("id-1"),
        r#"{"title":"not allowed","status":403,"detail":"no rule allows this path and method","error":"no_rule","request_id":"id-1"}"#
    );
}
