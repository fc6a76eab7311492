//! What an unquoted word of YAML means. As kubectl reads it, which is YAML 1.1: `no` is a boolean
//! there, and `010` is eight. Read otherwise here, a file would mean something else on a cluster.

use serde_json::Number;

use super::node::Content;

/// The value of a plain scalar.
pub(super) fn plain(text: &str) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            Content::Bool(true)
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            Content::Bool(false)
        }
        _ => number(text).map_or_else(|| Content::Text(text.to_owned()), Content::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let text = text.replace('_', "");
    integer(&text).or_else(|| {
        let float = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        let digits = text.bytes().any(|byte| byte.is_ascii_digit());
        if float && digits { text.parse().ok().and_then(Number::from_f64) } else { None }
    })
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    Number::from_i128(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::manifest::node::Node;

    #[test]
    fn a_word_means_what_kubectl_takes_it_for() {
        for (text, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("no", json!(false)),
            ("On", json!(true)),
            ("12", json!(12)),
            ("-3", json!(-3)),
            ("010", json!(8)),
            ("0x1F", json!(31)),
            ("1_000", json!(1000)),
            ("1.5", json!(1.5)),
            ("1e3", json!(1000.0)),
            ("18446744073709551615", json!(u64::MAX)),
            ("2027-01-01", json!("2027-01-01")),
            ("720h", json!("720h")),
            ("1.2.3.4", json!("1.2.3.4")),
            ("-", json!("-")),
            ("+", json!("+")),
            ("--1", json!("--1")),
            ("nope", json!("nope")),
            (".", json!(".")),
        ] {
            assert_eq!(Node { span: 0..0, content: plain(text) }.to_json(), value, "{text}");
        }
    }
}
