//! Short names for arithmetic on one float type.

use crate::build::KernelBuilder;
use crate::kernel::{Binary, Compare, Ty, Unary, ValueId};
use ir::DType;

/// Writes ops on f32 or f64 values of one type.
pub struct Float<'a> {
    pub b: &'a mut KernelBuilder,
    pub ty: Ty,
}

impl<'a> Float<'a> {
    /// For values of the type of `x`.
    pub fn of(b: &'a mut KernelBuilder, x: ValueId) -> Float<'a> {
        let ty = b.ty(x);
        Float { b, ty }
    }

    pub fn is_f64(&self) -> bool {
        self.ty.dtype == DType::F64
    }

    /// One of two, by the type.
    pub fn pick<T>(&self, f32: T, f64: T) -> T {
        if self.is_f64() { f64 } else { f32 }
    }

    /// The integers of the same width.
    pub fn int_ty(&self) -> Ty {
        Ty { dtype: self.pick(DType::I32, DType::I64), lanes: self.ty.lanes }
    }

    /// The bits of the mantissa that a float stores.
    pub fn mantissa_bits(&self) -> i64 {
        self.pick(23, 52)
    }

    pub fn exponent_bias(&self) -> i64 {
        self.pick(127, 1023)
    }

    pub fn c(&mut self, value: f64) -> ValueId {
        self.b.float(value, self.ty)
    }

    pub fn int(&mut self, value: i64) -> ValueId {
        let ty = self.int_ty();
        self.b.int(value, ty)
    }

    pub fn add(&mut self, x: ValueId, y: ValueId) -> ValueId {
        self.b.binary(Binary::Add, x, y)
    }

    pub fn sub(&mut self, x: ValueId, y: ValueId) -> ValueId {
        self.b.binary(Binary::Sub, x, y)
    }

    pub fn mul(&mut self, x: ValueId, y: ValueId) -> ValueId {
        self.b.binary(Binary::Mul, x, y)
    }

    pub fn div(&mut self, x: ValueId, y: ValueId) -> ValueId {
        self.b.binary(Binary::Div, x, y)
    }

    /// `x y + z`, rounded once or twice.
    pub fn mul_add(&mut self, x: ValueId, y: ValueId, z: ValueId) -> ValueId {
        self.b.mul_add(x, y, z)
    }

    /// `x y + z`, rounded once.
    pub fn fma(&mut self, x: ValueId, y: ValueId, z: ValueId) -> ValueId {
        self.b.fused_mul_add(x, y, z)
    }

    pub fn neg(&mut self, x: ValueId) -> ValueId {
        self.b.unary(Unary::Neg, x)
    }

    pub fn abs(&mut self, x: ValueId) -> ValueId {
        self.b.unary(Unary::Abs, x)
    }

    pub fn round(&mut self, x: ValueId) -> ValueId {
        self.b.unary(Unary::Round, x)
    }

    pub fn trunc(&mut self, x: ValueId) -> ValueId {
        self.b.unary(Unary::Trunc, x)
    }

    /// At most `high`; NaN stays.
    pub fn at_most(&mut self, high: f64, x: ValueId) -> ValueId {
        let high = self.c(high);
        self.b.binary(Binary::Min, high, x)
    }

    /// At least `low`; NaN stays.
    pub fn at_least(&mut self, low: f64, x: ValueId) -> ValueId {
        let low = self.c(low);
        self.b.binary(Binary::Max, low, x)
    }

    pub fn is(&mut self, op: Compare, x: ValueId, y: f64) -> ValueId {
        let y = self.c(y);
        self.b.compare(op, x, y)
    }

    pub fn select(&mut self, cond: ValueId, x: ValueId, y: ValueId) -> ValueId {
        self.b.select(cond, x, y)
    }

    /// `c[0] + c[1] x + c[2] x^2 + ..`, by Horner's rule.
    pub fn poly(&mut self, x: ValueId, coefficients: &[f64]) -> ValueId {
        let mut sum = self.c(coefficients[coefficients.len() - 1]);
        for coefficient in coefficients.iter().rev().skip(1) {
            let coefficient = self.c(*coefficient);
            sum = self.mul_add(sum, x, coefficient);
        }
        sum
    }

    pub fn bits_of(&mut self, x: ValueId) -> ValueId {
        let dtype = self.int_ty().dtype;
        self.b.bits(x, dtype)
    }

    pub fn float_of(&mut self, x: ValueId) -> ValueId {
        self.b.bits(x, self.ty.dtype)
    }

    /// The sign bit alone, as bits.
    pub fn sign_bit(&mut self, x: ValueId) -> ValueId {
        let (bits, sign) = (self.bits_of(x), self.int(self.pick(i32::MIN as i64, i64::MIN)));
        self.b.binary(Binary::And, bits, sign)
    }

    /// `x` with its sign turned where `sign` (bits) is set.
    pub fn flip(&mut self, x: ValueId, sign: ValueId) -> ValueId {
        let bits = self.bits_of(x);
        let bits = self.b.binary(Binary::Xor, bits, sign);
        self.float_of(bits)
    }
}
