//! A digest of the sources that decide which code a nest becomes: the version of the code generator in the keys of the cache.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The rooms from the physical group to the object, and the lock file for the libraries under them.
const PARTS: [&str; 9] = ["sym", "ir", "nest", "target", "program", "kernel", "llvm", "driver", "../Cargo.lock"];

fn main() -> io::Result<()> {
    let crates = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let mut files = Vec::new();
    for part in PARTS {
        let path = crates.join(part);
        let path = if path.is_dir() { path.join("src") } else { path };
        println!("cargo::rerun-if-changed={}", path.display());
        collect(&path, &mut files)?;
    }
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(blake3::hash(&fs::read(file)?).as_bytes());
    }
    println!("cargo::rustc-env=INKLE_SOURCES={}", &hasher.finalize().to_hex()[..16]);
    Ok(())
}

/// All files at or below a path.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    fs::read_dir(path)?.try_for_each(|file| collect(&file?.path(), files))
}
