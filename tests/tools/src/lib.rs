//! Which programs of a Kubernetes control plane the tests run, at which versions, and where they stand.
//!
//! Both `cargo xtask` (which builds them) and the test harness (which runs them) ask here, so that they can
//! not look in two places. This crate must never build or start anything, and stays free of heavy
//! dependencies: `cargo xtask` waits for it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The version that the API server and kubectl are built as.
pub const KUBERNETES_VERSION: &str = "1.35.4";
/// The version of etcd.
pub const ETCD_VERSION: &str = "3.6.6";
/// The variable that names a folder with all of [`TOOLS`], and wins over the cache.
pub const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// What the built programs are made from, a part of the cache key.
const MODULE: [&str; 2] = [include_str!("../kubernetes/go.mod"), include_str!("../kubernetes/go.sum")];

/// A program and the Go package that it is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// The name of its file.
    pub name: &'static str,
    /// Its Go package, in the module `tests/tools/kubernetes`.
    pub package: &'static str,
}

/// All that the tests run.
pub const TOOLS: [Tool; 3] = [
    Tool { name: "etcd", package: "go.etcd.io/etcd/server/v3" },
    Tool { name: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver" },
    Tool { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl" },
];

/// Where the programs are to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder that the caller's environment names. Nothing is ever written there.
    Given(PathBuf),
    /// Our folder in the user's cache.
    Cache(PathBuf),
}

/// Why the programs cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder that the environment names is not complete.
    #[error("{ASSETS_VARIABLE} is {}, which has no {missing}", folder.display())]
    Given {
        /// What the variable says.
        folder: PathBuf,
        /// The names of the missing programs.
        missing: String,
    },
    /// They were not built yet, or not to the end.
    #[error("the test programs are not built ({missing} is missing in {}): run `cargo xtask assets`", folder.display())]
    NotBuilt {
        /// Where they would be.
        folder: PathBuf,
        /// The names of the missing programs.
        missing: String,
    },
    /// There is no folder for caches.
    #[error("neither XDG_CACHE_HOME nor HOME is set: there is no place for a cache")]
    NoCache,
}

/// The folder with all of [`TOOLS`], or what to do about it.
pub fn find() -> Result<PathBuf, Error> {
    match place()? {
        Place::Given(folder) => match missing(&folder) {
            None => Ok(folder),
            Some(missing) => Err(Error::Given { folder, missing }),
        },
        Place::Cache(folder) => match missing(&folder) {
            None => Ok(folder),
            Some(missing) => Err(Error::NotBuilt { folder, missing }),
        },
    }
}

/// Where the programs are to be found in this environment, whether they are there or not.
pub fn place() -> Result<Place, Error> {
    match variable(ASSETS_VARIABLE) {
        Some(folder) => Ok(Place::Given(folder.into())),
        None => Ok(Place::Cache(cache()?.join("assets").join(key()))),
    }
}

/// The user's cache folder for this project, which may not exist yet.
pub fn cache() -> Result<PathBuf, Error> {
    cache_of(variable("XDG_CACHE_HOME"), variable("HOME")).ok_or(Error::NoCache)
}

/// The names of [`TOOLS`] that are not in the folder, joined by commas.
pub fn missing(folder: &Path) -> Option<String> {
    let absent: Vec<_> =
        TOOLS.iter().map(|tool| tool.name).filter(|name| !folder.join(name).is_file()).collect();
    (!absent.is_empty()).then(|| absent.join(", "))
}

/// Names the versions and everything else that the programs are made from.
fn key() -> String {
    let digest = Sha256::digest(MODULE.join("\0"));
    let short = digest.iter().take(6).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("kubernetes-{KUBERNETES_VERSION}-etcd-{ETCD_VERSION}-{short:012x}")
}

/// A relative XDG_CACHE_HOME is to be ignored (XDG Base Directory Specification).
fn cache_of(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let base = xdg.map(PathBuf::from).filter(|path| path.is_absolute());
    Some(base.or_else(|| home.map(|home| PathBuf::from(home).join(".cache")))?.join("sidegate"))
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_user_keeps_caches() {
        for (xdg, home, expected) in [
            (Some("/x"), Some("/h"), Some("/x/sidegate")),
            (None, Some("/h"), Some("/h/.cache/sidegate")),
            (Some("relative"), Some("/h"), Some("/h/.cache/sidegate")),
            (None, None, None),
        ] {
            let found = cache_of(xdg.map(OsString::from), home.map(OsString::from));
            assert_eq!(found, expected.map(PathBuf::from), "{xdg:?} {home:?}");
        }
    }

    #[test]
    fn a_folder_is_complete_only_with_every_program() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(missing(folder.path()).as_deref(), Some("etcd, kube-apiserver, kubectl"));
        std::fs::write(folder.path().join("etcd"), "").unwrap();
        assert_eq!(missing(folder.path()).as_deref(), Some("kube-apiserver, kubectl"));
        for tool in TOOLS {
            std::fs::write(folder.path().join(tool.name), "").unwrap();
        }
        assert_eq!(missing(folder.path()), None);
    }

    #[test]
    fn the_key_names_the_versions_that_the_modules_pin() {
        assert!(key().starts_with("kubernetes-1.35.4-etcd-3.6.6-"), "{}", key());
        assert!(MODULE[0].contains(&format!("k8s.io/kubernetes v{KUBERNETES_VERSION}")));
        assert!(MODULE[0].contains(&format!("go.etcd.io/etcd/server/v3 v{ETCD_VERSION}")));
    }
}
