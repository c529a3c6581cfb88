//! Digests of what an artefact was made from.

use std::fs::File;
use std::io;
use std::path::Path;

/// Of the bytes of a file. What it refers to is not part of it.
pub fn file(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

pub fn text(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}
