//! Credential to principal: is it what it says, and does it count now?
//!
//! It never says why a bad one is bad to anyone but the audit event, and it never calls
//! anybody: the bundle and the clock are all that it looks at.

use std::sync::Arc;

use jiff::Timestamp;
use sidegate_bundle::{
    KeyId, ScopeSet,
    audit::Actor,
    denial::{Denial, KeyFault},
    gate::CredentialType,
};

use crate::{
    extract::Presented,
    index::{Index, ScopeBits},
    rewrite::Identity,
};

mod api_key;

/// Who has proven to be whom.
#[derive(Debug)]
pub struct Principal {
    /// `key:<namespace>.<name>`.
    pub subject: Arc<str>,
    /// The credential's tenant.
    pub tenant: Arc<str>,
    /// What kind of caller holds the credential.
    pub kind: CredentialType,
    /// What it may do at this Gate.
    pub scopes: Arc<ScopeSet>,
    /// The person it belongs to.
    pub owner: Option<Arc<str>>,
    /// Which version of which key.
    pub key_id: KeyId,
    /// When it ends, in unix seconds: streams and tunnels end with it.
    pub expires_at: Option<i64>,
    pub(crate) bits: ScopeBits,
    pub(crate) identity: Identity,
}

/// Who stands behind a request.
#[derive(Debug)]
pub(crate) enum Holder {
    /// No credential came.
    Nobody,
    /// A credential came, and counts.
    Known(Arc<Principal>),
    /// One came, and does not count. If its secret was right, we still know whose it is.
    Refused(Denial, Option<Arc<Principal>>),
}

// === impl Principal ===

impl Principal {
    /// As audit events name it.
    pub fn actor(&self) -> Actor<'_> {
        Actor { subject: (&*self.subject).into(), tenant: (&*self.tenant).into(), key_id: Some(self.key_id) }
    }
}

// === impl Holder ===

impl Holder {
    /// Whose credential it is, whether it counts or not.
    pub(crate) fn principal(&self) -> Option<&Arc<Principal>> {
        match self {
            Self::Nobody => None,
            Self::Known(principal) => Some(principal),
            Self::Refused(_, principal) => principal.as_ref(),
        }
    }
}

/// Who presented this, as far as it is proven.
pub(crate) fn verify(index: &Index, presented: Option<Presented<'_>>, now: Timestamp) -> Holder {
    let Some(Presented { text, place }) = presented else { return Holder::Nobody };
    let malformed = Holder::Refused(Denial::InvalidKey(place, KeyFault::Malformed), None);
    text.map_or(malformed, |text| api_key::verify(index, text, place, now))
}

/// Who would stand behind a request that presents the secret of this key.
pub(crate) fn suppose(index: &Index, id: KeyId, now: Timestamp) -> Holder {
    api_key::suppose(index, id, index.places.first(), now)
}
