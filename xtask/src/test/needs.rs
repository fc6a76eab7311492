//! What the suites need beside this repository: looked for, said, and on Debian as root installed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::suite::Suite;
use crate::console::heading;
use crate::workspace::{find_program, output, run};

/// A program that must be there.
struct Need {
    what: &'static str,
    program: &'static str,
    /// Asks it for its version; fails if a part of it is missing.
    version: &'static [&'static str],
    why: &'static str,
    /// What to install, in words.
    remedy: &'static str,
    /// Packages of Debian; none if it is not installed for the user.
    packages: &'static [&'static str],
    needed_by: fn(Suite) -> bool,
}

const NEEDS: [Need; 8] = [
    Need {
        what: "Rust",
        program: "cargo",
        version: &["--version"],
        why: "all is built with it",
        remedy: "rustup (rustup.rs) installs the version that rust-toolchain.toml names",
        packages: &[],
        needed_by: |_| true,
    },
    Need {
        what: "C compiler",
        program: "cc",
        version: &["--version"],
        why: "the cryptography is partly in C",
        remedy: "install gcc or clang",
        packages: &["gcc", "libc6-dev"],
        needed_by: |_| true,
    },
    Need {
        what: "Go",
        program: "go",
        version: &["version"],
        why: "builds the Kubernetes API server, once, and servers and clients on net/http",
        remedy: "install Go 1.25 or newer (go.dev/doc/install)",
        packages: &[],
        needed_by: |suite| {
            suite.runs_backends() || (suite.runs_apiserver() && sidegate_test_tools::find().is_err())
        },
    },
    Need {
        what: "Python",
        program: "python3",
        version: &["-c", "import ensurepip, venv, platform; print('Python', platform.python_version())"],
        why: "servers such as gunicorn and clients such as requests run on it, in environments of their own",
        remedy: "install Python 3.10 or newer with venv (Debian: python3-venv)",
        packages: &["python3", "python3-venv"],
        needed_by: Suite::runs_backends,
    },
    Need {
        what: "Node",
        program: "node",
        version: &["--version"],
        why: "servers and clients in JavaScript run on it",
        remedy: "install Node 20 or newer",
        packages: &["nodejs"],
        needed_by: Suite::runs_backends,
    },
    Need {
        what: "npm",
        program: "npm",
        version: &["--version"],
        why: "installs what runs on Node, once, into the cache",
        remedy: "install npm",
        packages: &["npm"],
        needed_by: Suite::runs_backends,
    },
    Need {
        what: "curl",
        program: "curl",
        version: &["--version"],
        why: "the lines printed for people are run as they stand, and it is a client of the gate",
        remedy: "install curl",
        packages: &["curl"],
        needed_by: Suite::runs_curl,
    },
    Need {
        what: "Chromium",
        program: "chromium",
        version: &["--version"],
        why: "pages in it call the gate, without a window",
        remedy: "install Chromium, so that `chromium` starts it",
        packages: &["chromium"],
        needed_by: Suite::runs_browser,
    },
];

/// Says what is there. What is missing and could not be installed is given back for each suite that needs it.
pub(super) fn check(suites: &[Suite]) -> BTreeMap<Suite, String> {
    heading("what the tests need");
    let mut obstacles = BTreeMap::new();
    for need in &NEEDS {
        let by: Vec<_> = suites.iter().copied().filter(|suite| (need.needed_by)(*suite)).collect();
        if by.is_empty() {
            continue;
        }
        match need.version() {
            Ok(version) => eprintln!("  {} ({}): {version}", need.what, need.why),
            Err(problem) => {
                eprintln!("  {} ({}): {problem}", need.what, need.why);
                for suite in by {
                    obstacles.entry(suite).or_insert_with(|| problem.clone());
                }
            }
        }
    }
    obstacles
}

// === impl Need ===

impl Need {
    /// Its version, or what to do about it.
    fn version(&self) -> Result<String, String> {
        self.ask().or_else(|problem| match self.install() {
            Ok(()) => self.ask(),
            Err(_) => Err(problem),
        })
    }

    fn ask(&self) -> Result<String, String> {
        if find_program(self.program).is_none() {
            return Err(format!("`{}` is not to be found: {}", self.program, self.remedy));
        }
        let answer = output(Command::new(self.program).args(self.version))
            .map_err(|error| format!("{error:#}: {}", self.remedy))?;
        Ok(answer.lines().next().unwrap_or_default().to_owned())
    }

    fn install(&self) -> Result<()> {
        anyhow::ensure!(!self.packages.is_empty() && is_debian() && is_root(), "not installed by us");
        eprintln!(
            "  {} is missing; as root on Debian it is installed now: {}",
            self.what,
            self.packages.join(" ")
        );
        let apt = || {
            let mut apt = Command::new("apt-get");
            apt.env("DEBIAN_FRONTEND", "noninteractive");
            apt
        };
        run(apt().args(["update", "--quiet"]))?;
        run(apt().args(["install", "--quiet", "--yes", "--no-install-recommends"]).args(self.packages))
    }
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists() && find_program("apt-get").is_some()
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_named_with_its_remedy() {
        let need = Need {
            what: "a thing",
            program: "no-such-program-anywhere",
            version: &["--version"],
            why: "a test asks",
            remedy: "install it",
            packages: &[],
            needed_by: |_| true,
        };
        assert_eq!(
            need.version(),
            Err("`no-such-program-anywhere` is not to be found: install it".to_owned())
        );
    }
}
