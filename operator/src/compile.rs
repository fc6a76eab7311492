//! Resources -> bundles. A bundle is compiled in full from what exists: what is deleted or not
//! admitted is simply not in it.

mod gate;

pub use gate::gate;
