//! The one credential of a request, or 400.
//!
//! Ours are the Gate's key headers, and `Authorization: Bearer` where the Gate takes keys
//! there. Everything else belongs to the app: it is neither counted nor touched, and never
//! read from a query, a body or a cookie. A value that two parsers could read differently is
//! never repaired: it is no credential.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use sidegate_bundle::{
    denial::{Denial, Place},
    gate::KeyPolicy,
};

/// Where this Gate takes credentials.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    headers: Box<[HeaderName]>,
    bearer: bool,
}

/// What a request brought. The text is a secret: it goes to the verifier and nowhere else.
#[derive(Clone, Copy)]
pub(crate) struct Presented<'a> {
    /// `None`: not one line of printable ASCII with single inner spaces.
    pub(crate) text: Option<&'a str>,
    pub(crate) place: Place,
}

/// Headers that no Gate can take keys in, since they frame or route the request, or belong to
/// one connection. A bundle that names one of them names a header that is not ours.
const NEVER_OURS: [HeaderName; 10] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::COOKIE,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

// === impl Places ===

impl Places {
    pub(crate) fn new(policy: &KeyPolicy) -> Self {
        let mut headers: Vec<HeaderName> = Vec::new();
        for name in &policy.headers {
            match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) if !NEVER_OURS.contains(&name) && !headers.contains(&name) => headers.push(name),
                _ => {}
            }
        }
        Self { headers: headers.into(), bearer: policy.bearer }
    }

    /// Where a key is sent if nothing else is known.
    pub(crate) fn first(&self) -> Place {
        if self.headers.is_empty() { Place::Authorization } else { Place::KeyHeader }
    }

    /// Is this header ours to remove, whatever is in it?
    pub(crate) fn is_key_header(&self, name: &HeaderName) -> bool {
        self.headers.contains(name)
    }

    /// Is there a `Bearer` in `Authorization`, where this Gate takes keys there?
    pub(crate) fn has_bearer(&self, headers: &HeaderMap) -> bool {
        self.bearer && headers.get_all(header::AUTHORIZATION).iter().any(|value| bearer(value).is_some())
    }
}

// === impl Presented ===

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The credential that is in these headers. An empty header brings none.
pub(crate) fn extract<'a>(places: &Places, headers: &'a HeaderMap) -> Result<Option<Presented<'a>>, Denial> {
    let mut found: Option<(&[u8], Place)> = None;
    let mut take = |value: &'a [u8], place| match found {
        _ if value.is_empty() => Ok(()),
        Some((other, _)) if other != value => Err(Denial::AmbiguousCredentials),
        Some(_) => Ok(()),
        None => {
            found = Some((value, place));
            Ok(())
        }
    };
    for name in &places.headers {
        if let Some(value) = only(headers, name)? {
            take(value.as_bytes(), Place::KeyHeader)?;
        }
    }
    if places.bearer {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let first = values.next();
        let more = values.next().is_some();
        let ours = |value| bearer(value).is_some();
        if more && headers.get_all(header::AUTHORIZATION).iter().any(ours) {
            return Err(Denial::AmbiguousCredentials);
        }
        if let Some(token) = first.and_then(bearer) {
            take(token, Place::Authorization)?;
        }
    }
    Ok(found.map(|(value, place)| Presented { text: one_line(value), place }))
}

/// The one value of a header of ours.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Denial> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Denial::AmbiguousCredentials),
    }
}

/// What stands behind `Bearer`, in any case. Blanks around the scheme are passed over here
/// because an app would pass over them too; but for the one space behind the scheme they stay
/// in the value, which is then no credential.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let text = value.as_bytes().trim_ascii_start();
    let (scheme, rest) = text.split_at_checked(b"Bearer".len())?;
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return None;
    }
    match rest {
        [] => Some(rest),
        _ if rest.trim_ascii().is_empty() => Some(&[]),
        [b' ', token @ ..] if text.len() == value.len() => Some(token),
        [b' ' | b'\t', ..] => Some(rest),
        _ => None,
    }
}

fn one_line(value: &[u8]) -> Option<&str> {
    let mut before = b' ';
    for &byte in value {
        if !matches!(byte, b' '..=b'~') || (byte == b' ' && before == b' ') {
            return None;
        }
        before = byte;
    }
    if before == b' ' { None } else { std::str::from_utf8(value).ok() }
}

#[cfg(test)]
mod tests;
