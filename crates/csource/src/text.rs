//! Lines and names, and C's words for element types and constants.

use ir::{DType, Literal};
use sym::Sym;

/// The text of a function while it is written, and what its symbols are called.
pub struct Code {
    text: String,
    depth: usize,
    symbols: Vec<(Sym, String)>,
    names: usize,
}

impl Code {
    pub fn new() -> Code {
        Code { text: String::new(), depth: 1, symbols: Vec::new(), names: 0 }
    }

    pub fn line(&mut self, line: &str) {
        self.text.push_str(&"    ".repeat(self.depth));
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Starts a block; gives what ends it.
    pub fn open(&mut self, head: &str) -> Block {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        Block { symbols: self.symbols.len() }
    }

    pub fn close(&mut self, block: Block) {
        self.symbols.truncate(block.symbols);
        self.depth -= 1;
        self.line("}");
    }

    /// A name that no other has: the letters of `stem`, and a number.
    pub fn fresh(&mut self, stem: &str) -> String {
        self.names += 1;
        let plain: String = stem.chars().take(LONGEST_STEM).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let start = if plain.starts_with(|c: char| c.is_ascii_alphabetic()) { "" } else { "s" };
        format!("{start}{plain}_{}", self.names)
    }

    pub fn bind(&mut self, sym: &Sym, name: &str) {
        self.symbols.push((sym.clone(), name.to_string()));
    }

    pub fn lookup(&self, sym: &Sym) -> &str {
        match self.symbols.iter().rev().find(|(own, _)| own == sym) {
            Some((_, name)) => name,
            None => panic!("symbol `{sym}` is used where it is not defined"),
        }
    }

    pub fn finish(self) -> String {
        self.text
    }
}

/// A block that is open.
#[must_use]
pub struct Block {
    symbols: usize,
}

const LONGEST_STEM: usize = 32;

/// Whether a text has a name as a word of its own.
pub fn mentions(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| !text[..at].ends_with(part) && !text[at + name.len()..].starts_with(part))
}

/// The type of a lane. The 16-bit floats are held as their bits: kernels only move and convert them.
pub fn lane_type(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::F32 => "float",
        DType::F64 => "double",
        DType::I8 => "int8_t",
        DType::I16 => "int16_t",
        DType::I32 => "int32_t",
        DType::I64 => "int64_t",
        DType::U8 => "uint8_t",
        DType::U16 | DType::F16 | DType::BF16 => "uint16_t",
        DType::U32 => "uint32_t",
        DType::U64 => "uint64_t",
    }
}

/// The type of an element in memory.
pub fn element_type(dtype: DType) -> &'static str {
    if dtype == DType::Bool { "uint8_t" } else { lane_type(dtype) }
}

/// The unsigned type as wide as an element.
pub fn unsigned_type(dtype: DType) -> &'static str {
    match dtype.size() {
        1 => "uint8_t",
        2 => "uint16_t",
        4 => "uint32_t",
        _ => "uint64_t",
    }
}

/// The type in which integers are computed, where they wrap.
pub fn wrapping_type(dtype: DType) -> &'static str {
    if dtype.size() == 8 { "uint64_t" } else { "uint32_t" }
}

/// A constant, exact.
pub fn literal(value: Literal, dtype: DType) -> String {
    let int = value.as_i64();
    match dtype {
        DType::Bool => (int != 0).to_string(),
        DType::I8 => (int as i8).to_string(),
        DType::I16 => (int as i16).to_string(),
        DType::I32 if int as i32 == i32::MIN => "INT32_MIN".to_string(),
        DType::I32 => (int as i32).to_string(),
        DType::I64 if int == i64::MIN => "INT64_MIN".to_string(),
        DType::I64 => format!("INT64_C({int})"),
        DType::U8 => (int as u8).to_string(),
        DType::U16 => (int as u16).to_string(),
        DType::U32 => format!("UINT32_C({})", int as u32),
        DType::U64 => format!("UINT64_C({})", int as u64),
        DType::F16 => format!("0x{:04x}", half::f16::from_f64(value.as_f64()).to_bits()),
        DType::BF16 => format!("0x{:04x}", half::bf16::from_f64(value.as_f64()).to_bits()),
        DType::F32 => {
            let single = value.as_f64() as f32;
            if single.is_finite() { format!("{}f", finite(f64::from(single))) } else { format!("inkle_f32(0x{:08x}u)", single.to_bits()) }
        }
        DType::F64 => {
            let double = value.as_f64();
            if double.is_finite() { finite(double) } else { format!("inkle_f64(UINT64_C(0x{:016x}))", double.to_bits()) }
        }
    }
}

/// A float in hexadecimal.
pub fn finite(value: f64) -> String {
    let bits = value.to_bits();
    let (sign, exponent, fraction) = (if bits >> 63 == 1 { "-" } else { "" }, (bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    let digits = format!("{fraction:013x}");
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    match (exponent, fraction) {
        (0, 0) => format!("{sign}0.0"),
        (0, _) => format!("{sign}0x0{point}{digits}p-1022"),
        _ => format!("{sign}0x1{point}{digits}p{}", exponent - 1023),
    }
}

/// A text in quotes, as C reads it; no longer than every compiler takes.
pub fn quoted(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b' '..=b'~' if !matches!(byte, b'"' | b'\\' | b'?') => (byte as char).to_string(),
        _ => format!("\\{byte:03o}"),
    };
    format!("\"{}\"", text.bytes().filter(|byte| *byte != 0).take(LONGEST_TEXT).map(escaped).collect::<String>())
}

const LONGEST_TEXT: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_exact() {
        let cases = [
            (Literal::Float(1.0), DType::F32, "0x1p0f"),
            (Literal::Float(-0.0), DType::F32, "-0.0f"),
            (Literal::Float(0.1), DType::F32, "0x1.99999ap-4f"),
            (Literal::Float(5e-324), DType::F64, "0x0.0000000000001p-1022"),
            (Literal::Float(f64::INFINITY), DType::F32, "inkle_f32(0x7f800000u)"),
            (Literal::Int(i64::MIN), DType::I64, "INT64_MIN"),
            (Literal::Int(-1), DType::U64, "UINT64_C(18446744073709551615)"),
            (Literal::Float(1.5), DType::BF16, "0x3fc0"),
        ];
        cases.into_iter().for_each(|(value, dtype, want)| assert_eq!(literal(value, dtype), want));
    }

    #[test]
    fn texts_have_no_trigraphs_and_words_have_ends() {
        assert_eq!(quoted("a\"b??/\u{e9}\0"), "\"a\\042b\\077\\077/\\303\\251\"");
        assert!(mentions("x = n_1 + 2", "n_1") && !mentions("x = n_12 + in_1", "n_1"));
    }
}
