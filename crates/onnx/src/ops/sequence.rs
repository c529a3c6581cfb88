//! Sequences of tensors whose length is known at import: they are lists of values, and leave no node. So do optionals.

use super::Entry;
use super::join::{check_sum, piece};
use crate::import::{Call, Known, Out, Outcome, Term, one};
use ir::{Code, DType, Diagnostic, ValueId};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("SequenceEmpty", 11, empty),
    Entry("SequenceConstruct", 11, construct),
    Entry("SequenceInsert", 11, insert),
    Entry("SequenceErase", 11, erase),
    Entry("SequenceAt", 11, at),
    Entry("SequenceLength", 11, length),
    Entry("SplitToSequence", 11, split),
    Entry("ConcatFromSequence", 11, concat),
    Entry("Optional", 15, optional),
    Entry("OptionalGetElement", 15, element),
    Entry("OptionalHasElement", 15, has_element),
];

/// The most elements of a sequence.
const LONGEST: i64 = 4096;

fn empty(call: &mut Call) -> Outcome {
    call.ignore(&["dtype"]);
    Ok(vec![Out::Sequence(vec![])])
}

fn construct(call: &mut Call) -> Outcome {
    let elements = (0..call.operand_count()).map(|at| call.term(at)).collect::<Result<_, _>>()?;
    Ok(vec![Out::Sequence(elements)])
}

/// The place that operand `operand` names in a sequence of `count`, or the end where it is left out. One may stand behind the last only to insert.
fn place(call: &Call, operand: usize, count: usize, end: usize) -> Result<usize, Diagnostic> {
    if call.optional(operand).is_none() {
        return Ok(end);
    }
    let numbers = call.numbers(operand, "position")?;
    let [number] = numbers[..] else { return Err(call.error(Code::Shape, "the position is no scalar")) };
    let place = if number < 0 { number + count as i64 } else { number };
    let inside = usize::try_from(place).ok().filter(|place| *place <= end);
    inside.ok_or_else(|| call.error(Code::Index, format!("position {number} is outside of a sequence of {count}")))
}

fn insert(call: &mut Call) -> Outcome {
    let mut elements = call.sequence(0)?;
    let (element, count) = (call.term(1)?, elements.len());
    if count as i64 >= LONGEST {
        return Err(call.error(Code::Limit, format!("a sequence of more than {LONGEST} elements")).into());
    }
    elements.insert(place(call, 2, count, count)?, element);
    Ok(vec![Out::Sequence(elements)])
}

/// The place of an element that is there.
fn taken(call: &Call, operand: usize, count: usize) -> Result<usize, Diagnostic> {
    let last = count.checked_sub(1).ok_or_else(|| call.error(Code::Index, "the sequence is empty"))?;
    place(call, operand, count, last)
}

fn erase(call: &mut Call) -> Outcome {
    let mut elements = call.sequence(0)?;
    elements.remove(taken(call, 1, elements.len())?);
    Ok(vec![Out::Sequence(elements)])
}

fn at(call: &mut Call) -> Outcome {
    let elements = call.sequence(0)?;
    call.term(1)?;
    one(elements[taken(call, 1, elements.len())?])
}

fn length(call: &mut Call) -> Outcome {
    one(Known::scalar(DType::I64, Expr::from(call.sequence(0)?.len() as i64)))
}

/// Pieces of given sizes, or of one size, of which the last may be smaller; without a size, of 1.
fn split(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let axis = call.normal_axis(call.int_or("axis", 0)?, dims.len())?;
    let keeps = call.flag_or("keepdims", true)? || call.optional(1).is_some();
    let parts = match call.optional(1) {
        Some(_) if call.rank(1)? > 0 => call.sizes(1, "split")?,
        Some(_) => equal_parts(call, &dims[axis], call.numbers(1, "split")?[0])?,
        None => equal_parts(call, &dims[axis], 1)?,
    };
    check_sum(call, &parts, &dims[axis])?;
    let mut start = Expr::zero();
    let mut elements = Vec::new();
    for part in &parts {
        let piece = match piece(call, axis, &start, part)? {
            Out::Known(known) => call.cx.known_term("piece", known),
            out => {
                let id = value_of(call, out)?;
                call.cx.built("piece", id)
            }
        };
        elements.push(if keeps { piece } else { without_axis(call, piece, axis)? });
        start += part;
    }
    Ok(vec![Out::Sequence(elements)])
}

fn value_of(call: &mut Call, out: Out) -> Result<ValueId, Diagnostic> {
    match out {
        Out::Value(id) => Ok(id),
        Out::Term(term) => call.cx.emit(term),
        _ => Err(call.unsupported("a piece that is no tensor")),
    }
}

fn without_axis(call: &mut Call, piece: Term, axis: usize) -> Result<Term, Diagnostic> {
    let x = call.cx.emit(piece)?;
    let mut dims = call.b().dims(x).to_vec();
    dims.remove(axis);
    let x = call.b().reshape(x, &dims)?;
    Ok(call.cx.built("piece", x))
}

fn equal_parts(call: &Call, dim: &Expr, size: i64) -> Result<Vec<Expr>, Diagnostic> {
    if size < 1 {
        return Err(call.error(Code::Shape, format!("pieces of {size}")));
    }
    let dim = dim.as_const().ok_or_else(|| call.unsupported(format!("the number of pieces of {size} of an axis of {dim}")))?;
    if dim / size > LONGEST {
        return Err(call.error(Code::Limit, format!("{dim} in pieces of {size} is a sequence of more than {LONGEST}")));
    }
    Ok((0..dim).step_by(size as usize).map(|start| Expr::from(size.min(dim - start))).collect())
}

fn concat(call: &mut Call) -> Outcome {
    let axis = call.int("axis")?.ok_or_else(|| call.attribute_error("attribute `axis` is missing"))?;
    let new_axis = call.flag_or("new_axis", false)?;
    let elements = call.sequence(0)?;
    let Some(first) = elements.first() else { return Err(call.error(Code::Shape, "the sequence is empty").into()) };
    let rank = call.cx.ty(*first).rank() + usize::from(new_axis);
    let axis = call.normal_axis(axis, rank)?;
    let mut values = Vec::new();
    for element in elements {
        let value = call.cx.emit(element)?;
        values.push(if new_axis { call.b().unsqueeze(value, &[axis])? } else { value });
    }
    one(call.b().concat(&values, axis)?)
}

fn optional(call: &mut Call) -> Outcome {
    match call.optional(0) {
        Some(term) => one(term),
        None => Err(call.unsupported("an optional without a value").into()),
    }
}

fn element(call: &mut Call) -> Outcome {
    one(call.term(0)?)
}

fn has_element(call: &mut Call) -> Outcome {
    let is_there = call.optional(0).is_some();
    one(Known::scalar(DType::Bool, Expr::from(i64::from(is_there))))
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn sequences_are_lists() {
        let x = "f32[5] 1 2 3 4 5";
        let text = "x: f32[5] two: i64[] = 2 last: i64[] = -1 s = SplitToSequence(x, two) y = SequenceAt(s, last) n = SequenceLength(s)
            z = ConcatFromSequence {axis = 0} (s) => y, n, z";
        check(text, &[x], &["f32[1] 5", "i64[] 3", "f32[5] 1 2 3 4 5"]);
        let text = "x: f32[2] y: f32[2] one: i64[] = 1 s = SequenceConstruct(x, y) t = SequenceInsert(s, y, one) u = SequenceErase(t)
            z = ConcatFromSequence {axis = 0, new_axis = 1} (u) => z";
        check(text, &["f32[2] 1 2", "f32[2] 3 4"], &["f32[2, 2] 1 2 3 4"]);
        let text = "x: f32[2, n] s = SplitToSequence {keepdims = 0} (x) zero: i64[] = 0 y = SequenceAt(s, zero) => y";
        check(text, &["f32[2, 1] 1 2"], &["f32[1] 1"]);
        let text =
            "x: f32[1] e = SequenceEmpty() s = SequenceInsert(e, x) o = Optional(s) g = OptionalGetElement(o) h = OptionalHasElement(o)
            y = ConcatFromSequence {axis = 0} (g) => y, h";
        check(text, &["f32[1] 7"], &["f32[1] 7", "bool[] 1"]);
    }

    #[test]
    fn what_is_no_tensor_is_refused() {
        check_problems("x: f32[2] s = SequenceConstruct(x) y = Relu(s) => y", &["[E006] Relu#1: Relu: a sequence is not supported"]);
        check_problems("x: f32[2] s = SequenceConstruct(x) => s", &["[E006] model: `s` is a sequence; only tensors are supported"]);
        check_problems(
            "x: f32[2] two: i64[] = 2 s = SequenceConstruct(x) y = SequenceAt(s, two) => y",
            &["[E010] SequenceAt#1: position 2 is outside of a sequence of 1"],
        );
        check_problems("s = SequenceEmpty() y = SequenceErase(s) => y", &["[E010] SequenceErase#1: the sequence is empty"]);
        check_problems(
            "x: f32[n] s = SplitToSequence(x) => s",
            &["[E006] SplitToSequence#0: SplitToSequence: the number of pieces of 1 of an axis of n"],
        );
    }
}
