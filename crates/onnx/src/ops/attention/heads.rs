//! Attention of heads: q `[B, H, M, D]`, k `[B, G, N, D]`, v `[B, G, N, E]`. H is a multiple of G, and each of k's heads serves as many
//! neighbouring ones of q.

use super::mask::{Bias, Mask};
use crate::import::Call;
use ::ops::Builder;
use ir::guard::Condition;
use ir::{Code, DType, Diagnostic, ValueId};
use nest::Func;
use sym::Expr;

type Result<T> = std::result::Result<T, Diagnostic>;

#[derive(Clone, Copy)]
pub struct Heads {
    pub q: ValueId,
    pub k: ValueId,
    pub v: ValueId,
}

/// What happens between the two products.
pub struct Scores {
    pub scale: f64,
    /// `cap * tanh(scores / cap)`
    pub cap: Option<f64>,
    pub mask: Mask,
    /// The type of the softmax; by default the one that attention computes in.
    pub precision: Option<DType>,
    /// What the model wants as a result.
    pub shown: Option<Shown>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Shown {
    Products,
    Capped,
    Biased,
    Weights,
}

/// `[B, S, count * D]` as `[B, count, S, D]`.
pub fn split_heads(call: &mut Call, x: ValueId, count: i64) -> Result<ValueId> {
    let dims = call.b().dims(x).to_vec();
    let size = part(call, &dims[2], count)?;
    let split = call.b().reshape(x, &[dims[0].clone(), dims[1].clone(), Expr::from(count), size])?;
    call.b().transpose(split, &[0, 2, 1, 3])
}

/// `[B, H, S, D]` as `[B, S, H * D]`.
pub fn joined_heads(call: &mut Call, x: ValueId) -> Result<ValueId> {
    let b = call.b();
    let x = b.transpose(x, &[0, 2, 1, 3])?;
    let dims = b.dims(x).to_vec();
    b.reshape(x, &[dims[0].clone(), dims[1].clone(), &dims[2] * &dims[3]])
}

/// One of `count` equal parts of a dim.
pub fn part(call: &mut Call, dim: &Expr, count: i64) -> Result<Expr> {
    if !(1..=1 << 31).contains(&count) {
        return Err(call.attribute_error(format!("{count} heads")));
    }
    if let Some(part) = dim.exact_div(&Expr::from(count)) {
        return Ok(part);
    }
    if dim.as_const().is_some() {
        return Err(call.error(Code::Shape, format!("{dim} does not divide into {count} equal parts")));
    }
    let part = dim.floor_div(&Expr::from(count));
    call.guard(Condition::Equal(&part * count, dim.clone()));
    Ok(part)
}

/// `1 / sqrt(D)`
pub fn default_scale(call: &mut Call, q: ValueId) -> Result<f64> {
    let size = call.b().dims(q)[3].clone();
    match size.as_const() {
        Some(size) => Ok(1.0 / (size as f64).sqrt()),
        None => Err(call.unsupported(format!("a scale for heads of size {size}, which is not known"))),
    }
}

/// The result, `[B, H, M, E]`, and what is shown of the scores, `[B, H, M, N]`.
pub fn attend(call: &mut Call, heads: Heads, scores: Scores) -> Result<(ValueId, Option<ValueId>)> {
    let dtype = call.b().dtype(heads.q);
    let dims = call.b().dims(heads.q).to_vec();
    let groups = Groups::of(call, heads)?;
    let bias = scores.mask.bias(call, dtype)?;
    let bias = bias.map(|bias| bias_of_groups(call, bias, &groups)).transpose()?;
    let (result, shown) = match is_plain(&scores, dtype) {
        true => (plain(call, groups.heads, scores.scale, bias)?, None),
        false => in_steps(call, groups.heads, &scores, bias)?,
    };
    let shown = shown.map(|shown| ungrouped(call, shown, &dims)).transpose()?;
    Ok((ungrouped(call, result, &dims)?, shown))
}

/// Rows of groups as those of the heads of q, which has `dims`.
pub fn ungrouped(call: &mut Call, x: ValueId, dims: &[Expr]) -> Result<ValueId> {
    let [.., rows, columns] = call.b().dims(x) else { return Ok(x) };
    let dims = [dims[0].clone(), dims[1].clone(), rows.clone(), columns.clone()];
    call.b().reshape(x, &dims)
}

/// Heads whose leading dims agree: where some of q share one of k, `[B, G, H/G]`, along which keys and values repeat.
pub struct Groups {
    pub heads: Heads,
    /// The number of q's heads, where they share.
    shared: Option<Expr>,
}

impl Groups {
    pub fn of(call: &mut Call, heads: Heads) -> Result<Groups> {
        let (q, k) = (call.b().dims(heads.q).to_vec(), call.b().dims(heads.k).to_vec());
        let size = match (q[1].as_const(), k[1].as_const()) {
            (Some(many), Some(few)) if many != few => many.checked_rem(few).filter(|rest| *rest == 0).map(|_| many / few),
            _ => return Ok(Groups { heads, shared: None }),
        };
        let Some(size) = size else {
            return Err(call.error(Code::Shape, format!("{} heads of queries for {} of keys", q[1], k[1])));
        };
        let size = Expr::from(size);
        let b = call.b();
        let mut repeated = |x: ValueId| {
            let x = b.unsqueeze(x, &[2])?;
            let mut dims = b.dims(x).to_vec();
            dims[2] = size.clone();
            b.broadcast(x, &dims)
        };
        let (k, v) = (repeated(heads.k)?, repeated(heads.v)?);
        let [batch, many, rows, columns] = q.as_slice() else { return Err(b.error(Code::Shape, "heads are not of rank 4")) };
        let few = b.dims(k)[1].clone();
        let q = b.reshape(heads.q, &[batch.clone(), few, size, rows.clone(), columns.clone()])?;
        Ok(Groups { heads: Heads { q, k, v }, shared: Some(many.clone()) })
    }

    /// A tensor of rank 4, which broadcasts to heads of q, so that it broadcasts to groups.
    fn split(&self, call: &mut Call, x: ValueId) -> Result<ValueId> {
        let Some(heads) = &self.shared else { return Ok(x) };
        let b = call.b();
        let mut dims = b.dims(x).to_vec();
        if dims[1].is_one() {
            return b.unsqueeze(x, &[2]);
        }
        dims[1] = heads.clone();
        let x = b.broadcast(x, &dims)?;
        let lead = b.dims(self.heads.q)[1..3].to_vec();
        dims.splice(1..2, lead);
        b.reshape(x, &dims)
    }
}

/// `added` with all dims of the scores, `barred` so that it broadcasts.
fn bias_of_groups(call: &mut Call, bias: Bias, groups: &Groups) -> Result<Bias> {
    let added = groups.split(call, bias.added)?;
    let barred = bias.barred.map(|barred| groups.split(call, barred)).transpose()?;
    let b = call.b();
    let mut dims = b.dims(groups.heads.q).to_vec();
    let last = dims.len() - 1;
    dims[last] = b.dims(groups.heads.k)[last - 1].clone();
    Ok(Bias { added: b.broadcast(added, &dims)?, barred })
}

/// Whether the composite does it all. It rounds the scores of f16 and bf16, which it scales after the product, where they may be infinite.
fn is_plain(scores: &Scores, dtype: DType) -> bool {
    scores.cap.is_none() && scores.shown.is_none() && softmax_type(scores, dtype) == dtype
}

/// The type that attention computes in.
pub fn computed(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        other => other,
    }
}

/// A precision that is that of the operands asks for nothing.
fn softmax_type(scores: &Scores, dtype: DType) -> DType {
    scores.precision.filter(|precision| *precision != dtype).unwrap_or(computed(dtype))
}

fn plain(call: &mut Call, heads: Heads, scale: f64, bias: Option<Bias>) -> Result<ValueId> {
    let b = call.b();
    let result = b.attention(heads.q, heads.k, heads.v, bias.map(|bias| bias.added), scale)?;
    zero_where(call, bias.and_then(|bias| bias.barred), result)
}

/// Zeros in the rows of queries that see no key: there the softmax is no number.
fn zero_where(call: &mut Call, barred: Option<ValueId>, x: ValueId) -> Result<ValueId> {
    let Some(barred) = barred else { return Ok(x) };
    let b = call.b();
    let zero = b.number(b.dtype(x), 0.0);
    b.map_broadcast(Func::Select, &[barred, zero, x])
}

fn in_steps(call: &mut Call, heads: Heads, scores: &Scores, bias: Option<Bias>) -> Result<(ValueId, Option<ValueId>)> {
    let b = call.b();
    let dtype = b.dtype(heads.q);
    let products = products(b, heads, scores.scale)?;
    let capped = match scores.cap {
        Some(cap) => {
            let part = b.map_number(Func::Div, products, cap)?;
            let part = b.map(Func::Tanh, &[part])?;
            b.map_number(Func::Mul, part, cap)?
        }
        None => products,
    };
    let biased = match bias {
        Some(bias) => {
            let added = b.widened(bias.added)?;
            b.map(Func::Add, &[capped, added])?
        }
        None => capped,
    };
    let logits = b.convert(biased, softmax_type(scores, dtype))?;
    let last = b.dims(logits).len() - 1;
    let weights = b.softmax(logits, last)?;
    let weights = b.convert(weights, computed(dtype))?;
    let weights = zero_where(call, bias.and_then(|bias| bias.barred), weights)?;
    let b = call.b();
    let v = b.convert(heads.v, computed(dtype))?;
    let result = weighted(b, weights, v)?;
    let result = b.convert(result, dtype)?;
    let shown = scores.shown.map(|shown| match shown {
        Shown::Products => products,
        Shown::Capped => capped,
        Shown::Biased => biased,
        Shown::Weights => weights,
    });
    Ok((result, shown.map(|shown| b.convert(shown, dtype)).transpose()?))
}

/// Letters for the leading axes of heads or groups.
fn lead_letters(b: &Builder, x: ValueId) -> &'static str {
    if b.dims(x).len() == 5 { "ABC" } else { "AB" }
}

/// `scale q k'`, of f16 and bf16 in f32.
pub fn products(b: &mut Builder, heads: Heads, scale: f64) -> Result<ValueId> {
    let lead = lead_letters(b, heads.q);
    let [q, k] = [b.widened(heads.q)?, b.widened(heads.k)?];
    let products = b.contract(&format!("{lead}md,{lead}nd->{lead}mn"), q, k)?;
    b.map_number(Func::Mul, products, scale)
}

/// Sums of values by weight.
pub fn weighted(b: &mut Builder, weights: ValueId, v: ValueId) -> Result<ValueId> {
    let lead = lead_letters(b, weights);
    b.contract(&format!("{lead}mn,{lead}ne->{lead}me"), weights, v)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types, ops_of};

    const HEADS: &str = "q: f32[b, 4, m, 8] k: f32[b, 2, n, 8] v: f32[b, 2, n, 3]";

    #[test]
    fn heads_share_keys_without_copies() {
        assert_eq!(
            ops_of(&format!("{HEADS} y = Attention(q, k, v) => y")),
            "reshape broadcast reshape broadcast reshape attention reshape"
        );
        check_types(
            &format!("{HEADS} y, p, w, s = Attention(q, k, v) => y, p, w, s"),
            &["f32[b, 4, m, 3]", "f32[b, 2, n, 8]", "f32[b, 2, n, 3]", "f32[b, 4, m, n]"],
        );
        check_problems(
            &format!("{HEADS} y = Attention(q, k, v) => y").replace("b, 4", "b, 3"),
            &["[E003] Attention#0: 3 heads of queries for 2 of keys"],
        );
    }

    #[test]
    fn heads_stand_side_by_side() {
        let text =
            "q: f32[b, m, 4] k: f32[b, n, 2] v: f32[b, n, 1] y = Attention {q_num_heads = 2, kv_num_heads = 1, scale = 1.0} (q, k, v) => y";
        check_types(text, &["f32[b, m, 2]"]);
        let operands = ["f32[1, 1, 4] 0 0 1000 0", "f32[1, 2, 2] 1 0 0 1", "f32[1, 2, 1] 2 4"];
        check(text, &operands, &["f32[1, 1, 2] 3 2"]);
        check_problems(&text.replace("m, 4", "m, 3"), &["[E003] Attention#0: 3 does not divide into 2 equal parts"]);
        check_problems(&text.replace("kv_num_heads = 1", "kv_num_heads = 0"), &["[E005] Attention#0: 0 heads"]);
        check_problems(&text.replace(", kv_num_heads = 1", ""), &["[E005] Attention#0: attribute `kv_num_heads` is missing"]);
    }

    #[test]
    fn scores_are_shown_after_each_step() {
        let operands = ["f32[1, 1, 1, 1] 2", "f32[1, 1, 2, 1] 1 2", "f32[1, 1, 2, 1] 4 8", "bool[1, 2] 1 0"];
        for (mode, want) in [(0, "4 8"), (1, "1.9281 1.9987"), (2, "1.9281 -inf"), (3, "1 0")] {
            let text = format!(
                "q: f32[b, 1, m, 1] k: f32[b, 1, n, 1] v: f32[b, 1, n, 1] a: bool[m, n]
                y, p, w, s = Attention {{qk_matmul_output_mode = {mode}, softcap = 2.0, scale = 2.0}} (q, k, v, a) => y, s"
            );
            check(&text, &operands, &["f32[1, 1, 1, 1] 4", &format!("f32[1, 1, 1, 2] {want}")]);
        }
    }
}
