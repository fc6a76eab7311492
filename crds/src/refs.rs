//! How one object speaks of others: namespaces by name or by label.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::law;

/// Which namespaces.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = law::NAMES_WITH_FROM.rule(), validation = law::SELECTOR_WITH_FROM.rule())]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// Same: the namespace of this object. Names: those listed in names. Selector: those whose
    /// labels fit selector. All: every namespace.
    pub from: From,

    /// The namespaces, at most 256; with from: Names only. Example: [team-a, team-b].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 63)))]
    #[x_kube(validation = law::NAMESPACES.rule())]
    pub names: Option<Vec<String>>,

    /// What the namespace's labels must be; with from: Selector only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// How namespaces are chosen.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum From {
    /// The object's own.
    #[default]
    Same,
    /// By name.
    Names,
    /// By label.
    Selector,
    /// Every one.
    All,
}

/// What labels must be; everything that is set must hold.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = law::SELECTOR_NOT_EMPTY.rule())]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must have exactly these values, at most 32. Example: {team: a}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::labels")]
    pub match_labels: BTreeMap<String, String>,

    /// Further conditions on labels, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub match_expressions: Vec<LabelExpression>,
}

/// One condition on a label.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = law::EXPRESSION_VALUES.rule())]
#[serde(rename_all = "camelCase")]
pub struct LabelExpression {
    /// The label's name. Example: kubernetes.io/metadata.name.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// In: the label has one of the values. NotIn: it is absent or has none of them. Exists and
    /// DoesNotExist: without values.
    pub operator: LabelOperator,
    /// The values for In and NotIn, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = crate::schema::undescribed)]
pub enum LabelOperator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// It is not.
    DoesNotExist,
}

// === impl NamespaceSelector ===

impl NamespaceSelector {
    /// Is `namespace`, with these labels, one of them? `own` is the namespace of the object that
    /// holds this selector.
    pub fn selects(&self, own: &str, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        match self.from {
            From::Same => namespace == own,
            From::Names => self.names.iter().flatten().any(|name| name == namespace),
            // A selector that is missing selects nothing: closed by default.
            From::Selector => self.selector.as_ref().is_some_and(|selector| selector.matches(labels)),
            From::All => true,
        }
    }
}

// === impl LabelSelector ===

impl LabelSelector {
    /// Do these labels meet every condition? None at all is met by no labels: closed by default.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let empty = self.match_labels.is_empty() && self.match_expressions.is_empty();
        !empty
            && self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|expression| expression.matches(labels))
    }
}

// === impl LabelExpression ===

impl LabelExpression {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            LabelOperator::In => value.is_some_and(|value| self.values.contains(value)),
            LabelOperator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_selector_selects_the_namespaces_that_it_names() {
        let team_a = labels(&[("team", "a")]);
        let read = |text: &str| serde_saphyr::from_str::<NamespaceSelector>(text).unwrap();
        for (selector, own, selected) in [
            ("{from: Same}", "team-a", true),
            ("{from: Same}", "dify", false),
            ("{from: All}", "dify", true),
            ("{from: Names, names: [team-b, team-a]}", "dify", true),
            ("{from: Names, names: [team]}", "team-a", false),
            ("{from: Names}", "team-a", false),
            ("{from: Selector}", "team-a", false),
            ("{from: Selector, selector: {}}", "team-a", false),
            ("{from: Selector, selector: {matchLabels: {team: a}}}", "dify", true),
            ("{from: Selector, selector: {matchLabels: {team: b}}}", "dify", false),
            ("{from: Selector, selector: {matchLabels: {team: a, stage: x}}}", "dify", false),
        ] {
            assert_eq!(read(selector).selects(own, "team-a", &team_a), selected, "{selector} in {own}");
        }
    }

    #[test]
    fn expressions_hold_as_kubernetes_says() {
        let team_a = labels(&[("team", "a")]);
        for (expression, holds) in [
            ("{key: team, operator: In, values: [b, a]}", true),
            ("{key: team, operator: In, values: [b]}", false),
            ("{key: stage, operator: In, values: [a]}", false),
            ("{key: team, operator: NotIn, values: [a]}", false),
            ("{key: team, operator: NotIn, values: [b]}", true),
            ("{key: stage, operator: NotIn, values: [a]}", true),
            ("{key: team, operator: Exists}", true),
            ("{key: stage, operator: Exists}", false),
            ("{key: team, operator: DoesNotExist}", false),
            ("{key: stage, operator: DoesNotExist}", true),
        ] {
            let expression: LabelExpression = serde_saphyr::from_str(expression).unwrap();
            assert_eq!(expression.matches(&team_a), holds, "{expression:?}");
        }
    }
}
