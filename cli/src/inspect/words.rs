//! A decision, step by step, in words; and the same as JSON.

use std::fmt::Write as _;

use http::{header, request::Parts};
use jiff::Timestamp;
use serde_json::{Value, json};
use sidegate_bundle::{
    GateBundle, Scope, ScopeSet,
    denial::{Denial, KeyFault},
    gate::{Access, Key, Mode, Requirement, Rule, Standing},
};
use sidegate_sidecar::Foreseen;

/// What there is to tell of one request.
pub(super) struct Account<'a> {
    pub(super) bundle: &'a GateBundle,
    pub(super) head: &'a Parts,
    pub(super) foreseen: &'a Foreseen,
    pub(super) now: Timestamp,
}

// === impl Account ===

impl Account<'_> {
    /// A line for each step, and the answer.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (step, words) in self.steps() {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{step:<12}{words}");
        }
        text + &self.answer() + "\n"
    }

    fn steps(&self) -> Vec<(&'static str, String)> {
        let mut steps = vec![("request", self.request())];
        if let Some(denial) = self.denial().filter(|denial| is_about_the_request(denial)) {
            steps.push(("refused", denial.answer(Some(self.bundle)).detail));
            return steps;
        }
        match self.foreseen.rules.split_first() {
            None => steps.push(("rule", "none, and what no rule matches is denied".to_owned())),
            Some((first, others)) => {
                steps.push(("rule", self.rule(*first)));
                steps.extend(others.iter().map(|other| {
                    let rule = self.rule(*other);
                    ("and rule", format!("{rule} (the path can be spelt or read so)"))
                }));
            }
        }
        steps.push(("credential", self.credential()));
        steps.push(("authorise", self.authorise()));
        steps
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let names = |numbers: &[usize]| numbers.iter().map(|number| self.label(*number)).collect::<Vec<_>>();
        let denial = self.denial();
        let answer = denial.map(|denial| denial.answer(Some(self.bundle)));
        json!({
            "gate": self.bundle.gate.to_string(),
            "revision": self.bundle.revision,
            "decision": if self.foreseen.verdict.is_ok() { "allow" } else { "deny" },
            "enforced": denial.is_none() || self.foreseen.verdict.is_err(),
            "method": self.head.method.as_str(),
            "path": self.foreseen.path,
            "rules": names(&self.foreseen.rules),
            "rule": self.foreseen.rule.map(|number| self.label(number)),
            "credential": self.key().map(|key| json!({
                "keyId": key.id,
                "subject": key.sub,
                "tenant": key.tenant,
                "type": key.kind,
                "scopes": key.scopes,
                "expiresAt": key.exp.map(time),
            })),
            "status": answer.as_ref().map(|answer| answer.status),
            "error": answer.as_ref().map(|answer| answer.error),
            "reason": denial.map(Denial::word),
            "detail": answer.map(|answer| answer.detail),
        })
    }

    fn request(&self) -> String {
        let (method, raw) = (&self.head.method, self.head.uri.path());
        let normal = &self.foreseen.path;
        if normal == raw { format!("{method} {raw}") } else { format!("{method} {normal}, from {raw}") }
    }

    /// Why not, even if the Gate only audits.
    fn denial(&self) -> Option<&Denial> {
        match &self.foreseen.verdict {
            Ok(unenforced) => unenforced.as_ref(),
            Err(denial) => Some(denial),
        }
    }

    fn label(&self, number: usize) -> String {
        let name = self.bundle.rules.get(number).and_then(|rule| rule.name.clone());
        name.unwrap_or_else(|| format!("rules[{number}]"))
    }

    fn rule(&self, number: usize) -> String {
        let Some(rule) = self.bundle.rules.get(number) else { return self.label(number) };
        let place = if rule.name.is_some() { format!(" (rules[{number}])") } else { String::new() };
        format!("{}{place}: {}", self.label(number), needs(rule))
    }

    fn key(&self) -> Option<&Key> {
        let id = self.foreseen.principal.as_ref()?.key_id;
        self.bundle.keys.iter().find(|key| key.id == id)
    }

    fn credential(&self) -> String {
        if let Some(key) = self.key() {
            return format!("{}, key {}, {}", who(key), key.id, standing(key, self.now));
        }
        match self.denial() {
            Some(Denial::InvalidKey(_, KeyFault::Malformed)) => {
                "not a key of Sidegate's form, or mistyped".to_owned()
            }
            Some(Denial::InvalidKey(_, KeyFault::Unknown)) => "no key of this Gate has that id".to_owned(),
            Some(Denial::InvalidKey(_, KeyFault::WrongSecret)) => {
                "its id is known here, its secret is wrong".to_owned()
            }
            Some(Denial::AmbiguousCredentials) => "two different ones, or one header twice".to_owned(),
            _ if self.presents() => "one that does not count, and is not needed".to_owned(),
            _ => "none".to_owned(),
        }
    }

    fn presents(&self) -> bool {
        let keys = &self.bundle.api_keys;
        keys.headers.iter().any(|name| self.head.headers.contains_key(name.as_str()))
            || keys.bearer && self.head.headers.contains_key(header::AUTHORIZATION)
    }

    fn authorise(&self) -> String {
        let Some(denial) = self.denial() else { return "allowed".to_owned() };
        let because = match denial {
            Denial::InsufficientScope { .. } => {
                let has = self.key().map(|key| key.scopes.to_string()).filter(|has| !has.is_empty());
                let detail = denial.answer(Some(self.bundle)).detail;
                format!("has {}, {detail}", has.as_deref().unwrap_or("no scopes"))
            }
            Denial::TenantNotAllowed => {
                format!(
                    "has tenant {}, which is not listed",
                    self.key().map_or("-", |key| key.tenant.as_str())
                )
            }
            Denial::TypeNotAllowed => {
                format!("is of type {}, which is not listed", self.key().map_or("-", |key| key.kind.as_str()))
            }
            Denial::MissingCredentials => "needs a credential".to_owned(),
            Denial::InvalidKey(..) => "the credential is not valid here".to_owned(),
            _ => denial.answer(Some(self.bundle)).detail,
        };
        match self.foreseen.rule {
            Some(number) if self.foreseen.rules.len() > 1 => {
                format!("denied by {}: {because}", self.label(number))
            }
            _ => format!("denied: {because}"),
        }
    }

    /// The last line: what the caller gets, by which bundle, and what to do about it.
    fn answer(&self) -> String {
        let by = format!("{} revision {}", self.bundle.gate, self.bundle.revision);
        let Some(denial) = self.denial() else { return format!("allowed ({by})") };
        let answer = denial.answer(Some(self.bundle));
        let (status, error) = (answer.status, answer.error);
        let mut line = match self.foreseen.verdict {
            Ok(_) => {
                format!("allowed, since the Gate is in mode {:?}; else {status} {error} ({by})", Mode::Audit)
            }
            Err(_) => format!("{status} {error} ({by})"),
        };
        if let Some(help) = self.help(denial) {
            line.push_str(". ");
            line.push_str(&help);
        }
        line
    }

    fn help(&self, denial: &Denial) -> Option<String> {
        match denial {
            Denial::InsufficientScope { all, any } => {
                let key = self.key()?;
                let wanted = any.iter().next().into_iter().chain(all.iter()).chain(key.scopes.iter());
                let scopes = ScopeSet::parse(wanted.map(Scope::as_str)).ok()?;
                let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
                let scopes = scopes.join(", ");
                let gate = &self.bundle.gate;
                Some(format!("{} may ask for it in its grant for Gate {gate}: scopes: [{scopes}]", who(key)))
            }
            Denial::MissingCredentials => Some("With a key: --key - < FILE, or --key-id ID".to_owned()),
            Denial::MethodNotAllowed => Some(
                "A Gate lists further methods in spec.methods.extra, but for CONNECT and TRACE".to_owned(),
            ),
            Denial::NoRule => {
                Some("Add a rule to spec.rules of the Gate, such as {allow: Authenticated}".to_owned())
            }
            _ => None,
        }
    }
}

/// Is it refused for what it is, before it matters who asks?
fn is_about_the_request(denial: &Denial) -> bool {
    matches!(
        denial,
        Denial::DoubtfulRequest(_)
            | Denial::AmbiguousPath(_)
            | Denial::MethodNotAllowed
            | Denial::ExpectationFailed
    )
}

fn needs(rule: &Rule) -> String {
    let mut words = match &rule.access {
        Access::Anonymous => "needs nothing".to_owned(),
        Access::Authenticated => "needs any valid credential".to_owned(),
        Access::Require(requirement) => requirement_words(requirement),
    };
    if !rule.needs.is_empty() {
        let _ = write!(words, " (from sidecars that know {})", rule.needs.join(", "));
    }
    words
}

fn requirement_words(requirement: &Requirement) -> String {
    let Requirement { scopes, any_scopes, tenants, types } = requirement;
    let mut parts = Vec::new();
    let set =
        |set: &ScopeSet| set.iter().map(|scope| scope.as_str().to_owned()).collect::<Vec<_>>().join(", ");
    if !scopes.is_empty() {
        parts.push(format!("scopes {}", set(scopes)));
    }
    if !any_scopes.is_empty() {
        parts.push(format!("one of the scopes {}", set(any_scopes)));
    }
    if !tenants.is_empty() {
        parts.push(format!("tenants {}", tenants.iter().cloned().collect::<Vec<_>>().join(", ")));
    }
    if !types.is_empty() {
        parts
            .push(format!("types {}", types.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")));
    }
    if parts.is_empty() { "needs any valid credential".to_owned() } else { parts.join("; ") }
}

/// `key:<namespace>.<name>` as people write it.
fn who(key: &Key) -> String {
    match key.sub.strip_prefix("key:").and_then(|rest| rest.split_once('.')) {
        Some((namespace, name)) => format!("ApiKey {namespace}/{name}"),
        None => key.sub.clone(),
    }
}

fn standing(key: &Key, now: Timestamp) -> String {
    let now = now.as_second();
    match (key.standing, key.nbf, key.exp) {
        (Standing::Revoked, ..) => "revoked".to_owned(),
        (Standing::Suspended, ..) => "suspended".to_owned(),
        (Standing::Good, Some(nbf), _) if now < nbf => format!("not valid before {}", time(nbf)),
        (Standing::Good, _, Some(exp)) if now >= exp => format!("expired at {}", time(exp)),
        (Standing::Good, _, Some(exp)) => format!("good until {}", time(exp)),
        (Standing::Good, _, None) => "good, without an end".to_owned(),
    }
}

fn time(second: i64) -> String {
    Timestamp::from_second(second).unwrap_or_default().to_string()
}
