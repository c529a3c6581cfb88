//! Attention as exporters write it.

use super::chain::{add, linear, multiply, scaled};
use super::shape::{emit_reshape, emit_transpose, emit_unsqueeze};
use super::{join, product, spread};
use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use sym::Expr;

/// Rows of a sequence `[batch, length, width]` with a width of several heads.
fn sequence(generator: &mut Generator, heads: i64) -> Option<Id> {
    let fits = |_: &Generator, form: &Form| {
        let width = form.dims.last().and_then(Expr::as_const).unwrap_or(0);
        form.is_float() && form.rank() == 3 && width >= heads && width % heads == 0
    };
    let found = if generator.random.chance(50) { generator.find(fits) } else { None };
    if found.is_some() {
        return found;
    }
    let mut dims = generator.new_dims(2);
    dims.push(Expr::from(heads * generator.random.one_of([2, 4, 8, 9, 16])));
    generator.float_input(&dims)
}

/// `[batch, length, heads * depth]` as `[batch, heads, length, depth]`.
fn split_heads(generator: &mut Generator, x: Id, heads: i64) -> Option<Id> {
    let dims = generator.dims(x);
    let depth = dims[2].as_const()? / heads;
    let split = emit_reshape(generator, x, &[dims[0].clone(), dims[1].clone(), Expr::from(heads), Expr::from(depth)])?;
    emit_transpose(generator, split, &[0, 2, 1, 3])
}

pub fn attention(generator: &mut Generator) -> Option<Id> {
    let heads = generator.random.between(1, 4);
    let x = sequence(generator, heads)?;
    let form = generator.form(x).clone();
    let width = form.dims[2].as_const()?;
    let source = if generator.random.chance(20) { memory(generator, &form)? } else { x };
    let q = linear(generator, x, width)?;
    let k = linear(generator, source, width)?;
    let v = linear(generator, source, width)?;
    let [q, k, v] = [split_heads(generator, q, heads)?, split_heads(generator, k, heads)?, split_heads(generator, v, heads)?];
    let mixed = attend(generator, q, k, v)?;
    let mixed = emit_transpose(generator, mixed, &[0, 2, 1, 3])?;
    let joined = emit_reshape(generator, mixed, &form.dims)?;
    let out = linear(generator, joined, width)?;
    if generator.random.chance(50) { add(generator, out, x) } else { Some(out) }
}

/// A second sequence for the same batch.
fn memory(generator: &mut Generator, form: &Form) -> Option<Id> {
    let dims = [form.dims[0].clone(), generator.dim(), form.dims[2].clone()];
    generator.tensor(form.dtype, &dims, Interval::around_zero(1.0))
}

/// `softmax(scale q k' + mask) v`
fn attend(generator: &mut Generator, q: Id, k: Id, v: Id) -> Option<Id> {
    let depth = generator.dims(q)[3].as_const()? as f64;
    let scale = 1.0 / depth.sqrt();
    let before = generator.random.chance(30);
    let q = if before { scaled(generator, q, scale)? } else { q };
    let k = emit_transpose(generator, k, &[0, 1, 3, 2])?;
    let scores = product::emit_matmul(generator, q, k)?;
    let scores = if before { scores } else { scaled(generator, scores, scale)? };
    let scores = match generator.random.below(4) {
        0 => scores,
        1 => causal_scores(generator, scores)?,
        2 => padded_scores(generator, scores)?,
        _ => {
            let mask = mask(generator, scores)?;
            add(generator, scores, mask)?
        }
    };
    let form = generator.form(scores).within(Interval::BOOL).rounded();
    let weights = generator.emit("Softmax", &[scores], vec![draft::int("axis", -1)], form)?;
    product::emit_matmul(generator, weights, v)
}

/// An additive mask that broadcasts to scores.
fn mask(generator: &mut Generator, scores: Id) -> Option<Id> {
    let dims = generator.dims(scores);
    let dims = match generator.random.below(3) {
        0 => vec![dims[0].clone(), Expr::one(), Expr::one(), dims[3].clone()],
        1 => vec![Expr::one(), Expr::one(), dims[2].clone(), dims[3].clone()],
        _ => dims,
    };
    let dtype = generator.form(scores).dtype;
    generator.input(dtype, &dims, Interval::new(-4.0, 0.0))
}

/// Scores with a large negative number added where a mask of bools or integers is 0.
fn padded_scores(generator: &mut Generator, scores: Id) -> Option<Id> {
    let form = generator.form(scores).clone();
    let kept = generator.input(DType::I64, &[form.dims[0].clone(), form.dims[3].clone()], Interval::BOOL)?;
    let wide = emit_unsqueeze(generator, kept, &[1, 2])?;
    let floats = generator.form(wide).cast(form.dtype);
    let wide = generator.emit("Cast", &[wide], vec![draft::int("to", draft::data_type(form.dtype) as i64)], floats.clone())?;
    let one = generator.number(form.dtype, 1.0);
    let dropped = generator.emit("Sub", &[one, wide], vec![], floats.clone())?;
    let far = generator.number(form.dtype, -10000.0);
    let bias = generator.emit("Mul", &[dropped, far], vec![], floats.within(Interval::new(-10000.0, 0.0)))?;
    add(generator, scores, bias)
}

/// Scores of later positions replaced by a large negative number.
fn causal_scores(generator: &mut Generator, scores: Id) -> Option<Id> {
    let form = generator.form(scores).clone();
    let seen = seen(generator, scores)?;
    let far = generator.number(form.dtype, -10000.0);
    generator.emit("Where", &[seen, scores, far], vec![], form.within(form.interval.hull(Interval::new(-10000.0, 0.0))))
}

/// Whether a position is not after another: a square of the last two dims.
fn seen(generator: &mut Generator, scores: Id) -> Option<Id> {
    let rank = generator.rank(scores);
    let dims = generator.dims(scores)[rank - 2..].to_vec();
    let row = spread::positions(generator, scores, rank - 2)?;
    let column = spread::positions(generator, scores, rank - 1)?;
    let row = emit_unsqueeze(generator, row, &[1])?;
    let bools = Form { dtype: DType::Bool, dims, interval: Interval::BOOL, exact: true };
    generator.emit("LessOrEqual", &[column, row], vec![], bools)
}

/// A causal mask by itself, on any scores.
pub fn causal(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(2..=4)?;
    let masked = causal_scores(generator, x)?;
    let form = generator.form(masked).within(Interval::BOOL).rounded();
    generator.emit("Softmax", &[masked], vec![], form)
}

/// `x cos + rotated x sin`, with the halves of the last axis swapped and one of them negated.
pub fn rotary(generator: &mut Generator) -> Option<Id> {
    let fits = |_: &Generator, form: &Form| {
        form.is_float() && form.rank() >= 2 && form.dims.last().and_then(Expr::as_const).is_some_and(|d| d % 2 == 0)
    };
    let x = generator.find(fits)?;
    let form = generator.form(x).clone();
    let last = form.rank() - 1;
    let width = form.dims[last].as_const()?;
    let mut half = form.clone();
    half.dims[last] = Expr::from(width / 2);
    let mut halves = Vec::new();
    for (start, end) in [(0, width / 2), (width / 2, i64::MAX)] {
        let (starts, ends) = (generator.list("starts", &[start]), generator.list("ends", &[end]));
        let axes = generator.list("axes", &[last as i64]);
        halves.push(generator.emit("Slice", &[x, starts, ends, axes], vec![], half.clone())?);
    }
    let turned = generator.emit("Neg", &[halves[1]], vec![], half.within(half.interval.negate()))?;
    let rotated = join::emit_concat(generator, &[turned, halves[0]], last)?;
    let angles = [form.dims[last - 1].clone(), form.dims[last].clone()];
    let [cos, sin] = [
        generator.tensor(form.dtype, &angles, Interval::around_zero(1.0))?,
        generator.tensor(form.dtype, &angles, Interval::around_zero(1.0))?,
    ];
    let (a, b) = (multiply(generator, x, cos)?, multiply(generator, rotated, sin)?);
    add(generator, a, b)
}
