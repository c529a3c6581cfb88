//! The buffers of one call: every access is checked against the buffer's length.

use super::code::{Code, Lanes, Place};
use super::index::Form;
use crate::kernel::Space;
use ir::DType;

/// A parameter's memory: little-endian elements. Output buffers must be `Write`.
pub enum Memory<'a> {
    Read(&'a [u8]),
    Write(&'a mut [u8]),
}

enum Bytes<'a> {
    Parameter(Memory<'a>),
    Scratch(Vec<u8>),
}

pub struct Region<'a> {
    name: &'a str,
    dtype: DType,
    /// Elements.
    len: i64,
    space: Space,
    bytes: Bytes<'a>,
}

/// The byte that scratch is filled with.
const GARBAGE: u8 = 0xff;

/// The lanes of one access with numbers in place.
pub enum At<'a> {
    Dense,
    Strided(i64),
    Offsets(&'a [i64]),
}

impl<'a> At<'a> {
    pub fn new(lanes: Lanes, forms: &[Form], slots: &[i64], registers: &'a [u8]) -> Result<At<'a>, String> {
        Ok(match lanes {
            Lanes::Dense => At::Dense,
            Lanes::Strided(stride) => At::Strided(forms[stride.0].eval(slots)?),
            Lanes::Offsets(span) => At::Offsets(bytemuck::cast_slice(&registers[span.range()])),
        })
    }

    fn offset(&self, lane: usize) -> i64 {
        match self {
            At::Dense => lane as i64,
            At::Strided(stride) => stride.wrapping_mul(lane as i64),
            At::Offsets(offsets) => offsets[lane],
        }
    }
}

/// The buffers in the kernel's order; scratch is made here.
pub fn regions<'a>(code: &'a Code, parameters: Vec<Memory<'a>>, forms: &[Form], sizes: &[i64]) -> Result<Vec<Region<'a>>, String> {
    let want = code.places.iter().filter(|p| p.space != Space::Scratch).count();
    if want != parameters.len() {
        return Err(format!("the kernel takes {want} buffers, got {}", parameters.len()));
    }
    let mut parameters = parameters.into_iter();
    let mut regions = Vec::with_capacity(code.places.len());
    for place in &code.places {
        let memory = if place.space == Space::Scratch { None } else { parameters.next() };
        regions.push(region(place, memory, forms[place.len.0].eval(sizes)?)?);
    }
    Ok(regions)
}

fn region<'a>(place: &'a Place, memory: Option<Memory<'a>>, len: i64) -> Result<Region<'a>, String> {
    let Place { name, dtype, space, .. } = place;
    let need = usize::try_from(len).ok().and_then(|len| len.checked_mul(dtype.size()));
    let need = need.ok_or_else(|| format!("buffer {name}: its len is {len}"))?;
    let bytes = match memory {
        None => Bytes::Scratch(vec![GARBAGE; need]),
        Some(Memory::Read(_)) if *space == Space::Output => return Err(format!("buffer {name}: an output that may only be read")),
        Some(memory) => Bytes::Parameter(memory),
    };
    let region = Region { name, dtype: *dtype, len, space: *space, bytes };
    let have = region.bytes().len();
    if have < need { Err(format!("buffer {name}: {need} bytes are needed for {len} elements, got {have}")) } else { Ok(region) }
}

impl Region<'_> {
    fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Parameter(Memory::Read(bytes)) => bytes,
            Bytes::Parameter(Memory::Write(bytes)) => bytes,
            Bytes::Scratch(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> Result<&mut [u8], String> {
        match &mut self.bytes {
            Bytes::Parameter(Memory::Write(bytes)) if self.space == Space::Output => Ok(bytes),
            Bytes::Scratch(bytes) => Ok(bytes),
            Bytes::Parameter(_) => Err(format!("buffer {} is an input and is stored to", self.name)),
        }
    }

    /// Scratch is undefined at the start of each task: NaN in every float type, -1 in every integer type.
    pub fn forget(&mut self) {
        if let Bytes::Scratch(bytes) = &mut self.bytes {
            bytes.fill(GARBAGE);
        }
    }

    /// Fills `to`; masked lanes become 0.
    pub fn load(&self, index: i64, at: &At, mask: Option<&[u8]>, to: &mut [u8]) -> Result<(), String> {
        let loaded = match self.dtype.size() {
            1 => self.load_sized::<1>(index, at, mask, to),
            2 => self.load_sized::<2>(index, at, mask, to),
            4 => self.load_sized::<4>(index, at, mask, to),
            _ => self.load_sized::<8>(index, at, mask, to),
        };
        loaded.map_err(|index| self.outside(index))?;
        if self.dtype == DType::Bool {
            to.iter_mut().for_each(|byte| *byte = (*byte != 0) as u8);
        }
        Ok(())
    }

    /// Err is the index outside.
    fn load_sized<const N: usize>(&self, index: i64, at: &At, mask: Option<&[u8]>, to: &mut [u8]) -> Result<(), i64> {
        let bytes = self.bytes();
        if let (At::Dense, None) = (at, mask) {
            let start = self.dense::<N>(index, to.len() / N)?;
            to.copy_from_slice(&bytes[start..start + to.len()]);
            return Ok(());
        }
        for (lane, to) in to.chunks_exact_mut(N).enumerate() {
            if mask.is_some_and(|mask| mask[lane] == 0) {
                to.fill(0);
                continue;
            }
            let start = self.dense::<N>(index.wrapping_add(at.offset(lane)), 1)?;
            to.copy_from_slice(&bytes[start..start + N]);
        }
        Ok(())
    }

    pub fn store(&mut self, index: i64, at: &At, mask: Option<&[u8]>, value: &[u8]) -> Result<(), String> {
        self.bytes_mut()?;
        let stored = match self.dtype.size() {
            1 => self.store_sized::<1>(index, at, mask, value),
            2 => self.store_sized::<2>(index, at, mask, value),
            4 => self.store_sized::<4>(index, at, mask, value),
            _ => self.store_sized::<8>(index, at, mask, value),
        };
        stored.map_err(|index| self.outside(index))
    }

    fn store_sized<const N: usize>(&mut self, index: i64, at: &At, mask: Option<&[u8]>, value: &[u8]) -> Result<(), i64> {
        if let (At::Dense, None) = (at, mask) {
            let start = self.dense::<N>(index, value.len() / N)?;
            self.put(start, value);
            return Ok(());
        }
        for (lane, value) in value.chunks_exact(N).enumerate() {
            if mask.is_none_or(|mask| mask[lane] != 0) {
                let start = self.dense::<N>(index.wrapping_add(at.offset(lane)), 1)?;
                self.put(start, value);
            }
        }
        Ok(())
    }

    fn put(&mut self, start: usize, value: &[u8]) {
        match &mut self.bytes {
            Bytes::Parameter(Memory::Write(bytes)) => bytes[start..start + value.len()].copy_from_slice(value),
            Bytes::Scratch(bytes) => bytes[start..start + value.len()].copy_from_slice(value),
            Bytes::Parameter(Memory::Read(_)) => {}
        }
    }

    /// The byte at which `count` elements from `index` on start; Err is the first index outside.
    fn dense<const N: usize>(&self, index: i64, count: usize) -> Result<usize, i64> {
        if index < 0 || index >= self.len {
            return Err(index);
        }
        let fits = count as i64 <= self.len - index;
        if fits { Ok(index as usize * N) } else { Err(self.len) }
    }

    fn outside(&self, index: i64) -> String {
        format!("buffer {}: index {index} is outside its len {}", self.name, self.len)
    }
}
