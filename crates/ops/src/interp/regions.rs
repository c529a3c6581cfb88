//! What control flow computes, given how to run a region.

use crate::core::region::repeat::Parts;
use ir::array::for_each_index;
use ir::{Array, Code, Diagnostic, Graph, Literal, Node, ValueId};
use std::collections::BTreeMap;
use sym::{Expr, Sym};

type Result<T> = std::result::Result<T, Diagnostic>;

/// Runs a region on the values of its inputs.
pub type Run<'a> = &'a mut dyn FnMut(&Graph, &[Array]) -> Result<Vec<Array>>;

/// The results of a node with regions.
pub fn results(node: &Node, operands: &[Array], symbols: &BTreeMap<Sym, i64>, run: Run) -> Result<Vec<Array>> {
    match node.op {
        "if" => branch(node, operands, run),
        "while" => repeat_while(node, operands, run),
        _ => scan(node, operands, symbols, run),
    }
}

/// The region that the condition chooses, on the captures.
fn branch(node: &Node, operands: &[Array], run: Run) -> Result<Vec<Array>> {
    let chosen = if holds(&operands[0]) { &node.regions[0] } else { &node.regions[1] };
    run(chosen, &operands[1..])
}

fn holds(condition: &Array) -> bool {
    condition.get(0).as_i64() != 0
}

fn parts(node: &Node) -> Result<Parts> {
    Parts::of(&node.attrs).map_err(|error| error.at(&node.location))
}

fn repeat_while(node: &Node, operands: &[Array], run: Run) -> Result<Vec<Array>> {
    let parts = parts(node)?;
    let (mut condition, mut given) = (operands[0].clone(), operands[1..].to_vec());
    while holds(&condition) {
        let mut next = run(&node.regions[0], &given)?.into_iter();
        condition = next.next().unwrap_or(condition);
        given.iter_mut().zip(next).for_each(|(value, next)| *value = next);
    }
    given.truncate(parts.carried);
    Ok(given)
}

fn scan(node: &Node, operands: &[Array], symbols: &BTreeMap<Sym, i64>, run: Run) -> Result<Vec<Array>> {
    let parts = parts(node)?;
    let error = || Diagnostic::new(Code::Names, &node.location, "a size of scan is not known");
    let size = |expr: &Expr| expr.eval(&|sym| symbols.get(sym).copied()).and_then(|size| usize::try_from(size).ok());
    let trips = parts.trips.as_ref().and_then(size).ok_or_else(error)?;
    let scanned: Vec<(usize, bool)> = parts.scanned_axes().collect();
    let mut given = operands.to_vec();
    let mut stacks = Vec::new();
    for ((axis, _), (_, id)) in parts.stacked_axes().zip(&node.regions[0].outputs[parts.carried..]) {
        stacks.push(empty_stack(&node.regions[0], *id, axis, trips, &size).ok_or_else(error)?);
    }
    for trip in 0..trips {
        let place = |reverse: bool| if reverse { trips - 1 - trip } else { trip };
        for (at, (axis, reverse)) in scanned.iter().enumerate() {
            given[parts.carried + at] = slice(&operands[parts.carried + at], *axis, place(*reverse));
        }
        let mut next = run(&node.regions[0], &given)?.into_iter();
        given.iter_mut().take(parts.carried).zip(&mut next).for_each(|(value, next)| *value = next);
        for ((stack, (axis, reverse)), part) in stacks.iter_mut().zip(parts.stacked_axes()).zip(next) {
            put_slice(stack, axis, place(reverse), &part);
        }
    }
    given.truncate(parts.carried);
    given.extend(stacks);
    Ok(given)
}

fn empty_stack(region: &Graph, id: ValueId, axis: usize, trips: usize, size: &dyn Fn(&Expr) -> Option<usize>) -> Option<Array> {
    let ty = region.ty(id);
    let mut dims = ty.dims.iter().map(size).collect::<Option<Vec<usize>>>()?;
    dims.insert(axis, trips);
    Some(Array::filled(ty.dtype, dims, Literal::zero(ty.dtype)))
}

/// Calls `visit` with the position of each element of a slice, and that of the same element in the whole.
fn for_each_element(whole: &[usize], axis: usize, at: usize, mut visit: impl FnMut(usize, usize)) {
    let strides = ir::array::row_major_strides(whole);
    let mut dims = whole.to_vec();
    dims.remove(axis);
    let mut own = 0;
    for_each_index(&dims, |index| {
        let mut full = index.to_vec();
        full.insert(axis, at);
        visit(own, full.iter().zip(&strides).map(|(i, stride)| i * stride).sum());
        own += 1;
    });
}

fn slice(whole: &Array, axis: usize, at: usize) -> Array {
    let mut dims = whole.dims().to_vec();
    dims.remove(axis);
    let mut part = Array::filled(whole.dtype(), dims, Literal::zero(whole.dtype()));
    for_each_element(whole.dims(), axis, at, |own, full| part.set(own, whole.get(full)));
    part
}

fn put_slice(whole: &mut Array, axis: usize, at: usize, part: &Array) {
    let dims = whole.dims().to_vec();
    for_each_element(&dims, axis, at, |own, full| whole.set(full, part.get(own)));
}
