//! How many connections each source has. One source cannot take the places of all others.
//!
//! A source is an IPv4 address or an IPv6 /64: whoever has one address of a /64 has all of it.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// The connections of all sources.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    counts: Arc<Mutex<HashMap<Source, usize>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4(u32),
    /// The first half.
    V6(u64),
}

/// One connection of a source, counted while this lives.
#[derive(Debug)]
pub(crate) struct Share {
    sources: Sources,
    source: Source,
}

// === impl Sources ===

impl Sources {
    /// One connection more; `None`: it has `limit` already.
    pub(super) fn take(&self, address: IpAddr, limit: usize) -> Option<Share> {
        let source = Source::of(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(source).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Share { sources: self.clone(), source })
    }
}

// === impl Source ===

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

// === impl Share ===

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.sources.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.source) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_address_or_a_64_and_is_forgotten_when_it_leaves() {
        let sources = Sources::default();
        let take = |address: &str| sources.take(address.parse().unwrap(), 2);
        let held = [take("192.0.2.1"), take("::ffff:192.0.2.1"), take("2001:db8::1"), take("2001:db8::2")];
        assert!(held.iter().all(Option::is_some));
        for full in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::3", "2001:db8:0:0:ffff::"] {
            assert!(take(full).is_none(), "{full}");
        }
        for free in ["192.0.2.2", "2001:db8:0:1::1", "::1"] {
            assert!(take(free).is_some(), "{free}");
        }
        drop(held);
        assert!(sources.counts.lock().unwrap().is_empty());
    }
}
