//! Which test programs make up a suite: those whose first required feature has its name.
//!
//! So a test file says itself, in `tests/Cargo.toml`, where it belongs, and no list here can forget it.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::workspace::{cargo, output};

/// The package that the features are of.
const PACKAGE: &str = "sidegate-tests";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    #[serde(rename = "required-features", default)]
    required_features: Vec<String>,
}

/// What `cargo test` is told in order to run the suite of this feature.
pub(super) fn arguments(feature: &str) -> Result<Vec<String>> {
    arguments_from(
        &output(cargo().args(["metadata", "--format-version=1", "--no-deps", "--quiet"]))?,
        feature,
    )
}

fn arguments_from(metadata: &str, feature: &str) -> Result<Vec<String>> {
    let metadata: Metadata = serde_json::from_str(metadata).context("cargo metadata is not as expected")?;
    let package = metadata.packages.into_iter().find(|package| package.name == PACKAGE);
    let targets = package.with_context(|| format!("there is no package {PACKAGE}"))?.targets;
    let (mut features, mut names) = (BTreeSet::new(), Vec::new());
    for target in targets {
        let ours = target.required_features.first().is_some_and(|first| first == feature);
        if ours && target.kind == ["test"] {
            features.extend(target.required_features);
            names.extend(["--test".to_owned(), target.name]);
        }
    }
    anyhow::ensure!(!names.is_empty(), "no test of {PACKAGE} has the required feature {feature}");
    let features: Vec<_> = features.into_iter().map(|feature| format!("{PACKAGE}/{feature}")).collect();
    // As a part of the whole workspace: for a package alone, cargo would choose other features of dependencies, and
    // compile them once more.
    let mut arguments = vec!["--workspace".to_owned(), "--features".to_owned(), features.join(",")];
    arguments.extend(names);
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_the_tests_whose_first_feature_it_is() {
        let metadata = r#"{"packages": [
            {"name": "other", "targets": [{"name": "x", "kind": ["test"], "required-features": ["apiserver"]}]},
            {"name": "sidegate-tests", "targets": [
                {"name": "sidegate_tests", "kind": ["lib"]},
                {"name": "plain", "kind": ["test"]},
                {"name": "a", "kind": ["test"], "required-features": ["apiserver"]},
                {"name": "b", "kind": ["test"], "required-features": ["apiserver", "dataplane"]},
                {"name": "c", "kind": ["bench"], "required-features": ["apiserver"]},
                {"name": "d", "kind": ["test"], "required-features": ["dataplane"]}
            ]}
        ]}"#;
        let told = |feature| arguments_from(metadata, feature).map(|arguments| arguments.join(" "));
        let features = "--workspace --features sidegate-tests/";
        assert_eq!(
            told("apiserver").unwrap(),
            format!("{features}apiserver,sidegate-tests/dataplane --test a --test b")
        );
        assert_eq!(told("dataplane").unwrap(), format!("{features}dataplane --test d"));
        assert!(told("cluster").is_err());
    }
}
