//! Rules about a single file.

use std::path::Path;

use super::{Found, has_word, lines_where};

/// Past this a file is not one room any more.
const MOST_LINES: usize = 600;

/// Rooms appear when something lives in them.
pub(super) fn not_empty(text: &str) -> Vec<Found> {
    if text.trim().is_empty() { vec![(1, "the file is empty".to_owned())] } else { Vec::new() }
}

/// `foo.rs` stands beside `foo/`.
pub(super) fn no_mod_rs(path: &Path) -> Vec<Found> {
    if path.file_name().is_some_and(|name| name == "mod.rs") {
        return vec![(1, "a module's file is named after it and stands beside its folder".to_owned())];
    }
    Vec::new()
}

pub(super) fn not_too_long(text: &str) -> Vec<Found> {
    let lines = text.lines().count();
    if lines > MOST_LINES {
        return vec![(MOST_LINES, format!("{lines} lines; at {MOST_LINES} it is time for a second file"))];
    }
    Vec::new()
}

/// Every Rust file starts with its own documentation. `foo/tests.rs` is the end of `foo.rs`, which has it.
pub(super) fn says_what_it_is_for(path: &Path, text: &str) -> Vec<Found> {
    if path.file_name().is_some_and(|name| name == "tests.rs") {
        return Vec::new();
    }
    let first = text.lines().find(|line| !line.trim().is_empty());
    if first.is_some_and(|line| !line.starts_with("//!")) {
        return vec![(1, "it does not start by saying what it is for (`//! …`)".to_owned())];
    }
    Vec::new()
}

/// Takes code without comments and literals.
pub(super) fn nothing_unfinished(code: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for name in ["todo", "unimplemented", "dbg"] {
        let with_bang = format!("{name}!");
        let lines = lines_where(code, |line| line.contains(&with_bang) && has_word(line, name));
        found.extend(
            lines.into_iter().map(|line| (line, format!("`{with_bang}` is for code that is not finished"))),
        );
    }
    found
}

/// No path of somebody's machine, and no address of a registry that only they may reach.
pub(super) fn no_foreign_places(text: &str) -> Vec<Found> {
    // Put together here, or this file would be the first that is found.
    let places = [
        ["/ro", "ot/"],
        ["/wo", "rk/"],
        ["index.cra", "tes.io"],
        ["static.cra", "tes.io"],
        ["proxy.go", "lang.org"],
        ["sum.go", "lang.org"],
        ["registry.np", "mjs.org"],
        ["files.python", "hosted.org"],
    ]
    .map(|parts| parts.concat());
    let mut found = Vec::new();
    for place in places {
        for line in lines_where(text, |line| is_named(line, &place)) {
            found.push((line, format!("`{place}` is a place of one machine, not of this repository")));
        }
    }
    found
}

/// A path counts where it begins, not as the end of another (`https://example.com/root/`).
fn is_named(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !(place.starts_with('/')
            && before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(found: Vec<Found>) -> Option<usize> {
        found.first().map(|(line, _)| *line)
    }

    #[test]
    fn an_empty_file_is_found() {
        assert_eq!(is_found(not_empty(" \n\n")), Some(1));
        assert_eq!(is_found(not_empty("a")), None);
    }

    #[test]
    fn a_mod_rs_is_found() {
        assert_eq!(is_found(no_mod_rs(Path::new("a/mod.rs"))), Some(1));
        assert_eq!(is_found(no_mod_rs(Path::new("a/amod.rs"))), None);
    }

    #[test]
    fn a_file_that_is_too_long_is_found() {
        assert_eq!(is_found(not_too_long(&"a\n".repeat(601))), Some(600));
        assert_eq!(is_found(not_too_long(&"a\n".repeat(600))), None);
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_for_is_found() {
        for (text, expected) in [
            ("use a;\n", Some(1)),
            ("// a\n//! b", Some(1)),
            ("#![allow(b)]\n//! a", Some(1)),
            ("//! a\nuse b;", None),
            ("\n//! a", None),
        ] {
            assert_eq!(is_found(says_what_it_is_for(Path::new("a.rs"), text)), expected, "{text}");
        }
        assert_eq!(is_found(says_what_it_is_for(Path::new("a/tests.rs"), "use a;")), None);
    }

    #[test]
    fn unfinished_code_is_found() {
        for (code, expected) in [
            ("fn a() {\n    todo!()\n}", Some(2)),
            ("unimplemented!(\"b\")", Some(1)),
            ("std::dbg!(a)", Some(1)),
            ("my_todo!()", None),
            ("let todo = !a;", None),
        ] {
            assert_eq!(is_found(nothing_unfinished(code)), expected, "{code}");
        }
    }

    #[test]
    fn places_of_one_machine_are_found() {
        for (text, expected) in [
            (format!("a\nsee {}ot/b", "/ro"), Some(2)),
            (format!("path = \"{}rk/main\"", "/wo"), Some(1)),
            (format!("https://{}lang.org", "proxy.go"), Some(1)),
            (format!("containerd{}ot/b", "/ro"), None),
            (format!("https://example.com{}rk/", "/wo"), None),
            ("/rootless/ and /works/".to_owned(), None),
        ] {
            assert_eq!(is_found(no_foreign_places(&text)), expected, "{text}");
        }
    }
}
