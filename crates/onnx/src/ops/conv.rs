//! Convolution.

use super::Entry;
use super::window::{Rounding, Window, read_ints, spatial_dims};
use crate::import::{Call, Outcome, one, sizes};
use ::ops::WindowAttrs;
use ::ops::composites::conv_transpose::Transposed;
use ir::{Code, Diagnostic, Literal, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] =
    &[Entry("Conv", 1, conv), Entry("ConvTranspose", 1, conv_transpose), Entry("CausalConvWithState", 27, causal_conv)];

fn conv(call: &mut Call) -> Outcome {
    one(biased_conv(call)?)
}

/// The convolution of operands 0 and 1, with the bias, operand 2.
pub(super) fn biased_conv(call: &mut Call) -> Result<ValueId, Diagnostic> {
    let groups = call.int_or("group", 1)?;
    let spatial = spatial_dims(call)?;
    let taps = taps(call, 1, spatial.len())?;
    let window = Window::read(call, taps, &spatial, Rounding::Floor)?;
    let (x, w) = (call.value(0)?, call.value(1)?);
    let (x, attrs) = match window.constant() {
        Some(attrs) => (x, attrs),
        None => unpadded(call, x, None, &window)?,
    };
    let product = call.b().conv(x, w, &attrs, groups)?;
    match call.optional_value(2)? {
        Some(bias) => with_bias(call, product, bias, spatial.len()),
        None => Ok(product),
    }
}

/// Each channel by itself over the elements up to its own, those of earlier calls, the state, in front; the last ones are the next state.
fn causal_conv(call: &mut Call) -> Outcome {
    let swish = match call.text("activation")?.unwrap_or("none") {
        "none" => false,
        "silu" | "swish" => true,
        other => return Err(call.attribute_error(format!("attribute `activation` is `{other}`, not `none`, `silu` or `swish`")).into()),
    };
    let (dims, dtype) = (call.dims(0)?, call.dtype(0)?);
    let [_, channels, length] = dims.as_slice() else {
        return Err(call.error(Code::Shape, format!("{} is not of rank 3", call.ty(0)?)).into());
    };
    let Some(groups) = channels.as_const() else {
        return Err(call.unsupported(format!("{channels} channels, a number that is not known")).into());
    };
    let Some(held) = taps(call, 1, 1)?.first().map(|taps| taps - 1).filter(|held| *held >= 0) else {
        return Err(call.error(Code::Shape, format!("weights {} without elements", call.ty(1)?)).into());
    };
    let (x, w, bias, state) = (call.value(0)?, call.value(1)?, call.optional_value(2)?, call.optional_value(3)?);
    let [none, before] = [Expr::zero(), Expr::from(held)];
    if state.is_some() {
        call.equal_dims("dims of the state", &[dims[0].clone(), channels.clone(), before.clone()], &call.dims(3)?)?;
    }
    let b = call.b();
    let all = match state {
        Some(state) => b.concat(&[state, x], 2)?,
        None => {
            let zero = b.number(dtype, 0.0);
            b.pad(x, zero, &[none.clone(), none.clone(), before.clone()], &[none.clone(), none.clone(), none])?
        }
    };
    let next = b.slice_axis(all, 2, length, &before)?;
    let window = WindowAttrs { low: vec![if state.is_some() { 0 } else { held }], ..WindowAttrs::plain(1) };
    let [taken, w] = [b.widened(if state.is_some() { all } else { x })?, b.widened(w)?];
    let mut result = b.conv(taken, w, &window, groups)?;
    if let Some(bias) = bias {
        let bias = b.widened(bias)?;
        result = with_bias(call, result, bias, 1)?;
    }
    let b = call.b();
    if swish {
        let gate = b.map(Func::Sigmoid, &[result])?;
        result = b.map(Func::Mul, &[result, gate])?;
    }
    let result = b.convert(result, dtype)?;
    let result = b.reshape(result, &dims)?;
    Ok(vec![result.into(), next.into()])
}

fn conv_transpose(call: &mut Call) -> Outcome {
    let groups = call.int_or("group", 1)?;
    let spatial = spatial_dims(call)?;
    let taps = taps(call, 1, spatial.len())?;
    let place = transposed(call, &spatial, &taps)?;
    let (x, w) = (call.value(0)?, call.value(1)?);
    let product = call.b().conv_transpose(x, w, &place, groups)?;
    match call.optional_value(2)? {
        Some(bias) => one(with_bias(call, product, bias, spatial.len())?),
        None => one(product),
    }
}

/// Strides, and which part of the whole result is wanted: what `pads` cut off, or what `output_shape` or `auto_pad` ask for.
fn transposed(call: &Call, spatial: &[Expr], taps: &[i64]) -> Result<Transposed, Diagnostic> {
    let axes = spatial.len();
    let (strides, dilations) = (read_ints(call, "strides", axes, 1)?, read_ints(call, "dilations", axes, 1)?);
    let added = match call.ints("output_padding")? {
        Some(_) => read_ints(call, "output_padding", axes, 0)?,
        None => vec![0; axes],
    };
    let pads = match call.ints("pads")? {
        Some(_) => read_ints(call, "pads", 2 * axes, 0)?,
        None => vec![0; 2 * axes],
    };
    let auto = call.text("auto_pad")?.unwrap_or("NOTSET");
    if !matches!(auto, "NOTSET" | "VALID" | "SAME_UPPER" | "SAME_LOWER") {
        return Err(call.attribute_error(format!("attribute `auto_pad` is `{auto}`")));
    }
    let wanted = match call.ints("output_shape")? {
        Some(wanted) if wanted.len() == axes + 2 => Some(wanted[2..].iter().map(|size| Expr::from(*size)).collect()),
        Some(wanted) if wanted.len() != axes => {
            return Err(call.attribute_error(format!("attribute `output_shape` has {} entries, not {axes}", wanted.len())));
        }
        Some(wanted) => Some(wanted.into_iter().map(Expr::from).collect::<Vec<Expr>>()),
        None if auto.starts_with("SAME") => Some(spatial.iter().zip(&strides).map(|(size, stride)| size * *stride).collect()),
        None => None,
    };
    let (mut low, mut sizes) = (Vec::new(), Vec::new());
    for axis in 0..axes {
        let whole = &((&spatial[axis] - 1) * strides[axis]) + &(Expr::from(taps[axis] - 1) * dilations[axis] + (1 + added[axis]));
        match wanted.as_ref().map(|wanted| wanted[axis].clone()) {
            Some(wanted) => {
                let total = sizes::maximum(&(&whole - &wanted), &Expr::zero());
                let more = if auto == "SAME_UPPER" { total.clone() } else { total + 1 };
                low.push(more.floor_div(&Expr::from(2)));
                sizes.push(wanted);
            }
            None => {
                let given = |pad: i64| if auto == "VALID" { 0 } else { pad };
                low.push(Expr::from(given(pads[axis])));
                sizes.push(whole - given(pads[axis]) - given(pads[axes + axis]));
            }
        }
    }
    Ok(Transposed { strides, dilations, low, sizes })
}

/// The operand with its padding as elements of it, zeros or a scalar, and the window without.
pub(super) fn unpadded(call: &mut Call, x: ValueId, value: Option<ValueId>, window: &Window) -> Result<(ValueId, WindowAttrs), Diagnostic> {
    let value = match value {
        Some(value) => value,
        None => {
            let dtype = call.b().dtype(x);
            call.b().scalar(dtype, Literal::zero(dtype))
        }
    };
    let outer = [Expr::zero(), Expr::zero()];
    let x = call.b().pad(x, value, &[&outer, &window.low[..]].concat(), &[&outer, &window.high[..]].concat())?;
    Ok((x, window.unpadded()))
}

/// The taps of the weights, operand `at`, which `kernel_shape` may repeat.
pub(super) fn taps(call: &Call, at: usize, axes: usize) -> Result<Vec<i64>, Diagnostic> {
    let dims = call.dims(at)?;
    let declared = call.ints("kernel_shape")?;
    let taps: Option<Vec<i64>> = dims.iter().skip(2).map(Expr::as_const).collect();
    let Some(taps) = taps else { return Err(call.unsupported(format!("weights of unknown size {}", call.ty(at)?))) };
    if dims.len() != axes + 2 {
        return Err(call.error(Code::Shape, format!("weights {} do not fit {}", call.ty(at)?, call.ty(0)?)));
    }
    match declared {
        Some(declared) if declared != taps => {
            Err(call.attribute_error(format!("attribute `kernel_shape` is {declared:?}, and the weights are {}", call.ty(at)?)))
        }
        _ => Ok(taps),
    }
}

/// The bias is by channel, axis 1.
pub(super) fn with_bias(call: &mut Call, product: ValueId, bias: ValueId, axes: usize) -> Result<ValueId, Diagnostic> {
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
    fn transposes() {
        let text = |attributes: &str| {
            format!("x: f32[1, 1, n] w: f32[1, 1, 3] = 1 10 100 b: f32[1] = 0.5 y = ConvTranspose {{{attributes}}} (x, w, b) => y")
        };
        let x = "f32[1, 1, 2] 1 2";
        check(&text("strides = [1]"), &[x], &["f32[1, 1, 4] 1.5 12.5 120.5 200.5"]);
        check(&text("strides = [2]"), &[x], &["f32[1, 1, 5] 1.5 10.5 102.5 20.5 200.5"]);
        check(&text("strides = [2], pads = [1, 1], output_padding = [1]"), &[x], &["f32[1, 1, 4] 10.5 102.5 20.5 200.5"]);
        check(&text("strides = [2], output_shape = [4]"), &[x], &["f32[1, 1, 4] 10.5 102.5 20.5 200.5"]);
        check(&text("strides = [2], auto_pad = \"SAME_UPPER\""), &[x], &["f32[1, 1, 4] 1.5 10.5 102.5 20.5"]);
        check(&text("strides = [3], dilations = [2]"), &[x], &["f32[1, 1, 8] 1.5 0.5 10.5 2.5 100.5 20.5 0.5 200.5"]);
        check_types(&text("strides = [2], pads = [0, 1]"), &["f32[1, 1, 2*n]"]);
    }

    #[test]
    fn causal_convolutions_carry_a_state() {
        let text = |more: &str, call: &str| {
            format!("x: f32[b, 2, n] w: f32[2, 1, 2] = 1 10 1 1 {more} y, s = CausalConvWithState(x, w{call}) => y, s")
        };
        let x = "f32[1, 2, 3] 1 2 3 4 5 6";
        check(&text("", ""), &[x], &["f32[1, 2, 3] 10 21 32 4 9 11", "f32[1, 2, 1] 3 6"]);
        let (state, want) = ("f32[1, 2, 1] 7 8", ["f32[1, 2, 3] 18 22 33 12 9 11", "f32[1, 2, 1] 3 6"]);
        check(&text("v: f32[2] = 1 0 p: f32[b, 2, 1]", ", v, p"), &[x, state], &want);
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
