//! Follows a bundle: [`Newest`] holds what is in force, [`Mount`] fills it from a mounted folder.
//!
//! What cannot be read, or is not newer, never takes the place of what is in force.

use sidegate_bundle::{GateBundle, Revision};

mod mount;
mod newest;

pub use mount::{Following, Mount, MountState};
pub use newest::{Newest, Reader};

/// What has a revision.
pub trait Revisioned {
    /// Which of two is newer.
    fn revision(&self) -> Revision;
}

impl Revisioned for GateBundle {
    fn revision(&self) -> Revision {
        self.revision
    }
}
