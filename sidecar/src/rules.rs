//! Path and method to rule: the first that matches counts.
//!
//! Every path is matched twice: as it is, and *folded*, that is decoded, in lower case and
//! without a last slash, against patterns that are folded alike. Frameworks differ in whether
//! `/ADMIN/`, `/admin` and `/%40me` are other pages than `/admin` and `/@me`; where the two
//! ways find different rules the request has to satisfy **both**, so that no spelling of a
//! path is a way around the rule for it. Whatever matches as it is also matches folded, so the
//! second rule can only be one that stands earlier in the list.
//!
//! A pattern that no request can have, because such a request is refused before (`/a//b`),
//! matches nothing. A rule that needs a feature which this version lacks denies what it
//! matches.

use std::{borrow::Cow, cmp::Ordering, fmt::Write, sync::Arc};

use http::Method;
use sidegate_bundle::gate::{Access, Match, PathMatch, Requirement, Rule};

use crate::{
    index::{ScopeBits, ScopeTable},
    normalise::{self, Target},
};

mod trie;

use trie::{Firsts, Trie, Whole};

/// How audit lines and people call a rule: its name, or its place, as `rules[2]`.
pub type RuleRef = Arc<str>;

/// A method that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

/// The rules of a bundle.
#[derive(Debug)]
pub(crate) struct Rules {
    list: Vec<CompiledRule>,
    as_is: Trie,
    folded: Trie,
    /// For `OPTIONS *`: only matches that have no path.
    asterisk: Firsts,
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

/// The rule that matches a path as it is, and the one that matches it folded if that is
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) rule: usize,
    pub(crate) also: Option<usize>,
}

/// Features of rules that this version knows.
const FEATURES: &[&str] = &[];

// === impl Verb ===

impl Verb {
    pub(crate) const COUNT: usize = 7;
    const ALL: [(Self, &str); Self::COUNT] = [
        (Self::Get, "GET"),
        (Self::Head, "HEAD"),
        (Self::Post, "POST"),
        (Self::Put, "PUT"),
        (Self::Patch, "PATCH"),
        (Self::Delete, "DELETE"),
        (Self::Options, "OPTIONS"),
    ];

    /// The served method of this name, in upper case.
    pub(crate) fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET => Some(Self::Get),
            Method::HEAD => Some(Self::Head),
            Method::POST => Some(Self::Post),
            Method::PUT => Some(Self::Put),
            Method::PATCH => Some(Self::Patch),
            Method::DELETE => Some(Self::Delete),
            Method::OPTIONS => Some(Self::Options),
            _ => None,
        }
    }

    /// Which verbs a match names, by their place in [`Verb::ALL`]. A name that is not served
    /// adds none, and never means "any".
    fn named(methods: &[String]) -> [bool; Self::COUNT] {
        Self::ALL.map(|(verb, name)| {
            let names = |wanted: &str| methods.iter().any(|method| method == wanted);
            methods.is_empty() || names(name) || (verb == Self::Head && names("GET"))
        })
    }
}

// === impl Rules ===

impl Rules {
    pub(crate) fn new(rules: &[Rule], table: &mut ScopeTable) -> Self {
        let mut compiled = Self {
            list: Vec::with_capacity(rules.len()),
            as_is: Trie::default(),
            folded: Trie::default(),
            asterisk: Firsts::default(),
        };
        let everything = [Match::default()];
        for (number, rule) in rules.iter().enumerate() {
            let matches = if rule.matches.is_empty() { &everything } else { rule.matches.as_slice() };
            for entry in matches {
                compiled.add(number, entry);
            }
            compiled.list.push(CompiledRule::new(number, rule, table));
        }
        compiled
    }

    /// The rules that decide about this path and method.
    pub(crate) fn find(&self, target: &Target, verb: Verb) -> Option<Found> {
        if target.is_asterisk() {
            return self.asterisk.first(verb).map(|rule| Found { rule, also: None });
        }
        let rule = self.as_is.find(target.path(), verb, str::cmp)?;
        let decoded = normalise::decoded(target.path());
        let folded = self.folded.find(without_last_slash(&one_case(&decoded)), verb, ignoring_case);
        Some(Found { rule, also: folded.filter(|folded| *folded != rule) })
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn rule(&self, number: usize) -> &CompiledRule {
        &self.list[number]
    }

    fn add(&mut self, number: usize, Match { path, methods }: &Match) {
        let verbs = Verb::named(methods);
        let (text, whole) = match path {
            None => {
                self.asterisk.add(number, verbs);
                ("/", Whole::OrBelow)
            }
            Some(PathMatch::Exact(text)) => (text.as_str(), Whole::Only),
            Some(PathMatch::Prefix(text)) => (text.as_str(), Whole::OrBelow),
        };
        let Some(pattern) = pattern(text) else { return };
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
    pub(crate) fn numbers(self) -> impl Iterator<Item = usize> {
        std::iter::once(self.rule).chain(self.also)
    }
}

/// A rule's path as a request's would look: what cannot stand in a target is encoded. `None`:
/// no request that comes so far can have it.
fn pattern(text: &str) -> Option<String> {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#') => encoded.push(char::from(byte)),
            // Writing to a String does not fail.
            byte => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    normalise::path(&encoded).ok().map(Cow::into_owned)
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
