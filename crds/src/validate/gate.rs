//! The rules about a Gate.

use std::collections::BTreeSet;

use super::{Report, syntax};
use crate::{
    Duration,
    gate::{
        Admit, ApiKeys, Forward, GateRule, GateSpec, Match, PathMatch, PathType, Port, Protocol, Require,
    },
    law,
    refs::{From, LabelOperator, LabelSelector, NamespaceSelector},
};

pub(super) fn spec(spec: &GateSpec, report: &mut Report) {
    ports(&spec.ports, report);
    for (index, entry) in spec.admit.iter().flatten().enumerate() {
        admit(entry, &format!("spec.admit[{index}]"), report);
    }
    if let Some(keys) = &spec.api_keys {
        api_keys(keys, report);
    }
    report.hold_if(spec.public_url.as_deref(), syntax::origin, "spec.publicUrl", &law::PUBLIC_URL);
    let extra = spec.methods.as_ref().map(|methods| methods.extra.as_slice()).unwrap_or_default();
    report.hold(extra.iter().all(|method| syntax::method(method)), "spec.methods.extra", &law::METHODS);
    if let Some(forward) = &spec.forward {
        forwarded(forward, report);
    }
    if let Some(rules) = &spec.rules {
        rule_list(rules, extra, report);
    }
}

fn ports(ports: &[Port], report: &mut Report) {
    for (index, port) in ports.iter().enumerate() {
        let free = ![15_806, 15_821, 15_898].contains(&port.port);
        report.hold(free, format_args!("spec.ports[{index}].port"), &law::PORT_FREE);
    }
    let distinct: BTreeSet<_> =
        ports.iter().map(|port| (port.port, port.protocol() == Protocol::UDP)).collect();
    report.hold(distinct.len() == ports.len(), "spec.ports", &law::PORTS_DISTINCT);
    let http = ports.iter().any(|port| port.protocol() == Protocol::HTTP);
    report.hold(http, "spec.ports", &law::PORTS_HTTP);
}

fn admit(entry: &Admit, path: &str, report: &mut Report) {
    namespaces(&entry.namespaces, &format!("{path}.namespaces"), report);
    scopes(entry.scopes.as_deref(), &format!("{path}.scopes"), report);
    tenants(entry.tenants.as_deref(), &format!("{path}.tenants"), report);
    let bounds = Duration::from_minutes(5)..=Duration::from_hours(87_600);
    report.hold_if(
        entry.max_lifetime.as_ref(),
        |lifetime| bounds.contains(lifetime),
        format_args!("{path}.maxLifetime"),
        &law::MAX_LIFETIME,
    );
}

fn namespaces(namespaces: &NamespaceSelector, path: &str, report: &mut Report) {
    let by_name = namespaces.from == From::Names;
    report.hold(namespaces.names.is_some() == by_name, path, &law::NAMES_WITH_FROM);
    let by_label = namespaces.from == From::Selector;
    report.hold(namespaces.selector.is_some() == by_label, path, &law::SELECTOR_WITH_FROM);
    let named = namespaces.names.iter().flatten().all(|name| syntax::dns_label(name));
    report.hold(named, format_args!("{path}.names"), &law::NAMESPACES);
    if let Some(selector) = &namespaces.selector {
        label_selector(selector, &format!("{path}.selector"), report);
    }
}

fn label_selector(selector: &LabelSelector, path: &str, report: &mut Report) {
    let empty = selector.match_labels.is_empty() && selector.match_expressions.is_empty();
    report.hold(!empty, path, &law::SELECTOR_NOT_EMPTY);
    for (index, expression) in selector.match_expressions.iter().enumerate() {
        let wanted = matches!(expression.operator, LabelOperator::In | LabelOperator::NotIn);
        let path = format_args!("{path}.matchExpressions[{index}]").to_string();
        report.hold(wanted != expression.values.is_empty(), path, &law::EXPRESSION_VALUES);
    }
}

fn api_keys(keys: &ApiKeys, report: &mut Report) {
    if let Some(headers) = &keys.headers {
        let path = "spec.apiKeys.headers";
        report.hold(headers.iter().all(|header| syntax::header_name(header)), path, &law::HEADER_NAMES);
        let lower: Vec<_> = headers.iter().map(|header| header.to_ascii_lowercase()).collect();
        let free = |header: &String| {
            !law::NOT_FOR_KEYS.contains(&header.as_str())
                && !law::NOT_FOR_KEYS_PREFIXES.iter().any(|prefix| header.starts_with(prefix))
        };
        report.hold(lower.iter().all(free), path, &law::KEY_HEADERS_FREE);
        let distinct = lower.iter().collect::<BTreeSet<_>>().len() == lower.len();
        report.hold(distinct, path, &law::HEADERS_DISTINCT);
    }
    report.hold_if(
        keys.invalid_status.as_ref(),
        |status| [401, 403].contains(status),
        "spec.apiKeys.invalidStatus",
        &law::INVALID_STATUS,
    );
}

fn forwarded(forward: &Forward, report: &mut Report) {
    let trusted = forward.trusted_proxies.iter().all(|network| syntax::cidr(network));
    report.hold(trusted, "spec.forward.trustedProxies", &law::TRUSTED_PROXIES);
    let path = "spec.forward.removeHeaders";
    let named = forward.remove_headers.iter().all(|header| syntax::header_name(header));
    report.hold(named, path, &law::HEADER_NAMES);
    let free = |header: &String| {
        let header = header.to_ascii_lowercase();
        !law::NOT_REMOVED.contains(&header.as_str()) && !header.starts_with("x-sidegate-")
    };
    report.hold(forward.remove_headers.iter().all(free), path, &law::REMOVED_HEADERS_FREE);
}

fn rule_list(rules: &[GateRule], extra: &[String], report: &mut Report) {
    let names: Vec<_> = rules.iter().filter_map(|rule| rule.name.as_deref()).collect();
    let distinct = names.iter().collect::<BTreeSet<_>>().len() == names.len();
    report.hold(distinct, "spec.rules", &law::RULE_NAMES_DISTINCT);
    let mut methods = rules
        .iter()
        .flat_map(|rule| rule.matches.iter().flatten())
        .flat_map(|entry| entry.methods.iter().flatten());
    let known = methods.all(|method| law::KNOWN_METHODS.contains(&method.as_str()) || extra.contains(method));
    report.hold(known, "spec.rules", &law::METHOD_OF_A_RULE);
    for (index, rule) in rules.iter().enumerate() {
        one_rule(rule, &format!("spec.rules[{index}]"), report);
    }
}

fn one_rule(rule: &GateRule, path: &str, report: &mut Report) {
    report.hold_if(rule.name.as_deref(), syntax::dashed_word, format_args!("{path}.name"), &law::RULE_NAME);
    report.hold(rule.allow.is_some() != rule.require.is_some(), path, &law::ALLOW_OR_REQUIRE);
    for (index, entry) in rule.matches.iter().flatten().enumerate() {
        one_match(entry, &format!("{path}.match[{index}]"), report);
    }
    if let Some(require) = &rule.require {
        requirement(require, &format!("{path}.require"), report);
    }
}

fn one_match(entry: &Match, path: &str, report: &mut Report) {
    report.hold(entry.path.is_some() || entry.methods.is_some(), path, &law::MATCH_NOT_EMPTY);
    let methods = entry.methods.iter().flatten().all(|method| syntax::method(method));
    report.hold(methods, format_args!("{path}.methods"), &law::METHODS);
    if let Some(PathMatch { kind, value }) = &entry.path {
        let at_value = format!("{path}.path.value");
        report.hold(syntax::path_characters(value), &at_value, &law::PATH_CHARACTERS);
        report.hold(syntax::path_normal(value), &at_value, &law::PATH_NORMAL);
        let bare = *kind != PathType::PathPrefix || value == "/" || !value.ends_with('/');
        report.hold(bare, format_args!("{path}.path"), &law::PREFIX_WITHOUT_SLASH);
    }
}

fn requirement(require: &Require, path: &str, report: &mut Report) {
    let Require { scopes: all, any_scopes, tenants: of, types, groups } = require;
    let empty = all.is_none() && any_scopes.is_none() && of.is_none() && types.is_none() && groups.is_none();
    report.hold(!empty, path, &law::REQUIRE_NOT_EMPTY);
    scopes(all.as_deref(), &format!("{path}.scopes"), report);
    scopes(any_scopes.as_deref(), &format!("{path}.anyScopes"), report);
    tenants(of.as_deref(), &format!("{path}.tenants"), report);
}

fn scopes(scopes: Option<&[String]>, path: &str, report: &mut Report) {
    report.hold_if(scopes, |scopes| scopes.iter().all(|scope| syntax::scope(scope)), path, &law::SCOPES);
}

fn tenants(tenants: Option<&[String]>, path: &str, report: &mut Report) {
    let good = |tenants: &[String]| tenants.iter().all(|tenant| syntax::tenant_or_namespace(tenant));
    report.hold_if(tenants, good, path, &law::TENANTS);
}
