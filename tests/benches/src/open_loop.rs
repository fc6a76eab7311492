//! An open loop: requests start when their time has come, whether or not earlier ones were
//! answered, and a delay counts from that time. So a stalled server cannot hide its stall.
//!
//! A thread a connection, since a thread's sleep is exact to some 50 µs and an async timer to 1 ms.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

const APP_SAYS: &[u8] = b"hello from the app\n";

/// The delays of one run, sorted.
pub(crate) struct Delays(Vec<Duration>);

// === impl Delays ===

impl Delays {
    /// The delay that this part of all requests did not exceed.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let at = (self.0.len() as f64 * part) as usize;
        self.0.get(at.min(self.0.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

/// Sends `rate` requests a second over `connections`, for this long. Who falls behind is given
/// five times as long, then it is an error.
pub(crate) fn run(
    address: &str,
    keys: &[String],
    rate: u32,
    connections: u32,
    length: Duration,
) -> Result<Delays> {
    let start = Instant::now() + Duration::from_millis(50);
    let threads: Vec<_> = (0..connections)
        .map(|number| {
            let key = &keys[number as usize % keys.len()];
            let request = format!("GET /api/v1/apps HTTP/1.1\r\nHost: app\r\nX-API-Key: {key}\r\n\r\n");
            let first = start + Duration::from_secs(1) * number / rate;
            let period = Duration::from_secs(1) * connections / rate;
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            Ok(thread::spawn(move || connection(stream, &request, first, period, start + length)))
        })
        .collect::<Result<_>>()?;
    let mut all = Vec::new();
    for thread in threads {
        all.extend(thread.join().map_err(|_| anyhow!("a connection's thread panicked"))??);
    }
    all.sort();
    Ok(Delays(all))
}

fn connection(
    mut stream: TcpStream,
    request: &str,
    first: Instant,
    period: Duration,
    end: Instant,
) -> Result<Vec<Duration>> {
    let give_up = end + end.saturating_duration_since(first) * 4;
    let mut delays = Vec::new();
    let mut buffer = [0; 4096];
    let mut due = first;
    while due < end {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(request.as_bytes())?;
        answer(&mut stream, &mut buffer)?;
        delays.push(due.elapsed());
        ensure!(Instant::now() < give_up, "it cannot follow at this rate");
        due += period;
    }
    Ok(delays)
}

/// Reads one answer, which must be the app's.
fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        ensure!(read > 0, "closed in the middle");
        filled += read;
        let answer = &buffer[..filled];
        if answer.ends_with(APP_SAYS) || answer.ends_with(&[APP_SAYS, b"\r\n0\r\n\r\n"].concat()) {
            ensure!(answer.starts_with(b"HTTP/1.1 200"), "not let through");
            return Ok(());
        }
    }
}
