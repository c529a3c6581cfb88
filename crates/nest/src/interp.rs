//! The interpreter: what a nest means, in f64 and exact integers. It is the judge of every kernel, so its only arithmetic is
//! `Func::eval`, `convert` and the monoids' identities.
//!
//! A nest is made ready for its sizes ([`code`]) and evaluated for blocks of points, scalar by scalar ([`block`]). Inside a block the
//! reduction's points run one after the other, the first reduction iterator outermost. Scalars that the writes do not need are not
//! evaluated. Nothing is rounded to the body's float types; [`run_bounded`] says how far a computation that rounds may lie away.
//!
//! Errors are texts. Two kinds are the user's: one that starts with `E010`, an index read from data is outside, and one that starts with
//! `E011`, a scalar that a write wants finite is not. The others are faults of the nest.

mod block;
mod bound;
mod code;
mod column;
mod poly;
mod read;

use crate::nest::{Monoid, Nest};
use block::{Block, LANES, Written};
use code::{Code, Track};
use ir::{Array, DType, Literal};
use std::collections::BTreeMap;
use sym::Sym;

/// Evaluates the nest and stores every write in `outputs`, one array a write; elements that no point writes stay as they are.
pub fn run(nest: &Nest, operands: &[&Array], sizes: &BTreeMap<Sym, i64>, outputs: &mut [Array]) -> Result<(), String> {
    let code = compile(nest, operands, sizes, Track::Values, &[])?;
    check_outputs(nest, &code, outputs)?;
    for_each_block(&code, operands, &[], |write, written| match code.writes[write].combine {
        None => store(&written, &mut outputs[write]),
        Some(combine) => update(combine, code.writes[write].dtype, &written, &mut outputs[write], None),
    })
}

/// Like [`run`]; gives for each write an f64 array of bounds: `|computed - output| <= bound` for any computation that rounds each float
/// scalar to its type, sums in any order, and reads operands that differ from the given ones by at most `errors`: for each operand an f64
/// array of its dims, or None where it is exact; empty where all are. For a contraction of length K of exact operands the bound is
/// `(K + 8) u sum |terms|`; a value that only copies has the bound of what it copies,
/// what an update finds there has 0. A bound is infinite where an error may reach a pole,
/// or an index that is read from data may be another one; an integer or bool has 1 or more where it may flip.
pub fn run_bounded(
    nest: &Nest,
    operands: &[&Array],
    errors: &[Option<&Array>],
    sizes: &BTreeMap<Sym, i64>,
    outputs: &mut [Array],
) -> Result<Vec<Array>, String> {
    let code = compile(nest, operands, sizes, Track::Bounds, errors)?;
    check_outputs(nest, &code, outputs)?;
    let mut bounds: Vec<Array> =
        outputs.iter().map(|output| Array::filled(DType::F64, output.dims().to_vec(), Literal::Float(0.0))).collect();
    for_each_block(&code, operands, errors, |write, written| {
        if let Some(combine) = code.writes[write].combine {
            return update(combine, code.writes[write].dtype, &written, &mut outputs[write], Some(&mut bounds[write]));
        }
        store(&written, &mut outputs[write]);
        for (lane, position) in written.places() {
            bounds[write].set(position, Literal::Float(written.error(lane)));
        }
    })?;
    Ok(bounds)
}

/// One element that a point writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Row-major position in the write's tensor.
    pub position: usize,
    pub value: Literal,
    /// As of [`run_bounded`] with exact operands.
    pub bound: f64,
}

/// Evaluates only the parallel points with these numbers (row-major, below [`point_count`]); gives what each write stores, in the order
/// of `points`. The nest has no updates.
pub fn run_points(nest: &Nest, operands: &[&Array], sizes: &BTreeMap<Sym, i64>, points: &[usize]) -> Result<Vec<Vec<Sample>>, String> {
    let code = compile(nest, operands, sizes, Track::Bounds, &[])?;
    let count = code.point_count();
    if nest.updates() {
        return Err("bug: single points of an update".to_string());
    }
    if let Some(point) = points.iter().find(|point| **point >= count) {
        return Err(format!("bug: point {point} of a nest of {count}"));
    }
    let mut samples = vec![Vec::with_capacity(points.len()); nest.writes.len()];
    let mut block = Block::new(&code, operands, &[]);
    for numbers in points.chunks(LANES) {
        block.load_points(numbers);
        block.run()?;
        for (write, samples) in code.writes.iter().zip(&mut samples) {
            samples.extend(block.written(write)?.samples());
        }
    }
    Ok(samples)
}

/// How many parallel points the nest has.
pub fn point_count(nest: &Nest, sizes: &BTreeMap<Sym, i64>) -> Result<usize, String> {
    Ok(Code::compile(nest, sizes, Track::Values, &[])?.point_count())
}

fn compile(nest: &Nest, operands: &[&Array], sizes: &BTreeMap<Sym, i64>, track: Track, errors: &[Option<&Array>]) -> Result<Code, String> {
    if operands.len() != nest.operands.len() {
        return Err(format!("bug: {} operands for a nest of {}", operands.len(), nest.operands.len()));
    }
    for (operand, array) in nest.operands.iter().zip(operands) {
        let dims: Option<Vec<usize>> =
            operand.ty.dims.iter().map(|dim| usize::try_from(dim.eval(&|sym| sizes.get(sym).copied())?).ok()).collect();
        if operand.ty.dtype != array.dtype() || dims.as_deref() != Some(array.dims()) {
            return Err(format!("bug: operand {}: {} is given {}{:?}", operand.name, operand.ty, array.dtype(), array.dims()));
        }
    }
    if !errors.is_empty() && errors.len() != operands.len() {
        return Err(format!("bug: {} errors for {} operands", errors.len(), operands.len()));
    }
    for (operand, (array, error)) in nest.operands.iter().zip(operands.iter().zip(errors)) {
        if error.is_some_and(|error| error.dtype() != DType::F64 || error.dims() != array.dims()) {
            return Err(format!("bug: operand {}: its errors have another shape", operand.name));
        }
    }
    let uncertain: Vec<bool> = errors.iter().map(Option::is_some).collect();
    Code::compile(nest, sizes, track, &uncertain)
}

fn check_outputs(nest: &Nest, code: &Code, outputs: &[Array]) -> Result<(), String> {
    if nest.writes.len() != outputs.len() {
        return Err(format!("bug: {} outputs for a nest of {} writes", outputs.len(), nest.writes.len()));
    }
    for (write, (declared, output)) in code.writes.iter().zip(nest.writes.iter().zip(outputs)) {
        if declared.ty.dtype != output.dtype() || nest.scalar(declared.value).dtype != output.dtype() || write.dims != output.dims() {
            return Err(format!("bug: write {}: {} is given {}{:?}", declared.name, declared.ty, output.dtype(), output.dims()));
        }
    }
    Ok(())
}

fn for_each_block(
    code: &Code,
    operands: &[&Array],
    errors: &[Option<&Array>],
    mut visit: impl FnMut(usize, Written),
) -> Result<(), String> {
    let mut block = Block::new(code, operands, errors);
    let (count, row) = (code.point_count(), block_row(code));
    let mut first = 0;
    while first < count {
        let lanes = LANES.min(count - first).min(row - first % row);
        block.load_range(first, lanes);
        block.run()?;
        for (at, write) in code.writes.iter().enumerate() {
            visit(at, block.written(write)?);
        }
        first += lanes;
    }
    Ok(())
}

/// Blocks end where a long innermost row ends: their lanes then read neighbours. Short rows are joined.
fn block_row(code: &Code) -> usize {
    let innermost = code.points.last().map_or(1, |iter| code.extents[*iter] as usize);
    if innermost >= LANES / 4 { innermost } else { code.point_count().max(1) }
}

fn store(written: &Written, output: &mut Array) {
    for (lane, position) in written.places() {
        output.set(position, written.values.get(lane));
    }
}

/// Folds the values into the elements that are there, one after the other, and what they and each rounding add into the bounds. What is
/// stored between two of them is an element, a number of its type.
fn update(combine: Monoid, dtype: DType, written: &Written, output: &mut Array, mut bounds: Option<&mut Array>) {
    let func = combine.func();
    for (lane, position) in written.places() {
        let operands = [output.get(position), written.values.get(lane)];
        let value = match func.eval(dtype, &operands) {
            Literal::Float(value) => Literal::Float(dtype.rounded(value)),
            value => value,
        };
        output.set(position, value);
        if let Some(bounds) = &mut bounds {
            let errors = [bounds.get(position).as_f64(), written.error(lane)];
            let moved = bound::propagated(func, dtype, &operands, &errors, value);
            let reach = Literal::Float(value.as_f64().abs() + moved);
            bounds.set(position, Literal::Float(moved + bound::own(func, dtype, reach)));
        }
    }
}

impl Written<'_> {
    fn error(&self, lane: usize) -> f64 {
        self.errors.map_or(0.0, |errors| errors[lane])
    }

    fn samples(&self) -> impl Iterator<Item = Sample> + '_ {
        self.places().map(|(lane, position)| Sample { position, value: self.values.get(lane), bound: self.error(lane) })
    }
}

#[cfg(test)]
mod tests;
