//! Scopes: what a credential may do, in the words of the Gate's owner.

use std::{borrow::Borrow, collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest scope that we take, in bytes.
pub const MAX_SCOPE_LENGTH: usize = 128;

/// One scope token (RFC 6749 §3.3): printable ASCII without space, `"` and `\`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(String);

/// A set of scopes, in order, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeSet(BTreeSet<Scope>);

/// Why a text is not a scope.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a scope: 1 to {MAX_SCOPE_LENGTH} printable ASCII characters without space, \" and \\")]
pub struct NotAScope(String);

// === impl Scope ===

impl Scope {
    /// The scope's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Scope {
    type Error = NotAScope;

    fn try_from(text: String) -> Result<Self, NotAScope> {
        let token = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if (1..=MAX_SCOPE_LENGTH).contains(&text.len()) && text.bytes().all(token) {
            Ok(Self(text))
        } else {
            Err(NotAScope(text))
        }
    }
}

impl TryFrom<&str> for Scope {
    type Error = NotAScope;

    fn try_from(text: &str) -> Result<Self, NotAScope> {
        Self::try_from(text.to_owned())
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0
    }
}

impl Borrow<str> for Scope {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl ScopeSet ===

impl ScopeSet {
    /// The set of `texts`; the first that is no scope is the error.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, NotAScope> {
        texts.into_iter().map(|text| Scope::try_from(text.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// The scopes, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Scope> {
        self.0.iter()
    }

    /// How many scopes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Has it no scope?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Is this scope in the set?
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// The scopes that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// The scopes of `self` that `other` lacks.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    /// Takes all scopes of `other` in.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

/// Space-separated, as OAuth writes a scope parameter.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_an_rfc_6749_scope_token() {
        let longest = "s".repeat(MAX_SCOPE_LENGTH);
        for good in ["apps:read", "a", "https://x/y", "!#[]~", longest.as_str()] {
            assert_eq!(Scope::try_from(good).map(String::from), Ok(good.to_owned()));
        }
        let too_long = "s".repeat(MAX_SCOPE_LENGTH + 1);
        for bad in ["", "a b", "a\"b", "a\\b", "ä", "a\n", "\u{7f}", too_long.as_str()] {
            assert_eq!(Scope::try_from(bad), Err(NotAScope(bad.to_owned())));
        }
    }

    #[test]
    fn a_scope_that_is_none_is_refused_when_it_is_read() {
        assert!(serde_json::from_str::<ScopeSet>(r#"["ok", "not ok"]"#).is_err());
    }

    #[test]
    fn sets_print_in_order_and_once() {
        let set = ScopeSet::parse(["b", "a", "b"]).unwrap();
        assert_eq!(set.to_string(), "a b");
        assert_eq!(set.difference(&ScopeSet::parse(["a"]).unwrap()).to_string(), "b");
    }
}
