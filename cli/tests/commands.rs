//! The small commands as real processes: what goes to which stream, and which code they end with.

#![allow(clippy::unwrap_used)] // a test that fails says where

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use sidegate_bundle::{
    GateBundle,
    document::{FILE, pack},
    gate::{Access, GateName, Match, PathMatch, Rule},
};

fn sidegate(words: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sidegate"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_minted_key_is_alone_on_standard_output_and_can_be_hashed_again() {
    let minted = sidegate(&["key", "mint"], "");
    assert_eq!(minted.status.code(), Some(0));
    assert!(text(&minted.stdout).starts_with("sk-sg_") && text(&minted.stdout).lines().count() == 1);
    assert!(text(&minted.stderr).starts_with("hash: {keyId: "));
    let hashed = sidegate(&["key", "hash", "-"], text(&minted.stdout));
    assert_eq!(hashed.status.code(), Some(0));
    assert_eq!(hashed.stdout, minted.stderr);
}

#[test]
fn a_key_is_never_an_argument_and_never_repeated() {
    let minted = sidegate(&["key", "mint"], "");
    let key = text(&minted.stdout).trim();
    let given = sidegate(&["key", "hash", key], "");
    assert_eq!(given.status.code(), Some(2));
    let said = format!("{}{}", text(&given.stdout), text(&given.stderr));
    assert!(said.starts_with("error: a key is never an argument") && !said.contains(key), "{said}");
    let mistyped = sidegate(&["key", "hash", "-"], &key.replace("sk-sg_", "sk-sg_0"));
    assert_eq!(mistyped.status.code(), Some(2));
    assert!(text(&mistyped.stderr).starts_with("error: not a Sidegate API key"));
}

#[test]
fn what_is_asked_about_a_request_is_answered_by_the_exit_code_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let without = sidegate(&["inspect", "request", "GET", "/", "--bundle", folder], "");
    assert_eq!(without.status.code(), Some(3));
    assert!(text(&without.stderr).contains("\n  help: "), "{}", text(&without.stderr));
    let mut bundle = GateBundle::closed(GateName::new("dify", "api"));
    let open = Match { path: Some(PathMatch::Exact("/healthz".to_owned())), methods: Vec::new() };
    bundle.rules =
        vec![Rule { name: None, matches: vec![open], access: Access::Anonymous, needs: Vec::new() }];
    std::fs::write(format!("{folder}/{FILE}"), pack(&bundle).unwrap()).unwrap();
    for (path, code) in [("/healthz", 0), ("/", 1), ("/ /", 2)] {
        let asked = sidegate(&["inspect", "request", "GET", path, "--bundle", folder], "");
        assert_eq!(asked.status.code(), Some(code), "{path}: {}", text(&asked.stderr));
        assert_eq!(asked.stdout.is_empty(), code == 2, "{path}");
        assert_eq!(asked.stderr.is_empty(), code != 2, "{path}");
    }
}

#[test]
fn the_version_is_text_or_json() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(text(&sidegate(&["version"], "").stdout), format!("sidegate {version}\n"));
    assert_eq!(
        text(&sidegate(&["version", "-o", "json"], "").stdout),
        format!("{{\"version\":\"{version}\"}}\n")
    );
}

#[test]
fn a_completion_script_is_one_that_its_shell_takes() {
    let script = sidegate(&["completion", "bash"], "");
    assert_eq!(script.status.code(), Some(0));
    assert!(text(&script.stdout).contains("_sidegate"));
    // Not every machine has bash.
    if let Ok(mut bash) = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn() {
        bash.stdin.take().unwrap().write_all(&script.stdout).unwrap();
        assert!(bash.wait().unwrap().success());
    }
}

#[test]
fn wrong_usage_is_2_and_what_is_not_there_is_named() {
    for words in [
        &["up"][..],
        &["nonsense"],
        &["up", "/nonexistent/folder"],
        &["key", "mint", "-o", "yaml"],
        &["up", "--listen", "8080", "."],
    ] {
        let output = sidegate(words, "");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(text(&output.stderr).starts_with("error: "), "{words:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn files_without_a_gate_are_nothing_to_run() {
    let output = sidegate(&["up", "-"], "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).starts_with("error: there is no Gate in standard input\n"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn colour_is_not_sent_where_nobody_sees_it() {
    let plain = sidegate(&["up", "-"], "");
    assert!(!text(&plain.stderr).contains('\u{1b}'));
    let always = sidegate(&["up", "-", "--color", "always"], "");
    assert!(text(&always.stderr).contains('\u{1b}'));
}
