//! `attention`: values weighted by the softmax of scaled scores.
//!
//! Operands: q `[.., M, D]`, k `[.., N, D]`, v `[.., N, E]`, optionally mask `[.., M, N]`. Attributes: `scale` Float.
//! - C1: the element types are equal and float.
//! - C2: the ranks are equal and at least 2, and so are the leading dims.
//! - C3: q and k share D, k and v share N; mask has M and N.
//!
//! `out = softmax(scale * q k' + mask) v`, `[.., M, E]`; the softmax is along N. Scores and weights are rounded to the element type
//! between the two products only where it is f16 or bf16; for other types the product is divided by the sums of the softmax.

use super::check_float;
use crate::attrs;
use crate::build::{Builder, core::Folded};
use crate::def::{ConcreteType, InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::{Guards, rank_of, same_type};
use crate::reference::{as_floats, dot};
use ir::{Array, Attrs, Code, DType, Diagnostic, TensorType, ValueId};
use nest::{Func, Monoid};

pub const DEF: OpDef = OpDef { name: "attention", infer, reference, kind: Kind::Composite { decompose } };

/// q, k, v and the mask where there is one.
fn operands<'a>(cx: &InferCx<'a>) -> Result<(&'a TensorType, &'a TensorType, &'a TensorType, Option<&'a TensorType>), OpError> {
    match cx.inputs {
        [q, k, v] => Ok((q, k, v, None)),
        [q, k, v, mask] => Ok((q, k, v, Some(mask))),
        other => Err(OpError::new(Code::Malformed, format!("operands: {} given, 3 or 4 needed", other.len()))),
    }
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let (q, k, v, mask) = operands(cx)?;
    check_float(q)?;
    attrs::float(cx.attrs, "scale")?;
    let lead = q.rank().checked_sub(2).ok_or_else(|| OpError::shape(format!("q is {q}, of rank less than 2")))?;
    let mut guards = Guards::default();
    let mut dims = q.dims[..lead].to_vec();
    for (name, ty) in [("k", Some(k)), ("v", Some(v)), ("mask", mask)].into_iter().filter_map(|(name, ty)| Some((name, ty?))) {
        same_type(q, ty)?;
        rank_of(name, ty, q.rank())?;
        dims = guards.all_equal(&format!("leading dims of {name}"), &dims, &ty.dims[..lead])?;
    }
    guards.equal("D", &q.dims[lead + 1], &k.dims[lead + 1])?;
    guards.equal("N", &k.dims[lead], &v.dims[lead])?;
    if let Some(mask) = mask {
        guards.equal("M of mask", &q.dims[lead], &mask.dims[lead])?;
        guards.equal("N of mask", &k.dims[lead], &mask.dims[lead + 1])?;
    }
    dims.extend([q.dims[lead].clone(), v.dims[lead + 1].clone()]);
    Ok(Inferred::of(q.dtype, dims).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let scale = attrs::float(attrs, "scale")?;
    let last = |array: &Array, back: usize| array.dims()[array.dims().len() - back];
    let (m, d, n, e) = (last(inputs[0], 2), last(inputs[0], 1), last(inputs[1], 2), last(inputs[2], 1));
    let data: Vec<Vec<f64>> = inputs.iter().map(|input| as_floats(input)).collect();
    let rows = out[0].1[..out[0].1.len() - 1].iter().product::<usize>();
    let mut result = vec![0.0; rows * e];
    for row in 0..rows {
        let (head, query) = (row / m, &data[0][row * d..][..d]);
        let mask = |key: usize| data.get(3).map_or(0.0, |mask| mask[row * n + key]);
        let scores: Vec<f64> = (0..n).map(|key| scale * dot(query, &data[1][(head * n + key) * d..][..d]) + mask(key)).collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
        let sum: f64 = weights.iter().sum();
        for (key, weight) in weights.iter().enumerate() {
            let values = &data[2][(head * n + key) * e..][..e];
            result[row * e..][..e].iter_mut().zip(values).for_each(|(out, value)| *out += weight / sum * value);
        }
    }
    Ok(vec![Array::floats(out[0].0, out[0].1.clone(), result)])
}

fn decompose(b: &mut Builder, inputs: &[ValueId], attrs: &Attrs) -> Result<Vec<ValueId>, Diagnostic> {
    let scale = attrs::float(attrs, "scale").map_err(|error| error.at(&b.location))?;
    let rank = b.dims(inputs[0]).len();
    let lead = lead_letters(rank - 2).ok_or_else(|| b.error(Code::Limit, format!("attention of rank {rank}")))?;
    let dtype = b.dtype(inputs[0]);
    let products = b.contract(&format!("{lead}md,{lead}nd->{lead}mn"), inputs[0], inputs[1])?;
    let products = b.widened(products)?;
    let mut scores = b.map_number(Func::Mul, products, scale)?;
    if let Some(mask) = inputs.get(3) {
        let mask = b.widened(*mask)?;
        scores = b.map(Func::Add, &[scores, mask])?;
    }
    let product = format!("{lead}mn,{lead}ne->{lead}me");
    if matches!(dtype, DType::F16 | DType::BF16) {
        let weights = b.softmax(scores, rank - 1)?;
        let weights = b.convert(weights, dtype)?;
        return Ok(vec![b.contract(&product, weights, inputs[2])?]);
    }
    // divided by the sums behind the product, which has fewer columns as a rule
    let max = b.reduce(Monoid::Max, scores, &[rank - 1], Folded::Kept)?;
    let shifted = b.map_broadcast(Func::Sub, &[scores, max])?;
    let exp = b.map(Func::Exp, &[shifted])?;
    let mut sum = b.reduce(Monoid::Sum, exp, &[rank - 1], Folded::Kept)?;
    if b.dims(inputs[1])[rank - 2].as_const().is_none_or(|count| count == 0) {
        // where there is a score, it is at least 1 anyway; without one the result is zero
        sum = b.map_number(Func::Max, sum, 1.0)?;
    }
    let weighted = b.contract(&product, exp, inputs[2])?;
    Ok(vec![b.map_broadcast(Func::Div, &[weighted, sum])?])
}

/// Letters for the leading axes, none of those used above.
fn lead_letters(count: usize) -> Option<String> {
    let letters: String = ('A'..='Z').take(count).collect();
    (letters.len() == count).then_some(letters)
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Attr, Attrs};

    fn attrs() -> Attrs {
        Attrs::from([("scale", Attr::Float(0.25))])
    }

    #[test]
    fn decomposition() {
        for dtype in ["f64", "f32", "bf16"] {
            for (m, n) in [(0, 2), (3, 4), (1, 1), (2, 0)] {
                let types = ["[2, 3, m, 4]", "[2, 3, n, 4]", "[2, 3, n, 5]", "[2, 3, m, n]"].map(|dims| format!("{dtype}{dims}"));
                let types: Vec<&str> = types.iter().map(String::as_str).collect();
                case("attention", attrs(), &types, &[("m", m), ("n", n)]).check_decomposition(1e-13);
                case("attention", attrs(), &types[..3], &[("m", m), ("n", n)]).check_decomposition(1e-13);
            }
        }
        case("attention", attrs(), &["f32[3, 4]", "f32[n, 4]", "f32[n, 2]"], &[("n", 3)]).check_decomposition(1e-13);
    }

    #[test]
    fn constraints() {
        let types = ["f32[b, m, 4]", "f32[b, n, 4]", "f32[c, n, 5]"];
        assert_eq!(inferred("attention", attrs(), &types), "f32[b, m, 5] where b == c");
        assert_eq!(infer_error("attention", attrs(), &["f32[2, 3]", "f32[5, 4]", "f32[5, 2]"]), "D differs: 3 vs 4");
        assert_eq!(infer_error("attention", attrs(), &["f32[2, 4]", "f32[5, 4]", "f32[6, 2]"]), "N differs: 5 vs 6");
        assert_eq!(infer_error("attention", attrs(), &["f32[2, 4]", "f32[5, 4]"]), "operands: 2 given, 3 or 4 needed");
        let mask = ["f32[2, 4]", "f32[5, 4]", "f32[5, 4]", "f32[3, 5]"];
        assert_eq!(infer_error("attention", attrs(), &mask), "M of mask differs: 2 vs 3");
    }
}
