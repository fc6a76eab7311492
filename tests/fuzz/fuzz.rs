//! Fuzz targets: whatever comes, the readers of untrusted input keep their promises.
//!
//! Each target first runs its corpus (`tests/fuzz/corpus`), then what random choices make of it, until its time
//! is over. An input that broke a promise is shrunk and shown; it belongs into the corpus, so that it is tried
//! for ever. On the stable toolchain there is no feedback from coverage: the corpus and the tokens in each target
//! take its place.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a target says what is wrong")]

mod bundle;
mod choices;
mod head;
mod key;
mod path;

use std::env;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bolero::TargetLocation;

use choices::Choices;

/// Seconds for each target.
const SECONDS_VARIABLE: &str = "SIDEGATE_FUZZ_SECONDS";
const SECONDS: u64 = 20;
/// Each byte is one choice; no target makes more of them.
const MOST_CHOICES: usize = 160;

/// The lines of a corpus file, without comments.
pub(crate) fn lines(corpus: &'static str) -> Vec<&'static str> {
    corpus.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).collect()
}

/// Runs a target with random choices until the time is over.
pub(crate) fn run(location: TargetLocation, target: impl Fn(&mut Choices<'_>)) {
    if !location.should_run() {
        return;
    }
    let seconds =
        env::var(SECONDS_VARIABLE).map_or(SECONDS, |text| text.parse().expect("a number of seconds"));
    let target = AssertUnwindSafe(target);
    bolero::test(location).with_test_time(Duration::from_secs(seconds)).with_max_len(MOST_CHOICES).for_each(
        |bytes: &[u8]| {
            // Nothing that a target holds is changed by it, so a panic leaves nothing half done.
            let target = &target;
            (target.0)(&mut Choices::of(bytes));
        },
    );
}

/// The place of the target that calls this.
macro_rules! here {
    () => {
        bolero::TargetLocation {
            package_name: env!("CARGO_PKG_NAME"),
            manifest_dir: env!("CARGO_MANIFEST_DIR"),
            module_path: module_path!(),
            file: file!(),
            line: line!(),
            item_path: bolero::__item_path__!(),
            test_name: None,
        }
    };
}
pub(crate) use here;
