//! Stops a process: the first signal asks, the second one ends it at once.

use std::{future::Future, io, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Given to what is in flight when a process is asked to stop.
pub const DRAIN: Duration = Duration::from_secs(5);

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
    async fn what_ends_in_time_is_heard() {
        let token = CancellationToken::new();
        token.cancel();
        assert_eq!(drained(&token, DRAIN, async { 5 }).await, Some(5));
    }
}
