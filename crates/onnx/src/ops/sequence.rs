//! Sequences of tensors whose length is known at import: they are lists of values, and leave no node. So do optionals.

use super::Entry;
use super::join::{check_sum, piece};
use crate::import::{Call, Content, Known, LONGEST, Out, Outcome, Term, one};
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
    Entry("SequenceMap", 17, map),
    Entry("Optional", 15, optional),
    Entry("OptionalGetElement", 15, element),
    Entry("OptionalHasElement", 15, has_element),
];

fn empty(call: &mut Call) -> Outcome {
    call.ignore(&["dtype"]);
    Ok(vec![Out::Sequence(vec![])])
}

fn construct(call: &mut Call) -> Outcome {
    let elements = (0..call.operand_count()).map(|at| call.term(at)).collect::<Result<_, _>>()?;
    Ok(vec![Out::Sequence(elements)])
}

/// The place that operand `operand` names in a sequence of `count`, or the end where it is left out. One may stand behind the last only to
/// insert.
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
    if call.cx.content(element) != Content::Tensor {
        return Err(call.unsupported(format!("{} as an element", call.cx.content(element).text())).into());
    }
    if count >= LONGEST {
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
    if dim / size > LONGEST as i64 {
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

/// The body's results for each element of the first operand; other sequences give their elements in step, tensors the same each time.
fn map(call: &mut Call) -> Outcome {
    let graph = call.graph("body")?;
    let count = call.sequence(0)?.len();
    let operands = (0..call.operand_count()).map(|at| call.term(at)).collect::<Result<Vec<Term>, _>>()?;
    let other =
        operands.iter().map(|term| call.cx.content(*term)).find(|content| !matches!(content, Content::Tensor | Content::Sequence(_)));
    if let Some(other) = other {
        return Err(call.unsupported(other.text()).into());
    }
    if let Some(other) = operands.iter().filter_map(|term| call.cx.sequence(*term)).find(|elements| elements.len() != count) {
        return Err(call.error(Code::Shape, format!("a sequence of {count} beside one of {}", other.len())).into());
    }
    let mut results = vec![Vec::new(); graph.output.len()];
    for at in 0..count {
        call.cx.count_nodes(1)?;
        let given: Vec<Term> = operands.iter().map(|term| call.cx.sequence(*term).map_or(*term, |elements| elements[at])).collect();
        for (list, term) in results.iter_mut().zip(call.cx.subgraph(graph, "body", &given)?) {
            if call.cx.content(term) != Content::Tensor {
                return Err(call.unsupported(format!("{} as an element", call.cx.content(term).text())).into());
            }
            list.push(term);
        }
    }
    Ok(results.into_iter().map(Out::Sequence).collect())
}

/// Without an operand it has no value, whose type means nothing here.
fn optional(call: &mut Call) -> Outcome {
    call.ignore(&["type"]);
    one(call.optional(0).map_or(Out::Nothing, Out::Term))
}

fn element(call: &mut Call) -> Outcome {
    let term = call.term(0)?;
    match call.cx.content(term) {
        Content::Nothing => Err(call.error(Code::Index, "the optional has no value").into()),
        Content::Tensor | Content::Sequence(_) => one(term),
    }
}

fn has_element(call: &mut Call) -> Outcome {
    let is_there = call.optional(0).is_some_and(|term| call.cx.content(term) != Content::Nothing);
    one(Known::scalar(DType::Bool, Expr::from(i64::from(is_there))))
}

#[cfg(test)]
mod tests {
    use crate::import::{Content, ImportOptions};
    use crate::testing::{check, check_named, check_problems, imported};

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
    fn sequences_are_given_and_taken_element_by_element() {
        let contents = [("s", Content::Sequence(2)), ("o", Content::Nothing), ("p", Content::Sequence(1)), ("q", Content::Tensor)];
        let contents = contents.map(|(name, content)| (name.to_string(), content)).into();
        let text = "s: seq f32[n] o: optional f32[2] p: optional seq i64[1] q: optional f32[1] h = OptionalHasElement(o)
            t = SequenceMap {body = graph { a: f32[n] b: f32[1] c = Add(a, b) d = Shape(a) => c, d }} (s, q) e = SequenceInsert(t, q) => e, o, h, p";
        let text = text.replace("t = Seq", "t, u = Seq").replace("=> e,", "=> e, u,");
        let options = ImportOptions { contents, ..ImportOptions::default() };
        let inputs = ["f32[2] 1 2", "f32[1] 3", "i64[1] 7", "f32[1] 10"];
        let want =
            ["e[0] f32[2] 11 12", "e[1] f32[1] 13", "e[2] f32[1] 10", "u[0] i64[1] 2", "u[1] i64[1] 1", "h bool[] 0", "p[0] i64[1] 7"];
        check_named(&text, &options, &inputs, &want);
        check_problems("s: seq f32[n] => s", &["[E006] s: the input is a sequence; how long it is is not known before a call"]);
        check_problems(
            "o: optional f32[n] => o",
            &["[E006] o: the input is an optional tensor; whether it has a value is not known before a call"],
        );
        let contents = [("o", Content::Sequence(1)), ("z", Content::Nothing)].map(|(name, content)| (name.to_string(), content)).into();
        let problems = imported("o: optional f32[n] => o", &ImportOptions { contents, ..ImportOptions::default() }).unwrap_err();
        let want = "[E009] o: the input is an optional tensor, and can't be a sequence\n[E009] z: the model has no such input";
        assert_eq!(problems.to_string(), want);
    }

    #[test]
    fn branches_and_loops_give_sequences() {
        let branches = "c: bool[] x: f32[2] s = If {then_branch = graph { a = SequenceConstruct(x, x) => a },
            else_branch = graph { y = Neg(x) b = SequenceConstruct(y, x) => b }} (c) z = ConcatFromSequence {axis = 0} (s) => z";
        check(branches, &["bool[] 0", "f32[2] 1 2"], &["f32[4] -1 -2 1 2"]);
        let message = "the branches give a sequence of 2 and an optional without a value, and which is taken is not known before a call";
        let other = branches
            .replace("y = Neg(x) b = SequenceConstruct(y, x)", "b = Optional()")
            .replace("z = Conc", "h = OptionalHasElement(s) z = Conc");
        check_problems(&other, &[&format!("[E006] If#0: {message}")]);
        let known = other.replace("c: bool[]", "c: bool[] = 1");
        check(&known, &["f32[2] 1 2"], &["f32[4] 1 2 1 2"]);
        let looped = "k: i64[] = 3 one: i64[] = 1 zero: i64[1] = 0 x: f32[4] e = SequenceEmpty() s, y = Loop {body = graph {
            i: i64[] c: bool[] t: f32[] n = Add(i, one) m = Unsqueeze(n, zero) p = Slice(x, zero, m) u = SequenceInsert(t, p)
            r = ReduceSum {keepdims = 0} (p) => c, u, r }} (k, _, e) z = ConcatFromSequence {axis = 0} (s) => z, y";
        check(looped, &["f32[4] 1 2 3 4"], &["f32[6] 1 1 2 1 2 3", "f32[3] 1 3 6"]);
        let message = "whether it goes on is computed from data, and what it carries changes its type";
        let data = looped.replace("=> c, u", "v = Less(r, r) => v, u");
        check_problems(&data, &[&format!("[E006] Loop#1: Loop: {message}")]);
    }

    #[test]
    fn what_is_no_tensor_is_refused() {
        check_problems("x: f32[2] s = SequenceConstruct(x) y = Relu(s) => y", &["[E006] Relu#1: Relu: a sequence is not supported"]);
        check_problems(
            "x: f32[1] s = SequenceConstruct(x) e = SequenceEmpty() t = SequenceInsert(e, s) => t",
            &["[E006] SequenceInsert#2: SequenceInsert: a sequence as an element"],
        );
        check_problems("o = Optional() y = OptionalGetElement(o) => y", &["[E010] OptionalGetElement#1: the optional has no value"]);
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
