//! Does every part of a Gate run that must? One that has panicked never comes back by itself, and
//! the rest would go on looking well.

use std::sync::{Arc, OnceLock};

/// Clones are handles to the same one.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    dead: Arc<OnceLock<&'static str>>,
}

/// Held by a part as long as it runs. Dropped before [`Part::done`], it says that the part is dead.
#[derive(Debug)]
pub(crate) struct Part {
    name: &'static str,
    vitals: Vitals,
    done: bool,
}

// === impl Vitals ===

impl Vitals {
    /// The first part that ended though nobody had asked it to; `None`: all of them run, or have
    /// stopped in good order.
    pub fn why_dead(&self) -> Option<String> {
        self.dead.get().map(|name| format!("{name} has ended by an error"))
    }

    pub(crate) fn part(&self, name: &'static str) -> Part {
        Part { name, vitals: self.clone(), done: false }
    }
}

// === impl Part ===

impl Part {
    /// It has stopped in good order.
    pub(crate) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.done && self.vitals.dead.set(self.name).is_ok() {
            tracing::error!(part = self.name, "a part of the gate has ended by an error");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroUsize, time::Duration};

    use super::*;
    use crate::accept::Workers;

    #[test]
    fn a_part_that_panics_is_dead_and_one_that_is_done_is_not() {
        let vitals = Vitals::default();
        vitals.part("the acceptor").done();
        assert_eq!(vitals.why_dead(), None);
        let workers = Workers::start(NonZeroUsize::MIN).unwrap();
        let part = vitals.part("a worker");
        let (told, ended) = std::sync::mpsc::channel::<()>();
        workers.spawn(0, move || async move {
            let _told = told;
            let _part = part;
            panic!("as if by a mistake");
        });
        assert!(ended.recv_timeout(Duration::from_secs(5)).is_err());
        // What the job held is dropped last first.
        assert_eq!(vitals.why_dead().as_deref(), Some("a worker has ended by an error"));
    }
}
