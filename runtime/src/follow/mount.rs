//! Fills a [`Newest`] from a mounted folder.
//!
//! A projected volume changes by one rename of the symbolic link `..data`, so the folder is polled
//! for that link (and for time and size of the file, where there is no such link). Polling and not
//! inotify: a watch on the link is lost with the folder that it points to, and four system calls
//! a second cost nothing. It must never take away what is in force, whatever stands in the folder.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use sidegate_bundle::{
    Revision,
    document::{self, ReadError, Refused},
};
use tokio_util::sync::CancellationToken;

use super::{Newest, Revisioned};

/// How often the folder is looked at.
const INTERVAL: Duration = Duration::from_millis(250);
/// When a file that could not be taken is read again although nothing about it changed.
const AGAIN: SignedDuration = SignedDuration::from_secs(5);
/// A Secret has at most 1 MiB; nothing longer is read.
const MAX_FILE: u64 = 4 << 20;

/// What is wrong with a bundle that could be read, in words.
type Objection<T> = dyn Fn(&T) -> Option<String> + Send;

/// A folder, and where its bundles go.
pub struct Mount<T> {
    folder: PathBuf,
    newest: Newest<T>,
    objection: Box<Objection<T>>,
    last: Option<Look>,
    state: MountState,
}

/// What the folder holds, in words; it can be asked while the folder is followed.
#[derive(Clone, Debug, Default)]
pub struct MountState {
    words: Arc<Mutex<Words>>,
}

/// A thread that follows a folder; it ends with the token that it was given.
#[derive(Debug)]
pub struct Following {
    /// What the folder holds, in words.
    pub state: MountState,
    thread: thread::JoinHandle<()>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Words {
    /// What is in force.
    revision: Option<Revision>,
    /// What is wrong with the folder, whether or not something is in force.
    trouble: Option<String>,
}

/// What one look found, so that the next one need not read again.
struct Look {
    stamp: Option<Stamp>,
    again: Option<Timestamp>,
}

/// What changes whenever the file does.
#[derive(PartialEq)]
struct Stamp {
    link: Option<PathBuf>,
    modified: Option<SystemTime>,
    length: u64,
}

/// Why the folder's file is not taken.
enum Trouble {
    Missing,
    NotAFile,
    Io(io::Error),
    Read(ReadError),
    Refused(Refused),
    NotOurs(String),
}

// === impl Mount ===

impl<T: DeserializeOwned + Revisioned + Send + Sync + 'static> Mount<T> {
    /// Will read `folder/bundle.json.gz` into `newest`.
    pub fn new(folder: impl Into<PathBuf>, newest: Newest<T>) -> Self {
        let folder = folder.into();
        let state = MountState::default();
        let missing = Trouble::Missing.words(&folder, None);
        state.set(Words { revision: newest.revision(), trouble: Some(missing) });
        Self { folder, newest, objection: Box::new(|_| None), last: None, state }
    }

    /// Takes only bundles to which there is no objection; its words follow the file's name.
    #[must_use]
    pub fn unless(self, objection: impl Fn(&T) -> Option<String> + Send + 'static) -> Self {
        Self { objection: Box::new(objection), ..self }
    }

    /// What the folder holds, in words.
    pub fn state(&self) -> MountState {
        self.state.clone()
    }

    /// Looks once. Reads the file only if something about it changed since the last look.
    pub fn poll(&mut self, now: Timestamp) {
        let stamp = self.stamp();
        if let Some(last) = &self.last
            && matches!(&stamp, Ok(stamp) if *stamp == last.stamp)
            && last.again.is_none_or(|again| now < again)
        {
            return;
        }
        let taken = match &stamp {
            Ok(None) => Err(Trouble::Missing),
            Ok(Some(_)) => self.take(now),
            Err(_) => Err(Trouble::NotAFile),
        };
        let again = match &taken {
            Ok(()) | Err(Trouble::Missing | Trouble::Refused(Refused::NotNewer { .. })) => None,
            Err(_) => now.checked_add(AGAIN).ok(),
        };
        self.last = Some(Look { stamp: stamp.unwrap_or_default(), again });
        let revision = self.newest.revision();
        let trouble = taken.err().and_then(|trouble| match trouble {
            // The same bundle once more, in a volume that was written again.
            Trouble::Refused(Refused::NotNewer { candidate, current }) if candidate == current => None,
            trouble => Some(trouble.words(&self.folder, revision)),
        });
        self.state.tell(Words { revision, trouble });
    }

    /// Follows the folder on a thread of its own until `stop` is cancelled. The first look is
    /// over when this returns, so that a process which finds its bundle is ready at once.
    pub fn follow(mut self, stop: CancellationToken) -> io::Result<Following> {
        let state = self.state();
        self.poll(Timestamp::now());
        let thread = thread::Builder::new().name("follow".to_owned()).spawn(move || {
            while !stop.is_cancelled() {
                thread::sleep(INTERVAL);
                self.poll(Timestamp::now());
            }
        })?;
        Ok(Following { state, thread })
    }

    /// `None`: there is no file. An error: what is there can never be one.
    fn stamp(&self) -> Result<Option<Stamp>, Trouble> {
        match fs::metadata(self.file()) {
            Ok(file) if file.is_file() => Ok(Some(Stamp {
                link: fs::read_link(self.folder.join("..data")).ok(),
                modified: file.modified().ok(),
                length: file.len(),
            })),
            Ok(_) => Err(Trouble::NotAFile),
            Err(_) => Ok(None),
        }
    }

    fn take(&self, now: Timestamp) -> Result<(), Trouble> {
        let mut bytes = Vec::new();
        File::open(self.file())
            .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
            .map_err(Trouble::Io)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(Trouble::Read(ReadError::TooLarge));
        }
        let bundle: T = document::unpack(&bytes).map_err(Trouble::Read)?;
        if let Some(why) = (self.objection)(&bundle) {
            return Err(Trouble::NotOurs(why));
        }
        self.newest.offer(bundle, now).map_err(Trouble::Refused)
    }

    fn file(&self) -> PathBuf {
        self.folder.join(document::FILE)
    }
}

// === impl MountState ===

impl MountState {
    /// Why there is no bundle in force; `None`: there is one.
    pub fn why_not(&self) -> Option<String> {
        let words = self.get();
        if words.revision.is_some() {
            None
        } else {
            words.trouble.map(|trouble| format!("no bundle: {trouble}"))
        }
    }

    /// What is wrong with the folder, even if something older is in force.
    pub fn trouble(&self) -> Option<String> {
        self.get().trouble
    }

    fn get(&self) -> Words {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, words: Words) -> Words {
        let mut held = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut held, words)
    }

    /// Keeps the words, and logs them if they are new.
    fn tell(&self, words: Words) {
        let before = self.set(words.clone());
        if words == before {
            return;
        }
        match (&words.trouble, words.revision) {
            (Some(trouble), _) => tracing::warn!("bundle: {trouble}"),
            (None, Some(revision)) => tracing::info!(%revision, "bundle in force"),
            (None, None) => {}
        }
    }
}

// === impl Following ===

impl Following {
    /// Waits for the thread, which ends soon after its token was cancelled.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread that follows the bundle panicked");
        }
    }
}

// === impl Trouble ===

impl Trouble {
    /// For people: what is wrong, and what it means.
    fn words(self, folder: &Path, in_force: Option<Revision>) -> String {
        let (file, folder) = (document::FILE, folder.display());
        let what = match self {
            Self::Missing if in_force.is_some() => format!("{folder} has no {file} any more"),
            Self::Missing => format!("{folder} has no {file} yet"),
            Self::NotAFile => format!("{folder}/{file} is not a file"),
            Self::Io(error) => format!("{folder}/{file} cannot be read: {error}"),
            Self::Read(ReadError::Damaged(_)) => format!("{file} is cut short or damaged"),
            Self::Read(ReadError::TooLarge) => format!("{file} is larger than any bundle"),
            Self::Read(ReadError::UnknownFormat(format)) => format!(
                "{file} has format {format}, this version reads format {}: update the sidecar",
                document::FORMAT
            ),
            Self::Read(ReadError::Malformed(error)) => format!("{file} does not parse: {error}"),
            Self::Refused(Refused::NotNewer { candidate, .. }) => {
                format!("{file} is older (revision {candidate})")
            }
            Self::Refused(Refused::Ahead(candidate)) => {
                format!("{file} has revision {candidate}, more than a day ahead of this machine's clock")
            }
            Self::NotOurs(why) => format!("{file} {why}"),
        };
        match in_force {
            Some(revision) => format!("{what}; revision {revision} stays in force"),
            None => what,
        }
    }
}

#[cfg(test)]
mod tests;
