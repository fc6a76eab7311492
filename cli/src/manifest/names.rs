//! Names as Kubernetes takes them.

/// A DNS label (RFC 1123): a namespace's name.
pub(crate) fn check_label(text: &str) -> Result<(), &'static str> {
    if is_label(text) {
        Ok(())
    } else {
        Err("has to be 1 to 63 of a-z, 0-9 and -, and begin and end with a letter or digit")
    }
}

/// A DNS subdomain (RFC 1123): the name of most objects.
pub(crate) fn check_subdomain(text: &str) -> Result<(), &'static str> {
    if text.len() <= 253 && text.split('.').all(is_part) {
        Ok(())
    } else {
        Err("has to be 1 to 253 of a-z, 0-9, - and ., and begin and end with a letter or digit")
    }
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

fn is_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kubernetes_takes() {
        for good in ["a", "team-a", "0", "a0", &"a".repeat(63)] {
            assert!(check_label(good).is_ok(), "{good}");
            assert!(check_subdomain(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "-a", "a-", "a_b", "a b", "ä"] {
            assert!(check_label(bad).is_err(), "{bad}");
            assert!(check_subdomain(bad).is_err(), "{bad}");
        }
        assert!(check_label("a.b").is_err() && check_subdomain("a.b").is_ok());
        assert!(check_label(&"a".repeat(64)).is_err() && check_subdomain(&"a".repeat(64)).is_ok());
        assert!(check_subdomain("a..b").is_err() && check_subdomain(&"a.".repeat(127)).is_err());
    }
}
