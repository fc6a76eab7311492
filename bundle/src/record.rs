//! The record of a credential's versions. It stands as an annotation of the Secret that has
//! the plaintext, and both change in one write, so they can never disagree after a crash.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{api_key::KeyId, verifier::Verifier};

/// The annotation that holds a [`Record`] as JSON.
pub const VERSIONS_ANNOTATION: &str = "sidegate.dev/versions";
/// The annotation that names the object a Secret was made for: `ApiKey/<name>`.
pub const FOR_ANNOTATION: &str = "sidegate.dev/for";

/// All versions of one credential that are still of interest, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The versions, oldest first.
    pub versions: Vec<Version>,
    /// The `spec.rotation.generation` that was last acted upon.
    #[serde(default)]
    pub rotation_generation: i64,
}

/// One version: a secret value, as its verifier, and how long it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Its public name.
    pub id: KeyId,
    /// What proves its secret.
    pub hash: Verifier,
    /// Where it is in its life.
    pub state: State,
    /// When it was made.
    pub created: Timestamp,
    /// Not accepted before this; absent: from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Not accepted from this moment on; absent: no end of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Where a version is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum State {
    /// Accepted already, not yet shown to the credential's holder.
    Pending,
    /// The one under the Secret's main key.
    Current,
    /// Replaced, accepted until its overlap ends.
    Retiring,
    /// Its overlap has ended.
    Retired,
    /// Refused for ever.
    Revoked,
}

// === impl Record ===

impl Record {
    /// The Current version, if there is one.
    pub fn current(&self) -> Option<&Version> {
        self.versions.iter().rev().find(|version| version.state == State::Current)
    }

    /// Reads the annotation's value.
    pub fn parse(annotation: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(annotation)
    }

    /// The annotation's value.
    pub fn to_annotation(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

// === impl State ===

impl State {
    /// May a version in this state open a gate, its times aside?
    pub fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Current | Self::Retiring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(state: State) -> Version {
        Version {
            id: "AAAAAAAAAAAAAAAA".parse().unwrap(),
            hash: "00".repeat(32).parse().unwrap(),
            state,
            created: "2026-01-02T03:04:05Z".parse().unwrap(),
            not_before: None,
            expires_at: None,
        }
    }

    /// The annotation is read by later and earlier releases: its text is part of the API.
    #[test]
    fn the_annotation_has_this_form() {
        let record = Record { versions: vec![version(State::Current)], rotation_generation: 3 };
        let text = record.to_annotation();
        assert_eq!(
            text,
            format!(
                r#"{{"versions":[{{"id":"AAAAAAAAAAAAAAAA","hash":"{}","state":"Current","created":"2026-01-02T03:04:05Z"}}],"rotationGeneration":3}}"#,
                "00".repeat(32)
            )
        );
        assert_eq!(Record::parse(&text).unwrap(), record);
    }

    #[test]
    fn a_record_of_a_newer_release_with_more_fields_is_read() {
        let text = version_with_extra();
        assert_eq!(Record::parse(&text).unwrap().current(), Some(&version(State::Current)));
    }

    fn version_with_extra() -> String {
        let mut value = serde_json::to_value(version(State::Current)).unwrap();
        value["colour"] = "red".into();
        serde_json::json!({"versions": [value], "later": 1}).to_string()
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        for bad in ["", "[]", "{}", r#"{"versions":[{"id":"short"}]}"#] {
            assert!(Record::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_pending_current_and_retiring_open_a_gate() {
        let live = [State::Pending, State::Current, State::Retiring, State::Retired, State::Revoked]
            .map(State::is_live);
        assert_eq!(live, [true, true, true, false, false]);
    }
}
