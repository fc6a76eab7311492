//! Principal and rules to permit or denial. Nothing is forwarded without a [`Permit`], and
//! only [`authorise`] makes one.
//!
//! # Mode Audit
//!
//! A denial that is about who asks for what is told and not carried out: the request goes on, and
//! the app is told of a caller only if a valid credential came. Denials that are about what is
//! asked (framing, a path with two readings, a rule that may ask for more than this version can
//! do) stand in every mode: what cannot be handed on in one form is not handed on.
//!
//! # Routes that need nothing
//!
//! Where every rule that matches says `Anonymous`, a credential is neither needed nor harmful:
//! a good one identifies its holder to the app, a bad, expired or suspended one is dropped and
//! the request goes on as anonymous. Such routes are health checks and public pages, which must
//! not fail because a client sends an old key everywhere; and nothing is gained by it, since
//! the same request without the key passes too. Two different credentials are refused here as
//! anywhere: it is not for us to choose who the caller is. Credentials are removed on every
//! route, so the app of a public page does not see them either.

use std::sync::Arc;

use sidegate_bundle::{ScopeSet, denial::Denial, gate::Mode};

use crate::{
    normalise::Target,
    rules::{CompiledRule, Found, Needed, Needs, Rules},
    verify::{Holder, Principal},
};

/// Leave to forward one request.
#[derive(Debug)]
pub struct Permit {
    target: Target,
    principal: Option<Arc<Principal>>,
    unenforced: Option<Denial>,
}

/// A denial, and the number of the rule that it comes from.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) rule: Option<usize>,
    pub(crate) denial: Denial,
}

// === impl Permit ===

impl Permit {
    /// What the app is asked for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Who asks; `None`: anyone may.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        self.principal.as_ref()
    }

    /// Why it would be denied if the Gate enforced; only in mode Audit.
    pub fn unenforced(&self) -> Option<&Denial> {
        self.unenforced.as_ref()
    }
}

/// Leave to forward what was judged so, or the denial that stands.
pub(crate) fn authorise(
    mode: Mode,
    judged: Result<(), Denial>,
    holder: &Holder,
    target: Target,
) -> Result<Permit, Denial> {
    let unenforced = match judged {
        Ok(()) => None,
        Err(denial) if mode == Mode::Audit && is_about_access(&denial) => Some(denial),
        Err(denial) => return Err(denial),
    };
    let principal = match holder {
        Holder::Known(principal) => Some(Arc::clone(principal)),
        Holder::Nobody | Holder::Refused(..) => None,
    };
    Ok(Permit { target, principal, unenforced })
}

/// Does the holder meet every rule that matches?
pub(crate) fn judge(rules: &Rules, found: Option<&Found>, holder: &Holder) -> Result<(), Refusal> {
    let Some(found) = found else {
        return Err(Refusal { rule: None, denial: without_rule(holder) });
    };
    for number in found.numbers() {
        satisfy(rules.rule(number), holder).map_err(|denial| Refusal { rule: Some(number), denial })?;
    }
    Ok(())
}

/// Is it about who may, and not about what was asked?
fn is_about_access(denial: &Denial) -> bool {
    matches!(
        denial,
        Denial::MissingCredentials
            | Denial::InvalidKey(..)
            | Denial::KeyNotUsable(..)
            | Denial::InsufficientScope { .. }
            | Denial::TenantNotAllowed
            | Denial::TypeNotAllowed
            | Denial::NoRule
            | Denial::AmbiguousCredentials
            | Denial::MethodNotAllowed
    )
}

/// Whoever has no valid credential is not told which paths have rules.
fn without_rule(holder: &Holder) -> Denial {
    known(holder).map_or_else(|denial| denial, |_| Denial::NoRule)
}

fn satisfy(rule: &CompiledRule, holder: &Holder) -> Result<(), Denial> {
    match &rule.access {
        Needed::Nothing => Ok(()),
        Needed::Credential => known(holder).map(|_| ()),
        Needed::All(needs) => meet(needs, known(holder)?),
        Needed::NotUnderstood => Err(Denial::RuleNotUnderstood),
    }
}

fn known(holder: &Holder) -> Result<&Principal, Denial> {
    match holder {
        Holder::Known(principal) => Ok(principal),
        Holder::Nobody => Err(Denial::MissingCredentials),
        Holder::Refused(denial, _) => Err(denial.clone()),
    }
}

fn meet(needs: &Needs, principal: &Principal) -> Result<(), Denial> {
    let Needs { scopes, any_scope, words } = needs;
    let all = principal.bits.contains(scopes);
    let any = any_scope.as_ref().is_none_or(|any| principal.bits.meets(any));
    if !(all && any) {
        return Err(Denial::InsufficientScope {
            all: words.scopes.difference(&principal.scopes),
            any: if any { ScopeSet::default() } else { words.any_scopes.clone() },
        });
    }
    if !words.tenants.is_empty() && !words.tenants.contains(&*principal.tenant) {
        return Err(Denial::TenantNotAllowed);
    }
    if !words.types.is_empty() && !words.types.contains(&principal.kind) {
        return Err(Denial::TypeNotAllowed);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
