//! The Gates of one `up`: a listener each, in the order of their names, and never another port
//! than the one that was said: a pasted line must stay true.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use jiff::Timestamp;
use sidegate_bundle::{GateBundle, Revision, gate::GateName};
use sidegate_runtime::{
    admin::Admin,
    follow::Newest,
    shutdown::{DRAIN, drained},
};
use sidegate_sidecar::{
    App, Gate, GateConfig, Limits, Metrics, RunningGate, StartError, Workers, audit::Audit,
};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::args::GateApp;

/// What all Gates have in common.
pub(super) struct Settings {
    /// Where the first one listens.
    pub(super) listen: SocketAddr,
    /// Apps of the user's own.
    pub(super) apps: Vec<GateApp>,
    /// The app of the others.
    pub(super) echo: SocketAddr,
    pub(super) workers: Workers,
    pub(super) metrics: Metrics,
    pub(super) audit: Arc<dyn Audit>,
    pub(super) admin: Admin,
    pub(super) shutdown: CancellationToken,
}

/// The Gates that listen.
pub(super) struct Gates {
    settings: Settings,
    running: BTreeMap<GateName, Running>,
}

struct Running {
    gate: RunningGate,
    bundles: Newest<GateBundle>,
    /// `None`: the built-in one.
    app: Option<String>,
}

/// Why a Gate does not listen.
#[derive(Debug, Error)]
pub(super) enum GatesError {
    /// There is no port left above the first one.
    #[error("there is no port for Gate {gate}: {listen} is the first one, and ports end at 65535")]
    NoPort { gate: GateName, listen: SocketAddr },
    /// The system refuses it.
    #[error(transparent)]
    Start(#[from] StartError),
}

// === impl Gates ===

impl Gates {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, running: BTreeMap::new() }
    }

    /// Lets `gate` listen, if it does not yet. It refuses everything until it has a bundle.
    pub(super) fn listen(&mut self, gate: &GateName, bundles: Newest<GateBundle>) -> Result<(), GatesError> {
        if self.running.contains_key(gate) {
            return Ok(());
        }
        let Settings { listen, apps, echo, workers, metrics, audit, admin, shutdown } = &self.settings;
        let offset = if listen.port() == 0 { Some(0) } else { u16::try_from(self.running.len()).ok() };
        let port = offset.and_then(|offset| listen.port().checked_add(offset));
        let port = port.ok_or_else(|| GatesError::NoPort { gate: gate.clone(), listen: *listen })?;
        let own = apps.iter().find(|app| app.is_for(gate));
        let running = Gate::start(GateConfig {
            gate: gate.clone(),
            listen: SocketAddr::new(listen.ip(), port),
            app: own.map_or_else(|| App::from(*echo), |app| app.app.clone()),
            bundles: bundles.clone(),
            workers: workers.clone(),
            audit: Arc::clone(audit),
            metrics: metrics.clone(),
            // On this machine every caller is one source.
            limits: Limits { connections_per_source: usize::MAX, ..Limits::default() },
            drain: DRAIN,
            shutdown: shutdown.clone(),
        })?;
        let asked = bundles.clone();
        admin.readiness_from(format!("gate {gate}"), move || {
            asked.revision().is_none().then(|| "no bundle yet".to_owned())
        });
        let vitals = running.vitals();
        admin.alive_while(format!("gate {gate}"), move || vitals.why_dead());
        let app = own.map(|app| app.app.to_string());
        self.running.insert(gate.clone(), Running { gate: running, bundles, app });
        Ok(())
    }

    /// The Gate is not in the files any more: its port refuses everything.
    pub(super) fn close(&self, gate: &GateName, now: Timestamp) {
        let Some(running) = self.running.get(gate) else { return };
        let revision = Revision::next(running.bundles.revision(), now);
        let closed = GateBundle { revision, ..GateBundle::closed(gate.clone()) };
        if let Err(error) = running.bundles.offer(closed, now) {
            tracing::error!(%gate, %error, "cannot close a Gate");
        }
    }

    /// Waits until every Gate decides by its newest bundle.
    pub(super) async fn in_force(&self) {
        for running in self.running.values() {
            if let Some(revision) = running.bundles.revision() {
                running.gate.in_force(revision).await;
            }
        }
    }

    /// Every Gate that listens, its address, its app (`None`: the built-in one) and its bundle.
    pub(super) fn all(
        &self,
    ) -> impl Iterator<Item = (&GateName, String, Option<&str>, Option<Arc<GateBundle>>)> {
        self.running.iter().map(|(name, running)| {
            let url = format!("http://{}", running.gate.local_addr());
            (name, url, running.app.as_deref(), running.bundles.current())
        })
    }

    /// Waits until what is in flight is done, or its time is over.
    pub(super) async fn stopped(&mut self) {
        let stop = self.settings.shutdown.clone();
        let all = async {
            for running in self.running.values_mut() {
                running.gate.stopped().await;
            }
        };
        // What is still in flight ends with the process.
        let _ = drained(&stop, DRAIN, all).await;
    }
}
