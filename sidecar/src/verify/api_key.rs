//! An API key of our own form: one hash, one look-up.

use std::sync::Arc;

use jiff::Timestamp;
use sidegate_bundle::{
    KeyId,
    api_key::PresentedKey,
    denial::{Denial, KeyFault, Place, Unusable},
    gate::Standing,
};

use super::Holder;
use crate::index::{Index, KnownKey};

/// Whose key this is. Only after its secret was right is anything said about its standing.
pub(super) fn verify(index: &Index, text: &str, place: Place, now: Timestamp) -> Holder {
    let invalid = |fault| Holder::Refused(Denial::InvalidKey(place, fault), None);
    let Ok(presented) = PresentedKey::parse(text) else { return invalid(KeyFault::Malformed) };
    // Hashed before it is looked up, so that an unknown id takes as long as a wrong secret.
    let verifier = presented.verifier();
    let Some(known) = index.key(presented.id) else { return invalid(KeyFault::Unknown) };
    if known.hash != verifier {
        return invalid(KeyFault::WrongSecret);
    }
    proven(known, place, now)
}

/// Whose key this would be, if its secret were right.
pub(super) fn suppose(index: &Index, id: KeyId, place: Place, now: Timestamp) -> Holder {
    let unknown = Holder::Refused(Denial::InvalidKey(place, KeyFault::Unknown), None);
    index.key(id).map_or(unknown, |known| proven(known, place, now))
}

fn proven(known: &KnownKey, place: Place, now: Timestamp) -> Holder {
    let principal = Arc::clone(&known.principal);
    match unusable(known, now) {
        Some(why) => Holder::Refused(Denial::KeyNotUsable(place, why), Some(principal)),
        None => Holder::Known(principal),
    }
}

/// `nbf` is the first second that counts, `exp` the first that does not.
fn unusable(key: &KnownKey, now: Timestamp) -> Option<Unusable> {
    let now = now.as_second();
    match key.standing {
        Standing::Revoked => Some(Unusable::Revoked),
        Standing::Suspended => Some(Unusable::Suspended),
        Standing::Good if key.nbf.is_some_and(|nbf| now < nbf) => Some(Unusable::NotYetValid),
        Standing::Good if key.exp.is_some_and(|exp| now >= exp) => Some(Unusable::Expired),
        Standing::Good => None,
    }
}

#[cfg(test)]
mod tests;
