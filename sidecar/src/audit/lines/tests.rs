use std::{borrow::Cow, sync::mpsc::channel};

use serde_json::Value;
use sidegate_bundle::{audit::Decision, denial::Denial};

use super::*;

/// What was written, to be read by the test.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

/// A reader that takes nothing until it is let.
struct Stuck(Receiver<()>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    /// Each line's status, reason, count, rule, subject and method.
    fn rows(&self) -> Vec<[String; 6]> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let row = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            [
                "/status",
                "/status_detail",
                "/count",
                "/unmapped/rule",
                "/user/uid",
                "/http_request/http_method",
            ]
            .map(|path| match line.pointer(path) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            })
        };
        text.lines().map(row).collect()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn gate() -> GateName {
    GateName::new("dify", "api")
}

/// Tells one decision, of a Gate that wants allowed requests aggregated.
fn tell(recorder: &mut dyn Recorder, second: i64, denied: Option<&'static str>, what: (&str, &str, &str)) {
    tell_as(AuditAllow::Aggregated, recorder, second, denied, what);
}

fn tell_as(
    allows: AuditAllow,
    recorder: &mut dyn Recorder,
    second: i64,
    denied: Option<&'static str>,
    (subject, rule, method): (&str, &str, &str),
) {
    let gate = gate();
    let actor = Actor { subject: Cow::Borrowed(subject), tenant: Cow::Borrowed("ns:team-a"), key_id: None };
    let decision = Decision {
        time: at(second),
        gate: &gate,
        revision: Some(Revision(42)),
        rule: Some(rule.into()),
        denied,
        enforced: true,
        actor: (!subject.is_empty()).then_some(actor),
        client: "127.0.0.1".parse().unwrap(),
        method,
        path: "/x",
        request_id: "r",
        duration: 7,
    };
    let denial = denied.map(|_| Denial::NoRule);
    recorder.record(&Seen { decision, denial: denial.as_ref(), status: Some(200), allows });
}

fn started() -> (Paper, Lines, Writing) {
    let paper = Paper::default();
    let (lines, writing) = Lines::start(paper.clone()).unwrap();
    (paper, lines, writing)
}

#[test]
fn what_was_allowed_is_a_line_a_minute_for_all_that_is_alike() {
    let (paper, lines, writing) = started();
    let mut recorder = lines.recorder(&gate());
    recorder.flush(at(0), false);
    for second in 0..50 {
        tell(&mut *recorder, second, None, ("key:team-a.ci", "read", "GET"));
    }
    for other in [("", "read", "GET"), ("key:team-a.ci", "rest", "GET"), ("key:team-a.ci", "read", "HEAD")] {
        tell(&mut *recorder, 51, None, other);
    }
    recorder.flush(at(59), false);
    assert_eq!(paper.rows().len(), 0);
    recorder.flush(at(60), false);
    tell(&mut *recorder, 61, None, ("key:team-a.ci", "read", "GET"));
    recorder.flush(at(61), true);
    drop((recorder, lines));
    assert!(writing.finish(Duration::from_secs(5)));
    let mut rows = paper.rows();
    rows.sort();
    let row = |count: &str, rule: &str, subject: &str, method: &str| {
        ["Success", "", count, rule, subject, method].map(str::to_owned)
    };
    let expected = [
        row("1", "read", "", "GET"),
        row("1", "read", "key:team-a.ci", "GET"),
        row("1", "read", "key:team-a.ci", "HEAD"),
        row("1", "rest", "key:team-a.ci", "GET"),
        row("50", "read", "key:team-a.ci", "GET"),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn denials_are_a_line_each_up_to_a_hundred_a_second_over_all_workers_and_then_counted() {
    let (paper, lines, writing) = started();
    let mut recorders = [lines.recorder(&gate()), lines.recorder(&gate())];
    for number in 0..300 {
        tell(&mut *recorders[number % 2], 0, Some("no_rule"), ("", "", "GET"));
    }
    tell(&mut *recorders[0], 0, Some("expired"), ("", "", "GET"));
    // The next second has its own hundred, and tells what the last one left out.
    tell(&mut *recorders[0], 1, Some("no_rule"), ("", "", "GET"));
    recorders[1].flush(at(1), false);
    drop((recorders, lines));
    assert!(writing.finish(Duration::from_secs(5)));
    let rows = paper.rows();
    let of = |word: &str| rows.iter().filter(|row| row[1] == word && row[2].is_empty()).count();
    assert_eq!((of("no_rule"), of("expired")), (101, 1));
    let suppressed: u64 = rows.iter().filter_map(|row| row[2].parse::<u64>().ok()).sum();
    assert_eq!(suppressed, 200);
}

#[test]
fn a_clock_that_is_set_back_silences_nothing() {
    let (paper, lines, writing) = started();
    let mut recorder = lines.recorder(&gate());
    recorder.flush(at(3600), false);
    for _ in 0..101 {
        tell(&mut *recorder, 3600, Some("no_rule"), ("", "", "GET"));
    }
    tell(&mut *recorder, 3600, None, ("key:team-a.ci", "read", "GET"));
    recorder.flush(at(0), false);
    tell(&mut *recorder, 0, Some("no_rule"), ("", "", "GET"));
    recorder.flush(at(1), false);
    let told = || {
        let of = |word: &str| paper.rows().iter().filter(|row| row[1] == word).count();
        (of("no_rule"), of(""))
    };
    // A hundred, how many more there were, and the one after.
    let expected = (102, 1);
    for _ in 0..100 {
        if told() != expected {
            thread::sleep(Duration::from_millis(10));
        }
    }
    assert_eq!(told(), expected);
    drop((recorder, lines));
    assert!(writing.finish(Duration::from_secs(5)));
}

#[test]
fn kinds_without_end_are_told_early_and_none_is_lost() {
    let (paper, lines, writing) = started();
    let mut recorder = lines.recorder(&gate());
    for number in 0..=MAX_KINDS {
        tell(&mut *recorder, 0, None, (&format!("key:team-a.{number}"), "read", "GET"));
    }
    recorder.flush(at(0), true);
    drop((recorder, lines));
    assert!(writing.finish(Duration::from_secs(5)));
    assert_eq!(paper.rows().len(), MAX_KINDS + 1);
}

#[test]
fn a_reader_that_takes_nothing_holds_up_nobody_and_what_is_lost_is_counted() {
    let (_go, stuck) = channel();
    let (lines, writing) = Lines::start(Stuck(stuck)).unwrap();
    let mut recorder = lines.recorder(&gate());
    for second in 0..200 {
        for _ in 0..100 {
            tell(&mut *recorder, second, Some("no_rule"), ("", "", "GET"));
        }
    }
    let lost = usize::try_from(lines.out.lost.load(Ordering::Relaxed)).unwrap();
    assert!(lost >= 20_000 - 2 * QUEUE - 1000, "{lost}");
    drop((recorder, lines));
    assert!(!writing.finish(Duration::from_millis(50)));
}

#[test]
fn a_gate_may_want_allowed_requests_told_each_or_not_at_all() {
    for (allows, allowed) in [(AuditAllow::Each, 3), (AuditAllow::None, 0), (AuditAllow::Aggregated, 1)] {
        let (paper, lines, writing) = started();
        let mut recorder = lines.recorder(&gate());
        for second in 0..3 {
            tell_as(allows, &mut *recorder, second, None, ("key:team-a.ci", "read", "GET"));
        }
        tell_as(allows, &mut *recorder, 3, Some("no_rule"), ("", "", "GET"));
        recorder.flush(at(3), true);
        drop((recorder, lines));
        assert!(writing.finish(Duration::from_secs(5)));
        let rows = paper.rows();
        let count = |status: &str| rows.iter().filter(|row| row[0] == status).count();
        assert_eq!((count("Success"), count("Failure")), (allowed, 1), "{allows:?}: {rows:?}");
    }
}
