//! Element types and single values of them.

use half::{bf16, f16};
use std::fmt;

/// The type of a tensor's elements as stored. A `Bool` is one byte, 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DType {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    BF16,
    F32,
    F64,
}

impl DType {
    pub const ALL: [DType; 13] = [
        DType::Bool,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::F16,
        DType::BF16,
        DType::F32,
        DType::F64,
    ];

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DType::Bool | DType::I8 | DType::U8 => 1,
            DType::I16 | DType::U16 | DType::F16 | DType::BF16 => 2,
            DType::I32 | DType::U32 | DType::F32 => 4,
            DType::I64 | DType::U64 | DType::F64 => 8,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
    }

    pub fn is_signed_int(self) -> bool {
        matches!(self, DType::I8 | DType::I16 | DType::I32 | DType::I64)
    }

    pub fn is_unsigned_int(self) -> bool {
        matches!(self, DType::U8 | DType::U16 | DType::U32 | DType::U64)
    }

    pub fn is_int(self) -> bool {
        self.is_signed_int() || self.is_unsigned_int()
    }

    /// The unit roundoff `u`: half the distance from 1 to the next number; 0 for exact types.
    pub fn unit_roundoff(self) -> f64 {
        match self {
            DType::F16 => 2f64.powi(-11),
            DType::BF16 => 2f64.powi(-8),
            DType::F32 => 2f64.powi(-24),
            DType::F64 => 2f64.powi(-53),
            _ => 0.0,
        }
    }

    /// The least positive number of a float type that is not subnormal; 0 for exact types.
    pub fn least_normal(self) -> f64 {
        match self {
            DType::F16 => 2f64.powi(-14),
            DType::BF16 | DType::F32 => 2f64.powi(-126),
            DType::F64 => f64::MIN_POSITIVE,
            _ => 0.0,
        }
    }

    /// How far the nearest number of a float type lies from a value at most: infinitely far beyond the largest number; 0 for exact types
    /// and for what is no number.
    pub fn rounding(self, value: f64) -> f64 {
        match value.is_finite() {
            true if value.abs() > self.largest() => f64::INFINITY,
            true => self.unit_roundoff() * value.abs() + self.half_smallest(),
            false => 0.0,
        }
    }

    /// The nearest number of a float type, to even; the value itself for exact types.
    pub fn rounded(self, value: f64) -> f64 {
        match self {
            DType::F16 => f16::from_f64(value).to_f64(),
            DType::BF16 => bf16::from_f64(value).to_f64(),
            DType::F32 => f64::from(value as f32),
            _ => value,
        }
    }

    /// The largest finite number of a float type; infinite for exact types.
    pub fn largest(self) -> f64 {
        match self {
            DType::F16 => 65504.0,
            DType::BF16 => (2.0 - 2f64.powi(-7)) * 2f64.powi(127),
            DType::F32 => f64::from(f32::MAX),
            DType::F64 => f64::MAX,
            _ => f64::INFINITY,
        }
    }

    /// Half the smallest subnormal number: what is smaller rounds to 0.
    pub fn half_smallest(self) -> f64 {
        match self {
            DType::F16 => 2f64.powi(-25),
            DType::BF16 => 2f64.powi(-134),
            DType::F32 => 2f64.powi(-150),
            _ => 0.0,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::I8 => "i8",
            DType::I16 => "i16",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::U8 => "u8",
            DType::U16 => "u16",
            DType::U32 => "u32",
            DType::U64 => "u64",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::F32 => "f32",
            DType::F64 => "f64",
        }
    }

    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|d| d.name() == name)
    }

    /// Range of an integer type, as (lowest, highest); `U64` ends at `i64::MAX` here.
    pub fn int_range(self) -> Option<(i64, i64)> {
        match self {
            DType::Bool => Some((0, 1)),
            DType::I8 => Some((i8::MIN as i64, i8::MAX as i64)),
            DType::I16 => Some((i16::MIN as i64, i16::MAX as i64)),
            DType::I32 => Some((i32::MIN as i64, i32::MAX as i64)),
            DType::I64 => Some((i64::MIN, i64::MAX)),
            DType::U8 => Some((0, u8::MAX as i64)),
            DType::U16 => Some((0, u16::MAX as i64)),
            DType::U32 => Some((0, u32::MAX as i64)),
            DType::U64 => Some((0, i64::MAX)),
            DType::F16 | DType::BF16 | DType::F32 | DType::F64 => None,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One element's value: `Float` for the float types (already rounded to the type that stands beside it), `Int` for bool and integers
/// (a `U64` above `i64::MAX` is stored as its bits).
#[derive(Clone, Copy, Debug)]
pub enum Literal {
    Float(f64),
    Int(i64),
}

impl Literal {
    pub fn zero(dtype: DType) -> Literal {
        if dtype.is_float() { Literal::Float(0.0) } else { Literal::Int(0) }
    }

    pub fn as_f64(self) -> f64 {
        match self {
            Literal::Float(value) => value,
            Literal::Int(value) => value as f64,
        }
    }

    pub fn as_i64(self) -> i64 {
        match self {
            Literal::Float(value) => value as i64,
            Literal::Int(value) => value,
        }
    }

    fn bits(self) -> (bool, u64) {
        match self {
            Literal::Float(value) => (true, value.to_bits()),
            Literal::Int(value) => (false, value as u64),
        }
    }
}

impl PartialEq for Literal {
    /// Bitwise: NaN equals itself, 0.0 differs from -0.0.
    fn eq(&self, other: &Literal) -> bool {
        self.bits() == other.bits()
    }
}
impl Eq for Literal {}
impl PartialOrd for Literal {
    fn partial_cmp(&self, other: &Literal) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Literal {
    fn cmp(&self, other: &Literal) -> std::cmp::Ordering {
        self.bits().cmp(&other.bits())
    }
}
impl std::hash::Hash for Literal {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bits().hash(state)
    }
}

impl fmt::Display for Literal {
    /// Shortest text that reads back to the same value; floats always show a point, an exponent, `inf` or `nan`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Literal::Int(value) => write!(f, "{value}"),
            Literal::Float(value) if value.is_nan() => f.write_str("nan"),
            Literal::Float(value) => write!(f, "{value:?}"),
        }
    }
}
