//! Whose address is the caller's, for audit lines and counts; nothing is ever allowed because of it.
//!
//! It is the peer's, unless the peer is a proxy that the Gate trusts: then it is the last address
//! in `X-Forwarded-For` or `Forwarded` (RFC 7239) that is no such proxy's. A trusted proxy may write
//! one of the two and leave the other to its callers; where they name different addresses, neither
//! is believed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    address: IpAddr,
    text: HeaderValue,
}

/// The proxies whose word is taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies(Box<[Network]>);

/// Addresses with the same first bits. Those of IPv4 are mapped into IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    bits: u128,
    mask: u128,
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// More than any way through proxies has.
const MOST_HOPS: usize = 64;

// === impl Peer ===

impl Peer {
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// As apps are told of it: an IPv4 address that came by IPv6 is one of IPv4.
    pub(crate) fn text(&self) -> &HeaderValue {
        &self.text
    }
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        let text = HeaderValue::try_from(address.to_canonical().to_string());
        // An address is always a header value.
        Self { address, text: text.unwrap_or_else(|_| HeaderValue::from_static("unknown")) }
    }
}

// === impl TrustedProxies ===

impl TrustedProxies {
    /// What is no network is trusted by nobody.
    pub(crate) fn new(networks: &[String]) -> Self {
        Self(networks.iter().filter_map(|text| Network::parse(text)).collect())
    }

    /// Is this address a trusted proxy's?
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let bits = bits(address);
        self.0.iter().any(|network| bits & network.mask == network.bits)
    }

    /// The caller's address, of a request that `peer` sent.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.contains(peer) {
            return peer;
        }
        let x = self.last_untrusted(headers, &FORWARDED_FOR, address);
        let standard = self.last_untrusted(headers, &header::FORWARDED, forwarded_for);
        match (x, standard) {
            (Some(x), Some(standard)) if x != standard => peer,
            (Some(client), _) | (None, Some(client)) => client,
            (None, None) => peer,
        }
    }

    /// From the last item to the first: who is not trusted is the client. An item that is no
    /// address ends what can be believed, with the proxy that wrote it.
    fn last_untrusted(
        &self,
        headers: &HeaderMap,
        name: &HeaderName,
        read: fn(&str) -> Option<IpAddr>,
    ) -> Option<IpAddr> {
        let lines: Vec<_> = headers.get_all(name).iter().collect();
        let items = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let mut last = None;
        for item in items.take(MOST_HOPS) {
            let Some(address) = std::str::from_utf8(item).ok().and_then(|item| read(item.trim())) else {
                break;
            };
            last = Some(address);
            if !self.contains(address) {
                break;
            }
        }
        last
    }
}

// === impl Network ===

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let length: u32 = length.parse().ok()?;
        let (most, mapped) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let mask = match length {
            0 if mapped == 0 => 0,
            length if length <= most => u128::MAX << (128 - mapped - length),
            _ => return None,
        };
        Some(Self { bits: bits(address) & mask, mask })
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// An address, with or without a port, as proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.parse::<IpAddr>();
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().map(IpAddr::from).ok();
    Some(plain.or_else(|_| with_port()).ok().or_else(bracketed)?.to_canonical())
}

/// The `for` of one element. A text with a comma inside is cut there, and is no address.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut values = element.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    });
    let value = values.next().filter(|_| values.next().is_none())?;
    address(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builders::head;

    fn client(trusted: &[&str], peer: &str, headers: &[(&str, &str)]) -> String {
        let trusted = TrustedProxies::new(&trusted.iter().copied().map(str::to_owned).collect::<Vec<_>>());
        let headers = head("GET", "/", headers).headers;
        trusted.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn nobody_but_a_trusted_proxy_is_believed() {
        let forged = [("x-forwarded-for", "9.9.9.9"), ("forwarded", "for=9.9.9.9")];
        assert_eq!(client(&[], "10.0.0.1", &forged), "10.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "11.0.0.1", &forged), "11.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &forged), "9.9.9.9");
        assert_eq!(client(&["10.0.0.0/8"], "::ffff:10.0.0.1", &forged), "9.9.9.9");
        for nonsense in ["", "10.0.0.1", "10.0.0.0/33", "10.0.0.0/-1", "x/8", "::/129"] {
            assert_eq!(client(&[nonsense], "10.0.0.1", &forged), "10.0.0.1", "{nonsense}");
        }
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_callers() {
        let trusted = ["10.0.0.0/8", "fd00::/8"];
        for (lines, expected) in [
            (&[][..], "10.0.0.1"),
            (&["1.1.1.1"], "1.1.1.1"),
            (&["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
            (&["1.1.1.1, 10.0.0.2, 10.0.0.3"], "1.1.1.1"),
            (&["6.6.6.6", "1.1.1.1 ,10.0.0.2"], "1.1.1.1"),
            (&["10.0.0.9, 10.0.0.2"], "10.0.0.9"),
            (&["1.1.1.1, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["unknown"], "10.0.0.1"),
            (&["1.1.1.1:4711"], "1.1.1.1"),
            (&["[2001:db8::1]:80, fd00::7"], "2001:db8::1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["::ffff:1.1.1.1"], "1.1.1.1"),
        ] {
            let headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            assert_eq!(client(&trusted, "10.0.0.1", &headers), expected, "{lines:?}");
        }
        for (line, expected) in [
            ("for=1.1.1.1;proto=https", "1.1.1.1"),
            ("proto=https; For=\"[2001:db8::1]:80\", for=10.0.0.2", "2001:db8::1"),
            ("for=1.1.1.1, for=_hidden", "10.0.0.1"),
            ("for=1.1.1.1;for=2.2.2.2", "10.0.0.1"),
            ("by=1.1.1.1", "10.0.0.1"),
        ] {
            assert_eq!(client(&trusted, "10.0.0.1", &[("forwarded", line)]), expected, "{line}");
        }
    }

    #[test]
    fn of_two_headers_that_disagree_neither_is_believed() {
        let trusted = ["10.0.0.0/8"];
        let both =
            |x, standard| client(&trusted, "10.0.0.1", &[("x-forwarded-for", x), ("forwarded", standard)]);
        assert_eq!(both("1.1.1.1", "for=1.1.1.1"), "1.1.1.1");
        assert_eq!(both("1.1.1.1", "for=9.9.9.9"), "10.0.0.1");
        assert_eq!(both("1.1.1.1", "proto=https"), "1.1.1.1");
    }

    #[test]
    fn a_network_of_all_addresses_trusts_all() {
        for network in ["0.0.0.0/0", "::/0"] {
            assert_eq!(client(&[network], "11.0.0.1", &[("x-forwarded-for", "1.1.1.1")]), "1.1.1.1");
        }
        assert_eq!(client(&["0.0.0.0/0"], "2001:db8::1", &[("x-forwarded-for", "1.1.1.1")]), "2001:db8::1");
    }
}
