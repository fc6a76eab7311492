//! A measured process: its processor time and memory, from /proc, its children included.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A running program, killed when dropped.
pub(crate) struct Running {
    child: Child,
}

/// What it has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    /// Processor time.
    pub(crate) cpu: Duration,
    /// Resident bytes, right now.
    pub(crate) resident: u64,
}

// === impl Running ===

impl Running {
    /// Starts it and waits until it is `ready`; says how long that took.
    pub(crate) fn start(command: &mut Command, ready: impl Fn() -> bool) -> Result<(Self, Duration)> {
        let start = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut running = Self { child };
        while !ready() {
            if let Some(status) = running.child.try_wait()? {
                bail!("{} ended: {status}", command.get_program().display());
            }
            if start.elapsed() > Duration::from_secs(20) {
                bail!("{} gives no good answer", command.get_program().display());
            }
            sleep(Duration::from_millis(1));
        }
        Ok((running, start.elapsed()))
    }

    /// What it and its children have used.
    pub(crate) fn used(&self) -> Used {
        let mut all = BTreeSet::from([self.child.id()]);
        let processes: Vec<(u32, u32)> = numbers().filter_map(|pid| Some((pid, stat(pid)?.0))).collect();
        // Children of children come after another look.
        for _ in 0..3 {
            all.extend(
                processes
                    .iter()
                    .filter(|(_, parent)| all.contains(parent))
                    .map(|(pid, _)| *pid)
                    .collect::<Vec<_>>(),
            );
        }
        all.into_iter().fold(Used::default(), |sum, pid| Used {
            cpu: sum.cpu + stat(pid).map_or(Duration::ZERO, |(_, cpu)| cpu),
            resident: sum.resident + resident(pid).unwrap_or(0),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // nginx's workers end with their master only when that is asked politely.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn numbers() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Parent and processor time. The kernel counts in ticks of 10 ms (`USER_HZ`).
fn stat(pid: u32) -> Option<(u32, Duration)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some((fields.get(1)?.parse().ok()?, Duration::from_millis(ticks * 10)))
}

fn resident(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
