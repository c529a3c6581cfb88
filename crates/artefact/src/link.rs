//! Objects, and what a linker makes of them.

use object::write::{Object, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use target::Target;

/// Why files could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("no linker is installed for {triple}: there is none of {}", names.join(", "))]
    NoLinker { triple: String, names: Vec<String> },
    #[error("{linker} failed: {message}")]
    Linker { linker: String, message: String },
    #[error("objects for {0} can't be written")]
    Format(String),
}

impl LinkError {
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> LinkError + '_ {
        |source| LinkError::File { path: path.to_path_buf(), source }
    }
}

/// The architecture of a triple, in the words of object files.
fn architecture(target: &Target) -> Result<Architecture, LinkError> {
    let word = target.triple.split('-').next().unwrap_or_default();
    Ok(match word {
        "x86_64" => Architecture::X86_64,
        "aarch64" => Architecture::Aarch64,
        "riscv64" => Architecture::Riscv64,
        _ if word.starts_with("thumb") || word.starts_with("arm") => Architecture::Arm,
        _ => return Err(LinkError::Format(target.triple.clone())),
    })
}

/// An object with nothing but read-only bytes, under a symbol that is known inside of what it is linked into.
pub fn write_bytes(path: &Path, target: &Target, symbol: &str, bytes: &[u8], alignment: u64) -> Result<(), LinkError> {
    let mut object = Object::new(BinaryFormat::Elf, architecture(target)?, Endianness::Little);
    let section = object.section_id(StandardSection::ReadOnlyData);
    object.set_section_data(section, bytes, alignment);
    object.add_symbol(Symbol {
        name: symbol.as_bytes().to_vec(),
        value: 0,
        size: bytes.len() as u64,
        kind: SymbolKind::Data,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    // no executable stack, and the floats of a RISC-V are passed in registers
    object.section_id(StandardSection::GnuProperty);
    let file = std::fs::File::create(path).map_err(LinkError::file(path))?;
    let mut out = BufWriter::new(file);
    object.write_stream(&mut out).map_err(|why| LinkError::Format(why.to_string()))?;
    out.flush().map_err(LinkError::file(path))
}

/// One relocatable object of several.
pub fn relocatable(target: &Target, objects: &[PathBuf], out: &Path) -> Result<(), LinkError> {
    link(target, &["-r"], objects, out)
}

/// A shared library. It needs no other, and knows where nothing lies but its own parts.
pub fn shared(target: &Target, objects: &[PathBuf], out: &Path) -> Result<(), LinkError> {
    let name = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    link(target, &["-shared", "-soname", &name, "-z", "noexecstack", "-z", "now", "--build-id=none", "--hash-style=gnu"], objects, out)
}

fn link(target: &Target, flags: &[&str], objects: &[PathBuf], out: &Path) -> Result<(), LinkError> {
    let linker = linker(target)?;
    let result = Command::new(&linker).args(flags).args(objects).arg("-o").arg(out).output();
    let result = result.map_err(LinkError::file(Path::new(&linker)))?;
    if result.status.success() {
        return Ok(());
    }
    Err(LinkError::Linker { linker, message: String::from_utf8_lossy(&result.stderr).trim().to_string() })
}

/// The first of the linkers that is there. The system's own serves this machine's programs alone.
fn linker(target: &Target) -> Result<String, LinkError> {
    let native = target.triple.split('-').next() == Some(std::env::consts::ARCH);
    let names = ["ld.lld-19", "ld.lld", "ld"].into_iter().filter(|name| native || *name != "ld");
    let there = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    let names: Vec<&str> = names.collect();
    let found = names.iter().copied().find(|name| there(name));
    found
        .map(str::to_string)
        .ok_or_else(|| LinkError::NoLinker { triple: target.triple.clone(), names: names.iter().map(|name| name.to_string()).collect() })
}
