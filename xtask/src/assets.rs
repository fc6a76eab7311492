//! `cargo xtask assets`: builds the programs of Kubernetes that the tests run.
//!
//! From source, because a Go toolchain is to be had everywhere and binaries of one exact version are not; once,
//! into the user's cache, because it takes minutes. Each program is built under another name and then renamed,
//! so that one that is there is whole; a lock lets one build at a time, and it clears away what an interrupted
//! one left behind.

mod build;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sidegate_test_tools::{ASSETS_VARIABLE, ETCD_VERSION, KUBERNETES_VERSION, Place, TOOLS, missing, place};

use crate::console::heading;
use crate::workspace::find_program;

/// Builds etcd, kube-apiserver and kubectl for the tests, from pinned Go modules, into the user's cache folder.
/// Nothing is built that is there already. A folder that KUBEBUILDER_ASSETS names is used instead.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Prints the folder, and only that, on standard output
    #[arg(long)]
    print: bool,
}

/// What begins the name of a program that is not whole yet.
const PARTIAL: &str = ".partial-";

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = ensure()?;
    if arguments.print {
        println!("{}", folder.display());
    } else {
        eprintln!("the test programs are in {}", folder.display());
    }
    Ok(())
}

/// The folder with all programs, built now if need be.
pub(crate) fn ensure() -> Result<PathBuf> {
    let folder = match place()? {
        Place::Given(folder) => {
            if let Some(missing) = missing(&folder) {
                bail!("{ASSETS_VARIABLE} is {}, which has no {missing}", folder.display());
            }
            return Ok(folder);
        }
        Place::Cache(folder) => folder,
    };
    if missing(&folder).is_none() {
        return Ok(folder);
    }
    if find_program("go").is_none() {
        bail!(
            "`go` is not to be found. Go 1.25 or newer builds the Kubernetes API server that these tests run \
             against. Install it (go.dev/doc/install, or your distribution's package), or let {ASSETS_VARIABLE} name \
             a folder that has {}",
            TOOLS.map(|tool| tool.name).join(", ")
        );
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let _lock = lock(&PathBuf::from(format!("{}.lock", folder.display())))?;
    remove_partial(&folder)?;
    let Some(names) = missing(&folder) else { return Ok(folder) };
    heading(&format!("building {names} (Kubernetes {KUBERNETES_VERSION}, etcd {ETCD_VERSION})"));
    eprintln!(
        "    The tests run against a real API server. It is compiled from its source, which takes 6 to 10 minutes \
         on 2 cores\n    and about 2 GB of Go's own caches. This happens once: {}",
        folder.display()
    );
    for tool in TOOLS {
        if !folder.join(tool.name).is_file() {
            let partial = folder.join(format!("{PARTIAL}{}", tool.name));
            build::build(tool, &partial)?;
            fs::rename(&partial, folder.join(tool.name))?;
        }
    }
    Ok(folder)
}

/// Waits until no other build holds it. It is released with the process, however that ends.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("another build of the test programs is under way; waiting for it ({})", path.display());
            file.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the cache folder"),
    }
    Ok(file)
}

fn remove_partial(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interrupted_build_left_is_removed_and_whole_programs_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".partial-kubectl", "etcd"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_partial(folder.path()).unwrap();
        assert!(!folder.path().join(".partial-kubectl").exists());
        assert!(folder.path().join("etcd").exists());
    }

    #[test]
    fn a_second_build_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = lock(&path).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let second = std::thread::spawn(move || {
            let _lock = lock(&path).unwrap();
            sender.send(()).unwrap();
        });
        assert!(receiver.recv_timeout(std::time::Duration::from_millis(100)).is_err(), "two at once");
        drop(first);
        receiver.recv_timeout(std::time::Duration::from_secs(5)).unwrap();
        second.join().unwrap();
    }
}
