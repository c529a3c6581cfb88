//! Attention whose scores and weights a model's own graphs change.

use super::heads::{Groups, Heads, Scores, attend, computed, default_scale, products, ungrouped, weighted};
use super::mask::Mask;
use super::{Entry, precision};
use crate::import::{Call, Fault, Outcome, one};
use ir::{Code, ValueId};

pub const OPS: &[Entry] = &[Entry("FlexAttention", 1, flex_attention)];

fn flex_attention(call: &mut Call) -> Outcome {
    for at in 0..3 {
        if call.rank(at)? != 4 {
            return Err(call.error(Code::Shape, format!("operand {at} is {}, not of rank 4", call.ty(at)?)).into());
        }
    }
    let heads = Heads { q: call.value(0)?, k: call.value(1)?, v: call.value(2)? };
    let scale = match call.float("scale")? {
        Some(scale) => scale as f64,
        None => default_scale(call, heads.q)?,
    };
    let dtype = call.b().dtype(heads.q);
    let precision = precision(call)?.unwrap_or(computed(dtype));
    let changed = call.optional_graph("score_mod")?.is_some() || call.optional_graph("prob_mod")?.is_some();
    if !changed && precision == computed(dtype) {
        let scores = Scores { scale, cap: None, mask: Mask::default(), precision: None, shown: None };
        return one(attend(call, heads, scores)?.0);
    }
    let dims = call.b().dims(heads.q).to_vec();
    let groups = Groups::of(call, heads)?;
    let products = products(call.b(), groups.heads, scale)?;
    let grouped = call.b().dims(products).to_vec();
    let scores = ungrouped(call, products, &dims)?;
    let scores = call.b().convert(scores, precision)?;
    let scores = changed_by(call, "score_mod", scores)?;
    let weights = call.b().softmax(scores, 3)?;
    let weights = changed_by(call, "prob_mod", weights)?;
    let b = call.b();
    let weights = b.reshape(weights, &grouped)?;
    let v = b.convert(groups.heads.v, precision)?;
    let result = weighted(b, weights, v)?;
    let result = b.convert(result, dtype)?;
    one(ungrouped(call, result, &dims)?)
}

/// What a graph of the model makes of a tensor: another one of its type.
fn changed_by(call: &mut Call, name: &'static str, x: ValueId) -> Result<ValueId, Fault> {
    let Some(graph) = call.optional_graph(name)? else { return Ok(x) };
    let term = call.cx.built(name, x);
    let outputs = call.cx.subgraph(graph, name, &[term])?;
    let [output] = outputs.as_slice() else {
        return Err(call.error(Code::Malformed, format!("`{name}` has {} outputs, not 1", outputs.len())).into());
    };
    let (changed, narrow) = call.cx.typed(*output)?;
    if let Some(narrow) = narrow {
        return Err(call.error(Code::Type, format!("`{name}` makes {} of a tensor of numbers", narrow.name())).into());
    }
    let (before, after) = (call.b().ty(x).clone(), call.b().ty(changed).clone());
    if before.dtype != after.dtype {
        return Err(call.error(Code::Type, format!("`{name}` makes {after} of {before}")).into());
    }
    call.equal_dims(&format!("dims of `{name}`"), &before.dims, &after.dims)?;
    Ok(call.b().reshape(changed, &before.dims)?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, ops_of};

    const HEADS: &str = "q: f32[b, 2, m, 1] k: f32[b, 1, n, 1] v: f32[b, 1, n, 1]";

    fn text(attributes: &str) -> String {
        format!("{HEADS} c: f32[] = 2 y = ai.onnx.preview.FlexAttention {{scale = 1.0{attributes}}} (q, k, v) => y")
    }

    #[test]
    fn graphs_change_scores_and_weights() {
        let operands = ["f32[1, 2, 1, 1] 1 1", "f32[1, 1, 2, 1] 1 1", "f32[1, 1, 2, 1] 4 8"];
        check(&text(""), &operands, &["f32[1, 2, 1, 1] 6 6"]);
        check(&text(", prob_mod = graph { p: f32[1] t = Mul(p, c) => t }"), &operands, &["f32[1, 2, 1, 1] 12 12"]);
        let graph = "graph { s: f32[1] i: f32[2] = 0 -1000 t = Add(s, i) => t }";
        check(&text(&format!(", score_mod = {graph}")), &operands, &["f32[1, 2, 1, 1] 4 4"]);
        assert_eq!(ops_of(&text("")), "reshape broadcast reshape broadcast reshape attention reshape");
    }

    #[test]
    fn graphs_keep_the_type() {
        let problem = "FlexAttention#0: `prob_mod` makes f64[b, 2, m, n] of f32[b, 2, m, n]";
        check_problems(&text(", prob_mod = graph { p: f32[1] t = Cast {to = 11} (p) => t }"), &[&format!("[E004] {problem}")]);
    }
}
