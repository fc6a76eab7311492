//! World, plans and Gates of one `up`: takes a manifest in as a whole, and brings it in force.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sidegate_operator::{
    controllers::settle,
    world::{ObjectRef, Update, World},
};
use thiserror::Error;

use super::{
    convert,
    execute::Files,
    gates::{Gates, GatesError},
    print::{
        change::{Change, changes},
        standing::Standing,
    },
    state::StateError,
};
use crate::manifest::{Kind, Manifest, ObjectName};

/// What runs.
pub(super) struct Session {
    world: World,
    files: Files,
    gates: Gates,
    /// What is in force.
    manifest: Manifest,
    /// When objects want to be planned again.
    wakes: BTreeMap<ObjectRef, Timestamp>,
}

/// Why a manifest is not in force.
#[derive(Debug, Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Gates(#[from] GatesError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("{0}: {1}")]
    Plan(ObjectRef, String),
}

/// What came of a manifest.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) changes: Vec<(Change, Standing)>,
    /// Objects that the files left alone, and that stand otherwise than before.
    pub(super) affected: Vec<(String, Standing)>,
    pub(super) took: Duration,
}

type Standings = BTreeMap<(Kind, ObjectName), Standing>;

// === impl Session ===

impl Session {
    pub(super) fn new(files: Files, gates: Gates) -> Self {
        Self { world: World::new(), files, gates, manifest: Manifest::default(), wakes: BTreeMap::new() }
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    pub(super) fn gates(&self) -> &Gates {
        &self.gates
    }

    pub(super) fn into_gates(self) -> Gates {
        self.gates
    }

    /// Brings `manifest` in force: all of it, or, if a port is in use, none of it.
    pub(super) async fn apply(&mut self, manifest: Manifest) -> Result<Applied, SessionError> {
        let begun = Instant::now();
        let now = Timestamp::now();
        let before = self.standings();
        let named = |manifest: &Manifest| -> Vec<_> {
            let gates = manifest.objects.iter().filter(|object| object.kind == Kind::Gate);
            let mut names: Vec<_> = gates.map(|object| convert::to_gate(&object.name)).collect();
            names.sort();
            names
        };
        for gate in named(&manifest) {
            self.gates.listen(&gate, self.files.bundles(&gate))?;
        }
        self.files.set_foreign(manifest.secrets.iter().map(convert::to_world));
        self.files.with(|state| state.sync(&manifest, now, &mut rand::rng()))?;
        let updates = self.files.with(|state| convert::lists(&manifest, state));
        let affected = self.take_in(updates);
        let failed = self.settle(affected).await;
        let wanted = named(&manifest);
        for gate in named(&self.manifest).iter().filter(|gate| !wanted.contains(gate)) {
            self.gates.close(gate, now);
        }
        self.gates.in_force().await;
        let changes = changes(&self.manifest, &manifest);
        self.manifest = manifest;
        failed?;
        Ok(self.outcome(changes, &before, begun.elapsed()))
    }

    /// What time brings (an expiry), and what somebody did to the state folder.
    pub(super) async fn tick(&mut self, now: Timestamp) -> Result<Applied, SessionError> {
        let begun = Instant::now();
        let vanished = self.files.with(super::state::State::vanished);
        let gone = vanished.iter().map(|name| Update::SecretGone(convert::to_world(name), None)).collect();
        let mut due = self.take_in(gone);
        let woken: Vec<_> =
            self.wakes.iter().filter(|(_, at)| **at <= now).map(|(object, _)| object.clone()).collect();
        for object in &woken {
            self.wakes.remove(object);
        }
        due.extend(woken);
        if due.is_empty() {
            return Ok(Applied { changes: Vec::new(), affected: Vec::new(), took: begun.elapsed() });
        }
        let before = self.standings();
        self.settle(due).await?;
        self.gates.in_force().await;
        Ok(self.outcome(Vec::new(), &before, begun.elapsed()))
    }

    fn take_in(&mut self, updates: Vec<Update>) -> Vec<ObjectRef> {
        updates.into_iter().flat_map(|update| self.world.apply(update)).collect()
    }

    async fn settle(&mut self, objects: Vec<ObjectRef>) -> Result<(), SessionError> {
        let settled = settle(&mut self.world, &self.files, objects, Timestamp::now, &mut rand::rng()).await;
        self.wakes.extend(settled.wakes);
        match settled.failed.into_iter().next() {
            None => Ok(()),
            Some((object, error)) => {
                // Tried again at the next tick.
                self.wakes.insert(object.clone(), Timestamp::now());
                Err(SessionError::Plan(object, error.chain()))
            }
        }
    }

    fn outcome(&self, changes: Vec<Change>, before: &Standings, took: Duration) -> Applied {
        let after = self.standings();
        let of =
            |change: &Change| after.get(&(change.kind, change.name.clone())).cloned().unwrap_or_default();
        let affected = after
            .iter()
            .filter(|(key, standing)| before.get(*key).is_some_and(|before| before != *standing))
            .filter(|((kind, name), _)| {
                !changes.iter().any(|change| (change.kind, &change.name) == (*kind, name))
            })
            .map(|((kind, name), standing)| (format!("{} {name}", kind.as_str()), standing.clone()))
            .collect();
        let changes = changes.into_iter().map(|change| (change.clone(), of(&change))).collect();
        Applied { changes, affected, took }
    }

    fn standings(&self) -> Standings {
        self.files.with(|state| {
            let objects = state.objects();
            objects.map(|(kind, name, object)| ((kind, name.clone()), Standing::of(object))).collect()
        })
    }
}
