//! `sidegate up` as a real process: served, edited while it runs, stopped, started again.

#![allow(clippy::unwrap_used)] // a test that fails says where

mod harness;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use harness::{Folder, PATIENCE, call};

#[test]
fn the_quickstart_answers_as_it_says() {
    let folder = Folder::quickstart();
    let mut up = folder.up();
    let key = folder.key();
    assert_eq!(up.call("GET", None).status, 401);
    let answer = up.call("GET", Some(&key));
    assert_eq!(answer.status, 200);
    for header in [
        "\"x-sidegate-subject\": \"key:team-a.ci-key\"",
        "\"x-sidegate-scopes\": \"apps:read\"",
        "\"x-sidegate-tenant\": \"ns:team-a\"",
    ] {
        assert!(answer.text.contains(header), "{}", answer.text);
    }
    assert!(
        !answer.text.contains(&key) && !answer.text.to_lowercase().contains("x-api-key"),
        "{}",
        answer.text
    );
    let answer = up.call("POST", Some(&key));
    assert_eq!(answer.status, 403);
    assert!(answer.text.contains("\"insufficient scope\""), "{}", answer.text);
    assert_eq!(up.call("GET", Some("wrong")).status, 403);
    assert_eq!(call(up.gate, "GET", "/healthz", None).status, 200);

    let line = up.wait_for("insufficient scope, needs");
    let (start, end) = ("403 POST /api/v1/apps  ApiKey team-a/ci-key  rule rest: ", " ms");
    assert!(line.contains(start) && line.ends_with(end), "{line}");
    up.wait_for("rule health");
    assert!(!up.said.contains(&key), "a key is never shown");
}

/// What a shell makes of the printed lines: a stand-in for curl prints the words that it is given.
#[test]
fn the_printed_lines_do_what_their_remarks_say() {
    let folder = Folder::quickstart();
    let up = folder.up();
    let block = up.said.split("in this folder:\n").nth(1).unwrap();
    let lines: Vec<&str> =
        block.lines().map(str::trim).take_while(|line| !line.starts_with("Save")).collect();
    let (variables, curls) = lines.split_first().unwrap();
    assert_eq!(curls.len(), 4, "{block}");
    for curl in curls {
        let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}\n{variables}\n{curl}\n");
        let words = Command::new("sh").args(["-c", &script]).current_dir(folder.path("")).output().unwrap();
        let words = String::from_utf8(words.stdout).unwrap();
        let words: Vec<&str> = words.lines().collect();
        let after = |flag: &str| words.iter().position(|word| *word == flag).map(|index| words[index + 1]);
        let key = after("-H").map(|header| header.strip_prefix("X-API-Key: ").unwrap());
        let (address, path) = words[1].strip_prefix("http://").unwrap().split_once('/').unwrap();
        let answer = call(address.parse().unwrap(), after("-X").unwrap_or("GET"), &format!("/{path}"), key);
        let remark = curl.split("# ").nth(1).unwrap();
        assert!(remark.starts_with(&answer.status.to_string()), "{curl}: {}", answer.text);
    }
}

#[test]
fn an_edit_is_in_force_and_a_key_that_is_taken_away_is_refused() {
    let folder = Folder::quickstart();
    let mut up = folder.up();
    let key = folder.key();
    assert_eq!(up.call("POST", Some(&key)).status, 403);
    folder.edit("2-gate.yaml", "scopes: [apps:read]  ", "scopes: [apps:read, apps:write]  ");
    up.wait_for("2-gate.yaml  Gate dify/api: admit changed, in force after");
    folder.edit("4-credentials.yaml", "scopes: [apps:read]", "scopes: [apps:read, apps:write]");
    up.wait_for("4-credentials.yaml  ApiKey team-a/ci-key: scopes +apps:write, in force after");
    assert_eq!(up.call("POST", Some(&key)).status, 200);
    assert_eq!(folder.key(), key, "the key stays");

    fs::remove_file(folder.path("files/4-credentials.yaml")).unwrap();
    up.wait_for("ApiKey team-a/ci-key: deleted, its key is refused");
    assert_eq!(up.call("GET", Some(&key)).status, 403);
    assert!(!folder.path(".sidegate/secrets/team-a/ci-key-api-key").exists());
}

#[test]
fn a_gate_that_is_added_listens_and_one_that_is_deleted_refuses_everything() {
    let folder = Folder::quickstart();
    let mut up = folder.up();
    let key = folder.key();
    let gate = "apiVersion: sidegate.dev/v1alpha1\nkind: Gate\nmetadata: {name: open, namespace: dify}\nspec:\n  \
                ports: [{port: 80}]\n  rules: [{allow: Anonymous}]\n";
    fs::write(folder.path("files/3-open.yaml"), gate).unwrap();
    let line = up.wait_for("Gate dify/open: new, in force after");
    assert!(line.contains("; NotEnforced: "), "{line}");
    let address = line.split("http://").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
    assert_eq!(call(address, "GET", "/", None).status, 200);
    fs::remove_file(folder.path("files/3-open.yaml")).unwrap();
    up.wait_for("Gate dify/open: deleted");
    assert_eq!(call(address, "GET", "/", None).status, 401);
    assert_eq!(call(address, "GET", "/", Some(&key)).status, 403);
    assert_eq!(up.call("GET", Some(&key)).status, 200, "the other one is as it was");
}

#[test]
fn a_bad_edit_prints_its_errors_and_changes_nothing() {
    let folder = Folder::quickstart();
    let mut up = folder.up();
    let key = folder.key();
    folder.edit("4-credentials.yaml", "scopes:", "scope:");
    let errors = up.wait_for_error("what was in force stays in force");
    assert!(
        errors.contains("error: 4-credentials.yaml:11:7: unknown field `scope` in ApiKey.spec.grants[0]\n"),
        "{errors}"
    );
    assert!(errors.contains("^^^^^ did you mean `scopes`?"), "{errors}");
    assert_eq!(up.call("GET", Some(&key)).status, 200);
    folder.edit("4-credentials.yaml", "scope:", "scopes:");
    up.wait_for("the files say what is in force");
    folder.edit("4-credentials.yaml", "spec:", "spec:\n  suspended: true");
    up.wait_for("ApiKey team-a/ci-key: suspended: true, in force after");
    assert_eq!(up.call("GET", Some(&key)).status, 403);
}

#[test]
fn a_file_that_is_not_valid_starts_nothing_and_says_all_that_is_wrong() {
    let folder = Folder::quickstart();
    folder.edit("4-credentials.yaml", "scopes:", "scope:");
    folder.edit("2-gate.yaml", "allow: Anonymous", "allow: Anyone");
    let output = folder.run(&["up", "files"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && !folder.path(".sidegate").exists());
    let first: Vec<&str> = errors.lines().filter(|line| line.starts_with("error:")).collect();
    assert_eq!(
        first,
        [
            "error: 2-gate.yaml:13:14: `Anyone` is not a value of Gate.spec.rules[0].allow",
            "error: 4-credentials.yaml:11:7: unknown field `scope` in ApiKey.spec.grants[0]",
        ]
    );
}

#[test]
fn a_port_in_use_is_named_with_what_to_type() {
    let folder = Folder::quickstart();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (flag, other) in [("--listen", "--admin"), ("--admin", "--listen")] {
        let output = folder.run(&["up", "files", flag, &address.to_string(), other, "127.0.0.1:0"]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{errors}");
        assert!(errors.starts_with(&format!("error: {address} is in use\n")), "{errors}");
        assert!(errors.contains(&format!("  help: sidegate up files {flag} 127.0.0.1:")), "{errors}");
        assert!(errors.contains(&format!(" {other} 127.0.0.1:0")), "{errors}");
    }
}

#[test]
fn a_second_one_on_the_same_state_is_refused() {
    let folder = Folder::quickstart();
    let up = folder.up();
    let output = folder.run(&["up", "files", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.starts_with("error: .sidegate is in use by another `sidegate up` (process "), "{errors}");
    assert!(errors.contains("help: "), "{errors}");
    assert_eq!(up.call("GET", Some(&folder.key())).status, 200);
}

#[test]
fn keys_survive_a_restart_and_fresh_makes_new_ones() {
    let folder = Folder::quickstart();
    let first = folder.up();
    let key = folder.key();
    assert_eq!(first.stop("-TERM").code(), Some(0));
    let second = folder.up();
    assert_eq!(folder.key(), key);
    assert_eq!(second.call("GET", Some(&key)).status, 200);
    assert_eq!(second.stop("-INT").code(), Some(0));
    let fresh = folder.up_with(&["--listen", "127.0.0.1:0", "--fresh"]);
    assert_ne!(folder.key(), key);
    assert_eq!(fresh.call("GET", Some(&key)).status, 403);
}

#[test]
fn a_process_that_was_killed_leaves_a_state_that_starts_again() {
    let folder = Folder::quickstart();
    let first = folder.up();
    let key = folder.key();
    drop(first);
    let second = folder.up();
    assert_eq!(second.call("GET", Some(&key)).status, 200);
}

#[test]
fn a_secret_that_is_deleted_by_hand_is_made_again_with_a_new_key() {
    let folder = Folder::quickstart();
    let up = folder.up();
    let key = folder.key();
    // In one step: `up` puts files there again as soon as it misses some.
    fs::rename(folder.path(".sidegate/secrets/team-a/ci-key-api-key"), folder.path("gone")).unwrap();
    let file = folder.path(".sidegate/secrets/team-a/ci-key-api-key/api-key");
    let end = Instant::now() + PATIENCE;
    while !file.exists() {
        assert!(Instant::now() < end, "no new key: {}", up.errors());
        thread::sleep(Duration::from_millis(20));
    }
    let new = folder.key();
    assert_ne!(new, key);
    let end = Instant::now() + PATIENCE;
    while up.call("GET", Some(&new)).status != 200 {
        assert!(Instant::now() < end, "the new key is not in force: {}", up.errors());
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(up.call("GET", Some(&key)).status, 403);
}

#[test]
fn what_is_not_admitted_is_said_in_the_key_s_row_and_the_rest_runs() {
    let folder = Folder::quickstart();
    folder.edit("4-credentials.yaml", "scopes: [apps:read]", "scopes: [apps:read, apps:admin]");
    let up = folder.up();
    assert!(up.said.contains("Gate dify/api admits apps:read for team-a, not apps:admin"), "{}", up.said);
    assert_eq!(up.call("GET", Some(&folder.key())).status, 200);
}

#[test]
fn a_secret_of_the_files_own_is_in_the_way_and_stays_as_it_is() {
    let folder = Folder::quickstart();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: ci-key-api-key, namespace: team-a}\nstringData: {a: canary}\n";
    fs::write(folder.path("files/6-secret.yaml"), secret).unwrap();
    let up = folder.up();
    assert!(up.said.contains("SecretConflict"), "{}", up.said);
    assert!(!folder.path(".sidegate/secrets/team-a/ci-key-api-key").exists());
    assert!(!up.said.contains("canary"));
}

#[test]
fn an_app_of_one_s_own_is_behind_the_gate() {
    let folder = Folder::quickstart();
    let app = Folder::quickstart();
    let other = app.up();
    let url = format!("api=http://{}", other.gate);
    let up = folder.up_with(&["--listen", "127.0.0.1:0", "--app", &url]);
    assert!(up.said.contains(&format!("-> http://{}", other.gate)), "{}", up.said);
    // The app is another gate, which gets no key: its 401 comes through.
    assert_eq!(up.call("GET", Some(&folder.key())).status, 401);
    let output = folder.run(&["up", "files", "--app", "apii=http://127.0.0.1:1"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(errors, "error: --app names apii, and there is no such Gate\n  help: there are: dify/api\n");
}

/// An app that has a request in its hands and answers when it is told to.
fn slow_app() -> (String, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("api=http://{}", listener.local_addr().unwrap());
    let (answer, told) = mpsc::channel::<()>();
    let (arrived, seen) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).unwrap();
        arrived.send(()).unwrap();
        let _ = told.recv();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlate!");
    });
    (url, answer, seen)
}

#[test]
fn what_is_in_flight_is_finished_before_it_stops() {
    let folder = Folder::quickstart();
    let (url, answer, seen) = slow_app();
    let up = folder.up_with(&["--listen", "127.0.0.1:0", "--app", &url]);
    let (gate, key) = (up.gate, folder.key());
    let caller = thread::spawn(move || call(gate, "GET", "/api/v1/apps", Some(&key)));
    seen.recv_timeout(PATIENCE).unwrap();
    up.signal("-TERM");
    thread::sleep(Duration::from_millis(300));
    assert!(TcpStream::connect(gate).is_err(), "nobody new is let in");
    answer.send(()).unwrap();
    let got = caller.join().unwrap();
    assert!(got.status == 200 && got.text.ends_with("late!"), "{}", got.text);
    assert_eq!(up.wait().code(), Some(0));
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let folder = Folder::quickstart();
    let (url, _answer, seen) = slow_app();
    let up = folder.up_with(&["--listen", "127.0.0.1:0", "--app", &url]);
    let (gate, key) = (up.gate, folder.key());
    thread::spawn(move || call(gate, "GET", "/api/v1/apps", Some(&key)));
    seen.recv_timeout(PATIENCE).unwrap();
    up.signal("-INT");
    thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    assert_eq!(up.stop("-INT").code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(3), "it waited");
}

#[test]
fn no_file_but_the_secret_has_the_key() {
    let folder = Folder::quickstart();
    let up = folder.up();
    let key = folder.key();
    assert_eq!(up.call("GET", Some(&key)).status, 200);
    let found = Command::new("grep").args(["-rlF", &key, "."]).current_dir(folder.path("")).output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let mut places = found.lines().collect::<Vec<_>>();
    places.sort_unstable();
    assert_eq!(places.len(), 1, "{found}");
    assert!(places[0].starts_with("./.sidegate/secrets/team-a/ci-key-api-key/"), "{found}");
}
