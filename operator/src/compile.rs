//! Resources -> bundles. A bundle is compiled in full from what exists: what is deleted or not
//! admitted is simply not in it.

mod gate;
mod keys;

pub use gate::{gate, without_new_keys};
