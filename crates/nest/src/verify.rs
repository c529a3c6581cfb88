//! The verifier. A nest that passes means the same to the interpreter, to every rewrite and to every kernel made from it:
//!
//! - N1: a scalar mentions only scalars above it, a read an operand that there is.
//! - N2: types fit: a read has its operand's type, a literal the kind of its type, an index an integer type, a function what
//!   `Func::result` says, a fold and a write the type of their scalar; a monoid's function is defined on its type and gives it; an index
//!   from data is an integer.
//! - N3: reads and writes have one index for each dim.
//! - N4: iterators have distinct names; extents and dims mention no iterator. (Any other symbol is taken for a size.)
//! - N5: a map of a read without fill is proved inside its dim wherever the body runs.
//! - N6: no finished reduction is needed at the steps of a reduction, so reductions do not nest.
//! - N7: a write's value and index depend on no reduction iterator.
//! - N8: a write's index maps are injective over the parallel iterators; those of a write that is no update over the scan iterators too.
//! - N9: a write's index maps are proved inside its dims where it stores.
//! - N10: a nest that updates has no reduction iterators.

mod injective;
mod proof;

use crate::nest::{Index, Monoid, Nest, Read, Scalar, ScalarId, ScalarOp, Write};
use ir::{DType, Literal};
use proof::Proof;
use std::collections::BTreeSet;
use sym::{Expr, Premises, Sym};

/// What is wrong with the nest, each text with the number of its invariant; empty where it is legal. `facts` are of sizes; beyond them it
/// is known that sizes are not negative, and that loops are not empty where their body runs. With sizes that are numbers, bounds and
/// collisions are decided, by going through the points where there is no proof, as long as these are not too many.
pub fn verify(nest: &Nest, facts: &Premises) -> Vec<String> {
    let references = faulty_references(nest);
    if !references.is_empty() {
        return references;
    }
    let proof = Proof::new(nest, facts);
    let mut faults = faulty_names(nest);
    for (at, scalar) in nest.body.iter().enumerate() {
        let id = ScalarId(at as u32);
        faults.extend(type_fault(nest, scalar).map(|why| format!("N2: {id:?}: {why}")));
        if let ScalarOp::Read(read) = &scalar.op {
            faults.extend(read_faults(nest, read, &proof).into_iter().map(|(number, why)| format!("{number}: {id:?}: {why}")));
        }
    }
    faults.extend(nested_reductions(nest));
    for write in &nest.writes {
        faults.extend(write_faults(nest, write, &proof).into_iter().map(|(number, why)| format!("{number}: write {}: {why}", write.name)));
    }
    faults
}

fn faulty_references(nest: &Nest) -> Vec<String> {
    let mut faults = vec![];
    for (at, scalar) in nest.body.iter().enumerate() {
        if let Some(id) = scalar.op.operands().iter().find(|id| id.0 as usize >= at) {
            faults.push(format!("N1: v{at}: mentions {id:?}, which is not above it"));
        }
        if let ScalarOp::Read(read) = &scalar.op
            && read.operand >= nest.operands.len()
        {
            faults.push(format!("N1: v{at}: reads operand {} of {}", read.operand, nest.operands.len()));
        }
    }
    for write in &nest.writes {
        if let Some(id) = write.operands().find(|id| id.0 as usize >= nest.body.len()) {
            faults.push(format!("N1: write {}: mentions {id:?} of {} scalars", write.name, nest.body.len()));
        }
    }
    faults
}

fn type_fault(nest: &Nest, scalar: &Scalar) -> Option<String> {
    let dtype = scalar.dtype;
    let expect = |what: &str, found: DType| (found != dtype).then(|| format!("is {dtype}, but {what} is {found}"));
    match &scalar.op {
        ScalarOp::Read(read) => expect("its operand", nest.operands[read.operand].ty.dtype).or_else(|| fill_fault(nest, read, dtype)),
        ScalarOp::Literal(value) => kind_fault(*value, dtype),
        ScalarOp::Index(_) => (!dtype.is_int()).then(|| format!("an index is no {dtype}")),
        ScalarOp::Apply(func, args) => {
            let types: Vec<DType> = args.iter().map(|id| nest.scalar(*id).dtype).collect();
            match func.result(&types) {
                Ok(result) => expect(func.name(), result),
                Err(why) => Some(why),
            }
        }
        ScalarOp::Convert(_) => None,
        ScalarOp::Bits(operand) => {
            let from = nest.scalar(*operand).dtype;
            (from.size() != dtype.size()).then(|| format!("the bits of {from} are no {dtype}"))
        }
        ScalarOp::Reduce(monoid, term) => {
            let defined = monoid.func().result(&[dtype, dtype]).err();
            expect("its term", nest.scalar(*term).dtype).or(defined)
        }
    }
}

fn fill_fault(nest: &Nest, read: &Read, dtype: DType) -> Option<String> {
    index_fault(nest, &read.index).or_else(|| read.fill.and_then(|fill| kind_fault(fill, dtype)))
}

fn index_fault(nest: &Nest, index: &[Index]) -> Option<String> {
    let types = index.iter().filter_map(Index::as_data).map(|id| (id, nest.scalar(id).dtype));
    types.filter(|(_, found)| !found.is_int()).map(|(id, found)| format!("the index {id:?} is {found}")).next()
}

fn kind_fault(value: Literal, dtype: DType) -> Option<String> {
    (matches!(value, Literal::Float(_)) != dtype.is_float()).then(|| format!("{value} is no {dtype}"))
}

fn read_faults(nest: &Nest, read: &Read, proof: &Proof) -> Vec<(&'static str, String)> {
    let operand = &nest.operands[read.operand];
    if read.index.len() != operand.ty.rank() {
        return vec![("N3", format!("{} indices into {}: {}", read.index.len(), operand.name, operand.ty))];
    }
    if read.fill.is_some() {
        return vec![];
    }
    let inside = proof.walked(read);
    let maps = read.index.iter().map(Index::as_map).zip(&operand.ty.dims);
    let faults = maps.filter_map(|(map, dim)| bounds_fault(map?, dim, proof, &inside));
    faults.map(|why| ("N5", format!("reads {}: {}: {why}", operand.name, operand.ty))).collect()
}

fn bounds_fault(map: &Expr, dim: &Expr, proof: &Proof, inside: &BTreeSet<Sym>) -> Option<String> {
    if !proof.nonnegative(map, inside) {
        return Some(format!("not proved: 0 <= {map}"));
    }
    (!proof.less(map, dim, inside)).then(|| format!("not proved: {map} < {dim}"))
}

fn faulty_names(nest: &Nest) -> Vec<String> {
    let mut faults = vec![];
    let iterator_in = |expr: &Expr| expr.symbols().into_iter().find(|sym| nest.iter(sym).is_some());
    for (at, iter) in nest.iters.iter().enumerate() {
        if nest.iters[..at].iter().any(|other| other.sym == iter.sym) {
            faults.push(format!("N4: two iterators are named {}", iter.sym));
        }
        if let Some(sym) = iterator_in(&iter.extent) {
            faults.push(format!("N4: the extent {} of {} mentions the iterator {sym}", iter.extent, iter.sym));
        }
    }
    let operands = nest.operands.iter().map(|operand| (&operand.name, &operand.ty));
    for (name, ty) in operands.chain(nest.writes.iter().map(|write| (&write.name, &write.ty))) {
        if let Some(sym) = ty.dims.iter().find_map(iterator_in) {
            faults.push(format!("N4: the dims of {name}: {ty} mention the iterator {sym}"));
        }
    }
    faults
}

fn nested_reductions(nest: &Nest) -> Vec<String> {
    let varies = nest.varies_in_reduction();
    let mut finished: Vec<bool> = Vec::with_capacity(nest.body.len());
    let mut faults = vec![];
    for (at, scalar) in nest.body.iter().enumerate() {
        let needs_finished = scalar.op.operands().iter().any(|id| finished[id.0 as usize]);
        let reduces = matches!(scalar.op, ScalarOp::Reduce(..));
        if needs_finished && (reduces || varies[at]) {
            faults.push(format!("N6: v{at}: needs a finished reduction at the steps of one"));
        }
        finished.push(needs_finished || reduces);
    }
    faults
}

fn write_faults(nest: &Nest, write: &Write, proof: &Proof) -> Vec<(&'static str, String)> {
    let value = nest.scalar(write.value);
    let mut faults = vec![];
    if value.dtype != write.ty.dtype {
        faults.push(("N2", format!("is {}, but {:?} is {}", write.ty.dtype, write.value, value.dtype)));
    }
    if write.index.len() != write.ty.rank() {
        faults.push(("N3", format!("{} indices into {}", write.index.len(), write.ty)));
        return faults;
    }
    faults.extend(index_fault(nest, &write.index).map(|why| ("N2", why)));
    faults.extend(write.combine.and_then(|combine| combine_fault(combine, write.ty.dtype)).map(|why| ("N2", why)));
    if let Some(id) = write.finite.iter().find(|id| !nest.scalar(**id).dtype.is_float()) {
        faults.push(("N2", format!("{id:?} is {}, which is finite always", nest.scalar(*id).dtype)));
    }
    let varies = nest.varies_in_reduction();
    for id in write.finite.iter().chain([&write.value]).filter(|id| varies[id.0 as usize]) {
        faults.push(("N7", format!("{id:?} depends on a reduction iterator")));
    }
    for iter in nest.reductions() {
        if write.exprs().any(|map| map.mentions(&iter.sym)) {
            faults.push(("N7", format!("the index mentions the reduction iterator {}", iter.sym)));
        }
    }
    let maps: Vec<&Expr> = write.maps().collect();
    let undetermined = injective::undetermined(nest, write, proof);
    faults.extend(undetermined.map(|sym| ("N8", format!("not proved: {maps:?} determines the iterator {sym}"))));
    faults.extend(outside(write, proof).map(|why| ("N9", why)));
    if write.is_update() && nest.has_reduction() {
        faults.push(("N10", "is an update in a nest that reduces".to_string()));
    }
    faults
}

fn combine_fault(combine: Monoid, dtype: DType) -> Option<String> {
    match combine.func().result(&[dtype, dtype]) {
        Ok(result) => (result != dtype).then(|| format!("{} of {dtype} is {result}", combine.name())),
        Err(why) => Some(why),
    }
}

fn outside(write: &Write, proof: &Proof) -> Option<String> {
    let inside = write.maps().flat_map(Expr::symbols).collect();
    write.index.iter().zip(&write.ty.dims).find_map(|(index, dim)| {
        let map = index.as_map()?;
        let fault = bounds_fault(map, dim, proof, &inside)?;
        // where `x >= 0` is asked for, `map + x <= dim - 1` is proof enough, and `map - x >= 0`
        let stays = |x: &Expr| bounds_fault(&(map + x), dim, proof, &inside).is_none() && proof.nonnegative(map, &inside);
        let starts = |x: &Expr| proof.nonnegative(&(map - x), &inside) && proof.less(map, dim, &inside);
        (!write.only.iter().any(|x| stays(x) || starts(x))).then_some(fault)
    })
}

#[cfg(test)]
mod tests;
