//! The ops: arithmetic, comparison and movement of lanes.

use crate::function::{Function, Operand};
use crate::text::{lane_type, literal, unsigned_type, wrapping_type};
use ir::DType;
use kernel::{Binary, Compare, Op, Ty, Unary, ValueId};
use nest::Monoid;

impl Function<'_> {
    /// Writes what makes a value; gives what stands for it.
    pub fn op(&mut self, ty: Ty, name: &str, op: &Op) -> Operand {
        match op {
            Op::Literal(value) => self.scalar(name, ty, &literal(*value, ty.dtype)),
            Op::Index(expr) => {
                let value = format!("({}){}", lane_type(ty.dtype), self.code.index(expr));
                self.scalar(name, ty, &value)
            }
            Op::Lanes => self.each(name, ty, &[], &|lane| format!("({}){lane}", lane_type(ty.dtype))),
            Op::Below(limit) => {
                let limit = self.code.signed(limit);
                self.each(name, ty, &[], &|lane| format!("{lane} < {limit}"))
            }
            Op::Load { .. } | Op::LoadStrided { .. } | Op::Gather { .. } => self.load(ty, name, op),
            Op::Splat(a) => self.value(*a),
            Op::Unary(op, a) => self.mapped(ty, name, [*a], |[a]| unary(*op, ty.dtype, &a)),
            Op::Binary(op, a, b) => self.mapped(ty, name, [*a, *b], |[a, b]| binary(*op, ty.dtype, &a, &b)),
            Op::Compare(op, a, b) => self.mapped(ty, name, [*a, *b], |[a, b]| format!("{a} {} {b}", comparison(*op))),
            Op::MulAdd(a, b, c) => {
                let function = if ty.dtype == DType::F32 { "fmaf" } else { "fma" };
                self.mapped(ty, name, [*a, *b, *c], |[a, b, c]| format!("{function}({a}, {b}, {c})"))
            }
            Op::Dot(a, b, c) => self.dot(ty, name, [*a, *b, *c]),
            Op::Select(cond, a, b) => self.mapped(ty, name, [*cond, *a, *b], |[cond, a, b]| format!("{cond} ? {a} : {b}")),
            Op::Convert(a) => self.convert(ty, name, *a),
            Op::Bits(a) => self.bits(ty, name, *a),
            Op::Fold(monoid, a) => self.fold(ty, name, *monoid, *a),
            Op::Shuffle(a, b, lanes) => self.shuffle(ty, name, [*a, *b], lanes),
        }
    }

    fn mapped<const N: usize>(&mut self, ty: Ty, name: &str, values: [ValueId; N], text: impl Fn([String; N]) -> String) -> Operand {
        let operands = values.map(|value| self.value(value));
        self.each(name, ty, &operands, &|lane| text(operands.each_ref().map(|operand| operand.lane(lane))))
    }

    /// By the meaning of [`Op::Dot`]; the last product of a pair is added first.
    fn dot(&mut self, ty: Ty, name: &str, [a, b, c]: [ValueId; 3]) -> Operand {
        let [a, b, c] = [a, b, c].map(|value| self.value(value));
        let sum = |lane: &str| {
            let factors = |group: i32, at: i32| [&a, &b].map(|factor| factor.lane(&format!("{group} * {lane} + {at}")));
            match ty.dtype {
                DType::F32 => (0..2).rev().fold(c.lane(lane), |sum, at| {
                    let [a, b] = factors(2, at);
                    format!("inkle_dot_bf16({a}, {b}, {sum})")
                }),
                _ => {
                    let products = (0..4).map(|at| factors(4, at)).map(|[a, b]| format!(" + (uint32_t)({a} * {b})"));
                    format!("(int32_t)((uint32_t){}{})", c.lane(lane), products.collect::<String>())
                }
            }
        };
        self.each(name, ty, &[], &sum)
    }

    /// Halves onto each other until one lane is left.
    fn fold(&mut self, ty: Ty, name: &str, monoid: Monoid, a: ValueId) -> Operand {
        let (op, mut lanes, mut folded) = (Binary::folds(monoid), self.ty(a).lanes, self.value(a));
        while lanes > 1 {
            lanes /= 2;
            let own = if lanes == 1 { name.to_string() } else { self.code.fresh("half") };
            let halves = |lane: &str| binary(op, ty.dtype, &folded.lane(lane), &folded.lane(&format!("{lane} + {lanes}")));
            folded = self.each(&own, Ty { lanes, ..ty }, &[], &halves);
        }
        folded
    }

    fn shuffle(&mut self, ty: Ty, name: &str, [a, b]: [ValueId; 2], lanes: &[u32]) -> Operand {
        let of_a = self.ty(a).lanes;
        let (a, b) = (self.value(a), self.value(b));
        let picked = |lane: &u32| if *lane < of_a { a.lane(&lane.to_string()) } else { b.lane(&(lane - of_a).to_string()) };
        let items: Vec<String> = lanes.iter().map(picked).collect();
        if let [one] = items.as_slice() {
            return self.scalar(name, ty, one);
        }
        self.code.line(&format!("const {} {name}[{}] = {{{}}};", lane_type(ty.dtype), ty.lanes, items.join(", ")));
        Operand::Lanes(name.to_string())
    }
}

fn unary(op: Unary, dtype: DType, a: &str) -> String {
    let (own, wide) = (lane_type(dtype), wrapping_type(dtype));
    let call = |name: &str| format!("inkle_{name}_{}({a})", dtype.name());
    match op {
        Unary::Neg if dtype.is_float() => format!("-{a}"),
        Unary::Neg => format!("({own})(0 - ({wide}){a})"),
        Unary::Abs => call("abs"),
        Unary::Sqrt => call("sqrt"),
        Unary::Floor => call("floor"),
        Unary::Ceil => call("ceil"),
        Unary::Round => call("round"),
        Unary::Trunc => call("trunc"),
        Unary::Flush => call("flush"),
        Unary::Not if dtype == DType::Bool => format!("!{a}"),
        Unary::Not => format!("({own})~({wide}){a}"),
    }
}

/// `a op b` of two operands.
fn binary(op: Binary, dtype: DType, a: &str, b: &str) -> String {
    let (own, wide) = (lane_type(dtype), wrapping_type(dtype));
    let plain = |sign: &str| match dtype.is_float() {
        true => format!("{a} {sign} {b}"),
        false => format!("({own})(({wide}){a} {sign} ({wide}){b})"),
    };
    let count = || format!("(({wide}){b} & {})", dtype.size() * 8 - 1);
    match op {
        Binary::Add => plain("+"),
        Binary::Sub => plain("-"),
        Binary::Mul => plain("*"),
        Binary::Div if dtype.is_float() => plain("/"),
        Binary::Div => format!("inkle_div_{}({a}, {b})", dtype.name()),
        Binary::Rem => format!("inkle_rem_{}({a}, {b})", dtype.name()),
        Binary::Max => format!("{a} > {b} ? {a} : {b}"),
        Binary::Min => format!("{a} < {b} ? {a} : {b}"),
        Binary::And => plain("&"),
        Binary::Or => plain("|"),
        Binary::Xor => plain("^"),
        Binary::Shl => format!("({own})(({wide}){a} << {})", count()),
        Binary::Shr => format!("({own})(({wide})({}){a} >> {})", unsigned_type(dtype), count()),
    }
}

fn comparison(op: Compare) -> &'static str {
    match op {
        Compare::Equal => "==",
        Compare::NotEqual => "!=",
        Compare::Less => "<",
        Compare::LessEqual => "<=",
        Compare::Greater => ">",
        Compare::GreaterEqual => ">=",
    }
}
