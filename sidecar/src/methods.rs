//! Which methods a Gate serves.

use http::{HeaderValue, Method};

/// A method that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verb(u8);

/// Some of the methods that are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VerbSet(u32);

/// The methods of one Gate: those of every Gate, and its own.
#[derive(Clone, Debug)]
pub(crate) struct Methods {
    extra: Box<[Method]>,
    allow: HeaderValue,
}

const ALWAYS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// As many as the API takes. What a bundle has beyond is not served.
const MOST_EXTRA: usize = 16;

// === impl Verb ===

impl Verb {
    const GET: Self = Self(0);
    const HEAD: Self = Self(1);
}

// === impl VerbSet ===

impl VerbSet {
    pub(crate) const ALL: Self = Self(u32::MAX);

    pub(crate) fn has(self, verb: Verb) -> bool {
        self.0 & (1 << verb.0) != 0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn one(verb: Verb) -> Self {
        Self(1 << verb.0)
    }
}

// === impl Methods ===

impl Methods {
    /// Those of every Gate, and `extra`. What is no method that a Gate could serve adds none.
    pub(crate) fn new(extra: &[String]) -> Self {
        let mut methods: Vec<Method> = Vec::new();
        for name in extra {
            if let Ok(method) = Method::from_bytes(name.as_bytes())
                && could_serve(&method)
                && !ALWAYS.contains(&method.as_str())
                && !methods.contains(&method)
                && methods.len() < MOST_EXTRA
            {
                methods.push(method);
            }
        }
        let names: Vec<_> = ALWAYS.into_iter().chain(methods.iter().map(Method::as_str)).collect();
        let allow = HeaderValue::try_from(names.join(", "));
        Self { extra: methods.into(), allow: allow.unwrap_or_else(|_| HeaderValue::from_static("GET, HEAD")) }
    }

    /// The served method of this name, in upper case.
    pub(crate) fn verb(&self, method: &Method) -> Option<Verb> {
        let place = match *method {
            Method::GET => 0,
            Method::HEAD => 1,
            Method::POST => 2,
            Method::PUT => 3,
            Method::PATCH => 4,
            Method::DELETE => 5,
            Method::OPTIONS => 6,
            _ => ALWAYS.len() + self.extra.iter().position(|extra| extra == method)?,
        };
        u8::try_from(place).ok().map(Verb)
    }

    /// Which of them a match names. GET stands for HEAD too. A name that is not served adds none,
    /// and never means "any".
    pub(crate) fn named(&self, names: &[String]) -> VerbSet {
        if names.is_empty() {
            return VerbSet::ALL;
        }
        let mut verbs = VerbSet::default();
        for name in names {
            let method = Method::from_bytes(name.as_bytes());
            if let Some(verb) = method.ok().and_then(|method| self.verb(&method)) {
                verbs = verbs.with(VerbSet::one(verb));
                if verb == Verb::GET {
                    verbs = verbs.with(VerbSet::one(Verb::HEAD));
                }
            }
        }
        verbs
    }

    /// What `Allow` says on a 405.
    pub(crate) fn allow(&self) -> &HeaderValue {
        &self.allow
    }
}

/// Could a Gate list this method? Not one that opens a tunnel or shows the request, nor one that a
/// server may take for another: RFC 9110 §9.1 has them in upper case, and tells `get` from `GET`.
pub(crate) fn could_serve(method: &Method) -> bool {
    let name = method.as_str();
    let words = name.split('-').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase()));
    words && !matches!(name, "CONNECT" | "TRACE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods(extra: &[&str]) -> Methods {
        Methods::new(&extra.iter().copied().map(str::to_owned).collect::<Vec<_>>())
    }

    fn serves(methods: &Methods, name: &str) -> bool {
        methods.verb(&name.parse().unwrap()).is_some()
    }

    #[test]
    fn seven_methods_are_served_and_what_a_gate_lists() {
        let webdav = methods(&["PROPFIND", "VERSION-CONTROL", "PROPFIND", "GET"]);
        for name in ALWAYS.iter().chain(&["PROPFIND", "VERSION-CONTROL"]) {
            assert!(serves(&webdav, name), "{name}");
        }
        for name in ["get", "propfind", "Propfind", "REPORT", "CONNECT", "TRACE"] {
            assert!(!serves(&webdav, name), "{name}");
        }
        assert_eq!(webdav.allow(), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, PROPFIND, VERSION-CONTROL");
    }

    #[test]
    fn what_no_gate_may_serve_is_not_served_whatever_a_bundle_lists() {
        let odd = methods(&["CONNECT", "TRACE", "get", "", "A B", "-A", "A--B", "A1", "M-SEARCH"]);
        assert_eq!(odd.allow(), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, M-SEARCH");
        let many: Vec<_> = ('A'..='Z').map(|letter| format!("X{letter}")).collect();
        let many = Methods::new(&many);
        assert!(serves(&many, "XP") && !serves(&many, "XQ"));
    }

    #[test]
    fn a_match_names_methods_that_are_served_and_no_others() {
        let webdav = methods(&["PROPFIND"]);
        let named = |names: &[&str], method: &str| {
            let names: Vec<_> = names.iter().copied().map(str::to_owned).collect();
            webdav.named(&names).has(webdav.verb(&method.parse().unwrap()).unwrap())
        };
        assert!(named(&[], "PROPFIND") && named(&["PROPFIND"], "PROPFIND") && named(&["GET"], "HEAD"));
        assert!(!named(&["GET"], "PROPFIND") && !named(&["REPORT"], "GET") && !named(&["HEAD"], "GET"));
        assert!(!named(&["get"], "GET"));
    }
}
