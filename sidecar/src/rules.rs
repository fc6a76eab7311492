//! Path and method to rule: the first that matches counts.
//!
//! Every path is matched twice: as it is, and *folded*, that is decoded, in lower case and
//! without a last slash, against patterns that are folded alike. Frameworks differ in whether
//! `/ADMIN/`, `/admin` and `/%40me` are other pages than `/admin` and `/@me`; so the request has
//! to satisfy the first rule that matches it as it is **and every rule before that one which
//! matches it folded**, so that no spelling of a path is a way around the rule for it.
//!
//! A doubtful path that passes (`/a//b`, `/a;b`, `/a%2Fb`) is matched so in each way that a server
//! could read it. Every reading has to find a rule, and the request has to satisfy all of them.
//!
//! A pattern that no request can have, because such a request is refused before (`/a//b`),
//! matches nothing. A rule that needs a feature which this version lacks denies what it
//! matches.

use std::{borrow::Cow, cmp::Ordering, fmt::Write, sync::Arc};

use sidegate_bundle::gate::{
    Access, KEEP_ALIVE_OFF, Match, PathMatch, Paths, REMOVES_HEADERS, Requirement, Rule,
};

use crate::{
    index::{ScopeBits, ScopeTable},
    methods::{Methods, Verb},
    normalise::{self, Target},
};

mod trie;

use trie::{Numbers, Trie, Whole};

/// How audit lines and people call a rule: its name, or its place, as `rules[2]`.
pub type RuleRef = Arc<str>;

/// The rules of a bundle.
#[derive(Debug)]
pub(crate) struct Rules {
    list: Vec<CompiledRule>,
    as_is: Trie,
    folded: Trie,
    /// For `OPTIONS *`: only matches that have no path.
    asterisk: Numbers,
}

#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) label: RuleRef,
    pub(crate) access: Needed,
}

/// What a rule asks for.
#[derive(Debug)]
pub(crate) enum Needed {
    Nothing,
    Credential,
    All(Box<Needs>),
    /// More than this version can check.
    NotUnderstood,
}

#[derive(Debug)]
pub(crate) struct Needs {
    pub(crate) scopes: ScopeBits,
    /// `None`: none in particular.
    pub(crate) any_scope: Option<ScopeBits>,
    /// In the bundle's words, for answers and for what needs no bits.
    pub(crate) words: Requirement,
}

/// The rule that matches a path as it is, and the others that match it in another spelling or
/// reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) rule: usize,
    pub(crate) also: Vec<usize>,
}

/// Features of rules that this version knows.
const FEATURES: &[&str] = &[REMOVES_HEADERS, KEEP_ALIVE_OFF];

// === impl Rules ===

impl Rules {
    pub(crate) fn new(rules: &[Rule], methods: &Methods, passing: Paths, table: &mut ScopeTable) -> Self {
        let mut compiled = Self {
            list: Vec::with_capacity(rules.len()),
            as_is: Trie::default(),
            folded: Trie::default(),
            asterisk: Numbers::default(),
        };
        let everything = [Match::default()];
        for (number, rule) in rules.iter().enumerate() {
            let matches = if rule.matches.is_empty() { &everything } else { rule.matches.as_slice() };
            for entry in matches {
                compiled.add(number, entry, methods, passing);
            }
            compiled.list.push(CompiledRule::new(number, rule, table));
        }
        compiled
    }

    /// The rules that decide about this path and method.
    pub(crate) fn find(&self, target: &Target, verb: Verb) -> Option<Found> {
        if target.is_asterisk() {
            return self.asterisk.first(verb).map(|rule| Found { rule, also: Vec::new() });
        }
        let (rule, mut also) = self.matching(target.path(), verb)?;
        for reading in target.readings().skip(1) {
            let (first, others) = self.matching(reading, verb)?;
            for number in std::iter::once(first).chain(others) {
                if number != rule && !also.contains(&number) {
                    also.push(number);
                }
            }
        }
        Some(Found { rule, also })
    }

    /// The first rule that matches this path as it is, and those before it that match it folded.
    fn matching(&self, path: &str, verb: Verb) -> Option<(usize, Vec<usize>)> {
        let rule = self.as_is.find(path, verb, str::cmp)?;
        let decoded = normalise::decoded(path);
        let one_case = one_case(&decoded);
        let folded = without_last_slash(&one_case);
        // Mostly there are none, and nothing is gathered then.
        let others = match self.folded.find(folded, verb, ignoring_case) {
            Some(first) if first < rule => self.folded.find_all(folded, verb, ignoring_case, rule),
            _ => Vec::new(),
        };
        Some((rule, others))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn rule(&self, number: usize) -> &CompiledRule {
        &self.list[number]
    }

    fn add(
        &mut self,
        number: usize,
        Match { path, methods: names }: &Match,
        methods: &Methods,
        passing: Paths,
    ) {
        let verbs = methods.named(names);
        let (text, whole) = match path {
            None => {
                self.asterisk.add(number, verbs);
                ("/", Whole::OrBelow)
            }
            Some(PathMatch::Exact(text)) => (text.as_str(), Whole::Only),
            Some(PathMatch::Prefix(text)) => (text.as_str(), Whole::OrBelow),
        };
        let Some(pattern) = pattern(text, passing) else { return };
        let folded = one_case(&normalise::decoded(&pattern)).to_ascii_lowercase();
        self.as_is.add(&pattern, whole, number, verbs);
        self.folded.add(without_last_slash(&folded), whole, number, verbs);
    }
}

// === impl CompiledRule ===

impl CompiledRule {
    fn new(number: usize, rule: &Rule, table: &mut ScopeTable) -> Self {
        let Rule { name, matches: _, access, needs } = rule;
        let label = name.as_deref().map_or_else(|| format!("rules[{number}]").into(), Into::into);
        let understood = needs.iter().all(|feature| FEATURES.contains(&feature.as_str()));
        let access = match access {
            _ if !understood => Needed::NotUnderstood,
            Access::Anonymous => Needed::Nothing,
            Access::Authenticated => Needed::Credential,
            Access::Require(words) => Needed::All(Box::new(Needs::new(words, table))),
        };
        Self { label, access }
    }
}

// === impl Needs ===

impl Needs {
    fn new(words: &Requirement, table: &mut ScopeTable) -> Self {
        Self {
            scopes: table.learn(&words.scopes),
            any_scope: (!words.any_scopes.is_empty()).then(|| table.learn(&words.any_scopes)),
            words: words.clone(),
        }
    }
}

// === impl Found ===

impl Found {
    /// The numbers of the rules, the one that matches as it is first.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.rule).chain(self.also.iter().copied())
    }
}

/// A rule's path as a request's would look: what cannot stand in a target is encoded. `None`:
/// no request that comes so far can have it.
fn pattern(text: &str, passing: Paths) -> Option<String> {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#') => encoded.push(char::from(byte)),
            // Writing to a String does not fail.
            byte => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    normalise::path_passing(&encoded, passing).ok().map(Cow::into_owned)
}

fn without_last_slash(path: &str) -> &str {
    match path {
        "/" => path,
        _ => path.strip_suffix('/').unwrap_or(path),
    }
}

/// Upper case and lower case beyond ASCII made one, which [`ignoring_case`] leaves as they are. By
/// way of upper case, so that the letters whose other case is in ASCII are found too.
fn one_case(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect())
}

/// Compares a pattern's segment, which is in lower case, with a request's.
fn ignoring_case(pattern: &str, segment: &str) -> Ordering {
    pattern.bytes().cmp(segment.bytes().map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
