//! Attention and rotations as operators of their own.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use onnx::proto::{AttributeProto, GraphProto, NodeProto};
use sym::Expr;

/// The first opset that has them.
const SINCE: i64 = 23;

/// The sizes of attention: of q's heads each `group` share one of k's.
struct Sizes {
    batch: Expr,
    heads: i64,
    group: i64,
    queries: Expr,
    keys: Expr,
    past: Option<Expr>,
    depth: i64,
    width: i64,
    /// Whether heads stand side by side.
    flat: bool,
}

impl Sizes {
    fn drawn(generator: &mut Generator) -> Option<Sizes> {
        let (queries, keys) = (generator.dim(), generator.dim());
        let keys = if generator.random.chance(50) { queries.clone() } else { keys };
        let sizes = Sizes {
            batch: if generator.random.chance(50) { Expr::from(generator.random.between(1, 3)) } else { generator.dim() },
            heads: generator.random.between(1, 3),
            group: generator.random.one_of([1, 1, 1, 2, 3]),
            queries,
            keys,
            past: if generator.random.chance(25) { Some(generator.dim()) } else { None },
            depth: generator.random.one_of([1, 2, 4, 8, 9, 16]),
            width: generator.random.one_of([1, 2, 4, 8, 9, 16]),
            flat: generator.random.chance(40),
        };
        let work = [&sizes.scores_dims()[..], &[Expr::from(sizes.depth + sizes.width)]].concat();
        generator.is_quick(&work).then_some(sizes)
    }

    fn all_keys(&self) -> Expr {
        self.past.iter().fold(self.keys.clone(), |sum, past| &sum + past)
    }

    fn q_heads(&self) -> i64 {
        self.heads * self.group
    }

    fn scores_dims(&self) -> Vec<Expr> {
        vec![self.batch.clone(), Expr::from(self.q_heads()), self.queries.clone(), self.all_keys()]
    }

    /// The dims of an operand or of the result.
    fn dims(&self, heads: i64, length: &Expr, width: i64) -> Vec<Expr> {
        match self.flat {
            true => vec![self.batch.clone(), length.clone(), Expr::from(heads * width)],
            false => self.split_dims(heads, length, width),
        }
    }

    fn split_dims(&self, heads: i64, length: &Expr, width: i64) -> Vec<Expr> {
        vec![self.batch.clone(), Expr::from(heads), length.clone(), Expr::from(width)]
    }
}

/// A value with these dims, or a new input.
fn operand(generator: &mut Generator, dims: &[Expr]) -> Option<Id> {
    let dtype = generator.float;
    let found = generator.find(|_, form| form.dtype == dtype && form.dims == dims && form.interval.largest() <= 4.0);
    if found.is_some() && generator.random.chance(80) { found } else { generator.input(dtype, dims, Interval::around_zero(1.0)) }
}

pub fn attention(generator: &mut Generator) -> Option<Id> {
    if generator.opset < SINCE {
        return None;
    }
    let sizes = Sizes::drawn(generator)?;
    let q = operand(generator, &sizes.dims(sizes.q_heads(), &sizes.queries, sizes.depth))?;
    let k = operand(generator, &sizes.dims(sizes.heads, &sizes.keys, sizes.depth))?;
    let v = operand(generator, &sizes.dims(sizes.heads, &sizes.keys, sizes.width))?;
    let mask = if generator.random.chance(50) { Some(mask(generator, &sizes)?) } else { None };
    let (mut past, mut lengths) = ([None, None], None);
    if let Some(length) = &sizes.past {
        for (past, width) in past.iter_mut().zip([sizes.depth, sizes.width]) {
            *past = Some(generator.input(generator.float, &sizes.split_dims(sizes.heads, length, width), Interval::around_zero(1.0))?);
        }
    } else if generator.opset >= 24 && generator.random.chance(20) {
        let most = generator.smallest(&sizes.keys) as f64;
        lengths = Some(generator.input(DType::I64, std::slice::from_ref(&sizes.batch), Interval::new(0.0, most))?);
    }
    let (attributes, shown) = attributes(generator, &sizes, mask.is_some() || lengths.is_some());
    let forms = forms(generator, &sizes, [q, k, v], past, shown);
    let operands = [Some(q), Some(k), Some(v), mask, past[0], past[1], lengths];
    generator.emit_all("Attention", &operands, attributes, forms)?.first().copied()
}

/// Bools or numbers that broadcast to the scores.
fn mask(generator: &mut Generator, sizes: &Sizes) -> Option<Id> {
    let mut dims = sizes.scores_dims();
    for dim in &mut dims[..2] {
        if generator.random.chance(60) {
            *dim = Expr::one();
        }
    }
    let skipped = if dims[..2].iter().all(Expr::is_one) { generator.random.below(3) } else { 0 };
    match generator.random.chance(50) {
        true => generator.input(DType::Bool, &dims[skipped..], Interval::BOOL),
        false => generator.input(generator.float, &dims[skipped..], Interval::new(-4.0, 0.0)),
    }
}

/// The attributes, and what is shown of the scores. Biased ones may hold infinities.
fn attributes(generator: &mut Generator, sizes: &Sizes, masked: bool) -> (Vec<AttributeProto>, Option<i64>) {
    let mut attributes = vec![];
    if sizes.flat {
        attributes.extend([draft::int("q_num_heads", sizes.q_heads()), draft::int("kv_num_heads", sizes.heads)]);
    }
    let random = &mut generator.random;
    let causal = random.chance(35);
    if causal || random.chance(10) {
        attributes.push(draft::int("is_causal", causal as i64));
    }
    if random.chance(40) {
        attributes.push(draft::float("scale", random.one_of([0.125, 0.5, 1.0])));
    }
    if random.chance(20) {
        attributes.push(draft::float("softcap", random.one_of([0.5, 2.0, 30.0])));
    }
    if generator.float == DType::F32 && random.chance(10) {
        attributes.push(draft::int("softmax_precision", random.one_of([1, 11])));
    }
    if !random.chance(15) {
        return (attributes, None);
    }
    let mode = random.one_of([0, 1, 2, 3]);
    let mode = if mode == 2 && (masked || causal) { 3 } else { mode };
    attributes.push(draft::int("qk_matmul_output_mode", mode));
    (attributes, Some(mode))
}

/// The forms of the result, of all keys and values, and of the scores.
fn forms(generator: &Generator, sizes: &Sizes, [q, k, v]: [Id; 3], past: [Option<Id>; 2], shown: Option<i64>) -> Vec<Form> {
    let interval = |id: Id| generator.form(id).interval;
    let [keys, values] =
        [(k, past[0]), (v, past[1])].map(|(own, past)| past.map_or(interval(own), |past| interval(own).hull(interval(past))));
    let result = sizes.dims(sizes.q_heads(), &sizes.queries, sizes.width);
    let result = generator.form(q).of(result).within(values.with_zero()).rounded();
    let mut forms = vec![result];
    if shown.is_none() && past[0].is_none() {
        return forms;
    }
    for (own, width, interval) in [(k, sizes.depth, keys), (v, sizes.width, values)] {
        forms.push(generator.form(own).of(sizes.split_dims(sizes.heads, &sizes.all_keys(), width)).within(interval).rounded());
    }
    if let Some(mode) = shown {
        let most = (sizes.depth as f64 * interval(q).largest() * keys.largest()).max(1.0);
        let interval = if mode == 3 { Interval::BOOL } else { Interval::around_zero(most + 4.0) };
        forms.push(generator.form(q).of(sizes.scores_dims()).within(interval).rounded());
    }
    forms
}

/// Pairs of elements turned by angles, which are given for each position or picked from a table.
pub fn rotary(generator: &mut Generator) -> Option<Id> {
    if generator.opset < SINCE {
        return None;
    }
    let (batch, length) = (generator.dim(), generator.dim());
    let (heads, half, flat) = (generator.random.between(1, 3), generator.random.one_of([1, 2, 4, 5, 8]), generator.random.chance(50));
    let rest = generator.random.one_of([0, 0, 1, 2, 8]);
    let width = 2 * half + rest;
    let dims = match flat {
        true => vec![batch.clone(), length.clone(), Expr::from(heads * width)],
        false => vec![batch.clone(), Expr::from(heads), length.clone(), Expr::from(width)],
    };
    let x = operand(generator, &dims)?;
    let mut attributes = vec![];
    if flat || generator.random.chance(20) {
        attributes.push(draft::int("num_heads", heads));
    }
    if rest > 0 || generator.random.chance(20) {
        attributes.push(draft::int("rotary_embedding_dim", 2 * half));
    }
    if generator.random.chance(50) {
        attributes.push(draft::int("interleaved", generator.random.between(0, 1)));
    }
    let rows = generator.size();
    let positions = match generator.random.chance(50) {
        true => Some(generator.input(DType::I64, &[batch.clone(), length.clone()], Interval::new(0.0, rows as f64 - 1.0))?),
        false => None,
    };
    let angles = if positions.is_some() { vec![Expr::from(rows), Expr::from(half)] } else { vec![batch, length, Expr::from(half)] };
    let form = generator.form(x).clone();
    let [cos, sin] = [(); 2].map(|()| generator.tensor(form.dtype, &angles, Interval::around_zero(1.0)));
    let turned = form.within(Interval::around_zero(2.0 * form.interval.largest())).rounded();
    generator.emit_all("RotaryEmbedding", &[Some(x), Some(cos?), Some(sin?), positions], attributes, vec![turned])?.first().copied()
}

/// Attention whose scores or weights a graph changes.
pub fn flex_attention(generator: &mut Generator) -> Option<Id> {
    let sizes = Sizes { flat: false, past: None, ..Sizes::drawn(generator)? };
    let q = operand(generator, &sizes.dims(sizes.q_heads(), &sizes.queries, sizes.depth))?;
    let k = operand(generator, &sizes.dims(sizes.heads, &sizes.keys, sizes.depth))?;
    let v = operand(generator, &sizes.dims(sizes.heads, &sizes.keys, sizes.width))?;
    let form = generator.form(q).clone();
    let mut attributes = vec![draft::float("scale", generator.random.one_of([0.25, 0.5]))];
    for (name, op) in [("score_mod", "Tanh"), ("prob_mod", "Neg")] {
        if generator.random.chance(50) {
            attributes.push(draft::graph(name, changed_by(generator, op, form.dtype)));
        }
    }
    let largest = generator.form(v).interval.largest();
    let result = form.of(sizes.dims(sizes.q_heads(), &sizes.queries, sizes.width)).within(Interval::around_zero(largest)).rounded();
    generator.emit("ai.onnx.preview.FlexAttention", &[q, k, v], attributes, result)
}

/// A graph of one function.
fn changed_by(generator: &mut Generator, op: &str, dtype: DType) -> GraphProto {
    let [given, made] = ["given", "made"].map(|stem| generator.draft.fresh(stem));
    let node = NodeProto { op_type: op.to_string(), input: vec![given.clone()], output: vec![made.clone()], ..NodeProto::default() };
    GraphProto {
        name: generator.draft.fresh("graph"),
        node: vec![node],
        input: vec![draft::unranked_info(&given, dtype)],
        output: vec![draft::unranked_info(&made, dtype)],
        ..GraphProto::default()
    }
}
