//! Conversions between element types, each rounded once, to nearest even; floats to integers truncate and saturate, integers wrap.

use super::lanes::{Map1, map1};
use super::round::{f64_to_bf16, f64_to_f16, int_to_bf16, int_to_f16};
use bytemuck::{cast_slice, cast_slice_mut};
use half::{bf16, f16};
use ir::DType;

macro_rules! from_int {
    ($t:ty, $to:expr) => {
        match $to {
            DType::Bool => map1!($t => u8, |a: $t| (a != 0) as u8),
            DType::I8 => map1!($t => i8, |a: $t| a as i8),
            DType::I16 => map1!($t => i16, |a: $t| a as i16),
            DType::I32 => map1!($t => i32, |a: $t| a as i32),
            DType::I64 => map1!($t => i64, |a: $t| a as i64),
            DType::U8 => map1!($t => u8, |a: $t| a as u8),
            DType::U16 => map1!($t => u16, |a: $t| a as u16),
            DType::U32 => map1!($t => u32, |a: $t| a as u32),
            DType::U64 => map1!($t => u64, |a: $t| a as u64),
            DType::F16 => map1!($t => f16, |a: $t| int_to_f16(a as i128)),
            DType::BF16 => map1!($t => bf16, |a: $t| int_to_bf16(a as i128)),
            DType::F32 => map1!($t => f32, |a: $t| a as f32),
            DType::F64 => map1!($t => f64, |a: $t| a as f64),
        }
    };
}

/// `$wide` gives the f32 or f64 that holds the value; `$half` and `$brain` round that one.
macro_rules! from_float {
    ($t:ty, $to:expr, $wide:expr, $half:expr, $brain:expr) => {
        match $to {
            DType::Bool => map1!($t => u8, |a: $t| ($wide(a) != 0.0) as u8),
            DType::I8 => map1!($t => i8, |a: $t| $wide(a) as i8),
            DType::I16 => map1!($t => i16, |a: $t| $wide(a) as i16),
            DType::I32 => map1!($t => i32, |a: $t| $wide(a) as i32),
            DType::I64 => map1!($t => i64, |a: $t| $wide(a) as i64),
            DType::U8 => map1!($t => u8, |a: $t| $wide(a) as u8),
            DType::U16 => map1!($t => u16, |a: $t| $wide(a) as u16),
            DType::U32 => map1!($t => u32, |a: $t| $wide(a) as u32),
            DType::U64 => map1!($t => u64, |a: $t| $wide(a) as u64),
            DType::F16 => map1!($t => f16, |a: $t| $half($wide(a))),
            DType::BF16 => map1!($t => bf16, |a: $t| $brain($wide(a))),
            DType::F32 => map1!($t => f32, |a: $t| $wide(a) as f32),
            DType::F64 => map1!($t => f64, |a: $t| $wide(a) as f64),
        }
    };
}

pub fn convert(from: DType, to: DType) -> Map1 {
    match from {
        DType::Bool | DType::U8 => from_int!(u8, to),
        DType::I8 => from_int!(i8, to),
        DType::I16 => from_int!(i16, to),
        DType::I32 => from_int!(i32, to),
        DType::I64 => from_int!(i64, to),
        DType::U16 => from_int!(u16, to),
        DType::U32 => from_int!(u32, to),
        DType::U64 => from_int!(u64, to),
        DType::F16 => from_float!(f16, to, f16::to_f32, f16::from_f32, bf16::from_f32),
        DType::BF16 => from_float!(bf16, to, bf16::to_f32, f16::from_f32, bf16::from_f32),
        DType::F32 => from_float!(f32, to, std::convert::identity::<f32>, f16::from_f32, bf16::from_f32),
        DType::F64 => from_float!(f64, to, std::convert::identity::<f64>, f64_to_f16, f64_to_bf16),
    }
}
