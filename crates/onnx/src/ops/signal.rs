//! Constants of signal processing: windows, and the weights of mel bands. All are computed in f64.

use super::Entry;
use super::activation::scalar_operand;
use crate::import::{Call, Outcome, element_type_of, one};
use ::ops::Builder;
use ir::guard::Condition;
use ir::{Code, DType, Diagnostic, ValueId};
use nest::Func;
use std::f64::consts::{LN_10, TAU};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("HannWindow", 17, |call| window(call, [0.5, -0.5, 0.0])),
    Entry("HammingWindow", 17, |call| window(call, [25.0 / 46.0, 25.0 / 46.0 - 1.0, 0.0])),
    Entry("BlackmanWindow", 17, |call| window(call, [0.42, -0.5, 0.08])),
    Entry("MelWeightMatrix", 17, mel_weights),
];

type Result<T> = std::result::Result<T, Diagnostic>;

fn result_type(call: &Call) -> Result<DType> {
    let number = call.int_or("output_datatype", 1)?;
    element_type_of(number).map_err(|(code, text)| call.error(code, format!("{}: {text}", call.node.op_type)))
}

/// An operand of one element that shapes the result.
fn size(call: &mut Call, at: usize, what: &str) -> Result<Expr> {
    let size = call.computed_number(at, what)?;
    call.guard(Condition::AtLeast(size.clone(), Expr::zero()));
    Ok(size)
}

/// `a + b cos t + c cos 2t` with `t = 2 pi i / n` at place i; n is the size, less 1 where the window is symmetric.
fn window(call: &mut Call, [a, b, c]: [f64; 3]) -> Outcome {
    let size = size(call, 0, "size")?;
    let periodic = call.flag_or("periodic", true)?;
    let dtype = result_type(call)?;
    let period = if periodic { size.clone() } else { &size - 1 };
    let builder = call.b();
    let place = builder.iota(&[size], 0, DType::F64)?;
    let turned = builder.map_number(Func::Mul, place, TAU)?;
    let period = builder.size(&period, DType::F64)?;
    let angle = builder.map_broadcast(Func::Div, &[turned, period])?;
    let mut sum = cosine(builder, angle, b)?;
    if c != 0.0 {
        let twice = builder.map_number(Func::Mul, angle, 2.0)?;
        let more = cosine(builder, twice, c)?;
        sum = builder.map(Func::Add, &[sum, more])?;
    }
    let sum = builder.map_number(Func::Add, sum, a)?;
    one(builder.convert(sum, dtype)?)
}

fn cosine(b: &mut Builder, angle: ValueId, factor: f64) -> Result<ValueId> {
    let cosine = b.map(Func::Cos, &[angle])?;
    b.map_number(Func::Mul, cosine, factor)
}

/// mel(f) = MEL log(1 + f / BEND)
const MEL: f64 = 2595.0 / LN_10;
const BEND: f64 = 700.0;

/// A triangle for each band, over the spectrum's bins: 0 at its left bin, 1 at its middle one, 0 at its right one, which are the middle
/// ones of the bands around.
fn mel_weights(call: &mut Call) -> Outcome {
    let (bands, length) = (size(call, 0, "num_mel_bins")?, size(call, 1, "dft_length")?);
    let dtype = result_type(call)?;
    let operands = [scalar_operand(call, 2)?, scalar_operand(call, 3)?, scalar_operand(call, 4)?];
    let [Some(rate), Some(lowest), Some(highest)] = operands else {
        return Err(call.error(Code::Malformed, "MelWeightMatrix lacks an operand").into());
    };
    let b = call.b();
    let edges = band_edges(b, &(&bands + 2), [lowest, highest])?;
    let rate = b.convert(rate, DType::F64)?;
    let length_and_one = b.size(&(&length + 1), DType::F64)?;
    let scaled = b.map_broadcast(Func::Mul, &[edges, length_and_one])?;
    let bins = b.map_broadcast(Func::Div, &[scaled, rate])?;
    let bins = b.map(Func::Floor, &[bins])?;
    let [left, middle, right] = [0, 1, 2].map(|start| b.slice_axis(bins, 0, &Expr::from(start), &bands));
    let weights = triangles(b, &[&length.floor_div(&Expr::from(2)) + 1, bands], [left?, middle?, right?])?;
    one(b.convert(weights, dtype)?)
}

/// Frequencies from `lowest` on, at equal distances in mel, of which the last is one short of `highest`.
fn band_edges(b: &mut Builder, count: &Expr, [lowest, highest]: [ValueId; 2]) -> Result<ValueId> {
    let (lowest, highest) = (mel(b, lowest)?, mel(b, highest)?);
    let range = b.map(Func::Sub, &[highest, lowest])?;
    let parts = b.size(count, DType::F64)?;
    let step = b.map(Func::Div, &[range, parts])?;
    let place = b.iota(std::slice::from_ref(count), 0, DType::F64)?;
    let risen = b.map_broadcast(Func::Mul, &[place, step])?;
    let mels = b.map_broadcast(Func::Add, &[risen, lowest])?;
    let scaled = b.map_number(Func::Div, mels, MEL)?;
    let exp = b.map(Func::Exp, &[scaled])?;
    let less_one = b.map_number(Func::Sub, exp, 1.0)?;
    b.map_number(Func::Mul, less_one, BEND)
}

fn mel(b: &mut Builder, frequency: ValueId) -> Result<ValueId> {
    let frequency = b.convert(frequency, DType::F64)?;
    let scaled = b.map_number(Func::Div, frequency, BEND)?;
    let more = b.map_number(Func::Add, scaled, 1.0)?;
    let log = b.map(Func::Log, &[more])?;
    b.map_number(Func::Mul, log, MEL)
}

fn triangles(b: &mut Builder, dims: &[Expr], [left, middle, right]: [ValueId; 3]) -> Result<ValueId> {
    let bin = b.iota(dims, 0, DType::F64)?;
    let (zero, full) = (b.number(DType::F64, 0.0), b.number(DType::F64, 1.0));
    let part = |b: &mut Builder, from: ValueId, to: ValueId| {
        let (done, all) = (b.map_broadcast(Func::Sub, &[bin, from])?, b.map(Func::Sub, &[to, from])?);
        b.map_broadcast(Func::Div, &[done, all])
    };
    let (rising, falling) = (part(b, left, middle)?, part(b, right, middle)?);
    let is_point = b.map(Func::Equal, &[left, middle])?;
    let rising = b.map_broadcast(Func::Select, &[is_point, full, rising])?;
    let from_left = b.map_broadcast(Func::GreaterEqual, &[bin, left])?;
    let to_middle = b.map_broadcast(Func::LessEqual, &[bin, middle])?;
    let rises = b.map(Func::And, &[from_left, to_middle])?;
    let from_middle = b.map_broadcast(Func::GreaterEqual, &[bin, middle])?;
    let to_right = b.map_broadcast(Func::Less, &[bin, right])?;
    let falls = b.map(Func::And, &[from_middle, to_right])?;
    let rest = b.map_broadcast(Func::Select, &[rises, rising, zero])?;
    b.map_broadcast(Func::Select, &[falls, falling, rest])
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_types};

    #[test]
    fn windows() {
        let text = |op: &str, periodic: i64| format!("s: i32[] = 4 y = {op} {{periodic = {periodic}}} (s) => y");
        check(&text("HannWindow", 1), &[], &["f32[4] 0 0.5 1 0.5"]);
        check(&text("HannWindow", 0), &[], &["f32[4] 0 0.75 0.75 0"]);
        check(&text("HammingWindow", 1), &[], &["f32[4] 0.087 0.5435 1 0.5435"]);
        check(&text("BlackmanWindow", 1), &[], &["f32[4] 0 0.34 1 0.34"]);
        let of_a_size = "x: f32[n] s = Size(x) y = HannWindow {output_datatype = 11} (s) => y";
        check(of_a_size, &["f32[2] 0 0"], &["f64[2] 0 1"]);
        check_types(of_a_size, &["f64[n]"]);
        check("s: i64[] y = HannWindow(s) => y", &["i64[] 4"], &["f32[4] 0 0.5 1 0.5"]);
    }

    #[test]
    fn bands() {
        let text = "b: i64[] = 2 d: i64[] = 16 r: i64[] = 8000 l: f32[] = 20 h: f32[] = 4000 y = MelWeightMatrix(b, d, r, l, h) => y";
        check(text, &[], &["f32[9, 2] 1 0 0.5 0.5 0 1 0 0.5 0 0 0 0 0 0 0 0 0 0"]);
    }
}
