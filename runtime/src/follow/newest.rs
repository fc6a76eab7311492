//! The newest of what was offered, for any number of readers on any thread or runtime.
//!
//! A reader keeps its own [`Arc`] and compares one atomic number to learn that it is still the
//! newest: no lock and no shared counter in a reader's way while nothing changes.

use std::sync::Arc;

use jiff::Timestamp;
use sidegate_bundle::{Revision, document::Refused};
use tokio::sync::watch;

use super::Revisioned;

/// The newest that was offered and taken. Clones are handles to the same one.
#[derive(Debug)]
pub struct Newest<T> {
    sender: Arc<watch::Sender<Option<Arc<T>>>>,
}

/// One reader's view: it belongs to one thread or task.
#[derive(Debug)]
pub struct Reader<T> {
    receiver: watch::Receiver<Option<Arc<T>>>,
    seen: Option<Arc<T>>,
}

// === impl Newest ===

impl<T> Newest<T> {
    /// Holds nothing yet.
    pub fn new() -> Self {
        Self { sender: Arc::new(watch::Sender::new(None)) }
    }

    /// What is in force; `None`: nothing was taken yet.
    pub fn current(&self) -> Option<Arc<T>> {
        self.sender.borrow().clone()
    }

    /// A view that refreshes itself.
    pub fn reader(&self) -> Reader<T> {
        let mut receiver = self.sender.subscribe();
        let seen = receiver.borrow_and_update().clone();
        Reader { receiver, seen }
    }

    /// Puts `value` in force, whatever there was. For what is derived from something followed.
    pub fn set(&self, value: Arc<T>) {
        self.sender.send_replace(Some(value));
    }
}

impl<T: Revisioned> Newest<T> {
    /// The revision in force.
    pub fn revision(&self) -> Option<Revision> {
        self.sender.borrow().as_ref().map(|current| current.revision())
    }

    /// Takes `bundle` if it is newer than what is in force and not from tomorrow.
    pub fn offer(&self, bundle: T, now: Timestamp) -> Result<(), Refused> {
        let mut refused = Ok(());
        self.sender.send_if_modified(|current| {
            let revision = current.as_ref().map(|current| current.revision());
            refused = bundle.revision().supersedes(revision, now);
            if refused.is_ok() {
                *current = Some(Arc::new(bundle));
            }
            refused.is_ok()
        });
        refused
    }
}

impl<T> Clone for Newest<T> {
    fn clone(&self) -> Self {
        Self { sender: Arc::clone(&self.sender) }
    }
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Reader ===

impl<T> Reader<T> {
    /// What is in force now.
    pub fn current(&mut self) -> Option<&Arc<T>> {
        // An error says that nobody can change it any more: what was seen last stays.
        if self.receiver.has_changed().unwrap_or(false) {
            self.seen.clone_from(&self.receiver.borrow_and_update());
        }
        self.seen.as_ref()
    }

    /// Waits until [`Reader::current`] would give something else; `false`: it never will again.
    pub async fn changed(&mut self) -> bool {
        if self.receiver.changed().await.is_err() {
            return false;
        }
        self.seen.clone_from(&self.receiver.borrow_and_update());
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Revisioned for u64 {
        fn revision(&self) -> Revision {
            Revision(*self)
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_millisecond(1_000).unwrap()
    }

    #[test]
    fn a_reader_sees_what_came_before_it_and_what_comes_after() {
        let newest = Newest::new();
        let mut early = newest.reader();
        assert_eq!(early.current(), None);
        newest.offer(5, now()).unwrap();
        assert_eq!(early.current().map(|value| **value), Some(5));
        let mut late = newest.reader();
        assert_eq!(late.current().map(|value| **value), Some(5));
        newest.clone().offer(6, now()).unwrap();
        for reader in [&mut early, &mut late] {
            assert_eq!(reader.current().map(|value| **value), Some(6));
        }
        assert_eq!(newest.revision(), Some(Revision(6)));
    }

    #[test]
    fn a_reader_keeps_what_it_saw_when_nobody_can_change_it_any_more() {
        let newest = Newest::new();
        newest.offer(5, now()).unwrap();
        let mut reader = newest.reader();
        drop(newest);
        assert_eq!(reader.current().map(|value| **value), Some(5));
    }

    #[tokio::test]
    async fn a_reader_on_another_thread_is_woken_by_a_change_only() {
        let newest = Newest::new();
        let mut reader = newest.reader();
        newest.offer(7, now()).unwrap();
        let there = newest.clone();
        std::thread::spawn(move || {
            assert!(there.offer(6, now()).is_err());
            there.offer(8, now()).unwrap();
        });
        while reader.current().map(|value| **value) != Some(8) {
            assert!(reader.changed().await);
        }
        drop(newest);
        assert!(!reader.changed().await);
    }

    proptest! {
        #[test]
        fn what_is_in_force_is_the_greatest_of_what_was_offered(offers: Vec<u32>) {
            let newest = Newest::new();
            let mut reader = newest.reader();
            let mut greatest = None;
            for offer in offers.into_iter().map(u64::from) {
                let newer = greatest.is_none_or(|greatest| offer > greatest)
                    && Revision(offer).supersedes(None, now()).is_ok();
                prop_assert_eq!(newest.offer(offer, now()).is_ok(), newer);
                greatest = if newer { Some(offer) } else { greatest };
                prop_assert_eq!(reader.current().map(|value| **value), greatest);
            }
        }
    }
}
