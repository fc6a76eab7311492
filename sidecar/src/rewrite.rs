//! What the app receives, and what the caller receives from it.
//!
//! In this order: what belongs to one connection goes (with all that `Connection` names), then
//! credentials, names that servers read in more than one way, and headers by which a caller
//! could say who it is or what it asks for; what is ours is set last. An app that sees
//! `X-Sidegate-Scopes`, even empty, knows that a gate stands before it; `X-Sidegate-Subject`,
//! `-Tenant` and `-Credential` are there only if someone proved to be someone. A Gate may tell its
//! app nothing of this; what callers say under these names goes all the same.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header, request, response,
    uri::PathAndQuery,
};
use sidegate_bundle::ScopeSet;

use crate::{authorise::Permit, client::Peer, index::Index, refuse, request_id::RequestId};

/// On every request to the app and on every answer to the caller.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-sidegate-request-id");

const SUBJECT: HeaderName = HeaderName::from_static("x-sidegate-subject");
const TENANT: HeaderName = HeaderName::from_static("x-sidegate-tenant");
const SCOPES: HeaderName = HeaderName::from_static("x-sidegate-scopes");
const CREDENTIAL: HeaderName = HeaderName::from_static("x-sidegate-credential");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// So many lines are ours, at most.
const OWN_LINES: usize = 7;
/// No value of ours is longer.
const MAX_VALUE: usize = 4096;

/// What `Connection` names beside what it says of the connection itself.
struct Named<'a>(Vec<&'a [u8]>);

/// The headers that say who asks, made once for each key.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) subject: Option<HeaderValue>,
    pub(crate) tenant: Option<HeaderValue>,
    pub(crate) scopes: HeaderValue,
}

// === impl Named ===

impl<'a> Named<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let itself = |option: &[u8]| {
            option.eq_ignore_ascii_case(b"close") || option.eq_ignore_ascii_case(b"keep-alive")
        };
        Self(refuse::options(headers).filter(|option| !itself(option)).collect())
    }

    /// Framing stays, whatever is named.
    fn contains(&self, name: &HeaderName) -> bool {
        name != header::CONTENT_LENGTH
            && self.0.iter().any(|option| option.eq_ignore_ascii_case(name.as_str().as_bytes()))
    }
}

/// What the app receives, but for the body.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) method: Method,
    /// The normalised path and the query, or `*`.
    pub(crate) target: PathAndQuery,
    /// All headers, those of one name in the order in which they came.
    pub(crate) lines: Vec<(HeaderName, HeaderValue)>,
}

// === impl Outbound ===

impl Outbound {
    /// As the HTTP library has it.
    pub(crate) fn into_head(self) -> request::Parts {
        let Self { method, target, lines } = self;
        let (mut head, ()) = Request::new(()).into_parts();
        (head.method, head.uri) = (method, Uri::from(target));
        head.headers.reserve(lines.len());
        for (name, value) in lines {
            head.headers.append(name, value);
        }
        head
    }
}

/// Makes a permitted request what the app receives.
pub(crate) fn rewrite(
    permit: &Permit,
    index: &Index,
    head: request::Parts,
    peer: &Peer,
    id: &RequestId,
) -> Outbound {
    let request::Parts { method, uri, version, mut headers, .. } = head;
    let trailers = wants_trailers(version, &headers);
    if version == Version::HTTP_2 {
        from_http2(&uri, &mut headers);
    }
    let mut lines = Vec::with_capacity(headers.len() + OWN_LINES);
    let mut way = Vec::new();
    let named = Named::of(&headers);
    let bearer = index.places.has_bearer(&headers);
    let unwanted = |name: &HeaderName| {
        hop_by_hop(name.as_str())
            || named.contains(name)
            || index.places.is_key_header(name)
            || (bearer && name == header::AUTHORIZATION)
            || !plain(name.as_str())
            || misleading(name.as_str())
            || index.removed.contains(name)
    };
    for (name, value) in &headers {
        let value = if name == header::TRANSFER_ENCODING {
            HeaderValue::from_static("chunked")
        } else if unwanted(name) {
            continue;
        } else if name == FORWARDED_FOR {
            way.extend_from_slice(value.as_bytes());
            way.extend_from_slice(b", ");
            continue;
        } else if name == header::CONTENT_LENGTH {
            canonical_length(value)
        } else {
            value.clone()
        };
        lines.push((name.clone(), value));
    }
    if trailers {
        lines.push((header::TE, HeaderValue::from_static("trailers")));
    }
    lines.push((FORWARDED_FOR, with_peer(way, peer)));
    if index.tells_identity() {
        identify(permit, &mut lines, id);
    }
    Outbound { method, target: permit.target().path_and_query().clone(), lines }
}

/// Without zeros before it.
fn canonical_length(value: &HeaderValue) -> HeaderValue {
    match refuse::content_length(value) {
        Some(length) if value.as_bytes().starts_with(b"0") => HeaderValue::from(length),
        _ => value.clone(),
    }
}

/// RFC 9113 §8.3.1 and §8.2.3: `:authority` becomes `Host`, the lines of `Cookie` one. Blanks around a
/// value go: in HTTP/1 they are none of it, but not every app takes them off.
fn from_http2(uri: &Uri, headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        let trimmed = value.as_bytes().trim_ascii();
        if trimmed.len() < value.len()
            && let Ok(trimmed) = HeaderValue::from_bytes(trimmed)
        {
            *value = trimmed;
        }
    }
    if let Some(host) = uri.authority().and_then(|name| HeaderValue::from_str(name.as_str()).ok()) {
        headers.insert(header::HOST, host);
    }
    let cookies: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// gRPC says so in each request, and some servers refuse one that does not.
fn wants_trailers(version: Version, headers: &HeaderMap) -> bool {
    let is = |name, start: &[u8]| {
        headers.get(name).is_some_and(|value| value.as_bytes().to_ascii_lowercase().starts_with(start))
    };
    version == Version::HTTP_2 && is(header::TE, b"trailers") && is(header::CONTENT_TYPE, b"application/grpc")
}

/// Says who asks.
fn identify(permit: &Permit, lines: &mut Vec<(HeaderName, HeaderValue)>, id: &RequestId) {
    lines.push((REQUEST_ID, id.header().clone()));
    let Some(principal) = permit.principal() else {
        lines.push((SCOPES, HeaderValue::from_static("")));
        return;
    };
    let Identity { subject, tenant, scopes } = &principal.identity;
    lines.push((SCOPES, scopes.clone()));
    lines.push((CREDENTIAL, HeaderValue::from_static("api-key")));
    lines.extend(subject.clone().map(|subject| (SUBJECT, subject)));
    lines.extend(tenant.clone().map(|tenant| (TENANT, tenant)));
}

/// The names of headers that a Gate may have removed; what frames or routes a request stays.
pub(crate) fn removable(names: &[String]) -> Box<[HeaderName]> {
    const KEPT: [HeaderName; 3] = [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    let names = names.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    names.filter(|name| !KEPT.contains(name)).collect()
}

/// Makes an answer of the app what the caller receives. The request's id is set by the caller
/// of this, as on every answer.
pub(crate) fn response(head: &mut response::Parts) {
    if head.headers.contains_key(header::TRANSFER_ENCODING) {
        head.headers.remove(header::CONTENT_LENGTH);
    }
    remove(&mut head.headers, |name, named| {
        let text = name.as_str();
        // Trailers pass from the app, and are announced to the caller.
        (hop_by_hop(text) && name != header::TRAILER) || named.contains(name) || text.starts_with(OURS)
    });
}

/// Makes the trailers of an answer what the caller receives.
pub(crate) fn trailers(trailers: &mut HeaderMap) {
    remove(trailers, |name, _| hop_by_hop(name.as_str()) || name.as_str().starts_with(OURS));
}

const OURS: &str = "x-sidegate-";

fn remove(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName, &Named<'_>) -> bool) {
    let named = Named::of(headers);
    let unwanted = headers.keys().filter(|name| unwanted(name, &named));
    let unwanted: Vec<HeaderName> = unwanted.cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
}

/// What belongs to one connection or one parser (RFC 9110 §7.6.1). `Transfer-Encoding` is set
/// anew where there is a body that needs it; upgrades are not served.
fn hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "expect"
    )
}

/// Servers turn other characters into `_`, and `_` and `-` into the same.
fn plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// By these a caller could say who it is, or ask for something else than was decided about.
fn misleading(name: &str) -> bool {
    matches!(
        name,
        "x-original-url"
            | "x-rewrite-url"
            | "x-original-uri"
            | "x-http-method"
            | "x-http-method-override"
            | "x-method-override"
            | "x-forwarded-prefix"
            | "x-script-name"
            | "script-name"
            | "x-forwarded-user"
            | "x-remote-user"
            | "remote-user"
            | "x-forwarded-client-cert"
    ) || name.starts_with("x-auth-request-")
        || name.starts_with(OURS)
}

/// One line: the way that it came, and our peer.
fn with_peer(mut way: Vec<u8>, peer: &Peer) -> HeaderValue {
    if way.is_empty() {
        return peer.text().clone();
    }
    way.extend_from_slice(peer.text().as_bytes());
    // Put together from values, it is one.
    HeaderValue::from_maybe_shared(Bytes::from(way)).unwrap_or_else(|_| peer.text().clone())
}

/// A list, each item encoded. What does not fit is left out at the end: an app may see less
/// than is granted, never more.
pub(crate) fn list(scopes: &ScopeSet) -> HeaderValue {
    let mut text = String::new();
    for scope in scopes.iter() {
        let item = encoded(scope.as_str());
        let space = usize::from(!text.is_empty());
        if text.len() + space + item.len() > MAX_VALUE {
            break;
        }
        text.push_str(&" "[..space]);
        text.push_str(&item);
    }
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// One name, encoded. One that is too long is none: half a name may be somebody else's.
pub(crate) fn item(text: &str) -> Option<HeaderValue> {
    let text = encoded(text);
    (text.len() <= MAX_VALUE).then(|| HeaderValue::try_from(text).ok()).flatten()
}

/// Percent-encoded but for `A-Za-z0-9._:@/-`, so that a list can be split at its spaces.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._:@/-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
