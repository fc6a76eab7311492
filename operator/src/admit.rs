//! Who may grant what, with the reason: the one place where a Gate's `admit` is read.
//!
//! A refusal is a value that status, messages and compile all take from here, so that what is
//! said is what is done.

use std::collections::BTreeSet;

use sidegate_bundle::{
    GateBundle, ScopeSet,
    gate::{Access, Rule},
};
use sidegate_crds::{
    Gate,
    api_key::ApiKeySpec,
    credential::Grant,
    gate::{Admit, GateSpec},
    refs,
};

use crate::world::{Labels, ObjectName, World};

/// The prefix of the namespace labels by which an admin lets a namespace have a tenant.
pub const TENANT_LABEL: &str = "tenant.sidegate.dev/";

/// What a credential asks of a Gate.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The credential's namespace.
    pub namespace: &'a str,
    /// That namespace's labels; `None`: it is not known, and no label is believed.
    pub labels: Option<&'a Labels>,
    /// The credential's tenant.
    pub tenant: &'a str,
    /// The scopes asked for.
    pub scopes: &'a ScopeSet,
}

/// What a Gate lets a credential do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// The scopes that were asked for and are admitted.
    pub scopes: ScopeSet,
    /// Those that were asked for and are not.
    pub refused: ScopeSet,
    /// All that would be admitted.
    pub offered: ScopeSet,
}

/// Why a Gate does not let a credential do anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such Gate.
    NoGate,
    /// No entry is about the credential's namespace.
    NotAdmitted,
    /// None of the scopes asked for is admitted.
    Scopes {
        /// All that would be admitted.
        offered: ScopeSet,
        /// Those that were asked for.
        refused: ScopeSet,
    },
    /// The namespace has not the tenant's label.
    TenantWithoutLabel,
    /// The Gate does not admit the tenant.
    TenantNotAdmitted,
}

/// What the Gate of `grant` lets the ApiKey `owner` do.
pub fn grant(
    world: &World,
    owner: &ObjectName,
    spec: &ApiKeySpec,
    grant: &Grant,
) -> Result<Admitted, Refusal> {
    let name = grant.gate_name(&owner.namespace);
    let gate = world.gate(&name).and_then(|known| known.value.live()).ok_or(Refusal::NoGate)?;
    let asked = Asked {
        namespace: &owner.namespace,
        labels: world.namespace(&owner.namespace).map(|known| &known.value),
        tenant: &spec.tenant(&owner.namespace),
        scopes: &scope_set(&grant.scopes),
    };
    admit(gate, &name.namespace, asked)
}

/// What `gate`, in `own`, lets a credential do that asks for this.
pub fn admit(gate: &Gate, own: &str, asked: Asked<'_>) -> Result<Admitted, Refusal> {
    by(&gate.spec, &named_by_rules(&gate.spec), own, asked)
}

/// What a Gate that is not accepted still lets a credential do, with the rules that are in
/// force; `spec`: its own, if what it says of admission can be relied on.
pub fn still(spec: Option<&GateSpec>, in_force: &GateBundle, asked: Asked<'_>) -> Result<Admitted, Refusal> {
    if let Some(spec) = spec {
        return by(spec, &named_in_force(&in_force.rules), &in_force.gate.namespace, asked);
    }
    if !has_tenant(asked) {
        return Err(Refusal::TenantWithoutLabel);
    }
    Ok(Admitted { scopes: asked.scopes.clone(), ..Admitted::default() })
}

/// What `spec`, of a Gate in `own` whose rules name these scopes, lets a credential do.
fn by(spec: &GateSpec, named: &ScopeSet, own: &str, asked: Asked<'_>) -> Result<Admitted, Refusal> {
    let same = [Admit { namespaces: refs::NamespaceSelector::default(), ..Admit::default() }];
    let entries = spec.admit.as_deref().unwrap_or(&same);
    let matching: Vec<&Admit> = entries.iter().filter(|entry| is_about(entry, own, asked)).collect();
    if matching.is_empty() {
        return Err(Refusal::NotAdmitted);
    }
    let offered = offered(named, &matching);
    let scopes = asked.scopes.intersection(&offered);
    let refused = asked.scopes.difference(&offered);
    if scopes.is_empty() && !refused.is_empty() {
        return Err(Refusal::Scopes { offered, refused });
    }
    if !has_tenant(asked) {
        return Err(Refusal::TenantWithoutLabel);
    }
    if !admits_tenant(&matching, asked.tenant) {
        return Err(Refusal::TenantNotAdmitted);
    }
    Ok(Admitted { scopes, refused, offered })
}

fn is_about(entry: &Admit, own: &str, asked: Asked<'_>) -> bool {
    match asked.labels {
        Some(labels) => entry.namespaces.selects(own, asked.namespace, labels),
        // A selector could ask for the absence of a label; of that nothing is known.
        None if entry.namespaces.from == refs::From::Selector => false,
        None => entry.namespaces.selects(own, asked.namespace, &Labels::new()),
    }
}

/// The scopes of all entries together.
fn offered(named: &ScopeSet, matching: &[&Admit]) -> ScopeSet {
    let mut offered = ScopeSet::default();
    for entry in matching {
        match &entry.scopes {
            Some(scopes) => offered.extend(&scope_set(scopes)),
            None if entry.namespaces.from == refs::From::Same => offered.extend(named),
            None => {}
        }
    }
    offered
}

/// All scopes that the rules of a Gate name.
fn named_by_rules(spec: &GateSpec) -> ScopeSet {
    let required = spec.rules.iter().flatten().filter_map(|rule| rule.require.as_ref());
    required.flat_map(|require| [&require.scopes, &require.any_scopes]).flatten().fold(
        ScopeSet::default(),
        |mut all, scopes| {
            all.extend(&scope_set(scopes));
            all
        },
    )
}

/// All scopes that the rules of a bundle name.
fn named_in_force(rules: &[Rule]) -> ScopeSet {
    let mut named = ScopeSet::default();
    for rule in rules {
        if let Access::Require(require) = &rule.access {
            named.extend(&require.scopes);
            named.extend(&require.any_scopes);
        }
    }
    named
}

/// May the credential's namespace have its tenant? Its own always, another by label.
fn has_tenant(asked: Asked<'_>) -> bool {
    let own = asked.tenant.strip_prefix("ns:").is_some_and(|namespace| namespace == asked.namespace);
    own || asked.labels.is_some_and(|labels| labels.contains_key(&format!("{TENANT_LABEL}{}", asked.tenant)))
}

/// Do the entries together admit the tenant? One without a list admits any.
fn admits_tenant(matching: &[&Admit], tenant: &str) -> bool {
    let mut listed = BTreeSet::new();
    for entry in matching {
        match &entry.tenants {
            None => return true,
            Some(tenants) => listed.extend(tenants.iter().map(String::as_str)),
        }
    }
    listed.contains(tenant)
}

/// The texts that are scopes. Others cannot be in an object that keeps the API's rules.
pub fn scope_set(texts: &[String]) -> ScopeSet {
    texts.iter().filter_map(|text| text.as_str().try_into().ok()).collect()
}

#[cfg(test)]
mod tests;
