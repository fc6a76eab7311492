//! Every reason for a refusal, and what the caller is told. A new reason is a new variant, and
//! nothing compiles until it has a status, a title and an audit word.
//!
//! What a caller is told about a bad key never tells an unknown key from a wrong or a malformed
//! one; what is told about a key that was right (it has expired, say) only its holder can get.

use serde::Serialize;

use crate::{gate::GateBundle, scope::ScopeSet};

mod answer;

pub use answer::Answer;

/// Why a request is not let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A credential is needed and none came.
    MissingCredentials,
    /// What came is not a credential of this Gate.
    InvalidKey(Place, KeyFault),
    /// The credential is right, and does not count now.
    KeyNotUsable(Place, Unusable),
    /// The credential lacks scopes: all of the first set, or any of the second.
    InsufficientScope {
        /// Needed, and missing.
        all: ScopeSet,
        /// At least one of these is needed; empty: none.
        any: ScopeSet,
    },
    /// The rule is for other tenants.
    TenantNotAllowed,
    /// The rule is for other types of credential.
    TypeNotAllowed,
    /// The Gate has no rule for this path and method.
    NoRule,
    /// The rule needs a feature that this version lacks.
    RuleNotUnderstood,
    /// Two different credentials, or one of the Gate's headers twice.
    AmbiguousCredentials,
    /// A path that two parsers could read differently; with what is wrong.
    AmbiguousPath(&'static str),
    /// A head or framing that two parsers could read differently; with what is wrong.
    DoubtfulRequest(&'static str),
    /// CONNECT, TRACE, or a method that the Gate does not list.
    MethodNotAllowed,
    /// An `Expect` other than `100-continue`.
    ExpectationFailed,
    /// The request's head is too large.
    HeadTooLarge,
    /// The request's target alone is too long.
    TargetTooLong,
    /// The request's head did not arrive in time.
    HeadTimeout,
    /// Nothing of the request's body arrived for too long.
    BodyTimeout,
    /// The protected app cannot be reached, or broke off before it answered.
    AppUnavailable,
    /// There is no bundle yet: nothing can be decided.
    NoBundle,
}

/// Where a credential stood, which decides the status of the answer (RFC 6750 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In one of the Gate's key headers.
    KeyHeader,
    /// In `Authorization: Bearer`.
    Authorization,
}

/// What is wrong with a key: for the audit event only, never for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// Not of our form, or its checksum is wrong.
    Malformed,
    /// No such id at this Gate.
    Unknown,
    /// The id is known, the secret is another.
    WrongSecret,
}

/// Why a key that is right does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// `expiresAt` has passed.
    Expired,
    /// `notBefore` is still to come.
    NotYetValid,
    /// Its owner suspended it.
    Suspended,
    /// It was revoked.
    Revoked,
}

/// Who has to change something. It decides the level of the log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The caller.
    Caller,
    /// The protected app.
    App,
    /// Sidegate, or whoever runs it.
    Gate,
}

// === impl Denial ===

impl Denial {
    /// The word for audit events and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::MissingCredentials => "missing_credentials",
            Self::InvalidKey(_, KeyFault::Malformed) => "malformed_key",
            Self::InvalidKey(_, KeyFault::Unknown) => "unknown_key",
            Self::InvalidKey(_, KeyFault::WrongSecret) => "wrong_secret",
            Self::KeyNotUsable(_, Unusable::Expired) => "expired",
            Self::KeyNotUsable(_, Unusable::NotYetValid) => "not_yet_valid",
            Self::KeyNotUsable(_, Unusable::Suspended) => "suspended",
            Self::KeyNotUsable(_, Unusable::Revoked) => "revoked",
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::TenantNotAllowed => "tenant_not_allowed",
            Self::TypeNotAllowed => "type_not_allowed",
            Self::NoRule => "no_rule",
            Self::RuleNotUnderstood => "rule_not_understood",
            Self::AmbiguousCredentials => "ambiguous_credentials",
            Self::AmbiguousPath(_) => "ambiguous_path",
            Self::DoubtfulRequest(_) => "doubtful_request",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::ExpectationFailed => "expectation_failed",
            Self::HeadTooLarge => "head_too_large",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::AppUnavailable => "app_unavailable",
            Self::NoBundle => "no_bundle",
        }
    }

    /// Who has to change something.
    pub fn fault(&self) -> Fault {
        match self {
            Self::AppUnavailable => Fault::App,
            Self::NoBundle | Self::RuleNotUnderstood => Fault::Gate,
            _ => Fault::Caller,
        }
    }

    /// What the caller gets. Without a bundle there is no Gate to speak for.
    pub fn answer(&self, bundle: Option<&GateBundle>) -> Answer {
        answer::answer(self, bundle)
    }
}

#[cfg(test)]
mod tests;
