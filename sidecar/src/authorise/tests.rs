//! Holders against what rules need.

use jiff::Timestamp;
use sidegate_bundle::{
    GateBundle,
    denial::{KeyFault, Place, Unusable},
    gate::{Access, CredentialType, Key, Requirement},
};

use CredentialType::{App, Service};

use super::*;
use crate::{
    builders::{api_key, known_key, quickstart, rule},
    extract::Presented,
    index::Index,
    verify::verify,
};

fn bundle(accesses: Vec<Access>) -> GateBundle {
    let mut bundle = quickstart();
    bundle.rules = accesses.into_iter().map(|access| rule("r", vec![], access)).collect();
    bundle.keys = vec![
        known_key("ci", &["a", "b", "x"]),
        Key { tenant: "acme".to_owned(), kind: CredentialType::App, ..known_key("acme", &[]) },
    ];
    bundle
}

fn scope_set(scopes: &[&str]) -> ScopeSet {
    ScopeSet::parse(scopes).unwrap()
}

/// What a valid key named `name` gets at rules of these kinds, all of which match.
fn outcome(accesses: Vec<Access>, name: &str) -> Result<Option<String>, Denial> {
    let index = Index::new(&bundle(accesses));
    let key = api_key(name);
    let presented = Presented { text: Some(key.expose()), place: Place::KeyHeader };
    decided(&index, &verify(&index, Some(presented), Timestamp::UNIX_EPOCH))
}

fn decided(index: &Index, holder: &Holder) -> Result<Option<String>, Denial> {
    let target = Target::of(&"/".parse().unwrap(), sidegate_bundle::gate::Paths::default()).unwrap();
    // The first rule as the one that matches folded, the last as it is.
    let last = index.rules.len().checked_sub(1);
    let found = last.map(|rule| Found { rule, also: (rule > 0).then_some(0).into_iter().collect() });
    let judged = judge(&index.rules, found.as_ref(), holder).map_err(|refusal| refusal.denial);
    let permit = authorise(index.mode(), judged, holder, target)?;
    Ok(permit.principal().map(|principal| principal.subject.to_string()))
}

#[test]
fn a_requirement_is_met_in_all_its_parts_or_not_at_all() {
    let needs = |all: &[&str], any: &[&str], tenants: &[&str], types: &[CredentialType]| {
        Access::Require(Requirement {
            scopes: scope_set(all),
            any_scopes: scope_set(any),
            tenants: tenants.iter().copied().map(str::to_owned).collect(),
            types: types.iter().copied().collect(),
        })
    };
    let (ci, acme) = (Ok(Some("key:team-a.ci".to_owned())), Ok(Some("key:team-a.acme".to_owned())));
    let scopes = |all: &[&str], any: &[&str]| {
        Err(Denial::InsufficientScope { all: scope_set(all), any: scope_set(any) })
    };
    for (access, name, expected) in [
        (needs(&["a"], &[], &[], &[]), "ci", ci.clone()),
        (needs(&["a", "b"], &[], &[], &[]), "ci", ci.clone()),
        (needs(&["a", "c", "d"], &[], &[], &[]), "ci", scopes(&["c", "d"], &[])),
        (needs(&[], &["c", "b"], &[], &[]), "ci", ci.clone()),
        (needs(&[], &["c", "d"], &[], &[]), "ci", scopes(&[], &["c", "d"])),
        (needs(&["a"], &["c", "d"], &[], &[]), "ci", scopes(&[], &["c", "d"])),
        (needs(&["c"], &["a"], &[], &[]), "ci", scopes(&["c"], &[])),
        (needs(&["a"], &[], &[], &[]), "acme", scopes(&["a"], &[])),
        (needs(&[], &[], &["acme", "emca"], &[]), "acme", acme.clone()),
        (needs(&[], &[], &["acme", "emca"], &[]), "ci", Err(Denial::TenantNotAllowed)),
        (needs(&[], &[], &[], &[App]), "acme", acme.clone()),
        (needs(&[], &[], &[], &[App, Service]), "ci", ci.clone()),
        (needs(&[], &[], &[], &[App]), "ci", Err(Denial::TypeNotAllowed)),
        (needs(&["c"], &[], &["acme"], &[App]), "ci", scopes(&["c"], &[])),
        (needs(&["a"], &[], &["acme"], &[App]), "ci", Err(Denial::TenantNotAllowed)),
        (needs(&[], &[], &[], &[]), "ci", ci.clone()),
        (Access::Authenticated, "ci", ci),
        (Access::Authenticated, "acme", acme),
    ] {
        assert_eq!(outcome(vec![access.clone()], name), expected, "{name}: {access:?}");
    }
}

#[test]
fn of_two_rules_both_have_to_be_met() {
    let need =
        |scope: &str| Access::Require(Requirement { scopes: scope_set(&[scope]), ..Requirement::default() });
    let lacks =
        |scope: &str| Err(Denial::InsufficientScope { all: scope_set(&[scope]), any: scope_set(&[]) });
    for (folded, as_is, expected) in [
        (need("a"), need("b"), Ok(())),
        (need("a"), need("c"), lacks("c")),
        (need("c"), need("a"), lacks("c")),
        (need("c"), Access::Anonymous, lacks("c")),
        (Access::Anonymous, need("c"), lacks("c")),
        (Access::Anonymous, need("a"), Ok(())),
    ] {
        let found = outcome(vec![folded.clone(), as_is.clone()], "ci").map(|_| ());
        assert_eq!(found, expected, "{folded:?} and {as_is:?}");
    }
}

#[test]
fn without_a_valid_credential_only_what_needs_none_is_let_in() {
    let malformed = Denial::InvalidKey(Place::KeyHeader, KeyFault::Malformed);
    let expired = Denial::KeyNotUsable(Place::KeyHeader, Unusable::Expired);
    let everything = || Access::Require(Requirement::default());
    for (accesses, nobody, bad) in [
        (vec![], Err(Denial::MissingCredentials), Err(malformed.clone())),
        (vec![Access::Anonymous], Ok(None), Ok(None)),
        (vec![Access::Authenticated], Err(Denial::MissingCredentials), Err(malformed.clone())),
        (vec![everything()], Err(Denial::MissingCredentials), Err(malformed.clone())),
        (vec![Access::Anonymous, everything()], Err(Denial::MissingCredentials), Err(malformed.clone())),
        (vec![everything(), Access::Anonymous], Err(Denial::MissingCredentials), Err(malformed.clone())),
    ] {
        let index = Index::new(&bundle(accesses.clone()));
        assert_eq!(decided(&index, &Holder::Nobody), nobody, "nobody: {accesses:?}");
        let refused = Holder::Refused(malformed.clone(), None);
        assert_eq!(decided(&index, &refused), bad, "bad: {accesses:?}");
    }
    // The holder of a key that has ended is known, and still nobody to the app.
    let index = Index::new(&bundle(vec![Access::Anonymous]));
    let holder = index.key(api_key("ci").id()).map(|key| Arc::clone(&key.principal));
    assert_eq!(decided(&index, &Holder::Refused(expired, holder)), Ok(None));
}

#[test]
fn a_rule_that_is_not_understood_denies_everybody() {
    let mut bundle = bundle(vec![Access::Anonymous]);
    bundle.rules[0].needs = vec!["a feature of tomorrow".to_owned()];
    let index = Index::new(&bundle);
    assert_eq!(decided(&index, &Holder::Nobody), Err(Denial::RuleNotUnderstood));
}

#[test]
fn a_valid_credential_without_a_rule_is_told_so() {
    assert_eq!(outcome(vec![], "ci"), Err(Denial::NoRule));
}
