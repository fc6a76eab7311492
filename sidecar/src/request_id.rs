//! The id that one request has in our answer, at the app, and in the audit line.
//!
//! It is made from random bits that the caller of [`RequestId::new`] brings, and never from
//! anything in the request: a caller must not be able to choose the id of an audit line.

use std::fmt;

use http::HeaderValue;

/// 128 random bits as 32 lower-case hexadecimal digits, ready to be a header's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(HeaderValue);

// === impl RequestId ===

impl RequestId {
    /// The id made of these bits.
    pub(crate) fn new(random: u128) -> Self {
        let mut digits = [b'0'; 32];
        let mut rest = random;
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789abcdef"[(rest & 0xf) as usize];
            rest >>= 4;
        }
        // Digits are always a header value, so the other branch is never taken.
        Self(HeaderValue::from_bytes(&digits).unwrap_or_else(|_| HeaderValue::from_static("-")))
    }

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("-")
    }

    /// The id as a header's value; cloning it copies nothing.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_128_bits_in_hexadecimal() {
        for random in [0, 1, 0x0123_4567_89ab_cdef, u128::MAX] {
            assert_eq!(RequestId::new(random).as_str(), format!("{random:032x}"));
        }
    }
}
