//! A good caller that goes on at its own pace, whatever becomes of its requests, and is timed.
//!
//! A request that is late because the one before it was answered late counts from when it was due: otherwise
//! whoever is kept waiting would seem to be served well. Half of what matters is the wait for an answer on a
//! connection that is there; the other half is the wait of whoever comes new.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tokio::task::JoinSet;

use super::{Aside, connect_from};
use crate::http::{Connection, Request};

/// Callers that keep their connection.
const KEPT: u64 = 4;
/// One request of each in so long.
const KEPT_EVERY: Duration = Duration::from_millis(10);
/// A new connection in so long.
const FRESH_EVERY: Duration = Duration::from_millis(20);
/// A stretch of time that has a median and a 99th percentile of its own.
const WINDOW: Duration = Duration::from_millis(400);
/// So many, of which the middle one counts: a machine that is busy with something else is so for a while.
const WINDOWS: usize = 5;

/// The caller. It goes on until it is dropped.
#[derive(Debug)]
pub struct Steady {
    record: Arc<Mutex<Record>>,
    _aside: Aside<()>,
}

/// How long its requests took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The median.
    pub p50: Duration,
    /// Of a hundred requests one took longer.
    pub p99: Duration,
}

/// How it was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality {
    /// On connections that are there.
    pub kept: Pace,
    /// On new ones, from the first packet to the answer.
    pub fresh: Pace,
}

#[derive(Debug, Default)]
struct Record {
    kept: Vec<Duration>,
    fresh: Vec<Duration>,
    failures: Vec<String>,
}

// === impl Steady ===

impl Steady {
    /// Sends this request from this source, and expects 200.
    pub fn start(source: Ipv4Addr, address: &str, request: Request) -> Result<Self> {
        let record = Arc::<Mutex<Record>>::default();
        let (told, address) = (Arc::clone(&record), address.to_owned());
        let aside = Aside::start(move || call(source, address, request, told))?;
        Ok(Self { record, _aside: aside })
    }

    /// How it is served from now on: the median of some windows. None of its requests may fail.
    pub async fn measure(&self) -> Result<Quality> {
        let mut windows = Vec::new();
        self.take();
        for _ in 0..WINDOWS {
            tokio::time::sleep(WINDOW).await;
            let Record { mut kept, mut fresh, failures } = self.take();
            ensure!(failures.is_empty(), "good requests failed: {failures:?}");
            windows.push(Quality {
                kept: Pace::of(&mut kept, usize::try_from(KEPT)? * count(KEPT_EVERY)),
                fresh: Pace::of(&mut fresh, count(FRESH_EVERY)),
            });
        }
        let middle = |of: fn(&Quality) -> Duration| {
            let mut all: Vec<_> = windows.iter().map(of).collect();
            all.sort();
            all[all.len() / 2]
        };
        Ok(Quality {
            kept: Pace { p50: middle(|one| one.kept.p50), p99: middle(|one| one.kept.p99) },
            fresh: Pace { p50: middle(|one| one.fresh.p50), p99: middle(|one| one.fresh.p99) },
        })
    }

    fn take(&self) -> Record {
        std::mem::take(&mut *self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Quality ===

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, fresh } = self;
        write!(
            f,
            "p50 {:.1?} p99 {:.1?}; on new connections {:.1?} {:.1?}",
            kept.p50, kept.p99, fresh.p50, fresh.p99
        )
    }
}

// === impl Pace ===

impl Pace {
    /// Of the requests of a window, in which so many were due.
    fn of(times: &mut [Duration], due: usize) -> Self {
        if times.len() <= due / 4 {
            // They are still waited for.
            return Self { p50: WINDOW, p99: WINDOW };
        }
        times.sort();
        let rank = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1];
        Self { p50: rank(50), p99: rank(99) }
    }
}

/// How often in a window.
fn count(every: Duration) -> usize {
    usize::try_from(WINDOW.as_millis() / every.as_millis()).unwrap_or(usize::MAX)
}

async fn call(source: Ipv4Addr, address: String, request: Request, record: Arc<Mutex<Record>>) -> Result<()> {
    let note = move |fresh: bool, outcome: Result<Duration>| {
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(time) if fresh => record.fresh.push(time),
            Ok(time) => record.kept.push(time),
            Err(error) => record.failures.push(format!("{error:#}")),
        }
    };
    let mut callers = JoinSet::new();
    for number in 0..=KEPT {
        let (address, request, note) = (address.clone(), request.clone(), note.clone());
        let (fresh, every) = if number == KEPT { (true, FRESH_EVERY) } else { (false, KEPT_EVERY) };
        callers.spawn(async move {
            let mut connection = None;
            let mut due = Instant::now() + every;
            loop {
                tokio::time::sleep_until(due.into()).await;
                // The timer's own delay is nobody's fault; that of the last answer is.
                let late = due.elapsed() >= every;
                let begun = if late { due } else { Instant::now() };
                let answered = once(source, &address, &request, fresh, &mut connection).await;
                note(fresh, answered.map(|()| begun.elapsed()));
                due += every;
            }
        });
    }
    callers.join_all().await;
    Ok(())
}

/// One request, on the connection that is there unless it is to be a fresh one.
async fn once(
    source: Ipv4Addr,
    address: &str,
    request: &Request,
    fresh: bool,
    kept: &mut Option<Connection>,
) -> Result<()> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::on(connect_from(source, address).await?, address),
    };
    let answer = connection.send(request).await?;
    if answer.status != 200 {
        bail!("answered {} {}", answer.status, answer.text());
    }
    if !fresh {
        *kept = Some(connection);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_ordered_times() {
        let mut times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        let pace = Pace::of(&mut times, 200);
        assert_eq!((pace.p50.as_millis(), pace.p99.as_millis()), (100, 198));
        let mut one = [Duration::from_millis(7)];
        assert_eq!(Pace::of(&mut one, 2).p99.as_millis(), 7);
        assert_eq!(Pace::of(&mut one, 20).p50, WINDOW, "most are still waited for");
    }

    #[tokio::test]
    async fn a_caller_that_is_refused_or_not_answered_is_told() {
        let app = crate::App::start().await.unwrap();
        let start =
            |address: &str| Steady::start(Ipv4Addr::LOCALHOST, address, Request::new("GET", "/")).unwrap();
        let steady = start(&app.address().to_string());
        let quality = steady.measure().await.unwrap();
        assert!(quality.kept.p50 <= quality.kept.p99 && quality.fresh.p99 < Duration::from_secs(1));
        drop(app);
        assert!(steady.measure().await.is_err());
    }
}
