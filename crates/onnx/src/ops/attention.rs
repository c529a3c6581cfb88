//! Scaled dot product attention.

use super::Entry;
use crate::import::{Call, Out, Outcome, sizes};
use heads::{Heads, Scores, Shown, attend, joined_heads, split_heads};
use ir::{Code, DType, Diagnostic, ValueId};
use mask::{Mask, Places};
use nest::Func;

use sym::Expr;

pub(super) mod flex;
pub(super) mod heads;
pub(super) mod mask;

pub const OPS: &[Entry] = &[Entry("Attention", 23, attention)];

type Result<T> = std::result::Result<T, Diagnostic>;

/// Results are the attention, all keys, all values, and the scores where the model wants them.
fn attention(call: &mut Call) -> Outcome {
    let mut heads = operands(call)?;
    let past = past(call)?;
    let mut before = Expr::zero();
    if let Some([key, value]) = past {
        let b = call.b();
        before = b.dims(key)[2].clone();
        heads.k = b.concat(&[key, heads.k], 2)?;
        heads.v = b.concat(&[value, heads.v], 2)?;
    }
    let mask = mask(call, heads, &before)?;
    let scores = Scores { mask, scale: scale(call, heads)?, cap: cap(call)?, precision: precision(call)?, shown: shown(call)? };
    let dtype = call.b().dtype(heads.q);
    let v = call.b().convert(heads.v, dtype)?;
    let (mut result, shown) = attend(call, Heads { v, ..heads }, scores)?;
    if call.rank(0)? == 3 {
        result = joined_heads(call, result)?;
    }
    let outs = [Some(result), Some(heads.k), Some(heads.v), shown];
    Ok(outs.into_iter().flatten().map(Out::from).collect())
}

/// Operands of rank 4 are heads already; those of rank 3 hold them side by side.
fn operands(call: &mut Call) -> Result<Heads> {
    let counts = [call.int("q_num_heads")?, call.int("kv_num_heads")?];
    let rank = call.rank(0)?;
    if !(3..=4).contains(&rank) || call.rank(1)? != rank || call.rank(2)? != rank {
        let message = format!("{}, {} and {} are not all of rank 3, or all of rank 4", call.ty(0)?, call.ty(1)?, call.ty(2)?);
        return Err(call.error(Code::Shape, message));
    }
    let [q, k, v] = [call.value(0)?, call.value(1)?, call.value(2)?];
    if rank == 4 {
        return Ok(Heads { q, k, v });
    }
    let count = |at: usize, name: &str| counts[at].ok_or_else(|| call.attribute_error(format!("attribute `{name}` is missing")));
    let (q_heads, heads) = (count(0, "q_num_heads")?, count(1, "kv_num_heads")?);
    Ok(Heads { q: split_heads(call, q, q_heads)?, k: split_heads(call, k, heads)?, v: split_heads(call, v, heads)? })
}

/// The keys and values before those of this call.
fn past(call: &mut Call) -> Result<Option<[ValueId; 2]>> {
    let (key, value) = (call.optional_value(4)?, call.optional_value(5)?);
    match (key, value) {
        (None, None) => Ok(None),
        (Some(key), Some(value)) => match [key, value].map(|id| call.b().dims(id).len()) {
            [4, 4] => Ok(Some([key, value])),
            _ => Err(call.error(Code::Shape, format!("{} and {} are not both of rank 4", call.ty(4)?, call.ty(5)?))),
        },
        _ => Err(call.error(Code::Malformed, "of past keys and past values one is missing")),
    }
}

fn scale(call: &mut Call, heads: Heads) -> Result<f64> {
    if let Some(scale) = call.float("scale")? {
        return Ok(scale as f64);
    }
    heads::default_scale(call, heads.q)
}

fn cap(call: &Call) -> Result<Option<f64>> {
    Ok(Some(call.float_or("softcap", 0.0)?).filter(|cap| *cap > 0.0))
}

/// The type of the softmax, where the model has one.
fn precision(call: &Call) -> Result<Option<DType>> {
    match call.int("softmax_precision")? {
        None => Ok(None),
        Some(1) => Ok(Some(DType::F32)),
        Some(10) => Ok(Some(DType::F16)),
        Some(11) => Ok(Some(DType::F64)),
        Some(16) => Ok(Some(DType::BF16)),
        Some(other) => Err(call.attribute_error(format!("attribute `softmax_precision` is {other}, which is no float type"))),
    }
}

fn shown(call: &Call) -> Result<Option<Shown>> {
    let shown = match call.int_or("qk_matmul_output_mode", 0)? {
        0 => Shown::Products,
        1 => Shown::Capped,
        2 => Shown::Biased,
        3 => Shown::Weights,
        other => return Err(call.attribute_error(format!("attribute `qk_matmul_output_mode` is {other}, not 0 to 3"))),
    };
    Ok(call.wants(3).then_some(shown))
}

/// The model's own mask, and what causality, a window, and the lengths of the keys that are no padding rule out.
fn mask(call: &mut Call, heads: Heads, before: &Expr) -> Result<Mask> {
    let (queries, keys) = (call.b().dims(heads.q)[2].clone(), call.b().dims(heads.k)[2].clone());
    let mut mask = Mask::default();
    if let Some(given) = call.optional_value(3)? {
        let given = of_all_keys(call, given, &keys)?;
        mask.given(call, given)?;
    }
    let lengths = match call.opset {
        ..24 => None,
        _ => call.optional_value(6)?,
    };
    let lengths = lengths.map(|lengths| lengths_by_batch(call, lengths)).transpose()?;
    let is_causal = call.flag_or("is_causal", false)?;
    let [left, right] = match call.opset {
        ..25 => [None; 2],
        _ => [window(call, "left_window_size")?, window(call, "right_window_size")?],
    };
    if is_causal || left.is_some() || right.is_some() {
        let b = call.b();
        let first = match lengths {
            Some(lengths) if before.is_zero() => {
                let queries = b.size(&queries, DType::I64)?;
                b.map_broadcast(Func::Sub, &[lengths, queries])?
            }
            _ => b.size(before, DType::I64)?,
        };
        let places = Places::of(call, first, &queries, &keys)?;
        if is_causal {
            let allowed = places.no_later_key(call)?;
            mask.allow(call, allowed, lengths.is_some())?;
        }
        for allowed in places.within(call, left, right)? {
            mask.allow(call, allowed, true)?;
        }
    }
    if let Some(lengths) = lengths {
        let b = call.b();
        let key = b.iota(&[Expr::one(), Expr::one(), Expr::one(), keys], 3, DType::I64)?;
        let allowed = b.map_broadcast(Func::Less, &[key, lengths])?;
        mask.allow(call, allowed, true)?;
    }
    Ok(mask)
}

/// The most positions on one side; None where there is no limit.
fn window(call: &Call, name: &'static str) -> Result<Option<i64>> {
    match call.int_or(name, -1)? {
        -1 => Ok(None),
        size if size >= 0 => Ok(Some(size)),
        size => Err(call.attribute_error(format!("attribute `{name}` is {size}, not -1 or more"))),
    }
}

/// `[batch]` as `[batch, 1, 1, 1]`.
fn lengths_by_batch(call: &mut Call, lengths: ValueId) -> Result<ValueId> {
    if call.optional(4).is_some() {
        return Err(call.error(Code::Malformed, "lengths of keys without padding are given, and past keys"));
    }
    let ty = call.b().ty(lengths).clone();
    if ty.rank() != 1 {
        return Err(call.error(Code::Shape, format!("the lengths of keys are {ty}, not of rank 1")));
    }
    call.b().unsqueeze(lengths, &[1, 2, 3])
}

/// A mask for the first keys bars the others.
fn of_all_keys(call: &mut Call, mask: ValueId, keys: &Expr) -> Result<ValueId> {
    let ty = call.b().ty(mask).clone();
    let Some(dim) = ty.dims.last().filter(|dim| *dim != keys && (call.opset >= 24 || !dim.is_one())) else { return Ok(mask) };
    let more = keys - dim;
    if sizes::is_nonnegative(&more) == Some(false) {
        return Err(call.error(Code::Shape, format!("a mask of {dim} keys for {keys}")));
    }
    let mut high = vec![Expr::zero(); ty.rank()];
    high[ty.rank() - 1] = more;
    let barred = if ty.dtype.is_float() { f64::NEG_INFINITY } else { 0.0 };
    let b = call.b();
    let barred = b.number(ty.dtype, barred);
    b.pad(mask, barred, &vec![Expr::zero(); ty.rank()], &high)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types};

    fn text(operands: &str, attributes: &str, call: &str) -> String {
        let heads = "q: f32[b, 1, m, 1] k: f32[b, 1, n, 1] v: f32[b, 1, n, 1]";
        format!("{heads} {operands} y, p, w = Attention {{scale = 1.0{attributes}}} (q, k, v{call}) => y, p")
    }

    const QUERIES: &str = "f32[1, 1, 2, 1] 0 0";
    const KEYS: &str = "f32[1, 1, 2, 1] 1 1";
    const VALUES: &str = "f32[1, 1, 2, 1] 2 4";

    #[test]
    fn masks_allow_or_are_added() {
        let result = |y: &str| format!("f32[1, 1, 2, 1] {y}");
        let (all, keys) = ([QUERIES, KEYS, VALUES], "f32[1, 1, 2, 1] 1 1");
        check(&text("", "", ""), &all, &[&result("3 3"), keys]);
        check(&text("", ", is_causal = 1", ""), &all, &[&result("2 3"), keys]);
        check(&text("a: bool[2, 2] = 0 1 0 0", "", ", a"), &all, &[&result("4 0"), keys]);
        check(&text("a: bool[2, 2] = 0 1 1 1", ", is_causal = 1", ", a"), &all, &[&result("0 3"), keys]);
        check(&text("a: f32[1, 1, 1, 2] = 0 -inf", "", ", a"), &all, &[&result("2 2"), keys]);
        check(&text("a: bool[2, 1] = 0 1", "", ", a"), &all, &[&result("0 2"), keys]);
        check(&text("", ", left_window_size = 0, right_window_size = 0", ""), &all, &[&result("2 4"), keys]);
        check(&text("l: i64[1] = 1", "", ", _, _, _, l"), &all, &[&result("2 2"), keys]);
        check(&text("l: i64[1] = 1", ", is_causal = 1", ", _, _, _, l"), &all, &[&result("0 2"), keys]);
    }

    #[test]
    fn the_past_comes_first() {
        let past = text("pk: f32[b, 1, p, 1] pv: f32[b, 1, p, 1]", ", is_causal = 1", ", _, pk, pv");
        let operands = [QUERIES, KEYS, VALUES, "f32[1, 1, 1, 1] 1", "f32[1, 1, 1, 1] 6"];
        check(&past, &operands, &["f32[1, 1, 2, 1] 4 4", "f32[1, 1, 3, 1] 1 1 1"]);
        check_problems(&past.replace("_, pk, pv", "_, pk"), &["[E001] Attention#0: of past keys and past values one is missing"]);
    }

    #[test]
    fn masks_may_be_shorter() {
        let masked = text("a: bool[m, s]", "", ", a");
        check_types(&masked, &["f32[b, 1, m, 1]", "f32[b, 1, n, 1]", "n - s >= 0"]);
        check_problems(
            &masked.replace("f32[b, 1, n, 1]", "f32[b, 1, 2, 1]").replace("m, s", "m, 3"),
            &["[E003] Attention#0: a mask of 3 keys for 2"],
        );
    }
}
