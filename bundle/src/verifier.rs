//! Verifiers: what proves a credential without being one.
//!
//! A key of ours has 256 random bits, so a single SHA-256 is as strong as any slow hash and
//! costs the gate well under a microsecond. What people choose (passwords) never comes here.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::api_key::KeyId;

/// A SHA-256 verifier; as text, 64 lower-case hexadecimal digits.
///
/// Equality takes the same time whatever differs.
#[derive(Clone, Copy, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Verifier([u8; 32]);

/// The text is not a verifier.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("a verifier is a SHA-256 as 64 lower-case hexadecimal digits")]
pub struct MalformedVerifier;

// === impl Verifier ===

impl Verifier {
    /// SHA-256(id ‖ 0x00 ‖ secret).
    pub fn of_api_key(id: KeyId, secret: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(id.as_bytes());
        hash.update([0]);
        hash.update(secret.as_bytes());
        Self(hash.finalize().into())
    }

    /// The verifier that has these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Verifier {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl FromStr for Verifier {
    type Err = MalformedVerifier;

    fn from_str(text: &str) -> Result<Self, MalformedVerifier> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(MalformedVerifier),
        };
        let text = <&[u8; 64]>::try_from(text.as_bytes()).map_err(|_| MalformedVerifier)?;
        let mut bytes = [0u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Verifier {
    type Error = MalformedVerifier;

    fn try_from(text: String) -> Result<Self, MalformedVerifier> {
        text.parse()
    }
}

impl From<Verifier> for String {
    fn from(verifier: Verifier) -> Self {
        verifier.to_string()
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_verifier_is_the_sha_256_of_id_zero_secret() {
        // printf 'AAAAAAAAAAAAAAAA\0secret' | sha256sum
        let verifier = Verifier::of_api_key("AAAAAAAAAAAAAAAA".parse().unwrap(), "secret");
        assert_eq!(verifier.to_string(), "909210c0ef7bbae53603f3d33721dcaad9b609265519867ce7fe8a41fbaacbad");
    }

    #[test]
    fn only_64_lower_case_digits_are_a_verifier() {
        let good = "0f".repeat(32);
        assert_eq!(good.parse::<Verifier>().map(|verifier| verifier.to_string()), Ok(good.clone()));
        for bad in
            [String::new(), good[1..].to_owned(), format!("{good}0"), good.to_uppercase(), "g".repeat(64)]
        {
            assert_eq!(bad.parse::<Verifier>(), Err(MalformedVerifier), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn verifiers_survive_being_written(bytes: [u8; 32]) {
            let verifier = Verifier(bytes);
            let json = serde_json::to_string(&verifier).unwrap();
            prop_assert_eq!(serde_json::from_str::<Verifier>(&json).unwrap(), verifier);
        }

        #[test]
        fn verifiers_are_equal_when_their_bytes_are(one: [u8; 32], other: [u8; 32]) {
            prop_assert_eq!(Verifier(one) == Verifier(other), one == other);
        }
    }
}
