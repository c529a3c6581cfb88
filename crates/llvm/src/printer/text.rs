//! LLVM's words for element types, constants and names.

use ir::{DType, Literal};
use kernel::Ty;

/// The type of one lane in a register. The 16-bit floats are held as their bits: kernels only move and convert them.
pub fn lane_type(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "i1",
        DType::F32 => "float",
        DType::F64 => "double",
        DType::I8 | DType::U8 => "i8",
        DType::I16 | DType::U16 | DType::F16 | DType::BF16 => "i16",
        DType::I32 | DType::U32 => "i32",
        DType::I64 | DType::U64 => "i64",
    }
}

/// The type of one element in memory.
pub fn element_type(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "i8",
        dtype => lane_type(dtype),
    }
}

/// `lane` itself, or a vector of it.
pub fn widened(lane: &str, lanes: u32) -> String {
    if lanes == 1 { lane.to_string() } else { format!("<{lanes} x {lane}>") }
}

/// The type of a register value.
pub fn register_type(ty: Ty) -> String {
    widened(lane_type(ty.dtype), ty.lanes)
}

/// The end of an intrinsic's name for a type: `v16f32`, `i64`.
pub fn suffix(lane: &str, lanes: u32) -> String {
    let lane = match lane {
        "half" => "f16",
        "float" => "f32",
        "double" => "f64",
        lane => lane,
    };
    if lanes == 1 { lane.to_string() } else { format!("v{lanes}{lane}") }
}

/// A constant with the same value in every lane.
pub fn splat(lane: &str, lanes: u32, value: &str) -> String {
    if lanes == 1 { value.to_string() } else { format!("splat ({lane} {value})") }
}

/// A literal as a constant of the type.
pub fn literal(value: Literal, ty: Ty) -> String {
    splat(lane_type(ty.dtype), ty.lanes, &lane_literal(value, ty.dtype))
}

fn lane_literal(value: Literal, dtype: DType) -> String {
    match dtype {
        DType::Bool => (value.as_i64() != 0).to_string(),
        DType::I8 | DType::U8 => (value.as_i64() as i8).to_string(),
        DType::I16 | DType::U16 => (value.as_i64() as i16).to_string(),
        DType::I32 | DType::U32 => (value.as_i64() as i32).to_string(),
        DType::I64 | DType::U64 => value.as_i64().to_string(),
        DType::F16 => (half::f16::from_f64(value.as_f64()).to_bits() as i16).to_string(),
        DType::BF16 => (half::bf16::from_f64(value.as_f64()).to_bits() as i16).to_string(),
        DType::F32 => format!("0x{:016X}", f64::from(value.as_f64() as f32).to_bits()),
        DType::F64 => format!("0x{:016X}", value.as_f64().to_bits()),
    }
}

/// `<i32 0, i32 1, ..>` of any list; a scalar for one item.
pub fn list(lane: &str, items: impl IntoIterator<Item = i64>) -> String {
    let items: Vec<i64> = items.into_iter().collect();
    match items.as_slice() {
        [item] => item.to_string(),
        items => format!("<{}>", items.iter().map(|item| format!("{lane} {item}")).collect::<Vec<_>>().join(", ")),
    }
}

/// A global name, in quotes where it needs them.
pub fn global(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$');
    if name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() {
        return format!("@{name}");
    }
    let escaped: String = name.bytes().map(|b| if plain(b as char) { (b as char).to_string() } else { format!("\\{b:02X}") }).collect();
    format!("@\"{escaped}\"")
}

/// The longest start of a local name. LLVM cuts names that are very long, and then takes two for the same.
const LONGEST_STEM: usize = 64;

/// The start of a local name: letters, digits and `_` of `name`.
pub fn local_stem(name: &str) -> String {
    name.chars().take(LONGEST_STEM).map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: Literal, dtype: DType, lanes: u32, want: &str) {
        assert_eq!(literal(value, Ty { dtype, lanes }), want);
    }

    #[test]
    fn literals_are_exact() {
        check(Literal::Float(1.0), DType::F32, 4, "splat (float 0x3FF0000000000000)");
        check(Literal::Float(0.1), DType::F32, 1, "0x3FB99999A0000000");
        check(Literal::Float(f64::NEG_INFINITY), DType::F64, 1, "0xFFF0000000000000");
        check(Literal::Float(-2.0), DType::F16, 1, "-16384");
        check(Literal::Float(1.5), DType::BF16, 8, "splat (i16 16320)");
        check(Literal::Int(200), DType::U8, 1, "-56");
        check(Literal::Int(-1), DType::U64, 2, "splat (i64 -1)");
        check(Literal::Int(1), DType::Bool, 1, "true");
    }

    #[test]
    fn local_names_are_short() {
        assert_eq!(local_stem("a/b.0é"), "a_b_0_");
        assert_eq!(local_stem(&"n".repeat(2000)).len(), LONGEST_STEM);
    }

    #[test]
    fn odd_names_are_quoted() {
        assert_eq!(global("conv_1.a"), "@conv_1.a");
        assert_eq!(global("a b\""), "@\"a\\20b\\22\"");
        assert_eq!(global("1st"), "@\"1st\"");
    }
}
