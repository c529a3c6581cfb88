//! Products and convolutions with what follows them.

use crate::import::{Call, Outcome, one};
use crate::ops::{conv as convolution, matmul as product};
use ir::{Code, Diagnostic, ValueId};
use nest::Func;

/// `alpha A' B'`, where matrices may be transposed.
pub fn matmul(call: &mut Call) -> Outcome {
    let alpha = call.float_or("alpha", 1.0)?;
    let transposed = [call.flag_or("transA", false)?, call.flag_or("transB", false)?];
    if call.flag_or("transBatchA", false)? || call.flag_or("transBatchB", false)? {
        return Err(call.unsupported("a batch axis among those of the matrices").into());
    }
    product::check_types(call)?;
    let mut operands = [call.value(0)?, call.value(1)?];
    for (at, operand) in operands.iter_mut().enumerate() {
        let b = call.b();
        let rank = b.dims(*operand).len();
        if rank == 0 {
            return Err(call.error(Code::Shape, format!("operand {at} of FusedMatMul is a scalar")).into());
        }
        if transposed[at] && rank >= 2 {
            let mut perm: Vec<usize> = (0..rank).collect();
            perm.swap(rank - 2, rank - 1);
            *operand = b.transpose(*operand, &perm)?;
        }
    }
    let (spec, operands) = product::product_spec(call, operands)?;
    let product = call.b().contract(&spec, operands[0], operands[1])?;
    one(if alpha == 1.0 { product } else { call.b().map_number(Func::Mul, product, alpha)? })
}

/// A convolution, operand 3 added to it, and an activation.
pub fn conv(call: &mut Call) -> Outcome {
    let name = call.text("activation")?.unwrap_or("");
    let parameters = call.floats("activation_params")?.unwrap_or(&[]).to_vec();
    let mut result = convolution::biased_conv(call)?;
    if let Some(added) = call.optional_value(3)? {
        let b = call.b();
        let dims = b.dims(result).to_vec();
        let added = b.broadcast(added, &dims)?;
        result = b.map(Func::Add, &[result, added])?;
    }
    one(activated(call, result, name, &parameters)?)
}

fn activated(call: &mut Call, x: ValueId, name: &str, parameters: &[f32]) -> Result<ValueId, Diagnostic> {
    let parameters: Vec<f64> = parameters.iter().map(|parameter| *parameter as f64).collect();
    let b = call.b();
    match (name, parameters.as_slice()) {
        ("", _) => Ok(x),
        ("Relu", _) => b.map_number(Func::Max, x, 0.0),
        ("Tanh", _) => b.map(Func::Tanh, &[x]),
        ("Sigmoid", _) => b.map(Func::Sigmoid, &[x]),
        ("LeakyRelu", [alpha]) => {
            let zero = b.number(b.dtype(x), 0.0);
            let scaled = b.map_number(Func::Mul, x, *alpha)?;
            let negative = b.map_broadcast(Func::Less, &[x, zero])?;
            b.map(Func::Select, &[negative, scaled, x])
        }
        ("Clip", [low, high]) => {
            let dtype = b.dtype(x);
            let [low, high] = [*low, *high].map(|bound| b.number(dtype, bound));
            b.clamp(x, low, high)
        }
        ("HardSigmoid", [alpha, beta]) => b.hard_sigmoid(x, *alpha, *beta),
        _ => Err(call.unsupported(format!("the activation `{name}` with {} parameters", parameters.len()))),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn products_are_scaled_and_transposed() {
        let text = "a: f32[n, 2, 1] w: f32[1, 2] = 1 10 y = com.microsoft.FusedMatMul {transA = 1, transB = 1, alpha = 2.0} (a, w) => y";
        check(text, &["f32[1, 2, 1] 1 2"], &["f32[1, 1, 1] 42"]);
    }

    #[test]
    fn convolutions_with_what_follows() {
        let text = |attributes: &str| {
            format!(
                "x: f32[1, 1, n] z: f32[1, 1, n] w: f32[1, 1, 1] = 2 c: f32[1] = 1
                y = com.microsoft.FusedConv {{{attributes}}} (x, w, c, z) => y"
            )
        };
        let operands = ["f32[1, 1, 2] 1 2", "f32[1, 1, 2] 0 -10"];
        check(&text("activation = \"Relu\""), &operands, &["f32[1, 1, 2] 3 0"]);
        check(&text("activation = \"LeakyRelu\", activation_params = [0.5]"), &operands, &["f32[1, 1, 2] 3 -2.5"]);
        check(&text("activation = \"Clip\", activation_params = [0.0, 2.0]"), &operands, &["f32[1, 1, 2] 2 0"]);
        check_problems(&text("activation = \"Swish\""), &["[E006] FusedConv#0: FusedConv: the activation `Swish` with 0 parameters"]);
    }
}
