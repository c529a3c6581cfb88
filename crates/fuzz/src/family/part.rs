//! Parts of tensors, and tensors with something around them.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use sym::Expr;

/// A part of one axis, as a model says it: start, end and step; and the size of the result.
struct Part {
    start: i64,
    end: i64,
    step: i64,
    size: Expr,
}

const FAR: i64 = i64::MAX;

pub fn slice(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(1..=5)?;
    let form = generator.form(x).clone();
    let mut axes: Vec<usize> = (0..form.rank()).collect();
    generator.random.shuffle(&mut axes);
    axes.truncate(1 + generator.random.below(2));
    let in_order = generator.random.chance(20);
    if in_order {
        axes = (0..axes.len()).collect();
    }
    let mut dims = form.dims.clone();
    let mut parts = Vec::new();
    for axis in &axes {
        let part = draw_part(generator, &form.dims[*axis]);
        dims[*axis] = part.size.clone();
        parts.push(part);
    }
    let column = |of: fn(&Part) -> i64| parts.iter().map(of).collect::<Vec<i64>>();
    let (starts, ends, steps) = (column(|part| part.start), column(|part| part.end), column(|part| part.step));
    let spelled: Vec<i64> = axes.iter().map(|axis| generator.spelled(*axis, form.rank())).collect();
    let (starts, ends) = (generator.list("starts", &starts), generator.list("ends", &ends));
    let axes = if in_order { None } else { Some(generator.list("axes", &spelled)) };
    let plain = steps.iter().all(|step| *step == 1) && generator.random.chance(60);
    let steps = if plain { None } else { Some(generator.list("steps", &steps)) };
    generator.emit_all("Slice", &[Some(x), Some(starts), Some(ends), axes, steps], vec![], vec![form.of(dims)])?.first().copied()
}

fn draw_part(generator: &mut Generator, dim: &Expr) -> Part {
    match (dim.as_const(), generator.random.chance(25)) {
        (_, true) => backwards(generator, dim),
        (Some(size), false) => of_number(generator, size),
        (None, false) => of_symbol(generator, dim),
    }
}

/// The whole axis from its end, every so many elements.
fn backwards(generator: &mut Generator, dim: &Expr) -> Part {
    let step = generator.random.between(1, 2);
    let start = generator.random.one_of([-1, FAR]);
    Part { start, end: generator.random.one_of([i64::MIN, -FAR]), step: -step, size: dim.ceil_div(&Expr::from(step)) }
}

fn of_number(generator: &mut Generator, size: i64) -> Part {
    let random = &mut generator.random;
    let start = random.between(0, size - 1);
    let end = random.between(start + 1, size);
    let step = random.one_of([1, 1, 1, 2, 3]);
    let length = Expr::from((end - start + step - 1) / step);
    let start = if random.chance(25) { start - size } else { start };
    let end = match () {
        () if end == size && random.chance(50) => random.one_of([FAR, i32::MAX as i64, size + 3]),
        () if end < size && random.chance(25) => end - size,
        () => end,
    };
    Part { start, end, step, size: length }
}

/// Bounds that stay inside for every size.
fn of_symbol(generator: &mut Generator, dim: &Expr) -> Part {
    let smallest = generator.smallest(dim);
    let start = generator.random.between(0, (smallest - 1).min(3));
    let cut = generator.random.between(0, (smallest - start - 1).min(3));
    let step = generator.random.one_of([1, 1, 1, 2]);
    let (start_spelled, end) = match generator.random.below(4) {
        0 if cut > 0 => (start, -cut),
        1 => return Part { start: -(cut + 1), end: FAR, step, size: Expr::from((cut + step) / step) },
        2 => {
            let end = start + 1 + cut;
            return Part { start, end, step, size: Expr::from((cut + step) / step) };
        }
        _ => return Part { start, end: FAR, step, size: (dim - start).ceil_div(&Expr::from(step)) },
    };
    Part { start: start_spelled, end, step, size: (dim - start - cut).ceil_div(&Expr::from(step)) }
}

/// Constant padding; a negative size cuts.
pub fn pad(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=5)?;
    let form = generator.form(x).clone();
    let some = generator.random.chance(40);
    let axes: Vec<usize> = match some {
        true => vec![generator.axis(x)?],
        false => (0..form.rank()).collect(),
    };
    let mut dims = form.dims.clone();
    let (mut low, mut high) = (vec![], vec![]);
    for axis in &axes {
        let cuts = generator.smallest(&dims[*axis]) > 2 && generator.random.chance(10);
        low.push(if cuts { -1 } else { generator.random.one_of([0, 0, 1, 2]) });
        high.push(generator.random.one_of([0, 0, 1, 3]));
        dims[*axis] = &dims[*axis] + (low[low.len() - 1] + high[high.len() - 1]);
    }
    let pads = generator.list("pads", &[low, high].concat());
    let number = generator.random.float(-1.0, 1.0);
    let value = generator.random.chance(50).then(|| generator.number(form.dtype, number));
    let spelled: Vec<i64> = axes.iter().map(|axis| generator.spelled(*axis, form.rank())).collect();
    let axes = if some { Some(generator.list("axes", &spelled)) } else { None };
    let attributes = if generator.random.chance(40) { vec![draft::text("mode", "constant")] } else { vec![] };
    let padding = value.map_or(Interval::around_zero(0.0), |value| generator.form(value).interval);
    let result = form.of(dims).within(form.interval.hull(padding));
    generator.emit_all("Pad", &[Some(x), Some(pads), value, axes], attributes, vec![result])?.first().copied()
}

/// Padding with the tensor's own elements.
pub fn own_border(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(1..=4)?;
    let form = generator.form(x).clone();
    let reflects = generator.random.chance(50);
    let (mut dims, mut low, mut high) = (form.dims.clone(), vec![], vec![]);
    for dim in &mut dims {
        let most = if reflects { (generator.smallest(dim) - 1).min(3) } else { 3 };
        low.push(generator.random.one_of([0, 0, 1, 2]).min(most));
        high.push(generator.random.one_of([0, 0, 1, 3]).min(most));
        *dim = &*dim + (low[low.len() - 1] + high[high.len() - 1]);
    }
    let pads = generator.list("pads", &[low, high].concat());
    let mode = draft::text("mode", if reflects { "reflect" } else { "edge" });
    generator.emit("Pad", &[x, pads], vec![mode], form.of(dims))
}

/// Some axes at other sizes, with their middles in the middle.
pub fn center(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    let form = generator.form(x).clone();
    let mut axes: Vec<usize> = (0..form.rank()).collect();
    let some = generator.random.chance(50);
    if some {
        generator.random.shuffle(&mut axes);
        axes.truncate(1 + generator.random.below(form.rank()));
    }
    let mut dims = form.dims.clone();
    let sizes: Vec<i64> = axes.iter().map(|_| generator.size()).collect();
    axes.iter().zip(&sizes).for_each(|(axis, size)| dims[*axis] = Expr::from(*size));
    let spelled: Vec<i64> = axes.iter().map(|axis| generator.spelled(*axis, form.rank())).collect();
    let attributes = if some { vec![draft::ints("axes", &spelled)] } else { vec![] };
    let sizes = generator.list("shape", &sizes);
    generator.emit("CenterCropPad", &[x, sizes], attributes, form.of(dims).within(form.interval.with_zero()))
}

/// Ones on a diagonal, at the dims of another matrix.
pub fn diagonal(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(2..=2)?;
    let dtype = generator.random.one_of([generator.float, ir::DType::I64]);
    let mut attributes = vec![draft::int("dtype", draft::data_type(dtype) as i64)];
    if generator.random.chance(50) {
        attributes.push(draft::int("k", generator.random.between(-2, 2)));
    }
    let form = Form { dtype, dims: generator.dims(x), interval: Interval::BOOL, exact: true };
    generator.emit("EyeLike", &[x], attributes, form)
}

/// One side of a diagonal, zeros on the other.
pub fn triangle(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(2..=4)?;
    let form = generator.form(x).clone();
    let attributes = if generator.random.chance(50) { vec![draft::int("upper", 0)] } else { vec![] };
    let diagonal = generator.random.between(-2, 2);
    let diagonal = generator.random.chance(50).then(|| generator.number(ir::DType::I64, diagonal as f64));
    let result = form.within(form.interval.with_zero());
    generator.emit_all("Trilu", &[Some(x), diagonal], attributes, vec![result])?.first().copied()
}
