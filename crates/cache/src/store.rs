//! The folder: one file an entry, named by its key's digest.
//!
//! A file is written under a name of its own and renamed when it is whole. It is not synced: what a crash leaves behind is no entry, by its
//! checksum, and the next miss writes it anew. A file's time of change is when it was last used, to the hour; the trimming takes the
//! oldest first.

use crate::entry::Entry;
use crate::key::Key;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A folder of entries that belongs to the user alone.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    most_bytes: u64,
    now: SystemTime,
    access: Access,
}

/// A file of the folder. `key` is None where it is damaged or unfinished.
#[derive(Debug)]
pub struct Stored {
    pub path: PathBuf,
    pub bytes: u64,
    pub used: SystemTime,
    pub key: Option<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Write,
    Read,
}

/// Ending of the name of an entry, and of one that is being written.
const ENTRY: &str = "entry";
const PARTIAL: &str = "partial";

/// How exactly the time of use is kept; a partial file that is older was left by a process that ended.
const HOUR: Duration = Duration::from_secs(3600);

/// What is left after trimming, in parts of the bound: so that not every compile trims.
const KEPT: (u64, u64) = (3, 4);

/// Permissions of group and others to write.
const OTHERS_WRITE: u32 = 0o022;

impl Store {
    /// The store in a folder, made where it is missing, of at most `most_bytes` after a [`Store::trim`]. An error where others may write
    /// to the folder, or it is another user's.
    pub fn open(folder: &Path, most_bytes: u64, now: SystemTime) -> io::Result<Store> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let metadata = fs::metadata(folder)?;
        // the owner of this process's entry is its effective user
        let user = fs::metadata("/proc/self")?.uid();
        if metadata.uid() != user || metadata.mode() & OTHERS_WRITE != 0 {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others may write to it"));
        }
        Ok(Store { folder: folder.to_path_buf(), most_bytes, now, access: Access::Write })
    }

    /// The same store, in which nothing is changed any more: what is put into it is let go.
    pub fn read_only(self) -> Store {
        Store { access: Access::Read, ..self }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    /// The entry of a key; None where there is none, or a damaged one.
    pub fn get(&self, key: &Key) -> Option<Entry> {
        let mut file = File::open(self.path(key)).ok()?;
        let entry = Entry::from_bytes(&content(&mut file, self.most_bytes).ok()?).filter(|entry| entry.key == *key)?;
        self.mark_used(&file);
        Some(entry)
    }

    /// Notes the use of a file; that others can't see it for an hour, or at all, does no harm.
    fn mark_used(&self, file: &File) {
        let used = file.metadata().and_then(|metadata| metadata.modified()).unwrap_or(self.now);
        if self.access == Access::Write && self.now.duration_since(used).is_ok_and(|age| age > HOUR) {
            let _ = file.set_modified(self.now);
        }
    }

    /// Writes an entry, in place of one of the same key.
    pub fn put(&self, entry: &Entry) -> io::Result<()> {
        if self.access == Access::Read {
            return Ok(());
        }
        let mut partial = tempfile::Builder::new().suffix(&format!(".{PARTIAL}")).tempfile_in(&self.folder)?;
        partial.write_all(&entry.to_bytes())?;
        partial.persist(self.path(&entry.key)).map(drop).map_err(|why| why.error)
    }

    /// Removes the entries that were not used for longest until the rest is well within the bound, and what crashes left.
    pub fn trim(&self) -> io::Result<()> {
        if self.access == Access::Read {
            return Ok(());
        }
        let mut files = self.files()?;
        for (path, ..) in files.extract_if(.., |(path, _, used)| is(path, PARTIAL) && *used + HOUR < self.now) {
            remove(&path)?;
        }
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        if bytes <= self.most_bytes {
            return Ok(());
        }
        files.sort_by_key(|(_, _, used)| *used);
        for (path, size, _) in files.iter().filter(|(path, ..)| is(path, ENTRY)) {
            if bytes <= self.most_bytes / KEPT.1 * KEPT.0 {
                break;
            }
            remove(path)?;
            bytes -= size;
        }
        Ok(())
    }

    /// All files of the store.
    pub fn entries(&self) -> io::Result<Vec<Stored>> {
        let stored = |(path, bytes, used): (PathBuf, u64, SystemTime)| {
            let content = File::open(&path).and_then(|mut file| content(&mut file, self.most_bytes));
            let entry = content.ok().and_then(|bytes| Entry::from_bytes(&bytes)).filter(|entry| self.path(&entry.key) == path);
            Stored { path, bytes, used, key: entry.map(|entry| entry.key) }
        };
        Ok(self.files()?.into_iter().map(stored).collect())
    }

    /// Removes all files of the store; gives their number and bytes.
    pub fn clear(&self) -> io::Result<(usize, u64)> {
        let files = self.files()?;
        files.iter().try_for_each(|(path, ..)| remove(path))?;
        Ok((files.len(), files.iter().map(|(_, bytes, _)| bytes).sum()))
    }

    /// Path, bytes and time of use of each file that is the store's own. Files that vanish meanwhile are left out.
    fn files(&self) -> io::Result<Vec<(PathBuf, u64, SystemTime)>> {
        let mut files = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            let path = file?.path();
            if let Ok(metadata) = fs::symlink_metadata(&path)
                && metadata.is_file()
                && (is(&path, ENTRY) || is(&path, PARTIAL))
            {
                files.push((path, metadata.len(), metadata.modified()?));
            }
        }
        Ok(files)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(key.digest()).with_extension(ENTRY)
    }
}

fn is(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension == ending)
}

/// The bytes of a file; an error where there are more than `most`.
fn content(file: &mut File, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "no entry is so large"));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes a file, unless another process was faster.
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|why| if why.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(why) })
}
