//! How an object stands, as its conditions say it.

use std::collections::BTreeSet;

use serde_json::Value;
use sidegate_crds::condition::ConditionType;

/// Ready, or why not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    problem: Option<String>,
    remarks: Vec<String>,
}

// === impl Standing ===

impl Standing {
    #[cfg(test)]
    pub(super) fn ready() -> Self {
        Self::default()
    }

    /// What the conditions of an object say.
    pub(crate) fn of(object: &Value) -> Self {
        let conditions = object["status"]["conditions"].as_array();
        let find = |kind: &str| conditions?.iter().find(|condition| condition["type"] == kind);
        let problem = match (find("Ready"), find("Accepted")) {
            (Some(ready), _) if ready["status"] == "True" => None,
            (ready, Some(accepted)) if accepted["status"] != "True" => {
                Some(words(accepted)).or(ready.map(words))
            }
            (Some(ready), _) => Some(words(ready)),
            (None, _) => Some("Pending".to_owned()),
        };
        let problems = [ConditionType::NotEnforced, ConditionType::RuleShadowed];
        let remarks = problems.iter().filter_map(|kind| find(kind.as_str()));
        let remarks = remarks.filter(|condition| condition["status"] == "True").map(words).collect();
        Self { problem, remarks }
    }

    /// Why it is not ready: reason and message.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// What its owner should know though it is ready: that nothing is enforced, say.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = &str> {
        self.remarks.iter().map(String::as_str)
    }
}

/// The scopes that the Gates admit, over all of them.
pub(super) fn scopes(object: &Value) -> Vec<String> {
    let gates = object["status"]["gates"].as_array().into_iter().flatten();
    let scopes = gates.flat_map(|gate| gate["scopes"].as_array().into_iter().flatten());
    let all: BTreeSet<String> = scopes.filter_map(|scope| scope.as_str().map(str::to_owned)).collect();
    all.into_iter().collect()
}

fn words(condition: &Value) -> String {
    let text = |key: &str| condition[key].as_str().unwrap_or_default();
    match text("message") {
        "" => text("reason").to_owned(),
        message => format!("{}: {message}", text("reason")),
    }
}
