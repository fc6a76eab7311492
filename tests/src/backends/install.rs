//! What other people's servers need, once, in the user's cache: a virtual environment of Python, packages of
//! Node, a program of Go. Versions are pinned in `tests/backends`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::repository;

/// All files that decide what is installed. A change of one installs anew.
const SOURCES: [&str; 5] =
    ["python/requirements.txt", "node/package.json", "node/package-lock.json", "go/go.mod", "go/main.go"];
/// Holds the sources of what stands beside it, and is written last.
const COMPLETE: &str = "complete";

/// Where the installed things are.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    folder: PathBuf,
}

/// Installs what is not there yet; another test process that is at it is waited for.
pub(super) fn ensure_installed() -> Result<Installed> {
    let cache = sidegate_test_tools::cache()?;
    fs::create_dir_all(&cache)?;
    let lock = File::create(cache.join("backends.lock"))?;
    lock.lock().context("cannot lock the cache")?;
    let folder = cache.join("backends");
    let mut wanted = Vec::new();
    for source in SOURCES {
        let path = here(source);
        wanted.extend(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    if fs::read(folder.join(COMPLETE)).is_ok_and(|complete| complete == wanted) {
        return Ok(Installed { folder });
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(folder.join("node"))?;
    python(&folder.join("python"))?;
    node(&folder.join("node"))?;
    go(&folder.join("backend"))?;
    fs::write(folder.join(COMPLETE), wanted)?;
    Ok(Installed { folder })
}

/// A path in `tests/backends`.
pub(super) fn here(path: &str) -> PathBuf {
    repository("tests/backends").join(path)
}

// === impl Installed ===

impl Installed {
    /// Python with the packages.
    pub(super) fn python(&self) -> PathBuf {
        self.folder.join("python/bin/python")
    }

    /// The folder in which Node finds its packages.
    pub(super) fn node_modules(&self) -> PathBuf {
        self.folder.join("node/node_modules")
    }

    /// The Go program.
    pub(super) fn go(&self) -> PathBuf {
        self.folder.join("backend")
    }
}

fn python(folder: &Path) -> Result<()> {
    run("python3", "python3-venv", Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary=:all:",
        "--requirement",
    ]);
    run("pip", "python3-venv", pip.arg(here("python/requirements.txt")))
}

fn node(folder: &Path) -> Result<()> {
    for file in ["package.json", "package-lock.json"] {
        fs::copy(here("node").join(file), folder.join(file))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder);
    run("npm", "nodejs and npm", &mut npm)
}

fn go(program: &Path) -> Result<()> {
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(program).arg(".").current_dir(here("go"));
    run("go", "Go 1.25 or newer", &mut go)
}

fn run(name: &str, remedy: &str, command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{name}`, which the backends need: install {remedy}"))?;
    let shown: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    ensure!(
        output.status.success(),
        "`{name} {}` failed ({}); it needs {remedy}\n{}{}",
        shown.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
