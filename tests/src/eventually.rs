//! Waiting for something to become true, instead of sleeping for long enough.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const PAUSE: Duration = Duration::from_millis(25);

/// Asks again until the answer is `Ok`, and gives it back.
///
/// After `timeout` the error says what was waited for and, as its cause, the last answer. A single answer may
/// take longer than that; it is then cut off.
///
/// ```no_run
/// # async fn f() -> anyhow::Result<()> {
/// use std::time::Duration;
/// use anyhow::ensure;
/// use sidegate_tests::{eventually, http};
///
/// eventually(Duration::from_secs(2), "the gate is ready", async || {
///     let answer = http::get("127.0.0.1:15821", "/readyz").await?;
///     ensure!(answer.status == 200, "{}", answer.text());
///     Ok(())
/// })
/// .await
/// # }
/// ```
pub async fn eventually<T>(
    timeout: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + timeout;
    let mut last = None;
    loop {
        let left = end.saturating_duration_since(Instant::now()).max(PAUSE);
        match tokio::time::timeout(left, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = Some(error),
            Err(_) => last = last.or_else(|| Some(anyhow::anyhow!("no answer at all"))),
        }
        if Instant::now() >= end {
            let error = last.unwrap_or_else(|| anyhow::anyhow!("no answer at all"));
            return Err(error).with_context(|| format!("not within {timeout:?}: {what}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[tokio::test]
    async fn the_first_good_answer_is_given_back() {
        let mut asked = 0;
        let answer = eventually(Duration::from_secs(5), "three", async || {
            asked += 1;
            if asked < 3 {
                bail!("only {asked}");
            }
            Ok(asked)
        });
        assert_eq!(answer.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn the_error_says_what_was_waited_for_and_the_last_answer() {
        let error =
            eventually(Duration::ZERO, "rain", async || bail!("sunshine") as Result<()>).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "not within 0ns: rain: sunshine");
    }

    #[tokio::test]
    async fn an_answer_that_never_comes_is_cut_off() {
        let ask = async || std::future::pending::<Result<()>>().await;
        let error = eventually(Duration::from_millis(30), "rain", ask).await.unwrap_err();
        assert!(format!("{error:#}").ends_with("rain: no answer at all"), "{error:#}");
    }
}
