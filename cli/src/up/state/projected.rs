//! A Secret as a folder, laid out as the kubelet mounts one: `<key> -> ..data/<key>`, and
//! `..data` a link to the folder that has the values. Changing that one link changes all of it at
//! once, so data and record can never disagree.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Path, PathBuf},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use zeroize::Zeroizing;

use super::{StateError, folder, missing_is_fine};
use crate::manifest::ObjectName;

/// The link to what counts.
const DATA: &str = "..data";
/// Where metadata stands, beside the values. No key of a Secret begins with two dots.
const META: &str = "..meta.json";

/// One Secret's folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

// === impl Folder ===

impl Folder {
    pub(super) fn new(root: &Path, name: &ObjectName) -> Self {
        Self { path: root.join(&name.namespace).join(&name.name) }
    }

    /// Is there anything in it?
    pub(super) fn exists(&self) -> bool {
        self.path.join(DATA).join(META).exists()
    }

    /// The metadata, if it is there and parses.
    pub(super) fn meta(&self) -> Option<ObjectMeta> {
        serde_json::from_slice(&fs::read(self.path.join(DATA).join(META)).ok()?).ok()
    }

    /// A value.
    pub(crate) fn read(&self, key: &str) -> Option<Vec<u8>> {
        fs::read(self.path.join(DATA).join(key)).ok()
    }

    /// All values, by key; wiped when dropped.
    pub(crate) fn values(&self) -> BTreeMap<String, Zeroizing<Vec<u8>>> {
        let entries = fs::read_dir(self.path.join(DATA)).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|key| key != META)
            .filter_map(|key| self.read(&key).map(|value| (key, Zeroizing::new(value))))
            .collect()
    }

    /// Writes metadata and values, all of them at once.
    pub(super) fn write(&self, meta: &ObjectMeta, data: &BTreeMap<String, &[u8]>) -> Result<(), StateError> {
        let failed = |source| StateError::io("cannot write", &self.path, source);
        folder(&self.path)?;
        let version = meta.resource_version.as_deref().unwrap_or("0");
        let next = self.path.join(format!("..{version}"));
        fs::remove_dir_all(&next).or_else(missing_is_fine).map_err(failed)?;
        folder(&next)?;
        let meta = serde_json::to_vec(meta).map_err(|error| failed(error.into()))?;
        for (key, value) in
            data.iter().map(|(key, value)| (key.as_str(), *value)).chain([(META, meta.as_slice())])
        {
            let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(next.join(key));
            file.and_then(|mut file| file.write_all(value).and_then(|()| file.sync_all())).map_err(failed)?;
        }
        let link = self.path.join("..data_new");
        fs::remove_file(&link).or_else(missing_is_fine).map_err(failed)?;
        symlink(format!("..{version}"), &link).map_err(failed)?;
        fs::rename(&link, self.path.join(DATA)).map_err(failed)?;
        self.tidy(&next, data).map_err(failed)
    }

    /// Takes it away. The link goes first: from then on there is nothing.
    pub(super) fn delete(&self) -> Result<(), StateError> {
        fs::remove_file(self.path.join(DATA))
            .or_else(missing_is_fine)
            .and_then(|()| fs::remove_dir_all(&self.path).or_else(missing_is_fine))
            .map_err(|source| StateError::io("cannot delete", &self.path, source))
    }

    /// Links the keys, and takes away what the last write left.
    fn tidy(&self, current: &Path, data: &BTreeMap<String, &[u8]>) -> std::io::Result<()> {
        for key in data.keys() {
            let link = self.path.join(key);
            if fs::symlink_metadata(&link).is_err() {
                symlink(format!("{DATA}/{key}"), link)?;
            }
        }
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let ours = fs::read_link(&path).is_ok_and(|target| target.starts_with(DATA));
            if ours && !data.contains_key(&name) {
                fs::remove_file(path)?;
            } else if name.starts_with("..") && path != current && !path.is_symlink() {
                fs::remove_dir_all(path)?;
            }
        }
        Ok(())
    }
}
