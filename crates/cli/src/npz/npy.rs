//! NumPy's `.npy` format: a magic string, a version, a header that is a Python dict, then the elements.
//!
//! Versions 1 to 3 are read; 1 is written. Elements in Fortran order are put into row-major order. A bfloat16, which NumPy has
//! no name for, is `V2` as `ml_dtypes` writes it. Strings are `U`: as many code points of 4 bytes for each as the longest has, zeros behind
//! it; here they are numbers in a table.

use ir::array::for_each_index;
use ir::{DType, Strings, Tensor};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// The longest header that is read, in bytes.
pub const MAX_HEADER_BYTES: u64 = 1 << 20;

const MAGIC: &[u8] = b"\x93NUMPY";

/// NumPy's names of the element types, without the byte order.
const TYPES: [(&str, DType); 13] = [
    ("b1", DType::Bool),
    ("i1", DType::I8),
    ("i2", DType::I16),
    ("i4", DType::I32),
    ("i8", DType::I64),
    ("u1", DType::U8),
    ("u2", DType::U16),
    ("u4", DType::U32),
    ("u8", DType::U64),
    ("f2", DType::F16),
    ("V2", DType::BF16),
    ("f4", DType::F32),
    ("f8", DType::F64),
];

/// What is wrong with an array.
#[derive(Debug, thiserror::Error)]
pub enum NpyFault {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error("not a .npy file: it does not begin with \\x93NUMPY")]
    Magic,
    #[error("its format version is {major}; 1 to 3 are known")]
    Version { major: u8 },
    #[error("its header has {length} bytes; at most {MAX_HEADER_BYTES} are read")]
    LongHeader { length: u64 },
    #[error("its header can't be read: {header}")]
    Header { header: String },
    #[error("its elements are big-endian (`{descr}`); save it as little-endian: array.astype(array.dtype.newbyteorder('<'))")]
    BigEndian { descr: String },
    #[error("its type is `{descr}`, which is no bool, integer or float of 8 to 64 bits, and no string")]
    Type { descr: String },
    #[error("its shape {dims:?} of {dtype} is too large")]
    Overflow { dims: Vec<usize>, dtype: DType },
    #[error("its shape {dims:?} of {dtype} needs {needed} bytes but only {got} follow the header")]
    TooFew { dims: Vec<usize>, dtype: DType, needed: usize, got: usize },
    #[error("its shape {dims:?} of {dtype} needs {needed} bytes but more follow the header")]
    TooMany { dims: Vec<usize>, dtype: DType, needed: usize },
    #[error("its byte {index} is {value}, which is no bool")]
    Bool { index: usize, value: u8 },
    #[error("its string {index} holds what is no character")]
    Text { index: usize },
    #[error("{0}")]
    Strings(ir::Diagnostic),
}

/// Reads an array, which must end where `from` does. Strings are added to the table.
pub fn read(from: &mut impl Read, strings: &Strings) -> Result<Tensor, NpyFault> {
    let header = read_header(from)?;
    if let Some(length) = header.descr.strip_prefix("<U").and_then(|length| length.parse::<usize>().ok()) {
        return read_texts(from, header, length, strings);
    }
    let dtype = dtype_of(&header.descr)?;
    let dims = header.dims;
    let Some(needed) = byte_count(&dims, dtype) else { return Err(NpyFault::Overflow { dims, dtype }) };
    let data = read_at_most(from, needed as u64 + 1)?;
    match data.len() {
        got if got < needed => return Err(NpyFault::TooFew { dims, dtype, needed, got }),
        got if got > needed => return Err(NpyFault::TooMany { dims, dtype, needed }),
        _ => {}
    }
    if let Some(index) = data.iter().position(|&byte| dtype == DType::Bool && byte > 1) {
        return Err(NpyFault::Bool { index, value: data[index] });
    }
    let data = if header.fortran_order { row_major(&dims, dtype.size(), &data) } else { data };
    Tensor::new(dtype, dims.clone(), Arc::new(data)).ok_or(NpyFault::Overflow { dims, dtype })
}

fn read_texts(from: &mut impl Read, header: Header, length: usize, strings: &Strings) -> Result<Tensor, NpyFault> {
    let (dims, dtype) = (header.dims, DType::U32);
    let mut all = dims.clone();
    all.push(length);
    let Some(needed) = byte_count(&all, dtype) else { return Err(NpyFault::Overflow { dims: all, dtype }) };
    let data = read_at_most(from, needed as u64 + 1)?;
    match data.len() {
        got if got < needed => return Err(NpyFault::TooFew { dims: all, dtype, needed, got }),
        got if got > needed => return Err(NpyFault::TooMany { dims: all, dtype, needed }),
        _ => {}
    }
    let data = if header.fortran_order && length > 0 { row_major(&dims, 4 * length, &data) } else { data };
    let text = |index: usize| -> Result<String, NpyFault> {
        let points =
            data[4 * length * index..][..4 * length].chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap_or_default()));
        let text = points.map(char::from_u32).collect::<Option<String>>().ok_or(NpyFault::Text { index })?;
        Ok(text.trim_end_matches('\0').to_string())
    };
    let Some(count) = byte_count(&dims, DType::U8).filter(|count| *count <= MOST_STRINGS) else {
        return Err(NpyFault::Overflow { dims, dtype });
    };
    let texts = (0..count).map(text).collect::<Result<Vec<String>, NpyFault>>()?;
    strings.tensor(dims, &texts).map_err(NpyFault::Strings)
}

/// More strings than an array may have; those of no length take no bytes of the file.
const MOST_STRINGS: usize = 1 << 24;

/// Writes a tensor of strings.
pub fn write_texts(to: &mut impl Write, dims: &[usize], texts: &[Arc<str>]) -> io::Result<()> {
    let length = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
    write_header(to, &format!("<U{length}"), dims)?;
    for text in texts {
        let padding = std::iter::repeat_n(0, length - text.chars().count());
        for point in text.chars().map(u32::from).chain(padding) {
            to.write_all(&point.to_le_bytes())?;
        }
    }
    Ok(())
}

/// Writes `tensor` as version 1 with a header that ends at a multiple of 64 bytes.
pub fn write(to: &mut impl Write, tensor: &Tensor) -> io::Result<()> {
    write_header(to, &descr_of(tensor.dtype()), tensor.dims())?;
    to.write_all(tensor.bytes())
}

fn write_header(to: &mut impl Write, descr: &str, dims: &[usize]) -> io::Result<()> {
    let comma = if dims.len() == 1 { "," } else { "" };
    let dims = dims.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}{comma}), }}");
    let prefix = MAGIC.len() + 4;
    let length = (prefix + dict.len() + 1).next_multiple_of(64) - prefix;
    let stored = u16::try_from(length).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "too many dimensions"))?;
    to.write_all(MAGIC)?;
    to.write_all(&[1, 0])?;
    to.write_all(&stored.to_le_bytes())?;
    to.write_all(format!("{dict:<width$}\n", width = length - 1).as_bytes())
}

fn descr_of(dtype: DType) -> String {
    let name = TYPES.iter().find(|(_, known)| *known == dtype).map_or("", |(name, _)| name);
    format!("{}{name}", if dtype.size() == 1 { '|' } else { '<' })
}

fn dtype_of(descr: &str) -> Result<DType, NpyFault> {
    let named = |name| TYPES.iter().find(|(known, _)| *known == name).map(|(_, dtype)| *dtype);
    match (descr.strip_prefix(['<', '|']).and_then(named), descr.strip_prefix('>').and_then(named)) {
        (Some(dtype), _) => Ok(dtype),
        (None, Some(_)) => Err(NpyFault::BigEndian { descr: descr.into() }),
        (None, None) => Err(NpyFault::Type { descr: descr.into() }),
    }
}

/// None where memory can't hold the array; one byte more than the result never overflows.
fn byte_count(dims: &[usize], dtype: DType) -> Option<usize> {
    let count = dims.iter().try_fold(dtype.size(), |count, &dim| count.checked_mul(dim))?;
    isize::try_from(count).ok().map(|_| count)
}

fn read_at_most(from: &mut impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn row_major(dims: &[usize], size: usize, column_major: &[u8]) -> Vec<u8> {
    let strides: Vec<usize> = (0..dims.len()).map(|axis| dims[..axis].iter().product::<usize>() * size).collect();
    let mut data = Vec::with_capacity(column_major.len());
    for_each_index(dims, |index| {
        let at = index.iter().zip(&strides).map(|(index, stride)| index * stride).sum::<usize>();
        data.extend_from_slice(&column_major[at..at + size]);
    });
    data
}

#[derive(Debug, PartialEq)]
struct Header {
    descr: String,
    fortran_order: bool,
    dims: Vec<usize>,
}

fn read_header(from: &mut impl Read) -> Result<Header, NpyFault> {
    let start = read_at_most(from, 8)?;
    let Some(&[major, _minor]) = start.strip_prefix(MAGIC) else { return Err(NpyFault::Magic) };
    let length = match major {
        1 => u64::from(u16::from_le_bytes(read_array(from)?)),
        2 | 3 => u64::from(u32::from_le_bytes(read_array(from)?)),
        _ => return Err(NpyFault::Version { major }),
    };
    if length > MAX_HEADER_BYTES {
        return Err(NpyFault::LongHeader { length });
    }
    let header = read_at_most(from, length)?;
    let header = String::from_utf8_lossy(&header);
    parse_header(&header).ok_or_else(|| NpyFault::Header { header: header.trim().into() })
}

fn read_array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`; the keys may come in any order, each of them once.
fn parse_header(text: &str) -> Option<Header> {
    let mut rest = text;
    let (mut descr, mut fortran_order, mut dims) = (None, None, None);
    expect(&mut rest, "{")?;
    while expect(&mut rest, "}").is_none() {
        let key = quoted(&mut rest)?;
        expect(&mut rest, ":")?;
        let again = match key {
            "descr" => descr.replace(quoted(&mut rest)?).is_some(),
            "fortran_order" => fortran_order.replace(boolean(&mut rest)?).is_some(),
            "shape" => dims.replace(tuple(&mut rest)?).is_some(),
            _ => return None,
        };
        let last = expect(&mut rest, ",").is_none() && !rest.trim_start().starts_with('}');
        if again || last {
            return None;
        }
    }
    let whole = rest.trim().is_empty();
    whole.then_some(Header { descr: descr?.into(), fortran_order: fortran_order?, dims: dims? })
}

/// Passes over white space and `token`.
fn expect(rest: &mut &str, token: &str) -> Option<()> {
    *rest = rest.trim_start().strip_prefix(token)?;
    Some(())
}

fn quoted<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let text = rest.trim_start();
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let (inside, after) = text[1..].split_once(quote)?;
    *rest = after;
    Some(inside)
}

fn boolean(rest: &mut &str) -> Option<bool> {
    match expect(rest, "True") {
        Some(()) => Some(true),
        None => expect(rest, "False").map(|()| false),
    }
}

/// A tuple of sizes; Python 2 wrote an `L` after some of them.
fn tuple(rest: &mut &str) -> Option<Vec<usize>> {
    expect(rest, "(")?;
    let (inside, after) = rest.split_once(')')?;
    *rest = after;
    let inside = inside.trim();
    if inside.is_empty() {
        return Some(Vec::new());
    }
    let items = inside.strip_suffix(',').unwrap_or(inside);
    items.split(',').map(|item| item.trim().trim_end_matches('L').parse().ok()).collect()
}

#[cfg(test)]
mod tests;
