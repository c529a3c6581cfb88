//! The store under crashes, damage, other processes and its bound.

use cache::{Entry, Key, Store};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86400);

fn open(folder: &Path, most_bytes: u64, now: SystemTime) -> Store {
    Store::open(folder, most_bytes, now).unwrap()
}

fn key(number: usize) -> Key {
    Key::new([("nest", number.to_string().into())])
}

fn entry(number: usize, bytes: usize) -> Entry {
    Entry { key: key(number), interface: format!("kernel {number}"), object: vec![number as u8; bytes] }
}

fn only_file(folder: &Path) -> PathBuf {
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn what_is_written_is_found_by_another_process() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a/b");
    let store = open(&path, 1 << 20, SystemTime::now());
    assert_eq!(store.get(&key(1)), None);
    store.put(&entry(1, 50)).unwrap();
    store.put(&entry(1, 50)).unwrap();
    let other = open(&path, 1 << 20, SystemTime::now());
    assert_eq!(other.get(&key(1)), Some(entry(1, 50)));
    assert_eq!(other.get(&key(2)), None);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(only_file(&path)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(store.clear().unwrap().0, 1);
    assert_eq!(other.get(&key(1)), None);
}

#[test]
fn damaged_entries_are_ignored_and_written_anew() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path(), 1 << 20, SystemTime::now());
    store.put(&entry(1, 50)).unwrap();
    let path = only_file(folder.path());
    let whole = fs::read(&path).unwrap();
    for damaged in [vec![], whole[..whole.len() - 1].to_vec(), [&whole[..60], &[!whole[60]], &whole[61..]].concat()] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(store.get(&key(1)), None);
        assert!(store.entries().unwrap()[0].key.is_none());
    }
    // a whole entry under another's name
    fs::write(&path, entry(2, 50).to_bytes()).unwrap();
    assert_eq!(store.get(&key(1)), None);
    store.put(&entry(1, 50)).unwrap();
    assert_eq!(store.get(&key(1)), Some(entry(1, 50)));
}

#[test]
fn a_writer_that_dies_leaves_nothing_that_is_read() {
    let folder = TempDir::new().unwrap();
    let partial = folder.path().join("1-0.partial");
    fs::write(&partial, &entry(1, 50).to_bytes()[..40]).unwrap();
    let store = open(folder.path(), 1 << 20, SystemTime::now());
    assert_eq!(store.get(&key(1)), None);
    store.trim().unwrap();
    assert!(partial.exists(), "it may still be written");
    open(folder.path(), 1 << 20, SystemTime::now() + DAY).trim().unwrap();
    assert!(!partial.exists());
}

#[test]
fn the_least_recently_used_go_first() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path(), 4500, SystemTime::now());
    for number in 0..4 {
        store.put(&entry(number, 1000)).unwrap();
    }
    store.trim().unwrap();
    let later = open(folder.path(), 4500, SystemTime::now() + DAY);
    assert!((0..4).all(|number| number == 2 || later.get(&key(number)).is_some()));
    later.put(&entry(4, 1000)).unwrap();
    later.trim().unwrap();
    assert_eq!(later.get(&key(2)), None);
    let bytes: u64 = later.entries().unwrap().iter().map(|stored| stored.bytes).sum();
    assert!(bytes <= 4500, "{bytes}");
}

#[test]
fn writers_and_readers_at_once_see_whole_entries() {
    let folder = TempDir::new().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = open(folder.path(), 20_000, SystemTime::now());
                for number in (0..200).map(|turn| turn % 20) {
                    assert!(store.get(&key(number)).is_none_or(|found| found == entry(number, 1000)));
                    store.put(&entry(number, 1000)).unwrap();
                    store.trim().unwrap();
                }
            });
        }
    });
    let store = open(folder.path(), 20_000, SystemTime::now());
    assert!(store.entries().unwrap().iter().all(|stored| stored.key.is_some()));
}

#[test]
fn a_read_only_store_is_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path(), 1 << 20, SystemTime::now()).read_only();
    store.put(&entry(1, 50)).unwrap();
    store.trim().unwrap();
    assert_eq!(store.get(&key(1)), None);
    open(folder.path(), 1 << 20, SystemTime::now()).put(&entry(1, 50)).unwrap();
    assert_eq!(store.get(&key(1)), Some(entry(1, 50)));
}

#[test]
fn a_folder_that_others_may_write_is_refused() {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Store::open(folder.path(), 1000, SystemTime::now()).is_err());
}
