//! Types of one op: what its result's type asks of its operands.

use crate::kernel::{Binary, Kernel, Op, Ty, Unary, ValueId};
use ir::{DType, Literal};

/// Faults with the numbers of their invariants. The values and the buffer that the op mentions exist.
pub fn op_faults(kernel: &Kernel, ty: Ty, op: &Op) -> Vec<(u32, String)> {
    let mut faults = Vec::new();
    faults.extend(operand_faults(kernel, ty, op).into_iter().map(|why| (6, why)));
    if let Some(dtype) = undefined_on(kernel, ty, op) {
        faults.push((7, format!("not defined on {dtype}")));
    }
    faults.extend(special_fault(kernel, ty, op));
    faults
}

/// K6.
fn operand_faults(kernel: &Kernel, ty: Ty, op: &Op) -> Vec<String> {
    let wanted = wanted_types(kernel, ty, op).into_iter();
    let mut faults: Vec<String> = wanted
        .filter(|(id, want)| kernel.ty(*id) != *want)
        .map(|(id, want)| format!("{id:?} is {}, {want} is wanted", kernel.ty(id)))
        .collect();
    let wanted = match op {
        Op::Index(_) if ty.lanes != 1 => Some("a scalar"),
        Op::Below(_) | Op::Compare(..) if ty.dtype != DType::Bool => Some("bool"),
        Op::Bits(a) if width(kernel.ty(*a)) != width(ty) => Some("as wide as its operand"),
        _ => None,
    };
    faults.extend(wanted.map(|what| format!("the result is {ty}, not {what}")));
    faults
}

/// Operands with the types that they must have. Masks have their own invariant.
fn wanted_types(kernel: &Kernel, ty: Ty, op: &Op) -> Vec<(ValueId, Ty)> {
    let lanes = |dtype: DType| Ty { dtype, lanes: ty.lanes };
    let own = |id: &ValueId| kernel.ty(*id).dtype;
    match op {
        Op::Literal(_) | Op::Index(_) | Op::Lanes | Op::Below(_) | Op::Load { .. } | Op::LoadStrided { .. } => vec![],
        Op::Gather { offsets, .. } => vec![(*offsets, lanes(DType::I64))],
        Op::Splat(a) => vec![(*a, Ty::scalar(ty.dtype))],
        Op::Unary(_, a) => vec![(*a, ty)],
        Op::Binary(_, a, b) => vec![(*a, ty), (*b, ty)],
        Op::Compare(_, a, b) => vec![(*a, lanes(own(a))), (*b, lanes(own(a)))],
        Op::MulAdd(a, b, c) => vec![(*a, ty), (*b, ty), (*c, ty)],
        Op::Dot(_, _, c) => vec![(*c, ty)],
        Op::Select(cond, a, b) => vec![(*cond, lanes(DType::Bool)), (*a, ty), (*b, ty)],
        Op::Convert(a) => vec![(*a, lanes(own(a)))],
        Op::Bits(_) => vec![],
        Op::Fold(_, a) => vec![(*a, Ty { dtype: ty.dtype, lanes: kernel.ty(*a).lanes })],
        Op::Shuffle(a, b, _) => [a, b].map(|id| (*id, Ty { dtype: ty.dtype, lanes: kernel.ty(*id).lanes })).to_vec(),
    }
}

/// K7: the element type that the op is not defined on.
fn undefined_on(kernel: &Kernel, ty: Ty, op: &Op) -> Option<DType> {
    let own = |id: &ValueId| kernel.ty(*id).dtype;
    let (dtype, defined) = match op {
        Op::Index(_) => (ty.dtype, matches!(ty.dtype, DType::I64 | DType::I32)),
        Op::Lanes => (ty.dtype, ty.dtype.is_int()),
        Op::Unary(op, _) => (ty.dtype, unary_fits(*op, ty.dtype)),
        Op::Binary(op, ..) => (ty.dtype, binary_fits(*op, ty.dtype)),
        Op::Compare(_, a, _) => (own(a), !is_storage(own(a))),
        Op::MulAdd(..) => (ty.dtype, computes_floats(ty.dtype)),
        Op::Bits(a) => (DType::Bool, ty.dtype != DType::Bool && own(a) != DType::Bool),
        Op::Fold(monoid, _) => (ty.dtype, binary_fits(Binary::folds(*monoid), ty.dtype)),
        Op::Literal(_) | Op::Below(_) | Op::Load { .. } | Op::LoadStrided { .. } | Op::Gather { .. } => return None,
        Op::Splat(_) | Op::Dot(..) | Op::Select(..) | Op::Convert(_) | Op::Shuffle(..) => return None,
    };
    (!defined).then_some(dtype)
}

fn is_storage(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

fn computes_floats(dtype: DType) -> bool {
    dtype.is_float() && !is_storage(dtype)
}

fn unary_fits(op: Unary, dtype: DType) -> bool {
    match op {
        Unary::Neg => computes_floats(dtype) || dtype.is_int(),
        Unary::Abs | Unary::Sqrt | Unary::Floor | Unary::Ceil | Unary::Round | Unary::Trunc | Unary::Flush => computes_floats(dtype),
        Unary::Not => !dtype.is_float(),
    }
}

fn binary_fits(op: Binary, dtype: DType) -> bool {
    match op {
        Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Max | Binary::Min => computes_floats(dtype) || dtype.is_int(),
        Binary::Rem | Binary::Shl | Binary::Shr => dtype.is_int(),
        Binary::And | Binary::Or | Binary::Xor => !dtype.is_float(),
    }
}

/// Bytes in all.
fn width(ty: Ty) -> u64 {
    u64::from(ty.lanes) * ty.dtype.size() as u64
}

/// K9, K10, K12, K13, K17.
fn special_fault(kernel: &Kernel, ty: Ty, op: &Op) -> Option<(u32, String)> {
    match op {
        Op::Literal(value) => {
            let fits = matches!(value, Literal::Float(_)) == ty.dtype.is_float();
            (!fits).then(|| (9, format!("a literal of {ty}")))
        }
        Op::Load { buffer, .. } | Op::LoadStrided { buffer, .. } | Op::Gather { buffer, .. } => {
            let dtype = kernel.buffer(*buffer).dtype;
            (dtype != ty.dtype).then(|| (10, format!("the result is {ty}, the buffer {dtype}")))
        }
        Op::Fold(_, a) => {
            let lanes = kernel.ty(*a).lanes;
            (ty.lanes != 1 || !lanes.is_power_of_two()).then(|| (12, format!("{lanes} lanes fold to {}", ty.lanes)))
        }
        Op::Shuffle(a, b, lanes) => shuffle_fault(kernel.ty(*a).lanes + kernel.ty(*b).lanes, ty, lanes).map(|why| (13, why)),
        Op::Dot(a, b, _) => {
            let (a, b) = (kernel.ty(*a), kernel.ty(*b));
            (!is_dot(a, b, ty)).then(|| (17, format!("no dot of {a} and {b} into {ty}")))
        }
        Op::Index(_) | Op::Lanes | Op::Below(_) | Op::Splat(_) | Op::Unary(..) | Op::Binary(..) | Op::Compare(..) => None,
        Op::MulAdd(..) | Op::Select(..) | Op::Convert(_) | Op::Bits(_) => None,
    }
}

fn is_dot(a: Ty, b: Ty, ty: Ty) -> bool {
    let group = match (a.dtype, b.dtype, ty.dtype) {
        (DType::BF16, DType::BF16, DType::F32) => 2,
        (DType::U8, DType::I8, DType::I32) | (DType::I8, DType::U8, DType::I32) => 4,
        _ => return false,
    };
    matches!(ty.lanes, 4 | 8 | 16) && [a, b].iter().all(|factor| factor.lanes == group * ty.lanes)
}

fn shuffle_fault(have: u32, ty: Ty, lanes: &[u32]) -> Option<String> {
    if lanes.len() != ty.lanes as usize {
        return Some(format!("{} lanes for a result of {}", lanes.len(), ty.lanes));
    }
    let lane = lanes.iter().find(|lane| **lane >= have)?;
    Some(format!("lane {lane} of {have}"))
}
