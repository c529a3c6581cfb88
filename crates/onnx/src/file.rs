//! A model file on disk: the decoded messages, and the elements of its tensors.
//!
//! The file is mapped, not read: `raw_data` and external data are slices of the mapping. Everything in a file is untrusted, so
//! each size, offset and path is checked before it is used; a bad one is an error, never a panic.
//!
//! What decoding allocates is at most a few hundred bytes for each byte of the file, which itself is at most 2 GiB.

mod external;
mod fields;
mod tensor;

use bytes::Bytes;
use prost::Message;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::proto::ModelProto;
pub use external::ExternalFault;
pub use tensor::{Elements, TensorBytes, TensorError, TensorFault};

/// The largest model file, in bytes: the limit that protobuf sets to a message. Larger models keep their weights in other files.
pub const MAX_MODEL_BYTES: u64 = i32::MAX as u64;

/// A decoded model and the folder that its external data is relative to.
///
/// The files must not be changed or cut short while this, or any slice of it, is alive: they are mapped.
#[derive(Debug)]
pub struct ModelFile {
    pub model: ModelProto,
    external: external::Files,
}

/// Why a model file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: has {size} bytes; a model file has at most {MAX_MODEL_BYTES}", path.display())]
    TooLarge { path: PathBuf, size: u64 },
    #[error("{}: not an ONNX model: {source}", path.display())]
    Decode { path: PathBuf, source: prost::DecodeError },
    #[error("{}: not an ONNX model: it has no graph", path.display())]
    NoGraph { path: PathBuf },
}

impl ModelFile {
    /// Maps and decodes the model at `path`. External data is relative to the file's folder; where `path` is a symbolic link, the
    /// folder of the file that it leads to serves too.
    pub fn open(path: &Path) -> Result<ModelFile, FileError> {
        let read = |source| FileError::Read { path: path.into(), source };
        let file = path.canonicalize().map_err(read)?;
        let size = regular_file_size(&file).map_err(read)?;
        if size > MAX_MODEL_BYTES {
            return Err(FileError::TooLarge { path: path.into(), size });
        }
        let model = decode(mapped(&file).map_err(read)?, path)?;
        let folders = [folder_of(path).canonicalize().map_err(read)?, folder_of(&file).into()];
        Ok(ModelFile { model, external: external::Files::new(folders.into()) })
    }

    /// Decodes a model that is already in memory. It can read no external data.
    pub fn from_bytes(bytes: Bytes) -> Result<ModelFile, FileError> {
        let model = decode(bytes, Path::new("(memory)"))?;
        Ok(ModelFile { model, external: external::Files::new(Vec::new()) })
    }

    /// No model; it reads tensors that have their own data.
    pub fn empty() -> ModelFile {
        ModelFile { model: ModelProto::default(), external: external::Files::new(Vec::new()) }
    }

    /// What the model's metadata has under `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.model.metadata_props.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    /// All keys and texts that the model carries for its users.
    pub fn all_metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.model.metadata_props.iter().map(|entry| (entry.key.as_str(), entry.value.as_str()))
    }

    /// The model's own folder, with no symbolic link in it; none for a model in memory.
    pub fn folder(&self) -> Option<&Path> {
        self.external.folder()
    }
}

fn decode(bytes: Bytes, path: &Path) -> Result<ModelProto, FileError> {
    let model = ModelProto::decode(bytes).map_err(|source| FileError::Decode { path: path.into(), source })?;
    if model.graph.is_none() {
        return Err(FileError::NoGraph { path: path.into() });
    }
    Ok(model)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// The size of the file at `path`; an error for what is no plain file, since opening a pipe or a device could block.
fn regular_file_size(path: &Path) -> io::Result<u64> {
    let metadata = fs::metadata(path)?;
    match metadata.is_file() {
        true => Ok(metadata.len()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// The whole file at `path` as shared bytes that live as long as any slice of them.
fn mapped(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    // SAFETY: the mapping is read-only; that nobody changes the file meanwhile is the contract of `ModelFile`.
    let map = unsafe { memmap2::Mmap::map(&file)? };
    Ok(Bytes::from_owner(map))
}

#[cfg(test)]
mod tests;
