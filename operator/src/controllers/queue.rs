//! The queue: who is planned when. An object is never planned twice at once; what happens to it
//! while it is being carried out plans it again afterwards.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::{execute::Class, world::ObjectRef};

/// Objects and when they are due.
#[derive(Debug, Default)]
pub(super) struct Queue {
    states: HashMap<ObjectRef, State>,
    due: BTreeSet<(Timestamp, ObjectRef)>,
    running: usize,
}

#[derive(Debug, Default)]
struct State {
    /// When it is due; it stands in `due` if it is not running.
    at: Option<Timestamp>,
    running: bool,
    /// How often it failed since it last succeeded.
    failures: u32,
}

// === impl Queue ===

impl Queue {
    /// Plans `object` at `at`, or earlier if that is due already.
    pub(super) fn push(&mut self, object: &ObjectRef, at: Timestamp) {
        let state = self.states.entry(object.clone()).or_default();
        if state.at.is_some_and(|before| before <= at) {
            return;
        }
        if !state.running {
            if let Some(before) = state.at {
                self.due.remove(&(before, object.clone()));
            }
            self.due.insert((at, object.clone()));
        }
        state.at = Some(at);
    }

    /// Takes out an object that is due; it is running until [`done`](Self::done).
    pub(super) fn next(&mut self, now: Timestamp) -> Option<ObjectRef> {
        let (_, object) = self.due.first().filter(|(at, _)| *at <= now)?.clone();
        self.due.pop_first();
        let state = self.states.entry(object.clone()).or_default();
        state.at = None;
        state.running = true;
        self.running += 1;
        Some(object)
    }

    /// The object has been carried out, or has failed. `jitter` is between 0 and 1.
    pub(super) fn done(&mut self, object: &ObjectRef, failed: Option<Class>, now: Timestamp, jitter: f64) {
        let Some(state) = self.states.get_mut(object) else { return };
        state.running = false;
        self.running -= 1;
        let Some(class) = failed else {
            state.failures = 0;
            match state.at {
                Some(at) => {
                    self.due.insert((at, object.clone()));
                }
                None => {
                    self.states.remove(object);
                }
            }
            return;
        };
        let retry = now + back_off(class, state.failures, jitter);
        state.failures = state.failures.saturating_add(1);
        // What was pushed meanwhile says that something changed. For a conflict that is the very
        // thing that is waited for; anything else keeps its distance.
        let at = match (class, state.at) {
            (Class::Conflict | Class::User, Some(pushed)) => pushed.min(retry),
            _ => retry,
        };
        state.at = Some(at);
        self.due.insert((at, object.clone()));
    }

    /// When the next object is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// How many objects are due at `now` and wait.
    pub(super) fn depth(&self, now: Timestamp) -> usize {
        self.due.iter().take_while(|(at, _)| *at <= now).count()
    }

    /// How many objects are being carried out.
    pub(super) fn running(&self) -> usize {
        self.running
    }
}

/// How long to wait after the `failures`-th failure in a row.
fn back_off(class: Class, failures: u32, jitter: f64) -> SignedDuration {
    let (first, most) = match class {
        Class::Conflict => (10, 1_000),
        Class::Transient => (200, 30_000),
        Class::User => (5_000, 300_000),
        Class::Bug => (60_000, 600_000),
    };
    let millis: i64 = (first << failures.min(12)).min(most);
    // Between half and all of it, so that many objects do not come back at once.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // at most 600,000
    let jittered = (millis as f64 * (0.5 + jitter / 2.0)) as i64;
    SignedDuration::from_millis(jittered)
}

#[cfg(test)]
mod tests {
    use sidegate_bundle::gate::GateName;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn object(name: &str) -> ObjectRef {
        ObjectRef::Gate(GateName::new("ns", name))
    }

    #[test]
    fn an_object_is_due_once_at_the_earliest_time_that_was_asked_for() {
        let mut queue = Queue::default();
        for second in [20, 10, 30] {
            queue.push(&object("a"), at(second));
        }
        assert_eq!(queue.next(at(9)), None);
        assert_eq!(queue.next(at(10)), Some(object("a")));
        assert_eq!(queue.next(at(99)), None);
    }

    #[test]
    fn what_changes_while_it_is_carried_out_is_planned_again_afterwards() {
        let mut queue = Queue::default();
        queue.push(&object("a"), at(1));
        assert_eq!(queue.next(at(1)), Some(object("a")));
        queue.push(&object("a"), at(2));
        assert_eq!(queue.next(at(5)), None, "never twice at once");
        queue.done(&object("a"), None, at(5), 0.0);
        assert_eq!(queue.next(at(5)), Some(object("a")));
        queue.done(&object("a"), None, at(6), 0.0);
        assert_eq!((queue.next_due(), queue.running()), (None, 0));
    }

    #[test]
    fn failures_wait_longer_each_time_up_to_a_limit_by_class() {
        let waits = |class, jitter| -> Vec<i64> {
            let mut queue = Queue::default();
            queue.push(&object("a"), at(0));
            let mut now = at(0);
            (0..14)
                .map(|_| {
                    queue.next(now).unwrap();
                    queue.done(&object("a"), Some(class), now, jitter);
                    let due = queue.next_due().unwrap();
                    let wait = due.duration_since(now).as_millis();
                    now = due;
                    i64::try_from(wait).unwrap()
                })
                .collect()
        };
        assert_eq!(waits(Class::Transient, 1.0)[..4], [200, 400, 800, 1600]);
        assert_eq!(waits(Class::Transient, 0.0)[..2], [100, 200]);
        for (class, most) in [
            (Class::Conflict, 1_000),
            (Class::Transient, 30_000),
            (Class::User, 300_000),
            (Class::Bug, 600_000),
        ] {
            assert_eq!(waits(class, 1.0).last(), Some(&most), "{class:?}");
        }
    }

    #[test]
    fn success_forgets_failures() {
        let mut queue = Queue::default();
        for failed in [Some(Class::Transient), Some(Class::Transient), None, Some(Class::Transient)] {
            queue.push(&object("a"), at(0));
            let now = queue.next_due().unwrap();
            queue.next(now).unwrap();
            queue.push(&object("a"), at(1_000));
            queue.done(&object("a"), failed, now, 1.0);
        }
        assert_eq!(queue.states[&object("a")].failures, 1);
    }

    #[test]
    fn a_change_ends_the_wait_after_a_conflict_or_a_user_s_error_but_not_after_ours() {
        for (class, at_once) in
            [(Class::Conflict, true), (Class::User, true), (Class::Transient, false), (Class::Bug, false)]
        {
            let mut queue = Queue::default();
            queue.push(&object("a"), at(0));
            queue.next(at(0)).unwrap();
            queue.push(&object("a"), at(0));
            queue.done(&object("a"), Some(class), at(0), 1.0);
            assert_eq!(queue.next(at(0)).is_some(), at_once, "{class:?}");
        }
    }
}
