//! Scopes as bits: only those that some rule names get one, since no other can decide anything.

use std::{collections::HashMap, sync::Arc};

use sidegate_bundle::{Scope, ScopeSet};

/// Which bit stands for which scope.
#[derive(Debug, Default)]
pub(crate) struct ScopeTable(HashMap<Scope, usize>);

/// A set of scopes that rules name; copies share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScopeBits(Arc<[u64]>);

// === impl ScopeTable ===

impl ScopeTable {
    /// The bits of what a rule names; a scope that is new gets the next bit.
    pub(crate) fn learn(&mut self, scopes: &ScopeSet) -> ScopeBits {
        for scope in scopes.iter() {
            let bit = self.0.len();
            self.0.entry(scope.clone()).or_insert(bit);
        }
        self.bits(scopes)
    }

    /// The bits of what a credential has.
    pub(crate) fn bits(&self, scopes: &ScopeSet) -> ScopeBits {
        let mut words = Vec::new();
        for bit in scopes.iter().filter_map(|scope| self.0.get(scope)) {
            let word = bit / 64;
            if words.len() <= word {
                words.resize(word + 1, 0u64);
            }
            words[word] |= 1 << (bit % 64);
        }
        ScopeBits(words.into())
    }
}

// === impl ScopeBits ===

impl ScopeBits {
    /// Has it all that `needed` has?
    pub(crate) fn contains(&self, needed: &Self) -> bool {
        needed.0.iter().enumerate().all(|(at, word)| word & !self.word(at) == 0)
    }

    /// Has it any that `needed` has?
    pub(crate) fn meets(&self, needed: &Self) -> bool {
        needed.0.iter().enumerate().any(|(at, word)| word & self.word(at) != 0)
    }

    fn word(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    fn scopes() -> impl Strategy<Value = ScopeSet> {
        // More than one word's worth of scopes.
        btree_set(0..150u8, 0..40)
            .prop_map(|numbers| ScopeSet::parse(numbers.iter().map(|number| format!("s{number}"))).unwrap())
    }

    proptest! {
        #[test]
        fn bits_decide_as_sets_do(rules in proptest::collection::vec(scopes(), 1..6), held in scopes()) {
            let mut table = ScopeTable::default();
            let learnt: Vec<_> = rules.iter().map(|rule| table.learn(rule)).collect();
            let bits = table.bits(&held);
            for (rule, learnt) in rules.iter().zip(&learnt) {
                prop_assert_eq!(bits.contains(learnt), rule.difference(&held).is_empty());
                prop_assert_eq!(bits.meets(learnt), !rule.intersection(&held).is_empty());
            }
        }
    }
}
