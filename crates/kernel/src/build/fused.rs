//! The fused multiply-add of machines that have none.

use super::KernelBuilder;
use crate::kernel::{Binary, Compare, Ty, ValueId};
use ir::DType;

/// `a*b + c` of f32 by way of f64, which holds the product: the sum is rounded there, and once more. What f32 holds comes out exact.
/// Of f64 as the sum of two floats ([`of_doubles`]).
pub fn mul_add(k: &mut KernelBuilder, operands: [ValueId; 3]) -> ValueId {
    let ty = k.ty(operands[0]);
    if ty.dtype == DType::F64 {
        return of_doubles(k, operands);
    }
    let [a, b, c] = operands.map(|x| k.convert(x, DType::F64));
    let product = k.binary(Binary::Mul, a, b);
    let sum = k.binary(Binary::Add, product, c);
    k.convert(sum, ty.dtype)
}

/// Dekker's product and Knuth's sum with their errors, which are added last. Where a part overflows, which factors above 2^995 make it do,
/// the plain sum stands.
fn of_doubles(k: &mut KernelBuilder, [a, b, c]: [ValueId; 3]) -> ValueId {
    let product = k.binary(Binary::Mul, a, b);
    let sum = k.binary(Binary::Add, product, c);
    let below_product = product_error(k, a, b, product);
    let below_sum = sum_error(k, product, c, sum);
    let below = k.binary(Binary::Add, below_product, below_sum);
    let corrected = k.binary(Binary::Add, sum, below);
    let number = k.compare(Compare::Equal, corrected, corrected);
    k.select(number, corrected, sum)
}

fn product_error(k: &mut KernelBuilder, a: ValueId, b: ValueId, product: ValueId) -> ValueId {
    let ([a_high, a_low], [b_high, b_low]) = (halves(k, a), halves(k, b));
    let mut error = k.binary(Binary::Mul, a_high, b_high);
    error = k.binary(Binary::Sub, error, product);
    for (x, y) in [(a_high, b_low), (a_low, b_high), (a_low, b_low)] {
        let part = k.binary(Binary::Mul, x, y);
        error = k.binary(Binary::Add, error, part);
    }
    error
}

/// A float as the sum of two with half as many bits.
fn halves(k: &mut KernelBuilder, x: ValueId) -> [ValueId; 2] {
    let ty: Ty = k.ty(x);
    let factor = k.float(134_217_729.0, ty);
    let scaled = k.binary(Binary::Mul, x, factor);
    let rest = k.binary(Binary::Sub, scaled, x);
    let high = k.binary(Binary::Sub, scaled, rest);
    [high, k.binary(Binary::Sub, x, high)]
}

fn sum_error(k: &mut KernelBuilder, a: ValueId, b: ValueId, sum: ValueId) -> ValueId {
    let own_b = k.binary(Binary::Sub, sum, a);
    let own_a = k.binary(Binary::Sub, sum, own_b);
    let (a_error, b_error) = (k.binary(Binary::Sub, a, own_a), k.binary(Binary::Sub, b, own_b));
    k.binary(Binary::Add, a_error, b_error)
}
