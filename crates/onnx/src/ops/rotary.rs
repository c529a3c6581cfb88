//! Positions as rotations.

use super::Entry;
use super::attention::heads::part;
use crate::import::{Call, Outcome, one};
use ir::guard::Condition;
use ir::{Code, Diagnostic, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("RotaryEmbedding", 23, rotary_embedding)];

type Result<T> = std::result::Result<T, Diagnostic>;

/// Turns pairs of elements by angles that are given as cosines and sines: for each batch entry and position, or as tables of positions.
/// Operands are `[B, H, S, D]`, or heads side by side `[B, S, H * D]`.
fn rotary_embedding(call: &mut Call) -> Outcome {
    let count = call.int("num_heads")?;
    let (size, interleaved) = (call.int_or("rotary_embedding_dim", 0)?, call.flag_or("interleaved", false)?);
    if !(0..=1 << 31).contains(&size) {
        return Err(call.attribute_error(format!("attribute `rotary_embedding_dim` is {size}")).into());
    }
    let dims = call.dims(0)?;
    let x = call.value(0)?;
    let (x, heads_axis) = match dims.as_slice() {
        [_, _, _, _] => (x, 1),
        [batch, length, width] => {
            let count = count.filter(|count| *count != 0).ok_or_else(|| call.attribute_error("attribute `num_heads` is missing"))?;
            let size = part(call, width, count)?;
            (call.b().reshape(x, &[batch.clone(), length.clone(), Expr::from(count), size])?, 2)
        }
        _ => return Err(call.error(Code::Shape, format!("{} is not of rank 3 or 4", call.ty(0)?)).into()),
    };
    let angles = [angles(call, 1)?, angles(call, 2)?];
    let b = call.b();
    let angles = [b.unsqueeze(angles[0], &[heads_axis])?, b.unsqueeze(angles[1], &[heads_axis])?];
    let size = if size == 0 { b.dims(x)[3].clone() } else { Expr::from(size) };
    let turned = turned(call, x, &size, angles, interleaved)?;
    one(call.b().reshape(turned, &dims)?)
}

/// Operand `at`, cosines or sines, as `[B, S, D/2]`: by the positions where these are given.
fn angles(call: &mut Call, at: usize) -> Result<ValueId> {
    let (angles, positions) = (call.value(at)?, call.optional_value(3)?);
    let (rank, wanted) = (call.rank(at)?, if positions.is_some() { 2 } else { 3 });
    if rank != wanted {
        return Err(call.error(Code::Shape, format!("operand {at} is {}, not of rank {wanted}", call.ty(at)?)));
    }
    match positions {
        Some(positions) if call.b().dims(positions).len() == 2 => call.b().gather(angles, positions, 0),
        Some(_) => Err(call.error(Code::Shape, format!("the positions are {}, not of rank 2", call.ty(3)?))),
        None => Ok(angles),
    }
}

/// The first `size` elements of rows turned in pairs: neighbours, or those of two halves. `angles` broadcast to half of a row.
pub(super) fn turned(call: &mut Call, x: ValueId, size: &Expr, [cos, sin]: [ValueId; 2], interleaved: bool) -> Result<ValueId> {
    let dims = call.b().dims(x).to_vec();
    let last = dims.len() - 1;
    let half = part(call, size, 2)?;
    let rest = &dims[last] - size;
    if rest.as_const().is_some_and(|rest| rest < 0) {
        return Err(call.error(Code::Shape, format!("{size} elements of {} are to be turned", dims[last])));
    }
    call.guard(Condition::AtLeast(dims[last].clone(), size.clone()));
    let b = call.b();
    let mut sizes = dims.clone();
    sizes[last] = half.clone();
    let mut starts = vec![Expr::zero(); dims.len()];
    let mut steps = vec![1; dims.len()];
    starts[last] = if interleaved { Expr::one() } else { half.clone() };
    steps[last] = if interleaved { 2 } else { 1 };
    let first = b.slice(x, &vec![Expr::zero(); dims.len()], &sizes, &steps)?;
    let second = b.slice(x, &starts, &sizes, &steps)?;
    let [cos, sin] = [b.broadcast(cos, &sizes)?, b.broadcast(sin, &sizes)?];
    let mut sum = |func: Func, a: ValueId, c: ValueId| {
        let (left, right) = (b.map(Func::Mul, &[cos, a])?, b.map(Func::Mul, &[sin, c])?);
        b.map(func, &[left, right])
    };
    let parts = [sum(Func::Sub, first, second)?, sum(Func::Add, second, first)?];
    let turned = match interleaved {
        true => {
            let parts = [b.unsqueeze(parts[0], &[last + 1])?, b.unsqueeze(parts[1], &[last + 1])?];
            let pairs = b.concat(&parts, last + 1)?;
            let mut dims = dims.clone();
            dims[last] = size.clone();
            b.reshape(pairs, &dims)?
        }
        false => b.concat(&parts, last)?,
    };
    if rest.is_zero() {
        return Ok(turned);
    }
    let rest = b.slice_axis(x, last, size, &rest)?;
    b.concat(&[turned, rest], last)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types};

    #[test]
    fn halves_or_neighbours_are_turned() {
        let text = |attributes: &str| {
            format!("x: f32[b, 1, s, 4] c: f32[b, s, 2] z: f32[b, s, 2] y = RotaryEmbedding {{{attributes}}} (x, c, z) => y")
        };
        let operands = ["f32[1, 1, 1, 4] 1 2 3 4", "f32[1, 1, 2] 1 0", "f32[1, 1, 2] 0 1"];
        check(&text("interleaved = 0"), &operands, &["f32[1, 1, 1, 4] 1 -4 3 2"]);
        check(&text("interleaved = 1"), &operands, &["f32[1, 1, 1, 4] 1 2 -4 3"]);
        check_problems(&text("rotary_embedding_dim = 6"), &["[E003] RotaryEmbedding#0: 6 elements of 4 are to be turned"]);
        check_problems(&text("rotary_embedding_dim = 3"), &["[E003] RotaryEmbedding#0: 3 does not divide into 2 equal parts"]);
    }

    #[test]
    fn positions_pick_rows() {
        let text = "x: f32[b, s, 6] c: f32[2, 1] = 1 0 z: f32[2, 1] = 0 1 p: i64[b, s]
            y = RotaryEmbedding {num_heads = 2, rotary_embedding_dim = 2} (x, c, z, p) => y";
        check(text, &["f32[1, 2, 6] 1 2 3 4 5 6 1 2 3 4 5 6", "i64[1, 2] 0 1"], &["f32[1, 2, 6] 1 2 3 4 5 6 -2 1 3 -5 4 6"]);
        check_types(text, &["f32[b, s, 6]"]);
        check_problems(&text.replace("num_heads = 2, ", ""), &["[E005] RotaryEmbedding#0: attribute `num_heads` is missing"]);
    }
}
