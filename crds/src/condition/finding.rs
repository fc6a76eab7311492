//! Findings: what the operator has to say about one object, with all that its sentence needs.
//!
//! A message says what is wrong, what is right, and who can change it. It never holds a secret:
//! none of the fields can.

use std::fmt;

use jiff::Timestamp;
use sidegate_bundle::{gate::GateName, scope::ScopeSet};

use super::{ConditionType, NewCondition, Reason, Status};

/// One thing that was found about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The Gate is understood and its bundle is made from it.
    GateAccepted,
    /// Every Gate that a credential asks for admits it.
    CredentialAccepted {
        /// How many Gates.
        gates: usize,
    },
    /// Some of what a credential asks for is admitted.
    PartiallyAccepted {
        /// At how many Gates all is well.
        accepted: usize,
        /// How many Gates it asks for.
        of: usize,
        /// The first thing that is not admitted.
        first: Box<Finding>,
    },
    /// A credential asks for no scopes where some would be admitted.
    NoScopes {
        /// What the Gate would admit.
        admitted: ScopeSet,
    },
    /// There is no such Gate, or it does not admit this namespace. A stranger is not told which.
    GateNotAvailable {
        /// The grant's place in `spec.grants`.
        index: usize,
        /// The Gate asked for.
        gate: GateName,
        /// The credential's namespace.
        namespace: String,
    },
    /// A Gate admits less than was asked for.
    ScopeNotAdmitted {
        /// The Gate asked for.
        gate: GateName,
        /// The credential's namespace.
        namespace: String,
        /// What the Gate admits for it.
        admitted: ScopeSet,
        /// What was asked for and is not admitted.
        refused: ScopeSet,
        /// What was asked for and is admitted.
        granted: ScopeSet,
    },
    /// The namespace may not have credentials of this tenant.
    TenantNotAllowed {
        /// The tenant asked for.
        tenant: String,
    },
    /// No entry of the Gate admits this tenant.
    TenantNotAdmitted {
        /// The Gate asked for.
        gate: GateName,
        /// The tenant asked for.
        tenant: String,
    },
    /// A Secret of the wanted name exists and is not ours.
    SecretConflict(Secret),
    /// A Secret of the name that a Gate's bundle has exists and is not ours.
    BundleConflict(Secret),
    /// The Secret of a credential is ours, and its record cannot be read.
    SecretDamaged {
        /// The Secret.
        secret: Secret,
        /// What is wrong with it.
        why: String,
    },
    /// The Secret is that of an earlier object of the same name, and about to go.
    SecretOfEarlier(Secret),
    /// The operator is not let do what the object needs.
    NoAccess(NoAccess),
    /// A stored object breaks a rule.
    Invalid {
        /// The field, such as `spec.rules[2].match[0].path.value`.
        path: String,
        /// What to write instead.
        message: String,
    },
    /// A stored Gate could not be read at all. Its bundle stays, less what is taken away.
    Unreadable {
        /// What the parser said.
        message: String,
    },
    /// A stored credential could not be read at all. Whether it is suspended cannot be read
    /// either, so that it is let in nowhere.
    CredentialUnreadable {
        /// What the parser said.
        message: String,
    },
    /// Fields that this operator does not know. What they restrict it cannot restrict, so nothing
    /// is made from the object: of a Gate the bundle stays that is in force, of a credential what
    /// Gates let in, both less what is taken away.
    UnknownField {
        /// Their paths.
        fields: Vec<String>,
    },
    /// A field asks for what is not built yet.
    NotSupportedYet {
        /// The field, such as `spec.rotation.interval`.
        field: String,
    },
    /// The bundles hold the change.
    BundleWritten {
        /// How many Gates' bundles.
        gates: usize,
    },
    /// A bundle does not hold the change yet.
    WaitingForBundle {
        /// Whose.
        gate: GateName,
    },
    /// All is well with a Gate.
    GateReady,
    /// All is well with a credential.
    CredentialReady {
        /// Where its secret stands.
        secret: Secret,
    },
    /// No pod carries the Gate's label.
    NoPods {
        /// The Gate's name.
        gate: String,
    },
    /// The owner has suspended the credential.
    Suspended,
    /// The credential has ended.
    Expired {
        /// When.
        at: Timestamp,
    },
    /// The credential counts from a later time on.
    NotYetValid {
        /// From when.
        from: Timestamp,
    },
    /// A rule is never reached.
    RuleShadowed {
        /// Its place in `spec.rules`.
        index: usize,
        /// The place of the rule that takes all before it.
        by: usize,
    },
    /// The Gate lets through what it would deny.
    Audits,
    /// A rule asks nothing of any request that comes so far.
    OpenToAll {
        /// Its place in `spec.rules`.
        index: usize,
    },
}

/// What the operator is not let do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAccess {
    /// What, such as `create secrets`.
    pub action: String,
    /// Where.
    pub namespace: String,
    /// The command with which an admin grants it. Absent: no right is missing, but a quota or a
    /// policy refuses it.
    pub command: Option<String>,
}

/// A Secret, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

// === impl Finding ===

impl Finding {
    /// Why, in one word.
    pub fn reason(&self) -> Reason {
        match self {
            Self::GateAccepted | Self::CredentialAccepted { .. } => Reason::Accepted,
            Self::PartiallyAccepted { .. } => Reason::PartiallyAccepted,
            Self::NoScopes { .. } => Reason::NoScopes,
            Self::GateNotAvailable { .. } => Reason::GateNotAvailable,
            Self::ScopeNotAdmitted { .. } => Reason::ScopeNotAdmitted,
            Self::TenantNotAllowed { .. } | Self::TenantNotAdmitted { .. } => Reason::TenantNotAllowed,
            Self::SecretConflict(_)
            | Self::BundleConflict(_)
            | Self::SecretDamaged { .. }
            | Self::SecretOfEarlier(_) => Reason::SecretConflict,
            Self::NoAccess(_) => Reason::NoAccess,
            Self::Invalid { .. } | Self::Unreadable { .. } | Self::CredentialUnreadable { .. } => {
                Reason::Invalid
            }
            Self::UnknownField { .. } => Reason::UnknownField,
            Self::NotSupportedYet { .. } => Reason::NotSupportedYet,
            Self::BundleWritten { .. } => Reason::BundleWritten,
            Self::WaitingForBundle { .. } => Reason::WaitingForBundle,
            Self::GateReady | Self::CredentialReady { .. } => Reason::Ready,
            Self::NoPods { .. } => Reason::NoPods,
            Self::Suspended => Reason::Suspended,
            Self::Expired { .. } => Reason::Expired,
            Self::NotYetValid { .. } => Reason::NotYetValid,
            Self::RuleShadowed { .. } => Reason::RuleShadowed,
            Self::Audits | Self::OpenToAll { .. } => Reason::NotEnforced,
        }
    }

    /// The condition that it is about.
    pub fn condition_type(&self) -> ConditionType {
        self.reason().sets().0
    }

    /// What it makes of that condition.
    pub fn status(&self) -> Status {
        self.reason().sets().1
    }

    /// Does it keep the object from being Ready?
    pub fn blocks_ready(&self) -> bool {
        match self.reason() {
            Reason::PartiallyAccepted => true,
            Reason::RuleShadowed | Reason::NotEnforced => false,
            _ => self.status() != Status::True,
        }
    }

    /// Can only a user help? Then the object is Stalled, so that tools stop waiting for it.
    pub fn stalls(&self) -> bool {
        self.blocks_ready()
            && !matches!(
                self,
                Self::WaitingForBundle { .. } | Self::NotYetValid { .. } | Self::SecretOfEarlier(_)
            )
    }

    /// The condition that it sets.
    pub fn condition(&self) -> NewCondition {
        let (kind, status) = self.reason().sets();
        NewCondition { kind, status, reason: self.reason(), message: self.message() }
    }

    /// `Ready` as it is when this is the first finding that blocks it, or when all is well.
    pub fn ready(&self) -> NewCondition {
        let status = if self.blocks_ready() { Status::False } else { Status::True };
        NewCondition { kind: ConditionType::Ready, status, ..self.condition() }
    }

    /// `Stalled`, for a finding that [stalls](Self::stalls).
    pub fn stalled(&self) -> NewCondition {
        NewCondition { kind: ConditionType::Stalled, status: Status::True, ..self.condition() }
    }

    /// Why, in words: what is wrong, what is right, and who can change it.
    pub fn message(&self) -> String {
        match self {
            Self::GateAccepted => "the Gate is understood, and its bundle is made from it".to_owned(),
            Self::CredentialAccepted { gates } => format!("admitted by {}", count(*gates, "Gate")),
            Self::PartiallyAccepted { of: 1, first, .. } => first.message(),
            Self::PartiallyAccepted { accepted, of, first } => {
                format!("all is well at {accepted} of {}: {}", count(*of, "Gate"), first.message())
            }
            Self::NoScopes { admitted } => {
                format!("the Gate would admit {}; none is asked for", list(admitted))
            }
            Self::GateNotAvailable { index, gate, namespace } => format!(
                "there is no Gate {gate} that admits credentials from {namespace}: check spec.grants[{index}], \
                 or ask its owner for an entry in spec.admit"
            ),
            Self::ScopeNotAdmitted { gate, namespace, admitted, refused, granted } => {
                let admitted = if admitted.is_empty() { "no scopes".to_owned() } else { list(admitted) };
                let what = format!("Gate {gate} admits {admitted} for {namespace}, not {}", list(refused));
                if granted.is_empty() {
                    format!(
                        "{what}: change scopes in spec.grants, or ask the Gate's owner for an entry in spec.admit"
                    )
                } else {
                    format!("{what}. The admitted ones work")
                }
            }
            Self::TenantNotAllowed { tenant } => {
                format!(
                    "tenant {tenant} needs the namespace label tenant.sidegate.dev/{tenant}; an admin sets it"
                )
            }
            Self::TenantNotAdmitted { gate, tenant } => format!(
                "Gate {gate} does not admit tenant {tenant}: ask its owner for it in spec.admit[].tenants"
            ),
            Self::SecretConflict(secret) => format!(
                "Secret {secret} exists and is not ours: set credential.generated.secretName, or delete that Secret"
            ),
            Self::BundleConflict(secret) => format!(
                "Secret {secret} exists and is not ours, so the Gate's bundle cannot be written: delete that Secret"
            ),
            Self::SecretDamaged { secret, why } => {
                format!("Secret {secret} is ours, but {why}: delete it, and a new key is made")
            }
            Self::SecretOfEarlier(secret) => format!(
                "Secret {secret} is that of an earlier object of this name: it is removed within a minute, and a new key is made"
            ),
            Self::NoAccess(NoAccess { action, namespace, command: Some(command) }) => {
                format!(
                    "the operator may not {action} in namespace {namespace}; an admin grants it: {command}"
                )
            }
            Self::NoAccess(NoAccess { action, namespace, command: None }) => {
                format!(
                    "the API server does not let the operator {action} in namespace {namespace}: a quota or an \
                     admission policy refuses it, and the operator's log says which; an admin changes that"
                )
            }
            Self::Invalid { path, message } => format!("{path}: {message}; {STAYS}"),
            Self::Unreadable { message } => {
                format!(
                    "the stored object cannot be read: {message}. Apply it again as its reference page says; {STAYS}"
                )
            }
            Self::CredentialUnreadable { message } => {
                format!(
                    "the stored object cannot be read: {message}. Apply it again as its reference page says; \
                     until then no Gate lets it in"
                )
            }
            Self::UnknownField { fields } => format!(
                "this operator does not know {}: upgrade the operator, or remove what it does not know; {STAYS}",
                some(fields)
            ),
            Self::NotSupportedYet { field } => {
                format!(
                    "{field} is not supported by this version of Sidegate: remove it, or upgrade when a release \
                     supports it; {STAYS}"
                )
            }
            Self::BundleWritten { gates: 1 } => "the Gate's bundle holds it".to_owned(),
            Self::BundleWritten { gates } => format!("the bundles of {gates} Gates hold it"),
            Self::WaitingForBundle { gate } => format!("the bundle of Gate {gate} does not hold it yet"),
            Self::GateReady => {
                "the Gate is in force wherever its bundle is mounted; pods are not counted by this version"
                    .to_owned()
            }
            Self::CredentialReady { secret } => format!("the key in Secret {secret} is let in"),
            Self::NoPods { gate } => {
                format!(
                    "no pod has the label sidegate.dev/gate: {gate}; add it to the pod template of the app"
                )
            }
            Self::Suspended => {
                "suspended by its owner: set spec.suspended to false, and the same key is let in again"
                    .to_owned()
            }
            Self::Expired { at } => {
                format!(
                    "ended at {at}: set a later spec.expiresAt or remove it, and the same key is let in again"
                )
            }
            Self::NotYetValid { from } => format!("let in from {from} on, as spec.notBefore says"),
            Self::Audits => "spec.mode is Audit: what would be denied is logged and let through. Set it to \
                             Enforce when the log shows only what should be denied"
                .to_owned(),
            Self::OpenToAll { index } => format!(
                "spec.rules[{index}] lets every request pass that no rule before it matches: if that is not \
                 meant, set its allow to Authenticated"
            ),
            Self::RuleShadowed { index, by } => format!(
                "spec.rules[{index}] is never reached, since spec.rules[{by}] matches every request: move it up, or remove it"
            ),
        }
    }

    /// One of each, for the golden test and the reference page.
    pub fn examples() -> Vec<Self> {
        let api = GateName::new("dify", "api");
        let team_a = || "team-a".to_owned();
        let secret = |name: &str| Secret { namespace: team_a(), name: name.to_owned() };
        let scopes = |texts: &[&str]| ScopeSet::parse(texts).unwrap_or_default();
        let new_year = Timestamp::from_second(1_798_761_600).unwrap_or_default();
        let missing =
            Self::GateNotAvailable { index: 0, gate: GateName::new("dify", "apii"), namespace: team_a() };
        vec![
            Self::GateAccepted,
            Self::CredentialAccepted { gates: 2 },
            Self::PartiallyAccepted { accepted: 1, of: 2, first: Box::new(missing.clone()) },
            Self::NoScopes { admitted: scopes(&["apps:read", "apps:write"]) },
            missing,
            Self::ScopeNotAdmitted {
                gate: api.clone(),
                namespace: team_a(),
                admitted: scopes(&["apps:read", "apps:write"]),
                refused: scopes(&["apps:admin"]),
                granted: scopes(&["apps:read"]),
            },
            Self::ScopeNotAdmitted {
                gate: api.clone(),
                namespace: team_a(),
                admitted: scopes(&[]),
                refused: scopes(&["apps:admin"]),
                granted: scopes(&[]),
            },
            Self::TenantNotAllowed { tenant: "acme".to_owned() },
            Self::TenantNotAdmitted { gate: api.clone(), tenant: "acme".to_owned() },
            Self::SecretConflict(secret("db")),
            Self::BundleConflict(Secret {
                namespace: "dify".to_owned(),
                name: "sidegate-bundle-api".to_owned(),
            }),
            Self::SecretDamaged {
                secret: secret("ci-key-api-key"),
                why: "it has no annotation sidegate.dev/versions".to_owned(),
            },
            Self::SecretOfEarlier(secret("ci-key-api-key")),
            Self::NoAccess(NoAccess {
                action: "create secrets".to_owned(),
                namespace: team_a(),
                command: Some(
                    "kubectl -n team-a create rolebinding sidegate-operator --clusterrole=sidegate-operator \
                     --serviceaccount=sidegate-system:sidegate-operator"
                        .to_owned(),
                ),
            }),
            Self::NoAccess(NoAccess {
                action: "create secrets".to_owned(),
                namespace: team_a(),
                command: None,
            }),
            Self::Invalid {
                path: "spec.rules[2].match[0].path.value".to_owned(),
                message: crate::law::PATH_NORMAL.message.to_owned(),
            },
            Self::Unreadable { message: "spec.mode: unknown variant `Shadow`".to_owned() },
            Self::CredentialUnreadable {
                message: "spec.grants: invalid type: string \"all\", expected a sequence".to_owned(),
            },
            Self::UnknownField { fields: vec!["spec.rules[0].require.roles".to_owned()] },
            Self::NotSupportedYet { field: "spec.rotation.interval".to_owned() },
            Self::BundleWritten { gates: 1 },
            Self::BundleWritten { gates: 2 },
            Self::WaitingForBundle { gate: api },
            Self::GateReady,
            Self::CredentialReady { secret: secret("ci-key-api-key") },
            Self::NoPods { gate: "api".to_owned() },
            Self::Suspended,
            Self::Expired { at: new_year },
            Self::NotYetValid { from: new_year },
            Self::RuleShadowed { index: 2, by: 1 },
            Self::Audits,
            Self::OpenToAll { index: 3 },
        ]
    }
}

// === impl Secret ===

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What is so while an object is not accepted.
const STAYS: &str =
    "until then what was in force stays (nothing, if this object is new), and keys can still be taken away";

/// At most so many items are named in one message.
const NAMED: usize = 5;

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn list(scopes: &ScopeSet) -> String {
    some(&scopes.iter().map(|scope| scope.as_str().to_owned()).collect::<Vec<_>>())
}

/// The first few, and how many more there are.
fn some(items: &[String]) -> String {
    let named = items.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if items.len() > NAMED { format!("{named} and {} more", items.len() - NAMED) } else { named }
}
