//! Attention without a softmax, and the convolution that goes with it.

use crate::draft;
use crate::generator::{Generator, Id};
use crate::interval::Interval;
use ir::DType;
use sym::Expr;

/// The first opset that has them.
const SINCE: i64 = 27;

/// Floats that these operators are defined on.
fn is_fit(generator: &Generator) -> bool {
    generator.opset >= SINCE && generator.float != DType::F64
}

pub fn linear_attention(generator: &mut Generator) -> Option<Id> {
    if !is_fit(generator) {
        return None;
    }
    let (batch, time, float) = (generator.dim(), generator.dim(), generator.float);
    let (heads, group) = (generator.random.between(1, 3), generator.random.one_of([1, 1, 2, 3]));
    let (depth, width) = (generator.random.one_of([1, 2, 4, 8, 9]), generator.random.one_of([1, 2, 4, 8, 9]));
    let (rule, gated, corrected) =
        generator.random.one_of([("linear", false, false), ("gated", true, false), ("delta", false, true), ("gated_delta", true, true)]);
    let dims = |columns: i64| vec![batch.clone(), time.clone(), Expr::from(columns)];
    let unit = Interval::around_zero(1.0);
    let q = generator.input(float, &dims(heads * group * depth), unit)?;
    // keys whose squares sum up to at most 1, so that corrections shrink the state
    let k = generator.input(float, &dims(heads * depth), Interval::around_zero(1.0 / (depth as f64).sqrt()))?;
    let v = generator.input(float, &dims(heads * width), unit)?;
    let state = [batch.clone(), Expr::from(heads), Expr::from(depth), Expr::from(width)];
    let past = if generator.random.chance(50) { Some(generator.input(float, &state, unit)?) } else { None };
    let decays = if generator.random.chance(50) { heads } else { heads * depth };
    let decay = if gated { Some(generator.input(float, &dims(decays), Interval::new(-2.0, 0.0))?) } else { None };
    let rates = if generator.random.chance(50) { heads } else { 1 };
    let rate = if corrected { Some(generator.input(float, &dims(rates), Interval::BOOL)?) } else { None };
    let mut attributes = vec![draft::int("q_num_heads", heads * group), draft::int("kv_num_heads", heads)];
    if rule != "gated_delta" || generator.random.chance(50) {
        attributes.push(draft::text("update_rule", rule));
    }
    let steps = generator.largest(&time) as f64;
    let most = 1.0 + 2.0 * steps * (depth as f64);
    let form = generator.form(q).rounded();
    let result = form.of(dims(heads * group * width)).within(Interval::around_zero(most * depth as f64));
    let last = form.of(state.to_vec()).within(Interval::around_zero(most));
    let operands = [Some(q), Some(k), Some(v), past, decay, rate];
    let result = generator.emit_all("LinearAttention", &operands, attributes, vec![result, last])?.first().copied()?;
    generator.tame(result, 60.0)
}

/// Each channel by itself, with the elements of earlier calls in front.
pub fn causal_conv(generator: &mut Generator) -> Option<Id> {
    if !is_fit(generator) {
        return None;
    }
    let (batch, length, float) = (generator.dim(), generator.dim(), generator.float);
    let (channels, taps) = (generator.random.one_of([1, 3, 8, 9, 16]), generator.random.between(1, 5));
    let dims = vec![batch.clone(), Expr::from(channels), length];
    let x = generator.input(float, &dims, Interval::around_zero(1.0))?;
    let weights = generator.weight("weight", float, &[channels as usize, 1, taps as usize], 1.0)?;
    let bias = if generator.random.chance(50) { generator.weight("bias", float, &[channels as usize], 1.0) } else { None };
    let state = [batch, Expr::from(channels), Expr::from(taps - 1)];
    let past =
        if taps > 1 && generator.random.chance(60) { Some(generator.input(float, &state, Interval::around_zero(1.0))?) } else { None };
    let attributes = match generator.random.chance(50) {
        true => vec![draft::text("activation", generator.random.one_of(["none", "silu", "swish"]))],
        false => vec![],
    };
    let form = generator.form(x).rounded();
    let mut forms = vec![form.within(Interval::around_zero(taps as f64 + 1.0))];
    if taps > 1 {
        forms.push(generator.form(x).of(state.to_vec()).within(Interval::around_zero(1.0)));
    }
    generator.emit_all("CausalConvWithState", &[Some(x), Some(weights), bias, past], attributes, forms)?.first().copied()
}
