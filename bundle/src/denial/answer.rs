//! Denial to answer: status, challenges and body, in one table.

use serde::Serialize;

use super::{Denial, Place, Unusable};
use crate::gate::{GateBundle, KeyPolicy};

/// An answer of ours, but for the request's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// One `WWW-Authenticate` line each.
    pub challenges: Vec<String>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
    /// Must the connection end, since nobody can say where the next request begins?
    pub close: bool,
    /// The machine's word for it: `error` in the body.
    pub error: &'static str,
    /// The same in a few words.
    pub title: &'static str,
    /// What to do about it.
    pub detail: String,
}

/// The body of an answer: RFC 9457 problem details.
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
    error: &'a str,
    request_id: &'a str,
}

// === impl Answer ===

impl Answer {
    /// The media type of [`Answer::body`].
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// The body, with the id by which an audit line can be found.
    pub fn body(&self, request_id: &str) -> String {
        let Self { status, error, title, detail, .. } = self;
        serde_json::to_string(&Problem { title, status: *status, detail, error, request_id })
            .unwrap_or_default()
    }
}

pub(super) fn answer(denial: &Denial, bundle: Option<&GateBundle>) -> Answer {
    let policy = bundle.map(|bundle| &bundle.api_keys);
    let realm = bundle.map_or("sidegate", |bundle| bundle.realm.as_str());
    let (status, error, title) = line(denial, policy);
    Answer {
        status,
        challenges: challenges(denial, status, error, policy, realm),
        retry_after: matches!(denial, Denial::NoBundle).then_some(5),
        close: matches!(
            denial,
            Denial::DoubtfulRequest(_)
                | Denial::HeadTooLarge
                | Denial::TargetTooLong
                | Denial::HeadTimeout
                | Denial::BodyTimeout
        ),
        error,
        title,
        detail: detail(denial, policy),
    }
}

/// Status, `error` and title.
fn line(denial: &Denial, policy: Option<&KeyPolicy>) -> (u16, &'static str, &'static str) {
    match denial {
        Denial::MissingCredentials => (401, "missing_credentials", "missing credentials"),
        Denial::InvalidKey(Place::KeyHeader, _) | Denial::KeyNotUsable(Place::KeyHeader, _) => {
            (policy.map_or(403, |policy| policy.invalid_status), "invalid_api_key", "invalid API key")
        }
        Denial::InvalidKey(Place::Authorization, _) | Denial::KeyNotUsable(Place::Authorization, _) => {
            (401, "invalid_token", "invalid token")
        }
        Denial::InsufficientScope { .. } => (403, "insufficient_scope", "insufficient scope"),
        Denial::TenantNotAllowed => (403, "tenant_not_allowed", "tenant not allowed"),
        Denial::TypeNotAllowed => (403, "type_not_allowed", "credential type not allowed"),
        Denial::NoRule | Denial::RuleNotUnderstood => (403, "no_rule", "not allowed"),
        Denial::AmbiguousCredentials => (400, "invalid_request", "ambiguous credentials"),
        Denial::AmbiguousPath(_) => (400, "invalid_request", "ambiguous path"),
        Denial::DoubtfulRequest(_) => (400, "invalid_request", "doubtful request"),
        Denial::MethodNotAllowed => (405, "method_not_allowed", "method not allowed"),
        Denial::ExpectationFailed => (417, "expectation_failed", "expectation failed"),
        Denial::HeadTooLarge => (431, "head_too_large", "request head too large"),
        Denial::TargetTooLong => (414, "target_too_long", "request target too long"),
        Denial::HeadTimeout => (408, "head_timeout", "request too slow"),
        Denial::BodyTimeout => (408, "body_timeout", "request too slow"),
        Denial::AppUnavailable => (502, "app_unavailable", "the app does not answer"),
        Denial::NoBundle => (503, "no_bundle", "not ready"),
    }
}

/// What to do about it. Never a word about which part of a bad key was bad.
fn detail(denial: &Denial, policy: Option<&KeyPolicy>) -> String {
    match denial {
        Denial::MissingCredentials => match policy.map(|policy| (policy.headers.first(), policy.bearer)) {
            Some((Some(header), _)) => format!("send an API key in the header {header}"),
            Some((None, true)) => "send an API key as Authorization: Bearer".to_owned(),
            _ => "this address takes no credential, and this path needs one".to_owned(),
        },
        Denial::InvalidKey(..) => "the credential is not valid here".to_owned(),
        Denial::KeyNotUsable(_, Unusable::Expired) => "the key has expired".to_owned(),
        Denial::KeyNotUsable(_, Unusable::NotYetValid) => "the key is not valid yet".to_owned(),
        Denial::KeyNotUsable(_, Unusable::Suspended) => "the key is suspended".to_owned(),
        Denial::KeyNotUsable(_, Unusable::Revoked) => "the key was revoked".to_owned(),
        Denial::InsufficientScope { all, any } if any.is_empty() => format!("needs {all}"),
        Denial::InsufficientScope { all, any } if all.is_empty() => format!("needs one of {any}"),
        Denial::InsufficientScope { all, any } => format!("needs {all} and one of {any}"),
        Denial::TenantNotAllowed => "this path is for other tenants".to_owned(),
        Denial::TypeNotAllowed => "this path is for other types of credential".to_owned(),
        Denial::NoRule => "no rule allows this path and method".to_owned(),
        Denial::RuleNotUnderstood => "the rule for this path needs a newer sidecar".to_owned(),
        Denial::AmbiguousCredentials => "send one credential, once".to_owned(),
        Denial::AmbiguousPath(what) | Denial::DoubtfulRequest(what) => (*what).to_owned(),
        Denial::MethodNotAllowed => "this method is not served here".to_owned(),
        Denial::ExpectationFailed => "the only expectation served is 100-continue".to_owned(),
        Denial::HeadTooLarge => "send fewer or shorter headers".to_owned(),
        Denial::TargetTooLong => "send a shorter path and query".to_owned(),
        Denial::HeadTimeout => "the request's head did not arrive in time".to_owned(),
        Denial::BodyTimeout => "the request's body stopped arriving".to_owned(),
        Denial::AppUnavailable => "the app behind this gate could not be reached".to_owned(),
        Denial::NoBundle => {
            "this gate has no bundle yet; its operator's log and `kubectl describe gate` say why".to_owned()
        }
    }
}

/// The challenges: only ways that the Gate takes (RFC 9110 §11.6.1, RFC 6750 §3).
fn challenges(
    denial: &Denial,
    status: u16,
    error: &str,
    policy: Option<&KeyPolicy>,
    realm: &str,
) -> Vec<String> {
    let Some(policy) = policy else { return Vec::new() };
    let bearer = policy.bearer;
    let api_key = !policy.headers.is_empty();
    let realm = quoted(realm);
    let mut lines = Vec::new();
    match denial {
        Denial::MissingCredentials => {
            lines.extend(bearer.then(|| format!("Bearer realm={realm}")));
            lines.extend(api_key.then(|| format!("ApiKey realm={realm}")));
        }
        Denial::InvalidKey(Place::Authorization, _) | Denial::KeyNotUsable(Place::Authorization, _) => {
            lines.push(format!("Bearer realm={realm}, error=\"{error}\""));
        }
        Denial::InvalidKey(Place::KeyHeader, _) | Denial::KeyNotUsable(Place::KeyHeader, _)
            if status == 401 =>
        {
            lines.push(format!("ApiKey realm={realm}"));
        }
        Denial::InsufficientScope { all, any } if bearer => {
            let needed = if all.is_empty() { any } else { all };
            lines.push(format!("Bearer realm={realm}, error=\"{error}\", scope=\"{needed}\""));
        }
        Denial::AmbiguousCredentials if bearer => {
            lines.push(format!("Bearer realm={realm}, error=\"{error}\""));
        }
        _ => {}
    }
    lines
}

/// An RFC 9110 quoted-string. What cannot stand in one is left out.
fn quoted(text: &str) -> String {
    let inside: String =
        text.chars().filter(|c| (' '..='~').contains(c) && !matches!(c, '"' | '\\')).collect();
    format!("\"{inside}\"")
}
