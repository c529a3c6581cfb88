//! `reshape`: the same elements, row-major, under other dims.
//!
//! Operands: x. Attributes: `dims` Exprs.
//! - C1: the product of `dims` is the number of x's elements.

use super::refine::{Block, refine};
use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::Guards;
use crate::lower::parallel;
use ir::{Array, Attrs};
use nest::{Nest, NestBuilder};
use sym::{Expr, Ranges};

pub const DEF: OpDef = OpDef { name: "reshape", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    let dims = attrs::exprs(cx.attrs, "dims")?;
    let mut guards = Guards::default();
    guards.equal("number of elements", &x.count(), &Expr::product(dims))?;
    Ok(Inferred::of(x.dtype, dims.to_vec()).with(guards))
}

fn reference(inputs: &[&Array], _: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, dims) = (inputs[0], &out[0].1);
    if x.count() != dims.iter().product::<usize>() {
        return Err(OpError::shape(format!("number of elements differs: {:?} vs {dims:?}", x.dims())));
    }
    Ok(vec![x.clone().reshaped(dims.clone())])
}

/// Iterates over the common refinement of both lists of dims, so that both sides are affine: `[n, 768]` to `[n, 12, 64]` reads
/// `a[i, h*64 + d]` and writes `z[i, h, d]`. Only stretches that have none are numbered through and divided.
fn lower(cx: &LowerCx) -> Vec<Nest> {
    let (from, to) = (&cx.inputs[0].dims, cx.dims());
    let mut nest = cx.nest();
    let (mut source, mut target) = (vec![Parts::default(); from.len()], vec![Parts::default(); to.len()]);
    for block in refine(from, to) {
        match block {
            Block::Shared { extent, from, to } => {
                let at = &parallel(&mut nest, std::slice::from_ref(&extent))[0];
                source[from].push(&extent, at);
                target[to].push(&extent, at);
            }
            Block::Numbered { from, to } => number_through(&mut nest, (&from, &mut source), (&to, &mut target)),
        }
    }
    let index = |parts: Vec<Parts>| parts.into_iter().map(|parts| parts.index).collect::<Vec<Expr>>();
    let value = nest.read(0, &index(source));
    vec![cx.store(nest, &index(target), value)]
}

/// The index on one axis, made of parts from the outermost to the innermost.
#[derive(Clone, Default)]
struct Parts {
    index: Expr,
}

impl Parts {
    fn push(&mut self, extent: &Expr, at: &Expr) {
        self.index = &(&self.index * extent) + at;
    }
}

/// Numbers the points of the result's parts, and splits the number into the operand's parts.
fn number_through(nest: &mut NestBuilder, from: (&[(usize, Expr)], &mut [Parts]), to: (&[(usize, Expr)], &mut [Parts])) {
    let (mut number, mut ranges) = (Expr::zero(), Ranges::new(1));
    for (axis, extent) in to.0 {
        let at = &parallel(nest, std::slice::from_ref(extent))[0];
        if let Some(sym) = at.as_sym() {
            ranges.iterator(sym, extent);
        }
        number = &(&number * extent) + at;
        to.1[*axis].push(extent, at);
    }
    for (position, (axis, extent)) in from.0.iter().enumerate() {
        let inner = Expr::product(from.0[position + 1..].iter().map(|(_, extent)| extent));
        let outer = ranges.simplify(&number.floor_div(&inner));
        let at = if position == 0 { outer } else { ranges.simplify(&outer.modulo(extent)) };
        from.1[*axis].push(extent, &at);
    }
}
