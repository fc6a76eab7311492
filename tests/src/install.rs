//! What other people's servers and clients need, once, in the user's cache: a virtual environment of Python,
//! packages of Node, programs of Go. Versions are pinned beside their sources.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::repository;

/// Decide what is installed, beside all that is below `go`. A change of one installs anew.
const PINS: [&str; 3] = ["python/requirements.txt", "node/package.json", "node/package-lock.json"];
/// Holds the sources of what stands beside it, and is written last.
const COMPLETE: &str = "complete";

/// Where the installed things are, and their sources.
#[derive(Debug, Clone)]
pub struct Installed {
    sources: PathBuf,
    folder: PathBuf,
}

// === impl Installed ===

impl Installed {
    /// What the folder `tests/<name>` asks for. What is not there yet is installed; another test process that
    /// is at it is waited for.
    pub fn ensure(name: &str) -> Result<Self> {
        let cache = sidegate_test_tools::cache()?.join("tests");
        fs::create_dir_all(&cache)?;
        let lock = File::create(cache.join(format!("{name}.lock")))?;
        lock.lock().context("cannot lock the cache")?;
        let installed = Self { sources: repository("tests").join(name), folder: cache.join(name) };
        let wanted = installed.wanted()?;
        let complete = installed.folder.join(COMPLETE);
        if fs::read(&complete).is_ok_and(|complete| complete == wanted) {
            return Ok(installed);
        }
        if installed.folder.exists() {
            fs::remove_dir_all(&installed.folder)?;
        }
        fs::create_dir_all(&installed.folder)?;
        installed.install_python()?;
        installed.install_node()?;
        installed.install_go()?;
        fs::write(complete, wanted)?;
        Ok(installed)
    }

    /// A path among the sources.
    pub fn source(&self, path: &str) -> PathBuf {
        self.sources.join(path)
    }

    /// Python with the packages.
    pub fn python(&self) -> PathBuf {
        self.folder.join("python/bin/python")
    }

    /// The folder in which Node finds its packages.
    pub fn node_modules(&self) -> PathBuf {
        self.folder.join("node/node_modules")
    }

    /// A program of Go: the last part of its package's path.
    pub fn go(&self, program: &str) -> PathBuf {
        self.folder.join("go").join(program)
    }

    /// All that decides what is installed.
    fn wanted(&self) -> Result<Vec<u8>> {
        let mut paths: Vec<_> = PINS.iter().map(|path| self.source(path)).collect();
        collect_files(&self.source("go"), &mut paths)?;
        let mut wanted = Vec::new();
        for path in paths {
            wanted.extend(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
        }
        Ok(wanted)
    }

    fn install_python(&self) -> Result<()> {
        let mut venv = Command::new("python3");
        run("python3", "python3-venv", venv.args(["-m", "venv"]).arg(self.folder.join("python")))?;
        let mut pip = Command::new(self.python());
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary=:all:",
            "--requirement",
        ]);
        run("pip", "python3-venv", pip.arg(self.source(PINS[0])))
    }

    fn install_node(&self) -> Result<()> {
        let folder = self.folder.join("node");
        fs::create_dir(&folder)?;
        for file in &PINS[1..] {
            fs::copy(self.source(file), self.folder.join(file))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(folder);
        run("npm", "nodejs and npm", &mut npm)
    }

    fn install_go(&self) -> Result<()> {
        let programs = self.folder.join("go");
        fs::create_dir(&programs)?;
        let mut go = Command::new("go");
        // A folder: the programs are put into it.
        go.args(["build", "-o"]).arg(programs).arg("./...").current_dir(self.source("go"));
        run("go", "Go 1.25 or newer", &mut go)
    }
}

/// All files below a folder, in their order.
fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() { collect_files(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

fn run(name: &str, remedy: &str, command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{name}`, which the tests need: install {remedy}"))?;
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
