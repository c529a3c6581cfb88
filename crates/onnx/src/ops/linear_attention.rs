//! Attention without a softmax: a scan over time that carries a matrix for each head.

use super::Entry;
use super::attention::heads::part;
use crate::import::{Call, Outcome};
use ::ops::{Builder, Scan};
use ir::{Code, Diagnostic, Graph, TensorType, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("LinearAttention", 27, linear_attention)];

type Result<T, E = Diagnostic> = std::result::Result<T, E>;

/// What the steps are given, with time as axis 1.
struct Slices {
    /// Scaled, `[B, T, G, H/G, D]`.
    q: ValueId,
    /// `[B, T, G, D]`
    k: ValueId,
    /// `[B, T, G, E]`
    v: ValueId,
    /// What the state is multiplied by, `[B, T, G, D or 1]`.
    gate: Option<ValueId>,
    /// The rate of corrections, `[B, T, G or 1, 1]`.
    rate: Option<ValueId>,
}

/// `S' = gate S + k (x) v`, or with a rate `S' = gate S + k (x) rate (v - gate S' k)`; the result is `scale q S'`.
fn linear_attention(call: &mut Call) -> Outcome {
    call.ignore(&["chunk_size"]);
    let rule = call.text("update_rule")?.unwrap_or("gated_delta");
    let (gated, corrected) = match rule {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        other => return Err(call.attribute_error(format!("attribute `update_rule` is `{other}`")).into()),
    };
    for (at, name, wanted) in [(4, "decay", gated), (5, "beta", corrected)] {
        if call.optional(at).is_some() != wanted {
            let verb = if wanted { "needs" } else { "has no" };
            return Err(call.error(Code::Malformed, format!("the rule `{rule}` {verb} `{name}`")).into());
        }
    }
    for at in (0..6).filter(|at| *at != 3) {
        if call.optional(at).is_some() && call.rank(at)? != 3 {
            return Err(call.error(Code::Shape, format!("operand {at} is {}, not of rank 3", call.ty(at)?)).into());
        }
    }
    let (slices, dtype, dims) = (slices(call)?, call.dtype(0)?, call.dims(0)?);
    let (state, state_type) = state(call, &slices)?;
    let [state, result] = scanned(call.b(), &slices, state)?;
    let b = call.b();
    let heads = b.dims(result)[2..].to_vec();
    let result = b.reshape(result, &[dims[0].clone(), dims[1].clone(), Expr::product(&heads)])?;
    Ok(vec![b.convert(result, dtype)?.into(), b.convert(state, state_type)?.into()])
}

fn slices(call: &mut Call) -> Result<Slices> {
    let missing = |name: &str| call.attribute_error(format!("attribute `{name}` is missing"));
    let many = call.int("q_num_heads")?.ok_or_else(|| missing("q_num_heads"))?;
    let few = call.int("kv_num_heads")?.ok_or_else(|| missing("kv_num_heads"))?;
    let limit = 1..=1 << 31;
    if !limit.contains(&many) || !limit.contains(&few) || many % few != 0 {
        return Err(call.attribute_error(format!("{many} heads of queries for {few} of keys")));
    }
    let depth = part(call, &call.dims(0)?[2], many)?;
    let width = part(call, &call.dims(2)?[2], few)?;
    let (group, few) = (Expr::from(many / few), Expr::from(few));
    let q = timed(call, 0, &[few.clone(), group, depth.clone()])?;
    let scale = match (call.float_or("scale", 0.0)?, depth.as_const()) {
        (0.0, None) => return Err(call.unsupported(format!("a scale for heads of size {depth}, which is not known"))),
        (0.0, Some(depth)) => 1.0 / (depth as f64).sqrt(),
        (scale, _) => scale,
    };
    let q = call.b().map_number(Func::Mul, q, scale)?;
    let k = timed(call, 1, &[few.clone(), depth.clone()])?;
    let v = timed(call, 2, &[few.clone(), width])?;
    let mut gate = None;
    if call.optional(4).is_some() {
        let one_each = call.dims(4)?[2] == few;
        let decay = timed(call, 4, &[few.clone(), if one_each { Expr::one() } else { depth }])?;
        gate = Some(call.b().map(Func::Exp, &[decay])?);
    }
    let mut rate = None;
    if call.optional(5).is_some() {
        let shared = call.dims(5)?[2].is_one();
        rate = Some(timed(call, 5, &[if shared { Expr::one() } else { few }, Expr::one()])?);
    }
    Ok(Slices { q, k, v, gate, rate })
}

/// Operand `at`, `[B, T, ..]`, with its last dim as several.
fn timed(call: &mut Call, at: usize, last: &[Expr]) -> Result<ValueId> {
    let (dims, lead) = (call.dims(at)?, call.dims(0)?[..2].to_vec());
    call.equal_dims(&format!("batch and time of operand {at}"), &lead, &dims[..2])?;
    call.equal_dims(&format!("heads of operand {at}"), &[Expr::product(last)], &dims[2..])?;
    let x = call.value(at)?;
    let b = call.b();
    let x = b.widened(x)?;
    b.reshape(x, &[&lead, last].concat())
}

/// The state before the first step, in the type that is computed in, and the model's type for it.
fn state(call: &mut Call, slices: &Slices) -> Result<(ValueId, ir::DType)> {
    let b = call.b();
    let [k, v] = [slices.k, slices.v].map(|id| b.dims(id).to_vec());
    let dims = [k[0].clone(), k[2].clone(), k[3].clone(), v[3].clone()];
    match call.optional_value(3)? {
        Some(state) => {
            let given = call.dims(3)?;
            call.equal_dims("dims of the state", &dims, &given)?;
            let b = call.b();
            let wide = b.widened(state)?;
            Ok((b.reshape(wide, &dims)?, call.dtype(3)?))
        }
        None => {
            let b = call.b();
            let zero = b.number(b.dtype(slices.q), 0.0);
            Ok((b.broadcast(zero, &dims)?, call.dtype(0)?))
        }
    }
}

/// The last state, and the results of all steps, `[B, T, G, H/G, E]`.
fn scanned(b: &mut Builder, slices: &Slices, state: ValueId) -> Result<[ValueId; 2]> {
    let given: Vec<ValueId> = [slices.q, slices.k, slices.v].into_iter().chain(slices.gate).chain(slices.rate).collect();
    let types: Vec<TensorType> = given
        .iter()
        .map(|id| {
            let mut ty = b.ty(*id).clone();
            ty.dims.remove(1);
            ty
        })
        .collect();
    let region = step(b, slices, b.ty(state).clone(), types)?;
    let trips = b.dims(slices.q)[1].clone();
    let scan = Scan { trips, scanned: given.iter().map(|id| (*id, 1, false)).collect(), stacked: vec![(1, false)] };
    let results = b.scan(&scan, &[state], &[], region)?;
    match results.as_slice() {
        [state, result] => Ok([*state, *result]),
        other => Err(b.error(Code::Malformed, format!("a scan with {} results", other.len()))),
    }
}

fn step(outer: &Builder, slices: &Slices, state: TensorType, types: Vec<TensorType>) -> Result<Graph> {
    let mut builder = Builder::new("step");
    let b = &mut builder;
    b.location = outer.location.clone();
    outer.graph.graph().symbols.iter().for_each(|(sym, fact)| b.graph.symbol(sym, *fact));
    let mut state = b.input("state", state);
    let given: Vec<ValueId> = types.into_iter().map(|ty| b.input("slice", ty)).collect();
    let (q, k, mut v) = (given[0], given[1], given[2]);
    let mut rest = given[3..].iter().copied();
    if let Some(gate) = slices.gate.and_then(|_| rest.next()) {
        let gate = b.unsqueeze(gate, &[3])?;
        state = b.map_broadcast(Func::Mul, &[state, gate])?;
    }
    if let Some(rate) = slices.rate.and_then(|_| rest.next()) {
        let held = b.contract("bgd,bgde->bge", k, state)?;
        let gap = b.map(Func::Sub, &[v, held])?;
        v = b.map_broadcast(Func::Mul, &[rate, gap])?;
    }
    let (column, row) = (b.unsqueeze(k, &[3])?, b.unsqueeze(v, &[2])?);
    let added = b.map_broadcast(Func::Mul, &[column, row])?;
    let next = b.map(Func::Add, &[state, added])?;
    let result = b.contract("bgrd,bgde->bgre", q, next)?;
    b.output("state", next);
    b.output("result", result);
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types};

    const OPERANDS: &str = "q: f32[b, t, 2] k: f32[b, t, 1] v: f32[b, t, 1]";

    fn text(rule: &str, more: &str, call: &str) -> String {
        let attributes = format!("q_num_heads = 2, kv_num_heads = 1, scale = 2.0, update_rule = \"{rule}\"");
        format!("{OPERANDS} {more} y, s = LinearAttention {{{attributes}}} (q, k, v{call}) => y, s")
    }

    #[test]
    fn rules() {
        let operands = ["f32[1, 2, 2] 1 2 1 2", "f32[1, 2, 1] 1 2", "f32[1, 2, 1] 3 4"];
        check(&text("linear", "", ""), &operands, &["f32[1, 2, 2] 6 12 22 44", "f32[1, 1, 1, 1] 11"]);
        let past = ["f32[1, 2, 2] 1 2 1 2", "f32[1, 2, 1] 1 2", "f32[1, 2, 1] 3 4", "f16[1, 1, 1, 1] 1"];
        check(&text("linear", "p: f16[b, 1, 1, 1]", ", p"), &past, &["f32[1, 2, 2] 8 16 24 48", "f16[1, 1, 1, 1] 12"]);
        let delta = text("delta", "r: f32[1, 2, 1] = 0.5 1.0", ", _, _, r");
        check(&delta, &operands, &["f32[1, 2, 2] 3 6 7 14", "f32[1, 1, 1, 1] 3.5"]);
        let gated = text("gated", "g: f32[1, 2, 1] = 0.0 -inf", ", _, g");
        check(&gated, &operands, &["f32[1, 2, 2] 6 12 16 32", "f32[1, 1, 1, 1] 8"]);
    }

    #[test]
    fn operands_fit_the_rule() {
        check_types(&text("linear", "", ""), &["f32[b, t, 2]", "f32[b, 1, 1, 1]"]);
        check_problems(&text("gated", "", ""), &["[E001] LinearAttention#0: the rule `gated` needs `decay`"]);
        check_problems(
            &text("linear", "", "").replace("t, 1]", "t, 2]"),
            &["[E003] LinearAttention#0: heads of operand 1: axis 0 differs: 1 vs 2"],
        );
    }
}
