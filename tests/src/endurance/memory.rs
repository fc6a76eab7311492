//! How much memory a process has, as the kernel says it.

use std::fs;

use anyhow::{Context, Result};

/// The memory of one process, from one moment on.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    process: u32,
    idle: u64,
}

/// So many, in bytes.
pub const fn mebibytes(count: u64) -> u64 {
    count << 20
}

// === impl Memory ===

impl Memory {
    /// What it has now is what it has idle.
    pub fn idle(process: u32) -> Result<Self> {
        Ok(Self { process, idle: field(process, "VmRSS")? })
    }

    /// Whose it is.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// Resident bytes, now.
    pub fn resident(&self) -> Result<u64> {
        field(self.process, "VmRSS")
    }

    /// How many bytes more than idle it has now.
    pub fn growth(&self) -> Result<u64> {
        Ok(self.resident()?.saturating_sub(self.idle))
    }

    /// How many bytes more than idle it ever had, since it was started.
    pub fn peak_growth(&self) -> Result<u64> {
        Ok(field(self.process, "VmHWM")?.saturating_sub(self.idle))
    }
}

/// A line of `/proc/PID/status`, in bytes.
fn field(process: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    kibibytes(&text, name).map(|count| count << 10).with_context(|| format!("{path} has no {name}"))
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "Name:\tx\nVmRSS2:\t 1 kB\nVmHWM:\t    5120 kB\nVmRSS:\t    4096 kB\n";
        assert_eq!(kibibytes(status, "VmRSS"), Some(4096));
        assert_eq!(kibibytes(status, "VmHWM"), Some(5120));
        assert_eq!(kibibytes(status, "VmSwap"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_a_process_takes_is_seen_and_its_peak_stays() {
        let memory = Memory::idle(std::process::id()).unwrap();
        let taken = vec![1_u8; 32 << 20];
        assert!(memory.growth().unwrap() >= mebibytes(30));
        drop(taken);
        assert!(memory.peak_growth().unwrap() >= mebibytes(30));
    }
}
