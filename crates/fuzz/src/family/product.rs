//! Matrix products.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use sym::Expr;

/// What a sum of `depth` products may be.
fn product_interval(generator: &Generator, a: Interval, b: Interval, depth: &Expr) -> Interval {
    Interval::around_zero(a.largest() * b.largest() * generator.largest(depth) as f64)
}

pub fn matmul(generator: &mut Generator) -> Option<Id> {
    let a = generator.floats(1..=4)?;
    let b = match generator.random.below(10) {
        0..6 => weights(generator, a)?,
        6..8 => other_factor(generator, a)?,
        _ => turned_factor(generator, a)?,
    };
    let [a, b] = if generator.rank(a) <= 2 && generator.random.chance(10) && fits(generator, b, a) { [b, a] } else { [a, b] };
    let product = emit_matmul(generator, a, b)?;
    generator.tame(product, 60.0)
}

/// A MatMul where the operands fit.
pub fn emit_matmul(generator: &mut Generator, a: Id, b: Id) -> Option<Id> {
    let (left, right) = (generator.form(a).clone(), generator.form(b).clone());
    let (dims, depth, work) = product_dims(generator, &left, &right)?;
    if !generator.is_quick(&work) {
        return None;
    }
    let interval = product_interval(generator, left.interval, right.interval, &depth);
    generator.emit("MatMul", &[a, b], vec![], left.of(dims).within(interval).rounded())
}

fn fits(generator: &Generator, a: Id, b: Id) -> bool {
    product_dims(generator, generator.form(a), generator.form(b)).is_some()
}

/// Dims of the product, the size that is summed over, and the sizes whose product is the work.
fn product_dims(generator: &Generator, a: &Form, b: &Form) -> Option<(Vec<Expr>, Expr, Vec<Expr>)> {
    if a.rank() == 0 || b.rank() == 0 || a.dtype != b.dtype {
        return None;
    }
    let depth = a.dims[a.rank() - 1].clone();
    let other = &b.dims[b.rank().saturating_sub(2)];
    if depth != *other {
        return None;
    }
    let rows = &a.dims[..a.rank() - 1];
    let (batch_a, row) = rows.split_at(rows.len().saturating_sub(1));
    let batch_b = &b.dims[..b.rank().saturating_sub(2)];
    let column = if b.rank() > 1 { &b.dims[b.rank() - 1..] } else { &[] };
    let batch = generator.broadcast(batch_a, batch_b)?;
    let dims = [&batch, row, column].concat();
    let work = [&dims[..], std::slice::from_ref(&depth)].concat();
    Some((dims, depth, work))
}

/// Weights for an operand whose last dim is a number.
fn weights(generator: &mut Generator, a: Id) -> Option<Id> {
    let form = generator.form(a).clone();
    let depth = form.dims.last()?.as_const()? as usize;
    let columns = generator.size() as usize;
    let size = 1.7 / (depth as f64).sqrt();
    let dims: Vec<usize> = match generator.random.below(10) {
        0 => vec![depth],
        1 => {
            let batch = form.dims.len().checked_sub(3).and_then(|at| form.dims[at].as_const()).unwrap_or(1);
            vec![if generator.random.chance(70) { batch as usize } else { 1 }, depth, columns]
        }
        _ => vec![depth, columns],
    };
    generator.weight("weight", form.dtype, &dims, size)
}

/// A second tensor of data, an input where none is found.
fn other_factor(generator: &mut Generator, a: Id) -> Option<Id> {
    let form = generator.form(a).clone();
    let found = generator.find(|generator, other| other.is_float() && product_dims(generator, &form, other).is_some());
    if found.is_some() {
        return found;
    }
    let columns = generator.dim();
    let batch = form.dims[..form.rank().saturating_sub(2)].to_vec();
    let batch = if generator.random.chance(50) { batch } else { vec![] };
    let depth = form.dims.last()?.clone();
    generator.input(form.dtype, &[&batch[..], &[depth, columns]].concat(), Interval::around_zero(1.0))
}

/// A transposed tensor that shares a's last dim, a itself at least.
fn turned_factor(generator: &mut Generator, a: Id) -> Option<Id> {
    let form = generator.form(a).clone();
    let depth = form.dims.last()?.clone();
    let b = generator.find(|_, other| other.dtype == form.dtype && other.rank() >= 2 && other.dims.last() == Some(&depth))?;
    let other = generator.form(b).clone();
    let mut perm: Vec<i64> = (0..other.rank() as i64).collect();
    perm.swap(other.rank() - 2, other.rank() - 1);
    let dims = perm.iter().map(|axis| other.dims[*axis as usize].clone()).collect();
    generator.emit("Transpose", &[b], vec![draft::ints("perm", &perm)], other.of(dims))
}

/// Of integers, by weights.
pub fn integer_matmul(generator: &mut Generator) -> Option<Id> {
    let a =
        generator.find(|_, form| matches!(form.dtype, DType::I32 | DType::I64) && form.rank() >= 1 && form.interval.largest() < 1000.0)?;
    let form = generator.form(a).clone();
    let dims = [form.dims.last()?.as_const()? as usize, generator.size() as usize];
    let b = generator.weight("weight", form.dtype, &dims, 9.0)?;
    emit_matmul(generator, a, b)
}

pub fn gemm(generator: &mut Generator) -> Option<Id> {
    let a = generator.floats(2..=2)?;
    let form = generator.form(a).clone();
    if !matches!(form.dtype, DType::F32 | DType::F64) {
        return None;
    }
    let turned_a = generator.random.chance(25);
    let [row, depth] = if turned_a { [&form.dims[1], &form.dims[0]] } else { [&form.dims[0], &form.dims[1]] };
    let column = Expr::from(generator.size());
    let turned_b = generator.random.chance(50);
    let shape = if turned_b { [column.clone(), depth.clone()] } else { [depth.clone(), column.clone()] };
    let size = 1.7 / (generator.smallest(depth) as f64).sqrt();
    let b = generator.tensor(form.dtype, &shape, Interval::around_zero(size))?;
    let dims = vec![row.clone(), column];
    let mut attributes = vec![draft::int("transA", turned_a as i64), draft::int("transB", turned_b as i64)];
    let interval = product_interval(generator, form.interval, generator.form(b).interval, depth);
    let result = form.of(dims.clone()).within(interval).rounded();
    if !generator.is_quick([row, depth, &dims[1]]) {
        return None;
    }
    let alpha = generator.random.one_of([1.0, 1.0, 0.5, -1.25]);
    attributes.push(draft::float("alpha", alpha));
    let Some(c) = addend(generator, &result) else { return generator.emit("Gemm", &[a, b], attributes, result) };
    let beta = generator.random.one_of([1.0, 1.0, 0.75, 0.0]);
    attributes.push(draft::float("beta", beta));
    let sum = result.within(interval.scale(alpha).plus(generator.form(c).interval.scale(beta)));
    let product = generator.emit("Gemm", &[a, b, c], attributes, sum)?;
    generator.tame(product, 60.0)
}

/// What is added to a product: of its dims, or broadcast to them.
fn addend(generator: &mut Generator, product: &Form) -> Option<Id> {
    let [row, column] = [product.dims[0].clone(), product.dims[1].clone()];
    let dims = match generator.random.below(7) {
        0 => return None,
        1 => vec![],
        2 => vec![Expr::one()],
        3 => vec![row, Expr::one()],
        4 => vec![row, column],
        _ => vec![column],
    };
    generator.tensor(product.dtype, &dims, Interval::around_zero(1.0))
}
