//! The forms of names and values: what the patterns in CEL say, in Rust.

use std::net::IpAddr;

use sidegate_bundle::{KeyId, Scope};

/// A DNS-1123 label; its length is the schema's matter.
pub(super) fn dns_label(text: &str) -> bool {
    framed(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(), |byte| byte == b'-')
}

/// A DNS-1123 subdomain.
pub(super) fn dns_subdomain(text: &str) -> bool {
    text.split('.').all(dns_label)
}

/// A label's value, a tenant: letters and digits, with `-`, `.` and `_` between them.
pub(super) fn word(text: &str) -> bool {
    framed(text, |byte| byte.is_ascii_alphanumeric(), |byte| matches!(byte, b'-' | b'.' | b'_'))
}

/// A rule's name.
pub(super) fn dashed_word(text: &str) -> bool {
    framed(text, |byte| byte.is_ascii_alphanumeric(), |byte| byte == b'-')
}

/// A tenant as others name it.
pub(super) fn tenant_or_namespace(text: &str) -> bool {
    match text.strip_prefix("ns:") {
        Some(namespace) => namespace.len() <= 63 && dns_label(namespace),
        None => text.len() <= 63 && word(text),
    }
}

/// The name of a label or annotation, with or without a prefix.
pub(super) fn label_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    prefix.is_none_or(|prefix| framed(prefix, lower, |byte| matches!(byte, b'-' | b'.')))
        && name.len() <= 63
        && word(name)
}

/// Do other controllers, or ours, act on a label or annotation of this name?
pub(super) fn is_a_mark(key: &str) -> bool {
    const DOMAINS: [&str; 4] = ["k8s.io", "kubernetes.io", "toolkit.fluxcd.io", "sidegate.dev"];
    let Some((prefix, _)) = key.split_once('/') else { return false };
    prefix == "argocd.argoproj.io"
        || DOMAINS.iter().any(|domain| {
            prefix.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

/// A scope token (RFC 6749 §3.3).
pub(super) fn scope(text: &str) -> bool {
    Scope::try_from(text).is_ok()
}

/// An HTTP header's name, without the characters that servers disagree about.
pub(super) fn header_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// An HTTP method that may be let through.
pub(super) fn method(text: &str) -> bool {
    let upper = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase());
    text.split('-').all(upper) && !matches!(text, "CONNECT" | "TRACE")
}

/// Scheme, host and port, in lower case.
pub(super) fn origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let end = match rest.strip_prefix('[') {
        Some(address) => address.find(']').map(|at| at + 2),
        None => Some(rest.find(':').unwrap_or(rest.len())),
    };
    let Some((host, port)) = end.and_then(|end| rest.split_at_checked(end)) else { return false };
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let host_is_good = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => {
            !address.is_empty()
                && address.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b':' | b'.'))
        }
        None => framed(host, lower, |byte| matches!(byte, b'-' | b'.')),
    };
    let port_is_good = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| {
            (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
        });
    host_is_good && port_is_good
}

/// A network in CIDR form.
pub(super) fn cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => return false,
        IpAddr::V6(_) => 128,
    };
    let plain =
        length == "0" || (!length.starts_with('0') && length.bytes().all(|byte| byte.is_ascii_digit()));
    plain && length.parse::<u8>().is_ok_and(|length| length <= most)
}

/// `/` and characters that stand in a normalised path.
pub(super) fn path_characters(text: &str) -> bool {
    let Some(mut rest) = text.strip_prefix('/').map(str::as_bytes) else { return false };
    while let [first, tail @ ..] = rest {
        rest = match first {
            b'%' => match tail {
                [high, low, tail @ ..] if stays_encoded(*high, *low) => tail,
                _ => return false,
            },
            byte if byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@/".contains(byte) => tail,
            _ => return false,
        };
    }
    true
}

/// Is `%XX` of these two digits still there when a path is normalised? Unreserved characters are
/// decoded; controls and the backslash are refused.
fn stays_encoded(high: u8, low: u8) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    let kept = match high {
        b'2' => !matches!(low, b'D' | b'E'),
        b'3' => low.is_ascii_uppercase(),
        b'4' | b'6' => low == b'0',
        b'5' => matches!(low, b'B' | b'D' | b'E'),
        b'7' => matches!(low, b'B' | b'C' | b'D'),
        b'8' | b'9' | b'A'..=b'F' => true,
        _ => false,
    };
    kept && digit(low)
}

/// No empty segment and no dot segment.
pub(super) fn path_normal(text: &str) -> bool {
    !text.contains("//") && !text.split('/').skip(1).any(|segment| matches!(segment, "." | ".."))
}

/// A key of a Secret's data.
pub(super) fn secret_key(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        && text != "."
        && !text.starts_with("..")
}

/// The public id of a key.
pub(super) fn key_id(text: &str) -> bool {
    KeyId::try_from(text.to_owned()).is_ok()
}

/// A SHA-256, in hexadecimal digits.
pub(super) fn sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Visible ASCII.
pub(super) fn visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Does the text begin and end with an `outer` character and have only `outer` and `inner` ones?
fn framed(text: &str, outer: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|byte| outer(*byte))
        && bytes.last().is_some_and(|byte| outer(*byte))
        && bytes.iter().all(|byte| outer(*byte) || inner(*byte))
}
