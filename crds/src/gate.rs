//! `Gate`: what each route of the protected pods needs, and whom it admits.
//!
//! Written by the owner of an app, in the app's namespace. An absent field has the meaning that
//! its description gives; nothing is filled in by the API server.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

mod admit;
mod capture;
mod ports;
mod rule;
mod status;

pub use admit::Admit;
pub use capture::{Capture, CaptureMode, Loopback};
pub use ports::{Port, Protocol};
pub use rule::{Allow, GateRule, Match, PathMatch, PathType, Require, shadowed};
pub use status::{GateStatus, Pods, RefusedPort};

use crate::law;

/// What the owner of an app wants of its Gate.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "sidegate.dev",
    version = "v1alpha1",
    kind = "Gate",
    plural = "gates",
    namespaced,
    status = "GateStatus",
    category = "sidegate",
    derive = "PartialEq",
    derive = "Default",
    doc = "A Gate says what each route of the pods with the label sidegate.dev/gate: <name> needs, and whose credentials it admits. The smallest: spec: {ports: [{port: 8080}]}.",
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "REASON", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "PODS", type_ = "string", json_path = ".status.pods.summary"),
    printcolumn(name = "MODE", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "MESSAGE",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    validation = law::GATE_NAME.rule()
)]
#[x_kube(validation = law::METHOD_OF_A_RULE.rule())]
#[serde(rename_all = "camelCase")]
pub struct GateSpec {
    /// The app's ports. HTTP: the rules decide. TCP and UDP: passed through unchecked, which is
    /// your decision. Every port that is not listed is closed; in mode Audit it is passed through
    /// and counted. At least one must be HTTP. Example: [{port: 8080}, {port: 9090, protocol: TCP}].
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = law::PORTS_DISTINCT.rule(), validation = law::PORTS_HTTP.rule())]
    pub ports: Vec<Port>,

    /// Enforce: what is not allowed is refused. Audit: decides and logs, but lets everything
    /// through; paths are still normalised and credentials still removed. Absent: Enforce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,

    /// Whose credentials are admitted, and how far. When several entries match a namespace, their
    /// scopes and tenants are united, and the longest maxLifetime and the largest maxCredentials
    /// count. Absent: [{namespaces: {from: Same}}].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub admit: Option<Vec<Admit>>,

    /// Where API keys are taken from. Absent: the header X-API-Key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_keys: Option<ApiKeys>,

    /// Whether access tokens of the TokenIssuer are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,

    /// The OAuth endpoints at this Gate's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuth>,

    /// The URL under which callers reach the app: scheme, host and port only. It is the realm in
    /// challenges and the base of metadata; it is never taken from the Host header. Absent: the
    /// realm is <namespace>/<name>. Example: https://dify.example.com.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = law::PUBLIC_URL.rule())]
    pub public_url: Option<String>,

    /// What a request needs, by path and method. The first rule that matches decides; a request
    /// that matches none is refused. Absent: [{allow: Authenticated}].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = law::RULE_NAMES_DISTINCT.rule())]
    pub rules: Option<Vec<GateRule>>,

    /// What happens to paths that servers read differently.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Paths>,

    /// Which methods are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Methods>,

    /// How a request is changed before the app receives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Forward>,

    /// How the app is talked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,

    /// What is written to the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,

    /// How the pod's traffic is brought to the sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Capture>,
}

/// Are refusals carried out?
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// They are logged, and the request goes on.
    Audit,
}

/// Where API keys are taken from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeys {
    /// The request headers that carry a key, at most 8. Headers listed here are removed before the
    /// app sees the request. An empty list together with bearer: false takes no keys. Absent:
    /// [X-API-Key].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 64)))]
    #[x_kube(
        validation = law::HEADER_NAMES.rule(),
        validation = law::KEY_HEADERS_FREE.rule(),
        validation = law::HEADERS_DISTINCT.rule()
    )]
    pub headers: Option<Vec<String>>,

    /// Whether a key is also taken from "Authorization: Bearer <key>". Absent: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<bool>,

    /// The HTTP status for a bad key in a key header: 401 or 403. Absent: 403.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = law::INVALID_STATUS.rule())]
    pub invalid_status: Option<u16>,
}

/// Whether access tokens are taken.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Whether "Authorization: Bearer <token>" is checked as a token of the TokenIssuer. Set it to
    /// false when the app has bearer tokens of its own. Absent: true when there is a TokenIssuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<bool>,
}

/// The OAuth endpoints at this Gate's own address.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OAuth {
    /// Whether POST /oauth/token, POST /oauth/revoke and the RFC 9728 metadata are served at this
    /// Gate's own address. Absent: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose: Option<bool>,
}

/// What happens to paths that servers read differently.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Paths {
    /// A path with %2F or %5C in it: Refuse (answered with 400) or Pass. Absent: Refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded_slash: Option<Doubtful>,
    /// A path with // in it: Refuse (answered with 400) or Pass. Absent: Refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub double_slash: Option<Doubtful>,
    /// A path with ; in it: Refuse (answered with 400) or Pass. Absent: Refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semicolon: Option<Doubtful>,
}

/// What to do with something that two servers could read differently.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum Doubtful {
    /// Answer with 400.
    #[default]
    Refuse,
    /// Let it through as it is.
    Pass,
}

/// Which methods are known.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Methods {
    /// Methods beside GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS, in upper case, at most 16.
    /// Any other is answered with 405. CONNECT and TRACE cannot be added. Absent: none. Example:
    /// [PROPFIND, REPORT].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 32)))]
    #[x_kube(validation = law::METHODS.rule())]
    pub extra: Vec<String>,
}

/// How a request is changed before the app receives it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Forward {
    /// Whether the app is told who calls, in the headers X-Sidegate-Subject, -Tenant, -Scopes,
    /// -Credential, -Client, -Groups and -Request-Id. What a caller sends under these names is
    /// removed in any case. Absent: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_headers: Option<bool>,

    /// Networks (CIDR) of the proxies in front of the app, at most 64. The client address in
    /// Forwarded and X-Forwarded-For is believed from these peers only. Absent: none. Example:
    /// [10.0.0.0/8].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 43)))]
    #[x_kube(validation = law::TRUSTED_PROXIES.rule())]
    pub trusted_proxies: Vec<String>,

    /// Further request headers that the app must not receive, at most 64. Absent: none. Example:
    /// [X-Debug].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    #[x_kube(validation = law::HEADER_NAMES.rule(), validation = law::REMOVED_HEADERS_FREE.rule())]
    pub remove_headers: Vec<String>,
}

/// How the app is talked to.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    /// Whether connections to the app are used again. Auto: yes, but not after a request with a
    /// body, since an app that does not read it would take it for the next request. Off: never.
    /// Absent: Auto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<KeepAlive>,
}

/// Are connections to the app used again?
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum KeepAlive {
    /// Where that is safe.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// What is written to the audit log.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// How allowed requests are logged. Aggregated: one line a minute for each caller, rule and
    /// method. Each: one line for each request. None: not at all. Refused requests are always
    /// logged. Absent: Aggregated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<AuditAllow>,
}

/// How allowed requests are logged.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum AuditAllow {
    /// A line a minute for each subject, rule and method.
    #[default]
    Aggregated,
    /// A line for each request.
    Each,
    /// Not at all.
    None,
}
