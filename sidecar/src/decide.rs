//! The pure steps in order: refuse, normalise, rule, extract, verify, authorise.
//!
//! The same index, head and time always give the same verdict. Nothing here does I/O, reads a
//! clock, or changes anything; what acts on the verdict stands elsewhere.

use std::sync::Arc;

use http::{request::Parts, uri::PathAndQuery};
use jiff::Timestamp;
use sidegate_bundle::{KeyId, denial::Denial};

use crate::{
    authorise::{Permit, Refusal, authorise, judge},
    extract::extract,
    index::Index,
    methods::Verb,
    normalise::Target,
    refuse::refuse,
    rules::{Found, RuleRef},
    verify::{Holder, Principal, suppose, verify},
};

/// What was decided, and what an audit line tells of it.
#[derive(Debug)]
pub struct Decided {
    target: Option<PathAndQuery>,
    /// The rule that decided, if it came so far.
    pub rule: Option<RuleRef>,
    /// Whose credential came, if its secret was right; also of requests that are denied.
    pub principal: Option<Arc<Principal>>,
    /// What to do. In mode Audit a permit may say why it would have been denied.
    pub verdict: Result<Permit, Denial>,
}

/// What would be decided, for people: nothing can be forwarded by it.
#[derive(Debug)]
pub struct Foreseen {
    /// The normalised path, or the raw one of what could not be normalised; never the query.
    pub path: String,
    /// The places in the bundle of all rules that match, first of the one that matches the path
    /// as it is.
    pub rules: Vec<usize>,
    /// The place of the rule that decides.
    pub rule: Option<usize>,
    /// Whose credential it is, whether it counts or not.
    pub principal: Option<Arc<Principal>>,
    /// `Ok`: let through; in mode Audit perhaps in spite of a denial.
    pub verdict: Result<Option<Denial>, Denial>,
}

/// Whose word is taken for who asks.
#[derive(Clone, Copy)]
enum Proof {
    /// A credential in the request, with its secret.
    Presented,
    /// Nobody's: it is supposed that this key's secret came.
    Supposed(KeyId),
}

/// What is known so far.
struct Seen {
    target: Option<PathAndQuery>,
    found: Option<Found>,
    rule: Option<usize>,
    holder: Holder,
}

// === impl Decided ===

impl Decided {
    /// The normalised path, or the raw one of what could not be normalised; never the query.
    pub fn path(&self) -> &str {
        path(self.target.as_ref())
    }
}

/// Decides about one request, by its head, at this time.
pub fn decide(index: &Index, head: &Parts, now: Timestamp) -> Decided {
    let mut seen = Seen::nothing_of(head);
    let verdict = steps(index, head, Proof::Presented, now, &mut seen);
    Decided {
        target: seen.target,
        rule: seen.rule.map(|number| Arc::clone(&index.rules.rule(number).label)),
        principal: seen.holder.principal().cloned(),
        verdict,
    }
}

/// What [`decide`] would decide about this request. With `supposed` it is as if the secret of that
/// key had been presented, and no credential in the head counts.
pub fn foresee(index: &Index, head: &Parts, supposed: Option<KeyId>, now: Timestamp) -> Foreseen {
    let mut seen = Seen::nothing_of(head);
    let proof = supposed.map_or(Proof::Presented, Proof::Supposed);
    let verdict = steps(index, head, proof, now, &mut seen);
    Foreseen {
        path: path(seen.target.as_ref()).to_owned(),
        rules: seen.found.iter().flat_map(Found::numbers).collect(),
        rule: seen.rule,
        principal: seen.holder.principal().cloned(),
        verdict: verdict.map(|permit| permit.unenforced().cloned()),
    }
}

// === impl Seen ===

impl Seen {
    fn nothing_of(head: &Parts) -> Self {
        let target = head.uri.path_and_query().cloned();
        Self { target, found: None, rule: None, holder: Holder::Nobody }
    }
}

fn path(target: Option<&PathAndQuery>) -> &str {
    target.map_or("", PathAndQuery::path)
}

/// What is asked for, in one form; then whether this caller may have it.
fn steps(
    index: &Index,
    head: &Parts,
    proof: Proof,
    now: Timestamp,
    seen: &mut Seen,
) -> Result<Permit, Denial> {
    let verb = refuse(head, &index.methods)?;
    let target = Target::of(&head.uri, index.passing())?;
    seen.target = Some(target.path_and_query().clone());
    let judged = access(index, head, (verb, &target), proof, now, seen);
    authorise(index.mode(), judged, &seen.holder, target)
}

fn access(
    index: &Index,
    head: &Parts,
    (verb, target): (Option<Verb>, &Target),
    proof: Proof,
    now: Timestamp,
    seen: &mut Seen,
) -> Result<(), Denial> {
    let verb = verb.ok_or(Denial::MethodNotAllowed)?;
    seen.found = index.rules.find(target, verb);
    seen.rule = seen.found.as_ref().map(|found| found.rule);
    seen.holder = match proof {
        Proof::Presented => verify(index, extract(&index.places, &head.headers)?, now),
        Proof::Supposed(id) => suppose(index, id, now),
    };
    judge(&index.rules, seen.found.as_ref(), &seen.holder).map_err(|Refusal { rule, denial }| {
        seen.rule = rule;
        denial
    })
}

#[cfg(test)]
mod tests;
