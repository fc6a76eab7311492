//! The audit event: one JSON line on standard output for what was decided.
//!
//! Names are those of OCSF Authentication (class 3002) where it has one; the rest stands under
//! `unmapped`. It never has a secret, a query string, or the id of a key that the Gate does not
//! know (that text is the caller's, and may be a secret in the wrong place).

use std::{borrow::Cow, net::IpAddr};

use jiff::Timestamp;
use serde::Serialize;

use crate::{api_key::KeyId, document::Revision, gate::GateName};

/// The OCSF class that the event's names are taken from.
pub const CLASS_UID: u32 = 3002;

/// The most bytes that a line has of any text that a caller chose.
const MAX_TEXT: usize = 2048;

/// One decision, or several alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditEvent<'a> {
    class_uid: u32,
    /// Unix milliseconds.
    time: i64,
    status: &'static str,
    /// The denial's word; absent when allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_endpoint: Option<Endpoint>,
    http_request: HttpRequest<'a>,
    /// Microseconds from the whole head to the end of the answer's head; absent for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
    unmapped: Unmapped<'a>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct User<'a> {
    uid: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_uid: Option<KeyId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Endpoint {
    ip: IpAddr,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct HttpRequest<'a> {
    http_method: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_path: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<Cow<'a, str>>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Unmapped<'a> {
    gate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    /// `false`: what was denied was let through all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    enforced: Option<bool>,
}

/// Who was let in, or known and refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor<'a> {
    /// `key:<namespace>.<name>`.
    pub subject: Cow<'a, str>,
    /// The credential's tenant.
    pub tenant: Cow<'a, str>,
    /// The key's id.
    pub key_id: Option<KeyId>,
}

/// One request, as far as an audit line tells of it.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    /// When the request's head had arrived.
    pub time: Timestamp,
    /// Which Gate decided.
    pub gate: &'a GateName,
    /// By which bundle; absent: there was none.
    pub revision: Option<Revision>,
    /// The rule that decided, if it came so far.
    pub rule: Option<Cow<'a, str>>,
    /// `None`: allowed.
    pub denied: Option<&'static str>,
    /// Was the denial carried out? In mode Audit the request went on.
    pub enforced: bool,
    /// Who, if a known credential was presented.
    pub actor: Option<Actor<'a>>,
    /// The peer's address.
    pub client: IpAddr,
    /// The request's method.
    pub method: &'a str,
    /// The normalised path, or the raw one of what could not be normalised; never the query.
    pub path: &'a str,
    /// The id that the caller was told.
    pub request_id: &'a str,
    /// Microseconds that it took.
    pub duration: u64,
}

/// Several allowed requests that are alike.
#[derive(Clone, Debug)]
pub struct Repeated<'a> {
    /// Which Gate decided.
    pub gate: &'a GateName,
    /// By which bundle the last one was decided.
    pub revision: Option<Revision>,
    /// The rule of all of them.
    pub rule: Cow<'a, str>,
    /// Who; `None`: anonymous.
    pub actor: Option<Actor<'a>>,
    /// The method of all of them.
    pub method: &'a str,
    /// How many there were.
    pub count: u64,
    /// When the first one came.
    pub first: Timestamp,
    /// When the last one came.
    pub last: Timestamp,
}

// === impl AuditEvent ===

impl AuditEvent<'_> {
    /// The event's line, without a line end.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// How many denials of one kind were left out after the first ones of a second.
    pub fn suppressed(gate: &GateName, word: &'static str, count: u64, time: Timestamp) -> Self {
        Self {
            class_uid: CLASS_UID,
            time: time.as_millisecond(),
            status: "Failure",
            status_detail: Some(word),
            count: Some(count),
            start_time: None,
            user: None,
            src_endpoint: None,
            http_request: HttpRequest { http_method: "*".into(), url_path: None, uid: None },
            duration: None,
            unmapped: Unmapped {
                gate: gate.to_string(),
                rule: None,
                tenant: None,
                revision: None,
                enforced: None,
            },
        }
    }
}

impl<'a> From<Decision<'a>> for AuditEvent<'a> {
    fn from(decision: Decision<'a>) -> Self {
        let Decision {
            time,
            gate,
            revision,
            rule,
            denied,
            enforced,
            actor,
            client,
            method,
            path,
            request_id,
            duration,
        } = decision;
        let (user, tenant) = split(actor);
        Self {
            class_uid: CLASS_UID,
            time: time.as_millisecond(),
            status: if denied.is_some() { "Failure" } else { "Success" },
            status_detail: denied,
            count: None,
            start_time: None,
            user,
            src_endpoint: Some(Endpoint { ip: client }),
            http_request: HttpRequest {
                http_method: cut(method),
                url_path: Some(cut(path)),
                uid: Some(Cow::Borrowed(request_id)),
            },
            duration: Some(duration),
            unmapped: Unmapped {
                gate: gate.to_string(),
                rule,
                tenant,
                revision,
                enforced: (denied.is_some() && !enforced).then_some(false),
            },
        }
    }
}

impl<'a> From<Repeated<'a>> for AuditEvent<'a> {
    fn from(repeated: Repeated<'a>) -> Self {
        let Repeated { gate, revision, rule, actor, method, count, first, last } = repeated;
        let (user, tenant) = split(actor);
        Self {
            class_uid: CLASS_UID,
            time: last.as_millisecond(),
            status: "Success",
            status_detail: None,
            count: Some(count),
            start_time: Some(first.as_millisecond()),
            user,
            src_endpoint: None,
            http_request: HttpRequest { http_method: method.into(), url_path: None, uid: None },
            duration: None,
            unmapped: Unmapped { gate: gate.to_string(), rule: Some(rule), tenant, revision, enforced: None },
        }
    }
}

fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT {
        return text.into();
    }
    let end = text.floor_char_boundary(MAX_TEXT);
    format!("{}…", &text[..end]).into()
}

fn split(actor: Option<Actor<'_>>) -> (Option<User<'_>>, Option<Cow<'_, str>>) {
    match actor {
        Some(Actor { subject, tenant, key_id }) => {
            (Some(User { uid: subject, credential_uid: key_id }), Some(tenant))
        }
        None => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_this_line() {
        let gate = GateName::new("dify", "api");
        let line = AuditEvent::from(Decision {
            time: "2026-01-01T00:00:00.5Z".parse().unwrap(),
            gate: &gate,
            revision: Some(Revision(42)),
            rule: Some("read".into()),
            denied: Some("insufficient_scope"),
            enforced: true,
            actor: Some(Actor {
                subject: "key:team-a.ci".into(),
                tenant: "ns:team-a".into(),
                key_id: Some("AAAAAAAAAAAAAAAA".parse().unwrap()),
            }),
            client: "127.0.0.1".parse().unwrap(),
            method: "POST",
            path: "/api/v1/apps",
            request_id: "r1",
            duration: 120,
        })
        .to_line();
        insta::assert_snapshot!(line);
    }

    #[test]
    fn a_denial_that_was_not_carried_out_says_so() {
        let gate = GateName::new("dify", "api");
        let mut decision = Decision {
            time: "2026-01-01T00:00:00Z".parse().unwrap(),
            gate: &gate,
            revision: Some(Revision(42)),
            rule: Some("read".into()),
            denied: Some("missing_credentials"),
            enforced: false,
            actor: None,
            client: "127.0.0.1".parse().unwrap(),
            method: "GET",
            path: "/",
            request_id: "r1",
            duration: 1,
        };
        assert!(AuditEvent::from(decision.clone()).to_line().contains(r#""enforced":false"#));
        decision.denied = None;
        assert!(!AuditEvent::from(decision).to_line().contains("enforced"));
    }

    #[test]
    fn what_a_caller_chose_is_cut_so_that_it_cannot_fill_the_log() {
        let gate = GateName::new("dify", "api");
        let long = "é".repeat(40_000);
        let line = AuditEvent::from(Decision {
            time: "2026-01-01T00:00:00Z".parse().unwrap(),
            gate: &gate,
            revision: None,
            rule: None,
            denied: Some("ambiguous_path"),
            enforced: true,
            actor: None,
            client: "127.0.0.1".parse().unwrap(),
            method: &long,
            path: &long,
            request_id: "r1",
            duration: 1,
        })
        .to_line();
        assert!(line.contains("é…\"") && line.len() < 2 * MAX_TEXT + 500, "{} bytes", line.len());
    }

    #[test]
    fn several_allowed_requests_are_this_line() {
        let gate = GateName::new("dify", "api");
        let line = AuditEvent::from(Repeated {
            gate: &gate,
            revision: Some(Revision(42)),
            rule: "health".into(),
            actor: None,
            method: "GET",
            count: 17,
            first: "2026-01-01T00:00:00Z".parse().unwrap(),
            last: "2026-01-01T00:00:59Z".parse().unwrap(),
        })
        .to_line();
        insta::assert_snapshot!(line);
    }
}
