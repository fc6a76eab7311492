//! What `up` says while it runs: lines of text, written by one thread so that none is cut by
//! another. Whoever is in a hurry (a gate that answers a request) never waits for a terminal.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Lines that may wait.
const WAITING: usize = 1024;
/// How long the end waits for a terminal.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Takes lines. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    lines: SyncSender<String>,
    dropped: Arc<AtomicUsize>,
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    thread: JoinHandle<()>,
}

// === impl Console ===

impl Console {
    /// Starts to write to `out`.
    pub(crate) fn start(out: impl Write + Send + 'static) -> (Self, Writer) {
        let (sender, lines) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&dropped);
        let thread = std::thread::spawn(move || write(out, &lines, &counted));
        (Self { lines: sender, dropped }, Writer { thread })
    }

    /// Says something, and waits until it is its turn.
    pub(crate) fn say(&self, text: impl Into<String>) {
        // The writer ends only when nobody reads any more.
        let _ = self.lines.send(text.into());
    }

    /// Says something unless too much waits already; what is left out is counted.
    pub(crate) fn mention(&self, text: impl FnOnce() -> String) {
        if self.dropped.load(Ordering::Relaxed) > 0 || self.lines.try_send(text()).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// === impl Writer ===

impl Writer {
    /// Waits a moment until all is written. Every [`Console`] must be gone.
    pub(crate) fn finish(self) {
        let end = Instant::now() + LAST_WORDS;
        while !self.thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn write(mut out: impl Write, lines: &Receiver<String>, dropped: &AtomicUsize) {
    loop {
        let line = match lines.recv_timeout(Duration::from_millis(200)) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => match dropped.swap(0, Ordering::Relaxed) {
                0 => continue,
                more => format!("… {more} more requests"),
            },
            Err(RecvTimeoutError::Disconnected) => return,
        };
        // Who closed the pipe has read enough; the gates go on.
        let _: io::Result<()> = writeln!(out, "{}", line.trim_end_matches('\n')).and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// Does not take a byte before it is told to.
    struct Stuck(mpsc::Receiver<()>, Page);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_in_their_order() {
        let page = Page::default();
        let (console, writer) = Console::start(page.clone());
        console.say("one\n");
        console.mention(|| "two".to_owned());
        console.say("three");
        drop(console);
        writer.finish();
        assert_eq!(page.text(), "one\ntwo\nthree\n");
    }

    #[test]
    fn requests_do_not_wait_for_a_terminal_that_is_stuck_and_are_counted() {
        let page = Page::default();
        let (go, gate) = mpsc::channel();
        let (console, writer) = Console::start(Stuck(gate, page.clone()));
        for number in 0..WAITING + 100 {
            console.mention(|| number.to_string());
        }
        drop(go);
        let end = Instant::now() + Duration::from_secs(5);
        while !page.text().contains("more requests") && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        let text = page.text();
        let counted: usize = text
            .lines()
            .find_map(|line| line.strip_prefix("… ")?.strip_suffix(" more requests")?.parse().ok())
            .unwrap();
        assert_eq!(text.lines().count() - 1 + counted, WAITING + 100);
        drop(console);
        writer.finish();
    }
}
