//! A real `sidegate up` in a folder of its own, and callers that are no HTTP client.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with the quickstart's files.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
}

/// A running `up`.
pub(crate) struct Up {
    child: Child,
    lines: Receiver<String>,
    errors: PathBuf,
    /// All of standard output so far.
    pub(crate) said: String,
    /// Where the first Gate listens.
    pub(crate) gate: SocketAddr,
}

/// An answer, as far as the tests look at it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

// === impl Folder ===

impl Folder {
    pub(crate) fn quickstart() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        fs::create_dir(&files).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart");
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, files.join(path.file_name().unwrap())).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The quickstart's key.
    pub(crate) fn key(&self) -> String {
        fs::read_to_string(self.path(".sidegate/secrets/team-a/ci-key-api-key/api-key")).unwrap()
    }

    /// Changes a file of the quickstart as an editor does: written beside, then renamed.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path("files").join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(path.with_extension("beside"), text.replace(from, to)).unwrap();
        fs::rename(path.with_extension("beside"), path).unwrap();
    }

    /// `sidegate` with these words, in this folder.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidegate"));
        command.args(words).current_dir(self.folder.path()).env_remove("SIDEGATE_LOG").stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, words: &[&str]) -> std::process::Output {
        self.command(words).output().unwrap()
    }

    /// Starts `up` at ports that are free, and waits until it runs.
    pub(crate) fn up(&self) -> Up {
        self.up_with(&["--listen", "127.0.0.1:0"])
    }

    pub(crate) fn up_with(&self, words: &[&str]) -> Up {
        let errors = self.path("errors");
        let stderr = fs::File::create(&errors).unwrap();
        let mut all = vec!["up", "files", "--admin", "127.0.0.1:0"];
        all.extend(words);
        let mut child = self.command(&all).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let gate = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut up = Up { child, lines, errors, said: String::new(), gate };
        up.wait_for("Ctrl-C stops");
        let address = up.said.split("http://").nth(1).unwrap().split([' ', '/']).next().unwrap();
        up.gate = address.parse().unwrap();
        up
    }
}

// === impl Up ===

impl Up {
    /// Waits for a line that has `part`.
    pub(crate) fn wait_for(&mut self, part: &str) -> String {
        let end = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(part) {
                return line;
            }
        }
        panic!("no line with `{part}`\n--- out\n{}\n--- err\n{}", self.said, self.errors());
    }

    /// Standard error so far.
    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    pub(crate) fn wait_for_error(&self, part: &str) -> String {
        let end = Instant::now() + PATIENCE;
        while !self.errors().contains(part) {
            assert!(Instant::now() < end, "no error with `{part}`: {}", self.errors());
            thread::sleep(Duration::from_millis(20));
        }
        self.errors()
    }

    /// One request to the first Gate.
    pub(crate) fn call(&self, method: &str, key: Option<&str>) -> Answer {
        call(self.gate, method, "/api/v1/apps", key)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Asks it to stop, with this signal, and waits for its end.
    pub(crate) fn stop(self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it does not stop");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own.
pub(crate) fn call(address: SocketAddr, method: &str, path: &str, key: Option<&str>) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let key = key.map(|key| format!("X-API-Key: {key}\r\n")).unwrap_or_default();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{key}Connection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.unwrap_or_else(|| panic!("no status: {text}")), text }
}
