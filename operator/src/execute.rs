//! Carrying a plan out. [`cluster`] does it at the API server; `sidegate up` does it with files.

use std::{error::Error as StdError, future::Future};

use jiff::Timestamp;
use sidegate_crds::condition::NoAccess;
use thiserror::Error;

use crate::{
    plan::{StatusWrite, Write},
    world::Update,
};

pub mod cluster;
mod denied;
mod precondition;
mod secrets;

/// Something that carries writes out, each under its condition, and says what it saw.
pub trait Execute: Send + Sync + 'static {
    /// Does one write. The answer is what is now so, to be applied to the World before the next
    /// plan is made: the Secret as it was written or found, the bundle in force, a foreign
    /// Secret in the way.
    fn write(
        &self,
        write: &Write,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Update>, WriteError>> + Send;

    /// Writes a status.
    fn status(
        &self,
        status: &StatusWrite,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Update>, WriteError>> + Send;
}

/// What kept a write from being done. The class decides when it is tried again.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The other side is slow, away or overloaded: back off.
    #[error("{what}")]
    Transient {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: BoxError,
    },
    /// What was seen is not what is there any more: look again at once.
    #[error("{what}: it has changed meanwhile")]
    Conflict {
        /// What was being done.
        what: String,
    },
    /// Somebody must allow or change something.
    #[error("{what}")]
    User {
        /// What was being done.
        what: String,
        /// Why it is refused.
        #[source]
        source: BoxError,
    },
    /// The API server does not let us: a right is missing, a quota is used up, a policy refuses.
    #[error("{what}")]
    Denied {
        /// What was being done.
        what: String,
        /// What is denied, and who can change it.
        access: NoAccess,
        /// What the API server says.
        #[source]
        source: BoxError,
    },
    /// A bundle is larger than its Secret may be.
    #[error("{what}: it has {bytes} bytes, at most {most} fit into its Secret")]
    TooLarge {
        /// What was being done.
        what: String,
        /// Its size.
        bytes: usize,
        /// The most that fits.
        most: usize,
    },
    /// It should never have been tried.
    #[error("{what}")]
    Bug {
        /// What was being done.
        what: String,
        /// Why it is wrong.
        #[source]
        source: BoxError,
    },
}

/// Any error, as a source.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Who is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nobody in particular; it passes.
    Transient,
    /// Two wrote at once; one looks again.
    Conflict,
    /// A user or admin, who has to act.
    User,
    /// We.
    Bug,
}

// === impl WriteError ===

impl WriteError {
    /// Who is at fault.
    pub fn class(&self) -> Class {
        match self {
            Self::Transient { .. } => Class::Transient,
            Self::Conflict { .. } => Class::Conflict,
            Self::User { .. } | Self::Denied { .. } | Self::TooLarge { .. } => Class::User,
            Self::Bug { .. } => Class::Bug,
        }
    }

    /// The error and what caused it, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = StdError::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

// === impl Class ===

impl Class {
    /// The word for it in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Conflict => "conflict",
            Self::User => "user",
            Self::Bug => "bug",
        }
    }
}
