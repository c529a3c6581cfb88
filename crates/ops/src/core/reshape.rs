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
    if Expr::product(to).is_zero() {
        return vec![cx.nothing()];
    }
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
    let (mut number, mut ranges) = (Expr::zero(), Ranges::new(0));
    for (axis, extent) in to.0 {
        let at = &parallel(nest, std::slice::from_ref(extent))[0];
        if let Some(sym) = at.as_sym() {
            ranges.iterator(sym, extent);
            ranges.not_zero(extent);
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

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Attr, Attrs, DType};

    fn attrs(dims: &[&str]) -> Attrs {
        Attrs::from([("dims", Attr::Exprs(dims.iter().map(|dim| dim.parse().unwrap()).collect()))])
    }

    fn check(from: &str, to: &[&str], sizes: &[(&str, i64)], maps: &str) {
        let case = case("reshape", attrs(to), &[from], sizes);
        case.check();
        assert_eq!(case.maps(), maps);
    }

    #[test]
    fn common_refinements_are_affine() {
        check("f32[b, s, 6]", &["b", "s", "3", "2"], &[("b", 2), ("s", 3)], "z[i0, i1, i2, i3] <- a[i0, i1, 2*i2 + i3]");
        check("f32[b, s, 6]", &["b*s", "6"], &[("b", 2), ("s", 0)], "z[i0*s + i1, i2] <- a[i0, i1, i2]");
        check("f32[2, 6]", &["4", "3"], &[], "z[2*i0 + i1, i2] <- a[i0, 3*i1 + i2]");
        check("f32[n, 1, 4]", &["1", "n", "4", "1"], &[("n", 3)], "z[0, i0, i1, 0] <- a[i0, 0, i1]");
        check("f32[]", &["1", "1"], &[], "z[0, 0] <- a[]");
        check("f32[1]", &[], &[], "z[] <- a[0]");
    }

    #[test]
    fn other_stretches_are_numbered_through() {
        check("f32[4, 6]", &["3", "8"], &[], "z[i0, i1] <- a[i0 + (2*i0 + i1)/(6), 2*i0 + i1 - 6*((2*i0 + i1)/(6))]");
        check("f32[2, n]", &["n", "2"], &[("n", 3)], "z[i0, i1] <- a[(2*i0 + i1)/(n), 2*i0 + i1 - n*((2*i0 + i1)/(n))]");
        check("f32[n, 4]", &["m", "4"], &[("n", 3), ("m", 3)], "z[i0, i1] <- a[i0, i1]");
        check(
            "f32[n, 6]",
            &["m", "2", "2"],
            &[("n", 2), ("m", 3)],
            "z[i0, i1, i2] <- a[(2*i0 + i1)/(3), 4*i0 + 2*i1 + i2 - 6*((2*i0 + i1)/(3))]",
        );
    }

    #[test]
    fn nothing_reshapes_to_nothing() {
        for (from, to) in
            [("f32[0, 3]", vec!["0"]), ("f32[3, 0]", vec!["0"]), ("f32[0]", vec!["5", "0", "2"]), ("f32[2, 0]", vec!["0", "7"])]
        {
            case("reshape", attrs(&to), &[from], &[]).check();
        }
    }

    #[test]
    fn every_type() {
        for dtype in DType::ALL {
            case("reshape", attrs(&["2*n", "3"]), &[&format!("{dtype}[n, 6]")], &[("n", 3)]).check();
        }
    }

    #[test]
    fn constraints() {
        assert_eq!(infer_error("reshape", attrs(&["5"]), &["f32[2, 3]"]), "number of elements differs: 6 vs 5");
        assert_eq!(inferred("reshape", attrs(&["m", "4"]), &["f32[n]"]), "f32[m, 4] where n == 4*m");
    }
}
