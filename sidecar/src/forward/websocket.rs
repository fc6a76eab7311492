//! The opening of a WebSocket (RFC 6455 §4), the one upgrade that is served.
//!
//! Any other `Upgrade` never reaches an app: what goes through an h2c tunnel is seen by nobody.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, request, response};
use sha1::{Digest as _, Sha1};

use crate::refuse;

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const WEBSOCKET: &str = "websocket";

/// What a caller asks for when it asks for a WebSocket in good form.
#[derive(Debug)]
pub(crate) struct Opening {
    /// What only somebody who understood the request answers.
    accept: String,
}

// === impl Opening ===

impl Opening {
    /// `None`: the request asks for no WebSocket, or not in good form, and goes on as any other.
    pub(crate) fn of(head: &request::Parts, has_body: bool) -> Option<Self> {
        let headers = &head.headers;
        let asked = head.method == Method::GET
            && head.version == Version::HTTP_11
            && !has_body
            && switches(headers)
            && only(headers, &header::SEC_WEBSOCKET_VERSION)? == "13";
        if !asked {
            return None;
        }
        let key = only(headers, &header::SEC_WEBSOCKET_KEY)?;
        let valid = STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16);
        valid.then(|| {
            let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
            Self { accept: STANDARD.encode(digest) }
        })
    }

    /// Has the app opened just this WebSocket?
    pub(super) fn is_accepted(&self, answer: &response::Parts) -> bool {
        switches(&answer.headers)
            && only(&answer.headers, &header::SEC_WEBSOCKET_ACCEPT) == Some(&self.accept)
            && !answer.headers.contains_key(header::TRANSFER_ENCODING)
    }
}

/// Says on one hop that it becomes a WebSocket.
pub(crate) fn mark(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(WEBSOCKET));
}

/// Do both headers say so, and nothing else?
fn switches(headers: &HeaderMap) -> bool {
    only(headers, &header::UPGRADE).is_some_and(|upgrade| upgrade.eq_ignore_ascii_case(WEBSOCKET))
        && refuse::options(headers).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}

/// The one value that there is.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(only), None) => only.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn head(change: impl FnOnce(&mut request::Parts)) -> request::Parts {
        let mut request = Request::new(());
        for (name, value) in GOOD {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        let mut head = request.into_parts().0;
        change(&mut head);
        head
    }

    #[test]
    fn the_accept_is_the_one_of_the_standard() {
        let opening = Opening::of(&head(|_| {}), false).unwrap();
        assert_eq!(opening.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_not_in_good_form_opens_nothing() {
        assert!(Opening::of(&head(|_| {}), true).is_none(), "a body");
        assert!(Opening::of(&head(|head| head.method = Method::POST), false).is_none(), "POST");
        assert!(Opening::of(&head(|head| head.version = Version::HTTP_10), false).is_none(), "HTTP/1.0");
        assert!(Opening::of(&head(|head| head.version = Version::HTTP_2), false).is_none(), "HTTP/2");
        for (name, value) in [
            ("connection", "keep-alive"),
            ("upgrade", "h2c"),
            ("upgrade", "websocket, h2c"),
            ("sec-websocket-version", "12"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ"),
            ("sec-websocket-key", "short"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZSB0b28gbG9uZw=="),
        ] {
            let value = HeaderValue::from_static(value);
            let other = head(|head| drop(head.headers.insert(name, value.clone())));
            assert!(Opening::of(&other, false).is_none(), "{name}: {value:?}");
        }
        for (name, value) in GOOD.into_iter().skip(1) {
            let value = HeaderValue::from_static(value);
            let twice = head(|head| assert!(head.headers.append(name, value)));
            assert!(Opening::of(&twice, false).is_none(), "{name} twice");
            let absent = head(|head| drop(head.headers.remove(name)));
            assert!(Opening::of(&absent, false).is_none(), "no {name}");
        }
    }
}
