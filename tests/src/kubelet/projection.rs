//! The folder of a projected volume, and the order of steps in which the kubelet changes one.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// The link that is renamed.
const DATA: &str = "..data";
/// What is renamed over it.
const NEXT: &str = "..data_tmp";

/// A projected volume's folder.
#[derive(Debug)]
pub struct Projection {
    folder: PathBuf,
}

// === impl Projection ===

impl Projection {
    /// Takes over this folder, creating it if need be.
    pub fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Makes the volume hold these files and no others, all at once. The same files again change nothing.
    pub fn write(&mut self, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        let old = self.current()?;
        if let Some(old) = &old
            && read_all(&self.folder.join(old))? == *files
        {
            return Ok(());
        }
        let new = self.write_folder(files)?;
        remove_if_there(&self.folder.join(NEXT))?;
        symlink(&new, self.folder.join(NEXT))?;
        fs::rename(self.folder.join(NEXT), self.folder.join(DATA))?;
        self.link(files)?;
        self.unlink_others(files)?;
        match old {
            Some(old) => fs::remove_dir_all(self.folder.join(old)),
            None => Ok(()),
        }
    }

    /// What `..data` points to.
    fn current(&self) -> io::Result<Option<PathBuf>> {
        match fs::read_link(self.folder.join(DATA)) {
            Ok(target) => Ok(Some(target)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A new folder named after the moment, such as `..2026_03_01_12_00_00.000000001`.
    fn write_folder(&self, files: &BTreeMap<String, Vec<u8>>) -> io::Result<String> {
        let name = Timestamp::now().strftime("..%Y_%m_%d_%H_%M_%S.%9f").to_string();
        let folder = self.folder.join(&name);
        DirBuilder::new().mode(0o755).create(&folder)?;
        for (file, content) in files {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o644).open(folder.join(file))?;
            file.write_all(content)?;
        }
        Ok(name)
    }

    fn link(&self, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        for name in files.keys() {
            match symlink(Path::new(DATA).join(name), self.folder.join(name)) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn unlink_others(&self, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !name.starts_with("..") && !files.contains_key(&name) {
                remove_if_there(&self.folder.join(name))?;
            }
        }
        Ok(())
    }
}

fn read_all(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
    }
    Ok(files)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(of: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        of.iter().map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec())).collect()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_links_through_data() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("volume");
        Projection::create(&folder).unwrap().write(&files(&[("a", "1")])).unwrap();
        assert_eq!(fs::read_link(folder.join("a")).unwrap(), Path::new("..data/a"));
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "1");
        let target = fs::read_link(folder.join("..data")).unwrap();
        assert!(target.to_str().unwrap().starts_with("..2"), "{target:?}");
        assert_eq!(names(&folder), [target.to_str().unwrap(), "..data", "a"]);
    }

    #[test]
    fn a_change_moves_data_and_leaves_nothing_old() {
        let temp = tempfile::tempdir().unwrap();
        let mut projection = Projection::create(temp.path()).unwrap();
        projection.write(&files(&[("a", "1"), ("b", "1")])).unwrap();
        let before = fs::read_link(temp.path().join("..data")).unwrap();
        projection.write(&files(&[("a", "2")])).unwrap();
        let after = fs::read_link(temp.path().join("..data")).unwrap();
        assert_ne!(before, after);
        assert_eq!(names(temp.path()), [after.to_str().unwrap(), "..data", "a"]);
        assert_eq!(fs::read_to_string(temp.path().join("a")).unwrap(), "2");
    }

    #[test]
    fn the_same_files_again_change_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let mut projection = Projection::create(temp.path()).unwrap();
        projection.write(&files(&[("a", "1")])).unwrap();
        let before = names(temp.path());
        projection.write(&files(&[("a", "1")])).unwrap();
        assert_eq!(names(temp.path()), before);
    }

    #[test]
    fn no_files_leave_an_empty_volume() {
        let temp = tempfile::tempdir().unwrap();
        let mut projection = Projection::create(temp.path()).unwrap();
        projection.write(&files(&[("a", "1")])).unwrap();
        projection.write(&BTreeMap::new()).unwrap();
        let target = fs::read_link(temp.path().join("..data")).unwrap();
        assert_eq!(names(temp.path()), [target.to_str().unwrap(), "..data"]);
    }
}
