//! Rust source without its comments and literals, so that a rule about code is not about words in prose.

/// The same text, line by line; what is not code is blank.
pub(super) fn only(source: &str) -> String {
    let mut rest = source;
    let mut code = String::with_capacity(source.len());
    while let Some(first) = rest.chars().next() {
        let after_name = code.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            'r' | 'b' | 'c' if !after_name => prefixed(rest).unwrap_or(0),
            '\'' => character(rest).unwrap_or(0),
            _ => 0,
        };
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    code
}

/// They nest.
fn block_comment(text: &str) -> usize {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 && at < text.len() {
        let here = &text[at..];
        if here.starts_with("/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if here.starts_with("*/") {
            (at, depth) = (at + 2, depth - 1);
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// From one quote to the next that no backslash precedes.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `c"…"`, `b'…'`; None if it is a name.
fn prefixed(text: &str) -> Option<usize> {
    let letters = text.find(|c| !matches!(c, 'r' | 'b' | 'c'))?;
    let (prefix, rest) = text.split_at(letters);
    if prefix == "b" && rest.starts_with('\'') {
        return character(rest).map(|length| letters + length);
    }
    if !matches!(prefix, "r" | "b" | "c" | "br" | "cr") {
        return None;
    }
    if !prefix.contains('r') {
        return rest.starts_with('"').then(|| letters + string(rest));
    }
    let hashes = rest.find(|c| c != '#')?;
    let body = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(letters + hashes + 1 + length)
}

/// `'x'`, `'\n'`, `'\u{1F600}'`; None if it is a lifetime.
fn character(text: &str) -> Option<usize> {
    let body = &text[1..];
    if let Some(escape) = body.strip_prefix('\\') {
        // The escaped character itself may be a quote.
        let skipped = escape.chars().next()?.len_utf8();
        return escape[skipped..].find('\'').map(|at| 1 + 1 + skipped + at + 1);
    }
    let c = body.chars().next()?;
    body[c.len_utf8()..].starts_with('\'').then(|| 1 + c.len_utf8() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank_and_code_is_not() {
        for (source, expected) in [
            ("a // b", "a"),
            ("a /* b /* c */ d */ e", "a e"),
            (r#"a "b \" c" d"#, "a d"),
            (r##"a r#"b " c"# d"##, "a d"),
            (r#"a b"b" br"b" b'b' c"b" d"#, "a d"),
            (r"a 'b' '\'' '\u{62}' d", "a d"),
            ("fn f<'b>(x: &'b str)", "fn f<'b>(x: &'b str)"),
            ("for r in b { r#gen::c }", "for r in b { r#gen::c }"),
            ("a \"no end", "a"),
            ("ä 'ö' \"ü\" é", "ä é"),
        ] {
            assert_eq!(only(source).split_whitespace().collect::<Vec<_>>().join(" "), expected, "{source}");
        }
    }

    #[test]
    fn lines_stay_where_they_are() {
        assert_eq!(only("a\n/*\n*/ b\n\"\n\" c").lines().count(), 5);
        assert_eq!(only("a\n/*\n*/ b").lines().nth(2).map(str::trim), Some("b"));
    }
}
