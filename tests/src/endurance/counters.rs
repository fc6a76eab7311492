//! What a process counts, from its `/metrics`.

use anyhow::{Context, Result};

use crate::http;

/// All series at one moment.
#[derive(Debug, Clone)]
pub struct Counters(String);

// === impl Counters ===

impl Counters {
    /// As they are now.
    pub async fn read(admin: &str) -> Result<Self> {
        Ok(Self(http::get(admin, "/metrics").await?.text()))
    }

    /// The sum of a metric's series that have this label, written as `reason="expired"`; all of them if it is empty.
    pub fn sum(&self, metric: &str, label: &str) -> Result<u64> {
        let mut found = None;
        for line in self.0.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').with_context(|| format!("no series: {line}"))?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            if name == metric && labels.contains(label) {
                found = Some(found.unwrap_or(0) + value.parse::<u64>()?);
            }
        }
        found.with_context(|| format!("no series {metric} with {label:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_name_and_label() {
        let text = "# TYPE a counter\na_total{g=\"x\",r=\"1\"} 2\na_total{g=\"y\",r=\"1\"} 3\na_total{g=\"y\",r=\"2\"} 4\nb 1\n";
        let counters = Counters(text.to_owned());
        assert_eq!(counters.sum("a_total", "r=\"1\"").unwrap(), 5);
        assert_eq!(counters.sum("a_total", "").unwrap(), 9);
        assert_eq!(counters.sum("b", "").unwrap(), 1);
        assert!(counters.sum("a_total", "r=\"3\"").is_err());
    }
}
