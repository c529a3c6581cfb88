//! What stands behind options: sizes, shapes, bytes, times.

use ir::DType;
use onnx::{Content, LONGEST};

/// Dims of an input; None leaves one as the model declares it.
pub type Shape = Vec<Option<i64>>;

pub fn dim(text: &str) -> Result<(String, i64), String> {
    let (name, number) = text.rsplit_once('=').ok_or("needs the form NAME=SIZE")?;
    Ok((name.to_string(), size(number)?))
}

pub fn shape(text: &str) -> Result<(String, Shape), String> {
    let (name, dims) = text.rsplit_once('=').ok_or("needs the form INPUT=D,D,..")?;
    let dim = |text: &str| if text == "?" { Ok(None) } else { size(text).map(Some) };
    let dims = if dims.is_empty() { Ok(vec![]) } else { dims.split(',').map(|text| dim(text.trim())).collect() };
    Ok((name.to_string(), dims?))
}

pub fn length(text: &str) -> Result<(String, Content), String> {
    let (name, length) = text.rsplit_once('=').ok_or("needs the form INPUT=LENGTH")?;
    let content = match length {
        "none" => Content::Nothing,
        "tensor" => Content::Tensor,
        length => match length.parse().ok().filter(|length| *length <= LONGEST) {
            Some(length) => Content::Sequence(length),
            None => return Err(format!("`{length}` is neither `none` nor `tensor`, nor a length up to {LONGEST}")),
        },
    };
    Ok((name.to_string(), content))
}

/// Hexadecimal with `0x`, or decimal.
pub fn address(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    number.ok_or_else(|| format!("`{text}` is no address like 0x1a2b"))
}

/// The start of names in C.
pub fn prefix(text: &str) -> Result<String, String> {
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { Ok(text.to_string()) } else { Err("needs small letters, digits and _, a letter first".to_string()) }
}

pub fn size(text: &str) -> Result<i64, String> {
    text.parse().ok().filter(|size| (0..=1 << 40).contains(size)).ok_or_else(|| format!("`{text}` is no size from 0 to 2^40"))
}

pub fn sabotage(text: &str) -> Result<(String, u64), String> {
    match text.split_once(':') {
        Some((pass, seed)) => Ok((pass.to_string(), seed.parse().map_err(|_| format!("`{seed}` is no seed"))?)),
        None => Ok((text.to_string(), 0)),
    }
}

pub fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        unit => return Err(format!("`{unit}` is no unit; there are K, M, G and T")),
    };
    let number: usize = digits.parse().map_err(|_| format!("`{digits}` is no number"))?;
    number.checked_mul(1 << shift).ok_or_else(|| "is too large".to_string())
}

pub fn factor_type(text: &str) -> Result<DType, String> {
    let fits = |dtype: &DType| dtype.is_float() || matches!(dtype, DType::I8 | DType::U8);
    DType::from_name(text).filter(fits).ok_or_else(|| "there are f16, bf16, f32, f64, i8 and u8".to_string())
}

/// Seconds; infinite for `none`.
pub fn time(text: &str) -> Result<f64, String> {
    if text == "none" {
        return Ok(f64::INFINITY);
    }
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        unit => return Err(format!("`{unit}` is no unit; there are ms, s, min and h")),
    };
    let number: u32 = digits.parse().map_err(|_| format!("`{digits}` is no whole number"))?;
    Ok(f64::from(number) * unit)
}
