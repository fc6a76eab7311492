//! Something that runs beside a test on a thread of its own, until it is told to stop: callers that are timed,
//! an app, and attackers, who must not be slowed by one another's work.

use std::future::Future;
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};
use rustix::process::nice;
use tokio::sync::oneshot;

/// Attackers bring their own processors. Here they share ours, so they only get what is left over.
const YIELDING: i32 = 15;

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Aside<T> {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    result: oneshot::Receiver<Result<T>>,
}

// === impl Aside ===

impl<T: Send + 'static> Aside<T> {
    /// Something that is needed as much as what is tested.
    pub fn start<F: Future<Output = Result<T>>>(make: impl FnOnce() -> F + Send + 'static) -> Result<Self> {
        Self::at(0, make)
    }

    /// An attack.
    pub fn attack<F: Future<Output = Result<T>>>(make: impl FnOnce() -> F + Send + 'static) -> Result<Self> {
        Self::at(YIELDING, make)
    }

    fn at<F: Future<Output = Result<T>>>(
        niceness: i32,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (tell, result) = oneshot::channel();
        let thread = thread::Builder::new().name("aside".to_owned()).spawn(move || {
            // On Linux it is this thread's.
            let _ = nice(niceness);
            runtime.block_on(async {
                tokio::select! {
                    ended = make() => drop(tell.send(ended)),
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread), result })
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Result<T> {
        (&mut self.result).await.map_err(|_| anyhow!("it was stopped, or panicked"))?
    }

    /// Stops it. If it has ended by itself, how.
    pub fn stop(mut self) -> Result<Option<T>> {
        self.halt();
        match self.result.try_recv() {
            Ok(ended) => ended.map(Some),
            Err(_) => Ok(None),
        }
    }
}

impl<T> Aside<T> {
    fn halt(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl<T> Drop for Aside<T> {
    fn drop(&mut self) {
        self.halt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_ends_by_itself_or_when_it_is_stopped() {
        let quick = Aside::start(|| async { Ok(1) }).unwrap();
        assert_eq!(quick.end().await.unwrap(), 1);
        let endless = Aside::<()>::attack(std::future::pending).unwrap();
        assert_eq!(endless.stop().unwrap(), None);
    }

    #[tokio::test]
    async fn that_it_failed_is_told() {
        let failing = Aside::<()>::start(|| async { Err(anyhow!("broken")) }).unwrap();
        assert_eq!(failing.end().await.unwrap_err().to_string(), "broken");
    }
}
