//! Counting from what test programs print.

use std::fmt;

/// How many tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

/// What was read of the output of test programs that ran one after the other.
#[derive(Debug, Default)]
pub(super) struct Output {
    count: Count,
    /// Whether one has started whose summary has not come.
    under_way: bool,
    broken_off: usize,
}

// === impl Output ===

impl Output {
    /// Takes in a line.
    pub(super) fn read(&mut self, line: &str) {
        if is_start(line) {
            self.broken_off += usize::from(self.under_way);
            self.under_way = true;
        } else if let Some(summary) = line.strip_prefix("test result: ") {
            self.under_way = false;
            self.count.passed += number_before(summary, " passed").unwrap_or(0);
            self.count.failed += number_before(summary, " failed").unwrap_or(0);
        }
    }

    /// The tests of programs that came to their end, and how many programs did not.
    pub(super) fn end(self) -> (Count, usize) {
        (self.count, self.broken_off + usize::from(self.under_way))
    }
}

// === impl Count ===

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// `running 12 tests`
fn is_start(line: &str) -> bool {
    let count = line.strip_prefix("running ").and_then(|rest| rest.split_once(" test"));
    count.is_some_and(|(number, end)| number.parse::<usize>().is_ok() && matches!(end, "" | "s"))
}

fn number_before(text: &str, word: &str) -> Option<usize> {
    let (before, _) = text.split_once(word)?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> (String, usize) {
        let mut output = Output::default();
        for line in lines {
            output.read(line);
        }
        let (count, broken_off) = output.end();
        (count.to_string(), broken_off)
    }

    #[test]
    fn summaries_are_added_up_and_other_lines_are_not() {
        let lines = [
            "running 13 tests",
            "test a::b ... ok",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.37s",
            "running 7 tests",
            "test result: FAILED. 4 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 13.47s",
            "a test prints: test result: ok. 100 passed; 100 failed",
        ];
        assert_eq!(read(&lines), ("16 passed, 3 failed".to_owned(), 0));
    }

    #[test]
    fn a_program_without_a_summary_broke_off() {
        let lines =
            ["running 1 test", "running 2 tests", "test result: ok. 2 passed; 0 failed;", "running 3 tests"];
        assert_eq!(read(&lines), ("2 passed, 0 failed".to_owned(), 2));
    }
}
