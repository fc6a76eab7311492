use proptest::prelude::*;

use super::*;

fn held_by(holder: &str) -> LeaseState {
    LeaseState { holder: Some(holder.to_owned()), duration: LEASE_DURATION, resource_version: "1".to_owned() }
}

#[test]
fn what_to_do_about_a_lease() {
    let second = Duration::from_secs;
    let nobody = LeaseState { holder: None, ..held_by("") };
    for (state, unchanged, decision) in [
        (None, 0, Decision::Create),
        (Some(nobody), 0, Decision::Take),
        (Some(held_by("")), 0, Decision::Take),
        (Some(held_by("me")), 0, Decision::Renew),
        (Some(held_by("me")), 99, Decision::Renew),
        (Some(held_by("other")), 0, Decision::Wait(second(2))),
        (Some(held_by("other")), 14, Decision::Wait(second(1))),
        (Some(held_by("other")), 15, Decision::Take),
    ] {
        assert_eq!(
            decide(state.as_ref(), second(unchanged), "me"),
            decision,
            "{state:?} after {unchanged} s"
        );
    }
}

#[test]
fn taking_over_counts_a_transition_and_taking_again_does_not() {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let mine = taken(Lease::default(), "me", now);
    let again = taken(mine.clone(), "me", now + Duration::from_secs(5));
    let theirs = taken(again.clone(), "other", now + Duration::from_secs(9));
    let transitions = |lease: &Lease| lease.spec.as_ref().unwrap().lease_transitions.unwrap();
    let acquired = |lease: &Lease| lease.spec.as_ref().unwrap().acquire_time.clone().unwrap().0;
    assert_eq!([&mine, &again, &theirs].map(transitions), [1, 1, 2]);
    assert_eq!([&mine, &again, &theirs].map(acquired), [now, now, now + Duration::from_secs(9)]);
}

/// An API server with one Lease, and candidates that look at it at their own pace.
struct Election {
    /// Milliseconds since the beginning.
    now: u64,
    record: Option<LeaseState>,
    version: u64,
    candidates: Vec<Simulated>,
}

struct Simulated {
    name: String,
    seen: Option<(String, u64)>,
    /// Until when it believes that it leads.
    leads_until: u64,
}

impl Election {
    fn new(candidates: usize) -> Self {
        let candidates = (0..candidates)
            .map(|index| Simulated { name: format!("candidate-{index}"), seen: None, leads_until: 0 })
            .collect();
        Self { now: 0, record: None, version: 0, candidates }
    }

    /// One candidate looks, and writes after `delay`, if nobody wrote in between.
    fn step(&mut self, index: usize, delay: u64) {
        let read = self.record.clone();
        let candidate = &mut self.candidates[index];
        let version = read.as_ref().map(|state| state.resource_version.clone());
        if candidate.seen.as_ref().map(|(version, _)| version) != version.as_ref() {
            candidate.seen = version.map(|version| (version, self.now));
        }
        let since = candidate.seen.as_ref().map_or(self.now, |(_, since)| *since);
        let unchanged = Duration::from_millis(self.now - since);
        let decision = decide(read.as_ref(), unchanged, &candidate.name);
        if let Decision::Wait(_) = decision {
            return;
        }
        let sent = self.now;
        self.now += delay;
        self.version += 1;
        self.record =
            Some(LeaseState { resource_version: self.version.to_string(), ..held_by(&candidate.name) });
        candidate.leads_until = sent + u64::try_from(RENEW_DEADLINE.as_millis()).unwrap();
    }

    fn leaders(&self) -> usize {
        self.candidates.iter().filter(|candidate| candidate.leads_until > self.now).count()
    }
}

proptest! {
    /// However long requests take and whoever sleeps how long, two never lead at once, and
    /// somebody leads again once the others are silent.
    #[test]
    fn at_most_one_leads(steps in prop::collection::vec((0usize..3, 0u64..5_000, 0u64..20_000), 1..200)) {
        let mut election = Election::new(3);
        for (candidate, delay, pause) in steps {
            election.step(candidate, delay);
            prop_assert!(election.leaders() <= 1, "at {} ms", election.now);
            election.now += pause;
        }
        for _ in 0..20 {
            election.now += 1_000;
            election.step(1, 0);
        }
        prop_assert_eq!(election.leaders(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_term_that_is_not_renewed_ends_by_itself() {
    let tenure = Tenure::from(Instant::now());
    tokio::time::advance(Duration::from_millis(9_999)).await;
    assert!(tenure.lasts());
    tenure.renew(Instant::now());
    tokio::time::advance(RENEW_DEADLINE).await;
    assert!(!tenure.lasts());
}
