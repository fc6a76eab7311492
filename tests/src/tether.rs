//! Child processes that do not outlive the test run, however it ends.
//!
//! A destructor is not enough: statics are never dropped, and a killed process drops nothing. So one shell a
//! test process waits at the end of a pipe that only this process holds open. When the pipe closes, the
//! shell kills what is still on its list and removes its folders. It is in a process group of its own, so
//! that Ctrl-C at the terminal does not take it away first.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Reads `hold PID`, `free PID` and `folder PATH`, a line each.
const WATCH: &str = r#"
held=" "
while read -r word what; do
  case $word in
    hold) held="$held$what " ;;
    free) case $held in *" $what "*) held="${held%%" $what "*} ${held#*" $what "}" ;; esac ;;
    folder) set -- "$@" "$what" ;;
  esac
done
for pid in $held; do kill -KILL "$pid"; done
[ $# -eq 0 ] || rm -rf -- "$@"
"#;

/// A child process: killed and waited for when this is dropped, killed when the test process ends.
#[derive(Debug)]
pub(crate) struct Tethered(Child);

/// Has the folder removed when the test process ends, whoever else removes it before.
pub(crate) fn remove_at_end(folder: &Path) -> io::Result<()> {
    say(&format!("folder {}", folder.display()))
}

// === impl Tethered ===

impl Tethered {
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        // Whoever says this first starts the shell: were it started after the child and failed, the child
        // would be on nobody's list.
        drop(watch()?);
        let child = Self(command.spawn()?);
        say(&format!("hold {}", child.0.id()))?;
        Ok(child)
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }
}

impl Drop for Tethered {
    fn drop(&mut self) {
        // Taken off the list before it is waited for: until then its number cannot be another process's.
        let _ = self.0.kill();
        let _ = say(&format!("free {}", self.0.id()));
        let _ = self.0.wait();
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut pipe = watch()?;
    writeln!(pipe, "{line}")
}

/// The shell's end of the pipe. The shell is started once.
fn watch() -> io::Result<MutexGuard<'static, ChildStdin>> {
    static PIPE: OnceLock<Result<Mutex<ChildStdin>, io::ErrorKind>> = OnceLock::new();
    let pipe = PIPE.get_or_init(|| start().map(Mutex::new).map_err(|error| error.kind()));
    let pipe =
        pipe.as_ref().map_err(|kind| io::Error::new(*kind, "cannot start `sh`, which watches the tests"))?;
    Ok(pipe.lock().unwrap_or_else(PoisonError::into_inner))
}

fn start() -> io::Result<ChildStdin> {
    let mut shell = Command::new("sh")
        .args(["-c", WATCH])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    shell.stdin.take().ok_or_else(|| io::Error::other("the shell has no standard input"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn what_is_held_when_the_pipe_closes_is_killed_and_the_rest_is_not() {
        let folder = tempfile::tempdir().unwrap().keep();
        std::fs::write(folder.join("file"), "").unwrap();
        let mut children = [(); 3].map(|()| Command::new("sleep").arg("60").spawn().unwrap());
        let [first, freed, last] = children.each_ref().map(Child::id);
        let mut shell = Command::new("sh").args(["-c", WATCH]).stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = shell.stdin.take().unwrap();
        writeln!(pipe, "hold {first}\nhold {freed}\nfolder {}\nhold {last}\nfree {freed}", folder.display())
            .unwrap();
        drop(pipe);
        shell.wait().unwrap();
        assert!(children[1].try_wait().unwrap().is_none(), "it was freed");
        children[1].kill().unwrap();
        let signals = children.each_mut().map(|child| child.wait().unwrap().signal());
        assert_eq!(signals, [Some(9); 3]);
        assert!(!folder.exists());
    }

    #[test]
    fn a_child_ends_with_its_owner() {
        let mut child = Tethered::spawn(Command::new("sleep").arg("60")).unwrap();
        let path = format!("/proc/{}", child.child().id());
        if Path::new("/proc/self").exists() {
            assert!(Path::new(&path).exists());
            drop(child);
            assert!(!Path::new(&path).exists());
        }
    }
}
