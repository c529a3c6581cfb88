//! What each op does to lanes: functions over the bytes of whole values, picked once by op and element type.
//!
//! A value's bytes are its lanes in native order; a Bool is one byte, 0 or 1. `None` means that the op is not defined on the type.

use crate::kernel::{Binary, Compare, Unary};
use bytemuck::{cast_slice, cast_slice_mut};
use ir::DType;

pub type Map1 = fn(&mut [u8], &[u8]);
pub type Map2 = fn(&mut [u8], &[u8], &[u8]);
pub type Map3 = fn(&mut [u8], &[u8], &[u8], &[u8]);

macro_rules! map1 {
    ($t:ty => $r:ty, $f:expr) => {
        |to: &mut [u8], a: &[u8]| {
            let f = $f;
            let (to, a) = (cast_slice_mut::<u8, $r>(to), cast_slice::<u8, $t>(a));
            to.iter_mut().zip(a).for_each(|(to, a)| *to = f(*a));
        }
    };
}
pub(super) use map1;

macro_rules! map2 {
    ($t:ty => $r:ty, $f:expr) => {
        |to: &mut [u8], a: &[u8], b: &[u8]| {
            let f = $f;
            let (to, a, b) = (cast_slice_mut::<u8, $r>(to), cast_slice::<u8, $t>(a), cast_slice::<u8, $t>(b));
            to.iter_mut().zip(a.iter().zip(b)).for_each(|(to, (a, b))| *to = f(*a, *b));
        }
    };
}

/// Matches an integer type with the same-width unsigned type beside it, else gives the last arm.
macro_rules! of_int {
    ($dtype:expr, $with:ident, $op:expr, $other:expr) => {
        match $dtype {
            DType::I8 => $with!(i8, u8, $op),
            DType::I16 => $with!(i16, u16, $op),
            DType::I32 => $with!(i32, u32, $op),
            DType::I64 => $with!(i64, u64, $op),
            DType::U8 => $with!(u8, u8, $op),
            DType::U16 => $with!(u16, u16, $op),
            DType::U32 => $with!(u32, u32, $op),
            DType::U64 => $with!(u64, u64, $op),
            DType::Bool | DType::F16 | DType::BF16 | DType::F32 | DType::F64 => $other,
        }
    };
}

macro_rules! float_unary {
    ($t:ty, $op:expr) => {
        match $op {
            Unary::Neg => Some(map1!($t => $t, |a: $t| -a)),
            Unary::Abs => Some(map1!($t => $t, |a: $t| a.abs())),
            Unary::Sqrt => Some(map1!($t => $t, |a: $t| a.sqrt())),
            Unary::Floor => Some(map1!($t => $t, |a: $t| a.floor())),
            Unary::Ceil => Some(map1!($t => $t, |a: $t| a.ceil())),
            Unary::Round => Some(map1!($t => $t, |a: $t| a.round_ties_even())),
            Unary::Trunc => Some(map1!($t => $t, |a: $t| a.trunc())),
            Unary::Flush => Some(map1!($t => $t, |a: $t| if a.is_subnormal() { (0.0 as $t).copysign(a) } else { a })),
            Unary::Not => None,
        }
    };
}

macro_rules! int_unary {
    ($t:ty, $u:ty, $op:expr) => {
        match $op {
            Unary::Neg => Some(map1!($t => $t, |a: $t| a.wrapping_neg())),
            Unary::Not => Some(map1!($t => $t, |a: $t| !a)),
            Unary::Abs | Unary::Sqrt | Unary::Floor | Unary::Ceil | Unary::Round | Unary::Trunc | Unary::Flush => None,
        }
    };
}

pub fn unary(op: Unary, dtype: DType) -> Option<Map1> {
    match dtype {
        DType::F32 => float_unary!(f32, op),
        DType::F64 => float_unary!(f64, op),
        DType::Bool if op == Unary::Not => Some(map1!(u8 => u8, |a: u8| a ^ 1)),
        dtype => of_int!(dtype, int_unary, op, None),
    }
}

macro_rules! float_binary {
    ($t:ty, $op:expr) => {
        match $op {
            Binary::Add => Some(map2!($t => $t, |a: $t, b: $t| a + b)),
            Binary::Sub => Some(map2!($t => $t, |a: $t, b: $t| a - b)),
            Binary::Mul => Some(map2!($t => $t, |a: $t, b: $t| a * b)),
            Binary::Div => Some(map2!($t => $t, |a: $t, b: $t| a / b)),
            Binary::Max => Some(map2!($t => $t, |a: $t, b: $t| if a > b { a } else { b })),
            Binary::Min => Some(map2!($t => $t, |a: $t, b: $t| if a < b { a } else { b })),
            Binary::Rem | Binary::And | Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr => None,
        }
    };
}

macro_rules! int_binary {
    ($t:ty, $u:ty, $op:expr) => {
        match $op {
            Binary::Add => Some(map2!($t => $t, |a: $t, b: $t| a.wrapping_add(b))),
            Binary::Sub => Some(map2!($t => $t, |a: $t, b: $t| a.wrapping_sub(b))),
            Binary::Mul => Some(map2!($t => $t, |a: $t, b: $t| a.wrapping_mul(b))),
            Binary::Div => Some(map2!($t => $t, |a: $t, b: $t| if b == 0 { 0 } else { a.wrapping_div(b) })),
            Binary::Rem => Some(map2!($t => $t, |a: $t, b: $t| if b == 0 { 0 } else { a.wrapping_rem(b) })),
            Binary::Max => Some(map2!($t => $t, |a: $t, b: $t| if a > b { a } else { b })),
            Binary::Min => Some(map2!($t => $t, |a: $t, b: $t| if a < b { a } else { b })),
            Binary::And => Some(map2!($t => $t, |a: $t, b: $t| a & b)),
            Binary::Or => Some(map2!($t => $t, |a: $t, b: $t| a | b)),
            Binary::Xor => Some(map2!($t => $t, |a: $t, b: $t| a ^ b)),
            Binary::Shl => Some(map2!($t => $t, |a: $t, b: $t| a.wrapping_shl(b as u32))),
            Binary::Shr => Some(map2!($t => $t, |a: $t, b: $t| (a as $u).wrapping_shr(b as u32) as $t)),
        }
    };
}

fn bool_binary(op: Binary) -> Option<Map2> {
    match op {
        Binary::And => Some(map2!(u8 => u8, |a: u8, b: u8| a & b)),
        Binary::Or => Some(map2!(u8 => u8, |a: u8, b: u8| a | b)),
        Binary::Xor => Some(map2!(u8 => u8, |a: u8, b: u8| a ^ b)),
        Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Rem => None,
        Binary::Max | Binary::Min | Binary::Shl | Binary::Shr => None,
    }
}

pub fn binary(op: Binary, dtype: DType) -> Option<Map2> {
    match dtype {
        DType::F32 => float_binary!(f32, op),
        DType::F64 => float_binary!(f64, op),
        DType::Bool => bool_binary(op),
        dtype => of_int!(dtype, int_binary, op, None),
    }
}

macro_rules! compared {
    ($t:ty, $u:ty, $op:expr) => {
        Some(match $op {
            Compare::Equal => map2!($t => u8, |a: $t, b: $t| (a == b) as u8),
            Compare::NotEqual => map2!($t => u8, |a: $t, b: $t| (a != b) as u8),
            Compare::Less => map2!($t => u8, |a: $t, b: $t| (a < b) as u8),
            Compare::LessEqual => map2!($t => u8, |a: $t, b: $t| (a <= b) as u8),
            Compare::Greater => map2!($t => u8, |a: $t, b: $t| (a > b) as u8),
            Compare::GreaterEqual => map2!($t => u8, |a: $t, b: $t| (a >= b) as u8),
        })
    };
}

/// Bools compare as 0 and 1.
pub fn compare(op: Compare, dtype: DType) -> Option<Map2> {
    match dtype {
        DType::F32 => compared!(f32, u32, op),
        DType::F64 => compared!(f64, u64, op),
        DType::Bool => compared!(u8, u8, op),
        dtype => of_int!(dtype, compared, op, None),
    }
}

pub fn mul_add(dtype: DType) -> Option<Map3> {
    fn fused<T: bytemuck::Pod>(to: &mut [u8], a: &[u8], b: &[u8], c: &[u8], f: impl Fn(T, T, T) -> T) {
        let (to, c) = (cast_slice_mut::<u8, T>(to), cast_slice::<u8, T>(c));
        let pairs = cast_slice::<u8, T>(a).iter().zip(cast_slice::<u8, T>(b));
        to.iter_mut().zip(pairs.zip(c)).for_each(|(to, ((a, b), c))| *to = f(*a, *b, *c));
    }
    match dtype {
        DType::F32 => Some(|to, a, b, c| fused::<f32>(to, a, b, c, f32::mul_add)),
        DType::F64 => Some(|to, a, b, c| fused::<f64>(to, a, b, c, f64::mul_add)),
        DType::F16 | DType::BF16 | DType::Bool => None,
        DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::U8 | DType::U16 | DType::U32 | DType::U64 => None,
    }
}

fn selected<T: bytemuck::Pod>(to: &mut [u8], cond: &[u8], a: &[u8], b: &[u8]) {
    let pairs = cast_slice::<u8, T>(a).iter().zip(cast_slice::<u8, T>(b));
    let to = cast_slice_mut::<u8, T>(to);
    to.iter_mut().zip(cond.iter().zip(pairs)).for_each(|(to, (cond, (a, b)))| *to = if *cond != 0 { *a } else { *b });
}

pub fn select(dtype: DType) -> Map3 {
    match dtype.size() {
        1 => selected::<u8>,
        2 => selected::<u16>,
        4 => selected::<u32>,
        _ => selected::<u64>,
    }
}

fn filled<T: bytemuck::Pod>(to: &mut [u8], a: &[u8]) {
    cast_slice_mut::<u8, T>(to).fill(cast_slice::<u8, T>(a)[0]);
}

pub fn splat(dtype: DType) -> Map1 {
    match dtype.size() {
        1 => filled::<u8>,
        2 => filled::<u16>,
        4 => filled::<u32>,
        _ => filled::<u64>,
    }
}

/// The bytes as they are.
pub fn copied(to: &mut [u8], a: &[u8]) {
    to.copy_from_slice(a);
}

fn pick<T: bytemuck::Pod>(to: &mut [u8], a: &[u8], b: &[u8], lanes: &[u32]) {
    let (a, b) = (cast_slice::<u8, T>(a), cast_slice::<u8, T>(b));
    for (to, lane) in cast_slice_mut::<u8, T>(to).iter_mut().zip(lanes) {
        let lane = *lane as usize;
        *to = if lane < a.len() { a[lane] } else { b[lane - a.len()] };
    }
}

/// Lane l of `to` is lane `lanes[l]` of `a` and `b` put end to end.
pub fn shuffle(size: usize, to: &mut [u8], a: &[u8], b: &[u8], lanes: &[u32]) {
    match size {
        1 => pick::<u8>(to, a, b, lanes),
        2 => pick::<u16>(to, a, b, lanes),
        4 => pick::<u32>(to, a, b, lanes),
        _ => pick::<u64>(to, a, b, lanes),
    }
}
