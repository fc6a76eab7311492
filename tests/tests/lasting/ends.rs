//! A stream ends with its key.

use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use sidegate_bundle::ApiKey;
use sidegate_bundle::gate::{Key, Standing};
use sidegate_tests::eventually;
use sidegate_tests::gated::entry;
use sidegate_tests::streams::{KINDS, Stream};

use super::{OTHER, open_all, readable_by, reader, scopes, start};

/// Far more than it takes on a machine that does nothing else.
const LATE: Duration = Duration::from_secs(8);
/// What it usually takes: a look at the folder four times a second, and the gate's own look once a second.
const USUAL: u64 = 2_000;
/// A look once a second would be later than this, more often than not.
const EXACT: u64 = 400;
/// What a bundle may do to others' keys while a stream goes on.
const SWAPS: usize = 100;

/// What happens to a key; `None`: it is deleted.
type Change = fn(Key) -> Option<Key>;

fn now() -> u64 {
    Timestamp::now().as_millisecond().unsigned_abs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_a_key_that_is_taken_back_end_and_it_opens_no_other() -> Result<()> {
    let changes: [(&str, Change); 6] = [
        ("suspended", |key| Some(Key { standing: Standing::Suspended, ..key })),
        ("revoked", |key| Some(Key { standing: Standing::Revoked, ..key })),
        ("deleted", |_| None),
        ("expired", |key| Some(Key { exp: Some(Timestamp::now().as_second()), ..key })),
        // The rule lets it in no more.
        ("narrowed", |key| Some(Key { scopes: scopes(&[OTHER]).unwrap_or_default(), ..key })),
        // Another secret under its id.
        ("replaced", |key| Some(Key { hash: ApiKey::mint(&mut rand::rng()).verifier(), ..key })),
    ];
    let other = ApiKey::mint(&mut rand::rng());
    let (app, mut gate) = start(readable_by(&[&other])?).await?;
    let mut others = open_all(&gate, &other).await?;
    let mut took = Vec::new();
    for (what, change) in changes {
        let key = ApiKey::mint(&mut rand::rng());
        gate.bundle.keys = readable_by(&[&other, &key])?.keys;
        gate.publish()?;
        eventually(LATE, "the key is known", async || {
            let (_, stream) = Stream::ask(KINDS[1], &gate.address, key.expose()).await?;
            ensure!(stream.is_some());
            Ok(())
        })
        .await?;
        let mut streams = open_all(&gate, &key).await?;

        gate.bundle.keys =
            gate.bundle.keys[..1].iter().cloned().chain(change(gate.bundle.keys[1].clone())).collect();
        let since = now();
        gate.publish()?;
        for (kind, stream) in &mut streams {
            let end = stream.end(LATE).await?;
            ensure!(!end.in_order, "{what}: {kind}: it ended as if all had been said");
            took.push(end.at.saturating_sub(since));
        }
        for kind in KINDS {
            let (status, _) = Stream::ask(kind, &gate.address, key.expose()).await?;
            ensure!(status == 403, "{what}: {kind}: answered {status}");
        }
        for (_, stream) in &mut others {
            stream.goes_on().await?;
        }
        eventually(LATE, "the app has been left", async || {
            ensure!(app.open() == others.len(), "{what}: {} streams", app.open());
            Ok(())
        })
        .await?;
    }
    took.sort_unstable();
    ensure!(took[took.len() / 2] < USUAL, "it took {took:?} ms");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_when_their_key_expires_without_a_new_bundle() -> Result<()> {
    let (key, other) = (ApiKey::mint(&mut rand::rng()), ApiKey::mint(&mut rand::rng()));
    let mut bundle = readable_by(&[&key, &other])?;
    let expires = Timestamp::now().as_second() + 5;
    bundle.keys[0].exp = Some(expires);
    bundle.keys[1].exp = Some(expires + 3600);
    let (_app, gate) = start(bundle).await?;
    let (mut streams, mut others) = (open_all(&gate, &key).await?, open_all(&gate, &other).await?);
    let (expires, mut late) = (expires.unsigned_abs() * 1000, 0);
    for (kind, stream) in &mut streams {
        let end = stream.end(LATE).await?;
        ensure!(end.at >= expires, "{kind}: it ended {} ms too early", expires - end.at);
        late = late.max(end.at - expires);
        ensure!(!end.in_order, "{kind}: it ended as if all had been said");
    }
    for kind in KINDS {
        let (status, _) = Stream::ask(kind, &gate.address, key.expose()).await?;
        ensure!(status == 403, "{kind}: answered {status}");
    }
    for (_, stream) in &mut others {
        stream.goes_on().await?;
    }
    ensure!(late < EXACT, "the last one ended {late} ms late");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_bundles_that_do_not_touch_their_key_cut_no_streams() -> Result<()> {
    let key = ApiKey::mint(&mut rand::rng());
    let (app, mut gate) = start(readable_by(&[&key])?).await?;
    let mut streams = open_all(&gate, &key).await?;
    for number in 0..SWAPS {
        let others = (0..number % 7).map(|_| entry(&ApiKey::mint(&mut rand::rng())));
        gate.bundle.keys = readable_by(&[&key])?.keys.into_iter().chain(others).collect();
        gate.publish()?;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let last = ApiKey::mint(&mut rand::rng());
    gate.bundle.keys.push(reader(&last)?);
    gate.publish()?;
    eventually(LATE, "the last bundle is in force", async || {
        let (_, stream) = Stream::ask(KINDS[1], &gate.address, last.expose()).await?;
        ensure!(stream.is_some());
        Ok(())
    })
    .await?;
    for (_, stream) in &mut streams {
        stream.goes_on().await?;
    }
    eventually(LATE, "the app sends them and no other", async || {
        ensure!(app.open() == streams.len(), "{} streams", app.open());
        Ok(())
    })
    .await
}
