//! Loads relocatable x86-64 ELF objects into this process, without a linker.
//!
//! The image is one mapping: the `.text*` sections of all objects and thunks, then on their own pages the read-only
//! data and a table of addresses (GOT). It is written first and then made read + execute and read only; at no time is
//! a page writable and executable. Objects see each other's global symbols by name. Functions outside come from the
//! caller's table; `memcpy`, `memmove`, `memset` and `bzero` are always there. Calls to the outside go through a
//! thunk, since the function may be more than 2 GiB away. Writable data (`.data`, `.bss`, thread-locals) is refused.

mod layout;
mod relocate;

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::mapping::{Access, Mapping};
use layout::Layout;
use relocate::{Fixups, Geometry};

/// Loaded code. It stays at its address until it is dropped; no pointer into it may be used after that.
#[derive(Debug)]
pub struct Code {
    image: Mapping,
    code_bytes: usize,
    symbols: BTreeMap<String, usize>,
    functions: Vec<Function>,
}

/// A function in the image: its offset, size and name.
#[derive(Debug)]
struct Function {
    offset: usize,
    bytes: u64,
    name: String,
}

/// Why objects cannot be loaded. `object` counts from 0 in the order given.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("object {object}: {source}")]
    Malformed { object: usize, source: object::Error },
    #[error("object {object}: not a relocatable ELF object for x86-64")]
    WrongKind { object: usize },
    #[error("object {object}: section `{section}` is writable; code keeps no data of its own")]
    WritableData { object: usize, section: String },
    #[error("object {object}: section `{section}` wants alignment {align}, at most {most} is given")]
    Alignment { object: usize, section: String, align: u64, most: u64 },
    #[error("object {object}: symbol `{symbol}` is neither in the objects nor among the externals")]
    Undefined { object: usize, symbol: String },
    #[error("object {object}: symbol `{symbol}` is defined in object {first} already")]
    Duplicate { object: usize, symbol: String, first: usize },
    #[error("object {object}: symbol `{symbol}` lies in no loaded section")]
    NotLoaded { object: usize, symbol: String },
    #[error("object {object}: relocation of type {kind} to `{symbol}` is not supported")]
    Relocation { object: usize, symbol: String, kind: u32 },
    #[error("object {object}: `{symbol}` lies outside, yet is referred to as near; declare it without dso_local")]
    NearExternal { object: usize, symbol: String },
    #[error("object {object}: relocation to `{symbol}` does not fit into its field")]
    Range { object: usize, symbol: String },
    #[error("{bytes} bytes of code and constants are more than the 2 GiB that code reaches")]
    TooLarge { bytes: usize },
    #[error("memory for {bytes} bytes of code: {source}")]
    Memory { bytes: usize, source: io::Error },
}

impl Code {
    /// Places, relocates and protects `objects`. `externals` names the functions they may call outside.
    ///
    /// The caller answers for the externals: each must have the signature that the code calls it with.
    pub fn load(objects: &[Vec<u8>], externals: &[(&str, *const ())]) -> Result<Code, LoadError> {
        let layout = Layout::new(objects, externals)?;
        let fixups = Fixups::of(&layout)?;
        let geometry = Geometry::new(&layout, &fixups);
        if i32::try_from(geometry.bytes).is_err() {
            return Err(LoadError::TooLarge { bytes: geometry.bytes });
        }
        let memory = |source| LoadError::Memory { bytes: geometry.bytes, source };
        let mut image = Mapping::zeroed(geometry.bytes, 1).map_err(memory)?;
        let base = image.as_ptr() as u64;
        // SAFETY: the mapping has `geometry.bytes` zeroed bytes, which nothing else refers to yet.
        let bytes = unsafe { std::slice::from_raw_parts_mut(image.as_mut_ptr(), geometry.bytes) };
        relocate::write_image(bytes, base, &layout, &fixups, &geometry)?;
        image.protect(0..geometry.data_start, Access::ReadExecute).map_err(memory)?;
        image.protect(geometry.data_start..geometry.bytes, Access::Read).map_err(memory)?;
        Ok(Code { image, code_bytes: geometry.code_bytes, symbols: symbols(&layout, &geometry), functions: functions(&layout, &geometry) })
    }

    /// The address of a global symbol of the objects.
    pub fn symbol(&self, name: &str) -> Option<*const ()> {
        self.symbols.get(name).map(|&offset| self.address(offset))
    }

    /// The bytes of machine code, thunks included and data not.
    pub fn code_bytes(&self) -> usize {
        self.code_bytes
    }

    /// Writes one line for each function in the form that `perf` reads from `/tmp/perf-PID.map`.
    pub fn write_perf_map(&self, out: &mut impl Write) -> io::Result<()> {
        for Function { offset, bytes, name } in &self.functions {
            writeln!(out, "{:x} {bytes:x} {name}", self.address(*offset) as usize)?;
        }
        Ok(())
    }

    fn address(&self, offset: usize) -> *const () {
        self.image.as_ptr().wrapping_add(offset).cast()
    }
}

fn symbols(layout: &Layout, geometry: &Geometry) -> BTreeMap<String, usize> {
    layout.globals.iter().map(|(name, global)| ((*name).to_string(), geometry.offset(global.spot))).collect()
}

fn functions(layout: &Layout, geometry: &Geometry) -> Vec<Function> {
    let named = |function: &layout::Function| Function {
        offset: geometry.offset(function.spot),
        bytes: function.bytes,
        name: function.name.to_string(),
    };
    layout.functions.iter().map(named).collect()
}
