//! What all bundles have in common: format, revision, and how they become bytes.
//!
//! A bundle is a full snapshot. A reader keeps the newest that it could read, and nothing that
//! it cannot read ever takes the place of one that it could.

use std::{
    fmt,
    io::{Read, Write},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The format that this release writes and reads.
pub const FORMAT: u32 = 1;
/// The file in the bundle's Secret, and so in the mounted folder.
pub const FILE: &str = "bundle.json.gz";
/// A bundle's Secret holds at most this many bytes, gzipped.
pub const MAX_COMPRESSED: usize = 1_000_000;
/// No bundle is unpacked past this: what is larger is an accident or an attack.
pub const MAX_UNPACKED: u64 = 64 << 20;
/// A revision this far ahead of the reader's clock, in milliseconds, is not believed: a day.
pub const MAX_AHEAD_MILLIS: u64 = 86_400_000;

/// Which of two bundles is newer: max(previous + 1, unix milliseconds), so that it grows across
/// a change of leader, a lost Secret, a re-created Gate and a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// The first thing that is read of any bundle, whatever its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
struct Envelope {
    format: u32,
}

/// Why bytes are not a bundle.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Not gzip, cut short, or its checksum is wrong.
    #[error("the bundle is cut short or damaged")]
    Damaged(#[source] std::io::Error),
    /// Larger than any bundle of ours.
    #[error("the bundle unpacks to more than {MAX_UNPACKED} bytes")]
    TooLarge,
    /// Written for a newer reader.
    #[error("the bundle has format {0}, this version reads format {FORMAT}: update the sidecar")]
    UnknownFormat(u32),
    /// JSON of the wrong shape.
    #[error("the bundle does not parse")]
    Malformed(#[source] serde_json::Error),
}

/// Why a bundle that was read is not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// What we have is as new or newer.
    #[error("revision {candidate} is not newer than {current}, which is in force")]
    NotNewer {
        /// What was offered.
        candidate: Revision,
        /// What is in force.
        current: Revision,
    },
    /// No clock of ours would have made it.
    #[error("revision {0} is more than a day ahead of the clock")]
    Ahead(Revision),
}

// === impl Revision ===

impl Revision {
    /// The revision that follows `previous` at `now`.
    #[must_use]
    pub fn next(previous: Option<Self>, now: Timestamp) -> Self {
        let clock = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Self(previous.map_or(clock, |previous| clock.max(previous.0.saturating_add(1))))
    }

    /// May a reader that has `current` go over to `self`?
    pub fn supersedes(self, current: Option<Self>, now: Timestamp) -> Result<(), Refused> {
        let clock = u64::try_from(now.as_millisecond()).unwrap_or(0);
        if self.0 > clock.saturating_add(MAX_AHEAD_MILLIS) {
            return Err(Refused::Ahead(self));
        }
        match current {
            Some(current) if self <= current => Err(Refused::NotNewer { candidate: self, current }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Packs a bundle: gzip of its JSON. The same bundle gives the same bytes.
pub fn pack<T: Serialize>(bundle: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&serde_json::to_vec(bundle)?).map_err(serde_json::Error::io)?;
    encoder.finish().map_err(serde_json::Error::io)
}

/// Unpacks what [`pack`] made.
pub fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ReadError> {
    let mut json = Vec::new();
    GzDecoder::new(bytes).take(MAX_UNPACKED + 1).read_to_end(&mut json).map_err(ReadError::Damaged)?;
    if json.len() as u64 > MAX_UNPACKED {
        return Err(ReadError::TooLarge);
    }
    let envelope: Envelope = serde_json::from_slice(&json).map_err(ReadError::Malformed)?;
    if envelope.format != FORMAT {
        return Err(ReadError::UnknownFormat(envelope.format));
    }
    serde_json::from_slice(&json).map_err(ReadError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    #[test]
    fn a_revision_is_the_clock_or_one_more_than_the_last() {
        let clock = Revision(u64::try_from(now().as_millisecond()).unwrap());
        assert_eq!(Revision::next(None, now()), clock);
        assert_eq!(Revision::next(Some(Revision(5)), now()), clock);
        assert_eq!(Revision::next(Some(clock), now()), Revision(clock.0 + 1));
        assert_eq!(Revision::next(Some(Revision(clock.0 + 100)), now()), Revision(clock.0 + 101));
        assert_eq!(Revision::next(Some(Revision(u64::MAX)), now()), Revision(u64::MAX));
    }

    #[test]
    fn a_reader_takes_newer_revisions_only_and_none_from_tomorrow() {
        let clock = Revision::next(None, now()).0;
        assert_eq!(Revision(clock).supersedes(None, now()), Ok(()));
        assert_eq!(Revision(clock + 1).supersedes(Some(Revision(clock)), now()), Ok(()));
        for candidate in [clock, clock - 1] {
            let (candidate, current) = (Revision(candidate), Revision(clock));
            assert_eq!(
                candidate.supersedes(Some(current), now()),
                Err(Refused::NotNewer { candidate, current })
            );
        }
        assert_eq!(Revision(clock + MAX_AHEAD_MILLIS).supersedes(None, now()), Ok(()));
        let ahead = Revision(clock + MAX_AHEAD_MILLIS + 1);
        assert_eq!(ahead.supersedes(None, now()), Err(Refused::Ahead(ahead)));
    }

    #[test]
    fn a_format_of_the_future_is_named_before_anything_else_is_read() {
        let bytes = pack(&json!({"format": 2, "revision": "not a number any more"})).unwrap();
        assert!(matches!(unpack::<Value>(&bytes), Err(ReadError::UnknownFormat(2))));
    }

    #[test]
    fn a_bundle_cut_at_any_byte_is_damaged() {
        let bytes = pack(&json!({"format": 1, "text": "some text, some more text"})).unwrap();
        for length in 0..bytes.len() {
            assert!(matches!(unpack::<Value>(&bytes[..length]), Err(ReadError::Damaged(_))), "{length}");
        }
        assert!(unpack::<Value>(&bytes).is_ok());
    }

    #[test]
    fn a_gzip_bomb_is_not_unpacked() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![b' '; 1 << 20];
        for _ in 0..=(MAX_UNPACKED >> 20) {
            encoder.write_all(&zeros).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 200_000);
        assert!(matches!(unpack::<Value>(&bomb), Err(ReadError::TooLarge)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            prop_assert!(unpack::<Value>(&bytes).is_err());
        }

        #[test]
        fn revisions_always_grow(previous in 0..u64::MAX) {
            prop_assert!(Revision::next(Some(Revision(previous)), now()) > Revision(previous));
        }
    }
}
