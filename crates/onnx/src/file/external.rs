//! External data: tensor elements in a file beside the model.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{mapped, regular_file_size};
use crate::proto::StringStringEntryProto;

/// The files beside a model, each mapped when it is first asked for.
///
/// Invariant: the folders are canonical, and every mapped file is inside one of them.
#[derive(Debug)]
pub(super) struct Files {
    folders: Vec<PathBuf>,
    mapped: Mutex<BTreeMap<String, Bytes>>,
}

/// Why the external data of a tensor can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ExternalFault {
    #[error("its external_data has no location")]
    NoLocation,
    #[error("its external_data's {key} `{value}` is not a number of bytes")]
    BadNumber { key: &'static str, value: String },
    #[error("its external file `{location}` is not a relative path below the model's folder")]
    BadLocation { location: String },
    #[error("its external file `{location}` is outside the model's folder: it leads to {}", target.display())]
    Outside { location: String, target: PathBuf },
    #[error("a model in memory has no folder for its external file `{location}`")]
    NoFolder { location: String },
    #[error("its external file `{location}`: {source}")]
    Read { location: String, source: io::Error },
    #[error("its dims need {needed} bytes but its external_data's length is {length}")]
    Length { needed: u64, length: u64 },
    #[error("its {needed} bytes at offset {offset} are not within the {size} bytes of its external file `{location}`")]
    PastEnd { location: String, offset: u64, needed: u64, size: u64 },
}

/// The entries of `external_data` that say where the elements are. The checksum is not verified.
struct Place<'a> {
    location: &'a str,
    offset: u64,
    length: Option<u64>,
}

impl Files {
    /// Files inside any of `folders`, which are canonical; the first is the model's own.
    pub(super) fn new(folders: Vec<PathBuf>) -> Files {
        Files { folders, mapped: Mutex::default() }
    }

    pub(super) fn folder(&self) -> Option<&Path> {
        self.folders.first().map(PathBuf::as_path)
    }

    /// The `needed` bytes that `entries` point at.
    pub(super) fn slice(&self, entries: &[StringStringEntryProto], needed: u64) -> Result<Bytes, ExternalFault> {
        let Place { location, offset, length } = place(entries)?;
        if let Some(length) = length.filter(|&length| length != needed) {
            return Err(ExternalFault::Length { needed, length });
        }
        let file = self.file(location)?;
        let size = file.len() as u64;
        match offset.checked_add(needed) {
            Some(end) if end <= size => Ok(file.slice(offset as usize..end as usize)),
            _ => Err(ExternalFault::PastEnd { location: location.into(), offset, needed, size }),
        }
    }

    #[cfg(test)]
    pub(super) fn mapped_locations(&self) -> Vec<String> {
        self.mapped.lock().unwrap().keys().cloned().collect()
    }

    fn file(&self, location: &str) -> Result<Bytes, ExternalFault> {
        let mut mapped_files = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = mapped_files.get(location) {
            return Ok(file.clone());
        }
        let path = self.resolved(location)?;
        let read = |source| ExternalFault::Read { location: location.into(), source };
        regular_file_size(&path).map_err(read)?;
        let file = mapped(&path).map_err(read)?;
        mapped_files.insert(location.into(), file.clone());
        Ok(file)
    }

    /// The canonical path of `location`, which is inside one of the folders.
    fn resolved(&self, location: &str) -> Result<PathBuf, ExternalFault> {
        let location = String::from(location);
        let relative = Path::new(&location);
        if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(ExternalFault::BadLocation { location });
        }
        let Some(folder) = self.folder() else {
            return Err(ExternalFault::NoFolder { location });
        };
        match folder.join(relative).canonicalize() {
            Err(source) => Err(ExternalFault::Read { location, source }),
            Ok(target) if self.folders.iter().any(|folder| target.starts_with(folder)) => Ok(target),
            Ok(target) => Err(ExternalFault::Outside { location, target }),
        }
    }
}

/// Reads the entries; as in the reference implementation a later entry of the same key wins, and an unknown key says nothing.
fn place(entries: &[StringStringEntryProto]) -> Result<Place<'_>, ExternalFault> {
    let value = |key| entries.iter().rev().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let number = |key| value(key).map(|text| bytes_count(key, text)).transpose();
    Ok(Place {
        location: value("location").filter(|location| !location.is_empty()).ok_or(ExternalFault::NoLocation)?,
        offset: number("offset")?.unwrap_or(0),
        length: number("length")?,
    })
}

fn bytes_count(key: &'static str, text: &str) -> Result<u64, ExternalFault> {
    text.parse().map_err(|_| ExternalFault::BadNumber { key, value: text.into() })
}
