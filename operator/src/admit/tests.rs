use serde_json::{Value, json};

use super::*;
use crate::{testing::gate, world::Stored};

struct Case {
    /// spec.admit
    admit: Value,
    namespace: &'static str,
    labels: &'static [(&'static str, &'static str)],
    tenant: &'static str,
    scopes: &'static [&'static str],
}

const fn case(admit: Value) -> Case {
    Case { admit, namespace: "team-a", labels: &[], tenant: "ns:team-a", scopes: &[] }
}

/// What a Gate in `dify`, whose rules name `read` and `write`, says to this.
fn ask(case: &Case) -> Result<String, Refusal> {
    let rules = json!([
        {"match": [{"methods": ["GET"]}], "require": {"scopes": ["read"]}},
        {"require": {"anyScopes": ["write"]}},
    ]);
    let mut spec = json!({"rules": rules});
    if !case.admit.is_null() {
        spec["admit"] = case.admit.clone();
    }
    let observed = gate("dify/api", spec);
    let Stored::Parsed { object, violations, .. } = &observed.stored else { panic!("{observed:?}") };
    assert_eq!(violations, &[], "{}", case.admit);
    let labels: Labels = case.labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let asked = Asked {
        namespace: case.namespace,
        labels: Some(&labels),
        tenant: case.tenant,
        scopes: &ScopeSet::parse(case.scopes).unwrap(),
    };
    admit(object, "dify", asked)
        .map(|admitted| format!("[{}] of [{}] not [{}]", admitted.scopes, admitted.offered, admitted.refused))
}

fn scopes(texts: &[&str]) -> ScopeSet {
    ScopeSet::parse(texts).unwrap()
}

#[test]
fn without_entries_the_gate_s_own_namespace_may_have_what_its_rules_name() {
    let own = Case { namespace: "dify", tenant: "ns:dify", scopes: &["read"], ..case(Value::Null) };
    assert_eq!(ask(&own), Ok("[read] of [read write] not []".to_owned()));
    assert_eq!(ask(&case(Value::Null)), Err(Refusal::NotAdmitted));
}

#[test]
fn namespaces_are_chosen_by_name_by_label_or_all() {
    let names = json!([{"namespaces": {"from": "Names", "names": ["team-b", "team-a"]}}]);
    let selector = json!([{"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}]);
    let other = json!([{"namespaces": {"from": "Names", "names": ["team-b"]}}]);
    let well = Ok("[] of [] not []".to_owned());
    assert_eq!(ask(&case(names)), well);
    assert_eq!(ask(&Case { labels: &[("team", "a")], ..case(selector.clone()) }), well);
    assert_eq!(ask(&Case { labels: &[("team", "b")], ..case(selector) }), Err(Refusal::NotAdmitted));
    assert_eq!(ask(&case(json!([{"namespaces": {"from": "All"}}]))), well);
    assert_eq!(ask(&case(other)), Err(Refusal::NotAdmitted));
}

#[test]
fn of_a_namespace_that_is_not_known_no_label_is_missed_either() {
    let spec = json!({"admit": [{"namespaces": {"from": "Selector", "selector": {
        "matchExpressions": [{"key": "untrusted", "operator": "DoesNotExist"}]}}}]});
    let observed = gate("dify/api", spec);
    let scopes = ScopeSet::default();
    let asked = |labels| Asked { namespace: "team-a", labels, tenant: "ns:team-a", scopes: &scopes };
    let gate = observed.live().unwrap();
    assert_eq!(admit(gate, "dify", asked(None)), Err(Refusal::NotAdmitted));
    assert!(admit(gate, "dify", asked(Some(&Labels::new()))).is_ok());
}

#[test]
fn the_scopes_of_all_matching_entries_are_united() {
    let entries = json!([
        {"namespaces": {"from": "Names", "names": ["team-a"]}, "scopes": ["read"]},
        {"namespaces": {"from": "All"}, "scopes": ["list"]},
        {"namespaces": {"from": "Names", "names": ["team-b"]}, "scopes": ["admin"]},
    ]);
    let asks = |scopes| ask(&Case { scopes, ..case(entries.clone()) });
    assert_eq!(asks(&["read", "list"]), Ok("[list read] of [list read] not []".to_owned()));
    assert_eq!(asks(&["read", "admin"]), Ok("[read] of [list read] not [admin]".to_owned()));
    assert_eq!(asks(&[]), Ok("[] of [list read] not []".to_owned()));
    let none = Refusal::Scopes { offered: scopes(&["list", "read"]), refused: scopes(&["admin"]) };
    assert_eq!(asks(&["admin"]), Err(none));
}

#[test]
fn an_entry_without_scopes_offers_none_to_others() {
    let all = json!([{"namespaces": {"from": "All"}}]);
    let refused = Refusal::Scopes { offered: ScopeSet::default(), refused: scopes(&["read"]) };
    assert_eq!(ask(&Case { scopes: &["read"], ..case(all) }), Err(refused));
}

#[test]
fn a_tenant_of_another_name_needs_the_label_of_the_namespace() {
    let all = || json!([{"namespaces": {"from": "All"}}]);
    let labelled = &[("tenant.sidegate.dev/acme", "")];
    for (tenant, labels, answer) in [
        ("acme", &labelled[..], true),
        ("acme", &[], false),
        ("beta", labelled, false),
        ("ns:team-a", &[], true),
        ("ns:team-b", &[], false),
    ] {
        let said = ask(&Case { labels, tenant, ..case(all()) });
        assert_eq!(said.is_ok(), answer, "{tenant} {labels:?}");
        assert!(answer || said == Err(Refusal::TenantWithoutLabel));
    }
}

#[test]
fn the_tenants_of_all_matching_entries_are_united_and_absent_means_any() {
    let entry = |tenants: Value| {
        let mut entry = json!({"namespaces": {"from": "All"}});
        if !tenants.is_null() {
            entry["tenants"] = tenants;
        }
        entry
    };
    let labels = &[("tenant.sidegate.dev/acme", "")];
    for (entries, answer) in [
        (json!([entry(json!(["acme"]))]), true),
        (json!([entry(json!(["beta"]))]), false),
        (json!([entry(json!(["beta"])), entry(json!(["acme"]))]), true),
        (json!([entry(json!(["beta"])), entry(Value::Null)]), true),
    ] {
        let said = ask(&Case { tenant: "acme", labels, ..case(entries.clone()) });
        assert_eq!(said.is_ok(), answer, "{entries}");
        assert!(answer || said == Err(Refusal::TenantNotAdmitted));
    }
}
