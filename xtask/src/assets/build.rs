//! One program, by `go build`, with its progress on one line.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sidegate_test_tools::{KUBERNETES_VERSION, Tool};

use crate::console::Progress;
use crate::workspace::root;

/// The Go module that pins the versions.
const MODULE: &str = "tests/tools/kubernetes";

/// What a line of `go build -v` tells.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Downloaded,
    Compiled,
    Other,
}

/// Builds it at this path. Proxy, checksum database and toolchain are as the user's environment says.
pub(super) fn build(tool: Tool, output: &Path) -> Result<()> {
    let mut child = command(tool, output).spawn().context("cannot start `go`")?;
    let lines = BufReader::new(child.stderr.take().context("go has no standard error")?).lines();
    let (sender, receiver) = channel();
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let (mut downloaded, mut compiled, mut others) = (0, 0, Vec::new());
    let mut progress = Progress::start();
    let state = |downloaded: usize, compiled: usize| match (downloaded, compiled) {
        (0, 0) => format!("{}: nothing to compile yet", tool.name),
        (_, 0) => format!("{}: {downloaded} modules downloaded", tool.name),
        _ => format!("{}: {compiled} packages compiled", tool.name),
    };
    loop {
        match receiver.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => match said(&line) {
                Said::Downloaded => downloaded += 1,
                Said::Compiled => compiled += 1,
                Said::Other => others.push(line),
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        progress.show(&state(downloaded, compiled));
    }
    let status = child.wait()?;
    // It ended with its pipe; there is nothing to be told that was not received.
    let _ = reader.join();
    if !status.success() {
        bail!("`go build` of {} failed ({status}):\n{}", tool.name, others.join("\n"));
    }
    progress.finish(&format!("{} built", tool.name));
    Ok(())
}

fn command(tool: Tool, output: &Path) -> Command {
    let mut go = Command::new("go");
    go.current_dir(root().join(MODULE))
        .env("CGO_ENABLED", "0")
        .args(["build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags"])
        .arg(linker_flags())
        .arg("-o")
        .arg(output)
        .arg(tool.package)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    go
}

/// Without debug information, and with the version that an API server has to name: kubectl and clients ask it.
fn linker_flags() -> OsString {
    let mut parts = KUBERNETES_VERSION.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let base = "k8s.io/component-base/version";
    format!(
        "-s -w -X {base}.gitVersion=v{KUBERNETES_VERSION} -X {base}.gitMajor={major} -X {base}.gitMinor={minor} \
         -X {base}.gitTreeState=clean -X k8s.io/client-go/pkg/version.gitVersion=v{KUBERNETES_VERSION}"
    )
    .into()
}

fn said(line: &str) -> Said {
    if line.starts_with("go: downloading ") {
        Said::Downloaded
    } else if !line.is_empty() && !line.contains([' ', '\t', ':']) {
        Said::Compiled
    } else {
        Said::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_go_are_told_apart() {
        for (line, expected) in [
            ("go: downloading k8s.io/api v0.35.4", Said::Downloaded),
            ("k8s.io/kubernetes/cmd/kubectl", Said::Compiled),
            ("runtime", Said::Compiled),
            ("# k8s.io/kubernetes/cmd/kubectl", Said::Other),
            ("./main.go:1:2: expected 'package'", Said::Other),
            ("", Said::Other),
        ] {
            assert_eq!(said(line), expected, "{line}");
        }
    }

    #[test]
    fn the_server_is_built_as_the_version_that_it_is() {
        let flags = linker_flags().into_string().unwrap();
        assert!(flags.contains(".gitVersion=v1.35.4 ") && flags.contains(".gitMajor=1 -X"), "{flags}");
        assert!(flags.contains(".gitMinor=35 "), "{flags}");
    }
}
