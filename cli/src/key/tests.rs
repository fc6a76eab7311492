use std::os::unix::fs::PermissionsExt;

use clap::Parser;
use rand::{SeedableRng, rngs::StdRng};

use super::*;
use crate::args::{Args, Command};

fn key() -> ApiKey {
    ApiKey::mint(&mut StdRng::seed_from_u64(1))
}

fn mint_args(line: &str) -> MintArgs {
    let words = ["sidegate", "key", "mint"].into_iter().chain(line.split_whitespace());
    match Args::parse_from(words).command {
        Command::Key(KeyCommand::Mint(args)) => args,
        _ => unreachable!("the words are those of `key mint`"),
    }
}

fn minted(line: &str) -> Result<(String, String), Failure> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    mint(&mint_args(line), &key(), &mut out, &mut err)?;
    Ok((String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap()))
}

#[test]
fn a_minted_key_is_the_answer_and_its_hash_stands_beside() {
    let (out, err) = minted("").unwrap();
    assert_eq!(out, format!("{}\n", key().expose()));
    assert_eq!(err, format!("hash: {{keyId: {}, sha256: {}}}\n", key().id(), key().verifier()));
}

#[test]
fn a_minted_key_as_json_has_both() {
    let (out, err) = minted("-o json").unwrap();
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        answer,
        json!({"apiKey": key().expose(), "keyId": key().id(), "sha256": key().verifier().to_string()})
    );
    assert_eq!(err, "");
}

#[test]
fn hashing_a_key_gives_what_minting_it_gave() {
    for (form, expected) in [(Form::Text, hash_line(&key())), (Form::Json, hash_of(&key()).to_string())] {
        let mut out = Vec::new();
        hash(form, &mut format!("{}\n", key().expose()).as_bytes(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}\n"));
    }
}

#[test]
fn what_is_no_key_is_not_hashed_and_not_repeated() {
    let mistyped = key().expose().replace("sk-sg_", "sk-sg_x");
    for bad in ["", "hunter2", mistyped.as_str()] {
        let failure = hash(Form::Text, &mut bad.as_bytes(), &mut Vec::new()).unwrap_err();
        assert_eq!(failure.exit, crate::output::Exit::Usage);
        assert!(bad.is_empty() || !failure.what.contains(bad));
    }
}

#[test]
fn an_api_key_to_commit_has_the_hash_and_the_key_is_in_the_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ci.key");
    let line = format!(
        "-o yaml ci-key -n team-a --gate dify/api --scope apps:read --scope apps:write --key-file {}",
        file.display()
    );
    let (out, err) = minted(&line).unwrap();
    assert!(!out.contains(key().expose()) && !err.contains(key().expose()));
    assert!(err.starts_with("note: spec.credential.type: Hash is not supported"), "{err}");
    insta::assert_snapshot!(out);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), key().expose());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let again = minted(&line).unwrap_err();
    assert!(again.what.contains("exists, and is not overwritten"), "{}", again.what);
}

#[test]
fn an_api_key_that_no_cluster_would_take_is_not_printed_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ci.key");
    for bad in ["Ci --gate api", "ci --gate dify/Api", "ci --gate api -n Team", "ci --gate api --scope a\"b"]
    {
        let failure = minted(&format!("-o yaml {bad} --key-file {}", file.display())).unwrap_err();
        assert_eq!(failure.exit, crate::output::Exit::Usage, "{bad}");
        assert!(!file.exists(), "{bad}");
    }
}
