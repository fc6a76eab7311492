//! Patterns by their segments: finding the first rule takes one step a segment, however many
//! rules there are, and allocates nothing.

use std::cmp::Ordering;

use super::Verb;

/// For each verb, the number of the first rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Firsts([u32; Verb::COUNT]);

/// What a pattern stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// The path itself.
    Only,
    /// The path and all below it.
    OrBelow,
}

/// Nodes in one list; the first is the root.
#[derive(Debug)]
pub(super) struct Trie(Vec<Node>);

#[derive(Debug, Default)]
struct Node {
    /// In the order of their segments.
    children: Vec<(Box<str>, usize)>,
    /// Rules for paths that end here.
    here: Firsts,
    /// Rules for paths that end here or go on.
    below: Firsts,
}

const NONE: u32 = u32::MAX;

// === impl Firsts ===

impl Firsts {
    pub(super) fn add(&mut self, number: usize, verbs: [bool; Verb::COUNT]) {
        let number = u32::try_from(number).unwrap_or(NONE);
        for (first, named) in self.0.iter_mut().zip(verbs) {
            if named {
                *first = number.min(*first);
            }
        }
    }

    pub(super) fn first(&self, verb: Verb) -> Option<usize> {
        match self.0[verb as usize] {
            NONE => None,
            number => usize::try_from(number).ok(),
        }
    }
}

impl Default for Firsts {
    fn default() -> Self {
        Self([NONE; Verb::COUNT])
    }
}

// === impl Trie ===

impl Trie {
    /// Adds a pattern. Of a prefix, a last slash says nothing.
    pub(super) fn add(&mut self, path: &str, whole: Whole, number: usize, verbs: [bool; Verb::COUNT]) {
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
    pub(super) fn find(&self, path: &str, verb: Verb, order: fn(&str, &str) -> Ordering) -> Option<usize> {
        let mut node = &self.0[0];
        let mut found = node.below.0[verb as usize];
        for segment in segments(path) {
            let child = node.children.binary_search_by(|(pattern, _)| order(pattern, segment));
            let Ok(child) = child else { return Firsts([found; Verb::COUNT]).first(verb) };
            node = &self.0[node.children[child].1];
            found = found.min(node.below.0[verb as usize]);
        }
        found = found.min(node.here.0[verb as usize]);
        Firsts([found; Verb::COUNT]).first(verb)
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
