//! How a task shows what it does: headings, times, and a line of progress.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Says what begins now.
pub(crate) fn heading(text: &str) {
    eprintln!("\n==> {text}");
}

/// `3.2 s`, `4 min 05 s`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

/// One line that changes in place on a terminal; elsewhere a new line now and then.
pub(crate) struct Progress {
    started: Instant,
    shown: Option<Instant>,
    terminal: bool,
}

// === impl Progress ===

impl Progress {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), shown: None, terminal: stderr().is_terminal() }
    }

    /// Shows this, unless something was shown a moment ago.
    pub(crate) fn show(&mut self, text: &str) {
        let pause = Duration::from_millis(if self.terminal { 200 } else { 15_000 });
        if self.shown.is_some_and(|shown| shown.elapsed() < pause) {
            return;
        }
        self.shown = Some(Instant::now());
        let time = duration(self.started.elapsed());
        if self.terminal {
            eprint!("\r\x1b[K    {text}, {time}");
            let _ = stderr().flush();
        } else {
            eprintln!("    {text}, {time}");
        }
    }

    /// Shows the last state, which stays.
    pub(crate) fn finish(self, text: &str) {
        let start = if self.terminal { "\r\x1b[K" } else { "" };
        eprintln!("{start}    {text}, {}", duration(self.started.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (millis, expected) in
            [(40, "0.0 s"), (3_240, "3.2 s"), (59_940, "59.9 s"), (245_000, "4 min 05 s")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), expected);
        }
    }
}
