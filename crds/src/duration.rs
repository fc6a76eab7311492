//! Durations as the Gateway API writes them (GEP-2257): `30s`, `1h30m`, `500ms`.
//!
//! One to four numbers of at most five digits, each with its unit: `h`, `m`, `s` or `ms`. No
//! sign, no fraction, no days.

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest text that is a duration.
const MAX_LENGTH: usize = 28;
const MAX_PARTS: usize = 4;
const MAX_DIGITS: usize = 5;

/// A duration, in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration {
    milliseconds: u64,
}

/// The text is not a duration.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a duration: write hours, minutes and seconds such as 24h, 1h30m or 90s")]
pub struct NotADuration(String);

const MILLISECOND: u64 = 1;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

// === impl Duration ===

impl Duration {
    /// `hours` hours. At most 99,999 have a text.
    pub const fn from_hours(hours: u32) -> Self {
        Self { milliseconds: hours as u64 * HOUR }
    }

    /// `minutes` minutes.
    pub const fn from_minutes(minutes: u32) -> Self {
        Self { milliseconds: minutes as u64 * MINUTE }
    }

    /// Its length in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.milliseconds
    }

    /// The same length for reckoning with times.
    pub fn to_signed(self) -> SignedDuration {
        SignedDuration::from_millis(i64::try_from(self.milliseconds).unwrap_or(i64::MAX))
    }
}

impl FromStr for Duration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        parse(text).map(|milliseconds| Self { milliseconds }).ok_or_else(|| NotADuration(text.to_owned()))
    }
}

impl TryFrom<String> for Duration {
    type Error = NotADuration;

    fn try_from(text: String) -> Result<Self, NotADuration> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.to_string()
    }
}

impl From<Duration> for SignedDuration {
    fn from(duration: Duration) -> Self {
        duration.to_signed()
    }
}

/// The largest units first, what is zero left out; nothing at all is `0s`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.milliseconds == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.milliseconds;
        for (unit, name) in [(HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (MILLISECOND, "ms")] {
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    // The form is a rule of each field, beside its bounds, so that one message says both.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 2, "maxLength": MAX_LENGTH})
    }
}

/// The milliseconds of a well-formed text. The largest sum, 4 × 99,999 h, is far from overflow.
fn parse(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 || digits > MAX_DIGITS || parts == MAX_PARTS {
            return None;
        }
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, length) = match rest.as_bytes() {
            [b'm', b's', ..] => (MILLISECOND, 2),
            [b'h', ..] => (HOUR, 1),
            [b'm', ..] => (MINUTE, 1),
            [b's', ..] => (SECOND, 1),
            _ => return None,
        };
        rest = &rest[length..];
        sum += number * unit;
        parts += 1;
    }
    (parts > 0 && sum < 100_000 * HOUR).then_some(sum)
}

#[cfg(test)]
mod tests;
