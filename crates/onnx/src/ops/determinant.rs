//! Determinants.

use super::Entry;
use super::extremum::{Among, places};
use crate::import::{Call, Outcome, one};
use ::ops::{Builder, Folded, Scan};
use ir::{Code, DType, Diagnostic, Graph, TensorType, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("Det", 11, determinant)];

type Result<T> = std::result::Result<T, Diagnostic>;

/// Gaussian elimination with partial pivoting, one column a run of a `scan`: the product of the pivots, with its sign turned by each
/// exchange of rows. The 16-bit floats are computed in f32.
fn determinant(call: &mut Call) -> Outcome {
    let ty = call.ty(0)?.clone();
    if !ty.dtype.is_float() {
        return Err(call.error(Code::Type, format!("Det is not defined on {}", ty.dtype)).into());
    }
    let [leading @ .., rows, columns] = ty.dims.as_slice() else {
        return Err(call.error(Code::Shape, format!("{ty} holds no matrices")).into());
    };
    call.equal_dims("rows and columns", std::slice::from_ref(rows), std::slice::from_ref(columns))?;
    let x = call.value(0)?;
    let b = call.b();
    let x = b.widened(x)?;
    let count = Expr::product(leading);
    let matrices = b.reshape(x, &[count.clone(), rows.clone(), rows.clone()])?;
    let one_each = b.number(b.dtype(x), 1.0);
    let one_each = b.broadcast(one_each, &[count])?;
    let step = b.iota(std::slice::from_ref(rows), 0, DType::I64)?;
    let region = step_region(b, matrices)?;
    let scan = Scan { trips: rows.clone(), scanned: vec![(step, 0, false)], stacked: vec![] };
    let results = b.scan(&scan, &[matrices, one_each], &[], region)?;
    let product = b.reshape(results[1], leading)?;
    one(b.convert(product, ty.dtype)?)
}

/// The matrices and products of pivots so far, and the number of a column, to the matrices with zeros below that pivot and the products
/// with it.
fn step_region(outer: &Builder, matrices: ValueId) -> Result<Graph> {
    let mut builder = Builder::new("step");
    let b = &mut builder;
    b.location = outer.location.clone();
    outer.graph.graph().symbols.iter().for_each(|(sym, fact)| b.graph.symbol(sym, *fact));
    let ty = outer.ty(matrices).clone();
    let (count, n) = (ty.dims[0].clone(), ty.dims[1].clone());
    let product_type = TensorType::new(ty.dtype, vec![count.clone()]);
    let [x, product] = [("matrices", ty), ("product", product_type)].map(|(name, ty)| b.input(name, ty));
    let step = b.input("step", TensorType::new(DType::I64, vec![]));

    let row = b.iota(&[Expr::one(), n.clone(), Expr::one()], 1, DType::I64)?;
    let (column, own) = (b.gather(x, step, 2)?, b.gather(x, step, 1)?);
    let (column, own) = (b.unsqueeze(column, &[2])?, b.unsqueeze(own, &[1])?);
    let place = pivot_row(b, column, row, step)?;
    let taken = b.map_broadcast(Func::Equal, &[row, place])?;
    let pivots = row_of(b, x, taken)?;
    let pivot = row_of(b, column, taken)?;

    let moved = b.map_broadcast(Func::Equal, &[place, step])?;
    let turned = b.map(Func::Neg, &[pivot])?;
    let signed = b.map(Func::Select, &[moved, pivot, turned])?;
    let signed = b.reshape(signed, &[count])?;
    let product = b.map(Func::Mul, &[product, signed])?;

    let below = b.map_broadcast(Func::Greater, &[row, step])?;
    let exchanged = b.map_broadcast(Func::Select, &[taken, own, x])?;
    let column = b.gather(exchanged, step, 2)?;
    let column = b.unsqueeze(column, &[2])?;
    let quotient = b.map_broadcast(Func::Div, &[column, pivot])?;
    let singular = b.map_number(Func::Equal, pivot, 0.0)?;
    let zero = b.number(b.dtype(x), 0.0);
    let factor = b.map_broadcast(Func::Select, &[singular, zero, quotient])?;
    let factor = b.map_broadcast(Func::Select, &[below, factor, zero])?;
    let part = b.map_broadcast(Func::Mul, &[factor, pivots])?;
    let next = b.map(Func::Sub, &[exchanged, part])?;
    b.output("matrices", next);
    b.output("product", product);
    Ok(builder.finish())
}

/// The row, from that of the step on, with the largest element of the column.
fn pivot_row(b: &mut Builder, column: ValueId, row: ValueId, step: ValueId) -> Result<ValueId> {
    let magnitude = b.map(Func::Abs, &[column])?;
    let above = b.map_broadcast(Func::Less, &[row, step])?;
    let never = b.number(b.dtype(column), -1.0);
    let magnitude = b.map_broadcast(Func::Select, &[above, never, magnitude])?;
    places(b, magnitude, (1, Monoid::Max, Among::First), Folded::Kept)
}

/// The one row of each matrix that is taken, as a matrix of one row.
fn row_of(b: &mut Builder, x: ValueId, taken: ValueId) -> Result<ValueId> {
    let zero = b.number(b.dtype(x), 0.0);
    let only = b.map_broadcast(Func::Select, &[taken, x, zero])?;
    b.reduce(Monoid::Sum, only, &[1], Folded::Kept)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn determinants_by_elimination() {
        let text = |ty: &str| format!("x: {ty} y = Det(x) => y");
        check(&text("f32[2, 2]"), &["f32[2, 2] 0 1 2 3"], &["f32[] -2"]);
        check(&text("f32[k, n, n]"), &["f32[2, 2, 2] 1 2 3 4 1 2 2 4"], &["f32[2] -2 0"]);
        check(&text("f64[3, 3]"), &["f64[3, 3] 0 0 2 0 3 0 4 0 0"], &["f64[] -24"]);
        check(&text("f16[n, n]"), &["f16[1, 1] 3"], &["f16[] 3"]);
        check(&text("f32[n, n]"), &["f32[0, 0]"], &["f32[] 1"]);
        check(&text("f32[n, n]"), &["f32[2, 2] 0 0 0 1"], &["f32[] 0"]);
    }

    #[test]
    fn what_has_none() {
        check_problems("x: f32[2, 3] y = Det(x) => y", &["[E003] Det#0: rows and columns: axis 0 differs: 2 vs 3"]);
        check_problems("x: f32[2] y = Det(x) => y", &["[E003] Det#0: f32[2] holds no matrices"]);
        check_problems("x: i32[2, 2] y = Det(x) => y", &["[E004] Det#0: Det is not defined on i32"]);
    }
}
