//! Second step of loading: the references between sections, the size of the image, and its bytes.
//!
//! Image: text | thunks | (next page) read-only data | GOT. A thunk is `jmp *slot(%rip)` with the address of an
//! outside function in its GOT slot.

use std::collections::{BTreeMap, BTreeSet};

use object::elf::{
    R_X86_64_64, R_X86_64_GOTPCREL, R_X86_64_GOTPCRELX, R_X86_64_NONE, R_X86_64_PC32, R_X86_64_PC64, R_X86_64_PLT32, R_X86_64_REX_GOTPCRELX,
};
use object::read::Relocation;
use object::{Object, ObjectSection, RelocationFlags, RelocationTarget};

use super::LoadError;
use super::layout::{Layout, Place, Section, Segment, Spot};
use crate::mapping::page_bytes;

const THUNK_BYTES: usize = 8;
const SLOT_BYTES: usize = 8;
const TRAP: u8 = 0xcc;

/// How the bytes at a reference are computed, in the words of the psABI: S symbol, A addend, P the reference,
/// G the GOT slot of the symbol, L its thunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// 64 bits of S + A.
    Absolute64,
    /// 64 bits of S + A - P.
    Relative64,
    /// 32 bits of S + A - P.
    Relative32,
    /// 32 bits of L + A - P.
    Call32,
    /// 32 bits of G + A - P.
    Slot32,
}

/// One reference.
#[derive(Debug)]
struct Fixup<'a> {
    object: usize,
    symbol: &'a str,
    at: Spot,
    form: Form,
    target: Place,
    addend: i64,
}

/// All references, and what they need besides the sections.
#[derive(Debug)]
pub struct Fixups<'a> {
    fixups: Vec<Fixup<'a>>,
    thunks: BTreeSet<u64>,
    slots: BTreeSet<Place>,
}

impl<'a> Fixups<'a> {
    /// The references from all loaded sections.
    pub fn of(layout: &Layout<'a>) -> Result<Fixups<'a>, LoadError> {
        let mut fixups = Vec::new();
        for (number, object) in layout.objects.iter().enumerate() {
            for section in &object.sections {
                add_section(&mut fixups, layout, number, section)?;
            }
        }
        let thunks: BTreeSet<u64> = fixups.iter().filter_map(Fixup::thunk).collect();
        let slots = fixups.iter().filter(|fixup| fixup.form == Form::Slot32).map(|fixup| fixup.target);
        let slots = slots.chain(thunks.iter().copied().map(Place::Outside)).collect();
        Ok(Fixups { fixups, thunks, slots })
    }
}

impl Fixup<'_> {
    /// The address that needs a thunk for this reference.
    fn thunk(&self) -> Option<u64> {
        match (self.form, self.target) {
            (Form::Call32, Place::Outside(address)) => Some(address),
            _ => None,
        }
    }

    fn range_error(&self) -> LoadError {
        LoadError::Range { object: self.object, symbol: self.symbol.into() }
    }
}

fn add_section<'a>(fixups: &mut Vec<Fixup<'a>>, layout: &Layout<'a>, number: usize, section: &Section) -> Result<(), LoadError> {
    let file = &layout.objects[number].file;
    let source = file.section_by_index(section.index).map_err(|source| LoadError::Malformed { object: number, source })?;
    for (offset, relocation) in source.relocations() {
        let RelocationTarget::Symbol(symbol) = relocation.target() else { continue };
        let (target, symbol) = layout.resolve(number, symbol)?;
        let Some(form) = form_of(&relocation, number, symbol)? else { continue };
        if form == Form::Relative32 && matches!(target, Place::Outside(_)) {
            return Err(LoadError::NearExternal { object: number, symbol: symbol.into() });
        }
        let at = section_spot(section, offset, form).ok_or_else(|| LoadError::Range { object: number, symbol: symbol.into() })?;
        fixups.push(Fixup { object: number, symbol, at, form, target, addend: relocation.addend() });
    }
    Ok(())
}

/// The place of a reference, where all its bytes lie in the section.
fn section_spot(section: &Section, offset: u64, form: Form) -> Option<Spot> {
    let offset = usize::try_from(offset).ok()?;
    let fits = offset.checked_add(form.bytes())? <= section.bytes.len();
    fits.then_some(Spot { offset: section.spot.offset + offset, ..section.spot })
}

fn form_of(relocation: &Relocation, object: usize, symbol: &str) -> Result<Option<Form>, LoadError> {
    let RelocationFlags::Elf { r_type } = relocation.flags() else { return Ok(None) };
    Ok(Some(match r_type {
        R_X86_64_NONE => return Ok(None),
        R_X86_64_64 => Form::Absolute64,
        R_X86_64_PC64 => Form::Relative64,
        R_X86_64_PC32 => Form::Relative32,
        R_X86_64_PLT32 => Form::Call32,
        R_X86_64_GOTPCREL | R_X86_64_GOTPCRELX | R_X86_64_REX_GOTPCRELX => Form::Slot32,
        kind => return Err(LoadError::Relocation { object, symbol: symbol.into(), kind }),
    }))
}

impl Form {
    fn bytes(self) -> usize {
        match self {
            Form::Absolute64 | Form::Relative64 => 8,
            Form::Relative32 | Form::Call32 | Form::Slot32 => 4,
        }
    }
}

/// Where the parts of the image start, in bytes from its start.
#[derive(Debug)]
pub struct Geometry {
    /// Text and thunks.
    pub code_bytes: usize,
    /// The first page of read-only data.
    pub data_start: usize,
    /// The whole image, never empty.
    pub bytes: usize,
    thunks: BTreeMap<u64, usize>,
    slots: BTreeMap<Place, usize>,
}

impl Geometry {
    pub fn new(layout: &Layout, fixups: &Fixups) -> Geometry {
        let first_thunk = layout.text_bytes.next_multiple_of(THUNK_BYTES);
        let code_bytes = if fixups.thunks.is_empty() { layout.text_bytes } else { first_thunk + THUNK_BYTES * fixups.thunks.len() };
        let data_start = code_bytes.next_multiple_of(page_bytes());
        let first_slot = data_start + layout.data_bytes.next_multiple_of(SLOT_BYTES);
        Geometry {
            code_bytes,
            data_start,
            bytes: (first_slot + SLOT_BYTES * fixups.slots.len()).max(1).next_multiple_of(page_bytes()),
            thunks: fixups.thunks.iter().enumerate().map(|(i, &address)| (address, first_thunk + THUNK_BYTES * i)).collect(),
            slots: fixups.slots.iter().enumerate().map(|(i, &place)| (place, first_slot + SLOT_BYTES * i)).collect(),
        }
    }

    /// The offset of a spot in the image.
    pub fn offset(&self, spot: Spot) -> usize {
        match spot.segment {
            Segment::Text => spot.offset,
            Segment::Data => self.data_start + spot.offset,
        }
    }

    fn address(&self, base: u64, place: Place) -> u64 {
        match place {
            Place::Inside(spot) => base + self.offset(spot) as u64,
            Place::Outside(address) => address,
        }
    }
}

/// Fills the image, which will run at address `base`: sections, thunks, slots, and all references.
pub fn write_image(image: &mut [u8], base: u64, layout: &Layout, fixups: &Fixups, geometry: &Geometry) -> Result<(), LoadError> {
    image[..geometry.data_start].fill(TRAP);
    for section in layout.objects.iter().flat_map(|object| &object.sections) {
        write(image, geometry.offset(section.spot), section.bytes);
    }
    for (&place, &slot) in &geometry.slots {
        write(image, slot, &geometry.address(base, place).to_le_bytes());
    }
    for (&address, &thunk) in &geometry.thunks {
        write_thunk(image, thunk, geometry.slots[&Place::Outside(address)]);
    }
    fixups.fixups.iter().try_for_each(|fixup| apply(image, base, fixup, geometry))
}

fn write(image: &mut [u8], offset: usize, bytes: &[u8]) {
    image[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// `jmp *slot(%rip)`, six bytes, relative to the byte after it.
fn write_thunk(image: &mut [u8], thunk: usize, slot: usize) {
    write(image, thunk, &[0xff, 0x25]);
    write(image, thunk + 2, &((slot - (thunk + 6)) as u32).to_le_bytes());
}

fn apply(image: &mut [u8], base: u64, fixup: &Fixup, geometry: &Geometry) -> Result<(), LoadError> {
    let at = geometry.offset(fixup.at);
    let target = match (fixup.form, fixup.thunk()) {
        (Form::Slot32, _) => base + geometry.slots[&fixup.target] as u64,
        (_, Some(address)) => base + geometry.thunks[&address] as u64,
        (_, None) => geometry.address(base, fixup.target),
    };
    let absolute = target.wrapping_add_signed(fixup.addend);
    let relative = absolute.wrapping_sub(base + at as u64) as i64;
    match fixup.form {
        Form::Absolute64 => write(image, at, &absolute.to_le_bytes()),
        Form::Relative64 => write(image, at, &relative.to_le_bytes()),
        Form::Relative32 | Form::Call32 | Form::Slot32 => {
            let relative = i32::try_from(relative).map_err(|_| fixup.range_error())?;
            write(image, at, &relative.to_le_bytes());
        }
    }
    Ok(())
}
