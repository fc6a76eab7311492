//! Two pure steps, opened for fuzz targets. Not a part of the library's interface: nothing that
//! serves a request may call this.

use std::{borrow::Cow, net::IpAddr};

use http::request::Parts;
use jiff::Timestamp;
use sidegate_bundle::{denial::Denial, gate::Paths};

use crate::{decide::decide, index::Index, normalise, request_id::RequestId, rewrite};

/// The normalised path, or what is wrong with it.
pub fn path(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    normalise::path(raw)
}

/// The same where some doubtful paths pass.
pub fn path_passing(raw: &str, passing: Paths) -> Result<Cow<'_, str>, &'static str> {
    normalise::path_passing(raw, passing)
}

/// Decides about this head, and if it may pass makes it what the app receives.
pub fn pass(index: &Index, head: Parts, now: Timestamp, peer: IpAddr) -> Result<Parts, Denial> {
    let permit = decide(index, &head, now).verdict?;
    Ok(rewrite::rewrite(&permit, index, head, &peer.into(), &RequestId::new(0)).into_head())
}
