//! The life of a credential that we make: what an ApiKey's Secret is to it, and what should be
//! done about that. (OAuthClient will share it.)
//!
//! The Secret with its record is the only truth about a credential. Nothing here looks at a
//! status, and nothing here mints where anything of that name is known.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sidegate_bundle::record::Record;
use sidegate_crds::{ApiKey, api_key::ApiKeySpec};

use crate::{
    plan::{Delete, Plan, Write},
    world::{Known, Meta, ObjectName, ObjectRef, Observed, OurSecret, SecretKind, World},
};

mod mint;
pub mod secret;
pub mod status;

pub use mint::mint;

/// How long a Secret of an earlier object of the same name is left to the garbage collector.
pub const COLLECTED_WITHIN: SignedDuration = SignedDuration::from_secs(30);
/// How often a foreign Secret that is in the way is looked at again.
pub const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// What stands under the name that a credential's Secret should have.
#[derive(Clone, Debug)]
pub enum Held<'w> {
    /// Nothing, as far as is known.
    Nothing,
    /// Our Secret for this object.
    Ours {
        /// The Secret.
        secret: &'w OurSecret,
        /// Its record.
        record: Arc<Record>,
    },
    /// Our Secret for this object, without a record that could be read.
    Damaged {
        /// What is wrong with it.
        why: &'w str,
    },
    /// Our Secret for an earlier object of the same name.
    Earlier(&'w OurSecret),
    /// A Secret that belongs to somebody else.
    Foreign {
        /// When a live read last saw it; absent: it is watched.
        seen_at: Option<Timestamp>,
    },
}

/// The name of the Secret that an ApiKey should have.
pub fn wanted(owner: &ObjectName, spec: &ApiKeySpec) -> ObjectName {
    ObjectName::new(&owner.namespace, spec.secret_name(&owner.name))
}

/// Who an ApiKey is, at every Gate. A namespace has no dot, so that no two are the same.
pub fn subject(owner: &ObjectName) -> String {
    format!("key:{}.{}", owner.namespace, owner.name)
}

/// What stands under the wanted name.
pub fn held<'w>(world: &'w World, owner: &ObjectName, meta: &Meta, spec: &ApiKeySpec) -> Held<'w> {
    let wanted = wanted(owner, spec);
    // A live read knows better than the metadata: it has seen the type.
    if let Some(seen_at) = world.foreign(&wanted) {
        return Held::Foreign { seen_at: Some(seen_at) };
    }
    world.secret(&wanted).map_or(Held::Nothing, |known| whose(&known.value, owner, &meta.uid))
}

/// What a Secret with our label is to the ApiKey `owner`.
fn whose<'w>(secret: &'w OurSecret, owner: &ObjectName, uid: &str) -> Held<'w> {
    let SecretKind::Credential { made_for, record, .. } = &secret.kind else {
        return Held::Foreign { seen_at: None };
    };
    let this = ObjectRef::ApiKey(owner.clone());
    if made_for.as_ref() != Some(&this) {
        return Held::Foreign { seen_at: None };
    }
    match &secret.owner {
        Some(other) if other.kind != this.kind() || other.name != this.name() => {
            Held::Foreign { seen_at: None }
        }
        Some(other) if other.uid != uid => Held::Earlier(secret),
        _ => match record {
            Ok(record) => Held::Ours { secret, record: Arc::clone(record) },
            Err(why) => Held::Damaged { why },
        },
    }
}

/// The record that counts for an ApiKey: that of the Secret it should have or, while it has
/// none, that of the Secret it had under another name.
pub fn record(world: &World, owner: &ObjectName, key: &Observed<ApiKey>) -> Option<Arc<Record>> {
    let spec = &key.live()?.spec;
    match held(world, owner, &key.meta, spec) {
        Held::Ours { record, .. } => Some(record),
        Held::Nothing => former(world, owner, &key.meta, spec).find_map(|(_, known)| {
            match whose(&known.value, owner, &key.meta.uid) {
                Held::Ours { record, .. } => Some(record),
                _ => None,
            }
        }),
        Held::Damaged { .. } | Held::Earlier(_) | Held::Foreign { .. } => None,
    }
}

/// Our Secrets for this object that have not the wanted name.
fn former<'w>(
    world: &'w World,
    owner: &ObjectName,
    meta: &Meta,
    spec: &ApiKeySpec,
) -> impl Iterator<Item = (&'w ObjectName, &'w Known<OurSecret>)> {
    let (wanted, owner, uid) = (wanted(owner, spec), owner.clone(), meta.uid.clone());
    world.secrets_for(&ObjectRef::ApiKey(owner.clone())).filter(move |(name, known)| {
        **name != wanted
            && known.value.owner.as_ref().is_some_and(|it| it.uid == uid && it.name == owner.name)
    })
}

/// What should be done about the Secret of an accepted ApiKey; `admitted`: some Gate lets it in.
pub fn plan_secret(
    world: &World,
    owner: &ObjectName,
    key: &Observed<ApiKey>,
    spec: &ApiKeySpec,
    admitted: bool,
    now: Timestamp,
    rng: &mut dyn rand::CryptoRng,
) -> Plan {
    let mut plan = Plan::default();
    let meta = &key.meta;
    match held(world, owner, meta, spec) {
        Held::Nothing if admitted => {
            plan.writes.push(Write::Mint(Box::new(mint(owner, meta, spec, now, rng))));
        }
        Held::Ours { secret, .. } => {
            if let Some(reshape) = secret::reshape(owner, meta, spec, secret).filter(|_| !secret.deleting) {
                plan.writes.push(Write::Reshape(Box::new(reshape)));
            }
            for (name, known) in former(world, owner, meta, spec).filter(|(_, known)| !known.value.deleting) {
                plan.writes.push(Write::Delete(deletion(name, &known.value)));
            }
        }
        Held::Earlier(secret) => {
            // The garbage collector is at it. If there is none, or it was told to leave this
            // one, nobody else would ever remove it.
            let collected = meta.created.unwrap_or(now) + COLLECTED_WITHIN;
            if now < collected {
                plan.wake_at(collected);
            } else if !secret.deleting {
                plan.writes.push(Write::Delete(deletion(&wanted(owner, spec), secret)));
            }
        }
        // A live read comes before the mint: it sees whether the other is still there.
        Held::Foreign { seen_at: Some(seen_at) } if admitted && now >= seen_at + LOOK_AGAIN => {
            plan.writes.push(Write::Mint(Box::new(mint(owner, meta, spec, now, rng))));
        }
        Held::Foreign { seen_at: Some(seen_at) } if admitted => plan.wake_at(seen_at + LOOK_AGAIN),
        Held::Nothing | Held::Damaged { .. } | Held::Foreign { .. } => {}
    }
    plan
}

fn deletion(name: &ObjectName, secret: &OurSecret) -> Delete {
    Delete { name: name.clone(), uid: secret.uid.clone(), resource_version: secret.resource_version.clone() }
}
