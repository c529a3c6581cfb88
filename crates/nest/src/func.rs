//! The table of scalar functions: the only arithmetic that bodies of nests know.

use half::{bf16, f16};
use ir::{DType, Literal};
use std::collections::HashMap;
use std::sync::LazyLock;

/// A scalar function. Operands and result have one type, unless the line says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Func {
    Neg,
    Abs,
    Sign,
    Exp,
    Log,
    Sqrt,
    Rsqrt,
    Reciprocal,
    Erf,
    Tanh,
    Sigmoid,
    Sin,
    Cos,
    Atan,
    Floor,
    Ceil,
    /// Half to even.
    Round,
    Trunc,
    /// Subnormal numbers become zero of their sign; of f32 and f64.
    Flush,
    /// Float to bool.
    IsNan,
    /// Float to bool.
    IsInf,
    /// Logical for bool, bitwise for integers.
    Not,
    Add,
    Sub,
    Mul,
    /// Integers truncate toward zero; a division by zero gives 0, the lowest number by -1 wraps.
    Div,
    /// Remainder with the sign of the dividend; of integers by zero 0.
    Rem,
    Pow,
    /// NaN where an operand is NaN.
    Max,
    /// NaN where an operand is NaN.
    Min,
    And,
    Or,
    Xor,
    /// Two of one type to bool.
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// `select(bool, a, b)`.
    Select,
    /// `a*b + c`, rounded once in compute types that have it.
    MulAdd,
}

use Func::*;

impl Func {
    pub const ALL: [Func; 41] = [
        Neg,
        Abs,
        Sign,
        Exp,
        Log,
        Sqrt,
        Rsqrt,
        Reciprocal,
        Erf,
        Tanh,
        Sigmoid,
        Sin,
        Cos,
        Atan,
        Floor,
        Ceil,
        Round,
        Trunc,
        Flush,
        IsNan,
        IsInf,
        Not,
        Add,
        Sub,
        Mul,
        Div,
        Rem,
        Pow,
        Max,
        Min,
        And,
        Or,
        Xor,
        Equal,
        NotEqual,
        Less,
        LessEqual,
        Greater,
        GreaterEqual,
        Select,
        MulAdd,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Neg => "neg",
            Abs => "abs",
            Sign => "sign",
            Exp => "exp",
            Log => "log",
            Sqrt => "sqrt",
            Rsqrt => "rsqrt",
            Reciprocal => "reciprocal",
            Erf => "erf",
            Tanh => "tanh",
            Sigmoid => "sigmoid",
            Sin => "sin",
            Cos => "cos",
            Atan => "atan",
            Floor => "floor",
            Ceil => "ceil",
            Round => "round",
            Trunc => "trunc",
            Flush => "flush",
            IsNan => "is_nan",
            IsInf => "is_inf",
            Not => "not",
            Add => "add",
            Sub => "sub",
            Mul => "mul",
            Div => "div",
            Rem => "rem",
            Pow => "pow",
            Max => "max",
            Min => "min",
            And => "and",
            Or => "or",
            Xor => "xor",
            Equal => "eq",
            NotEqual => "ne",
            Less => "lt",
            LessEqual => "le",
            Greater => "gt",
            GreaterEqual => "ge",
            Select => "select",
            MulAdd => "mul_add",
        }
    }

    pub fn from_name(name: &str) -> Option<Func> {
        static BY_NAME: LazyLock<HashMap<&str, Func>> = LazyLock::new(|| Func::ALL.into_iter().map(|f| (f.name(), f)).collect());
        BY_NAME.get(name).copied()
    }

    pub fn arity(self) -> usize {
        match self {
            Neg | Abs | Sign | Exp | Log | Sqrt | Rsqrt | Reciprocal | Erf | Tanh | Sigmoid | Sin | Cos | Atan | Floor | Ceil | Round
            | Trunc | Flush | IsNan | IsInf | Not => 1,
            Add | Sub | Mul | Div | Rem | Pow | Max | Min | And | Or | Xor | Equal | NotEqual | Less | LessEqual | Greater
            | GreaterEqual => 2,
            Select | MulAdd => 3,
        }
    }

    /// Whether the function adds no rounding of its own on a type.
    pub fn is_exact(self, dtype: DType) -> bool {
        match self {
            Neg | Abs | Sign | Floor | Ceil | Round | Trunc | Flush => true,
            IsNan | IsInf | Not | Max | Min | And | Or | Xor => true,
            Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual | Select => true,
            Exp | Log | Sqrt | Rsqrt | Reciprocal | Erf | Tanh | Sigmoid => false,
            Sin | Cos | Atan => false,
            Add | Sub | Mul | Div | Rem | Pow | MulAdd => !dtype.is_float(),
        }
    }

    pub fn is_comparison(self) -> bool {
        matches!(self, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
    }

    /// Whether the function is defined only on float types.
    pub fn float_only(self) -> bool {
        matches!(
            self,
            Exp | Log
                | Sqrt
                | Rsqrt
                | Reciprocal
                | Erf
                | Tanh
                | Sigmoid
                | Sin
                | Cos
                | Atan
                | Floor
                | Ceil
                | Round
                | Trunc
                | Flush
                | IsNan
                | IsInf
                | MulAdd
        )
    }

    /// The result's type for operand types; Err says what is wrong.
    pub fn result(self, operands: &[DType]) -> Result<DType, String> {
        if operands.len() != self.arity() {
            return Err(format!("{} takes {} operands, got {}", self.name(), self.arity(), operands.len()));
        }
        let data = if self == Select { &operands[1..] } else { operands };
        if data.iter().any(|d| *d != data[0]) {
            return Err(format!("{}: operand types differ: {} vs {}", self.name(), data[0], data[data.len() - 1]));
        }
        let dtype = data[0];
        let fits = match self {
            Select => operands[0] == DType::Bool,
            And | Or | Xor | Not => !dtype.is_float(),
            Equal | NotEqual => true,
            Flush => matches!(dtype, DType::F32 | DType::F64),
            Max | Min | Less | LessEqual | Greater | GreaterEqual => true,
            f if f.float_only() => dtype.is_float(),
            _ => dtype != DType::Bool,
        };
        if !fits {
            return Err(format!("{} is not defined on {}", self.name(), operands[0]));
        }
        Ok(if self.is_comparison() || matches!(self, IsNan | IsInf) { DType::Bool } else { dtype })
    }

    /// The largest error in units of the last place that the generated f32 code may have; 0.5 is correct rounding.
    pub fn ulp(self) -> f64 {
        match self {
            Exp | Log | Erf | Atan => 2.0,
            Tanh | Sigmoid | Sin | Cos => 4.0,
            Rsqrt | Rem => 2.0,
            Pow => 16.0,
            _ => 0.5,
        }
    }

    /// The meaning, in f64 or exact integers. `dtype` is the type of the data operands; integer results wrap to it.
    pub fn eval(self, dtype: DType, x: &[Literal]) -> Literal {
        if dtype.is_float() { self.eval_float(dtype, x) } else { self.eval_int(dtype, x) }
    }

    fn eval_float(self, dtype: DType, x: &[Literal]) -> Literal {
        let f = |i: usize| x[i].as_f64();
        let bool = |b: bool| Literal::Int(b as i64);
        let ordered = |pick: fn(f64, f64) -> f64| if f(0).is_nan() || f(1).is_nan() { f64::NAN } else { pick(f(0), f(1)) };
        Literal::Float(match self {
            Neg => -f(0),
            Abs => f(0).abs(),
            Sign => {
                if f(0) > 0.0 {
                    1.0
                } else if f(0) < 0.0 {
                    -1.0
                } else {
                    f(0) * 0.0
                }
            }
            Exp => f(0).exp(),
            Log => f(0).ln(),
            Sqrt => f(0).sqrt(),
            Rsqrt => 1.0 / f(0).sqrt(),
            Reciprocal => 1.0 / f(0),
            Erf => libm::erf(f(0)),
            Tanh => f(0).tanh(),
            Sigmoid => 1.0 / (1.0 + (-f(0)).exp()),
            Sin => f(0).sin(),
            Cos => f(0).cos(),
            Atan => f(0).atan(),
            Floor => f(0).floor(),
            Ceil => f(0).ceil(),
            Round => f(0).round_ties_even(),
            Trunc => f(0).trunc(),
            Flush if f(0).abs() < dtype.least_normal() => 0.0f64.copysign(f(0)),
            Flush => f(0),
            Add => f(0) + f(1),
            Sub => f(0) - f(1),
            Mul => f(0) * f(1),
            Div => f(0) / f(1),
            Rem => f(0) % f(1),
            Pow => f(0).powf(f(1)),
            Max => ordered(f64::max),
            Min => ordered(f64::min),
            MulAdd => f(0).mul_add(f(1), f(2)),
            Select => return if x[0].as_i64() != 0 { x[1] } else { x[2] },
            IsNan => return bool(f(0).is_nan()),
            IsInf => return bool(f(0).is_infinite()),
            Equal => return bool(f(0) == f(1)),
            NotEqual => return bool(f(0) != f(1)),
            Less => return bool(f(0) < f(1)),
            LessEqual => return bool(f(0) <= f(1)),
            Greater => return bool(f(0) > f(1)),
            GreaterEqual => return bool(f(0) >= f(1)),
            Not | And | Or | Xor => f64::NAN,
        })
    }

    fn eval_int(self, dtype: DType, x: &[Literal]) -> Literal {
        let i = |k: usize| x[k].as_i64();
        let unsigned = dtype == DType::U64;
        let order = || if unsigned { (i(0) as u64).cmp(&(i(1) as u64)) } else { i(0).cmp(&i(1)) };
        let value = match self {
            Neg => i(0).wrapping_neg(),
            Abs => {
                if dtype.is_unsigned_int() {
                    i(0)
                } else {
                    i(0).wrapping_abs()
                }
            }
            Sign => {
                if dtype.is_unsigned_int() {
                    (i(0) != 0) as i64
                } else {
                    i(0).signum()
                }
            }
            Not => {
                if dtype == DType::Bool {
                    (i(0) == 0) as i64
                } else {
                    !i(0)
                }
            }
            Add => i(0).wrapping_add(i(1)),
            Sub => i(0).wrapping_sub(i(1)),
            Mul => i(0).wrapping_mul(i(1)),
            Div if i(1) == 0 => 0,
            Div if unsigned => ((i(0) as u64) / (i(1) as u64)) as i64,
            Div => i(0).wrapping_div(i(1)),
            Rem if i(1) == 0 => 0,
            Rem if unsigned => ((i(0) as u64) % (i(1) as u64)) as i64,
            Rem => i(0).wrapping_rem(i(1)),
            Pow => int_pow(i(0), i(1)),
            Max => {
                if order().is_ge() {
                    i(0)
                } else {
                    i(1)
                }
            }
            Min => {
                if order().is_le() {
                    i(0)
                } else {
                    i(1)
                }
            }
            And => i(0) & i(1),
            Or => i(0) | i(1),
            Xor => i(0) ^ i(1),
            Equal => order().is_eq() as i64,
            NotEqual => order().is_ne() as i64,
            Less => order().is_lt() as i64,
            LessEqual => order().is_le() as i64,
            Greater => order().is_gt() as i64,
            GreaterEqual => order().is_ge() as i64,
            Select => {
                if i(0) != 0 {
                    i(1)
                } else {
                    i(2)
                }
            }
            Exp | Log | Sqrt | Rsqrt | Reciprocal | Erf | Tanh | Sigmoid | Sin | Cos | Atan | Floor | Ceil | Round | Trunc | Flush
            | IsNan | IsInf | MulAdd => 0,
        };
        Literal::Int(wrap(value, dtype))
    }
}

/// `base^exponent`, wrapping; a negative exponent gives 0 except for the bases 1 and -1.
fn int_pow(base: i64, exponent: i64) -> i64 {
    match (base, exponent) {
        (1, _) => 1,
        (-1, e) => {
            if e % 2 == 0 {
                1
            } else {
                -1
            }
        }
        (_, e) if e < 0 => 0,
        (_, e) => (0..64 - (e as u64).leading_zeros()).rev().fold(1i64, |power, bit| {
            let square = power.wrapping_mul(power);
            if e >> bit & 1 == 1 { square.wrapping_mul(base) } else { square }
        }),
    }
}

/// Cuts an integer to its type's width.
pub fn wrap(value: i64, dtype: DType) -> i64 {
    match dtype {
        DType::Bool => (value != 0) as i64,
        DType::I8 => value as i8 as i64,
        DType::I16 => value as i16 as i64,
        DType::I32 => value as i32 as i64,
        DType::U8 => value as u8 as i64,
        DType::U16 => value as u16 as i64,
        DType::U32 => value as u32 as i64,
        _ => value,
    }
}

/// The meaning of `Convert`.
pub fn convert(value: Literal, from: DType, to: DType) -> Literal {
    match (from.is_float(), to) {
        (_, DType::Bool) => Literal::Int(match value {
            Literal::Float(v) => (v != 0.0) as i64,
            Literal::Int(v) => (v != 0) as i64,
        }),
        (true, to) if to.is_float() => value,
        (true, DType::U64) => Literal::Int(value.as_f64() as u64 as i64),
        (true, to) => {
            let (low, high) = to.int_range().unwrap_or((0, 0));
            Literal::Int((value.as_f64() as i64).clamp(low, high))
        }
        (false, to) if to.is_float() => {
            Literal::Float(if from == DType::U64 { value.as_i64() as u64 as f64 } else { value.as_i64() as f64 })
        }
        (false, to) => Literal::Int(wrap(value.as_i64(), to)),
    }
}

/// The meaning of `Bits`: a float is rounded to its type first.
pub fn bits(value: Literal, from: DType, to: DType) -> Literal {
    let stored = match (value, from) {
        (Literal::Float(value), DType::F16) => f16::from_f64(value).to_bits() as i64,
        (Literal::Float(value), DType::BF16) => bf16::from_f64(value).to_bits() as i64,
        (Literal::Float(value), DType::F32) => (value as f32).to_bits() as i64,
        (Literal::Float(value), _) => value.to_bits() as i64,
        (Literal::Int(value), _) => value,
    };
    match to {
        DType::F16 => Literal::Float(f16::from_bits(stored as u16).to_f64()),
        DType::BF16 => Literal::Float(bf16::from_bits(stored as u16).to_f64()),
        DType::F32 => Literal::Float(f32::from_bits(stored as u32).into()),
        DType::F64 => Literal::Float(f64::from_bits(stored as u64)),
        to => Literal::Int(wrap(stored, to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_every_float() {
        let code = |x: f64, from, to| bits(Literal::Float(x), from, to).as_i64();
        assert_eq!(code(-1.0, DType::F32, DType::I32), 0xbf80_0000u32 as i32 as i64);
        assert_eq!(code(-1.0, DType::F32, DType::U32), 0xbf80_0000);
        assert_eq!(code(1.0, DType::F16, DType::I16), 0x3c00);
        assert_eq!(code(-1.0, DType::BF16, DType::I16), 0xbf80u16 as i16 as i64);
        assert_eq!(code(-0.0, DType::F64, DType::I64), i64::MIN);
        assert_eq!(bits(Literal::Int(0x3c00), DType::U16, DType::F16), Literal::Float(1.0));
        assert_eq!(bits(Literal::Float(1.0), DType::F16, DType::BF16), Literal::Float(bf16::from_bits(0x3c00).to_f64()));
    }

    #[test]
    fn integers_wrap_and_never_trap() {
        let int = |f: Func, d, a, b| f.eval(d, &[Literal::Int(a), Literal::Int(b)]).as_i64();
        assert_eq!(int(Func::Add, DType::I8, 127, 1), -128);
        assert_eq!(int(Func::Div, DType::I64, i64::MIN, -1), i64::MIN);
        assert_eq!(int(Func::Div, DType::I32, 5, 0), 0);
        assert_eq!(int(Func::Pow, DType::I64, 3, 13), 1594323);
    }
}
