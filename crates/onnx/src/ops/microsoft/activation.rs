//! Activations.

use crate::import::{Call, Outcome, one};
use ir::{Diagnostic, ValueId};
use nest::Func;

/// Operand 0, with operand 1 added along its last axis where it is there.
fn biased(call: &mut Call) -> Result<ValueId, Diagnostic> {
    let dims = call.dims(0)?;
    let (x, bias) = (call.value(0)?, call.optional_value(1)?);
    let Some(bias) = bias else { return Ok(x) };
    let b = call.b();
    let bias = b.broadcast(bias, &dims)?;
    b.map(Func::Add, &[x, bias])
}

pub fn gelu(call: &mut Call) -> Outcome {
    let x = biased(call)?;
    one(call.b().gelu(x)?)
}

/// The tanh form.
pub fn fast_gelu(call: &mut Call) -> Outcome {
    let x = biased(call)?;
    one(call.b().gelu_tanh(x)?)
}

/// `x sigmoid(alpha x)`
pub fn quick_gelu(call: &mut Call) -> Outcome {
    let alpha = call.float_or("alpha", 1.702)?;
    let (x, dtype) = (call.value(0)?, call.dtype(0)?);
    let b = call.b();
    let x = b.widened(x)?;
    let scaled = b.map_number(Func::Mul, x, alpha)?;
    let gate = b.map(Func::Sigmoid, &[scaled])?;
    let product = b.map(Func::Mul, &[x, gate])?;
    one(b.convert(product, dtype)?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, ops_of};

    #[test]
    fn forms_of_gelu() {
        let text = "x: f32[n, 2] b: f32[2] = 1 0 y = com.microsoft.BiasGelu(x, b) z = com.microsoft.FastGelu(x, b)
            w = com.microsoft.QuickGelu(x) v = com.microsoft.Gelu(x) => y, z, w, v";
        let want = ["0.8413 0.8413", "0.8412 0.8412", "0 0.8458", "0 0.8413"].map(|y| format!("f32[1, 2] {y}"));
        check(text, &["f32[1, 2] 0 1"], &want.each_ref().map(String::as_str));
        assert_eq!(ops_of("x: f32[2] y = com.microsoft.FastGelu(x) => y"), "gelu");
    }
}
