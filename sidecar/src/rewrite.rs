//! What the app receives, and what the caller receives from it.
//!
//! In this order: what belongs to one connection goes (with all that `Connection` names), then
//! credentials, names that servers read in more than one way, and headers by which a caller
//! could say who it is or what it asks for; what is ours is set last. An app that sees
//! `X-Sidegate-Scopes`, even empty, knows that a gate stands before it; `X-Sidegate-Subject`,
//! `-Tenant` and `-Credential` are there only if someone proved to be someone. A Gate may tell its
//! app nothing of this; what callers say under these names goes all the same.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header, request, response};
use sidegate_bundle::ScopeSet;

use crate::{authorise::Permit, client::Peer, index::Index, refuse, request_id::RequestId};

/// On every request to the app and on every answer to the caller.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-sidegate-request-id");

const SUBJECT: HeaderName = HeaderName::from_static("x-sidegate-subject");
const TENANT: HeaderName = HeaderName::from_static("x-sidegate-tenant");
const SCOPES: HeaderName = HeaderName::from_static("x-sidegate-scopes");
const CREDENTIAL: HeaderName = HeaderName::from_static("x-sidegate-credential");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

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

/// Makes a permitted request what the app receives.
pub(crate) fn rewrite(
    permit: &Permit,
    index: &Index,
    head: &mut request::Parts,
    peer: &Peer,
    id: &RequestId,
) {
    let headers = &mut head.headers;
    let trailers = wants_trailers(head.version, headers);
    if head.version == Version::HTTP_2 {
        from_http2(&head.uri, headers);
    }
    head.uri = Uri::from(permit.target().path_and_query().clone());
    head.version = Version::HTTP_11;
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    remove(headers, |name, headers, named| {
        hop_by_hop(name.as_str())
            || named.contains(name)
            || index.places.is_ours(name, headers)
            || !plain(name.as_str())
            || misleading(name.as_str())
            || index.removed.contains(name)
    });
    if chunked {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let length = headers.get(header::CONTENT_LENGTH);
    if let Some(length) = length.filter(|length| length.len() > 1).and_then(refuse::content_length) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    append_peer(headers, peer);
    if index.tells_identity() {
        identify(permit, headers, id);
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
fn identify(permit: &Permit, headers: &mut HeaderMap, id: &RequestId) {
    headers.insert(REQUEST_ID, id.header().clone());
    match permit.principal() {
        None => {
            headers.insert(SCOPES, HeaderValue::from_static(""));
        }
        Some(principal) => {
            let Identity { subject, tenant, scopes } = &principal.identity;
            headers.insert(SCOPES, scopes.clone());
            headers.insert(CREDENTIAL, HeaderValue::from_static("api-key"));
            subject.as_ref().map(|subject| headers.insert(SUBJECT, subject.clone()));
            tenant.as_ref().map(|tenant| headers.insert(TENANT, tenant.clone()));
        }
    }
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
    remove(&mut head.headers, |name, _, named| {
        let text = name.as_str();
        // Trailers pass from the app, and are announced to the caller.
        (hop_by_hop(text) && name != header::TRAILER) || named.contains(name) || text.starts_with(OURS)
    });
}

/// Makes the trailers of an answer what the caller receives.
pub(crate) fn trailers(trailers: &mut HeaderMap) {
    remove(trailers, |name, _, _| hop_by_hop(name.as_str()) || name.as_str().starts_with(OURS));
}

const OURS: &str = "x-sidegate-";

fn remove(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName, &HeaderMap, &Named<'_>) -> bool) {
    let named = Named::of(headers);
    let unwanted = headers.keys().filter(|name| unwanted(name, headers, &named));
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

/// One line: what came, and our peer.
fn append_peer(headers: &mut HeaderMap, peer: &Peer) {
    let mut text = Vec::new();
    for line in headers.get_all(FORWARDED_FOR) {
        text.extend_from_slice(line.as_bytes());
        text.extend_from_slice(b", ");
    }
    if text.is_empty() {
        headers.insert(FORWARDED_FOR, peer.text().clone());
        return;
    }
    text.extend_from_slice(peer.text().as_bytes());
    if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)) {
        headers.insert(FORWARDED_FOR, value);
    }
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
