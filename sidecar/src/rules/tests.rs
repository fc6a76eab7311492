//! The compiled rules, against a table and against the plain reading of the list.

use http::Uri;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::builders::{exact, matching, prefix, rule};

fn compile(rules: &[Rule]) -> Rules {
    Rules::new(rules, &Methods::new(&[]), Paths::default(), &mut ScopeTable::default())
}

fn find(rules: &[Rule], method: &str, path: &str) -> Option<Found> {
    let target = Target::of(&path.parse::<Uri>().unwrap(), Paths::default()).unwrap();
    compile(rules).find(&target, Methods::new(&[]).verb(&method.parse().unwrap()).unwrap())
}

fn single(entry: Match) -> Vec<Rule> {
    vec![rule("r", vec![entry], Access::Authenticated)]
}

#[test]
fn a_match_fits_path_and_method() {
    for (entry, method, path, fits) in [
        (matching(exact("/a"), &[]), "GET", "/a", true),
        (matching(exact("/a"), &[]), "GET", "/a/b", false),
        (matching(exact("/a"), &[]), "GET", "/a/", false),
        (matching(exact("/a/"), &[]), "GET", "/a", false),
        (matching(exact("/"), &[]), "GET", "/", true),
        (matching(exact("/"), &[]), "GET", "/a", false),
        (matching(prefix("/a"), &[]), "GET", "/a", true),
        (matching(prefix("/a"), &[]), "GET", "/a/", true),
        (matching(prefix("/a"), &[]), "GET", "/a/b/c", true),
        (matching(prefix("/a"), &[]), "GET", "/ab", false),
        (matching(prefix("/a/"), &[]), "GET", "/a", true),
        (matching(prefix("/a/"), &[]), "GET", "/a/b", true),
        (matching(prefix("/"), &[]), "GET", "/", true),
        (matching(prefix("/"), &[]), "GET", "/x/y", true),
        (matching(None, &[]), "DELETE", "/x/y", true),
        (matching(None, &["GET"]), "HEAD", "/", true),
        (matching(None, &["GET"]), "GET", "/", true),
        (matching(None, &["HEAD"]), "GET", "/", false),
        (matching(None, &["HEAD"]), "HEAD", "/", true),
        (matching(None, &["GET", "POST"]), "PUT", "/", false),
        // What is not served matches nothing; it does not mean any method.
        (matching(None, &["PROPFIND"]), "GET", "/", false),
        (matching(None, &["get"]), "GET", "/", false),
        // The server as a whole has no path.
        (matching(None, &[]), "OPTIONS", "*", true),
        (matching(None, &["OPTIONS"]), "OPTIONS", "*", true),
        (matching(None, &["GET"]), "OPTIONS", "*", false),
        (matching(prefix("/"), &[]), "OPTIONS", "*", false),
        (matching(exact("*"), &[]), "OPTIONS", "*", false),
        // Patterns are read as requests are.
        (matching(exact("/%61/../b"), &[]), "GET", "/b", true),
        (matching(exact("/café x"), &[]), "GET", "/caf%c3%a9%20x", true),
        (matching(exact("/a b"), &[]), "GET", "/a%20b", true),
        // A server that decodes too early asks for /a, which has no rule.
        (matching(exact("/a?b"), &[]), "GET", "/a%3Fb", false),
        (matching(prefix("/x"), &[]), "GET", "/x/a%3Fb", true),
        (matching(exact("/a?b"), &[]), "GET", "/a?b", false),
        (matching(exact("/a//b"), &[]), "GET", "/a/b", false),
        (matching(exact("a"), &[]), "GET", "/a", false),
    ] {
        let found = find(&single(entry.clone()), method, path);
        assert_eq!(found.is_some(), fits, "{method} {path} {entry:?}");
    }
}

#[test]
fn a_rule_without_matches_fits_everything() {
    let rules = [rule("r", vec![], Access::Authenticated)];
    for (method, path) in [("GET", "/"), ("POST", "/a/b"), ("OPTIONS", "*")] {
        assert_eq!(find(&rules, method, path), Some(Found { rule: 0, also: vec![] }));
    }
}

#[test]
fn another_spelling_of_a_path_has_to_meet_its_rule_as_well() {
    let rules = [
        rule("admin", vec![matching(exact("/admin"), &[])], Access::Authenticated),
        rule("me", vec![matching(exact("/users/@Me"), &["GET"])], Access::Authenticated),
        rule("slash", vec![matching(exact("/items/"), &[])], Access::Authenticated),
        rule("words", vec![matching(exact("/Ärger"), &[])], Access::Authenticated),
        rule("all", vec![matching(prefix("/"), &[])], Access::Anonymous),
    ];
    for (method, path, rule, also) in [
        ("GET", "/admin", 0, None),
        ("GET", "/ADMIN", 4, Some(0)),
        ("GET", "/admin/", 4, Some(0)),
        ("GET", "/Admin/", 4, Some(0)),
        ("GET", "/%41DMIN", 4, Some(0)),
        ("GET", "/admins", 4, None),
        ("GET", "/users/@Me", 1, None),
        ("GET", "/users/%40me", 4, Some(1)),
        ("HEAD", "/users/%40ME/", 4, Some(1)),
        ("POST", "/users/@me", 4, None),
        ("GET", "/items/", 2, None),
        ("GET", "/items", 4, Some(2)),
        ("GET", "/%C3%84rger", 3, None),
        ("GET", "/%C3%A4RGER/", 4, Some(3)),
        // Unicode has letters that become k and s: U+212A, U+017F.
        ("GET", "/u%C5%BFers/@me", 4, Some(1)),
        ("POST", "/%C3%A4rger%C5%BF", 4, None),
        ("GET", "/", 4, None),
    ] {
        assert_eq!(
            find(&rules, method, path),
            Some(Found { rule, also: Option::into_iter(also).collect() }),
            "{method} {path}"
        );
    }
}

#[test]
fn rules_for_two_spellings_of_one_path_both_count_for_a_third() {
    let rules = [
        rule("upper", vec![matching(exact("/ADMIN"), &[])], Access::Anonymous),
        rule("slash", vec![matching(exact("/admin/"), &["POST"])], Access::Anonymous),
        rule("lower", vec![matching(prefix("/admin"), &[])], Access::Authenticated),
        rule("all", vec![matching(prefix("/"), &[])], Access::Anonymous),
    ];
    for (method, path, rule, also) in [
        ("GET", "/Admin", 3, vec![0, 2]),
        ("POST", "/Admin", 3, vec![0, 1, 2]),
        ("POST", "/Admin/x", 3, vec![2]),
        ("GET", "/admin", 2, vec![0]),
        ("GET", "/ADMIN", 0, vec![]),
    ] {
        assert_eq!(find(&rules, method, path), Some(Found { rule, also }), "{method} {path}");
    }
}

#[test]
fn what_matches_only_folded_has_no_rule() {
    assert_eq!(find(&single(matching(exact("/a"), &[])), "GET", "/A"), None);
}

#[test]
fn a_rule_is_called_by_its_name_or_its_place() {
    let rules = [
        rule("health", vec![], Access::Anonymous),
        Rule { name: None, ..rule("", vec![], Access::Anonymous) },
    ];
    let compiled = compile(&rules);
    assert_eq!((&*compiled.rule(0).label, &*compiled.rule(1).label), ("health", "rules[1]"));
}

// The plain reading: go through the list, take the first that fits.

fn fits(entry: &Match, method: &str, path: &str, reading: fn(&str) -> String) -> bool {
    let path_fits = match &entry.path {
        None => true,
        Some(_) if path == "*" => false,
        Some(PathMatch::Exact(pattern)) => super::pattern(pattern, Paths::default())
            .is_some_and(|pattern| reading(&pattern) == reading(path)),
        Some(PathMatch::Prefix(pattern)) => {
            super::pattern(pattern, Paths::default()).is_some_and(|pattern| {
                let pattern = reading(&pattern);
                let stem = pattern.strip_suffix('/').unwrap_or(&pattern);
                let path = reading(path);
                path.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        }
    };
    let get_for_head = method == "HEAD" && entry.methods.iter().any(|name| name == "GET");
    path_fits && (entry.methods.is_empty() || get_for_head || entry.methods.iter().any(|name| name == method))
}

fn plainly(rules: &[Rule], method: &str, path: &str) -> Option<Found> {
    let matches = |number: usize, reading: fn(&str) -> String| {
        let rule: &Rule = &rules[number];
        rule.matches.is_empty() || rule.matches.iter().any(|entry| fits(entry, method, path, reading))
    };
    let first = |reading| (0..rules.len()).find(|number| matches(*number, reading));
    let folded = |path: &str| {
        let path = normalise::decoded(path).to_uppercase().to_lowercase();
        if path.len() > 1 { path.strip_suffix('/').unwrap_or(&path).to_owned() } else { path }
    };
    let rule = first(str::to_owned)?;
    let also = (0..rule).filter(|number| path != "*" && matches(*number, folded)).collect();
    Some(Found { rule, also })
}

/// Normal paths. They have the same few segments, so that rules and requests meet.
fn paths() -> impl Strategy<Value = String> {
    let segment = select(vec!["a", "A", "b", "%40", "@", "%C3%A9", "ab"]);
    (vec(segment, 0..4), any::<bool>()).prop_map(|(segments, slash)| {
        let end = if slash && !segments.is_empty() { "/" } else { "" };
        format!("/{}{end}", segments.join("/"))
    })
}

fn methods() -> impl Strategy<Value = &'static str> {
    select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
}

fn matches() -> impl Strategy<Value = Match> {
    let path = (paths(), any::<bool>())
        .prop_map(|(path, whole)| if whole { PathMatch::Exact(path) } else { PathMatch::Prefix(path) });
    (option::weighted(0.9, path), vec(methods(), 0..3)).prop_map(|(path, methods)| matching(path, &methods))
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    vec(vec(matches(), 1..3).prop_map(|matches| rule("r", matches, Access::Authenticated)), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_compiled_rules_find_what_the_list_says(
        rules in rules(),
        path in prop_oneof![9 => paths(), 1 => Just("*".to_owned())],
        method in methods(),
    ) {
        let method = if path == "*" { "OPTIONS" } else { method };
        let found = find(&rules, method, &path);
        prop_assert_eq!(found.clone(), plainly(&rules, method, &path));
        if let Some(Found { rule, also }) = found {
            prop_assert!(also.iter().all(|also| *also < rule), "the other rule stands earlier");
        }
    }
}
