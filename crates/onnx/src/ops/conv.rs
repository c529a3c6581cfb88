//! Convolution.

use super::Entry;
use super::pad::pad_spatial;
use super::window::{Rounding, Window, spatial_dims};
use crate::import::{Call, Outcome, one};
use ir::{Code, Diagnostic, Literal, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("Conv", 1, conv)];

fn conv(call: &mut Call) -> Outcome {
    let groups = call.int_or("group", 1)?;
    let spatial = spatial_dims(call)?;
    let taps = taps(call, spatial.len())?;
    let window = Window::read(call, taps, &spatial, Rounding::Floor)?;
    let (mut x, w) = (call.value(0)?, call.value(1)?);
    let attrs = match window.constant() {
        Some(attrs) => attrs,
        None => {
            x = pad_spatial(call, x, Literal::Int(0), &window.low, &window.high)?;
            window.unpadded()
        }
    };
    let product = call.b().conv(x, w, &attrs, groups)?;
    match call.optional_value(2)? {
        Some(bias) => one(with_bias(call, product, bias, spatial.len())?),
        None => one(product),
    }
}

/// The taps of the weights, which `kernel_shape` may repeat.
fn taps(call: &Call, axes: usize) -> Result<Vec<i64>, Diagnostic> {
    let dims = call.dims(1)?;
    let declared = call.ints("kernel_shape")?;
    let taps: Option<Vec<i64>> = dims.iter().skip(2).map(Expr::as_const).collect();
    let Some(taps) = taps else { return Err(call.unsupported(format!("weights of unknown size {}", call.ty(1)?))) };
    if dims.len() != axes + 2 {
        return Err(call.error(Code::Shape, format!("weights {} do not fit {}", call.ty(1)?, call.ty(0)?)));
    }
    match declared {
        Some(declared) if declared != taps => {
            Err(call.attribute_error(format!("attribute `kernel_shape` is {declared:?}, and the weights are {}", call.ty(1)?)))
        }
        _ => Ok(taps),
    }
}

/// The bias is by channel, axis 1.
fn with_bias(call: &mut Call, product: ValueId, bias: ValueId, axes: usize) -> Result<ValueId, Diagnostic> {
    let behind: Vec<usize> = (1..=axes).collect();
    let dims = call.b().dims(product).to_vec();
    let bias = call.b().unsqueeze(bias, &behind)?;
    let bias = call.b().broadcast(bias, &dims)?;
    call.b().map(Func::Add, &[product, bias])
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_types};

    #[test]
    fn padding_strides_and_bias() {
        let w = "w: f32[1, 1, 3] = 1 1 1 b: f32[1] = 10";
        check(
            &format!("x: f32[1, 1, 4] {w} y = Conv {{pads = [1, 1], strides = [2]}} (x, w, b) => y"),
            &["f32[1, 1, 4] 1 2 3 4"],
            &["f32[1, 1, 2] 13 19"],
        );
        check(
            &format!("x: f32[1, 1, 4] {w} y = Conv {{auto_pad = \"SAME_UPPER\", strides = [3]}} (x, w) => y"),
            &["f32[1, 1, 4] 1 2 3 4"],
            &["f32[1, 1, 2] 3 7"],
        );
    }

    #[test]
    fn sizes_may_be_unknown() {
        let w = "w: f32[2, 3, 3, 3] = 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0";
        check_types(
            &format!("x: f32[n, 3, h, 8] {w} y = Conv {{pads = [1, 1, 1, 1], strides = [2, 2]}} (x, w) => y"),
            &["f32[n, 2, (h + 1)/(2), 4]"],
        );
        check_types(&format!("x: f32[n, 3, h, 8] {w} y = Conv {{auto_pad = \"SAME_LOWER\"}} (x, w) => y"), &["f32[n, 2, h, 8]"]);
    }
}
