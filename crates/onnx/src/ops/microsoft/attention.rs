//! Attention with its projections, masks and states.

use crate::import::{Call, Outcome, one, sizes};
use crate::ops::attention::heads::{Heads, Scores, attend, default_scale, joined_heads, part, split_heads};
use crate::ops::attention::mask::{Mask, Places};
use crate::ops::rotary::turned;
use ir::guard::Condition;
use ir::{Code, DType, Diagnostic, Literal, ValueId};
use nest::Func;
use sym::Expr;

type Result<T> = std::result::Result<T, Diagnostic>;

/// Turns pairs of elements by angles from tables, at positions that are given, or that follow a first one.
pub fn rotary(call: &mut Call) -> Outcome {
    let (count, size) = (call.int_or("num_heads", 0)?, call.int_or("rotary_embedding_dim", 0)?);
    let interleaved = call.flag_or("interleaved", false)?;
    if call.float_or("scale", 1.0)? != 1.0 || call.flag_or("is_packed_batching", false)? {
        return Err(call.unsupported("a scale, or sequences of a batch side by side").into());
    }
    if call.rank(2)? != 2 || call.rank(3)? != 2 {
        return Err(call.error(Code::Shape, format!("the tables are {} and {}, not of rank 2", call.ty(2)?, call.ty(3)?)).into());
    }
    let dims = call.dims(0)?;
    let half = call.dims(2)?[1].clone();
    let x = call.value(0)?;
    let (x, heads_axis) = match dims.as_slice() {
        [_, _, _, _] => (x, 1),
        [batch, length, width] => {
            let size = match count {
                0 if size == 0 => &half * 2,
                0 => return Err(call.attribute_error("attribute `num_heads` is missing").into()),
                count => part(call, width, count)?,
            };
            let Some(count) = sizes::quotient(width, &size) else {
                return Err(call.error(Code::Shape, format!("{width} does not divide into heads of {size}")).into());
            };
            (call.b().reshape(x, &[batch.clone(), length.clone(), count, size])?, 2)
        }
        _ => return Err(call.error(Code::Shape, format!("{} is not of rank 3 or 4", call.ty(0)?)).into()),
    };
    let length = if heads_axis == 1 { &dims[2] } else { &dims[1] };
    let positions = match call.rank(1)? {
        1 => {
            let first = call.value(1)?;
            let b = call.b();
            let places = b.iota(&[Expr::one(), length.clone()], 1, DType::I64)?;
            let first = b.convert(first, DType::I64)?;
            let first = b.reshape(first, &[Expr::one(), Expr::one()])?;
            b.map_broadcast(Func::Add, &[places, first])?
        }
        2 => call.value(1)?,
        _ => return Err(call.error(Code::Shape, format!("the positions are {}, not of rank 1 or 2", call.ty(1)?)).into()),
    };
    let tables = [call.value(2)?, call.value(3)?];
    let turned = turned_at(call, x, (tables, positions), heads_axis, interleaved)?;
    one(call.b().reshape(turned, &dims)?)
}

/// The rows of x turned by the rows of tables, cosines and sines, at positions `[B, S]`.
fn turned_at(call: &mut Call, x: ValueId, (tables, at): ([ValueId; 2], ValueId), heads_axis: usize, interleaved: bool) -> Result<ValueId> {
    let b = call.b();
    let mut angles = tables;
    for angles in &mut angles {
        *angles = b.gather(*angles, at, 0)?;
        *angles = b.unsqueeze(*angles, &[heads_axis])?;
    }
    let half = b.dims(tables[0])[1].clone();
    turned(call, x, &(&half * 2), angles, interleaved)
}

/// The attributes that all forms have.
struct Setting {
    heads: i64,
    scale: Option<f64>,
    /// What is added to the scores of keys that a mask bars.
    far: f64,
    is_causal: bool,
}

impl Setting {
    fn read(call: &Call) -> Result<Setting> {
        let heads = call.int("num_heads")?.ok_or_else(|| call.attribute_error("attribute `num_heads` is missing"))?;
        Ok(Setting {
            heads,
            scale: given_scale(call)?,
            far: call.float_or("mask_filter_value", -10000.0)?,
            is_causal: call.flag_or("unidirectional", false)?,
        })
    }
}

/// A scale of 0 is none.
fn given_scale(call: &Call) -> Result<Option<f64>> {
    Ok(Some(call.float_or("scale", 0.0)?).filter(|scale| *scale != 0.0))
}

/// Attention of heads that hold all keys; `before` are the keys before those of this call. Operand `padding` bars keys, operand `bias`
/// is added to scores. The result is `[B, S, H * E]`.
fn masked(call: &mut Call, setting: &Setting, heads: Heads, before: &Expr, padding: usize, bias: usize) -> Result<ValueId> {
    let (queries, keys) = (call.b().dims(heads.q)[2].clone(), call.b().dims(heads.k)[2].clone());
    let mut mask = Mask::default();
    if let Some(kept) = kept_keys(call, padding, &keys)? {
        let b = call.b();
        let dtype = b.dtype(heads.q);
        let [zero, far] = [0.0, setting.far].map(|number| b.number(dtype, number));
        let added = b.map_broadcast(Func::Select, &[kept, zero, far])?;
        mask.given(call, added)?;
    }
    if let Some(bias) = call.optional_value(bias)? {
        mask.given(call, bias)?;
    }
    if setting.is_causal {
        // where queries and new keys differ in number, implementations differ in how they align them
        call.equal_dims("causal attention: number of queries and keys", std::slice::from_ref(&queries), &[&keys - before])?;
        let first = call.b().size(before, DType::I64)?;
        let places = Places::of(call, first, &queries, &keys)?;
        let allowed = places.no_later_key(call)?;
        mask.allow(call, allowed, false)?;
    }
    let scale = match setting.scale {
        Some(scale) => scale,
        None => default_scale(call, heads.q)?,
    };
    let (result, _) = attend(call, heads, Scores { scale, cap: None, mask, precision: None, shown: None })?;
    joined_heads(call, result)
}

/// Which keys operand `at` keeps, as bools of rank 4: a mask of ones, or for each batch entry the end of what is kept, then its start.
fn kept_keys(call: &mut Call, at: usize, keys: &Expr) -> Result<Option<ValueId>> {
    let Some(mask) = call.optional_value(at)? else { return Ok(None) };
    let dims = call.dims(at)?;
    if dims.len() == 2 || dims.len() == 3 {
        let b = call.b();
        let ones = b.map_number(Func::Greater, mask, 0.0)?;
        let axes: &[usize] = if dims.len() == 2 { &[1, 2] } else { &[1] };
        return b.unsqueeze(ones, axes).map(Some);
    }
    let batch = call.dims(0)?[0].clone();
    let both = dims.len() == 1 && sizes::is_equal(&dims[0], &(&batch * 2)) == Some(true) && !batch.is_zero();
    if !both && (dims.len() != 1 || sizes::is_equal(&dims[0], &batch) == Some(false)) {
        return Err(call.unsupported(format!("a mask {}", call.ty(at)?)));
    }
    let b = call.b();
    let key = b.iota(&[Expr::one(), Expr::one(), Expr::one(), keys.clone()], 3, DType::I64)?;
    let mask = b.convert(mask, DType::I64)?;
    let mut bound = |start: &Expr| {
        let ends = b.slice_axis(mask, 0, start, &batch)?;
        b.unsqueeze(ends, &[1, 2, 3])
    };
    let end = bound(&Expr::zero())?;
    let start = if both { Some(bound(&batch)?) } else { None };
    let kept = b.map_broadcast(Func::Less, &[key, end])?;
    match start {
        Some(start) => {
            let behind = b.map_broadcast(Func::GreaterEqual, &[key, start])?;
            b.map_broadcast(Func::And, &[kept, behind]).map(Some)
        }
        None => Ok(Some(kept)),
    }
}

/// Queries, keys and values are given, side by side, by heads, or in one tensor. Results are the attention, all keys and all values.
pub fn multi_head(call: &mut Call) -> Outcome {
    let setting = Setting::read(call)?;
    if call.wants(3) || call.optional(8).is_some() || call.optional(9).is_some() {
        return Err(call.unsupported("scores as a result, or a buffer of past keys").into());
    }
    let mut heads = given_heads(call, setting.heads)?;
    let mut before = Expr::zero();
    match [call.optional_value(6)?, call.optional_value(7)?] {
        [None, None] => {}
        [Some(key), Some(value)] => {
            let b = call.b();
            heads.k = b.concat(&[key, heads.k], 2)?;
            heads.v = b.concat(&[value, heads.v], 2)?;
            before = b.dims(key)[2].clone();
        }
        _ => return Err(call.error(Code::Malformed, "of past keys and past values one is missing").into()),
    }
    let result = masked(call, &setting, heads, &before, 4, 5)?;
    Ok(vec![result.into(), heads.k.into(), heads.v.into()])
}

fn given_heads(call: &mut Call, count: i64) -> Result<Heads> {
    let ranks =
        [Some(call.rank(0)?), call.optional(1).map(|_| call.rank(1)).transpose()?, call.optional(2).map(|_| call.rank(2)).transpose()?];
    let bias = call.optional_value(3)?;
    if bias.is_some() && ranks != [Some(3); 3] {
        return Err(call.unsupported("a bias of operands that are not side by side"));
    }
    match ranks {
        [Some(5), None, None] => {
            let [q, k, v] = [0, 1, 2].map(|at| packed(call, 0, at));
            Ok(Heads { q: q?, k: k?, v: v? })
        }
        [Some(3), Some(5), None] => {
            let q = call.value(0)?;
            Ok(Heads { q: split_heads(call, q, count)?, k: packed(call, 1, 0)?, v: packed(call, 1, 1)? })
        }
        [Some(3), Some(4), Some(4)] => {
            let q = call.value(0)?;
            Ok(Heads { q: split_heads(call, q, count)?, k: call.value(1)?, v: call.value(2)? })
        }
        [Some(3), Some(3), Some(3)] => {
            let mut start = Expr::zero();
            let mut operand = |at: usize| {
                let (mut x, width) = (call.value(at)?, call.dims(at)?[2].clone());
                if let Some(bias) = bias {
                    let b = call.b();
                    let dims = b.dims(x).to_vec();
                    let bias = b.slice_axis(bias, 0, &start, &width)?;
                    let bias = b.broadcast(bias, &dims)?;
                    x = b.map(Func::Add, &[x, bias])?;
                    start += &width;
                }
                split_heads(call, x, count)
            };
            Ok(Heads { q: operand(0)?, k: operand(1)?, v: operand(2)? })
        }
        other => Err(call.error(Code::Shape, format!("operands of ranks {other:?}"))),
    }
}

/// Part `at` of an operand `[B, S, H, parts, D]`, by heads.
fn packed(call: &mut Call, operand: usize, at: i64) -> Result<ValueId> {
    let x = call.value(operand)?;
    let dims = call.dims(operand)?;
    let b = call.b();
    let one = b.slice_axis(x, 3, &Expr::from(at), &Expr::one())?;
    let one = b.reshape(one, &[dims[0].clone(), dims[1].clone(), dims[2].clone(), dims[4].clone()])?;
    b.transpose(one, &[0, 2, 1, 3])
}

/// Queries, keys and values are projections of one input. Results are the attention, and all keys and values, `[2, B, H, T, D]`.
pub fn self_attention(call: &mut Call) -> Outcome {
    let setting = Setting::read(call)?;
    call.ignore(&["rotary_embedding_dim"]);
    if call.flag_or("do_rotary", false)? || call.flag_or("past_present_share_buffer", false)? || call.optional(6).is_some() {
        return Err(call.unsupported("rotations, or a buffer of past keys").into());
    }
    let [q, k, v] = projections(call)?.map(|x| split_heads(call, x, setting.heads));
    let mut heads = Heads { q: q?, k: k?, v: v? };
    let mut before = Expr::zero();
    if let Some(past) = call.optional_value(4)? {
        let dims = call.dims(4)?;
        let [_, batch, count, length, size] = dims.as_slice() else {
            return Err(call.error(Code::Shape, format!("the past is {}, not of rank 5", call.ty(4)?)).into());
        };
        before = length.clone();
        let b = call.b();
        let mut of_past = |at: i64| {
            let one = b.slice_axis(past, 0, &Expr::from(at), &Expr::one())?;
            b.reshape(one, &[batch.clone(), count.clone(), length.clone(), size.clone()])
        };
        let (key, value) = (of_past(0)?, of_past(1)?);
        heads.k = b.concat(&[key, heads.k], 2)?;
        heads.v = b.concat(&[value, heads.v], 2)?;
    }
    let result = masked(call, &setting, heads, &before, 3, 5)?;
    if !call.wants(1) {
        return one(result);
    }
    let b = call.b();
    let both = [b.unsqueeze(heads.k, &[0])?, b.unsqueeze(heads.v, &[0])?];
    Ok(vec![result.into(), b.concat(&both, 0)?.into()])
}

/// The parts of `x W + bias`, of equal widths where `qkv_hidden_sizes` does not say others.
fn projections(call: &mut Call) -> Result<[ValueId; 3]> {
    if call.rank(0)? != 3 || call.rank(1)? != 2 {
        let message = format!("{} and weights {} are not of ranks 3 and 2", call.ty(0)?, call.ty(1)?);
        return Err(call.error(Code::Shape, message));
    }
    let all = call.dims(1)?[1].clone();
    let widths = match call.ints("qkv_hidden_sizes")?.filter(|widths| !widths.is_empty()) {
        Some(widths) if widths.len() == 3 && widths.iter().all(|width| (0..=1 << 31).contains(width)) => {
            call.equal_dims("columns of the weights", &[Expr::from(widths.iter().sum::<i64>())], std::slice::from_ref(&all))?;
            widths.into_iter().map(Expr::from).collect()
        }
        Some(widths) => return Err(call.attribute_error(format!("attribute `qkv_hidden_sizes` is {widths:?}"))),
        None => vec![part(call, &all, 3)?; 3],
    };
    let (x, weights, bias) = (call.value(0)?, call.value(1)?, call.optional_value(2)?);
    let b = call.b();
    let mut product = b.contract("bsd,dk->bsk", x, weights)?;
    if let Some(bias) = bias {
        let dims = b.dims(product).to_vec();
        let bias = b.broadcast(bias, &dims)?;
        product = b.map(Func::Add, &[product, bias])?;
    }
    let k = &widths[0] + &widths[1];
    Ok([
        b.slice_axis(product, 2, &Expr::zero(), &widths[0])?,
        b.slice_axis(product, 2, &widths[0], &widths[1])?,
        b.slice_axis(product, 2, &k, &widths[2])?,
    ])
}

/// What `GroupQueryAttention` knows of a call.
struct Buffer {
    /// The place of each batch entry's first new key, i64 `[B, 1, 1, 1]`.
    first: ValueId,
    /// The length of the buffers of keys and values.
    length: Expr,
}

/// Causal attention of grouped heads over buffers of keys and values, in which those of this call are put. Results are the attention and
/// the buffers.
pub fn group_query(call: &mut Call) -> Outcome {
    let missing = |name: &str| call.attribute_error(format!("attribute `{name}` is missing"));
    let many = call.int("num_heads")?.ok_or_else(|| missing("num_heads"))?;
    let few = call.int("kv_num_heads")?.ok_or_else(|| missing("kv_num_heads"))?;
    let given = given_scale(call)?;
    let cap = Some(call.float_or("softcap", 0.0)?).filter(|cap| *cap > 0.0);
    let window = Some(call.int_or("local_window_size", -1)?).filter(|window| *window > 0).map(|window| window - 1);
    let (rotates, interleaved) = (call.flag_or("do_rotary", false)?, call.flag_or("rotary_interleaved", false)?);
    if call.int_or("smooth_softmax", 0)? > 0 || call.optional(11).is_some() || call.wants(3) {
        return Err(call.unsupported("a softmax with a sink, or scores as a result").into());
    }
    let mut heads = grouped_operands(call, many, few)?;
    let dims = call.b().dims(heads.q).to_vec();
    let buffer = buffer(call, &dims)?;
    let tables = [call.optional_value(7)?, call.optional_value(8)?];
    let positions = call.optional_value(9)?;
    if rotates {
        let [Some(cos), Some(sin)] = tables else {
            return Err(call.error(Code::Malformed, "the tables of rotations are missing").into());
        };
        if call.rank(7)? != 2 || call.rank(8)? != 2 {
            return Err(call.error(Code::Shape, "the tables of rotations are not of rank 2").into());
        }
        let at = match positions {
            Some(positions) => positions,
            None => {
                let b = call.b();
                let first = b.reshape(buffer.first, &[dims[0].clone(), Expr::one()])?;
                let step = b.iota(&[Expr::one(), dims[2].clone()], 1, DType::I64)?;
                b.map_broadcast(Func::Add, &[first, step])?
            }
        };
        heads.q = turned_at(call, heads.q, ([cos, sin], at), 1, interleaved)?;
        heads.k = turned_at(call, heads.k, ([cos, sin], at), 1, interleaved)?;
    }
    heads.k = with_past(call, 3, heads.k, &buffer)?;
    heads.v = with_past(call, 4, heads.v, &buffer)?;
    let mut mask = Mask::default();
    if let Some(bias) = call.optional_value(10)? {
        mask.given(call, bias)?;
    }
    let places = Places::of(call, buffer.first, &dims[2], &buffer.length)?;
    let allowed = places.no_later_key(call)?;
    mask.allow(call, allowed, false)?;
    for allowed in places.within(call, window, None)? {
        mask.allow(call, allowed, false)?;
    }
    let scale = match given {
        Some(scale) => scale,
        None => default_scale(call, heads.q)?,
    };
    let (result, _) = attend(call, heads, Scores { scale, cap, mask, precision: None, shown: None })?;
    let result = joined_heads(call, result)?;
    Ok(vec![result.into(), heads.k.into(), heads.v.into()])
}

/// Queries, keys and values side by side in three operands or in one.
fn grouped_operands(call: &mut Call, many: i64, few: i64) -> Result<Heads> {
    let given = [call.optional_value(1)?, call.optional_value(2)?];
    for at in (0..3).filter(|at| call.optional(*at).is_some()) {
        if call.rank(at)? != 3 {
            return Err(call.error(Code::Shape, format!("operand {at} is {}, not of rank 3", call.ty(at)?)));
        }
    }
    let q = call.value(0)?;
    let (q, k, v) = match given {
        [Some(k), Some(v)] => (q, k, v),
        [None, None] => {
            let heads = few.checked_mul(2).and_then(|keys| keys.checked_add(many)).unwrap_or(0);
            let width = call.dims(0)?[2].clone();
            let size = part(call, &width, heads)?;
            let (many, few) = (&size * many, &size * few);
            let b = call.b();
            let k = b.slice_axis(q, 2, &many, &few)?;
            let v = b.slice_axis(q, 2, &(&many + &few), &few)?;
            (b.slice_axis(q, 2, &Expr::zero(), &many)?, k, v)
        }
        _ => return Err(call.error(Code::Malformed, "of keys and values one is missing")),
    };
    Ok(Heads { q: split_heads(call, q, many)?, k: split_heads(call, k, few)?, v: split_heads(call, v, few)? })
}

/// Operand 5 has each batch entry's number of keys less one, operand 6 the most of them. `dims` are those of the queries.
fn buffer(call: &mut Call, dims: &[Expr]) -> Result<Buffer> {
    let total = match call.sizes(6, "total_sequence_length")?.as_slice() {
        [total] => total.clone(),
        other => return Err(call.error(Code::Shape, format!("`total_sequence_length` has {} elements", other.len()))),
    };
    call.guard(Condition::AtLeast(total.clone(), dims[2].clone()));
    let length = match call.optional(3) {
        Some(_) if call.rank(3)? != 4 => return Err(call.error(Code::Shape, format!("past keys are {}, not of rank 4", call.ty(3)?))),
        Some(_) => sizes::bounded(sizes::maximum(&total, &call.dims(3)?[2])),
        None => Some(total.clone()),
    };
    let length = length.ok_or_else(|| call.error(Code::Limit, "the length of the buffers is beyond the limits"))?;
    call.equal_dims("dims of `seqlens_k`", &dims[..1], &call.dims(5)?[..])?;
    let last = call.value(5)?;
    let b = call.b();
    let last = b.convert(last, DType::I64)?;
    let zero = b.scalar(DType::I64, Literal::Int(0));
    let first = match sizes::is_equal(&total, &dims[2]) {
        Some(true) => b.broadcast(zero, &dims[..1])?,
        // a first call may have sequences of different lengths, padded behind
        other => {
            let before = b.size(&(&dims[2] - 1), DType::I64)?;
            let first = b.map_broadcast(Func::Sub, &[last, before])?;
            match other {
                Some(_) => first,
                None => {
                    let gap = b.size(&(&total - &dims[2]), DType::I64)?;
                    let is_first = b.map(Func::Equal, &[gap, zero])?;
                    b.map_broadcast(Func::Select, &[is_first, zero, first])?
                }
            }
        }
    };
    Ok(Buffer { first: b.unsqueeze(first, &[1, 2, 3])?, length })
}

/// The buffer, operand `at`, at its new length, with the new rows in their places.
fn with_past(call: &mut Call, at: usize, rows: ValueId, buffer: &Buffer) -> Result<ValueId> {
    let past = call.optional_value(at)?;
    let b = call.b();
    let dims = b.dims(rows).to_vec();
    let zero = b.number(b.dtype(rows), 0.0);
    let mut whole = dims.clone();
    whole[2] = buffer.length.clone();
    let data = match past {
        Some(past) if b.dims(past).len() == 4 => {
            let more = &buffer.length - &b.dims(past)[2];
            let none = vec![Expr::zero(); 4];
            b.pad(past, zero, &none, &[Expr::zero(), Expr::zero(), more, Expr::zero()])?
        }
        Some(_) => return Err(call.error(Code::Shape, format!("operand {at} is {}, not of rank 4", call.ty(at)?))),
        None => b.broadcast(zero, &whole)?,
    };
    let step = b.iota(&[Expr::one(), Expr::one(), dims[2].clone(), Expr::one()], 2, DType::I64)?;
    let places = b.map_broadcast(Func::Add, &[step, buffer.first])?;
    let places = b.broadcast(places, &dims)?;
    b.scatter_elements([data, places, rows], 2, None)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types, ops_of};

    #[test]
    fn rotations_at_positions() {
        let text = "x: f32[b, s, 2] p: i64[1] c: f32[3, 1] = 1 0 1 z: f32[3, 1] = 0 1 0 y = com.microsoft.RotaryEmbedding(x, p, c, z) => y";
        check(text, &["f32[1, 2, 2] 1 2 1 2", "i64[1] 1"], &["f32[1, 2, 2] -2 1 1 2"]);
        let text = text.replace("i64[1]", "i64[b, s]").replace("f32[b, s, 2]", "f32[b, 1, s, 2]");
        check(&text, &["f32[1, 1, 2, 2] 1 2 1 2", "i64[1, 2] 1 0"], &["f32[1, 1, 2, 2] -2 1 1 2"]);
    }

    #[test]
    fn many_heads() {
        let text = |more: &str, attributes: &str, call: &str| {
            format!(
                "q: f32[b, s, 2] k: f32[b, l, 2] v: f32[b, l, 2] {more}
                y, p, w = com.microsoft.MultiHeadAttention {{num_heads = 2{attributes}}} (q, k, v{call}) => y, w"
            )
        };
        let operands = ["f32[1, 2, 2] 0 0 0 0", "f32[1, 2, 2] 1 1 1 1", "f32[1, 2, 2] 1 2 3 4"];
        let values = "f32[1, 2, 2, 1] 1 3 2 4";
        check(&text("", "", ""), &operands, &["f32[1, 2, 2] 2 3 2 3", values]);
        check(&text("", ", unidirectional = 1", ""), &operands, &["f32[1, 2, 2] 1 2 2 3", values]);
        check(&text("m: i32[1, 2] = 0 1", "", ", _, m"), &operands, &["f32[1, 2, 2] 3 4 3 4", values]);
        check(&text("m: i32[1] = 1", "", ", _, m"), &operands, &["f32[1, 2, 2] 1 2 1 2", values]);
        let bias = text("b0: f32[6] = 0 0 0 0 10 20", "", ", b0");
        check(&bias, &operands, &["f32[1, 2, 2] 12 23 12 23", "f32[1, 2, 2, 1] 11 13 22 24"]);
        assert_eq!(ops_of(&text("", "", "").replace("=> y, w", "=> y")).matches("attention").count(), 1);
        check_types(&text("", "", ""), &["f32[b, s, 2]", "f32[b, 2, l, 1]"]);
    }

    #[test]
    fn projections_of_one_input() {
        let text = "x: f32[b, s, 1] w: f32[1, 3] = 0 0 2 c: f32[3] = 0 0 1 p: f32[2, b, 1, t, 1]
            y, n = com.microsoft.Attention {num_heads = 1, unidirectional = 1} (x, w, c, _, p) => y, n";
        let operands = ["f32[1, 2, 1] 1 3", "f32[2, 1, 1, 1, 1] 5 9"];
        check(text, &operands, &["f32[1, 2, 1] 6 6.3333", "f32[2, 1, 1, 3, 1] 5 0 0 9 3 7"]);
        check_problems(
            &text.replace("unidirectional = 1", "qkv_hidden_sizes = [1, 1, 2]"),
            &["[E003] Attention#0: columns of the weights: axis 0 differs: 4 vs 3"],
        );
    }

    const GROUPS: &str = "q: f32[b, s, 2] k: f32[b, s, 1] v: f32[b, s, 1] n: i32[b]";

    #[test]
    fn buffers_of_keys() {
        let text = |more: &str, total: &str, call: &str| {
            let attributes = "num_heads = 2, kv_num_heads = 1, local_window_size = 2";
            format!(
                "{GROUPS} {more} t: i32[] = {total} y, p, w = com.microsoft.GroupQueryAttention {{{attributes}}} (q, k, v, {call}, n, t) => y, w"
            )
        };
        let first = ["f32[1, 3, 2] 0 0 0 0 0 0", "f32[1, 3, 1] 1 1 1", "f32[1, 3, 1] 2 4 8", "i32[1] 2"];
        check(&text("", "3", "_, _"), &first, &["f32[1, 3, 2] 2 2 3 3 6 6", "f32[1, 1, 3, 1] 2 4 8"]);
        let past = "c: f32[b, 1, 4, 1] d: f32[b, 1, 4, 1]";
        let next =
            ["f32[1, 1, 2] 0 0", "f32[1, 1, 1] 1", "f32[1, 1, 1] 2", "i32[1] 2", "f32[1, 1, 4, 1] 1 1 1 1", "f32[1, 1, 4, 1] 6 8 9 9"];
        check(&text(past, "3", "c, d"), &next, &["f32[1, 1, 2] 5 5", "f32[1, 1, 4, 1] 6 8 2 9"]);
        check_problems(
            &text("", "3", "_, _").replace("t: i32[] = 3", "t: i32[]"),
            &[
                "[E006] GroupQueryAttention#0: GroupQueryAttention: `total_sequence_length` is computed from data, and not known before a call",
            ],
        );
    }
}
