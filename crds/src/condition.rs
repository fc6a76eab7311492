//! Conditions: every type and reason, what each means, and the words that a user reads.
//!
//! This is the one list: the operator sets conditions from [`Finding`]s, and the reference page
//! is made from the same table. Nothing is decided from a condition; it is a copy for people.

use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{Schema, SchemaGenerator, json_schema};

mod finding;
mod reason;

pub use finding::{Finding, NoAccess, Secret};
pub use reason::{Reason, Status};

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The object is understood, and what it asks for is allowed.
    Accepted,
    /// The Gates know it.
    Programmed,
    /// All is well: what the object asks for works now.
    Ready,
    /// Only a user can help; waiting does not.
    Stalled,
    /// Somebody tried to reach a port that the Gate does not list.
    PortsClosed,
    /// A rule is never reached.
    RuleShadowed,
    /// A sidecar has not been heard of.
    SidecarsStale,
    /// A pod must be restarted for a change to take hold.
    SidecarOutdated,
    /// Sidecars do not reach the feed.
    FeedUnreachable,
    /// Requests pass that no credential was asked of.
    NotEnforced,
}

/// What a condition is to say from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCondition {
    /// What it is about.
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: Status,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, in a sentence.
    pub message: String,
}

/// Sets a condition. `lastTransitionTime` moves only when the status does, so that writing the
/// same again changes nothing. Returns whether anything but `observedGeneration` has changed.
pub fn set(
    conditions: &mut Vec<Condition>,
    new: NewCondition,
    generation: Option<i64>,
    now: Timestamp,
) -> bool {
    let mut next = Condition {
        type_: new.kind.as_str().to_owned(),
        status: new.status.as_str().to_owned(),
        reason: new.reason.as_str().to_owned(),
        message: shorten(new.message),
        observed_generation: generation,
        last_transition_time: Time(whole_seconds(now)),
    };
    let Some(old) = conditions.iter_mut().find(|condition| condition.type_ == next.type_) else {
        conditions.push(next);
        conditions.sort_by_key(|condition| ConditionType::rank(&condition.type_));
        return true;
    };
    if old.status == next.status {
        next.last_transition_time = old.last_transition_time.clone();
    }
    let changed = (&old.status, &old.reason, &old.message) != (&next.status, &next.reason, &next.message);
    *old = next;
    changed
}

/// Takes a condition away, if it is there. Returns whether it was.
pub fn remove(conditions: &mut Vec<Condition>, kind: ConditionType) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition.type_ != kind.as_str());
    conditions.len() != before
}

/// The condition of that type, if it is set.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// The longest message that the schema takes, in bytes.
const MAX_MESSAGE: usize = 4096;

/// Cuts a message to what the schema takes: a status that is refused would help nobody.
fn shorten(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE - '…'.len_utf8()).rev().find(|at| message.is_char_boundary(*at));
        message.truncate(end.unwrap_or(0));
        message.push('…');
    }
    message
}

/// Kubernetes writes times of conditions in whole seconds.
fn whole_seconds(now: Timestamp) -> Timestamp {
    now.round((Unit::Second, 1)).unwrap_or(now)
}

/// The schema of a list of conditions.
pub(crate) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "One thing that holds or does not.",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "maxLength": 64, "description": "What it is about, such as Ready."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it holds: True, False or Unknown."},
                "reason": {"type": "string", "maxLength": 64, "description": "Why, in one word. docs/reference/conditions.md lists all."},
                "message": {"type": "string", "maxLength": MAX_MESSAGE, "description": "Why, in words: what is wrong, what is right, and who can change it."},
                "observedGeneration": {"type": "integer", "format": "int64", "description": "The generation of the spec that this is about."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "maxLength": 35, "description": "When the status last changed."}
            }
        }
    })
}

// === impl ConditionType ===

impl ConditionType {
    /// Every type, in the order in which conditions stand.
    pub const ALL: [Self; 10] = [
        Self::Accepted,
        Self::Programmed,
        Self::Ready,
        Self::Stalled,
        Self::PortsClosed,
        Self::RuleShadowed,
        Self::SidecarsStale,
        Self::SidecarOutdated,
        Self::FeedUnreachable,
        Self::NotEnforced,
    ];

    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Programmed => "Programmed",
            Self::Ready => "Ready",
            Self::Stalled => "Stalled",
            Self::PortsClosed => "PortsClosed",
            Self::RuleShadowed => "RuleShadowed",
            Self::SidecarsStale => "SidecarsStale",
            Self::SidecarOutdated => "SidecarOutdated",
            Self::FeedUnreachable => "FeedUnreachable",
            Self::NotEnforced => "NotEnforced",
        }
    }

    fn rank(text: &str) -> usize {
        Self::ALL.iter().position(|kind| kind.as_str() == text).unwrap_or(Self::ALL.len())
    }
}

#[cfg(test)]
mod tests;
