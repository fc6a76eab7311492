//! The state folder: what would be in an API server, as files.
//!
//! One process at a time has it. Objects keep their uid and the time of their creation over a
//! restart, so keys stay the same. Plaintext stands under `secrets/` and nowhere else.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rand::CryptoRng;
use serde_json::{Value, json};
use thiserror::Error;

use crate::manifest::{Kind, Manifest, ObjectName, Stored};

mod projected;
mod store;

pub(crate) use projected::Folder;

/// The file that says whose the folder is.
const LOCK: &str = "lock";
/// The folders in it.
const PARTS: [&str; 3] = ["secrets", "objects", "bundles"];

/// The folder of one `up`.
#[derive(Debug)]
pub(crate) struct State {
    root: PathBuf,
    /// Held as long as this lives.
    _lock: File,
    /// The last resourceVersion that was given.
    version: u64,
    objects: Stored,
    secrets: BTreeMap<ObjectName, ObjectMeta>,
    bundles: BTreeMap<ObjectName, ObjectMeta>,
}

/// Why the folder cannot be used.
#[derive(Debug, Error)]
pub(crate) enum StateError {
    /// Another process has it.
    #[error("{} is in use by another `sidegate up`{}", root.display(), pid.as_ref().map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    InUse { root: PathBuf, pid: Option<String> },
    /// It holds something else: nothing there is ours to overwrite or delete.
    #[error("{} has files in it that are not of a state folder", .0.display())]
    NotOurs(PathBuf),
    /// Something in it cannot be read or written.
    #[error("{what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
}

/// What [`State::sync`] did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Synced {
    /// Objects that are not in the files any more.
    pub(crate) gone: Vec<(Kind, ObjectName)>,
}

// === impl State ===

impl State {
    /// Takes the folder, or makes it. `fresh`: what is in it is forgotten.
    pub(crate) fn open(root: &Path, fresh: bool) -> Result<Self, StateError> {
        folder(root)?;
        let empty = fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_none());
        if !empty && !is_ours(root) {
            return Err(StateError::NotOurs(root.to_owned()));
        }
        let lock = lock(root)?;
        write_file(&root.join(".gitignore"), b"*\n")?;
        for part in PARTS {
            let part = root.join(part);
            if fresh && part.exists() {
                fs::remove_dir_all(&part).map_err(|source| StateError::io("cannot empty", &part, source))?;
            }
            folder(&part)?;
        }
        let mut state = Self {
            root: root.to_owned(),
            _lock: lock,
            version: 0,
            objects: store::objects(&root.join("objects")),
            secrets: store::folders(&root.join("secrets")),
            bundles: store::folders(&root.join("bundles")),
        };
        let metas = state.secrets.values().chain(state.bundles.values());
        let versions = metas.filter_map(|meta| meta.resource_version.as_deref()).chain(
            state.objects.values().filter_map(|object| object["metadata"]["resourceVersion"].as_str()),
        );
        state.version = versions.filter_map(|version| version.parse().ok()).max().unwrap_or(0);
        Ok(state)
    }

    /// Makes the objects those of `manifest`: what is new gets a uid, what changed its next
    /// generation, and what is in no file any more is deleted with the Secrets that it owns.
    pub(crate) fn sync(
        &mut self,
        manifest: &Manifest,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
    ) -> Result<Synced, StateError> {
        let wanted: BTreeMap<_, _> = manifest
            .objects
            .iter()
            .filter(|object| object.kind != Kind::Namespace)
            .map(|object| ((object.kind, object.name.clone()), &object.value))
            .collect();
        let gone: Vec<_> = self.objects.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        for key in &gone {
            self.objects.remove(key);
            let path = self.object_path(key.0, &key.1);
            fs::remove_file(&path)
                .or_else(missing_is_fine)
                .map_err(|source| StateError::io("cannot delete", &path, source))?;
        }
        for ((kind, name), value) in wanted {
            let before = self.objects.get(&(kind, name.clone()));
            if before.is_some_and(|before| written_alike(before, value)) {
                continue;
            }
            let object = self.next(kind, &name, value, now, rng);
            self.put(kind, &name, object)?;
        }
        self.collect()?;
        Ok(Synced { gone })
    }

    /// The object as it will stand: what the files say, with our metadata and the old status.
    fn next(
        &self,
        kind: Kind,
        name: &ObjectName,
        value: &Value,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
    ) -> Value {
        let mut object = value.clone();
        let metadata = &mut object["metadata"];
        if let Some(before) = self.objects.get(&(kind, name.clone())) {
            let same = before["spec"] == value["spec"];
            let generation = before["metadata"]["generation"].as_i64().unwrap_or(1);
            metadata["uid"] = before["metadata"]["uid"].clone();
            metadata["creationTimestamp"] = before["metadata"]["creationTimestamp"].clone();
            metadata["generation"] = json!(if same { generation } else { generation + 1 });
            if let Some(status) = before.get("status") {
                object["status"] = status.clone();
            }
        } else {
            metadata["uid"] = json!(uid(rng));
            metadata["creationTimestamp"] = json!(seconds(now));
            metadata["generation"] = json!(1);
        }
        object
    }

    /// Deletes the Secrets and bundles whose owner is gone: what a cluster's garbage collector does.
    fn collect(&mut self) -> Result<(), StateError> {
        let (secrets, bundles) = (self.orphans(&self.secrets), self.orphans(&self.bundles));
        for name in secrets {
            self.delete_secret(&name)?;
        }
        for name in bundles {
            Folder::new(&self.root.join("bundles"), &name).delete()?;
            self.bundles.remove(&name);
        }
        Ok(())
    }

    fn orphans(&self, all: &BTreeMap<ObjectName, ObjectMeta>) -> Vec<ObjectName> {
        let lives = |uid: &str| self.objects.values().any(|object| object["metadata"]["uid"] == uid);
        let owned = |meta: &ObjectMeta| meta.owner_references.iter().flatten().all(|owner| lives(&owner.uid));
        all.iter().filter(|(_, meta)| !owned(meta)).map(|(name, _)| name.clone()).collect()
    }

    /// Forgets the Secrets whose folder somebody has deleted, and says which.
    pub(crate) fn vanished(&mut self) -> Vec<ObjectName> {
        let gone: Vec<_> =
            self.secrets.keys().filter(|name| !self.secret_folder(name).exists()).cloned().collect();
        for name in &gone {
            self.secrets.remove(name);
        }
        gone
    }

    /// Every object, with metadata and status.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (Kind, &ObjectName, &Value)> {
        self.objects.iter().map(|((kind, name), value)| (*kind, name, value))
    }

    /// The objects as they were when this was opened, or last synced.
    pub(crate) fn stored(&self) -> Stored {
        self.objects.clone()
    }

    /// One object.
    pub(crate) fn object(&self, kind: Kind, name: &ObjectName) -> Option<&Value> {
        self.objects.get(&(kind, name.clone()))
    }

    /// Writes an object, with the next resourceVersion.
    pub(crate) fn put(
        &mut self,
        kind: Kind,
        name: &ObjectName,
        mut object: Value,
    ) -> Result<&Value, StateError> {
        object["metadata"]["resourceVersion"] = json!(self.next_version());
        let path = self.object_path(kind, name);
        let text = serde_saphyr::to_string(&object)
            .map_err(|error| StateError::io("cannot write", &path, io::Error::other(error)))?;
        if let Some(parent) = path.parent() {
            folder(parent)?;
        }
        write_file(&path, text.as_bytes())?;
        Ok(self.objects.entry((kind, name.clone())).insert_entry(object).into_mut())
    }

    /// The metadata of every Secret.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (&ObjectName, &ObjectMeta)> {
        self.secrets.iter()
    }

    /// The metadata of one Secret.
    pub(crate) fn secret(&self, name: &ObjectName) -> Option<&ObjectMeta> {
        self.secrets.get(name)
    }

    /// The folder that holds a Secret.
    pub(crate) fn secret_folder(&self, name: &ObjectName) -> Folder {
        Folder::new(&self.root.join("secrets"), name)
    }

    /// Writes a Secret, data and metadata at once. What `data` lacks is taken away.
    pub(crate) fn put_secret(
        &mut self,
        name: &ObjectName,
        mut meta: ObjectMeta,
        data: &BTreeMap<String, &[u8]>,
        rng: &mut dyn CryptoRng,
    ) -> Result<&ObjectMeta, StateError> {
        self.stamp(&mut meta, name, rng);
        self.secret_folder(name).write(&meta, data)?;
        Ok(self.secrets.entry(name.clone()).insert_entry(meta).into_mut())
    }

    /// Deletes a Secret.
    pub(crate) fn delete_secret(&mut self, name: &ObjectName) -> Result<(), StateError> {
        self.secret_folder(name).delete()?;
        self.secrets.remove(name);
        Ok(())
    }

    /// The metadata of a Gate's bundle, which is kept under the Gate's name.
    pub(crate) fn bundle(&self, gate: &ObjectName) -> Option<&ObjectMeta> {
        self.bundles.get(gate)
    }

    /// The metadata of every bundle, by Gate.
    pub(crate) fn bundles(&self) -> impl Iterator<Item = (&ObjectName, &ObjectMeta)> {
        self.bundles.iter()
    }

    /// The bytes of a Gate's bundle.
    pub(crate) fn read_bundle(&self, gate: &ObjectName, file: &str) -> Option<Vec<u8>> {
        Folder::new(&self.root.join("bundles"), gate).read(file)
    }

    /// Writes a Gate's bundle.
    pub(crate) fn put_bundle(
        &mut self,
        gate: &ObjectName,
        mut meta: ObjectMeta,
        data: &BTreeMap<String, &[u8]>,
        rng: &mut dyn CryptoRng,
    ) -> Result<&ObjectMeta, StateError> {
        let name =
            ObjectName { namespace: gate.namespace.clone(), name: meta.name.clone().unwrap_or_default() };
        self.stamp(&mut meta, &name, rng);
        Folder::new(&self.root.join("bundles"), gate).write(&meta, data)?;
        Ok(self.bundles.entry(gate.clone()).insert_entry(meta).into_mut())
    }

    /// What an API server sets.
    fn stamp(&mut self, meta: &mut ObjectMeta, name: &ObjectName, rng: &mut dyn CryptoRng) {
        meta.namespace = Some(name.namespace.clone());
        meta.name = Some(name.name.clone());
        meta.uid.get_or_insert_with(|| uid(rng));
        meta.resource_version = Some(self.next_version());
    }

    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn object_path(&self, kind: Kind, name: &ObjectName) -> PathBuf {
        let file = format!("{}.{}.yaml", kind.as_str().to_lowercase(), name.name);
        self.root.join("objects").join(&name.namespace).join(file)
    }
}

// === impl StateError ===

impl StateError {
    fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), source }
    }
}

/// Do the files say of an object what they said before?
fn written_alike(before: &Value, value: &Value) -> bool {
    let metadata = |object: &Value, key: &str| object["metadata"].get(key).cloned();
    before["spec"] == value["spec"]
        && ["labels", "annotations"].iter().all(|key| metadata(before, key) == metadata(value, key))
}

/// A random uid (RFC 9562, version 4).
fn uid(rng: &mut dyn CryptoRng) -> String {
    let mut bytes = [0u8; 16];
    rng.fill_bytes(&mut bytes);
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A time as an API server writes it: whole seconds.
fn seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Did an earlier `up` make it? What came with somebody's repository may have links that lead
/// elsewhere: nothing is written or deleted through them.
fn is_ours(root: &Path) -> bool {
    fs::symlink_metadata(root.join(LOCK)).is_ok_and(|lock| lock.is_file())
        && !PARTS.iter().any(|part| root.join(part).is_symlink())
}

fn lock(root: &Path) -> Result<File, StateError> {
    let path = root.join(LOCK);
    let failed = |source| StateError::io("cannot lock", &path, source);
    let options =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = options.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let read = file.take(20).read_to_string(&mut pid);
            let pid = Some(pid.trim().to_owned()).filter(|pid| read.is_ok() && !pid.is_empty());
            return Err(StateError::InUse { root: root.to_owned(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let written =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(failed)?;
    Ok(file)
}

/// Makes a folder that its owner alone can enter.
fn folder(path: &Path) -> Result<(), StateError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| StateError::io("cannot make the folder", path, source))
}

/// Writes a file beside and renames it: it is there whole or as it was.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let beside = path.with_extension("new");
    let written = fs::remove_file(&beside)
        .or_else(missing_is_fine)
        .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside))
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| StateError::io("cannot write", path, source))
}

fn missing_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests;
