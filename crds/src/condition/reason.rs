//! The reasons: one word each, for scripts and alerts, and what it means.

use super::ConditionType;

/// Does a condition hold?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It does.
    True,
    /// It does not.
    False,
    /// Nobody has looked yet.
    Unknown,
}

/// Makes the enum, its text and its meaning from one table, so that none can be left out.
macro_rules! reasons {
    ($($name:ident: $sets:expr, $meaning:literal;)*) => {
        /// Why a condition is as it is, in one word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $meaning] $name,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As the API writes it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// The condition that it is the first to set, and how. `Ready` repeats the reason of
            /// the first condition that fails, and so does `Stalled` when only a user can help.
            pub fn sets(self) -> (ConditionType, Status) {
                match self { $(Self::$name => $sets,)* }
            }
        }
    };
}

use ConditionType::{
    Accepted as OnAccepted, FeedUnreachable as OnFeed, NotEnforced as OnEnforced, PortsClosed as OnPorts,
    Programmed as OnProgrammed, Ready as OnReady, RuleShadowed as OnShadowed, SidecarOutdated as OnOutdated,
    SidecarsStale as OnStale,
};

reasons! {
    Accepted: (OnAccepted, Status::True), "The object is understood and all that it asks for is allowed.";
    PartiallyAccepted: (OnAccepted, Status::True), "Some of what a credential asks for is allowed and works; the rest is named.";
    NoScopes: (OnAccepted, Status::True), "A credential asks for no scopes at a Gate that would admit some.";
    GateNotAvailable: (OnAccepted, Status::False), "There is no such Gate, or it does not admit credentials of this namespace; which of the two is not said.";
    ScopeNotAdmitted: (OnAccepted, Status::False), "None of the scopes asked for is admitted.";
    TenantNotAllowed: (OnAccepted, Status::False), "The namespace lacks the label that allows the tenant.";
    SecretConflict: (OnAccepted, Status::False), "A Secret of the wanted name exists and is not ours; it is left alone.";
    SecretNotFound: (OnAccepted, Status::False), "The Secret to import from does not exist.";
    ImportNotAllowed: (OnAccepted, Status::False), "The Secret to import from lacks the label sidegate.dev/import: \"true\".";
    WeakKey: (OnAccepted, Status::False), "The imported key is too short or too regular to be safe.";
    DuplicateKey: (OnAccepted, Status::False), "An older object has the same key id at the same Gate.";
    GateFull: (OnAccepted, Status::False), "The Gate has no room for more credentials.";
    NoAccess: (OnAccepted, Status::False), "The operator lacks a right that it needs for this object, or a quota or policy refuses the write.";
    Invalid: (OnAccepted, Status::False), "A stored object breaks a rule that the API server would refuse today; what was in force stays, and keys can still be taken away.";
    UnknownField: (OnAccepted, Status::False), "The object has fields that this operator does not know. Nothing new is made from it; what was in force stays, and keys can still be taken away.";
    NotSupportedYet: (OnAccepted, Status::False), "A field asks for something that this version cannot do yet; what was in force stays, and keys can still be taken away.";
    Programmed: (OnProgrammed, Status::True), "Every sidecar that was connected has applied the change.";
    BundleWritten: (OnProgrammed, Status::True), "The Gates' bundles hold the change.";
    NoSidecars: (OnProgrammed, Status::True), "The Gates' bundles hold the change, and no sidecar was connected.";
    WaitingForBundle: (OnProgrammed, Status::False), "A Gate's bundle does not hold the change yet.";
    WaitingForSidecars: (OnProgrammed, Status::False), "Some sidecars have not applied the change within 30 seconds.";
    Ready: (OnReady, Status::True), "All is well.";
    Pending: (OnReady, Status::Unknown), "The operator has not looked at the object yet.";
    NoPods: (OnReady, Status::True), "No pod carries the Gate's label.";
    Revoked: (OnReady, Status::False), "A Revocation hits the credential.";
    Expired: (OnReady, Status::False), "The credential has ended.";
    Suspended: (OnReady, Status::False), "The credential's owner has suspended it.";
    NotYetValid: (OnReady, Status::False), "The credential counts from a later time on.";
    PodsNotInjected: (OnReady, Status::False), "Pods with the Gate's label run without a sidecar.";
    NetAdminForbidden: (OnReady, Status::False), "Redirect needs NET_ADMIN, which the namespace forbids.";
    MeshDetected: (OnReady, Status::False), "A service mesh captures the same pods.";
    PortsClosed: (OnPorts, Status::True), "Somebody tried to reach a port that the Gate does not list.";
    RuleShadowed: (OnShadowed, Status::True), "A rule is never reached, since an earlier one matches all that it does.";
    SidecarsStale: (OnStale, Status::True), "A sidecar has been silent for 30 seconds.";
    SidecarOutdated: (OnOutdated, Status::True), "A pod must be restarted for a change to take hold.";
    FeedUnreachable: (OnFeed, Status::True), "Sidecars do not reach the feed; changes come by mount, within 60 to 90 seconds.";
    NotEnforced: (OnEnforced, Status::True), "Requests pass that no credential was asked of: mode Audit, or / is Anonymous.";
}

// === impl Status ===

impl Status {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}
