//! Tensors put together and taken apart along an axis.

use super::Entry;
use crate::import::{Call, Known, Out, Outcome, one, sizes};
use ir::guard::Condition;
use ir::{Code, Diagnostic};
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("Concat", 4, concat), Entry("Split", 2, split)];

fn concat(call: &mut Call) -> Outcome {
    let axis = call.int("axis")?.ok_or_else(|| call.attribute_error("attribute `axis` is missing"))?;
    let axis = call.normal_axis(axis, call.rank(0)?)?;
    let known: Option<Vec<Known>> = if fits_known(call)? { (0..call.operand_count()).map(|at| call.known(at)).collect() } else { None };
    if let Some(known) = known.and_then(|known| joined(&known, axis)) {
        return one(known);
    }
    let operands = call.values()?;
    one(call.b().concat(&operands, axis)?)
}

/// Whether the operands are few numbers in all: the sum is known before any of them is copied.
fn fits_known(call: &Call) -> Result<bool, Diagnostic> {
    let mut count: usize = 0;
    for at in 0..call.operand_count() {
        let elements: Option<i64> = call.dims(at)?.iter().map(Expr::as_const).try_fold(1i64, |product, dim| product.checked_mul(dim?));
        let Some(elements) = elements.and_then(|elements| usize::try_from(elements).ok()) else { return Ok(false) };
        count = count.saturating_add(elements);
    }
    Ok(count <= Known::LIMIT)
}

/// The operands one after the other; None where they do not fit.
fn joined(operands: &[Known], axis: usize) -> Option<Known> {
    let first = operands.first()?;
    let other_dims = |known: &Known| [&known.dims[..axis], known.dims.get(axis + 1..).unwrap_or_default()].concat();
    let fits = |known: &Known| known.dtype == first.dtype && known.dims.len() == first.dims.len() && other_dims(known) == other_dims(first);
    if !operands.iter().all(fits) {
        return None;
    }
    let size: usize = operands.iter().map(|known| known.dims[axis]).sum();
    let blocks: usize = first.dims[..axis].iter().product();
    let mut values = Vec::new();
    for block in 0..blocks {
        for known in operands {
            let length: usize = known.dims[axis..].iter().product();
            values.extend_from_slice(&known.values[block * length..(block + 1) * length]);
        }
    }
    let mut dims = first.dims.clone();
    dims[axis] = size;
    Some(Known { dtype: first.dtype, dims, values })
}

fn split(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let axis = call.normal_axis(call.int_or("axis", 0)?, dims.len())?;
    let parts = match split_sizes(call)? {
        Some(parts) => {
            check_sum(call, &parts, &dims[axis])?;
            parts
        }
        None => equal_parts(call, &dims[axis])?,
    };
    if parts.len() < call.output_count() {
        return Err(call.error(Code::Shape, format!("{} parts for {} results", parts.len(), call.output_count())).into());
    }
    let mut start = Expr::zero();
    let mut outs = Vec::new();
    for part in &parts {
        outs.push(piece(call, axis, &start, part)?);
        start += part;
    }
    Ok(outs)
}

/// The sizes that the node gives.
fn split_sizes(call: &Call) -> Result<Option<Vec<Expr>>, Diagnostic> {
    match call.opset < 13 {
        true => Ok(call.ints("split")?.map(|parts| parts.into_iter().map(Expr::from).collect())),
        false if call.optional(1).is_some() => call.sizes(1, "split").map(Some),
        false => Ok(None),
    }
}

pub(super) fn check_sum(call: &mut Call, parts: &[Expr], dim: &Expr) -> Result<(), Diagnostic> {
    if parts.iter().any(|part| sizes::is_nonnegative(part) == Some(false)) {
        return Err(call.error(Code::Shape, format!("parts {parts:?} of negative size")));
    }
    let sum = parts.iter().fold(Expr::zero(), |sum, part| sum + part.clone());
    match sizes::is_equal(&sum, dim) {
        Some(true) => Ok(()),
        Some(false) => Err(call.error(Code::Shape, format!("parts {parts:?} do not add up to {dim}"))),
        None => {
            call.guard(Condition::Equal(sum, dim.clone()));
            Ok(())
        }
    }
}

/// As many parts as results. From opset 18 the last may be smaller, which needs a known size.
fn equal_parts(call: &mut Call, dim: &Expr) -> Result<Vec<Expr>, Diagnostic> {
    let count = call.output_count() as i64;
    let uneven = call.opset >= 18;
    if count == 0 {
        return Err(call.error(Code::Malformed, "Split has no results"));
    }
    if uneven && call.int_or("num_outputs", count)? != count {
        return Err(call.attribute_error(format!("attribute `num_outputs` is not the number of results, {count}")));
    }
    if let Some(part) = dim.exact_div(&Expr::from(count)) {
        return Ok(vec![part; count as usize]);
    }
    match dim.as_const() {
        Some(dim) if uneven => {
            let part = (dim + count - 1) / count;
            Ok((0..count).map(|at| Expr::from((dim - at * part).clamp(0, part))).collect())
        }
        Some(dim) => Err(call.error(Code::Shape, format!("{dim} does not divide into {count} equal parts"))),
        None => {
            let part = dim.floor_div(&Expr::from(count));
            call.guard(Condition::Equal(&part * count, dim.clone()));
            Ok(vec![part; count as usize])
        }
    }
}

/// `size` elements of operand 0 from `start` on.
pub(super) fn piece(call: &mut Call, axis: usize, start: &Expr, size: &Expr) -> Result<Out, Diagnostic> {
    if let Some(known) = call.known(0).and_then(|known| known_piece(&known, axis, start, size)) {
        return Ok(known.into());
    }
    let x = call.value(0)?;
    Ok(call.b().slice_axis(x, axis, start, size)?.into())
}

fn known_piece(known: &Known, axis: usize, start: &Expr, size: &Expr) -> Option<Known> {
    let (start, size) = (usize::try_from(start.as_const()?).ok()?, usize::try_from(size.as_const()?).ok()?);
    let mut dims = known.dims.clone();
    dims[axis] = size;
    known.arranged(dims, |index| {
        let mut source = index.to_vec();
        source[axis] += start;
        Some(source)
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types};

    #[test]
    fn parts_come_together_and_apart() {
        check("x: f32[2, n] y = Concat {axis = 1} (x, x) => y", &["f32[2, 1] 1 2"], &["f32[2, 2] 1 1 2 2"]);
        check("opset 11 x: f32[3] a, b = Split {split = [1, 2]} (x) => b, a", &["f32[3] 1 2 3"], &["f32[2] 2 3", "f32[1] 1"]);
        check(
            "x: f32[5] a, b, c = Split {num_outputs = 3} (x) => a, b, c",
            &["f32[5] 1 2 3 4 5"],
            &["f32[2] 1 2", "f32[2] 3 4", "f32[1] 5"],
        );
        check_types("x: f32[2, n] a, b = Split {axis = 1} (x) => a", &["f32[2, (n)/(2)]", "2*((n)/(2)) == n"]);
        check_problems("opset 11 x: f32[3] a, b = Split(x) => a", &["[E003] Split#0: 3 does not divide into 2 equal parts"]);
    }
}
