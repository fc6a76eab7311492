//! The folder as the kubelet writes it, and everything that can be wrong with it.

use std::{os::unix::fs::symlink, time::Instant};

use proptest::prelude::*;
use serde_json::json;
use sidegate_bundle::{
    GateBundle,
    document::{FILE, pack},
    gate::GateName,
};
use tempfile::TempDir;

use super::*;

/// A projected volume: `bundle.json.gz -> ..data/bundle.json.gz`, `..data -> ..N`.
struct Volume {
    root: TempDir,
    swaps: u32,
}

impl Volume {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), swaps: 0 }
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    /// Swaps the symbolic link as the kubelet does, and removes what it pointed to.
    fn swap(&mut self, bytes: &[u8]) {
        let root = self.path().to_owned();
        self.swaps += 1;
        let folder = format!("..{}", self.swaps);
        fs::create_dir(root.join(&folder)).unwrap();
        fs::write(root.join(&folder).join(FILE), bytes).unwrap();
        symlink(&folder, root.join("..data_tmp")).unwrap();
        let before = fs::read_link(root.join("..data")).ok();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        if let Some(before) = before {
            fs::remove_dir_all(root.join(before)).unwrap();
        }
        if fs::symlink_metadata(root.join(FILE)).is_err() {
            symlink(format!("..data/{FILE}"), root.join(FILE)).unwrap();
        }
    }
}

fn bundle(revision: u64) -> Vec<u8> {
    let gate = GateName::new("dify", "api");
    pack(&GateBundle { revision: Revision(revision), ..GateBundle::closed(gate) }).unwrap()
}

fn mount(folder: &Path) -> (Mount<GateBundle>, Newest<GateBundle>) {
    let newest = Newest::new();
    (Mount::new(folder, newest.clone()), newest)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

#[test]
fn a_swap_is_in_force_within_a_second() {
    let mut volume = Volume::new();
    volume.swap(&bundle(1));
    let (mount, newest) = mount(volume.path());
    let stop = CancellationToken::new();
    let following = mount.follow(stop.clone()).unwrap();
    assert_eq!(newest.revision(), Some(Revision(1)));
    for revision in 2..=4 {
        let mut reader = newest.reader();
        volume.swap(&bundle(revision));
        let begun = Instant::now();
        while reader.current().unwrap().revision != Revision(revision) {
            assert!(begun.elapsed() < Duration::from_secs(1));
            thread::sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(following.state.why_not(), None);
    assert_eq!(following.state.trouble(), None);
    stop.cancel();
    following.join();
}

#[test]
fn what_is_not_a_newer_bundle_of_ours_changes_nothing_and_says_so() {
    let future = pack(&json!({"format": 2, "revision": 50})).unwrap();
    let shape = pack(&json!({"format": 1, "revision": "x"})).unwrap();
    let other =
        pack(&GateBundle { revision: Revision(50), ..GateBundle::closed(GateName::new("shop", "web")) })
            .unwrap();
    let giant = vec![0; usize::try_from(MAX_FILE).unwrap() + 1];
    let cases: [(&str, &[u8], &str); 9] = [
        ("cut short", &bundle(50)[..40], "bundle.json.gz is cut short or damaged"),
        ("empty", b"", "bundle.json.gz is cut short or damaged"),
        ("not gzip", b"{}", "bundle.json.gz is cut short or damaged"),
        ("older", &bundle(40), "bundle.json.gz is older (revision 40)"),
        ("format", &future, "bundle.json.gz has format 2, this version reads format 1: update the sidecar"),
        ("shape", &shape, "bundle.json.gz does not parse: "),
        (
            "tomorrow",
            &bundle(u64::MAX),
            "bundle.json.gz has revision 18446744073709551615, more than a day ahead of this machine's clock",
        ),
        ("other gate", &other, "bundle.json.gz is for Gate shop/web"),
        ("giant", &giant, "bundle.json.gz is larger than any bundle"),
    ];
    for (case, bytes, words) in cases {
        let mut volume = Volume::new();
        volume.swap(&bundle(41));
        let (mount, newest) = mount(volume.path());
        let mut mount = mount.unless(|bundle| {
            let gate = &bundle.gate;
            (gate.namespace != "dify").then(|| format!("is for Gate {gate}"))
        });
        mount.poll(at(0));
        volume.swap(bytes);
        mount.poll(at(1));
        assert_eq!(newest.revision(), Some(Revision(41)), "{case}");
        assert_eq!(mount.state().why_not(), None, "{case}");
        let trouble = mount.state().trouble().unwrap();
        assert!(trouble.starts_with(words), "{case}: {trouble}");
        assert!(trouble.ends_with("; revision 41 stays in force"), "{case}: {trouble}");

        volume.swap(&bundle(51));
        mount.poll(at(2));
        assert_eq!(newest.revision(), Some(Revision(51)), "{case}");
        assert_eq!(mount.state().trouble(), None, "{case}");
    }
}

#[test]
fn a_folder_without_a_bundle_is_not_ready_and_says_why() {
    let mut volume = Volume::new();
    let (mut mount, newest) = mount(volume.path());
    let folder = volume.path().display().to_string();
    let nothing = format!("no bundle: {folder} has no bundle.json.gz yet");
    assert_eq!(mount.state().why_not(), Some(nothing.clone()));
    mount.poll(at(0));
    assert_eq!(mount.state().why_not(), Some(nothing));
    volume.swap(b"cut");
    mount.poll(at(1));
    assert_eq!(mount.state().why_not().as_deref(), Some("no bundle: bundle.json.gz is cut short or damaged"));
    assert_eq!(newest.current(), None);
    volume.swap(&bundle(7));
    mount.poll(at(2));
    assert_eq!(mount.state().why_not(), None);
}

#[test]
fn a_file_or_a_folder_that_vanishes_leaves_the_last_bundle_in_force() {
    let mut volume = Volume::new();
    volume.swap(&bundle(41));
    let (mut mount, newest) = mount(volume.path());
    mount.poll(at(0));
    fs::remove_file(volume.path().join("..data")).unwrap();
    mount.poll(at(1));
    let gone =
        format!("{} has no bundle.json.gz any more; revision 41 stays in force", volume.path().display());
    assert_eq!(mount.state().trouble(), Some(gone.clone()));
    fs::remove_dir_all(volume.path()).unwrap();
    mount.poll(at(2));
    assert_eq!(mount.state().trouble(), Some(gone));
    assert_eq!(newest.revision(), Some(Revision(41)));
    fs::create_dir(volume.path()).unwrap();
    volume.swap(&bundle(41));
    mount.poll(at(3));
    assert_eq!(mount.state().trouble(), None);
}

#[test]
fn a_plain_folder_works_too_and_a_pipe_does_not_hang_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut mount, newest) = mount(folder.path());
    fs::write(folder.path().join(FILE), &bundle(5)[..30]).unwrap();
    mount.poll(at(0));
    assert_eq!(newest.revision(), None);
    fs::write(folder.path().join(FILE), bundle(5)).unwrap();
    mount.poll(at(0));
    assert_eq!(newest.revision(), Some(Revision(5)));
    fs::remove_file(folder.path().join(FILE)).unwrap();
    fs::create_dir(folder.path().join(FILE)).unwrap();
    mount.poll(at(1));
    assert!(mount.state().trouble().unwrap().contains("is not a file; revision 5"));
}

#[test]
fn a_file_that_was_refused_is_read_again_only_after_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let ahead = u64::try_from(at(86_400 + 3).as_millisecond()).unwrap();
    fs::write(folder.path().join(FILE), bundle(ahead)).unwrap();
    let (mut mount, newest) = mount(folder.path());
    mount.poll(at(0));
    mount.poll(at(4));
    assert_eq!(newest.revision(), None);
    mount.poll(at(5));
    assert_eq!(newest.revision(), Some(Revision(ahead)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the kubelet writes in whatever order, what is in force only grows.
    #[test]
    fn what_is_in_force_only_grows(steps in prop::collection::vec((0u64..20, any::<Option<u8>>()), 1..12)) {
        let mut volume = Volume::new();
        let (mut mount, newest) = mount(volume.path());
        let mut greatest = None;
        for (second, (revision, cut)) in steps.into_iter().enumerate() {
            let mut bytes = bundle(revision);
            let whole = cut.is_none_or(|cut| usize::from(cut) >= bytes.len());
            if let Some(cut) = cut {
                bytes.truncate(cut.into());
            }
            volume.swap(&bytes);
            mount.poll(at(i64::try_from(second).unwrap()));
            if whole {
                greatest = greatest.max(Some(Revision(revision)));
            }
            prop_assert_eq!(newest.revision(), greatest);
            prop_assert_eq!(mount.state().why_not().is_none(), greatest.is_some());
        }
    }
}
