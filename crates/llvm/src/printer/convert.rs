//! Conversions between element types, each rounded once.
//!
//! Nothing depends on what the target converts by itself: bf16 is made with integer instructions, but for factors of the machine's own
//! products (without subnormal numbers), and what is wider than
//! f32 goes to the 16-bit floats through f32 rounded to odd, whose last bit then stands for all that was cut off.

use super::function::{Function, Made};
use super::op::Arithmetic;
use super::text::{lane_type, register_type, splat, suffix, widened};
use ir::{DType, Literal};
use kernel::{Ty, ValueId};

/// An operand with the LLVM type of its lanes.
struct Lanes {
    operand: String,
    lane: &'static str,
}

impl Function<'_> {
    /// The value with the element type of `to`.
    pub fn convert(&mut self, value: ValueId, to: Ty) -> Made {
        let (from, operand, lanes) = (self.ty(value).dtype, self.value(value), to.lanes);
        if from == to.dtype {
            return Made::Operand(operand);
        }
        if let Some(made) = self.flushing_brain_of(value, to) {
            return made;
        }
        match Arithmetic::of(from) {
            Arithmetic::Bool | Arithmetic::Signed | Arithmetic::Unsigned => self.convert_integer(operand, from, to),
            Arithmetic::Float => self.convert_float(Lanes { operand, lane: lane_type(from) }, to),
            Arithmetic::Storage => {
                let wide = self.single(operand, from, lanes);
                self.convert_float(wide, to)
            }
        }
    }

    /// The same bits as another type.
    pub fn bits(&mut self, value: ValueId, to: Ty) -> Made {
        let from = self.ty(value);
        let (a, b) = (lane_type(from.dtype), lane_type(to.dtype));
        match (from.dtype, to.dtype) {
            _ if a == b => Made::Operand(self.value(value)),
            (DType::Bool, _) => Made::Instruction(format!("zext {} to {}", self.typed(value), register_type(to))),
            (_, DType::Bool) => Made::Instruction(self.truth_of(&self.value(value), to.lanes)),
            _ => Made::Instruction(format!("bitcast {} to {}", self.typed(value), register_type(to))),
        }
    }

    fn convert_integer(&mut self, operand: String, from: DType, to: Ty) -> Made {
        let text = register_type(Ty { dtype: from, lanes: to.lanes });
        match to.dtype {
            DType::Bool => Made::Instruction(format!("icmp ne {text} {operand}, {}", splat(lane_type(from), to.lanes, "0"))),
            DType::F32 | DType::F64 => {
                let float = self.float_of(&operand, from, to);
                Made::Instruction(float)
            }
            DType::F16 => {
                // f32 rounds only what is above 2^24, and that is infinite as f16
                let single = self.temp_float_of(&operand, from, DType::F32, to.lanes);
                self.half_of(single, to.lanes)
            }
            DType::BF16 => {
                let single = self.odd_single_of(operand, from, to.lanes);
                self.brain_of(&single, to.lanes)
            }
            DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::U8 | DType::U16 | DType::U32 | DType::U64 => {
                self.resized(operand, from, to)
            }
        }
    }

    fn resized(&mut self, operand: String, from: DType, to: Ty) -> Made {
        let (text, wanted) = (register_type(Ty { dtype: from, lanes: to.lanes }), register_type(to));
        let bits = |dtype: DType| if dtype == DType::Bool { 1 } else { dtype.size() * 8 };
        let name = match bits(to.dtype).cmp(&bits(from)) {
            std::cmp::Ordering::Equal => return Made::Operand(operand),
            std::cmp::Ordering::Less => "trunc",
            std::cmp::Ordering::Greater if from.is_signed_int() => "sext",
            std::cmp::Ordering::Greater => "zext",
        };
        Made::Instruction(format!("{name} {text} {operand} to {wanted}"))
    }

    fn float_of(&mut self, operand: &str, from: DType, to: Ty) -> String {
        if from.size() == 8 && self.options.narrow_words {
            return self.float_of_wide(operand, from, to);
        }
        let name = if from.is_signed_int() { "sitofp" } else { "uitofp" };
        format!("{name} {} {operand} to {}", register_type(Ty { dtype: from, lanes: to.lanes }), register_type(to))
    }

    fn temp_float_of(&mut self, operand: &str, from: DType, to: DType, lanes: u32) -> String {
        let float = self.float_of(operand, from, Ty { dtype: to, lanes });
        self.code.temp(float)
    }

    /// An f32 with the integer's value, or next to it and odd: exact enough to be rounded again.
    fn odd_single_of(&mut self, operand: String, from: DType, lanes: u32) -> String {
        match from.size() {
            1 | 2 => self.temp_float_of(&operand, from, DType::F32, lanes),
            4 => {
                let double = self.temp_float_of(&operand, from, DType::F64, lanes);
                self.round_to_odd(&double, lanes)
            }
            _ => {
                let exact = self.integer_to_odd(&operand, from, lanes);
                let double = self.temp_float_of(&exact, from, DType::F64, lanes);
                self.round_to_odd(&double, lanes)
            }
        }
    }

    /// A 64-bit integer that f64 holds: from 2^53 on, the lowest 11 bits are cut off, and bit 11 is set where one was.
    pub fn integer_to_odd(&mut self, operand: &str, from: DType, lanes: u32) -> String {
        let (text, conds) = (widened("i64", lanes), widened("i1", lanes));
        let constant = |value: i64| splat("i64", lanes, &value.to_string());
        let cut = self.code.temp(format!("and {text} {operand}, {}", constant(0x7FF)));
        let kept = self.code.temp(format!("sub {text} {operand}, {cut}"));
        let inexact = self.code.temp(format!("icmp ne {text} {cut}, {}", constant(0)));
        let sticky = self.code.temp(format!("select {conds} {inexact}, {text} {}, {text} {}", constant(0x800), constant(0)));
        let odd = self.code.temp(format!("or {text} {kept}, {sticky}"));
        // below 2^53 in size: x + 2^53 lies in 0..2^54
        let shifted = match from.is_signed_int() {
            true => self.code.temp(format!("add {text} {operand}, {}", constant(1 << 53))),
            false => operand.to_string(),
        };
        let limit = if from.is_signed_int() { 1 << 54 } else { 1 << 53 };
        let small = self.code.temp(format!("icmp ult {text} {shifted}, {}", constant(limit)));
        self.code.temp(format!("select {conds} {small}, {text} {operand}, {text} {odd}"))
    }

    fn convert_float(&mut self, from: Lanes, to: Ty) -> Made {
        let (lanes, operand) = (to.lanes, &from.operand);
        let typed = format!("{} {operand}", widened(from.lane, lanes));
        match to.dtype {
            DType::Bool => Made::Instruction(format!("fcmp une {typed}, {}", zero(from.lane, lanes))),
            DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::U8 | DType::U16 | DType::U32 | DType::U64 => {
                self.float_to_integer(operand, if from.lane == "double" { DType::F64 } else { DType::F32 }, to)
            }
            DType::F32 | DType::F64 if lane_type(to.dtype) == from.lane => Made::Operand(from.operand),
            DType::F32 => Made::Instruction(format!("fptrunc {typed} to {}", register_type(to))),
            DType::F64 => Made::Instruction(format!("fpext {typed} to {}", register_type(to))),
            DType::F16 => {
                let single = self.odd_single(from, lanes);
                self.half_of(single, lanes)
            }
            DType::BF16 => {
                let single = self.odd_single(from, lanes);
                self.brain_of(&single, lanes)
            }
        }
    }

    fn odd_single(&mut self, from: Lanes, lanes: u32) -> String {
        if from.lane == "double" { self.round_to_odd(&from.operand, lanes) } else { from.operand }
    }

    /// The f32 of a 16-bit float, exact.
    fn single(&mut self, operand: String, from: DType, lanes: u32) -> Lanes {
        let (bits, words, floats) = (widened("i16", lanes), widened("i32", lanes), widened("float", lanes));
        let operand = if from == DType::F16 && self.options.soft_half {
            self.single_of_half(&operand, lanes)
        } else if from == DType::F16 {
            let half = self.code.temp(format!("bitcast {bits} {operand} to {}", widened("half", lanes)));
            self.code.temp(format!("fpext {} {half} to {floats}", widened("half", lanes)))
        } else {
            let word = self.code.temp(format!("zext {bits} {operand} to {words}"));
            let high = self.code.temp(format!("shl {words} {word}, {}", splat("i32", lanes, "16")));
            self.code.temp(format!("bitcast {words} {high} to {floats}"))
        };
        Lanes { operand, lane: "float" }
    }

    fn half_of(&mut self, single: String, lanes: u32) -> Made {
        if self.options.soft_half {
            return self.half_of_single(&single, lanes);
        }
        let halves = widened("half", lanes);
        let half = self.code.temp(format!("fptrunc {} {single} to {halves}", widened("float", lanes)));
        Made::Instruction(format!("bitcast {halves} {half} to {}", widened("i16", lanes)))
    }

    /// The machine's instruction, where it does what is asked for.
    fn flushing_brain_of(&mut self, value: ValueId, to: Ty) -> Option<Made> {
        let from = *self.flushed.get(&value).filter(|from| self.options.flushing_bf16 && self.ty(**from).dtype == DType::F32)?;
        if to.dtype != DType::BF16 || !matches!(to.lanes, 8 | 16) {
            return None;
        }
        let (brains, bits) = (widened("bfloat", to.lanes), 32 * to.lanes);
        let call = format!("call {brains} @llvm.x86.avx512bf16.cvtneps2bf16.{bits}({})", self.typed(from));
        let brain = self.code.temp(call);
        Some(Made::Instruction(format!("bitcast {brains} {brain} to {}", widened("i16", to.lanes))))
    }

    /// The upper half of the bits, rounded to nearest even; a NaN stays one.
    fn brain_of(&mut self, single: &str, lanes: u32) -> Made {
        let (words, floats, conds) = (widened("i32", lanes), widened("float", lanes), widened("i1", lanes));
        let constant = |value: i64| splat("i32", lanes, &value.to_string());
        let word = self.code.temp(format!("bitcast {floats} {single} to {words}"));
        let high = self.code.temp(format!("lshr {words} {word}, {}", constant(16)));
        let last = self.code.temp(format!("and {words} {high}, {}", constant(1)));
        let half = self.code.temp(format!("add {words} {last}, {}", constant(0x7FFF)));
        let sum = self.code.temp(format!("add {words} {word}, {half}"));
        let rounded = self.code.temp(format!("lshr {words} {sum}, {}", constant(16)));
        let quiet = self.code.temp(format!("or {words} {high}, {}", constant(0x40)));
        let is_nan = self.code.temp(format!("fcmp uno {floats} {single}, {}", zero("float", lanes)));
        let bits = self.code.temp(format!("select {conds} {is_nan}, {words} {quiet}, {words} {rounded}"));
        Made::Instruction(format!("trunc {words} {bits} to {}", widened("i16", lanes)))
    }

    /// The f32 at the double, or the odd one of the two around it.
    fn round_to_odd(&mut self, double: &str, lanes: u32) -> String {
        let (doubles, floats, words) = (widened("double", lanes), widened("float", lanes), widened("i32", lanes));
        let name = suffix("double", lanes);
        let near = self.code.temp(format!("fptrunc {doubles} {double} to {floats}"));
        let back = self.code.temp(format!("fpext {floats} {near} to {doubles}"));
        let inexact = self.code.temp(format!("fcmp one {doubles} {back}, {double}"));
        let size = self.code.temp(format!("call {doubles} @llvm.fabs.{name}({doubles} {double})"));
        let near_size = self.code.temp(format!("call {doubles} @llvm.fabs.{name}({doubles} {back})"));
        let beyond = self.code.temp(format!("fcmp ogt {doubles} {near_size}, {size}"));
        let bits = self.code.temp(format!("bitcast {floats} {near} to {words}"));
        let step = self.code.temp(format!("sext {} {beyond} to {words}", widened("i1", lanes)));
        let toward_zero = self.code.temp(format!("add {words} {bits}, {step}"));
        let sticky = self.code.temp(format!("zext {} {inexact} to {words}", widened("i1", lanes)));
        let odd = self.code.temp(format!("or {words} {toward_zero}, {sticky}"));
        self.code.temp(format!("bitcast {words} {odd} to {floats}"))
    }
}

fn zero(lane: &str, lanes: u32) -> String {
    let dtype = if lane == "double" { DType::F64 } else { DType::F32 };
    super::text::literal(Literal::Float(0.0), Ty { dtype, lanes })
}
