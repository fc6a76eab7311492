//! Starts everything and puts it together: admin port, election, and, while this replica
//! leads, watches and driver.

use std::{fs, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use kube::{Client, Config};
use sidegate_runtime::{admin::Admin, shutdown};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    args::RunArgs,
    controllers::Driver,
    execute::cluster::Cluster,
    lease::{Candidate, Held, Term},
    metrics::Metrics,
    watch::watch,
};

/// How many updates may wait for the driver before the watches do.
const UPDATES: usize = 16_384;

/// Runs the operator until a signal.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signals().context("listening for signals")?;
    let admin = Admin::new();
    let metrics = admin.register(Metrics::register);
    let elected = admin.readiness("election");
    let listening = admin.listen(args.admin).await?;
    tracing::info!(address = %listening.address(), "admin port");
    let serving = tokio::spawn(listening.serve(CancellationToken::new()));

    let client = client().await?;
    let identity = args.identity.clone().map_or_else(host_name, Ok)?;
    let candidate = Candidate::new(client.clone(), &args.namespace, identity, elected);
    while let Some(term) = candidate.elected(&stop).await {
        metrics.leader.set(1);
        let ended = lead(&client, term, &metrics, &stop).await;
        metrics.leader.set(0);
        if let Some(term) = ended? {
            term.release().await;
            break;
        }
    }
    serving.abort();
    Ok(())
}

/// Leads for one term: everything begins with an empty World. The term comes back if it was
/// asked to stop and the Lease is still ours. That a part of it ends by itself is an error: who
/// leads without seeing or doing anything keeps others from it.
async fn lead(
    client: &Client,
    mut term: Term,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Term>> {
    let lost = CancellationToken::new();
    let (sender, updates) = mpsc::channel(UPDATES);
    let mut watches = watch(client, &sender, metrics);
    let driver = Driver::new(
        Arc::new(Cluster::new(client.clone(), metrics.clone(), term.tenure())),
        updates,
        metrics.clone(),
    );
    let mut driving = tokio::spawn(driver.run(stop.clone(), lost.clone()));
    let held = tokio::select! {
        biased;
        held = term.hold(stop) => held,
        ended = &mut driving => {
            ended.context("the driver crashed")?;
            Held::Stopped
        }
        Some(ended) = watches.join_next() => {
            lost.cancel();
            ended.context("a watch crashed")?;
            bail!("a watch ended");
        }
    };
    if held == Held::Lost {
        lost.cancel();
    }
    if !driving.is_finished() {
        driving.await.context("the driver crashed")?;
    }
    Ok((held == Held::Stopped).then_some(term))
}

/// A client whose calls are not repeated behind our back: what is tried again, and when, is
/// the queue's to decide.
async fn client() -> anyhow::Result<Client> {
    let mut config = Config::infer().await.context("finding the API server")?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    Client::try_from(config).context("making a client of the API server")
}

fn host_name() -> anyhow::Result<String> {
    let name =
        fs::read_to_string("/proc/sys/kernel/hostname").context("reading the host's name; set --identity")?;
    Ok(name.trim().to_owned())
}
