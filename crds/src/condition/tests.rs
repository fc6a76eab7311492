use std::{collections::BTreeSet, fmt::Write};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ready(status: Status, message: &str) -> NewCondition {
    NewCondition { kind: ConditionType::Ready, status, reason: Reason::Ready, message: message.to_owned() }
}

#[test]
fn every_message_is_this_text() {
    let mut table = String::new();
    for finding in Finding::examples() {
        let NewCondition { kind, status, reason, message } = finding.condition();
        let stalls = if finding.stalls() { ", Stalled" } else { "" };
        writeln!(table, "{}={}/{}{stalls}\n  {message}", kind.as_str(), status.as_str(), reason.as_str())
            .unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_long_list_is_cut() {
    let fields = (0..7).map(|n| format!("f{n}")).collect();
    let message = Finding::UnknownField { fields }.message();
    assert!(message.contains("f0, f1, f2, f3, f4 and 2 more"), "{message}");
}

#[test]
fn the_transition_time_moves_only_with_the_status() {
    let mut conditions = Vec::new();
    assert!(set(&mut conditions, ready(Status::False, "a"), Some(1), at(100)));
    assert!(set(&mut conditions, ready(Status::False, "b"), Some(2), at(200)));
    assert_eq!(conditions[0].last_transition_time, Time(at(100)));
    assert_eq!(conditions[0].observed_generation, Some(2));
    assert!(!set(&mut conditions, ready(Status::False, "b"), Some(2), at(300)));
    assert!(set(&mut conditions, ready(Status::True, "b"), Some(2), at(400)));
    assert_eq!(conditions[0].last_transition_time, Time(at(400)));
}

#[test]
fn conditions_stand_in_one_order_and_once() {
    let mut conditions = Vec::new();
    set(&mut conditions, ready(Status::True, ""), None, at(1));
    set(&mut conditions, Finding::GateAccepted.condition(), None, at(1));
    set(&mut conditions, ready(Status::False, ""), None, at(1));
    let types: Vec<_> = conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types, ["Accepted", "Ready"]);
    assert!(remove(&mut conditions, ConditionType::Accepted));
    assert!(!remove(&mut conditions, ConditionType::Accepted));
}

#[test]
fn a_condition_is_written_as_kubernetes_writes_it() {
    let mut conditions = Vec::new();
    let now = "2026-11-24T10:00:00.25Z".parse().unwrap();
    set(&mut conditions, ready(Status::True, "well"), Some(3), now);
    assert_eq!(
        serde_json::to_value(&conditions).unwrap(),
        serde_json::json!([{
            "type": "Ready", "status": "True", "reason": "Ready", "message": "well",
            "observedGeneration": 3, "lastTransitionTime": "2026-11-24T10:00:00Z"
        }])
    );
}

#[test]
fn a_message_is_cut_to_what_the_schema_takes() {
    let mut conditions = Vec::new();
    set(&mut conditions, ready(Status::True, &"ä".repeat(4000)), None, at(1));
    assert!(conditions[0].message.len() <= MAX_MESSAGE);
    assert!(conditions[0].message.ends_with('…'));
}

#[test]
fn every_reason_is_named_once_and_explained() {
    let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert!(reason.meaning().ends_with('.'), "{}", reason.as_str());
    }
}
