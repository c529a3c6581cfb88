//! Activation functions that bend a line: exponential, shrunk and gated units.

use super::Entry;
use super::elementwise::of_floats;
use crate::import::{Call, Outcome, one};
use ::ops::Builder;
use ir::{DType, Diagnostic, ValueId};
use nest::Func;

pub const OPS: &[Entry] = &[
    Entry("Elu", 6, elu),
    Entry("Selu", 6, selu),
    Entry("Celu", 12, celu),
    Entry("ThresholdedRelu", 10, thresholded),
    Entry("Shrink", 9, shrink),
    Entry("Softplus", 1, |call| of_floats(call, softplus)),
    Entry("Softsign", 1, |call| of_floats(call, softsign)),
    Entry("Mish", 18, |call| of_floats(call, mish)),
    Entry("Swish", 24, swish),
    Entry("SwiGLU", 28, gated_swish),
];

type Result<T> = std::result::Result<T, Diagnostic>;

/// `e^x - 1` as `(e^x + 1) tanh(x/2)`, where nothing cancels.
fn exp_minus_one(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let exp = b.map(Func::Exp, &[x])?;
    let sum = b.map_number(Func::Add, exp, 1.0)?;
    let half = b.map_number(Func::Mul, x, 0.5)?;
    let tanh = b.map(Func::Tanh, &[half])?;
    b.map(Func::Mul, &[sum, tanh])
}

/// `log(1 + x)` as `log(u) x / (u - 1)` with `u` the rounded `1 + x`: what the rounding did to the logarithm it does to `u - 1` too.
pub(super) fn log_one_plus(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let sum = b.map_number(Func::Add, x, 1.0)?;
    let log = b.map(Func::Log, &[sum])?;
    let added = b.map_number(Func::Sub, sum, 1.0)?;
    let ratio = b.map(Func::Div, &[x, added])?;
    let corrected = b.map(Func::Mul, &[log, ratio])?;
    // also where both are infinite
    let nothing_lost = b.map(Func::Equal, &[x, added])?;
    let value = b.map(Func::Select, &[nothing_lost, log, corrected])?;
    let all_lost = b.map_number(Func::Equal, sum, 1.0)?;
    b.map(Func::Select, &[all_lost, x, value])
}

/// `bent` where x is negative, else `straight`.
fn bent_below_zero(b: &mut Builder, x: ValueId, bent: ValueId, straight: ValueId) -> Result<ValueId> {
    let negative = b.map_number(Func::Less, x, 0.0)?;
    b.map(Func::Select, &[negative, bent, straight])
}

/// `alpha (e^x - 1)` below 0.
fn elu(call: &mut Call) -> Outcome {
    let alpha = call.float_or("alpha", 1.0)?;
    of_floats(call, |b, x| {
        let bent = exp_minus_one(b, x)?;
        let bent = b.map_number(Func::Mul, bent, alpha)?;
        bent_below_zero(b, x, bent, x)
    })
}

/// `gamma alpha (e^x - 1)` below 0, `gamma x` above.
fn selu(call: &mut Call) -> Outcome {
    let alpha = call.float_or("alpha", 1.673_263_2)?;
    let gamma = call.float_or("gamma", 1.050_701)?;
    of_floats(call, |b, x| {
        let bent = exp_minus_one(b, x)?;
        let bent = b.map_number(Func::Mul, bent, alpha)?;
        let line = bent_below_zero(b, x, bent, x)?;
        b.map_number(Func::Mul, line, gamma)
    })
}

/// `max(0, x) + min(0, alpha (e^(x/alpha) - 1))`
fn celu(call: &mut Call) -> Outcome {
    let alpha = call.float_or("alpha", 1.0)?;
    of_floats(call, |b, x| {
        let scaled = b.map_number(Func::Div, x, alpha)?;
        let bent = exp_minus_one(b, scaled)?;
        let bent = b.map_number(Func::Mul, bent, alpha)?;
        let below = b.map_number(Func::Min, bent, 0.0)?;
        let above = b.map_number(Func::Max, x, 0.0)?;
        b.map(Func::Add, &[above, below])
    })
}

/// x where it is above `alpha`, else 0.
fn thresholded(call: &mut Call) -> Outcome {
    let alpha = call.float_or("alpha", 1.0)?;
    let (x, dtype) = (call.value(0)?, call.dtype(0)?);
    let b = call.b();
    let zero = b.number(dtype, 0.0);
    let above = b.map_number(Func::Greater, x, alpha)?;
    one(b.map_broadcast(Func::Select, &[above, x, zero])?)
}

/// Moved by `bias` toward 0 where it is farther than `lambd` from it, else 0. Integers are moved as floats.
fn shrink(call: &mut Call) -> Outcome {
    let (bias, limit) = (call.float_or("bias", 0.0)?, call.float_or("lambd", 0.5)?);
    let (x, dtype) = (call.value(0)?, call.dtype(0)?);
    let b = call.b();
    let x = b.convert(x, if dtype.is_float() { dtype } else { DType::F64 })?;
    let zero = b.number(b.dtype(x), 0.0);
    let (below, above) = (b.map_number(Func::Less, x, -limit)?, b.map_number(Func::Greater, x, limit)?);
    let (raised, lowered) = (b.map_number(Func::Add, x, bias)?, b.map_number(Func::Sub, x, bias)?);
    let rest = b.map_broadcast(Func::Select, &[above, lowered, zero])?;
    let moved = b.map(Func::Select, &[below, raised, rest])?;
    one(b.convert(moved, dtype)?)
}

/// `log(1 + e^x)` as `max(x, 0) + log(1 + e^-|x|)`, which does not overflow.
fn softplus(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let size = b.map(Func::Abs, &[x])?;
    let size = b.map(Func::Neg, &[size])?;
    let small = b.map(Func::Exp, &[size])?;
    let bend = log_one_plus(b, small)?;
    let line = b.map_number(Func::Max, x, 0.0)?;
    b.map(Func::Add, &[line, bend])
}

/// `x / (1 + |x|)`
fn softsign(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let size = b.map(Func::Abs, &[x])?;
    let below = b.map_number(Func::Add, size, 1.0)?;
    b.map(Func::Div, &[x, below])
}

/// `x tanh(log(1 + e^x)) = x p / (p + 2)` with `p = e^x (e^x + 2)`. From 20 on the factor is 1 in all types.
fn mish(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let bounded = b.map_number(Func::Min, x, 20.0)?;
    let exp = b.map(Func::Exp, &[bounded])?;
    let more = b.map_number(Func::Add, exp, 2.0)?;
    let p = b.map(Func::Mul, &[exp, more])?;
    let below = b.map_number(Func::Add, p, 2.0)?;
    let factor = b.map(Func::Div, &[p, below])?;
    b.map(Func::Mul, &[x, factor])
}

/// `x sigmoid(alpha x)`
fn gate(b: &mut Builder, x: ValueId, alpha: f64) -> Result<ValueId> {
    let scaled = if alpha == 1.0 { x } else { b.map_number(Func::Mul, x, alpha)? };
    let sigmoid = b.map(Func::Sigmoid, &[scaled])?;
    b.map(Func::Mul, &[x, sigmoid])
}

fn swish(call: &mut Call) -> Outcome {
    let alpha = call.float_or("alpha", 1.0)?;
    of_floats(call, |b, x| gate(b, x, alpha))
}

/// The swish of the first operand times the second.
fn gated_swish(call: &mut Call) -> Outcome {
    let alpha = call.float_or("alpha", 1.0)?;
    let linear = call.value(1)?;
    of_floats(call, |b, x| {
        let linear = b.widened(linear)?;
        let gate = gate(b, x, alpha)?;
        b.map(Func::Mul, &[gate, linear])
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn exponential_units() {
        check("x: f32[3] y = Elu {alpha = 2.0} (x) => y", &["f32[3] -1 0 3"], &["f32[3] -1.2642 0 3"]);
        check("x: f16[3] y = Elu(x) => y", &["f16[3] -inf nan 3"], &["f16[3] -1 NaN 3"]);
        check("x: f32[3] y = Selu(x) => y", &["f32[3] -1 0 2"], &["f32[3] -1.1113 0 2.1014"]);
        check("x: f32[3] y = Celu {alpha = 2.0} (x) => y", &["f32[3] -2 0 900"], &["f32[3] -1.2642 0 900"]);
        check(
            "x: f64[2] y = Elu(x) s: f64[] = 10000000000 z = Mul(y, s) => z",
            &["f64[2] -0.00000000001 -0.00000000000001"],
            &["f64[2] -0.1 -0.0001"],
        );
        check_problems("x: i32[2] y = Elu(x) => y", &["[E004] Elu#0: Elu is not defined on i32"]);
    }

    #[test]
    fn thresholds() {
        check("x: f32[3] y = ThresholdedRelu {alpha = 2.0} (x) => y", &["f32[3] -1 2 2.5"], &["f32[3] 0 0 2.5"]);
        check("x: f32[4] y = Shrink {bias = 0.5} (x) => y", &["f32[4] -2 0.5 0.75 nan"], &["f32[4] -1.5 0 0.25 0"]);
        check("x: i32[3] y = Shrink {bias = 0.5, lambd = 1.5} (x) => y", &["i32[3] -2 1 3"], &["i32[3] -1 0 2"]);
    }

    #[test]
    fn soft_functions() {
        check("x: f32[4] y = Softplus(x) => y", &["f32[4] 0 1000 -1000 inf"], &["f32[4] 0.6931 1000 0 inf"]);
        check("x: f64[1] y = Softplus(x) s: f64[] = 10000000000000000 z = Mul(y, s) => z", &["f64[1] -37"], &["f64[1] 0.8533"]);
        check("x: f32[2] y = Softsign(x) => y", &["f32[2] -3 1"], &["f32[2] -0.75 0.5"]);
        check("x: f32[4] y = Mish(x) => y", &["f32[4] 1 -1 500 -500"], &["f32[4] 0.8651 -0.3034 500 0"]);
    }

    #[test]
    fn gates() {
        check("x: f32[2] y = Swish {alpha = 2.0} (x) => y", &["f32[2] 1 -1"], &["f32[2] 0.8808 -0.1192"]);
        check("x: f32[2] b: f32[2] y = SwiGLU(x, b) => y", &["f32[2] 1 -1", "f32[2] 2 3"], &["f32[2] 1.4621 -0.8068"]);
    }
}
