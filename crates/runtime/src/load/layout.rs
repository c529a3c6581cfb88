//! First step of loading: which section goes where, and what each symbol means. Nothing is mapped yet, so places
//! inside are offsets in a segment.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use object::elf::{EM_X86_64, ET_REL, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, STT_FUNC};
use object::read::elf::{ElfFile64, ElfSection64, ElfSymbol64, FileHeader};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, SectionFlags, SectionIndex, SymbolFlags, SymbolIndex, SymbolSection};

use super::LoadError;
use crate::mapping::page_bytes;

/// The two parts of the image, which differ in protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    Text,
    Data,
}

/// A byte in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    pub segment: Segment,
    pub offset: usize,
}

/// What a symbol stands for: a byte in the image, or an address outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Inside(Spot),
    Outside(u64),
}

/// A section that is loaded, with its bytes before relocation.
#[derive(Debug)]
pub struct Section<'a> {
    pub index: SectionIndex,
    pub spot: Spot,
    pub bytes: &'a [u8],
}

/// A symbol that all objects see.
#[derive(Debug)]
pub struct Global {
    pub spot: Spot,
    object: usize,
    weak: bool,
}

/// A function of any object, for profiles.
#[derive(Debug)]
pub struct Function<'a> {
    pub spot: Spot,
    pub bytes: u64,
    pub name: &'a str,
}

/// One object and its loaded sections.
#[derive(Debug)]
pub struct LoadedObject<'a> {
    pub file: ElfFile64<'a, LittleEndian>,
    pub sections: Vec<Section<'a>>,
}

/// The places of everything that will be loaded.
#[derive(Debug)]
pub struct Layout<'a> {
    pub objects: Vec<LoadedObject<'a>>,
    pub text_bytes: usize,
    pub data_bytes: usize,
    pub globals: BTreeMap<&'a str, Global>,
    pub functions: Vec<Function<'a>>,
    externals: BTreeMap<&'a str, u64>,
}

impl<'a> Layout<'a> {
    pub fn new(objects: &'a [Vec<u8>], externals: &[(&'a str, *const ())]) -> Result<Layout<'a>, LoadError> {
        let externals = c_library().into_iter().chain(externals.iter().copied());
        let mut layout = Layout {
            objects: Vec::with_capacity(objects.len()),
            text_bytes: 0,
            data_bytes: 0,
            globals: BTreeMap::new(),
            functions: Vec::new(),
            externals: externals.map(|(name, address)| (name, address as u64)).collect(),
        };
        for (number, bytes) in objects.iter().enumerate() {
            let object = layout.placed(parsed(bytes, number)?, number)?;
            layout.objects.push(object);
            layout.define_symbols(number)?;
        }
        Ok(layout)
    }

    /// Gives each section of `file` that is loaded its place after those before it.
    fn placed(&mut self, file: ElfFile64<'a, LittleEndian>, object: usize) -> Result<LoadedObject<'a>, LoadError> {
        let mut sections = Vec::new();
        for section in file.sections() {
            if let Some(segment) = segment_of(&section, object)? {
                let bytes = section.data().map_err(|source| LoadError::Malformed { object, source })?;
                let align = alignment(&section, object)?;
                let spot = self.reserve(segment, bytes.len(), align);
                sections.push(Section { index: section.index(), spot, bytes });
            }
        }
        Ok(LoadedObject { file, sections })
    }

    fn reserve(&mut self, segment: Segment, bytes: usize, align: usize) -> Spot {
        let end = match segment {
            Segment::Text => &mut self.text_bytes,
            Segment::Data => &mut self.data_bytes,
        };
        let offset = end.next_multiple_of(align);
        *end = offset + bytes;
        Spot { segment, offset }
    }

    /// Enters the global symbols and the functions of object `number`.
    fn define_symbols(&mut self, number: usize) -> Result<(), LoadError> {
        let object = &self.objects[number];
        for symbol in object.file.symbols() {
            let Some(spot) = object.spot(&symbol) else { continue };
            let name = symbol_name(&symbol, number)?;
            if symbol.is_global() {
                define(&mut self.globals, name, Global { spot, object: number, weak: symbol.is_weak() })?;
            }
            if is_function(&symbol) {
                self.functions.push(Function { spot, bytes: symbol.size(), name });
            }
        }
        Ok(())
    }

    /// What symbol `index` of object `number` stands for, and its name.
    pub fn resolve(&self, number: usize, index: SymbolIndex) -> Result<(Place, &'a str), LoadError> {
        let object = &self.objects[number];
        let symbol = object.file.symbol_by_index(index).map_err(|source| LoadError::Malformed { object: number, source })?;
        let name = symbol_name(&symbol, number)?;
        if symbol.is_undefined() {
            return self.outer(name).map(|place| (place, name)).ok_or_else(|| LoadError::Undefined { object: number, symbol: name.into() });
        }
        let global = self.globals.get(name).filter(|_| symbol.is_global()).map(|global| global.spot);
        let place = match symbol.section() {
            SymbolSection::Absolute => Some(Place::Outside(symbol.address())),
            _ => global.or_else(|| object.spot(&symbol)).map(Place::Inside),
        };
        place.map(|place| (place, name)).ok_or_else(|| LoadError::NotLoaded { object: number, symbol: name.into() })
    }

    /// A symbol that an object does not define itself: another object's, then an external.
    fn outer(&self, name: &str) -> Option<Place> {
        let global = self.globals.get(name).map(|global| Place::Inside(global.spot));
        global.or_else(|| self.externals.get(name).copied().map(Place::Outside))
    }
}

impl<'a> LoadedObject<'a> {
    /// The place of a symbol that lies in a loaded section.
    fn spot(&self, symbol: &ElfSymbol64<'a, '_, LittleEndian>) -> Option<Spot> {
        let index = symbol.section_index()?;
        let section = self.sections.iter().find(|section| section.index == index)?;
        let offset = usize::try_from(symbol.address()).ok().filter(|&offset| offset <= section.bytes.len())?;
        Some(Spot { offset: section.spot.offset + offset, ..section.spot })
    }
}

fn parsed(bytes: &[u8], object: usize) -> Result<ElfFile64<'_, LittleEndian>, LoadError> {
    let file = ElfFile64::<LittleEndian>::parse(bytes).map_err(|source| LoadError::Malformed { object, source })?;
    let header = file.elf_header();
    let fits = header.e_machine(LittleEndian) == EM_X86_64 && header.e_type(LittleEndian) == ET_REL;
    if fits { Ok(file) } else { Err(LoadError::WrongKind { object }) }
}

/// The segment of a section, `None` where it is not needed at run time.
fn segment_of(section: &ElfSection64<'_, '_, LittleEndian>, object: usize) -> Result<Option<Segment>, LoadError> {
    let name = section.name().map_err(|source| LoadError::Malformed { object, source })?;
    let SectionFlags::Elf { sh_flags } = section.flags() else { return Ok(None) };
    let has = |flag: u32| sh_flags & u64::from(flag) != 0;
    if !has(SHF_ALLOC) || name == ".eh_frame" {
        return Ok(None);
    }
    if has(SHF_EXECINSTR) {
        return Ok(Some(Segment::Text));
    }
    if !has(SHF_WRITE) || name.starts_with(".data.rel.ro") {
        return Ok(Some(Segment::Data));
    }
    if section.size() == 0 { Ok(None) } else { Err(LoadError::WritableData { object, section: name.into() }) }
}

fn alignment(section: &ElfSection64<'_, '_, LittleEndian>, object: usize) -> Result<usize, LoadError> {
    let align = section.align().max(1);
    let most = page_bytes();
    usize::try_from(align).ok().filter(|align| align.is_power_of_two() && *align <= most).ok_or_else(|| {
        let section = String::from_utf8_lossy(section.name_bytes().unwrap_or_default()).into_owned();
        LoadError::Alignment { object, section, align, most: most as u64 }
    })
}

/// Enters a definition; a strong one takes the place of a weak one, and of two weak ones the first stays.
fn define<'a>(globals: &mut BTreeMap<&'a str, Global>, name: &'a str, global: Global) -> Result<(), LoadError> {
    match globals.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(global);
        }
        Entry::Occupied(mut entry) => match (entry.get().weak, global.weak) {
            (_, true) => {}
            (true, false) => {
                entry.insert(global);
            }
            (false, false) => {
                return Err(LoadError::Duplicate { object: global.object, symbol: name.into(), first: entry.get().object });
            }
        },
    }
    Ok(())
}

fn symbol_name<'a>(symbol: &ElfSymbol64<'a, '_, LittleEndian>, object: usize) -> Result<&'a str, LoadError> {
    symbol.name().map_err(|source| LoadError::Malformed { object, source })
}

fn is_function(symbol: &ElfSymbol64<'_, '_, LittleEndian>) -> bool {
    matches!(symbol.flags(), SymbolFlags::Elf { st_info, .. } if st_info & 0xf == STT_FUNC)
}

/// The functions that LLVM calls of its own accord.
fn c_library() -> [(&'static str, *const ()); 4] {
    unsafe extern "C" {
        fn bzero(bytes: *mut libc::c_void, count: usize);
    }
    [
        ("bzero", bzero as *const ()),
        ("memcpy", libc::memcpy as *const ()),
        ("memmove", libc::memmove as *const ()),
        ("memset", libc::memset as *const ()),
    ]
}
