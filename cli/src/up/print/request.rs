//! One line for each request: what came, who it was, and what was decided by which rule.

use jiff::{Timestamp, tz::TimeZone};
use sidegate_bundle::{
    audit::Actor,
    denial::{Denial, KeyFault},
};
use sidegate_sidecar::audit::Seen;

use crate::output::{Palette, Tone};

/// The line of a decision.
pub(crate) fn line(seen: &Seen<'_>, zone: &TimeZone, palette: Palette) -> String {
    let decision = &seen.decision;
    let status = match seen.status {
        Some(status) => palette.paint(tone(status), status),
        None => palette.paint(Tone::Doubtful, "---"),
    };
    let mut parts = vec![format!(
        "{} {status} {} {}",
        clock(decision.time, zone),
        plain(decision.method),
        plain(decision.path)
    )];
    match (&decision.actor, seen.denial) {
        (Some(actor), _) => parts.push(who(actor)),
        (None, None) => parts.push("anonymous".to_owned()),
        (None, Some(_)) => {}
    }
    let rule = decision.rule.as_ref().map(|rule| format!("rule {}", plain(rule)));
    let unenforced = decision.denied.filter(|_| !decision.enforced);
    let unenforced = || unenforced.map(|word| format!("{word}, let through by mode Audit"));
    match (rule, seen.denial.map(reason).or_else(unenforced)) {
        (Some(rule), Some(reason)) => parts.push(format!("{rule}: {reason}")),
        (Some(text), None) | (None, Some(text)) => parts.push(text),
        (None, None) => {}
    }
    parts.push(milliseconds(decision.duration));
    parts.join("  ")
}

/// The time of day, in the zone of who reads it.
pub(crate) fn clock(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string()
}

/// Why, in a few words.
fn reason(denial: &Denial) -> String {
    let answer = denial.answer(None);
    match denial {
        Denial::MissingCredentials => "no credential".to_owned(),
        Denial::InvalidKey(_, KeyFault::Malformed) => "invalid key, not of our form or mistyped".to_owned(),
        Denial::InvalidKey(_, KeyFault::Unknown) => "invalid key, no such id at this Gate".to_owned(),
        Denial::InvalidKey(_, KeyFault::WrongSecret) => "invalid key, wrong secret".to_owned(),
        Denial::KeyNotUsable(..) => answer.detail,
        _ => format!("{}, {}", answer.title, answer.detail),
    }
}

/// `key:<namespace>.<name>` as people write it.
fn who(actor: &Actor<'_>) -> String {
    match actor.subject.strip_prefix("key:").and_then(|rest| rest.split_once('.')) {
        Some((namespace, name)) => format!("ApiKey {namespace}/{name}"),
        None => plain(&actor.subject),
    }
}

fn tone(status: u16) -> Tone {
    match status {
        ..400 => Tone::Good,
        400..500 => Tone::Doubtful,
        _ => Tone::Bad,
    }
}

/// What a caller wrote, without what a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// With one digit below ten.
pub(super) fn milliseconds(micros: u64) -> String {
    if micros < 10_000 {
        format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
    } else {
        format!("{} ms", micros / 1000)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use sidegate_bundle::{ScopeSet, audit::Decision, denial::Place, gate::GateName};

    use super::*;

    fn said(denial: Option<Denial>, known: bool, rule: Option<&str>, status: Option<u16>) -> String {
        let gate = GateName::new("dify", "api");
        let decision = Decision {
            time: "2026-11-24T12:05:02.9Z".parse().unwrap(),
            gate: &gate,
            revision: None,
            rule: rule.map(|rule| rule.to_owned().into()),
            denied: denial.as_ref().map(Denial::word),
            enforced: true,
            actor: known.then(|| Actor {
                subject: "key:team-a.ci-key".into(),
                tenant: "ns:team-a".into(),
                key_id: None,
            }),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            method: "POST",
            path: "/api/v1/apps",
            request_id: "r",
            duration: 214,
        };
        line(
            &Seen {
                decision,
                denial: denial.as_ref(),
                status,
                allows: sidegate_bundle::gate::AuditAllow::default(),
            },
            &TimeZone::UTC,
            Palette::plain(),
        )
    }

    #[test]
    fn a_request_is_one_line() {
        let missing = |scope: &str| Denial::InsufficientScope {
            all: ScopeSet::parse([scope]).unwrap(),
            any: ScopeSet::default(),
        };
        assert_eq!(
            said(Some(missing("apps:write")), true, Some("rest"), Some(403)),
            "12:05:02 403 POST /api/v1/apps  ApiKey team-a/ci-key  rule rest: insufficient scope, needs apps:write  0.2 ms"
        );
        assert_eq!(
            said(None, true, Some("rules[1]"), Some(200)),
            "12:05:02 200 POST /api/v1/apps  ApiKey team-a/ci-key  rule rules[1]  0.2 ms"
        );
        assert_eq!(
            said(None, false, Some("health"), Some(204)),
            "12:05:02 204 POST /api/v1/apps  anonymous  rule health  0.2 ms"
        );
        assert_eq!(
            said(Some(Denial::MissingCredentials), false, Some("read"), Some(401)),
            "12:05:02 401 POST /api/v1/apps  rule read: no credential  0.2 ms"
        );
        assert_eq!(
            said(
                Some(Denial::InvalidKey(Place::KeyHeader, KeyFault::Malformed)),
                false,
                Some("read"),
                Some(403)
            ),
            "12:05:02 403 POST /api/v1/apps  rule read: invalid key, not of our form or mistyped  0.2 ms"
        );
        assert_eq!(
            said(Some(Denial::NoBundle), false, None, None).split("  ").next(),
            Some("12:05:02 --- POST /api/v1/apps")
        );
    }

    #[test]
    fn durations_are_short() {
        for (micros, text) in
            [(40, "0.0 ms"), (214, "0.2 ms"), (9_999, "9.9 ms"), (10_000, "10 ms"), (1_234_567, "1234 ms")]
        {
            assert_eq!(milliseconds(micros), text);
        }
    }
}
