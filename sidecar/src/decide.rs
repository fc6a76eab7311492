//! The pure steps in order: refuse, normalise, rule, extract, verify, authorise.
//!
//! The same index, head and time always give the same verdict. Nothing here does I/O, reads a
//! clock, or changes anything; what acts on the verdict stands elsewhere.

use std::sync::Arc;

use http::{request::Parts, uri::PathAndQuery};
use jiff::Timestamp;
use sidegate_bundle::denial::Denial;

use crate::{
    authorise::{Permit, Refusal, authorise},
    extract::extract,
    index::Index,
    normalise::Target,
    refuse::refuse,
    rules::RuleRef,
    verify::{Principal, verify},
};

/// What was decided, and what an audit line tells of it.
#[derive(Debug)]
pub struct Decided {
    target: Option<PathAndQuery>,
    /// The rule that decided, if it came so far.
    pub rule: Option<RuleRef>,
    /// Whose credential came, if its secret was right; also of requests that are denied.
    pub principal: Option<Arc<Principal>>,
    /// What to do.
    pub verdict: Result<Permit, Denial>,
}

/// What is known so far.
#[derive(Default)]
struct Seen {
    target: Option<PathAndQuery>,
    rule: Option<usize>,
    principal: Option<Arc<Principal>>,
}

// === impl Decided ===

impl Decided {
    /// The normalised path, or the raw one of what could not be normalised; never the query.
    pub fn path(&self) -> &str {
        self.target.as_ref().map_or("", PathAndQuery::path)
    }
}

/// Decides about one request, by its head, at this time.
pub fn decide(index: &Index, head: &Parts, now: Timestamp) -> Decided {
    let mut seen = Seen { target: head.uri.path_and_query().cloned(), ..Seen::default() };
    let verdict = steps(index, head, now, &mut seen);
    Decided {
        target: seen.target,
        rule: seen.rule.map(|number| Arc::clone(&index.rules.rule(number).label)),
        principal: seen.principal,
        verdict,
    }
}

fn steps(index: &Index, head: &Parts, now: Timestamp, seen: &mut Seen) -> Result<Permit, Denial> {
    let verb = refuse(head)?;
    let target = Target::of(&head.uri)?;
    seen.target = Some(target.path_and_query().clone());
    let found = index.rules.find(&target, verb);
    seen.rule = found.map(|found| found.rule);
    let presented = extract(&index.places, &head.headers)?;
    let holder = verify(index, presented, now);
    seen.principal = holder.principal().cloned();
    authorise(&index.rules, found, &holder, target).map_err(|Refusal { rule, denial }| {
        seen.rule = rule;
        denial
    })
}

#[cfg(test)]
mod tests;
