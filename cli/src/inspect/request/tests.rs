use std::io::empty;

use clap::Parser;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use sidegate_bundle::{
    ApiKey, Revision,
    gate::{Access, GateName, Key, Match, Mode, PathMatch, Paths, Rule, Standing},
};

use super::*;
use crate::{
    args::{Args, Command, InspectCommand},
    output::Exit,
};

fn key(seed: u64) -> ApiKey {
    ApiKey::mint(&mut StdRng::seed_from_u64(seed))
}

fn known(seed: u64, fields: Value) -> Key {
    let key = key(seed);
    let mut known = json!({
        "id": key.id(), "hash": key.verifier().to_string(), "sub": "key:team-a.ci-key", "tenant": "ns:team-a",
    });
    known.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(known).unwrap()
}

fn bundle() -> GateBundle {
    let rule = |name: &str, path: PathMatch, methods: &[&str], access| Rule {
        name: (!name.is_empty()).then(|| name.to_owned()),
        matches: vec![Match {
            path: Some(path),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        }],
        access,
        needs: vec![],
    };
    let require = |value: Value| Access::Require(serde_json::from_value(value).unwrap());
    let (prefix, exact) =
        (|path: &str| PathMatch::Prefix(path.to_owned()), |path: &str| PathMatch::Exact(path.to_owned()));
    let mut bundle = GateBundle::closed(GateName::new("dify", "api"));
    bundle.revision = Revision(42);
    bundle.rules = vec![
        rule("health", exact("/healthz"), &[], Access::Anonymous),
        rule("read", prefix("/api"), &["GET"], require(json!({"scopes": ["apps:read"]}))),
        rule("rest", prefix("/api"), &[], require(json!({"scopes": ["apps:write"], "types": ["Service"]}))),
        rule(
            "",
            prefix("/admin"),
            &[],
            require(json!({"anyScopes": ["admin", "root"], "tenants": ["acme"]})),
        ),
        rule("files", prefix("/"), &["GET"], Access::Authenticated),
    ];
    bundle.keys = vec![
        known(1, json!({"scopes": ["apps:read"], "exp": 1_798_761_600})),
        known(2, json!({"scopes": ["apps:read"], "standing": Standing::Suspended})),
    ];
    bundle
}

const TODAY: &str = "2026-06-01T00:00:00Z";
const NEXT_YEAR: &str = "2027-06-01T00:00:00Z";

/// The folder of a bundle, and the command's arguments in it.
fn args(bundle: &GateBundle, words: &[&str]) -> (tempfile::TempDir, RequestArgs) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), document::pack(bundle).unwrap()).unwrap();
    let place = ["--bundle", folder.path().to_str().unwrap()];
    let words = ["sidegate", "inspect", "request"].iter().chain(words).chain(&place).copied();
    match Args::parse_from(words).command {
        Command::Inspect(InspectCommand::Request(args)) => (folder, args),
        _ => unreachable!("the words are those of `inspect request`"),
    }
}

/// What stands on standard output, and how the command ends.
fn asked(bundle: &GateBundle, words: &[&str], input: &str) -> (String, Result<(), Failure>) {
    let (_folder, args) = args(bundle, words);
    let mut out = Vec::new();
    let ended = run(&args, &mut input.as_bytes(), &mut out);
    (String::from_utf8(out).unwrap(), ended)
}

#[test]
fn each_step_is_told_in_words() {
    let id = |seed| key(seed).id().to_string();
    let doubtful =
        GateBundle { paths: Paths { encoded_slash: true, double_slash: true, semicolon: true }, ..bundle() };
    let audit = GateBundle { mode: Mode::Audit, ..bundle() };
    let mut text = String::new();
    for (bundle, at, line) in [
        (&bundle(), TODAY, "GET /healthz".to_owned()),
        (&bundle(), TODAY, "GET /api/./v1?secret".to_owned()),
        (&bundle(), TODAY, format!("GET /api/v1 --key-id {}", id(1))),
        (&bundle(), NEXT_YEAR, format!("GET /api/v1 --key-id {}", id(1))),
        (&bundle(), TODAY, format!("POST /api/v1 --key-id {}", id(1))),
        (&bundle(), TODAY, format!("GET /ADMIN/ --key-id {}", id(1))),
        (&bundle(), TODAY, format!("GET /api/v1 --key-id {}", id(2))),
        (&bundle(), TODAY, format!("GET /api/v1 --key-id {}", id(3))),
        (&bundle(), TODAY, format!("PUT /nothing --key-id {}", id(1))),
        (&bundle(), TODAY, "PROPFIND /".to_owned()),
        (&bundle(), TODAY, "GET //admin".to_owned()),
        (&bundle(), TODAY, "GET http://elsewhere/ -H host:api".to_owned()),
        (&doubtful, TODAY, format!("GET //admin;x=1 --key-id {}", id(1))),
        (&audit, TODAY, format!("POST /api/v1 --key-id {}", id(1))),
    ] {
        let words: Vec<_> = line.split(' ').chain(["--at", at]).collect();
        let (answer, ended) = asked(bundle, &words, "");
        let code = ended.map_or_else(|failure| failure.exit as u8, |()| 0);
        text.extend([format!("$ sidegate inspect request {line} --at {at}\n{answer}exit {code}\n\n")]);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_same_is_told_to_programs() {
    let id = key(1).id().to_string();
    let words = ["POST", "/api/v1", "--key-id", &id, "--at", TODAY, "-o", "json"];
    let (answer, ended) = asked(&bundle(), &words, "");
    assert_eq!(ended.unwrap_err().exit, Exit::No);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        answer,
        json!({
            "gate": "dify/api", "revision": 42, "decision": "deny", "enforced": true,
            "method": "POST", "path": "/api/v1", "rules": ["rest"], "rule": "rest",
            "credential": {
                "keyId": id, "subject": "key:team-a.ci-key", "tenant": "ns:team-a", "type": "Service",
                "scopes": ["apps:read"], "expiresAt": "2027-01-01T00:00:00Z",
            },
            "status": 403, "error": "insufficient_scope", "reason": "insufficient_scope", "detail": "needs apps:write",
        })
    );
    let (answer, ended) = asked(&bundle(), &["GET", "/healthz", "-o", "json"], "");
    assert!(ended.is_ok());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (&answer["decision"], &answer["reason"], &answer["credential"]),
        (&json!("allow"), &json!(null), &json!(null))
    );
}

#[test]
fn a_key_from_standard_input_is_presented_where_the_gate_takes_it() {
    let line = ["GET", "/api/v1", "--key", "-", "--at", TODAY];
    let mut bearer = bundle();
    bearer.api_keys.headers.clear();
    bearer.api_keys.bearer = true;
    for bundle in [bundle(), bearer] {
        let (answer, ended) = asked(&bundle, &line, &format!("{}\n", key(1).expose()));
        assert!(ended.is_ok(), "{answer}");
        let (answer, ended) = asked(&bundle, &line, key(3).expose());
        assert_eq!(ended.unwrap_err().exit, Exit::No);
        assert!(answer.contains("no key of this Gate has that id") && !answer.contains(key(3).expose()));
    }
    let mut none = bundle();
    none.api_keys.headers.clear();
    assert_eq!(asked(&none, &line, "").1.unwrap_err().what, "Gate dify/api takes no keys");
}

#[test]
fn a_key_among_the_arguments_is_refused_and_not_repeated() {
    let secret = key(1);
    let header = format!("x-api-key: {}", secret.expose());
    for words in [
        ["GET", "/", "--key", secret.expose()],
        ["GET", "/", "--key-id", secret.expose()],
        ["GET", "/", "-H", &header],
    ] {
        let failure = asked(&bundle(), &words, "").1.unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(!format!("{failure:?}").contains(secret.expose()), "{}", failure.what);
    }
}

#[test]
fn what_is_no_request_is_wrong_usage_and_no_bundle_is_unable() {
    for words in [["GE T", "/"], ["GET", "/a b"], ["GET", ""]] {
        assert_eq!(asked(&bundle(), &words, "").1.unwrap_err().exit, Exit::Usage, "{words:?}");
    }
    for header in ["no-colon", "na me: x", ": x"] {
        let words = ["GET", "/", "-H", header];
        assert_eq!(asked(&bundle(), &words, "").1.unwrap_err().exit, Exit::Usage, "{header}");
    }
    let (folder, args) = args(&bundle(), &["GET", "/"]);
    fs::write(folder.path().join(FILE), b"cut short").unwrap();
    let failure = run(&args, &mut empty(), &mut Vec::new()).unwrap_err();
    assert!(failure.exit == Exit::Unable && failure.what.ends_with("cut short or damaged"), "{failure:?}");
    fs::remove_file(folder.path().join(FILE)).unwrap();
    let failure = run(&args, &mut empty(), &mut Vec::new()).unwrap_err();
    assert!(failure.exit == Exit::Unable && failure.what.starts_with("cannot read "), "{failure:?}");
}

#[test]
fn a_path_without_its_slash_is_given_back_with_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), document::pack(&bundle()).unwrap()).unwrap();
    for path in ["v1/apps", "v1", "api:80", "?x"] {
        let line =
            ["sidegate", "inspect", "request", "GET", path, "--bundle", folder.path().to_str().unwrap()];
        let Command::Inspect(InspectCommand::Request(args)) = Args::try_parse_from(line).unwrap().command
        else {
            panic!("{path}: another command")
        };
        let failure = run(&args, &mut empty(), &mut Vec::new()).unwrap_err();
        assert_eq!(failure.what, format!("`{path}` is not a path"));
        assert_eq!(failure.help.as_deref(), Some(format!("begin it with a slash: '/{path}'").as_str()));
    }
}
