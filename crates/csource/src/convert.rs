//! Conversions between element types, each rounded once: by casts where C defines them, else by functions of [`crate::library`].

use crate::function::{Function, Operand};
use crate::text::{lane_type, unsigned_type};
use ir::DType;
use kernel::{Ty, ValueId};

/// `a`, an operand, as another type.
pub fn converted(from: DType, to: DType, a: &str) -> String {
    match from {
        DType::F16 => float(DType::F32, to, &format!("inkle_f32_of_f16({a})")),
        DType::BF16 => float(DType::F32, to, &format!("inkle_f32_of_bf16({a})")),
        DType::F32 | DType::F64 => float(from, to, a),
        DType::Bool | DType::I8 | DType::I16 | DType::I32 | DType::I64 => integer(from, to, a),
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => integer(from, to, a),
    }
}

fn integer(from: DType, to: DType, a: &str) -> String {
    match to {
        DType::Bool => format!("{a} != 0"),
        // f32 rounds only what is above 2^24, and that is infinite as f16
        DType::F16 => format!("inkle_f16_of_f32((float){a})"),
        DType::BF16 => match from.size() {
            1 | 2 => format!("inkle_bf16_of_f32((float){a})"),
            4 => format!("inkle_bf16_of_f32(inkle_odd_f32((double){a}))"),
            _ if from.is_signed_int() => format!("inkle_bf16_of_f32(inkle_odd_f32((double)inkle_odd_i64({a})))"),
            _ => format!("inkle_bf16_of_f32(inkle_odd_f32((double)inkle_odd_u64({a})))"),
        },
        to => format!("({}){a}", lane_type(to)),
    }
}

fn float(from: DType, to: DType, a: &str) -> String {
    let single = || if from == DType::F64 { format!("inkle_odd_f32({a})") } else { a.to_string() };
    match to {
        DType::Bool => format!("{a} != 0"),
        DType::F16 => format!("inkle_f16_of_f32({})", single()),
        DType::BF16 => format!("inkle_bf16_of_f32({})", single()),
        DType::F32 | DType::F64 if from == to => a.to_string(),
        DType::F32 | DType::F64 => format!("({}){a}", lane_type(to)),
        to => format!("inkle_{}_of_{}({a})", to.name(), from.name()),
    }
}

impl Function<'_> {
    pub fn convert(&mut self, ty: Ty, name: &str, value: ValueId) -> Operand {
        let (from, operand) = (self.ty(value).dtype, self.value(value));
        if from == ty.dtype {
            return operand;
        }
        self.each(name, ty, std::slice::from_ref(&operand), &|lane| converted(from, ty.dtype, &operand.lane(lane)))
    }

    /// The same bits as another type.
    pub fn bits(&mut self, ty: Ty, name: &str, value: ValueId) -> Operand {
        let (from, operand) = (self.ty(value), self.value(value));
        if from.lanes == ty.lanes {
            let lane = |lane: &str| of_bits(ty.dtype, &bits_of(from.dtype, &operand.lane(lane)));
            return self.each(name, ty, std::slice::from_ref(&operand), &lane);
        }
        let source = self.code.fresh("bits");
        self.code.line(&format!("{} {source}[{}];", lane_type(from.dtype), from.lanes));
        self.code.line(&format!("for (int l = 0; l < {}; l++) {source}[l] = {};", from.lanes, operand.lane("l")));
        self.code.line(&format!("{} {name}[{}];", lane_type(ty.dtype), ty.lanes));
        self.code.line(&format!("memcpy({name}, {source}, sizeof {name});"));
        if ty.lanes == 1 { Operand::Same(format!("{name}[0]")) } else { Operand::Lanes(name.to_string()) }
    }
}

/// An unsigned integer with the bits of a value.
fn bits_of(dtype: DType, a: &str) -> String {
    match dtype {
        DType::F32 => format!("inkle_bits32({a})"),
        DType::F64 => format!("inkle_bits64({a})"),
        dtype => format!("({}){a}", unsigned_type(dtype)),
    }
}

fn of_bits(dtype: DType, bits: &str) -> String {
    match dtype {
        DType::F32 => format!("inkle_f32({bits})"),
        DType::F64 => format!("inkle_f64({bits})"),
        dtype => format!("({}){bits}", lane_type(dtype)),
    }
}
