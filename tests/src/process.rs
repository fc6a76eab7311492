//! A program under test as a real process: its output line by line, its signals, its end.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, kill_process};

use crate::tether::Tethered;
use crate::{eventually, http};

pub use rustix::process::Signal;

/// Names the folder of the programs under test, instead of the one where cargo puts them.
const FOLDER_VARIABLE: &str = "SIDEGATE_BIN_DIR";
/// So many lines of a failed test's program are shown.
const SHOWN: usize = 400;

/// What to start.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    folder: Option<PathBuf>,
}

/// A running program. Killed when dropped. What it wrote is then shown beside the test, if that fails.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Tethered,
    lines: Arc<Mutex<Vec<Line>>>,
}

/// A line that a program wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it was written.
    pub stream: Stream,
    /// Without the line's end.
    pub text: String,
}

/// Which of its two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

// === impl Program ===

impl Program {
    /// A program of this workspace: `sidegate-operator`, `sidegate-sidecar`, `sidegate`.
    pub fn of_workspace(name: &str) -> Result<Self> {
        let folder = match env::var_os(FOLDER_VARIABLE) {
            Some(folder) => PathBuf::from(folder),
            None => beside_the_tests()?,
        };
        let path = folder.join(name);
        ensure!(
            path.is_file(),
            "{} is not built: `cargo xtask test` builds it, or `cargo build -p {name}`",
            path.display()
        );
        Ok(Self::at(path))
    }

    /// Any program.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), arguments: Vec::new(), environment: BTreeMap::new(), folder: None }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// The folder that it runs in.
    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Starts it. It sees no kubeconfig but one that it is given.
    pub fn start(&self) -> Result<Process> {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .env_remove("KUBECONFIG")
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let mut child =
            Tethered::spawn(&mut command).with_context(|| format!("cannot start {}", self.path.display()))?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        if let Some(output) = child.child().stdout.take() {
            collect(output, Stream::Out, Arc::clone(&lines));
        }
        if let Some(output) = child.child().stderr.take() {
            collect(output, Stream::Err, Arc::clone(&lines));
        }
        Ok(Process { name, child, lines })
    }
}

// === impl Process ===

impl Process {
    /// Its process id.
    pub fn id(&mut self) -> u32 {
        self.child.child().id()
    }

    /// All lines so far, in the order in which they arrived.
    pub fn lines(&self) -> Vec<Line> {
        locked(&self.lines).clone()
    }

    /// All that it wrote so far, both streams.
    pub fn output(&self) -> String {
        locked(&self.lines).iter().flat_map(|line| [line.text.as_str(), "\n"]).collect()
    }

    /// The first line, of those that came and those to come, for which this holds.
    pub async fn wait_for_line(&mut self, timeout: Duration, holds: impl Fn(&str) -> bool) -> Result<String> {
        let what = format!("a line of {}", self.name);
        eventually(timeout, &what, async || {
            // Asked before the lines are read, so that a line before its end is not missed.
            let ended = self.child.ended()?;
            let found = locked(&self.lines).iter().map(|line| &line.text).find(|text| holds(text)).cloned();
            match (found, ended) {
                (Some(line), _) => Ok(line),
                (None, Some(status)) => bail!("it ended: {status}"),
                (None, None) => bail!("it has not come"),
            }
        })
        .await
    }

    /// Waits until `GET path` at this address is answered with 200; gives the answer's text.
    pub async fn wait_until_ready(&mut self, address: &str, path: &str, timeout: Duration) -> Result<String> {
        let what = format!("{} answers 200 at {address}{path}", self.name);
        eventually(timeout, &what, async || {
            if let Some(status) = self.child.ended()? {
                bail!("it ended: {status}\n{}", self.output());
            }
            let answer = http::get(address, path).await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
            Ok(answer.text())
        })
        .await
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        ensure!(self.child.ended()?.is_none(), "{} has ended", self.name);
        kill_process(Pid::from_child(self.child.child()), signal)
            .with_context(|| format!("cannot signal {}", self.name))
    }

    /// SIGTERM, and waits for its end.
    pub async fn terminate(&mut self, timeout: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(timeout).await
    }

    /// SIGKILL, and waits for its end.
    pub async fn kill(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        self.wait(Duration::from_secs(10)).await
    }

    /// Waits for its end.
    pub async fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        eventually(timeout, &what, async || self.child.ended()?.ok_or_else(|| anyhow!("it still runs"))).await
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "the test runner keeps it, and shows it if the test fails")]
    fn drop(&mut self) {
        let lines = self.lines();
        let last = &lines[lines.len().saturating_sub(SHOWN)..];
        let text: String = last.iter().flat_map(|line| ["  ", line.text.as_str(), "\n"]).collect();
        eprintln!("--- {} of {} lines that {} wrote\n{text}---", last.len(), lines.len(), self.name);
    }
}

fn collect(output: impl Read + Send + 'static, stream: Stream, lines: Arc<Mutex<Vec<Line>>>) {
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut bytes = Vec::new();
        while output.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            locked(&lines).push(Line { stream, text });
            bytes.clear();
        }
    });
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A test runs from `<target>/<profile>/deps`; cargo puts programs one above.
fn beside_the_tests() -> Result<PathBuf> {
    let test = env::current_exe()?;
    let folder = test.parent().and_then(|deps| deps.parent());
    Ok(folder.context("this test stands in no folder")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn shell(script: &str) -> Process {
        Program::at("/bin/sh").args(["-c", script]).start().unwrap()
    }

    #[tokio::test]
    async fn lines_of_both_streams_are_found() {
        let mut process = shell("echo to out; echo to err >&2; exec sleep 60");
        process.wait_for_line(SOON, |line| line == "to err").await.unwrap();
        process.wait_for_line(SOON, |line| line.starts_with("to o")).await.unwrap();
        let mut lines = process.lines();
        lines.sort_by_key(|line| line.stream as u8);
        let line = |stream, text: &str| Line { stream, text: text.to_owned() };
        assert_eq!(lines, [line(Stream::Out, "to out"), line(Stream::Err, "to err")]);
    }

    #[tokio::test]
    async fn a_process_that_ended_says_nothing_more() {
        let mut process = shell("exit 3");
        assert_eq!(process.wait(SOON).await.unwrap().code(), Some(3));
        let error = process.wait_for_line(Duration::from_millis(50), |_| true).await.unwrap_err();
        assert!(format!("{error:#}").contains("it ended: exit status: 3"), "{error:#}");
        assert!(process.signal(Signal::TERM).is_err());
    }

    #[tokio::test]
    async fn terminate_asks_and_kill_does_not() {
        let mut polite = shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done");
        polite.wait_for_line(SOON, |line| line == "up").await.unwrap();
        assert_eq!(polite.terminate(SOON).await.unwrap().code(), Some(0));
        polite.wait_for_line(SOON, |line| line == "bye").await.unwrap();

        let mut deaf = shell("trap '' TERM; echo up; while :; do sleep 0.05; done");
        deaf.wait_for_line(SOON, |line| line == "up").await.unwrap();
        assert!(deaf.terminate(Duration::from_millis(200)).await.is_err());
        assert_eq!(deaf.kill().await.unwrap().code(), None);
    }
}
