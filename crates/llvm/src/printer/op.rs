//! The ops: arithmetic, comparison and movement of lanes.
//!
//! No operand value makes poison: divisions are guarded, shift counts masked, and no flag lets LLVM assume anything.

use super::function::{Function, Made};
use super::strided::shuffled;
use super::text::{lane_type, list, literal, register_type, splat, suffix, widened};
use super::wide;
use ir::{DType, Literal};
use kernel::{Binary, Compare, Op, Ty, Unary, ValueId};
use nest::Monoid;
use sym::Expr;

impl Function<'_> {
    /// What an op of result type `ty` comes to.
    pub fn op(&mut self, ty: Ty, op: &Op) -> Made {
        match op {
            Op::Literal(value) => Made::Operand(literal(*value, ty)),
            Op::Index(expr) => self.index_value(ty, expr),
            Op::Lanes => Made::Operand(list(lane_type(ty.dtype), 0..i64::from(ty.lanes))),
            Op::Below(limit) => self.below(limit, ty.lanes),
            Op::Load { .. } | Op::LoadStrided { .. } | Op::Gather { .. } => self.load(ty, op),
            Op::Splat(a) => self.splat(*a, ty.lanes),
            Op::Unary(op, a) => self.unary(*op, *a),
            Op::Binary(op, a, b) => {
                let (a, b) = (self.value(*a), self.value(*b));
                self.binary(*op, ty, &a, &b)
            }
            Op::Compare(op, a, b) => self.compare(*op, *a, *b),
            Op::MulAdd(a, b, c) => self.mul_add(ty, [*a, *b, *c]),
            Op::Dot(a, b, c) => self.dot(ty, [*a, *b, *c]),
            Op::Select(cond, a, b) => Made::Instruction(format!("select {}, {}, {}", self.typed(*cond), self.typed(*a), self.typed(*b))),
            Op::Convert(a) => self.convert(*a, ty),
            Op::Bits(a) => self.bits(*a, ty),
            Op::Fold(monoid, a) => self.fold(*monoid, *a),
            Op::Shuffle(a, b, lanes) => self.shuffle(*a, *b, lanes),
        }
    }

    fn index_value(&mut self, ty: Ty, expr: &Expr) -> Made {
        let value = self.code.index(expr);
        match lane_type(ty.dtype) {
            "i64" => Made::Operand(value),
            lane => Made::Instruction(format!("trunc i64 {value} to {lane}")),
        }
    }

    /// The limit is clamped to the lanes first, so that lanes as wide as a register's width allows can be compared.
    fn below(&mut self, limit: &Expr, lanes: u32) -> Made {
        let limit = self.code.index(limit);
        if lanes == 1 {
            return Made::Instruction(format!("icmp sgt i64 {limit}, 0"));
        }
        let lane = match lanes {
            0..=16 => "i32",
            17..=32 => "i16",
            _ => "i8",
        };
        let positive = self.code.temp(format!("call i64 @llvm.smax.i64(i64 {limit}, i64 0)"));
        let clamped = self.code.temp(format!("call i64 @llvm.smin.i64(i64 {positive}, i64 {lanes})"));
        let narrow = self.code.temp(format!("trunc i64 {clamped} to {lane}"));
        let limits = self.repeated(lane, &narrow, lanes);
        let limits = self.operand(limits);
        Made::Instruction(format!("icmp ult <{lanes} x {lane}> {}, {limits}", list(lane, 0..i64::from(lanes))))
    }

    fn splat(&mut self, a: ValueId, lanes: u32) -> Made {
        let (lane, scalar) = (lane_type(self.ty(a).dtype), self.value(a));
        match scalar.starts_with('%') {
            _ if lanes == 1 => Made::Operand(scalar),
            true if lane == "i1" => self.repeated_bool(&scalar, lanes),
            true => self.repeated(lane, &scalar, lanes),
            false => Made::Operand(splat(lane, lanes, &scalar)),
        }
    }

    /// A bool in every lane, by way of numbers. LLVM 19 splits masks that are wider than registers wrongly where they come from a broadcast
    /// of i1 of which one lane counts: the other half is then loaded without a mask.
    fn repeated_bool(&mut self, scalar: &str, lanes: u32) -> Made {
        let number = self.code.temp(format!("zext i1 {scalar} to i32"));
        let repeated = self.repeated("i32", &number, lanes);
        let numbers = self.operand(repeated);
        Made::Instruction(format!("icmp ne <{lanes} x i32> {numbers}, zeroinitializer"))
    }

    fn unary(&mut self, op: Unary, a: ValueId) -> Made {
        let (ty, typed, operand) = (self.ty(a), self.typed(a), self.value(a));
        let text = register_type(ty);
        let call = |name: &str| format!("call {text} @llvm.{name}.{}({typed})", suffix(lane_type(ty.dtype), ty.lanes));
        let all_ones = |value: &str| splat(lane_type(ty.dtype), ty.lanes, value);
        Made::Instruction(match (op, Arithmetic::of(ty.dtype)) {
            (Unary::Neg, Arithmetic::Float) => format!("fneg {typed}"),
            (Unary::Neg, Arithmetic::Signed | Arithmetic::Unsigned) => format!("sub {text} {}, {operand}", all_ones("0")),
            (Unary::Abs, Arithmetic::Float) => call("fabs"),
            (Unary::Sqrt, Arithmetic::Float) => call("sqrt"),
            (Unary::Floor, Arithmetic::Float) => call("floor"),
            (Unary::Ceil, Arithmetic::Float) => call("ceil"),
            // the same where nobody changes the mode of rounding; LLVM has no instruction of 32-bit Arm for the other
            (Unary::Round, Arithmetic::Float) => call(if self.options.narrow_words { "rint" } else { "roundeven" }),
            (Unary::Trunc, Arithmetic::Float) => call("trunc"),
            (Unary::Flush, Arithmetic::Float) => self.flushed(ty, &operand),
            (Unary::Not, Arithmetic::Bool) => format!("xor {typed}, {}", all_ones("true")),
            (Unary::Not, Arithmetic::Signed | Arithmetic::Unsigned) => format!("xor {typed}, {}", all_ones("-1")),
            (op, _) => panic!("{op:?} is not defined on {}", ty.dtype),
        })
    }

    fn flushed(&mut self, ty: Ty, operand: &str) -> String {
        let (text, lane) = (register_type(ty), lane_type(ty.dtype));
        let name = suffix(lane, ty.lanes);
        let size = self.code.temp(format!("call {text} @llvm.fabs.{name}({text} {operand})"));
        let least = literal(Literal::Float(ty.dtype.least_normal()), ty);
        let subnormal = self.code.temp(format!("fcmp olt {text} {size}, {least}"));
        let signed =
            self.code.temp(format!("call {text} @llvm.copysign.{name}({text} {}, {text} {operand})", literal(Literal::Float(0.0), ty)));
        format!("select {} {subnormal}, {text} {signed}, {text} {operand}", widened("i1", ty.lanes))
    }

    /// `a op b` of two operands of one type.
    fn binary(&mut self, op: Binary, ty: Ty, a: &str, b: &str) -> Made {
        let kind = Arithmetic::of(ty.dtype);
        let integer = matches!(kind, Arithmetic::Signed | Arithmetic::Unsigned);
        let name = match (op, kind) {
            (Binary::Add, Arithmetic::Float) => "fadd",
            (Binary::Sub, Arithmetic::Float) => "fsub",
            (Binary::Mul, Arithmetic::Float) => "fmul",
            (Binary::Div, Arithmetic::Float) => "fdiv",
            (Binary::Add, _) if integer => "add",
            (Binary::Sub, _) if integer => "sub",
            (Binary::Mul, _) if integer => "mul",
            (Binary::Div | Binary::Rem, _) if integer => return self.guarded_division(op, ty, a, b),
            (Binary::Shl | Binary::Shr, _) if integer => return self.masked_shift(op, ty, a, b),
            (Binary::Max | Binary::Min, Arithmetic::Float | Arithmetic::Signed | Arithmetic::Unsigned) => {
                let test = if op == Binary::Max { Compare::Greater } else { Compare::Less };
                return self.extreme(test, ty, a, b);
            }
            (Binary::And, Arithmetic::Bool | Arithmetic::Signed | Arithmetic::Unsigned) => "and",
            (Binary::Or, Arithmetic::Bool | Arithmetic::Signed | Arithmetic::Unsigned) => "or",
            (Binary::Xor, Arithmetic::Bool | Arithmetic::Signed | Arithmetic::Unsigned) => "xor",
            (op, _) => panic!("{op:?} is not defined on {}", ty.dtype),
        };
        Made::Instruction(format!("{name} {} {a}, {b}", register_type(ty)))
    }

    /// `a > b ? a : b`, or with `<`.
    fn extreme(&mut self, test: Compare, ty: Ty, a: &str, b: &str) -> Made {
        let (text, conds) = (register_type(ty), widened("i1", ty.lanes));
        let cond = self.code.temp(format!("{} {text} {a}, {b}", comparison(test, ty.dtype)));
        Made::Instruction(format!("select {conds} {cond}, {text} {a}, {text} {b}"))
    }

    /// Where the division has no result, 1 stands for the divisor: `a rem 1` is the 0 that is wanted, and `lowest/1` is
    /// what `lowest/-1` wraps to.
    fn guarded_division(&mut self, op: Binary, ty: Ty, a: &str, b: &str) -> Made {
        let (text, conds) = (register_type(ty), widened("i1", ty.lanes));
        let constant = |value: i64| literal(ir::Literal::Int(value), ty);
        let by_zero = self.code.temp(format!("icmp eq {text} {b}, {}", constant(0)));
        let signed = ty.dtype.is_signed_int();
        let bad = if signed { self.division_overflow(ty, a, b, &by_zero) } else { by_zero.clone() };
        let divisor = self.code.temp(format!("select {conds} {bad}, {text} {}, {text} {b}", constant(1)));
        match op {
            Binary::Rem => self.divided(if signed { "srem" } else { "urem" }, ty, a, &divisor),
            _ => {
                let quotient = self.divided(if signed { "sdiv" } else { "udiv" }, ty, a, &divisor);
                let quotient = self.operand(quotient);
                Made::Instruction(format!("select {conds} {by_zero}, {text} {}, {text} {quotient}", constant(0)))
            }
        }
    }

    fn divided(&mut self, name: &str, ty: Ty, a: &str, divisor: &str) -> Made {
        if ty.dtype.size() == 8 && self.options.narrow_words {
            return self.each_lane(ty.lanes, "i64", &[a, divisor], "i64", &|x| wide::quotient(name, &x[0], &x[1]));
        }
        Made::Instruction(format!("{name} {} {a}, {divisor}", register_type(ty)))
    }

    fn division_overflow(&mut self, ty: Ty, a: &str, b: &str, by_zero: &str) -> String {
        let (text, conds) = (register_type(ty), widened("i1", ty.lanes));
        let lowest = ty.dtype.int_range().map_or(0, |(low, _)| low);
        let is_lowest = self.code.temp(format!("icmp eq {text} {a}, {}", literal(ir::Literal::Int(lowest), ty)));
        let by_minus_one = self.code.temp(format!("icmp eq {text} {b}, {}", literal(ir::Literal::Int(-1), ty)));
        let overflow = self.code.temp(format!("and {conds} {is_lowest}, {by_minus_one}"));
        self.code.temp(format!("or {conds} {by_zero}, {overflow}"))
    }

    fn masked_shift(&mut self, op: Binary, ty: Ty, a: &str, b: &str) -> Made {
        let text = register_type(ty);
        let most = literal(ir::Literal::Int(ty.dtype.size() as i64 * 8 - 1), ty);
        let count = self.code.temp(format!("and {text} {b}, {most}"));
        Made::Instruction(format!("{} {text} {a}, {count}", if op == Binary::Shl { "shl" } else { "lshr" }))
    }

    fn compare(&mut self, op: Compare, a: ValueId, b: ValueId) -> Made {
        let ty = self.ty(a);
        Made::Instruction(format!("{} {}, {}", comparison(op, ty.dtype), self.typed(a), self.value(b)))
    }

    fn mul_add(&mut self, ty: Ty, operands: [ValueId; 3]) -> Made {
        assert!(Arithmetic::of(ty.dtype) == Arithmetic::Float, "mul_add is not defined on {}", ty.dtype);
        let operands = operands.map(|value| self.typed(value)).join(", ");
        let (text, name) = (register_type(ty), suffix(lane_type(ty.dtype), ty.lanes));
        Made::Instruction(format!("call {text} @llvm.fma.{name}({operands})"))
    }

    /// The machine's instruction, which the target must have.
    fn dot(&mut self, ty: Ty, [a, b, c]: [ValueId; 3]) -> Made {
        let (text, bits) = (register_type(ty), 32 * ty.lanes);
        let (name, lanes) = match ty.dtype {
            DType::F32 => ("avx512bf16.dpbf16ps", widened("bfloat", 2 * ty.lanes)),
            _ => ("avx512.vpdpbusd", widened("i32", ty.lanes)),
        };
        // the unsigned factor stands first
        let [a, b] = if self.ty(b).dtype == DType::U8 { [b, a] } else { [a, b] };
        let [a, b] = [a, b].map(|factor| self.code.temp(format!("bitcast {} to {lanes}", self.typed(factor))));
        Made::Instruction(format!("call {text} @llvm.x86.{name}.{bits}({}, {lanes} {a}, {lanes} {b})", self.typed(c)))
    }

    /// Halves onto each other until one lane is left.
    fn fold(&mut self, monoid: Monoid, a: ValueId) -> Made {
        let op = Binary::folds(monoid);
        let (Ty { dtype, mut lanes }, mut folded) = (self.ty(a), self.value(a));
        assert!(lanes.is_power_of_two(), "fold of {lanes} lanes");
        while lanes > 1 {
            let ty = register_type(Ty { dtype, lanes });
            lanes /= 2;
            let low = self.lanes_of(&ty, &folded, 0..lanes);
            let high = self.lanes_of(&ty, &folded, lanes..2 * lanes);
            let made = self.binary(op, Ty { dtype, lanes }, &low, &high);
            folded = self.operand(made);
        }
        Made::Operand(folded)
    }

    fn lanes_of(&mut self, ty: &str, vector: &str, lanes: std::ops::Range<u32>) -> String {
        match lanes.len() {
            1 => self.code.temp(format!("extractelement {ty} {vector}, i64 {}", lanes.start)),
            _ => self.code.temp(shuffled(ty, vector, vector, lanes.map(u64::from))),
        }
    }

    fn shuffle(&mut self, a: ValueId, b: ValueId, lanes: &[u32]) -> Made {
        let (of_a, of_b) = (self.ty(a).lanes, self.ty(b).lanes);
        let most = of_a.max(of_b);
        let lane = lane_type(self.ty(a).dtype);
        let ty = format!("<{most} x {lane}>");
        let (a, b) = (self.at_least(a, most), self.at_least(b, most));
        let order: Vec<u64> = lanes.iter().map(|l| u64::from(if *l < of_a { *l } else { l - of_a + most })).collect();
        match order.as_slice() {
            [one] => {
                let (from, at) = if *one < u64::from(most) { (&a, *one) } else { (&b, one - u64::from(most)) };
                Made::Instruction(format!("extractelement {ty} {from}, i64 {at}"))
            }
            _ => Made::Instruction(shuffled(&ty, &a, &b, order.into_iter())),
        }
    }

    /// The value as a vector of `lanes` lanes; those that it lacks repeat its first one.
    fn at_least(&mut self, value: ValueId, lanes: u32) -> String {
        let (ty, operand) = (self.ty(value), self.value(value));
        let lane = lane_type(ty.dtype);
        match ty.lanes {
            1 => {
                let repeated = self.repeated(lane, &operand, lanes);
                self.operand(repeated)
            }
            own if own < lanes => {
                let order = (0..lanes).map(|l| u64::from(if l < own { l } else { 0 }));
                self.code.temp(shuffled(&register_type(ty), &operand, &operand, order))
            }
            _ => operand,
        }
    }
}

/// How the lanes of a type are computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    Bool,
    Signed,
    Unsigned,
    Float,
    /// The 16-bit floats: only moved and converted.
    Storage,
}

impl Arithmetic {
    pub fn of(dtype: DType) -> Arithmetic {
        match dtype {
            DType::Bool => Arithmetic::Bool,
            DType::I8 | DType::I16 | DType::I32 | DType::I64 => Arithmetic::Signed,
            DType::U8 | DType::U16 | DType::U32 | DType::U64 => Arithmetic::Unsigned,
            DType::F32 | DType::F64 => Arithmetic::Float,
            DType::F16 | DType::BF16 => Arithmetic::Storage,
        }
    }
}

/// `fcmp olt`, `icmp ult` and so on.
fn comparison(op: Compare, dtype: DType) -> String {
    let (float, integer) = match op {
        Compare::Equal => ("oeq", "eq"),
        Compare::NotEqual => ("une", "ne"),
        Compare::Less => ("olt", "lt"),
        Compare::LessEqual => ("ole", "le"),
        Compare::Greater => ("ogt", "gt"),
        Compare::GreaterEqual => ("oge", "ge"),
    };
    let sign = match (op, Arithmetic::of(dtype)) {
        (_, Arithmetic::Float) => return format!("fcmp {float}"),
        (_, Arithmetic::Storage) => panic!("{op:?} is not defined on {dtype}"),
        (Compare::Equal | Compare::NotEqual, _) => "",
        (_, Arithmetic::Signed) => "s",
        (_, Arithmetic::Unsigned | Arithmetic::Bool) => "u",
    };
    format!("icmp {sign}{integer}")
}
