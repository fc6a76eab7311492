//! Patterns by their segments: finding the first rule takes one step a segment, however many
//! rules there are, and allocates nothing.

use std::cmp::Ordering;

use crate::methods::{Verb, VerbSet};

/// The numbers of rules, in ascending order, each with the verbs that it is for.
#[derive(Debug, Default)]
pub(super) struct Numbers(Vec<(u32, VerbSet)>);

/// What a pattern stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// The path itself.
    Only,
    /// The path and all below it.
    OrBelow,
}

/// Compares a pattern's segment with a path's.
type Order = fn(&str, &str) -> Ordering;

/// Nodes in one list; the first is the root.
#[derive(Debug)]
pub(super) struct Trie(Vec<Node>);

#[derive(Debug, Default)]
struct Node {
    /// In the order of their segments.
    children: Vec<(Box<str>, usize)>,
    /// Rules for paths that end here.
    here: Numbers,
    /// Rules for paths that end here or go on.
    below: Numbers,
}

// === impl Numbers ===

impl Numbers {
    /// Adds a rule. Rules are added in their order.
    pub(super) fn add(&mut self, number: usize, verbs: VerbSet) {
        let Ok(number) = u32::try_from(number) else { return };
        if verbs.is_empty() {
            return;
        }
        debug_assert!(self.0.last().is_none_or(|(last, _)| *last <= number), "in their order");
        match self.0.last_mut() {
            Some((last, known)) if *last == number => *known = known.with(verbs),
            _ => self.0.push((number, verbs)),
        }
    }

    pub(super) fn first(&self, verb: Verb) -> Option<usize> {
        self.all(verb).next()
    }

    fn all(&self, verb: Verb) -> impl Iterator<Item = usize> {
        let fitting = self.0.iter().filter(move |(_, verbs)| verbs.has(verb));
        fitting.filter_map(|(number, _)| usize::try_from(*number).ok())
    }
}

// === impl Trie ===

impl Trie {
    /// Adds a pattern. Of a prefix, a last slash says nothing.
    pub(super) fn add(&mut self, path: &str, whole: Whole, number: usize, verbs: VerbSet) {
        let path = match whole {
            Whole::Only => path,
            Whole::OrBelow => path.strip_suffix('/').unwrap_or(path),
        };
        let mut at = 0;
        for segment in segments(path) {
            at = self.child(at, segment);
        }
        let node = &mut self.0[at];
        match whole {
            Whole::Only => node.here.add(number, verbs),
            Whole::OrBelow => node.below.add(number, verbs),
        }
    }

    /// The first rule of all patterns that stand for this path. `order` compares a pattern's
    /// segment with the path's.
    pub(super) fn find(&self, path: &str, verb: Verb, order: Order) -> Option<usize> {
        let mut first: Option<usize> = None;
        self.visit(path, order, |numbers| {
            first = match (first, numbers.first(verb)) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        });
        first
    }

    /// All rules before `end` of the patterns that stand for this path.
    pub(super) fn find_all(&self, path: &str, verb: Verb, order: Order, end: usize) -> Vec<usize> {
        let mut all = Vec::new();
        self.visit(path, order, |numbers| all.extend(numbers.all(verb).filter(|number| *number < end)));
        all.sort_unstable();
        all.dedup();
        all
    }

    fn visit(&self, path: &str, order: Order, mut look: impl FnMut(&Numbers)) {
        let mut node = &self.0[0];
        look(&node.below);
        for segment in segments(path) {
            let child = node.children.binary_search_by(|(pattern, _)| order(pattern, segment));
            let Ok(child) = child else { return };
            node = &self.0[node.children[child].1];
            look(&node.below);
        }
        look(&node.here);
    }

    fn child(&mut self, at: usize, segment: &str) -> usize {
        match self.0[at].children.binary_search_by(|(pattern, _)| (**pattern).cmp(segment)) {
            Ok(child) => self.0[at].children[child].1,
            Err(place) => {
                let new = self.0.len();
                self.0[at].children.insert(place, (segment.into(), new));
                self.0.push(Node::default());
                new
            }
        }
    }
}

impl Default for Trie {
    fn default() -> Self {
        Self(vec![Node::default()])
    }
}

/// The root is one empty segment; nothing at all is none.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').into_iter().flat_map(|rest| rest.split('/'))
}
