//! The rules that the schema alone cannot state: each in CEL, with the message that a user gets.
//!
//! A message says what to write instead. [`crate::validate`] says the same in Rust with the same
//! message; `tests/corpus` holds an accepted and a refused example of each.

use kube::core::Rule;

/// One rule: what must hold, and what is said when it does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Law {
    cel: &'static str,
    /// What a user is told.
    pub(crate) message: &'static str,
    /// The field below that is named, when it is not the one that has the rule.
    at: Option<&'static str>,
}

const fn law(cel: &'static str, message: &'static str) -> Law {
    Law { cel, message, at: None }
}

/// The form of a duration, as a CEL string (GEP-2257).
macro_rules! duration_form {
    () => {
        "'^([0-9]{1,5}(h|m|s|ms)){1,4}$'"
    };
}

/// A DNS-1123 label, without anchors.
macro_rules! label {
    () => {
        "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    };
}

/// The source of an ApiKey's secret, the default filled in. Compare it with constants only: the API
/// server cannot estimate what a comparison of two such values costs.
macro_rules! source_of {
    ($object:literal) => {
        concat!($object, ".?credential.?type.orValue('Generated')")
    };
}

// === impl Law ===

impl Law {
    /// As an `x-kubernetes-validations` entry.
    pub(crate) fn rule(&self) -> Rule {
        let rule = Rule::new(self.cel).message(self.message);
        match self.at {
            Some(field) => rule.field_path(field),
            None => rule,
        }
    }

    const fn at(self, field: &'static str) -> Self {
        Self { at: Some(field), ..self }
    }
}

// --- names ---

pub(crate) const GATE_NAME: Law = law(
    "size(self.metadata.name) <= 63",
    "a Gate's name has at most 63 characters, since pods carry it in the label sidegate.dev/gate: choose a shorter one",
);
pub(crate) const API_KEY_NAME: Law = law(
    "size(self.metadata.name) <= 245",
    "an ApiKey's name has at most 245 characters, since its Secret is called <name>-api-key: choose a shorter one",
);
pub(crate) const NAMESPACES: Law = law(
    concat!("self.all(n, n.matches('^", label!(), "$'))"),
    "a namespace's name has lower-case letters, digits and dashes, such as team-a: write names, not patterns",
);
pub(crate) const GRANT_GATE: Law = law(
    concat!("self.matches('^", label!(), "(\\\\.", label!(), ")*$')"),
    "gate is the name of a Gate, without its namespace: write {gate: api, namespace: dify}",
);
pub(crate) const GRANT_NAMESPACE: Law = law(
    concat!("self == '' || self.matches('^", label!(), "$')"),
    "namespace is the name of the Gate's namespace, such as dify; leave it out for your own",
);
pub(crate) const GRANTS_OF_ONE_NAMESPACE: Law = law(
    "self.all(g, has(g.__namespace__) && g.__namespace__ != '' ? has(self[0].__namespace__) && g.__namespace__ == self[0].__namespace__ : !has(self[0].__namespace__) || self[0].__namespace__ == '')",
    "all grants name Gates of one namespace: write the same namespace in each, and one object for each other namespace",
);

// --- ports ---

pub(crate) const PORT_FREE: Law = law(
    "!(self in [15806, 15821, 15898])",
    "15806, 15821 and 15898 are the sidecar's own ports: let the app listen at another",
);
pub(crate) const PORTS_DISTINCT: Law = law(
    "self.all(p, self.exists_one(q, q.port == p.port && (q.?protocol.orValue('HTTP') == 'UDP') == (p.?protocol.orValue('HTTP') == 'UDP')))",
    "list each port once; only TCP or HTTP and UDP may share a number",
);
pub(crate) const PORTS_HTTP: Law = law(
    "self.exists(p, p.?protocol.orValue('HTTP') == 'HTTP')",
    "at least one port must be HTTP, since TCP and UDP pass unchecked: add {port: <the app's HTTP port>}",
);

// --- namespaces and labels ---

pub(crate) const NAMES_WITH_FROM: Law = law(
    "has(self.names) == (self.from == 'Names')",
    "list the namespaces in names with from: Names, and only then: {from: Names, names: [team-a]}",
);
pub(crate) const SELECTOR_WITH_FROM: Law = law(
    "has(self.selector) == (self.from == 'Selector')",
    "give selector with from: Selector, and only then: {from: Selector, selector: {matchLabels: {team: a}}}",
);
pub(crate) const SELECTOR_NOT_EMPTY: Law = law(
    "(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
    "an empty selector is refused: give matchLabels or matchExpressions; for every namespace write from: All",
);
pub(crate) const EXPRESSION_VALUES: Law = law(
    "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
    "give values with operator In or NotIn, and none with Exists or DoesNotExist",
);
pub(crate) const LABEL_KEYS: Law = law(
    r"self.all(k, k.matches('^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$'))",
    "the name of a label or annotation is as in example.com/team: at most 63 letters, digits, dashes, dots and underscores after the slash",
);
pub(crate) const LABEL_VALUES: Law = law(
    r"self.all(k, self[k].matches('^([A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?)?$'))",
    "a label's value has letters, digits, dashes, dots and underscores, and begins and ends with a letter or digit: put other text into annotations",
);
pub(crate) const MARKS_FREE: Law = law(
    r"!self.exists(k, k.matches('^(argocd\\.argoproj\\.io|([^/]*\\.)?(k8s\\.io|kubernetes\\.io|toolkit\\.fluxcd\\.io|sidegate\\.dev))/'))",
    "names under k8s.io, kubernetes.io, argocd.argoproj.io, toolkit.fluxcd.io and sidegate.dev are refused, since other controllers act on them: use a prefix of your own",
);

// --- requests ---

pub(crate) const HEADER_NAMES: Law = law(
    "self.all(h, h.matches('^[A-Za-z0-9-]+$'))",
    "a header's name has letters, digits and dashes only, such as X-API-Key",
);
pub(crate) const HEADERS_DISTINCT: Law = law(
    "self.all(h, self.exists_one(o, o.lowerAscii() == h.lowerAscii()))",
    "list each header once; capital letters make no difference",
);
/// What [`KEY_HEADERS_FREE`] refuses, in lower case.
pub(crate) const NOT_FOR_KEYS: &[&str] = &[
    "authorization",
    "connection",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "range",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];
/// What a header that [`KEY_HEADERS_FREE`] refuses may begin with, in lower case.
pub(crate) const NOT_FOR_KEYS_PREFIXES: &[&str] =
    &["accept", "access-control-", "content-", "if-", "proxy-", "sec-", "x-forwarded-", "x-sidegate-"];
pub(crate) const KEY_HEADERS_FREE: Law = law(
    "self.all(h, !(h.lowerAscii() in ['authorization', 'connection', 'cookie', 'date', 'expect', 'forwarded', 'host', 'keep-alive', 'origin', 'range', 'referer', 'set-cookie', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'user-agent', 'via']) && !h.lowerAscii().matches('^(accept|access-control-|content-|if-|proxy-|sec-|x-forwarded-|x-sidegate-)'))",
    "a header with a meaning of its own cannot carry keys: choose one such as X-API-Key; for Authorization set bearer: true",
);
/// What [`REMOVED_HEADERS_FREE`] refuses, in lower case.
pub(crate) const NOT_REMOVED: &[&str] =
    &["connection", "content-length", "expect", "host", "te", "transfer-encoding", "upgrade"];
pub(crate) const REMOVED_HEADERS_FREE: Law = law(
    "self.all(h, !(h.lowerAscii() in ['connection', 'content-length', 'expect', 'host', 'te', 'transfer-encoding', 'upgrade']) && !h.lowerAscii().startsWith('x-sidegate-'))",
    "Host and the headers that frame a request cannot be removed; for X-Sidegate-* set identityHeaders: false",
);
pub(crate) const INVALID_STATUS: Law = law("self in [401, 403]", "invalidStatus is 401 or 403");
pub(crate) const METHODS: Law = law(
    "self.all(m, m.matches('^[A-Z]+(-[A-Z]+)*$') && !(m in ['CONNECT', 'TRACE']))",
    "a method is written in upper case, such as PROPFIND; CONNECT and TRACE are never let through",
);
/// The methods that every Gate knows.
pub(crate) const KNOWN_METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
pub(crate) const METHOD_OF_A_RULE: Law = law(
    "!has(self.rules) || self.rules.all(r, !has(r.match) || r.match.all(m, !has(m.methods) || m.methods.all(x, x in ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] || (has(self.methods) && has(self.methods.extra) && x in self.methods.extra))))",
    "a rule names a method that this Gate does not know: add it to spec.methods.extra",
).at(".rules");
pub(crate) const PUBLIC_URL: Law = law(
    r"self.matches('^https?://([a-z0-9]([-.a-z0-9]*[a-z0-9])?|\\[[0-9a-f:.]+\\])(:[0-9]{1,5})?$')",
    "publicUrl is scheme, host and port in lower case, without a path or final slash: write it as in https://dify.example.com",
);
pub(crate) const TRUSTED_PROXIES: Law = law(
    "self.all(p, isCIDR(p))",
    "a trusted proxy is a network in CIDR form: write 10.0.0.0/8, or 192.0.2.7/32 for one address",
);

// --- rules ---

pub(crate) const RULE_NAME: Law = law(
    "self.matches('^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$')",
    "a rule's name has letters, digits and dashes, such as read-apps",
);
pub(crate) const RULE_NAMES_DISTINCT: Law = law(
    "self.all(r, !has(r.name) || self.exists_one(o, has(o.name) && o.name == r.name))",
    "two rules have the same name: give each its own",
);
pub(crate) const ALLOW_OR_REQUIRE: Law = law(
    "has(self.allow) != has(self.require)",
    "a rule has either allow or require: write allow: Anonymous, allow: Authenticated, or require: {scopes: [apps:read]}",
);
pub(crate) const MATCH_NOT_EMPTY: Law = law(
    "has(self.path) || has(self.methods)",
    "an empty match is refused: give path, methods or both; for every request leave match out",
);
pub(crate) const REQUIRE_NOT_EMPTY: Law = law(
    "has(self.scopes) || has(self.anyScopes) || has(self.tenants) || has(self.types) || has(self.groups)",
    "an empty require is refused: give scopes, anyScopes, tenants, types or groups; for any credential write allow: Authenticated",
);
pub(crate) const PATH_CHARACTERS: Law = law(
    r#"self.matches("^/([-A-Za-z0-9._~!$&'()+,;=:@/]|%(2[0-9A-CF]|3[A-F]|40|5[BDE]|60|7[BCD]|[89A-F][0-9A-F]))*$")"#,
    "a path begins with / and is written as the app receives it: no query, no wildcard or template, only characters of a URL, others as upper-case %XX; such as /api/v1/apps",
);
pub(crate) const PATH_NORMAL: Law = law(
    r"!self.contains('//') && !self.matches('/\\.\\.?(/|$)')",
    "a path has no empty, . or .. segments, since none reaches the app: write /a/b, not /a//b or /a/./b",
);
pub(crate) const PREFIX_WITHOUT_SLASH: Law = law(
    "self.type != 'PathPrefix' || self.value == '/' || !self.value.endsWith('/')",
    "PathPrefix compares whole segments: write /a, which fits /a, /a/ and /a/b, not /a/",
);

// --- who ---

pub(crate) const SCOPES: Law = law(
    r"self.all(s, s.matches('^[!#-\\[\\]-~]+$'))",
    "a scope is printable ASCII without spaces, quotes and backslashes: write a list, such as [apps:read, apps:write]",
);
pub(crate) const TENANT: Law = law(
    "self.matches('^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$')",
    "a tenant has letters, digits, dashes, dots and underscores, such as acme; leave it out for the namespace's own tenant ns:<namespace>",
);
pub(crate) const TENANTS: Law = law(
    "self.all(t, t.matches('^(ns:[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?|[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)$'))",
    "a tenant has letters, digits, dashes, dots and underscores, such as acme, or is ns:<namespace>",
);
pub(crate) const OWNER: Law = law(
    "self.matches('^[!-~]+$')",
    "owner is a user name or address as the identity provider writes it, without spaces, such as jo@acme.com",
);

// --- times ---

pub(crate) const MAX_LIFETIME: Law = law(
    concat!(
        "self.matches(",
        duration_form!(),
        ") && duration(self) >= duration('5m') && duration(self) <= duration('87600h')"
    ),
    "maxLifetime is a duration from 5m to 87600h in hours, minutes and seconds: write 90 days as 2160h",
);
pub(crate) const INTERVAL: Law = law(
    concat!(
        "self.matches(",
        duration_form!(),
        ") && duration(self) >= duration('10m') && duration(self) <= duration('87600h')"
    ),
    "interval is a duration from 10m to 87600h in hours, minutes and seconds: write 30 days as 720h",
);
pub(crate) const OVERLAP: Law = law(
    concat!(
        "self.matches(",
        duration_form!(),
        ") && duration(self) >= duration('5m') && duration(self) <= duration('8760h')"
    ),
    "overlap is a duration from 5m to 8760h in hours, minutes and seconds: write one day as 24h",
);
pub(crate) const INTERVAL_HOLDS_OVERLAP: Law = law(
    concat!(
        "!has(self.interval) || !self.interval.matches(",
        duration_form!(),
        ") || (has(self.overlap) ",
        "? !self.overlap.matches(",
        duration_form!(),
        ") || duration(self.interval) >= duration(self.overlap) + duration(self.overlap) ",
        ": duration(self.interval) >= duration('48h'))"
    ),
    "interval is at least twice the overlap, which is 24h when absent: lengthen interval or shorten overlap",
);
pub(crate) const TIME: Law = law(
    "self >= timestamp('2000-01-01T00:00:00Z') && self < timestamp('3000-01-01T00:00:00Z')",
    "a time is in the years 2000 to 2999, such as \"2027-01-01T00:00:00Z\"; for no end leave expiresAt out",
);
pub(crate) const EXPIRES_AFTER_NOT_BEFORE: Law = law(
    "!has(self.expiresAt) || !has(self.notBefore) || self.expiresAt > self.notBefore",
    "expiresAt must be later than notBefore",
)
.at(".expiresAt");

// --- credentials ---

pub(crate) const ROTATION_OF_GENERATED: Law = law(
    concat!(
        source_of!("self"),
        " == 'Generated' || !has(self.rotation) || !(has(self.rotation.interval) || has(self.rotation.generation))"
    ),
    "rotation.interval and rotation.generation are for generated keys only: change the imported value or the hash yourself",
).at(".rotation");
pub(crate) const SOURCE_FIXED: Law = law(
    concat!(
        "['Imported', 'Hash'].all(s, (",
        source_of!("self"),
        " == s) == (",
        source_of!("oldSelf"),
        " == s))"
    ),
    "credential.type cannot be changed: make a new ApiKey and delete this one when nobody uses it",
)
.at(".credential");
pub(crate) const TENANT_FIXED: Law = law(
    "has(self.tenant) == has(oldSelf.tenant) && (!has(self.tenant) || self.tenant == oldSelf.tenant)",
    "tenant cannot be changed: make a new ApiKey and delete this one when nobody uses it",
)
.at(".tenant");
pub(crate) const TYPE_FIXED: Law = law(
    "(self.?type.orValue('Service') == 'App') == (oldSelf.?type.orValue('Service') == 'App')",
    "type cannot be changed: make a new ApiKey and delete this one when nobody uses it",
)
.at(".type");
pub(crate) const GENERATED_WITH_TYPE: Law = law(
    "!has(self.generated) || self.?type.orValue('Generated') == 'Generated'",
    "generated goes with type: Generated only: remove it",
);
pub(crate) const IMPORTED_WITH_TYPE: Law = law(
    "has(self.imported) == (self.?type.orValue('Generated') == 'Imported')",
    "give imported with type: Imported, and only then: {type: Imported, imported: {secretName: old-key, key: api-key}}",
);
pub(crate) const HASH_WITH_TYPE: Law = law(
    "has(self.hash) == (self.?type.orValue('Generated') == 'Hash')",
    "give hash with type: Hash, and only then: {type: Hash, hash: {keyId: …, sha256: …}}, as sidegate key mint prints it",
);
pub(crate) const SECRET_NAME: Law = law(
    concat!("self.matches('^", label!(), "(\\\\.", label!(), ")*$')"),
    "secretName is the name of a Secret of this namespace: lower-case letters, digits, dashes and dots, such as ci-key-api-key",
);
pub(crate) const SECRET_NAME_FREE: Law = law(
    "!self.startsWith('sidegate-bundle-') && !self.startsWith('sidegate-issuer')",
    "names that begin with sidegate-bundle- or sidegate-issuer are Sidegate's own: choose another",
);
pub(crate) const SECRET_KEY: Law = law(
    r"self.matches('^[-._A-Za-z0-9]+$') && self != '.' && !self.startsWith('..') && !self.startsWith('next-') && !self.startsWith('previous-')",
    "a key of the Secret has letters, digits, dashes, dots and underscores, and does not begin with next- or previous-, which rotation needs: such as api-key",
);
pub(crate) const SECRET_KEY_READ: Law = law(
    r"self.matches('^[-._A-Za-z0-9]+$') && self != '.' && !self.startsWith('..')",
    "a key of a Secret has letters, digits, dashes, dots and underscores, such as api-key",
);
pub(crate) const SECRET_KEYS_DISTINCT: Law = law(
    "has(self.apiKey) && has(self.keyId) ? self.apiKey != self.keyId : (!has(self.apiKey) || self.apiKey != 'key-id') && (!has(self.keyId) || self.keyId != 'api-key')",
    "apiKey and keyId need different keys of the Secret (absent: api-key and key-id)",
);
pub(crate) const KEY_ID: Law = law(
    "self.matches('^[0-9A-Za-z]{16}$')",
    "keyId has 16 letters and digits: write it as sidegate key mint prints it",
);
pub(crate) const SHA256: Law = law(
    "self.matches('^[0-9a-f]{64}$')",
    "sha256 has 64 hexadecimal digits in lower case: write it as sidegate key mint prints it",
);
