//! The same elements under other dims, or with their axes in another order.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use sym::Expr;

/// The dims where all are numbers.
pub fn numbers(dims: &[Expr]) -> Option<Vec<usize>> {
    dims.iter().map(|dim| dim.as_const().and_then(|dim| usize::try_from(dim).ok())).collect()
}

pub fn reshape(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(1..=5)?;
    let mut dims = generator.dims(x);
    for _ in 0..1 + generator.random.below(3) {
        if generator.random.chance(50) { merge(generator, &mut dims) } else { split(generator, &mut dims) }
    }
    emit_reshape(generator, x, &dims)
}

/// Two neighbours become one.
fn merge(generator: &mut Generator, dims: &mut Vec<Expr>) {
    if dims.len() >= 2 {
        let at = generator.random.below(dims.len() - 1);
        let next = dims.remove(at + 1);
        dims[at] = &dims[at] * &next;
    }
}

/// A dim becomes two factors.
fn split(generator: &mut Generator, dims: &mut Vec<Expr>) {
    if dims.is_empty() || dims.len() >= 6 {
        return;
    }
    let at = generator.random.below(dims.len());
    let factors: Vec<i64> = [1, 2, 3, 4, 8].into_iter().filter(|factor| dims[at].exact_div(&Expr::from(*factor)).is_some()).collect();
    let factor = Expr::from(generator.random.pick(&factors).unwrap_or(1));
    let Some(rest) = dims[at].exact_div(&factor) else { return };
    let (first, second) = if generator.random.chance(50) { (factor, rest) } else { (rest, factor) };
    dims[at] = first;
    dims.insert(at + 1, second);
}

/// A Reshape to dims of as many elements; its shape has zeros and an open dim as the sizes need them, and for variety.
pub fn emit_reshape(generator: &mut Generator, x: Id, dims: &[Expr]) -> Option<Id> {
    let form = generator.form(x).clone();
    let result = form.of(dims.to_vec());
    let computed = if generator.random.chance(25) { generator.shape_operand(x, dims) } else { None };
    let shape = match computed {
        Some(shape) => shape,
        None => {
            let entries = shape_entries(generator, &form, dims)?;
            generator.list("shape", &entries)
        }
    };
    generator.emit("Reshape", &[x, shape], vec![], result)
}

/// Numbers for each dim: itself, 0 for that of x on the same axis, -1 for at most one. None where these do not suffice.
fn shape_entries(generator: &mut Generator, form: &Form, dims: &[Expr]) -> Option<Vec<i64>> {
    let mut entries = Vec::new();
    for (axis, dim) in dims.iter().enumerate() {
        let same = form.dims.get(axis) == Some(dim);
        entries.push(match dim.as_const() {
            Some(_) if same && generator.random.chance(30) => 0,
            Some(number) => number,
            None if same => 0,
            None => -1,
        });
    }
    match entries.iter().filter(|entry| **entry == -1).count() {
        0 if !entries.is_empty() && generator.random.chance(40) => {
            let at = generator.random.below(entries.len());
            entries[at] = -1;
            Some(entries)
        }
        0 | 1 => Some(entries),
        _ => None,
    }
}

pub fn transpose(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(0..=5)?;
    let rank = generator.rank(x);
    if generator.random.chance(15) {
        let form = generator.form(x).clone();
        let dims = form.dims.iter().rev().cloned().collect();
        return generator.emit("Transpose", &[x], vec![], form.of(dims));
    }
    let mut perm: Vec<usize> = (0..rank).collect();
    match generator.random.chance(50) && rank >= 2 {
        true => {
            let at = generator.random.below(rank - 1);
            perm.swap(at, at + 1);
        }
        false => generator.random.shuffle(&mut perm),
    }
    emit_transpose(generator, x, &perm)
}

pub fn emit_transpose(generator: &mut Generator, x: Id, perm: &[usize]) -> Option<Id> {
    let form = generator.form(x).clone();
    let dims = perm.iter().map(|axis| form.dims[*axis].clone()).collect();
    let perm: Vec<i64> = perm.iter().map(|axis| *axis as i64).collect();
    generator.emit("Transpose", &[x], vec![draft::ints("perm", &perm)], form.of(dims))
}

pub fn flatten(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(0..=5)?;
    let form = generator.form(x).clone();
    let axis = generator.random.below(form.rank() + 1);
    let dims = vec![Expr::product(&form.dims[..axis]), Expr::product(&form.dims[axis..])];
    let spelled = if axis < form.rank() { generator.spelled(axis, form.rank()) } else { axis as i64 };
    generator.emit("Flatten", &[x], vec![draft::int("axis", spelled)], form.of(dims))
}

/// Axes of size 1, all of them where none are named. A tensor without any gets one first.
pub fn squeeze(generator: &mut Generator) -> Option<Id> {
    let found = generator.find(|_, form| form.dims.iter().any(Expr::is_one));
    let x = found.or_else(|| unsqueeze(generator))?;
    let form = generator.form(x).clone();
    let ones: Vec<usize> = (0..form.rank()).filter(|axis| form.dims[*axis].is_one()).collect();
    let decided = form.dims.iter().all(|dim| dim.as_const().is_some());
    let (chosen, axes) = match decided && generator.random.chance(30) {
        true => (ones, None),
        false => {
            let chosen: Vec<usize> = ones.into_iter().filter(|_| generator.random.chance(70)).collect();
            let spelled: Vec<i64> = chosen.iter().map(|axis| generator.spelled(*axis, form.rank())).collect();
            if spelled.is_empty() {
                return None;
            }
            (chosen, Some(generator.list("axes", &spelled)))
        }
    };
    let dims = (0..form.rank()).filter(|axis| !chosen.contains(axis)).map(|axis| form.dims[axis].clone()).collect();
    generator.emit_all("Squeeze", &[Some(x), axes], vec![], vec![form.of(dims)])?.first().copied()
}

pub fn unsqueeze(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(0..=4)?;
    let rank = generator.rank(x);
    let added = 1 + generator.random.below(2);
    let mut places: Vec<usize> = (0..rank + added).collect();
    generator.random.shuffle(&mut places);
    emit_unsqueeze(generator, x, &places[..added])
}

/// New axes at these places of the result.
pub fn emit_unsqueeze(generator: &mut Generator, x: Id, places: &[usize]) -> Option<Id> {
    let form = generator.form(x).clone();
    let rank = form.rank() + places.len();
    let spelled: Vec<i64> = places.iter().map(|axis| generator.spelled(*axis, rank)).collect();
    let axes = generator.list("axes", &spelled);
    let mut given = form.dims.iter().cloned();
    let dims = (0..rank).filter_map(|axis| if places.contains(&axis) { Some(Expr::one()) } else { given.next() }).collect();
    generator.emit("Unsqueeze", &[x, axes], vec![], form.of(dims))
}
