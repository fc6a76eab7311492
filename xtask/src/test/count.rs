//! Counting from what test programs print.

use std::fmt;

/// How many tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

// === impl Count ===

impl Count {
    /// Adds what this line says, if it is the summary of a test program.
    pub(super) fn add(&mut self, line: &str) {
        let Some(summary) = line.strip_prefix("test result: ") else { return };
        self.passed += number_before(summary, " passed").unwrap_or(0);
        self.failed += number_before(summary, " failed").unwrap_or(0);
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

fn number_before(text: &str, word: &str) -> Option<usize> {
    let (before, _) = text.split_once(word)?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_added_up_and_other_lines_are_not() {
        let mut count = Count::default();
        for line in [
            "running 5 tests",
            "test a::b ... ok",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.37s",
            "test result: FAILED. 4 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 13.47s",
            "a test prints: test result: ok. 100 passed; 100 failed",
        ] {
            count.add(line);
        }
        assert_eq!(count, Count { passed: 16, failed: 3 });
        assert_eq!(count.to_string(), "16 passed, 3 failed");
    }
}
