//! No spelling of a path is a way around the rule for it, whatever router the app has.
//!
//! The routers are modelled as pure functions from the path that an app receives to the page that it
//! serves, as measured of the real ones, and some that fold more than any of them.

use http::Uri;
use proptest::{collection::vec, prelude::*, sample::select};
use sidegate_bundle::{
    GateBundle,
    gate::{Access, Match, PathMatch, Paths, Rule},
};

use super::*;
use crate::{
    builders::{api_key, known_key, matching, quickstart, rule, scopes},
    methods::Methods,
    normalise::Target,
};

/// What page a router serves for a path, decoded.
type Router = fn(&str) -> String;

const ROUTERS: [(&str, Router); 13] = [
    ("plain", str::to_owned),
    ("Express", express),
    ("Fastify, Go", decoded),
    ("Fastify with semicolons", |path| decoded(path.split(';').next().unwrap_or_default())),
    ("Flask behind gunicorn", |path| single_slashes(&decoded(path))),
    ("Starlette", |path| without_line_end(&decoded(path))),
    ("Rails", |path| without_last_slash(&single_slashes(&decoded(path)))),
    ("servlets", |path| resolved(&single_slashes(&decoded(&without_parameters(path))))),
    ("servlets that decode first", |path| resolved(&single_slashes(&without_parameters(&decoded(path))))),
    ("IIS", |path| resolved(&single_slashes(&decoded(path).replace('\\', "/").to_lowercase()))),
    ("Node with URL", |path| resolved(&after_authority(path))),
    ("one that decodes twice", |path| resolved(&decoded(&decoded(path)))),
    ("one that folds all", |path| {
        let path = without_parameters(&decoded(&after_authority(path))).replace('\\', "/");
        without_last_slash(&resolved(&single_slashes(&without_line_end(&path)))).to_lowercase()
    }),
];

fn express(path: &str) -> String {
    without_last_slash(&path.to_ascii_lowercase())
}

fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| *first == b'%');
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn single_slashes(path: &str) -> String {
    let mut path = path.to_owned();
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    path
}

fn without_last_slash(path: &str) -> String {
    if path == "/" { path.to_owned() } else { path.strip_suffix('/').unwrap_or(path).to_owned() }
}

fn without_line_end(path: &str) -> String {
    path.strip_suffix('\n').unwrap_or(path).to_owned()
}

fn without_parameters(path: &str) -> String {
    let segments: Vec<_> = path.split('/').map(|segment| segment.split(';').next().unwrap_or("")).collect();
    segments.join("/")
}

/// WHATWG URL: a path that begins with slashes names a host.
fn after_authority(path: &str) -> String {
    match path.strip_prefix("//") {
        Some(rest) => {
            let rest = rest.trim_start_matches('/');
            rest.find('/').map_or_else(|| "/".to_owned(), |at| rest[at..].to_owned())
        }
        None => path.to_owned(),
    }
}

/// Without dot segments.
fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// A page of an app, as its author writes it.
fn pages() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "b", "admin", "@me", "é", "x y"]), 1..4)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

/// The page spelt otherwise: each character alone, then what is put before, between and after.
fn spellings(page: String) -> impl Strategy<Value = String> {
    let length = page.chars().count();
    let odds = vec(0..25u8, length);
    let before =
        select(vec!["", "", "", "/", "//h", "/;h", "/a/..", "/.", "/%2e%2E", "/a/..;", "/%2Fh", "/%5C"]);
    let after = select(vec![
        "", "", "", "/", "//", ";", ";x=1", ";/x", "/;", "%0a", "%0A", "%20", "/.", "/./", "?q", "%2F",
        "/..;/x", "%2F..",
    ]);
    (odds, before, after).prop_map(move |(odds, before, after)| {
        let mut text = before.to_owned();
        for (character, odd) in page.chars().zip(odds) {
            match (character, odd) {
                ('/', 0) => text.push_str("//"),
                ('/', 1) => text.push_str("%2F"),
                ('/', 2) => text.push_str("%5c"),
                ('/', 3) => text.push_str(";x/"),
                ('/', 4) => text.push_str("/./"),
                ('/', 5) => text.push_str("/b/../"),
                ('/', 6) => text.push_str("/x%2F..%2F"),
                ('/', 7) => text.push('\\'),
                ('/', 8) => text.push_str("%252F"),
                ('/', 9) => text.push_str("/%3B/"),
                ('/', _) => text.push('/'),
                (character, 0..=3) => text.extend(character.to_uppercase()),
                (character, 4..=5) if character.is_ascii() => text.extend(coded("%", character)),
                (character, 6..=7) if character.is_ascii() => text.extend(coded("%25", character)),
                (character, _) if character.is_ascii_graphic() => text.push(character),
                (character, _) => {
                    let mut buffer = [0; 4];
                    text.extend(
                        character.encode_utf8(&mut buffer).bytes().map(|byte| format!("%{byte:02X}")),
                    );
                }
            }
        }
        text + after
    })
}

fn coded(start: &str, character: char) -> [String; 1] {
    [format!("{start}{:02x}", u32::from(character))]
}

fn passing() -> impl Strategy<Value = Paths> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(encoded_slash, double_slash, semicolon)| Paths {
        encoded_slash,
        double_slash,
        semicolon,
    })
}

/// A pattern for the page, or for what is above it, or for another one.
fn patterns(page: String, spelt: bool) -> impl Strategy<Value = PathMatch> {
    let above =
        page.rsplit_once('/').map_or("/", |(above, _)| if above.is_empty() { "/" } else { above }).to_owned();
    let other = pages().prop_map(move |other| if spelt { other.to_uppercase() } else { other });
    let text = prop_oneof![3 => Just(page.clone()), 2 => Just(above), 2 => other, 1 => Just("/".to_owned())];
    let upper = if spelt { 0..4u8 } else { 1..2u8 };
    (text, any::<bool>(), upper).prop_map(|(text, exact, upper)| {
        let text = if upper == 0 { text.to_uppercase() } else { text };
        if exact { PathMatch::Exact(text) } else { PathMatch::Prefix(text) }
    })
}

fn rules(page: String, spelt: bool) -> impl Strategy<Value = Vec<Rule>> {
    let methods = select(vec![vec![], vec!["GET"], vec!["POST"]]);
    let access = select(vec![Access::Anonymous, Access::Authenticated, scopes(&["s"]), scopes(&["t"])]);
    let entry = (patterns(page, spelt), methods).prop_map(|(path, methods)| matching(path, &methods));
    let list =
        vec((entry, access).prop_map(|(entry, access): (Match, _)| rule("r", vec![entry], access)), 1..6);
    (list, any::<bool>()).prop_map(|(mut list, rest)| {
        if rest {
            list.push(rule("rest", vec![], Access::Anonymous));
        }
        list
    })
}

/// The request for a page as its author writes it.
fn plainly(page: &str) -> String {
    page.bytes()
        .map(|byte| match byte {
            b'!'..=b'~' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn gate(rules: Vec<Rule>, paths: Paths) -> Index {
    let mut bundle = GateBundle { paths, rules, ..quickstart() };
    bundle.keys = vec![known_key("s", &["s"]), known_key("none", &[])];
    Index::new(&bundle)
}

fn is_allowed(index: &Index, target: &str, key: Option<&str>) -> Option<String> {
    let key = key.map(api_key);
    let headers: Vec<_> = key.iter().map(|key| ("x-api-key", key.expose())).collect();
    let permit = decide(index, &head("GET", target, &headers), now()).verdict.ok()?;
    Some(permit.target().path().to_owned())
}

fn found(index: &Index, paths: Paths, target: &str) -> Option<Found> {
    let target = Target::of(&target.parse::<Uri>().ok()?, paths).ok()?;
    index.rules.find(&target, Methods::new(&[]).verb(&http::Method::GET)?)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Whoever gets through with any spelling, and is served a page, could have asked for the page.
    #[test]
    fn who_is_served_a_page_may_ask_for_it(
        (page, target, rules) in pages().prop_flat_map(|page| {
            (Just(page.clone()), spellings(page.clone()), rules(page, false))
        }),
        paths in passing(),
        key in select(vec![None, Some("s"), Some("none")]),
    ) {
        let index = gate(rules, paths);
        if target.parse::<Uri>().is_ok()
            && let Some(received) = is_allowed(&index, &target, key)
        {
            for (name, router) in ROUTERS {
                if router(&received) == page {
                    let allowed = is_allowed(&index, &plainly(&page), key);
                    prop_assert!(allowed.is_some(), "{name} serves {page} for {received}");
                }
            }
        }
    }

    /// The same where rules are spelt in several ways: a request has to meet the rule of the page,
    /// unless a rule before that one names the request's own spelling.
    #[test]
    fn the_rule_of_a_page_is_met_or_stands_behind_one_for_this_very_spelling(
        (page, target, rules) in pages().prop_flat_map(|page| {
            (Just(page.clone()), spellings(page.clone()), rules(page, true))
        }),
        paths in passing(),
    ) {
        let index = gate(rules, paths);
        if let Ok(uri) = target.parse::<Uri>()
            && let Some(met) = found(&index, paths, &target)
            && let Ok(received) = Target::of(&uri, paths)
            && let Some(wanted) = found(&index, paths, &plainly(&page))
        {
            for (name, router) in ROUTERS {
                if router(received.path()) == page {
                    let least = met.numbers().min();
                    prop_assert!(
                        met.numbers().any(|number| number == wanted.rule) || least < Some(wanted.rule),
                        "{name} serves {page} for {}: {met:?}, {wanted:?}", received.path()
                    );
                }
            }
        }
    }
}

/// The models serve what the real ones were seen to serve.
#[test]
fn the_models_are_the_routers_that_were_measured() {
    let served = |name: &str, path: &str| {
        let (_, router) = ROUTERS.into_iter().find(|(known, _)| *known == name).unwrap();
        router(path) == "/admin"
    };
    for (path, express, fastify, flask, starlette) in [
        ("/admin", true, true, true, true),
        ("/ADMIN", true, false, false, false),
        ("/admin/", true, false, false, false),
        ("//admin", false, false, true, false),
        ("/%61dmin", false, true, true, true),
        ("/admin%0a", false, false, false, true),
        ("/api/../admin", false, false, false, false),
        ("/admin;x", false, false, false, false),
        ("/admin%20", false, false, false, false),
        ("/admin%2f", false, false, false, false),
        ("/%252e%252e/admin", false, false, false, false),
    ] {
        let models =
            ["Express", "Fastify, Go", "Flask behind gunicorn", "Starlette"].map(|name| served(name, path));
        assert_eq!(models, [express, fastify, flask, starlette], "{path}");
    }
}

/// The generated spellings reach the pages often enough that the properties above say something.
#[test]
fn the_spellings_reach_the_pages() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = pages().prop_flat_map(|page| (Just(page.clone()), spellings(page)));
    let all = Paths { encoded_slash: true, double_slash: true, semicolon: true };
    let (mut same, mut other) = (0, 0);
    for _ in 0..2000 {
        let (page, target) = strategy.new_tree(&mut runner).unwrap().current();
        let Ok(uri) = target.parse::<Uri>() else { continue };
        let Ok(received) = Target::of(&uri, all) else { continue };
        if ROUTERS.iter().any(|(_, router)| router(received.path()) == page) {
            if received.path() == plainly(&page) { same += 1 } else { other += 1 }
        }
    }
    assert!(other > 300, "{same} as they are, {other} otherwise");
}
