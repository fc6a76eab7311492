//! The places for connections: so many, and no more.
//!
//! When all are taken and another caller may be waiting, one of those gives way that only wait for
//! their next request: whoever holds connections without using them must not keep others out.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Clones are handles to the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    /// How many are asked for at this moment.
    asked: Arc<AtomicUsize>,
}

/// One place; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

// === impl Places ===

impl Places {
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), asked: Arc::default() }
    }

    /// The next free place. Until there is one, somebody idle is asked to give way.
    pub(super) async fn take(&self) -> Option<Place> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(Place(place));
        }
        self.asked.store(1, Relaxed);
        let place = Arc::clone(&self.free).acquire_owned().await;
        self.asked.store(0, Relaxed);
        place.ok().map(Place)
    }

    /// Is whoever asks this the one that is to give way? It is told so once, and must go.
    pub(crate) fn gives_way(&self) -> bool {
        self.asked.load(Relaxed) > 0 && self.asked.swap(0, Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, pin_mut};

    use super::*;

    #[test]
    fn one_gives_way_for_one_that_comes() {
        let places = Places::new(1);
        let place = places.take().now_or_never().flatten().unwrap();
        assert!(!places.gives_way());
        let next = places.take();
        pin_mut!(next);
        assert!(next.as_mut().now_or_never().is_none());
        assert!(places.gives_way());
        assert!(!places.gives_way());
        drop(place);
        assert!(next.now_or_never().flatten().is_some());
        assert!(!places.gives_way());
    }
}
