use std::os::unix::fs::PermissionsExt;

use rand::{SeedableRng, rngs::StdRng};

use super::*;
use crate::manifest::Source;

const GATE: &str = "apiVersion: sidegate.dev/v1alpha1\nkind: Gate\nmetadata: {name: api, namespace: dify}\nspec: {ports: [{port: 80}]}\n";

fn now() -> Timestamp {
    "2026-01-01T00:00:00.5Z".parse().unwrap()
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn manifest(text: &str) -> Manifest {
    Manifest::of(&[Source::new("a.yaml", text)], &Stored::new()).unwrap()
}

fn gate() -> ObjectName {
    ObjectName { namespace: "dify".to_owned(), name: "api".to_owned() }
}

fn secret() -> ObjectName {
    ObjectName { namespace: "team-a".to_owned(), name: "s".to_owned() }
}

fn owned_by(uid: &Value) -> ObjectMeta {
    let owner = json!({"apiVersion": "v1", "kind": "Gate", "name": "api", "uid": uid});
    serde_json::from_value(json!({"ownerReferences": [owner]})).unwrap()
}

#[test]
fn one_process_at_a_time_has_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = State::open(folder.path(), false).unwrap();
    let said = State::open(folder.path(), false).unwrap_err().to_string();
    assert!(said.contains("is in use by another `sidegate up`"), "{said}");
    assert!(said.contains(&format!("(process {})", std::process::id())), "{said}");
    drop(first);
    State::open(folder.path(), false).unwrap();
}

#[test]
fn a_folder_with_something_else_in_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("secrets")).unwrap();
    fs::write(folder.path().join("secrets/mine"), "mine").unwrap();
    assert!(matches!(State::open(folder.path(), true), Err(StateError::NotOurs(_))));
    assert_eq!(fs::read_to_string(folder.path().join("secrets/mine")).unwrap(), "mine");
}

/// Such a folder may come with somebody else's repository.
#[test]
fn a_folder_whose_links_lead_elsewhere_is_left_alone() {
    let elsewhere = tempfile::tempdir().unwrap();
    let precious = elsewhere.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    for (link, target) in [("lock", &*precious), ("secrets", elsewhere.path()), ("objects", elsewhere.path())]
    {
        let folder = tempfile::tempdir().unwrap();
        if link != "lock" {
            fs::write(folder.path().join("lock"), "").unwrap();
        }
        std::os::unix::fs::symlink(target, folder.path().join(link)).unwrap();
        assert!(matches!(State::open(folder.path(), true), Err(StateError::NotOurs(_))), "{link}");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lock"), "").unwrap();
    std::os::unix::fs::symlink(&precious, folder.path().join(".gitignore.new")).unwrap();
    State::open(folder.path(), false).unwrap();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}

#[test]
fn nobody_else_can_look_into_it_and_git_does_not() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("state");
    State::open(&root, false).unwrap();
    for path in ["", "secrets", "objects", "bundles"] {
        assert_eq!(fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777, 0o700, "{path}");
    }
    assert_eq!(fs::read_to_string(root.join(".gitignore")).unwrap(), "*\n");
}

#[test]
fn an_object_keeps_its_identity_over_a_restart_and_its_generation_counts_changes() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::open(folder.path(), false).unwrap();
    state.sync(&manifest(GATE), now(), &mut rng()).unwrap();
    let first = state.object(Kind::Gate, &gate()).unwrap()["metadata"].clone();
    assert_eq!(first["creationTimestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(first["generation"], 1);
    drop(state);

    let mut state = State::open(folder.path(), false).unwrap();
    state.sync(&manifest(GATE), now(), &mut StdRng::seed_from_u64(9)).unwrap();
    assert_eq!(
        state.object(Kind::Gate, &gate()).unwrap()["metadata"],
        first,
        "nothing changed, nothing is written"
    );
    state.sync(&manifest(&GATE.replace("80", "81")), now(), &mut StdRng::seed_from_u64(9)).unwrap();
    let changed = &state.object(Kind::Gate, &gate()).unwrap()["metadata"];
    assert_eq!((&changed["uid"], &changed["generation"]), (&first["uid"], &json!(2)));
    assert_ne!(changed["resourceVersion"], first["resourceVersion"]);
    drop(state);

    let mut state = State::open(folder.path(), true).unwrap();
    state.sync(&manifest(GATE), now(), &mut StdRng::seed_from_u64(9)).unwrap();
    assert_ne!(state.object(Kind::Gate, &gate()).unwrap()["metadata"]["uid"], first["uid"], "fresh is anew");
}

#[test]
fn what_leaves_the_files_goes_with_what_it_owns() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::open(folder.path(), false).unwrap();
    state.sync(&manifest(GATE), now(), &mut rng()).unwrap();
    let uid = state.object(Kind::Gate, &gate()).unwrap()["metadata"]["uid"].clone();
    let data = BTreeMap::from([("key".to_owned(), b"value".as_slice())]);
    state.put_secret(&secret(), owned_by(&uid), &data, &mut rng()).unwrap();
    state.sync(&manifest(GATE), now(), &mut rng()).unwrap();
    assert!(state.secret(&secret()).is_some());
    let synced = state.sync(&manifest(""), now(), &mut rng()).unwrap();
    assert_eq!(synced.gone, [(Kind::Gate, gate())]);
    assert!(state.secret(&secret()).is_none());
    assert!(!folder.path().join("secrets/team-a/s").exists());
    assert!(!folder.path().join("objects/dify/gate.api.yaml").exists());
}

#[test]
fn a_secret_is_laid_out_as_a_mounted_one_and_changes_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("secrets/team-a/s");
    let mut state = State::open(folder.path(), false).unwrap();
    let write = |state: &mut State, keys: &[(&str, &str)]| {
        let data = keys.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes())).collect();
        state.put_secret(&secret(), ObjectMeta::default(), &data, &mut rng()).unwrap().clone()
    };
    let first = write(&mut state, &[("api-key", "one"), ("key-id", "1")]);
    assert_eq!(fs::read_to_string(root.join("api-key")).unwrap(), "one");
    assert_eq!(fs::read_link(root.join("api-key")).unwrap(), Path::new("..data/api-key"));
    let mode = fs::metadata(root.join("api-key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    fs::write(root.join("notes.txt"), "mine").unwrap();
    write(&mut state, &[("other", "two")]);
    let mut names: Vec<_> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 4, "one folder of values, its link, the key, and what is not ours: {names:?}");
    assert!(!root.join("api-key").is_symlink() && root.join("notes.txt").exists());
    assert_eq!(state.secret_folder(&secret()).values()["other"].as_slice(), b"two");
    drop(state);

    let state = State::open(folder.path(), false).unwrap();
    let read = state.secret(&secret()).unwrap();
    assert_eq!(read.name.as_deref(), Some("s"));
    assert!(read.resource_version > first.resource_version);
}

#[test]
fn a_secret_that_somebody_deleted_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::open(folder.path(), false).unwrap();
    state.put_secret(&secret(), ObjectMeta::default(), &BTreeMap::new(), &mut rng()).unwrap();
    assert!(state.vanished().is_empty());
    fs::remove_dir_all(folder.path().join("secrets/team-a/s")).unwrap();
    assert_eq!(state.vanished(), [secret()]);
    assert!(state.vanished().is_empty());
}

#[test]
fn what_does_not_parse_is_as_if_it_were_not_there() {
    let folder = tempfile::tempdir().unwrap();
    drop(State::open(folder.path(), false).unwrap());
    for (file, text) in [
        ("objects/dify/gate.api.yaml", "kind: ["),
        ("objects/dify/gate.b.yaml", "kind: Gate\nmetadata: {name: b}\n"),
        ("secrets/team-a/s/..data/..meta.json", "{"),
    ] {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let state = State::open(folder.path(), false).unwrap();
    assert_eq!((state.objects().count(), state.secrets().count()), (0, 0));
}
