//! Loops, and layers that are loops.

use super::{arithmetic, chain, unary};
use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use onnx::proto::GraphProto;
use sym::Expr;

/// What a body carries stays within this.
const STATE: Interval = Interval { low: -1.0, high: 1.0 };

/// A body, with what it stacks.
struct Body {
    graph: GraphProto,
    stacked: Form,
}

/// A Scan along one axis of a tensor.
pub fn scan(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4).filter(|_| !generator.in_branch)?;
    let form = generator.form(x).clone();
    let axis = generator.axis(x)?;
    let mut slice = form.clone();
    let trips = slice.dims.remove(axis);
    let initial = state(generator, &slice.dims, form.dtype)?;
    let body = body(generator, &slice.dims, form.dtype, Around::Slices(slice.clone()))?;
    let out_axis = generator.random.below(slice.rank() + 1);
    let flags: Vec<i64> = (0..2).map(|_| generator.random.below(2) as i64).collect();
    let spelled = [(axis, form.rank()), (out_axis, slice.rank() + 1)].map(|(axis, rank)| generator.spelled(axis, rank));
    let attributes = vec![
        draft::int("num_scan_inputs", 1),
        draft::ints("scan_input_axes", &spelled[..1]),
        draft::ints("scan_output_axes", &spelled[1..]),
        draft::ints("scan_input_directions", &flags[..1]),
        draft::ints("scan_output_directions", &flags[1..]),
        draft::graph("body", body.graph),
    ];
    let last = generator.form(initial).rounded();
    let stacked = with_axis(&body.stacked, out_axis, trips);
    either(generator, "Scan", &[Some(initial), Some(x)], attributes, vec![last, stacked])
}

/// A Loop that runs a number of times that is a size or a constant.
pub fn counted(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=3).filter(|_| !generator.in_branch)?;
    let form = generator.form(x).clone();
    let initial = state(generator, &form.dims, form.dtype)?;
    let (trips, size) = match generator.random.chance(50) {
        true => {
            let trips = generator.random.between(1, 5);
            (generator.number(DType::I64, trips as f64), Expr::from(trips))
        }
        false => {
            let vector =
                Form { dtype: DType::I64, dims: vec![Expr::from(form.rank() as i64)], interval: Interval::new(0.0, 1e4), exact: true };
            let shape = generator.emit("Shape", &[x], vec![], vector.clone())?;
            let at = generator.number(DType::I64, 0.0);
            (generator.emit("Gather", &[shape, at], vec![], vector.of(vec![]))?, form.dims[0].clone())
        }
    };
    let body = body(generator, &form.dims, form.dtype, Around::Loop { stacks: true })?;
    let last = generator.form(initial).rounded();
    let stacked = with_axis(&body.stacked, 0, size.clone());
    let attributes = vec![draft::graph("body", body.graph)];
    let operands = [Some(trips), None, Some(initial)];
    either(generator, "Loop", &operands, attributes, vec![last, stacked])
}

/// A Loop whose number of runs is data.
pub fn limited(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(0..=3).filter(|_| !generator.in_branch)?;
    let form = generator.form(x).clone();
    let initial = state(generator, &form.dims, form.dtype)?;
    let limit = generator.input(DType::I64, &[], Interval::new(0.0, 4.0))?;
    let first = match generator.random.chance(40) {
        true => Some(generator.input(DType::Bool, &[], Interval::BOOL)?),
        false => None,
    };
    let body = body(generator, &form.dims, form.dtype, Around::Loop { stacks: false })?;
    let last = generator.form(initial).rounded();
    let attributes = vec![draft::graph("body", body.graph)];
    generator.emit_all("Loop", &[Some(limit), first, Some(initial)], attributes, vec![last])?.first().copied()
}

fn with_axis(form: &Form, axis: usize, size: Expr) -> Form {
    let mut dims = form.dims.clone();
    dims.insert(axis, size);
    form.of(dims).rounded()
}

/// The node; one of its results is gone on with.
fn either(
    generator: &mut Generator,
    op: &str,
    operands: &[Option<Id>],
    attributes: Vec<onnx::proto::AttributeProto>,
    forms: Vec<Form>,
) -> Option<Id> {
    let results = generator.emit_all(op, operands, attributes, forms)?;
    generator.random.pick(&results)
}

/// A tensor to start from: an old value that is cut, or a new one.
fn state(generator: &mut Generator, dims: &[Expr], dtype: DType) -> Option<Id> {
    let found = generator.find(|_, form| form.dtype == dtype && form.dims == dims);
    match found.filter(|_| generator.random.chance(60)) {
        Some(found) => {
            let form = generator.form(found).clone();
            let within = form.interval.low >= STATE.low && form.interval.high <= STATE.high;
            if within { Some(found) } else { generator.clip(found, STATE) }
        }
        None => generator.tensor(dtype, dims, STATE),
    }
}

/// What gives a body its inputs and outputs besides the state.
enum Around {
    /// A Scan over slices of this form.
    Slices(Form),
    /// A Loop, with or without a stacked result.
    Loop { stacks: bool },
}

/// A body of a few steps that carries one state.
fn body(generator: &mut Generator, dims: &[Expr], dtype: DType, around: Around) -> Option<Body> {
    let mark = generator.enter_branch();
    let form = Form { dtype, dims: dims.to_vec(), interval: STATE, exact: false };
    let scalar = |dtype: DType, interval: Interval| Form { dtype, dims: vec![], interval, exact: true };
    let before = match &around {
        Around::Slices(_) => vec![],
        Around::Loop { .. } => vec![
            generator.given("run", scalar(DType::I64, Interval::new(0.0, 64.0))),
            generator.given("condition", scalar(DType::Bool, Interval::BOOL)),
        ],
    };
    let given = generator.given("state", form.clone());
    let slice = match &around {
        Around::Slices(slice) => Some(generator.given("slice", slice.clone())),
        Around::Loop { .. } => None,
    };
    let inputs: Vec<Id> = [before.clone(), vec![given], Vec::from_iter(slice)].concat();
    let outputs = outputs(generator, given, slice, &before, &around);
    let stacked = outputs.as_ref().and_then(|ids| ids.last()).map(|id| generator.form(*id).clone());
    let graph = generator.leave_branch(mark, &inputs, outputs.as_deref().unwrap_or(&[]));
    Some(Body { graph, stacked: stacked? })
}

/// The next condition where there is one, the next state, and what is stacked.
fn outputs(generator: &mut Generator, given: Id, slice: Option<Id>, before: &[Id], around: &Around) -> Option<Vec<Id>> {
    let mut outputs = Vec::new();
    if let [_, condition] = before {
        let form = generator.form(*condition).clone();
        outputs.push(generator.emit("Identity", &[*condition], vec![], form)?);
    }
    let mut last = given;
    if let Some(slice) = slice {
        last = if generator.random.chance(50) { chain::add(generator, last, slice)? } else { chain::multiply(generator, last, slice)? };
    }
    if let Some(run) = before.first().filter(|_| generator.random.chance(30)) {
        let (form, number) = (generator.form(*run).clone(), generator.form(given).clone());
        let number =
            generator.emit("Cast", &[*run], vec![draft::int("to", draft::data_type(number.dtype) as i64)], form.cast(number.dtype))?;
        last = chain::add(generator, last, number)?;
    }
    let shown = steps(generator, last)?;
    let next = steps(generator, shown)?;
    let next = generator.tame(next, STATE.high)?;
    let form = generator.form(next).clone();
    outputs.push(generator.emit("Identity", &[next], vec![], form)?);
    if !matches!(around, Around::Loop { stacks: false }) {
        let form = generator.form(shown).clone();
        outputs.push(generator.emit("Identity", &[shown], vec![], form)?);
    }
    Some(outputs)
}

/// A few functions that keep the dims.
fn steps(generator: &mut Generator, x: Id) -> Option<Id> {
    let dims = generator.dims(x);
    let mut last = x;
    for _ in 0..generator.random.below(3) {
        let next = if generator.random.chance(50) { unary::step(generator, last) } else { arithmetic::with_weight(generator, last) };
        last = next.filter(|next| generator.dims(*next) == dims).unwrap_or(last);
    }
    Some(last)
}

/// RNN, GRU or LSTM.
pub fn recurrent(generator: &mut Generator) -> Option<Id> {
    let fits = |_: &Generator, form: &Form| form.is_float() && form.rank() == 3 && form.dims[2].as_const().is_some();
    let x = match generator.find(fits) {
        Some(found) => generator.tame(found, 10.0)?,
        None => {
            let mut dims = generator.new_dims(2);
            dims.push(Expr::from(generator.random.one_of([1, 3, 8, 17])));
            generator.float_input(&dims)?
        }
    };
    let form = generator.form(x).clone();
    let (op, gates) = generator.random.one_of([("RNN", 1), ("GRU", 3), ("LSTM", 4)]);
    let direction = generator.random.one_of(["forward", "forward", "reverse", "bidirectional"]);
    let turned = generator.opset >= 14 && generator.random.chance(20);
    let count = if direction == "bidirectional" { 2 } else { 1 };
    let hidden = generator.random.one_of([1usize, 3, 4, 8, 16, 17, 33]);
    let features = form.dims[2].as_const()? as usize;
    let rows = gates * hidden;
    let mut operands = vec![Some(x)];
    for dims in [[count, rows, features], [count, rows, hidden]] {
        operands.push(Some(generator.weight("weight", form.dtype, &dims, 1.0 / (dims[2] as f64).sqrt())?));
    }
    let bias = generator.random.chance(60);
    operands.push(if bias { Some(generator.weight("bias", form.dtype, &[count, 2 * rows], 1.0)?) } else { None });
    let (time, batch) = if turned { (&form.dims[1], &form.dims[0]) } else { (&form.dims[0], &form.dims[1]) };
    let longest = generator.smallest(time);
    let lengths = generator.random.chance(20);
    operands.push(if lengths {
        Some(generator.input(DType::I32, std::slice::from_ref(batch), Interval::new(1.0, longest as f64))?)
    } else {
        None
    });
    let mut attributes = vec![draft::int("hidden_size", hidden as i64), draft::text("direction", direction)];
    if turned {
        attributes.push(draft::int("layout", 1));
    }
    if op == "GRU" && generator.random.chance(40) {
        attributes.push(draft::int("linear_before_reset", 1));
    }
    if op == "RNN" && generator.random.chance(40) {
        let name = generator.random.one_of(["HardSigmoid", "Sigmoid", "Softsign"]);
        attributes.push(draft::texts("activations", &vec![name; count]));
    }
    let size = |number: usize| Expr::from(number as i64);
    let (all, state) = match turned {
        true => (vec![batch.clone(), time.clone(), size(count), size(hidden)], vec![batch.clone(), size(count), size(hidden)]),
        false => (vec![time.clone(), size(count), batch.clone(), size(hidden)], vec![size(count), batch.clone(), size(hidden)]),
    };
    let result = form.within(STATE).rounded();
    either(generator, op, &operands, attributes, vec![result.of(all), result.of(state)])
}
