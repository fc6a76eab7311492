//! How much processor time a process has used, as the kernel says it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// All of its threads, since it was started.
pub fn processor_time(process: u32) -> Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let ticks = ticks(&text).with_context(|| format!("{path} has no times: {text}"))?;
    Ok(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second())?)
}

/// In user mode and in the kernel.
fn ticks(stat: &str) -> Option<u64> {
    // The name, which is in parentheses, may have spaces and parentheses in it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) R 1 7 7 0 -1 4194304 100 0 0 0 12 30 0 0 20 0 1 0 100 0 0";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn work_is_seen() {
        let before = processor_time(std::process::id()).unwrap();
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(300) {
            std::hint::black_box(0);
        }
        assert!(processor_time(std::process::id()).unwrap() > before);
    }
}
