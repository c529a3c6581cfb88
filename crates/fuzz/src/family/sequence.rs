//! Tensors that stand in a sequence for a while.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use ir::DType;
use onnx::proto::{AttributeProto, GraphProto, NodeProto};
use sym::Expr;

/// A sequence of the model: its name, and its elements along an axis.
struct Sequence {
    name: String,
    elements: Vec<Form>,
    axis: usize,
}

pub fn sequence(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(1..=4)?;
    let axis = generator.axis(x)?;
    let mut sequence = if generator.random.chance(60) { split(generator, x, axis)? } else { made(generator, x, axis) };
    for _ in 0..generator.random.below(3) {
        match generator.random.below(3) {
            0 => insert(generator, &mut sequence)?,
            1 if sequence.elements.len() > 1 => erase(generator, &mut sequence),
            1 => map(generator, &mut sequence),
            _ => wrap(generator, &mut sequence),
        }
    }
    match generator.random.below(5) {
        0 => length(generator, &sequence),
        1 | 2 => at(generator, &sequence),
        _ => concat(generator, &sequence),
    }
}

/// A node whose result is a sequence.
fn node(generator: &mut Generator, op: &str, inputs: Vec<String>, attributes: Vec<AttributeProto>) -> String {
    let name = generator.draft.fresh("sequence");
    generator.draft.node(op, inputs, vec![name.clone()], attributes);
    name
}

fn split(generator: &mut Generator, x: Id, axis: usize) -> Option<Sequence> {
    let form = generator.form(x).clone();
    let size = form.dims[axis].as_const().filter(|size| (1..=12).contains(size))?;
    let part = generator.random.between(1, size);
    let dims = |part: i64| {
        let mut dims = form.dims.clone();
        dims[axis] = Expr::from(part);
        dims
    };
    let elements = (0..size).step_by(part as usize).map(|start| form.of(dims(part.min(size - start)))).collect();
    let (spelled, part) = (generator.spelled(axis, form.rank()), generator.number(DType::I64, part as f64));
    let inputs = [x, part].map(|id| generator.used(id)).to_vec();
    Some(Sequence { name: node(generator, "SplitToSequence", inputs, vec![draft::int("axis", spelled)]), elements, axis })
}

fn made(generator: &mut Generator, x: Id, axis: usize) -> Sequence {
    let form = generator.form(x).clone();
    let x = generator.used(x);
    if generator.random.chance(50) {
        let name = node(generator, "SequenceConstruct", vec![x.clone(), x], vec![]);
        return Sequence { name, elements: vec![form.clone(), form], axis };
    }
    let ty = draft::data_type(form.dtype) as i64;
    let empty = node(generator, "SequenceEmpty", vec![], vec![draft::int("dtype", ty)]);
    Sequence { name: node(generator, "SequenceInsert", vec![empty, x], vec![]), elements: vec![form], axis }
}

/// A place among `count`, as a model may spell it, and its number.
fn place(generator: &mut Generator, count: usize) -> (String, usize) {
    let at = generator.random.below(count);
    let spelled = generator.spelled(at, count);
    let number = generator.number(DType::I64, spelled as f64);
    (generator.used(number), at)
}

/// Once more an element of the same form but for the axis, somewhere.
fn insert(generator: &mut Generator, sequence: &mut Sequence) -> Option<()> {
    let first = sequence.elements.first()?.clone();
    let axis = sequence.axis;
    let fits = |_: &Generator, other: &Form| {
        let others = |form: &Form| [&form.dims[..axis], &form.dims[axis + 1..]].concat();
        other.dtype == first.dtype && other.rank() == first.rank() && others(other) == others(&first)
    };
    let x = generator.find(fits)?;
    let form = generator.form(x).clone();
    let mut inputs = vec![sequence.name.clone(), generator.used(x)];
    let mut at = sequence.elements.len();
    if generator.random.chance(60) {
        let (name, place) = place(generator, sequence.elements.len());
        inputs.push(name);
        at = place;
    }
    sequence.elements.insert(at, form);
    sequence.name = node(generator, "SequenceInsert", inputs, vec![]);
    Some(())
}

fn erase(generator: &mut Generator, sequence: &mut Sequence) {
    let mut inputs = vec![sequence.name.clone()];
    let mut at = sequence.elements.len() - 1;
    if generator.random.chance(60) {
        let (name, place) = place(generator, sequence.elements.len());
        inputs.push(name);
        at = place;
    }
    sequence.elements.remove(at);
    sequence.name = node(generator, "SequenceErase", inputs, vec![]);
}

/// Something of each element.
fn map(generator: &mut Generator, sequence: &mut Sequence) {
    let dtype = sequence.elements[0].dtype;
    let op = if dtype.is_float() { generator.random.one_of(["Neg", "Abs"]) } else { "Identity" };
    let [given, made] = ["element", "made"].map(|stem| generator.draft.fresh(stem));
    let node = NodeProto { op_type: op.to_string(), input: vec![given.clone()], output: vec![made.clone()], ..NodeProto::default() };
    let body = GraphProto {
        name: generator.draft.fresh("body"),
        node: vec![node],
        input: vec![draft::unranked_info(&given, dtype)],
        output: vec![draft::unranked_info(&made, dtype)],
        ..GraphProto::default()
    };
    for element in &mut sequence.elements {
        element.interval = match op {
            "Neg" => element.interval.negate(),
            "Abs" => element.interval.absolute(),
            _ => element.interval,
        };
    }
    sequence.name = self::node(generator, "SequenceMap", vec![sequence.name.clone()], vec![draft::graph("body", body)]);
}

/// Through an optional and back.
fn wrap(generator: &mut Generator, sequence: &mut Sequence) {
    let optional = node(generator, "Optional", vec![sequence.name.clone()], vec![]);
    let there = generator.given("there", Form { dtype: DType::Bool, dims: vec![], interval: crate::interval::Interval::BOOL, exact: true });
    let output = generator.value(there).name.clone();
    generator.draft.node("OptionalHasElement", vec![optional.clone()], vec![output], vec![]);
    sequence.name = node(generator, "OptionalGetElement", vec![optional], vec![]);
}

fn result(generator: &mut Generator, op: &str, inputs: Vec<String>, attributes: Vec<AttributeProto>, form: Form) -> Option<Id> {
    if !generator.is_handy(&form.dims) {
        return None;
    }
    let id = generator.given(op, form);
    let output = generator.value(id).name.clone();
    generator.draft.node(op, inputs, vec![output], attributes);
    Some(id)
}

fn length(generator: &mut Generator, sequence: &Sequence) -> Option<Id> {
    let count = sequence.elements.len() as f64;
    let form = Form { dtype: DType::I64, dims: vec![], interval: crate::interval::Interval::new(count, count), exact: true };
    result(generator, "SequenceLength", vec![sequence.name.clone()], vec![], form)
}

fn at(generator: &mut Generator, sequence: &Sequence) -> Option<Id> {
    let (place, at) = place(generator, sequence.elements.len());
    result(generator, "SequenceAt", vec![sequence.name.clone(), place], vec![], sequence.elements[at].clone())
}

fn concat(generator: &mut Generator, sequence: &Sequence) -> Option<Id> {
    let mut form = sequence.elements.first()?.clone();
    for other in &sequence.elements[1..] {
        form.dims[sequence.axis] = &form.dims[sequence.axis] + &other.dims[sequence.axis];
        form.interval = form.interval.hull(other.interval);
        form.exact &= other.exact;
    }
    let same = sequence.elements.iter().all(|element| element.dims == sequence.elements[0].dims);
    let mut attributes = vec![draft::int("axis", generator.spelled(sequence.axis, form.rank()))];
    if same && form.rank() < 5 && generator.random.chance(30) {
        form.dims = sequence.elements[0].dims.clone();
        form.dims.insert(0, Expr::from(sequence.elements.len() as i64));
        attributes = vec![draft::int("axis", 0), draft::int("new_axis", 1)];
    }
    result(generator, "ConcatFromSequence", vec![sequence.name.clone()], attributes, form)
}
