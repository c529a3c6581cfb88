//! Objects, and what a linker makes of them.

use object::read::{Object as _, ObjectSymbol as _};
use object::write::{Object, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, FileFlags, SectionKind, SymbolFlags, SymbolKind, SymbolScope, elf};
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

/// What a target's programs are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Objects and shared libraries of a Unix.
    Elf,
    /// Objects for a program that is all there is on its machine.
    Bare,
    /// A WebAssembly module, which has its memory, and an object.
    Wasm,
}

impl Form {
    pub fn of(target: &Target) -> Form {
        match target.architecture() {
            "wasm32" => Form::Wasm,
            _ if target.triple.contains("-none") => Form::Bare,
            _ => Form::Elf,
        }
    }

    /// Whether weights are part of the object unless something else is asked for: a page shows how far it has come with a file of them.
    pub fn holds_weights(self) -> bool {
        self != Form::Wasm
    }
}

/// The architecture of a target in the words of object files, and its flags: how floats are passed must be told on RISC-V.
fn architecture(target: &Target) -> Result<(Architecture, u32), LinkError> {
    let word = target.architecture();
    Ok(match word {
        "x86_64" => (Architecture::X86_64, 0),
        "aarch64" => (Architecture::Aarch64, 0),
        "riscv64" => (Architecture::Riscv64, elf::EF_RISCV_FLOAT_ABI_DOUBLE | elf::EF_RISCV_RVC),
        _ if word.starts_with("thumb") => (Architecture::Arm, elf::EF_ARM_EABI_VER5),
        _ => return Err(LinkError::Format(target.triple.clone())),
    })
}

/// The empty section by which an object says that its stack holds no code.
const NO_EXECUTABLE_STACK: &[u8] = b".note.GNU-stack";

/// The symbols that an ELF object wants from others; none of a WebAssembly object, whose linker tells.
pub fn undefined(object: &[u8]) -> Result<Vec<String>, String> {
    if object.starts_with(b"\0asm") {
        return Ok(vec![]);
    }
    let file = object::File::parse(object).map_err(|why| why.to_string())?;
    let wanted = file.symbols().filter(|symbol| symbol.is_undefined()).filter_map(|symbol| symbol.name().ok().map(str::to_string));
    Ok(wanted.filter(|name| !name.is_empty()).collect())
}

/// An object with nothing but read-only bytes, under a symbol that is known inside of what it is linked into.
pub fn write_bytes(path: &Path, target: &Target, symbol: &str, bytes: &[u8], alignment: u64) -> Result<(), LinkError> {
    if Form::of(target) == Form::Wasm {
        return std::fs::write(path, wasm_bytes(symbol, bytes, alignment)).map_err(LinkError::file(path));
    }
    let (architecture, e_flags) = architecture(target)?;
    let mut object = Object::new(BinaryFormat::Elf, architecture, Endianness::Little);
    object.flags = FileFlags::Elf { os_abi: elf::ELFOSABI_NONE, abi_version: 0, e_flags };
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
    // without it GNU's linker takes the whole for code that runs on its stack
    object.add_section(vec![], NO_EXECUTABLE_STACK.to_vec(), SectionKind::Other);
    let file = std::fs::File::create(path).map_err(LinkError::file(path))?;
    let mut out = BufWriter::new(file);
    object.write_stream(&mut out).map_err(|why| LinkError::Format(why.to_string()))?;
    out.flush().map_err(LinkError::file(path))
}

/// The same as an object of WebAssembly: a memory of others, a segment of data, and what the linker knows of it [WebAssembly object file
/// linking, version 2, in the tool conventions].
fn wasm_bytes(symbol: &str, bytes: &[u8], alignment: u64) -> Vec<u8> {
    let [import, data_section, custom] = [2, 11, 0];
    let [segment_info, symbol_table] = [5, 8];
    let memory = [&[1][..], &name("env"), &name("__linear_memory"), &[2, 0, 0]].concat();
    // one, active, from address 0
    let data = [&[1, 0, 0x41, 0, 0x0b][..], &leb128(bytes.len()), bytes].concat();
    // one, of data, hidden, defined in segment 0 from byte 0 on
    let symbols = [&[1, 1, 4][..], &name(symbol), &[0, 0], &leb128(bytes.len())].concat();
    let segment = [&[1][..], &name(".rodata.weights"), &[alignment.trailing_zeros() as u8, 0]].concat();
    let linking = [name("linking"), vec![2], piece(symbol_table, &symbols), piece(segment_info, &segment)].concat();
    [b"\0asm\x01\0\0\0".to_vec(), piece(import, &memory), piece(data_section, &data), piece(custom, &linking)].concat()
}

/// A section or a part of one.
fn piece(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb128(content.len()), content].concat()
}

fn name(text: &str) -> Vec<u8> {
    [&leb128(text.len())[..], text.as_bytes()].concat()
}

/// Seven bits a byte, the low ones first.
fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// One relocatable object of several.
pub fn relocatable(target: &Target, objects: &[PathBuf], out: &Path) -> Result<(), LinkError> {
    link(target, &["-r"], objects, out)
}

/// A shared library. It needs no other, and knows where nothing lies but its own parts.
pub fn shared(target: &Target, objects: &[PathBuf], out: &Path) -> Result<(), LinkError> {
    let name = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let plain = ["-shared", "-soname", &name, "-z", "noexecstack", "-z", "now"];
    link(target, &[&plain[..], &["--build-id=none", "--hash-style=gnu", "--compress-debug-sections=zlib"]].concat(), objects, out)
}

/// A module with memory of its own, which can grow; it has the functions of this prefix, and says where its own data ends.
pub fn module(target: &Target, prefix: &str, objects: &[PathBuf], out: &Path) -> Result<(), LinkError> {
    let functions = kernel::facade::FUNCTIONS.map(|name| format!("--export={prefix}_{name}"));
    let stack = format!("stack-size={WASM_STACK_BYTES}");
    let own = ["--no-entry", "--export=__heap_base", "--stack-first", "-z", &stack];
    let flags: Vec<&str> = own.into_iter().chain(functions.iter().map(String::as_str)).collect();
    link(target, &flags, objects, out)
}

/// The stack of a WebAssembly module lies at the start of its memory, so that what overflows it traps.
const WASM_STACK_BYTES: usize = 1 << 20;

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
    let native = target.architecture() == std::env::consts::ARCH;
    let names: Vec<&str> = match Form::of(target) {
        Form::Wasm => vec!["wasm-ld-19", "wasm-ld"],
        Form::Elf | Form::Bare => ["ld.lld-19", "ld.lld", "ld"].into_iter().filter(|name| native || *name != "ld").collect(),
    };
    let there = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    let found = names.iter().copied().find(|name| there(name));
    found
        .map(str::to_string)
        .ok_or_else(|| LinkError::NoLinker { triple: target.triple.clone(), names: names.iter().map(|name| name.to_string()).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::read::ObjectSection as _;

    #[test]
    fn each_target_has_its_form() {
        let forms: Vec<(String, Form)> = Target::predefined().into_iter().map(|target| (target.name.clone(), Form::of(&target))).collect();
        let of = |name: &str| forms.iter().find(|(own, _)| own == name).map(|(_, form)| *form);
        assert_eq!(["x86-64-v3", "aarch64", "riscv64"].map(of), [Some(Form::Elf); 3]);
        assert_eq!([of("wasm32"), of("cortex-m7")], [Some(Form::Wasm), Some(Form::Bare)]);
    }

    #[test]
    fn bytes_are_objects_of_their_machine() {
        let folder = std::env::temp_dir();
        for target in Target::predefined() {
            let path = folder.join(format!("inkle-bytes-{}-{}.o", target.name, std::process::id()));
            write_bytes(&path, &target, "weights", &[7; 200], 64).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            if Form::of(&target) == Form::Wasm {
                assert!(bytes.starts_with(b"\0asm") && bytes.windows(202).any(|part| part[..2] == [0xc8, 1] && part[2..] == [7; 200]));
            } else {
                assert_eq!(undefined(&bytes), Ok(vec![]), "{}", target.name);
                let file = object::File::parse(bytes.as_slice()).unwrap();
                let note = file.section_by_name_bytes(NO_EXECUTABLE_STACK).expect("the stack holds no code");
                assert_eq!(note.flags(), object::SectionFlags::Elf { sh_flags: 0 }, "{}", target.name);
            }
            std::fs::remove_file(path).unwrap();
        }
    }
}
