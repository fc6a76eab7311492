//! Stops a process: the first signal asks, the second one ends it at once. Before either, another
//! signal can announce it, so that callers go elsewhere while everything is still answered.

use std::{future::Future, io, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Given to what is in flight when a process is asked to stop.
pub const DRAIN: Duration = Duration::from_secs(5);

/// Why a process was not told that it is to stop soon.
#[derive(Debug, Error)]
pub enum NotAnnounced {
    /// No process has such a number.
    #[error("{0} is no process id")]
    NoId(i32),
    /// The signal would end it.
    #[error(
        "process {0} does not wait for SIGUSR1: it is no sidecar, or has only begun; name the sidecar's with --pid"
    )]
    Deaf(i32),
    /// The system does not let us.
    #[error("cannot send SIGUSR1 to process {0}")]
    Signal(i32, #[source] io::Error),
}

/// A token that SIGUSR1 cancels: this process is to stop soon. Must be called inside a tokio runtime.
pub fn on_announcement() -> io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let announced = token.clone();
    let mut user = signal(SignalKind::user_defined1())?;
    tokio::spawn(async move {
        if user.recv().await.is_some() {
            tracing::info!("about to be stopped: callers are told to go elsewhere");
            announced.cancel();
        }
        // Said once more, it changes nothing, and must not end the process.
        while user.recv().await.is_some() {}
    });
    Ok(token)
}

/// Tells another process that it is to stop soon. One that does not wait for that is left alone.
pub fn announce(pid: i32) -> Result<(), NotAnnounced> {
    let id = (pid > 0).then(|| Pid::from_raw(pid)).flatten().ok_or(NotAnnounced::NoId(pid))?;
    if waits_for(pid, Signal::USR1) == Some(false) {
        return Err(NotAnnounced::Deaf(pid));
    }
    kill_process(id, Signal::USR1).map_err(|error| NotAnnounced::Signal(pid, error.into()))
}

/// Does it handle this signal? `None`: the system does not say.
fn waits_for(pid: i32, signal: Signal) -> Option<bool> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask >> (signal.as_raw() - 1) & 1 == 1)
}

/// A token that SIGTERM or SIGINT cancels; the second such signal ends the process with the status
/// that the signal would have given. Must be called inside a tokio runtime.
pub fn on_signals() -> io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let asked = token.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => SignalKind::terminate(),
                _ = interrupt.recv() => SignalKind::interrupt(),
            }
        };
        let first = next().await;
        tracing::info!(signal = first.as_raw_value(), "asked to stop; the same once more ends at once");
        asked.cancel();
        let second = next().await;
        std::process::exit(128 + second.as_raw_value());
    });
    Ok(token)
}

/// Waits for `rest`, but not longer than `deadline` from the moment that `token` is cancelled.
/// `None`: it was not over by then.
pub async fn drained<F: Future>(token: &CancellationToken, deadline: Duration, rest: F) -> Option<F::Output> {
    let late = async {
        token.cancelled().await;
        tokio::time::sleep(deadline).await;
    };
    tokio::select! {
        biased;
        output = rest => Some(output),
        () = late => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Instant};

    use super::*;

    #[tokio::test]
    async fn what_does_not_end_is_left_at_the_deadline_and_not_before_it_is_asked() {
        let token = CancellationToken::new();
        let wait = Duration::from_millis(20);
        let asked = token.clone();
        let begun = Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            asked.cancel();
        });
        assert_eq!(drained(&token, wait, pending::<()>()).await, None);
        assert!(begun.elapsed() >= 2 * wait);
    }

    #[tokio::test]
    async fn an_announcement_is_heard_and_one_to_nobody_or_to_the_deaf_is_an_error() {
        let mut deaf = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(deaf.id()).unwrap();
        #[cfg(target_os = "linux")]
        assert!(matches!(announce(pid), Err(NotAnnounced::Deaf(_))));
        assert!(deaf.try_wait().unwrap().is_none());
        deaf.kill().unwrap();
        deaf.wait().unwrap();
        assert!(matches!(announce(pid), Err(NotAnnounced::Signal(..))));
        for pid in [0, -1] {
            assert!(matches!(announce(pid), Err(NotAnnounced::NoId(_))));
        }
        let announced = on_announcement().unwrap();
        for _ in 0..2 {
            announce(i32::try_from(std::process::id()).unwrap()).unwrap();
            announced.cancelled().await;
        }
    }

    #[tokio::test]
    async fn what_ends_in_time_is_heard() {
        let token = CancellationToken::new();
        token.cancel();
        assert_eq!(drained(&token, DRAIN, async { 5 }).await, Some(5));
    }
}
