//! Tensors by name in NumPy's `.npz`: a zip archive with one `.npy` file for each array.

pub mod npy;

use ir::{Strings, Tensor};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use npy::NpyFault;

/// Why an archive can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NpzError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Zip { path: PathBuf, source: ZipError },
    #[error("{}: array `{name}`: {fault}", path.display())]
    Array {
        path: PathBuf,
        name: String,
        #[source]
        fault: NpyFault,
    },
}

/// The arrays of the archive at `path`, in its order. Entries may be stored or deflated; those that are no `.npy` are passed over. Strings
/// are added to the table.
pub fn read(path: &Path, strings: &Strings) -> Result<Vec<(String, Tensor)>, NpzError> {
    let file = File::open(path).map_err(|source| NpzError::File { path: path.into(), source })?;
    let zip = |source| NpzError::Zip { path: path.into(), source };
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(zip)?;
    let mut arrays = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(zip)?;
        let Some(name) = entry.name().strip_suffix(".npy").map(String::from) else { continue };
        match npy::read(&mut entry, strings) {
            Ok(tensor) => arrays.push((name, tensor)),
            Err(fault) => return Err(NpzError::Array { path: path.into(), name, fault }),
        }
    }
    Ok(arrays)
}

/// Writes `arrays`, uncompressed and in their order, to `path`. The same arrays give the same bytes. Names must differ.
pub fn write<'a>(path: &Path, arrays: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<(), NpzError> {
    write_with(path, arrays, |_, _| None)
}

/// As [`write`]; `texts` gives the strings of a tensor of strings.
pub fn write_with<'a>(
    path: &Path,
    arrays: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    texts: impl Fn(&str, &Tensor) -> Option<Vec<Arc<str>>>,
) -> Result<(), NpzError> {
    let file = |source| NpzError::File { path: path.into(), source };
    let zip = |source| NpzError::Zip { path: path.into(), source };
    let mut archive = ZipWriter::new(BufWriter::new(File::create(path).map_err(file)?));
    for (name, tensor) in arrays {
        archive.start_file(format!("{name}.npy"), entry_options(tensor)).map_err(zip)?;
        match texts(name, tensor) {
            Some(texts) => npy::write_texts(&mut archive, tensor.dims(), &texts),
            None => npy::write(&mut archive, tensor),
        }
        .map_err(file)?;
    }
    archive.finish().map_err(zip)?.flush().map_err(file)
}

/// Options with no clock in them; what may pass 4 GiB needs the large form.
fn entry_options(tensor: &Tensor) -> SimpleFileOptions {
    let large = tensor.bytes().len() as u64 + npy::MAX_HEADER_BYTES > u64::from(u32::MAX);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    options.last_modified_time(DateTime::default()).large_file(large)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::DType;
    use proptest::prelude::*;

    fn tensor(dtype: DType, dims: &[usize]) -> Tensor {
        let count = dims.iter().product::<usize>() * dtype.size();
        let bytes: Vec<u8> = (0..count).map(|at| (at % 2) as u8).collect();
        Tensor::new(dtype, dims.into(), Arc::new(bytes)).unwrap()
    }

    fn same(left: &Tensor, right: &Tensor) -> bool {
        (left.dtype(), left.dims(), left.bytes()) == (right.dtype(), right.dims(), right.bytes())
    }

    #[test]
    fn every_type_round_trips() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.npz");
        let dims = [&[][..], &[3], &[2, 0, 5], &[2, 3, 4]];
        let arrays: Vec<_> = DType::ALL.iter().flat_map(|&dtype| dims.map(|dims| tensor(dtype, dims))).collect();
        let names: Vec<_> = (0..arrays.len()).map(|at| format!("/layer.{at}/out:0")).collect();
        write(&path, names.iter().map(String::as_str).zip(&arrays)).unwrap();
        let read = read(&path, &Strings::default()).unwrap();
        assert!(read.iter().map(|(name, _)| name).eq(&names));
        assert!(read.iter().zip(&arrays).all(|((_, read), written)| same(read, written)));
    }

    #[test]
    fn deflated_entries_are_read_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deflated.npz");
        let written = tensor(DType::F32, &[100, 10]);
        let mut archive = ZipWriter::new(File::create(&path).unwrap());
        archive.start_file("readme.txt", SimpleFileOptions::default()).unwrap();
        archive.start_file("x.npy", SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)).unwrap();
        npy::write(&mut archive, &written).unwrap();
        archive.finish().unwrap();
        let read = read(&path, &Strings::default()).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].0, "x");
        assert!(same(&read[0].1, &written));
    }

    #[test]
    fn writing_twice_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let written = tensor(DType::I64, &[7]);
        let bytes = ["a.npz", "b.npz"].map(|name| {
            let path = folder.path().join(name);
            write(&path, [("x", &written)]).unwrap();
            std::fs::read(path).unwrap()
        });
        assert_eq!(bytes[0], bytes[1]);
    }

    #[test]
    fn errors_name_the_file_and_the_array() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.npz");
        let message = || read(&path, &Strings::default()).unwrap_err().to_string();
        assert!(message().contains("bad.npz: No such file"));
        std::fs::write(&path, b"not a zip").unwrap();
        assert!(message().contains("bad.npz: invalid Zip archive"), "{}", message());
        let mut archive = ZipWriter::new(File::create(&path).unwrap());
        archive.start_file("x.npy", SimpleFileOptions::default()).unwrap();
        archive.write_all(b"oh").unwrap();
        archive.finish().unwrap();
        assert!(message().contains("bad.npz: array `x`: "), "{}", message());
    }
    /// The bytes of an archive with an array of each of these dims.
    fn archive(dims: &[Vec<usize>]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let arrays: Vec<_> = dims.iter().enumerate().map(|(at, dims)| (format!("x{at}"), tensor(DType::I16, dims))).collect();
        write(&path, arrays.iter().map(|(name, tensor)| (name.as_str(), tensor))).unwrap();
        std::fs::read(path).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn damaged_archives_are_read_or_refused(
            dims in prop::collection::vec(prop::collection::vec(0..4usize, 0..3), 0..3),
            changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(0u8), Just(0xff), Just(b'9'), any::<u8>()]), 0..6),
            end in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = archive(&dims);
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(end) = end {
                bytes.truncate(end.index(bytes.len()));
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("b.npz");
            std::fs::write(&path, bytes).unwrap();
            if let Ok(arrays) = read(&path, &Strings::default()) {
                let whole = |tensor: &Tensor| tensor.bytes().len() == tensor.count() * tensor.dtype().size();
                prop_assert!(arrays.iter().all(|(_, tensor)| whole(tensor)));
            }
        }
    }
}
