use sidegate_bundle::gate::KeyPolicy;
use sidegate_operator::{
    plan::Plaintext,
    world::{CREDENTIAL, Tick},
};

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn files(folder: &std::path::Path) -> Files {
    Files::new(State::open(folder, false).unwrap())
}

fn name() -> ObjectName {
    ObjectName::new("team-a", "ci-key-api-key")
}

fn owner() -> Owner {
    Owner { kind: "ApiKey".to_owned(), name: "ci-key".to_owned(), uid: "u".to_owned() }
}

fn mint(value: &str) -> Write {
    Write::Mint(Box::new(CredentialSecret {
        name: name(),
        owner: owner(),
        labels: BTreeMap::from([(KIND_LABEL.to_owned(), CREDENTIAL.to_owned())]),
        annotations: BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]),
        data: BTreeMap::from([("api-key".to_owned(), Plaintext::new(value))]),
    }))
}

fn bundle(invalid_status: u16) -> Write {
    let gate = GateName::new("dify", "api");
    let api_keys = KeyPolicy { invalid_status, ..KeyPolicy::default() };
    let bundle = GateBundle { api_keys, ..GateBundle::closed(gate.clone()) };
    let digest = bundle.digest().unwrap();
    Write::Bundle(BundleWrite { gate, owner: owner(), bundle: Arc::new(bundle), digest, tick: Tick(7) })
}

async fn secret_of(files: &Files, write: &Write) -> OurSecret {
    match files.write(write, now()).await.unwrap().remove(0) {
        Update::Secret(_, secret) => secret,
        other => panic!("{other:?}"),
    }
}

fn value(files: &Files, key: &str) -> Option<Vec<u8>> {
    files.with(|state| state.secret_folder(&convert::to_files(&name())).read(key))
}

#[tokio::test]
async fn a_key_is_minted_once() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let first = secret_of(&files, &mint("one")).await;
    let second = secret_of(&files, &mint("two")).await;
    assert_eq!(first, second, "the second one finds the first");
    assert_eq!(value(&files, "api-key").unwrap(), b"one");
}

#[tokio::test]
async fn a_secret_of_the_files_own_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    files.set_foreign([name()]);
    let seen = files.write(&mint("one"), now()).await.unwrap();
    assert!(matches!(&seen[..], [Update::ForeignSecret(found, _)] if *found == name()));
    assert_eq!(value(&files, "api-key"), None);
}

#[tokio::test]
async fn a_write_from_an_old_view_is_a_conflict() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let secret = secret_of(&files, &mint("one")).await;
    for (uid, resource_version) in [("other", secret.resource_version.as_str()), (secret.uid.as_str(), "0")] {
        let delete = Write::Delete(Delete {
            name: name(),
            uid: uid.to_owned(),
            resource_version: resource_version.to_owned(),
        });
        assert!(matches!(files.write(&delete, now()).await, Err(WriteError::Conflict { .. })));
    }
    assert!(value(&files, "api-key").is_some());
    let delete =
        Write::Delete(Delete { name: name(), uid: secret.uid, resource_version: secret.resource_version });
    let seen = files.write(&delete, now()).await.unwrap();
    assert!(matches!(&seen[..], [Update::SecretGone(..)]));
    assert_eq!(value(&files, "api-key"), None);
}

#[tokio::test]
async fn a_secret_is_shaped_anew_and_the_key_in_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let secret = secret_of(&files, &mint("one")).await;
    let reshape = Write::Reshape(Box::new(Reshape {
        name: name(),
        uid: secret.uid.clone(),
        resource_version: secret.resource_version,
        owner: owner(),
        labels: BTreeMap::from([("app".to_owned(), "shop".to_owned())]),
        annotations: BTreeMap::from([("a".to_owned(), "3".to_owned())]),
        drop_labels: Vec::new(),
        drop_annotations: vec!["b".to_owned()],
        rename: vec![("api-key".to_owned(), "API_KEY".to_owned())],
    }));
    let shaped = secret_of(&files, &reshape).await;
    assert_eq!(shaped.uid, secret.uid);
    assert_eq!(
        (value(&files, "API_KEY").unwrap().as_slice(), value(&files, "api-key")),
        (b"one".as_slice(), None)
    );
    let meta = files.with(|state| state.secret(&convert::to_files(&name())).cloned()).unwrap();
    assert_eq!(meta.annotations.unwrap(), BTreeMap::from([("a".to_owned(), "3".to_owned())]));
    assert_eq!(meta.labels.unwrap().len(), 2);
}

#[tokio::test]
async fn a_bundle_is_written_and_in_force_and_the_same_one_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = {
        let files = files(folder.path());
        let gate = GateName::new("dify", "api");
        let in_force = |seen: Vec<Update>| match seen.into_iter().nth(1) {
            Some(Update::BundleInForce(_, in_force)) => in_force,
            other => panic!("{other:?}"),
        };
        let first = in_force(files.write(&bundle(403), now()).await.unwrap());
        assert!(first.written.is_some());
        assert_eq!(first.tick, Tick(7));
        assert_eq!(files.bundles(&gate).revision(), Some(first.revision));
        let again = in_force(files.write(&bundle(403), now()).await.unwrap());
        assert_eq!((again.revision, again.written), (first.revision, None));
        let other = in_force(files.write(&bundle(401), now()).await.unwrap());
        assert_eq!(
            other.revision,
            Revision(first.revision.0 + 1),
            "the clock stands still, the revision grows"
        );
        assert_eq!(files.bundles(&gate).current().unwrap().api_keys.invalid_status, 401);
        other
    };
    // After a restart the one that stands is offered, with its revision.
    let files = files(folder.path());
    let seen = files.write(&bundle(401), now()).await.unwrap();
    assert!(matches!(&seen[1], Update::BundleInForce(_, in_force) if in_force.revision == first.revision));
    assert_eq!(files.bundles(&GateName::new("dify", "api")).revision(), Some(first.revision));
}
