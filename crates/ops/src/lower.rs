//! What lowerings share: operands, iterators, folds.

use crate::def::{LowerCx, OpError};
use ir::Literal;
use nest::{Index, IterKind, Monoid, Nest, NestBuilder, ScalarId};
use sym::Expr;

impl LowerCx<'_> {
    /// A nest that has the operands declared, under the names a, b, ..
    pub fn nest(&self) -> NestBuilder {
        let mut nest = NestBuilder::new();
        (0..self.inputs.len()).for_each(|at| self.declare(&mut nest, at));
        nest
    }

    /// A nest that has one operand declared, under the name that it has in the others: each piece of a long list can do with its own.
    pub fn nest_of(&self, operand: usize) -> NestBuilder {
        let mut nest = NestBuilder::new();
        self.declare(&mut nest, operand);
        nest
    }

    fn declare(&self, nest: &mut NestBuilder, operand: usize) {
        nest.operand(&operand_name(operand), &self.inputs[operand]);
    }

    /// The value of all of an operand's elements, where it is known.
    pub fn constant(&self, operand: usize) -> Option<Literal> {
        self.constants.get(operand).copied().flatten()
    }

    /// The dims of the only result.
    pub fn dims(&self) -> &[Expr] {
        &self.outputs[0].dims
    }

    /// Stores the only result and ends the nest.
    pub fn store(&self, mut nest: NestBuilder, index: &[Expr], value: ScalarId) -> Nest {
        nest.write("z", &self.outputs[0], index, value);
        nest.finish()
    }

    /// The nest by which the only result starts as a copy of an operand.
    pub fn copy(&self, operand: usize) -> Nest {
        let mut nest = self.nest();
        let index = parallel(&mut nest, self.dims());
        let value = nest.read(operand, &index);
        self.store(nest, &index, value)
    }

    /// Changes an element of the only result, which an earlier nest made, and ends the nest.
    pub fn update(&self, mut nest: NestBuilder, index: Vec<Index>, combine: Option<Monoid>, value: ScalarId) -> Nest {
        nest.update("z", &self.outputs[0], index, combine, value);
        nest.finish()
    }

    /// The nest of a result without elements.
    pub fn nothing(&self) -> Nest {
        let mut nest = self.nest();
        let index = parallel(&mut nest, self.dims());
        let dtype = self.outputs[0].dtype;
        let value = nest.literal(Literal::zero(dtype), dtype);
        self.store(nest, &index, value)
    }
}

/// a .. y, a1 .. y1, ..; z is the result.
fn operand_name(at: usize) -> String {
    let letter = (b'a' + (at % 25) as u8) as char;
    if at < 25 { letter.to_string() } else { format!("{letter}{}", at / 25) }
}

/// For each operand of a lowered nest, which of the node's it is.
pub fn operand_places(nest: &Nest) -> Vec<usize> {
    nest.operands.iter().map(|operand| operand_place(&operand.name)).collect()
}

fn operand_place(name: &str) -> usize {
    let (letter, turn) = name.split_at(1);
    (letter.as_bytes()[0] - b'a') as usize + 25 * turn.parse::<usize>().unwrap_or(0)
}

/// An iterator for each dim; zero for a dim of extent 1.
pub fn iterators(nest: &mut NestBuilder, dims: &[Expr], kind: IterKind) -> Vec<Expr> {
    dims.iter().map(|dim| if dim.is_one() { Expr::zero() } else { nest.iter(dim, kind) }).collect()
}

pub fn parallel(nest: &mut NestBuilder, dims: &[Expr]) -> Vec<Expr> {
    iterators(nest, dims, IterKind::Parallel)
}

pub fn reduction(nest: &mut NestBuilder, dims: &[Expr]) -> Vec<Expr> {
    iterators(nest, dims, IterKind::Reduction)
}

/// Folds over the reduction iterators that `dims` gave; the value itself where none did.
pub fn fold(nest: &mut NestBuilder, monoid: Monoid, dims: &[Expr], value: ScalarId) -> ScalarId {
    if dims.iter().all(Expr::is_one) { value } else { nest.reduce(monoid, value) }
}

/// The value of an attribute that has passed `infer`; panics on a bug of the caller.
pub fn valid<T>(attribute: Result<T, OpError>) -> T {
    attribute.unwrap_or_else(|error| panic!("bug: a node that did not pass infer is lowered: {}", error.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_places() {
        (0..2000).for_each(|at| assert_eq!(operand_place(&operand_name(at)), at));
    }
}
