//! The form of our own API keys: `sk-sg_<id>_<secret><crc>`.
//!
//! `id` is 16 base62 characters (95 bits) and public: it stands in logs, status and
//! `kubectl get`. `secret` is 43 base62 characters (256 bits). `crc` is the CRC-32 of all that
//! stands before it, as 6 base62 characters: a typo, or a scanner's false hit, is told apart
//! without a look-up. Parsing is strict: there is one text for one key.

use std::{
    borrow::{Borrow, Cow},
    fmt,
    str::FromStr,
};

use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{base62, verifier::Verifier};

/// What every key begins with.
pub const PREFIX: &str = "sk-sg_";
/// The length of a key's id, in bytes.
pub const ID_LENGTH: usize = 16;
/// The length of a key's secret, in bytes.
pub const SECRET_LENGTH: usize = 43;
/// The length of a whole key, in bytes.
pub const KEY_LENGTH: usize = SECRET_END + CRC_LENGTH;

const CRC_LENGTH: usize = 6;
const ID_START: usize = PREFIX.len();
const ID_END: usize = ID_START + ID_LENGTH;
const SECRET_START: usize = ID_END + 1;
const SECRET_END: usize = SECRET_START + SECRET_LENGTH;

/// The public name of one version of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; ID_LENGTH]);

/// A whole key, as its holder has it. It has no `Display`, its `Debug` shows the id only, and
/// it is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(Zeroizing<String>);

/// A key as it came in a request, split but not copied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PresentedKey<'a> {
    /// Which version it says it is.
    pub id: KeyId,
    secret: &'a str,
}

/// The text is not of our form, or its checksum is wrong. It says no more on purpose.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("not a Sidegate API key (sk-sg_…), or mistyped: the form or the checksum is wrong")]
pub struct MalformedKey;

/// The text is not a key id.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("a key id has {ID_LENGTH} characters of 0-9, A-Z, a-z")]
pub struct MalformedKeyId;

/// The text, and of each key in it no more than its public id: for what callers wrote where no key
/// belongs, such as a path.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    if text.len() < SECRET_START || !text.contains(PREFIX) {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split(PREFIX);
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_of_a_key = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let end = part.find(|character| !is_of_a_key(character)).unwrap_or(part.len());
        let (key, behind) = part.split_at(end);
        told.push_str(PREFIX);
        told.push_str(key.get(..ID_LENGTH).unwrap_or(key));
        told.push_str(if key.len() > ID_LENGTH { "_…" } else { "" });
        told.push_str(behind);
    }
    Cow::Owned(told)
}

// === impl ApiKey ===

impl ApiKey {
    /// A new key from 351 random bits.
    pub fn mint(rng: &mut dyn CryptoRng) -> Self {
        let mut text = Zeroizing::new(vec![0u8; KEY_LENGTH]);
        text[..ID_START].copy_from_slice(PREFIX.as_bytes());
        base62::random(&mut text[ID_START..ID_END], rng);
        text[ID_END] = b'_';
        base62::random(&mut text[SECRET_START..SECRET_END], rng);
        let checksum = checksum(&text[..SECRET_END]);
        text[SECRET_END..].copy_from_slice(&checksum);
        Self(Zeroizing::new(text.iter().copied().map(char::from).collect()))
    }

    /// The whole key. Whoever calls this shows a secret: write it nowhere but into a Secret.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its public id.
    pub fn id(&self) -> KeyId {
        self.presented().id
    }

    /// What a bundle and a record hold instead of the key.
    pub fn verifier(&self) -> Verifier {
        self.presented().verifier()
    }

    fn presented(&self) -> PresentedKey<'_> {
        split(&self.0)
    }
}

impl FromStr for ApiKey {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, MalformedKey> {
        PresentedKey::parse(text)?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}, …)", self.id())
    }
}

// === impl PresentedKey ===

impl<'a> PresentedKey<'a> {
    /// Splits a text of our form whose checksum holds. Allocates nothing.
    pub fn parse(text: &'a str) -> Result<Self, MalformedKey> {
        let bytes = text.as_bytes();
        let well_formed = bytes.len() == KEY_LENGTH
            && bytes.starts_with(PREFIX.as_bytes())
            && base62::is_base62(&bytes[ID_START..ID_END])
            && bytes[ID_END] == b'_'
            && base62::is_base62(&bytes[SECRET_START..]);
        if well_formed && bytes[SECRET_END..] == checksum(&bytes[..SECRET_END]) {
            Ok(split(text))
        } else {
            Err(MalformedKey)
        }
    }

    /// What to compare with the verifier of the bundle.
    pub fn verifier(&self) -> Verifier {
        Verifier::of_api_key(self.id, self.secret)
    }
}

impl fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresentedKey({}, …)", self.id)
    }
}

// === impl KeyId ===

impl KeyId {
    /// A new id. Keys of our own form bring theirs; this is for credentials that have none.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut id = [0u8; ID_LENGTH];
        base62::random(&mut id, rng);
        Self(id)
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The id's bytes.
    pub fn as_bytes(&self) -> &[u8; ID_LENGTH] {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = MalformedKeyId;

    fn from_str(text: &str) -> Result<Self, MalformedKeyId> {
        match <[u8; ID_LENGTH]>::try_from(text.as_bytes()) {
            Ok(id) if base62::is_base62(&id) => Ok(Self(id)),
            _ => Err(MalformedKeyId),
        }
    }
}

impl TryFrom<String> for KeyId {
    type Error = MalformedKeyId;

    fn try_from(text: String) -> Result<Self, MalformedKeyId> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.as_str().to_owned()
    }
}

impl Borrow<[u8; ID_LENGTH]> for KeyId {
    fn borrow(&self) -> &[u8; ID_LENGTH] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Splits a text that is known to be well-formed.
fn split(text: &str) -> PresentedKey<'_> {
    let mut id = [0u8; ID_LENGTH];
    id.copy_from_slice(&text.as_bytes()[ID_START..ID_END]);
    PresentedKey { id: KeyId(id), secret: &text[SECRET_START..SECRET_END] }
}

fn checksum(before: &[u8]) -> [u8; CRC_LENGTH] {
    base62::six(crc32fast::hash(before))
}

#[cfg(test)]
mod tests;
