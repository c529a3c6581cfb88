//! Folds of axes.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use sym::Expr;

/// The operators for floats; for the second list the operand is positive.
const OF_FLOATS: [&str; 8] =
    ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"];
const OF_INTEGERS: [&str; 3] = ["ReduceSum", "ReduceMax", "ReduceMin"];

pub fn reduce(generator: &mut Generator) -> Option<Id> {
    if generator.random.chance(15) {
        let x = generator.integers()?;
        let op = generator.random.one_of(OF_INTEGERS);
        return emit_reduce(generator, op, x);
    }
    let x = generator.floats(0..=5)?;
    if generator.random.chance(12) {
        let x = generator.positive(x)?;
        return emit_reduce(generator, "ReduceLogSum", x);
    }
    if generator.random.chance(12) {
        let x = generator.tame(x, 1.5)?;
        return emit_reduce(generator, "ReduceProd", x);
    }
    let op = generator.random.one_of(OF_FLOATS);
    emit_reduce(generator, op, x)
}

/// Which axes are folded, as a model says it.
struct Axes {
    folded: Vec<usize>,
    operand: Option<Id>,
    /// Whether no axes mean that none is folded.
    noop: bool,
}

fn draw_axes(generator: &mut Generator, rank: usize) -> Axes {
    let all: Vec<usize> = (0..rank).collect();
    match generator.random.below(10) {
        0 => Axes { folded: all, operand: None, noop: false },
        1 => Axes { folded: vec![], operand: None, noop: true },
        _ if rank == 0 => Axes { folded: vec![], operand: None, noop: false },
        kind => {
            let count = if kind < 6 { 1 } else { 1 + generator.random.below(rank) };
            let mut folded = all;
            generator.random.shuffle(&mut folded);
            let mut folded = if kind == 2 { vec![rank - 1] } else { folded[..count].to_vec() };
            let spelled: Vec<i64> = folded.iter().map(|axis| generator.spelled(*axis, rank)).collect();
            folded.sort();
            Axes { operand: Some(generator.list("axes", &spelled)), folded, noop: generator.random.chance(20) }
        }
    }
}

fn emit_reduce(generator: &mut Generator, op: &str, x: Id) -> Option<Id> {
    let form = generator.form(x).clone();
    let axes = draw_axes(generator, form.rank());
    let kept = generator.random.chance(60);
    let count = generator.largest(&Expr::product(axes.folded.iter().map(|axis| &form.dims[*axis])));
    if op == "ReduceProd" && count > 16 {
        return None;
    }
    let dims = folded_dims(&form.dims, &axes.folded, kept);
    let mut attributes = vec![];
    if !kept || generator.random.chance(50) {
        attributes.push(draft::int("keepdims", kept as i64));
    }
    if axes.noop {
        attributes.push(draft::int("noop_with_empty_axes", 1));
    }
    let result = form.of(dims).within(interval(op, form.interval, count as f64));
    let keeps = matches!(op, "ReduceMax" | "ReduceMin");
    let operands = [Some(x), axes.operand];
    let result = generator.emit_all(op, &operands, attributes, vec![if keeps { result } else { result.rounded() }])?;
    generator.tame(result[0], 60.0)
}

fn folded_dims(dims: &[Expr], folded: &[usize], kept: bool) -> Vec<Expr> {
    let dim = |(axis, dim): (usize, &Expr)| match (folded.contains(&axis), kept) {
        (false, _) => Some(dim.clone()),
        (true, true) => Some(Expr::one()),
        (true, false) => None,
    };
    dims.iter().enumerate().filter_map(dim).collect()
}

fn interval(op: &str, x: Interval, count: f64) -> Interval {
    let count = count.max(1.0);
    let largest = x.largest();
    match op {
        "ReduceSum" => Interval::new((x.low * count).min(x.low), (x.high * count).max(x.high)),
        "ReduceL1" => Interval::new(0.0, largest * count),
        "ReduceL2" => Interval::new(0.0, largest * count.sqrt()),
        "ReduceSumSquare" => Interval::new(0.0, largest * largest * count),
        "ReduceProd" => Interval::around_zero(largest.powf(count).max(largest)),
        "ReduceLogSumExp" => Interval::new(x.low, x.high + count.ln()),
        "ReduceLogSum" => Interval::new(x.low.max(1e-9).ln(), (x.high * count).ln()),
        _ => x,
    }
}

/// A fold over the last axis, kept: part of normalisations that are spelled out.
pub fn mean_of_rows(generator: &mut Generator, x: Id) -> Option<Id> {
    let form: Form = generator.form(x).clone();
    let last = form.rank().checked_sub(1)?;
    let axes = generator.list("axes", &[-1]);
    let dims = folded_dims(&form.dims, &[last], true);
    generator.emit("ReduceMean", &[x, axes], vec![], form.of(dims).rounded())
}

/// Where the largest or smallest elements stand, of numbers that no rounding made.
pub fn place_of_extreme(generator: &mut Generator) -> Option<Id> {
    let x = if generator.random.chance(70) { generator.exact_floats()? } else { generator.integers()? };
    let axis = generator.axis(x)?;
    let form = generator.form(x).clone();
    let kept = generator.random.chance(50);
    let mut attributes = vec![draft::int("axis", generator.spelled(axis, form.rank()))];
    if !kept || generator.random.chance(50) {
        attributes.push(draft::int("keepdims", kept as i64));
    }
    if generator.random.chance(40) {
        attributes.push(draft::int("select_last_index", 1));
    }
    let last = generator.largest(&form.dims[axis]) as f64 - 1.0;
    let dims = folded_dims(&form.dims, &[axis], kept);
    let result = Form { dtype: ir::DType::I64, dims, interval: Interval::new(0.0, last), exact: true };
    let op = generator.random.one_of(["ArgMax", "ArgMin"]);
    generator.emit(op, &[x], attributes, result)
}

/// Products of all elements of an axis up to each, of opset 26.
pub fn running_product(generator: &mut Generator) -> Option<Id> {
    if generator.opset < 26 {
        return None;
    }
    let x = generator.floats(1..=3)?;
    let x = generator.tame(x, 1.2)?;
    running(generator, "CumProd", x, |interval, count| interval.largest().max(1.0).powf(count))
}

/// Sums of all elements of an axis up to each.
pub fn running_sum(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=3)?;
    running(generator, "CumSum", x, |interval, count| interval.largest() * count)
}

fn running(generator: &mut Generator, op: &str, x: Id, largest: impl Fn(Interval, f64) -> f64) -> Option<Id> {
    let form = generator.form(x).clone();
    let axis = generator.axis(x)?;
    let count = generator.largest(&form.dims[axis]);
    let work = [&form.dims[..], &[form.dims[axis].clone()]].concat();
    if !generator.is_quick(&work) {
        return None;
    }
    let spelled = generator.spelled(axis, form.rank());
    let axis = generator.number(ir::DType::I64, spelled as f64);
    let attributes = ["exclusive", "reverse"].into_iter().filter(|_| generator.random.chance(40)).map(|name| draft::int(name, 1)).collect();
    let most = largest(form.interval, count as f64);
    if most > 3e4 {
        return None;
    }
    let most = Interval::around_zero(most);
    let result = generator.emit(op, &[x, axis], attributes, form.within(most).rounded())?;
    generator.tame(result, 60.0)
}
