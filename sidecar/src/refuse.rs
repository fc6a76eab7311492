//! What two parsers could read differently is refused before anything is decided about it.
//!
//! Checked here: version, size (of HTTP/2), framing, method, expectation, target form, `Host` or `:authority`, and
//! what `Connection` names. What the HTTP library hides from us (a `Content-Length` beside
//! `Transfer-Encoding`, equal ones twice, a bare line feed) goes on in canonical form only;
//! the path is [`crate::normalise`]'s, the names and values of other headers are
//! [`crate::rewrite`]'s.

use std::net::Ipv6Addr;

use http::{
    HeaderMap, HeaderValue, Method, Version, header,
    request::Parts,
    uri::{Authority, Scheme},
};
use sidegate_bundle::denial::Denial;

use crate::methods::{self, Methods, Verb};

const NOT_A_PATH: &str = "the request target is not a path";
const OTHER_SCHEME: &str = "the request target is of another scheme than http and https";
/// What the HTTP library itself keeps in HTTP/1.
const MAX_HEADERS: usize = 100;
/// Of all headers of a request by HTTP/2, counted as RFC 9113 §6.5.2 does. (In HTTP/1 it is the
/// buffer that bounds them.)
const MAX_LIST: usize = 32 << 10;
const MALFORMED_HOST: &str = "the Host is not a name or address with an optional port";

/// The headers that are looked at here, found by going over all of them once.
#[derive(Default)]
struct Telling<'a> {
    hosts: Lines<'a>,
    encodings: Lines<'a>,
    lengths: Lines<'a>,
    expectations: Lines<'a>,
    connection: bool,
}

/// The lines of one header.
#[derive(Clone, Copy, Default)]
enum Lines<'a> {
    #[default]
    None,
    One(&'a HeaderValue),
    More,
}

// === impl Telling ===

impl<'a> Telling<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let mut telling = Self::default();
        for (name, value) in headers {
            if name == header::HOST {
                telling.hosts.add(value);
            } else if name == header::TRANSFER_ENCODING {
                telling.encodings.add(value);
            } else if name == header::CONTENT_LENGTH {
                telling.lengths.add(value);
            } else if name == header::EXPECT {
                telling.expectations.add(value);
            } else if name == header::CONNECTION {
                telling.connection = true;
            }
        }
        telling
    }
}

// === impl Lines ===

impl<'a> Lines<'a> {
    fn add(&mut self, value: &'a HeaderValue) {
        *self = if let Self::None = self { Self::One(value) } else { Self::More };
    }
}

/// The method of a request whose head has one reading. `None`: this Gate does not list it, but
/// another could.
pub(crate) fn refuse(head: &Parts, methods: &Methods) -> Result<Option<Verb>, Denial> {
    let doubtful = Denial::DoubtfulRequest;
    if !matches!(head.version, Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2) {
        return Err(doubtful("only HTTP/1.0, HTTP/1.1 and HTTP/2 are served here"));
    }
    if head.version == Version::HTTP_2 && too_large(head) {
        return Err(Denial::HeadTooLarge);
    }
    let telling = Telling::of(&head.headers);
    framing(&telling).map_err(doubtful)?;
    if !methods::could_serve(&head.method) {
        return Err(Denial::MethodNotAllowed);
    }
    expectation(&telling)?;
    if telling.connection {
        connection(&head.headers).map_err(doubtful)?;
    }
    if head.version == Version::HTTP_2 {
        pseudo_headers(head, &telling).map_err(doubtful)?;
    } else {
        let host = host(&telling).map_err(doubtful)?;
        target(head, host).map_err(doubtful)?;
    }
    Ok(methods.verb(&head.method))
}

/// The number in a `Content-Length`, if it is one.
pub(crate) fn content_length(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok()?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Of HTTP/2 alone: the library has no bound for the number of headers, and answers for itself, with
/// neither reason nor record, where we leave it to bound their size.
fn too_large(head: &Parts) -> bool {
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    let scheme = head.uri.scheme_str().map(str::len);
    let authority = head.uri.authority().map(|authority| authority.as_str().len());
    let target = head.uri.path_and_query().map(|target| target.as_str().len());
    let pseudo = [Some(head.method.as_str().len()), scheme, authority, target];
    let pseudo = pseudo.into_iter().zip([":method", ":scheme", ":authority", ":path"]);
    let pseudo = pseudo.filter_map(|(value, name)| Some(name.len() + value?));
    head.headers.len() > MAX_HEADERS || fields.chain(pseudo).map(|size| size + 32).sum::<usize>() > MAX_LIST
}

/// RFC 9112 §6: where the next request begins must be beyond doubt.
fn framing(telling: &Telling<'_>) -> Result<(), &'static str> {
    let chunked = match telling.encodings {
        Lines::None => false,
        Lines::One(only) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => true,
        Lines::One(_) => return Err("the only Transfer-Encoding served is chunked"),
        Lines::More => return Err("more than one Transfer-Encoding"),
    };
    match telling.lengths {
        Lines::More => Err("more than one Content-Length"),
        Lines::One(_) if chunked => Err("a Content-Length beside Transfer-Encoding"),
        Lines::One(only) if content_length(only).is_none() => Err("the Content-Length is not a number"),
        Lines::One(_) | Lines::None => Ok(()),
    }
}

/// RFC 9110 §10.1.1.
fn expectation(telling: &Telling<'_>) -> Result<(), Denial> {
    match telling.expectations {
        Lines::None => Ok(()),
        Lines::One(only) if only.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(()),
        Lines::One(_) | Lines::More => Err(Denial::ExpectationFailed),
    }
}

/// `Connection` makes a proxy drop headers. It must not make us drop those that frame or route
/// the request, or those by which the app knows where it came from (RFC 9110 §7.6.1: what is
/// meant for every recipient is not named there).
fn connection(headers: &HeaderMap) -> Result<(), &'static str> {
    let kept = |option: &[u8]| {
        [&b"host"[..], b"content-length", b"transfer-encoding", b"forwarded", b"x-real-ip"]
            .iter()
            .any(|name| option.eq_ignore_ascii_case(name))
            || option.get(..12).is_some_and(|start| start.eq_ignore_ascii_case(b"x-forwarded-"))
    };
    if options(headers).any(kept) { Err("Connection names a header that must be kept") } else { Ok(()) }
}

/// What `Connection` lists.
pub(crate) fn options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|option| !option.is_empty())
}

/// The one `Host`, well-formed.
fn host<'a>(telling: &Telling<'a>) -> Result<&'a str, &'static str> {
    let host = match telling.hosts {
        Lines::None => return Err("there is no Host"),
        Lines::More => return Err("more than one Host"),
        Lines::One(only) => only.to_str().map_err(|_| MALFORMED_HOST)?,
    };
    if well_formed(host) { Ok(host) } else { Err(MALFORMED_HOST) }
}

/// A name of unreserved characters, an IPv4 or a bracketed IPv6 address, and perhaps a port.
fn well_formed(host: &str) -> bool {
    let (name, port) = split(host);
    let port_ok =
        port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let name_ok = match name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
        }
    };
    port_ok && name_ok
}

/// Name and port. The colons of a bracketed address are not its port's.
fn split(host: &str) -> (&str, Option<&str>) {
    let end = host.rfind(']').map_or(0, |bracket| bracket + 1);
    match host[end..].split_once(':') {
        Some((name, port)) => (&host[..end + name.len()], Some(port)),
        None => (host, None),
    }
}

/// RFC 9112 §3.2: origin-form, `OPTIONS *`, or an absolute-form that says what `Host` says.
fn target(head: &Parts, host: &str) -> Result<(), &'static str> {
    let uri = &head.uri;
    match (uri.scheme(), uri.authority()) {
        (None, None) => path_or_asterisk(head),
        (None, Some(_)) => Err(NOT_A_PATH),
        (Some(scheme), Some(authority)) if *scheme == Scheme::HTTP => same(authority, host, "80"),
        (Some(scheme), Some(authority)) if *scheme == Scheme::HTTPS => same(authority, host, "443"),
        (Some(_), _) => Err(OTHER_SCHEME),
    }
}

fn path_or_asterisk(head: &Parts) -> Result<(), &'static str> {
    let uri = &head.uri;
    let asterisk = uri.path() == "*" && uri.query().is_none() && head.method == Method::OPTIONS;
    if asterisk || uri.path().starts_with('/') { Ok(()) } else { Err(NOT_A_PATH) }
}

/// RFC 9113 §8.3.1: `:authority` is what `Host` is in HTTP/1.1. A `Host` beside it says the same.
fn pseudo_headers(head: &Parts, telling: &Telling<'_>) -> Result<(), &'static str> {
    let Some(authority) = head.uri.authority() else { return Err("there is no :authority") };
    if !well_formed(authority.as_str()) {
        return Err("the :authority is not a name or address with an optional port");
    }
    let default_port = match head.uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => "80",
        Some(scheme) if *scheme == Scheme::HTTPS => "443",
        _ => return Err(OTHER_SCHEME),
    };
    if !matches!(telling.hosts, Lines::None) {
        same(authority, host(telling)?, default_port)?;
    }
    path_or_asterisk(head)
}

fn same(authority: &Authority, host: &str, default_port: &str) -> Result<(), &'static str> {
    let authority = authority.as_str();
    if !well_formed(authority) {
        return Err("the request target's authority is not a name or address with an optional port");
    }
    let ((target, target_port), (name, port)) = (split(authority), split(host));
    let number = |port: Option<&str>| port.unwrap_or(default_port).parse::<u16>().ok();
    if target.eq_ignore_ascii_case(name) && number(target_port) == number(port) {
        Ok(())
    } else {
        Err("the request target names another host than Host")
    }
}

#[cfg(test)]
mod tests;
