use super::*;

fn write(owner: &str) -> BundleWrite {
    let bundle = GateBundle::closed(GateName::new("dify", "api"));
    BundleWrite {
        gate: bundle.gate.clone(),
        owner: Owner { kind: "Gate".to_owned(), name: "api".to_owned(), uid: owner.to_owned() },
        digest: bundle.digest().unwrap(),
        bundle: Arc::new(bundle),
        tick: Tick(1),
    }
}

/// The Secret of a bundle as it is after its first write.
fn stored(revision: Revision) -> Secret {
    let write = write("uid-1");
    let bytes = document::pack(&GateBundle { revision, ..(*write.bundle).clone() }).unwrap();
    bundle(Secret::default(), &write, revision, bytes)
}

fn checks(live: &Secret, write: &BundleWrite) -> bool {
    let (_, found) = written(live);
    found.is_some_and(|(revision, digest)| is_as_it_should_be(live, write, revision, &digest))
}

#[test]
fn a_bundle_that_says_the_same_is_not_written_again() {
    assert!(checks(&stored(Revision(7)), &write("uid-1")));
}

#[test]
fn whatever_is_changed_in_a_bundle_s_secret_is_put_right() {
    type Change = fn(&mut Secret);
    let changes: [(&str, Change); 6] = [
        ("the bytes", |live| {
            live.data = Some(BTreeMap::from([(FILE.to_owned(), ByteString(b"no gzip".to_vec()))]));
        }),
        ("another key", |live| {
            live.data.as_mut().unwrap().insert("x".to_owned(), ByteString::default());
        }),
        ("the digest", |live| {
            live.metadata.annotations.as_mut().unwrap().insert(DIGEST_ANNOTATION.to_owned(), "0".to_owned());
        }),
        ("the revision", |live| {
            live.metadata
                .annotations
                .as_mut()
                .unwrap()
                .insert(REVISION_ANNOTATION.to_owned(), "9".to_owned());
        }),
        ("no revision", |live| {
            live.metadata.annotations.as_mut().unwrap().remove(REVISION_ANNOTATION);
        }),
        ("the owner", |live| live.metadata.owner_references = None),
    ];
    for (what, change) in changes {
        let mut live = stored(Revision(7));
        change(&mut live);
        assert!(!checks(&live, &write("uid-1")), "{what}");
        let (previous, _) = written(&live);
        assert!(previous >= Some(Revision(7)), "{what}: a revision never goes back");
    }
    assert!(!checks(&stored(Revision(7)), &write("uid-2")), "a Gate of the same name");
}

#[test]
fn what_others_put_on_the_secret_stays() {
    let mut live = stored(Revision(7));
    live.metadata.labels.as_mut().unwrap().insert("theirs".to_owned(), "1".to_owned());
    let other = OwnerReference { uid: "theirs".to_owned(), ..OwnerReference::default() };
    live.metadata.owner_references.as_mut().unwrap().push(other);
    let written = bundle(live, &write("uid-2"), Revision(8), Vec::new());
    assert_eq!(written.metadata.labels.unwrap()["theirs"], "1");
    let owners: Vec<_> =
        written.metadata.owner_references.unwrap().into_iter().map(|owner| owner.uid).collect();
    assert_eq!(owners, ["theirs", "uid-2"]);
}

#[test]
fn nothing_blocks_the_deletion_of_an_owner() {
    let owners = stored(Revision(7)).metadata.owner_references.unwrap();
    assert_eq!((owners[0].controller, owners[0].block_owner_deletion), (Some(true), None));
}

#[test]
fn what_is_gone_on_from_is_the_gate_s_own_bundle() {
    type Change = fn(&mut Secret);
    let cases: [(&str, Change, Option<&str>); 6] = [
        ("as it was written", |_| (), Some("5")),
        ("no owner: a restore", |live| live.metadata.owner_references = None, Some("")),
        ("no label", |live| live.metadata.labels = None, Some("")),
        (
            "another Gate's",
            |live| live.metadata.owner_references.as_mut().unwrap()[0].uid = "2".to_owned(),
            None,
        ),
        ("another type", |live| live.type_ = Some("Opaque".to_owned()), None),
        ("no bundle", |live| live.data = None, None),
    ];
    for (what, change, version) in cases {
        let mut live = stored(Revision(7));
        live.metadata.resource_version = Some("5".to_owned());
        change(&mut live);
        let write = write("uid-1");
        let found = recalled(&live, &write.gate, &write.owner);
        assert_eq!(found.as_ref().map(|it| it.resource_version.as_str()), version, "{what}");
        if let Some(found) = found {
            assert_eq!((found.revision, found.tick, &found.digest), (Revision(7), Tick(0), &write.digest));
        }
    }
    let write = write("uid-1");
    assert!(recalled(&stored(Revision(7)), &GateName::new("dify", "other"), &write.owner).is_none());
}
