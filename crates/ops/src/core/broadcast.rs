//! `broadcast`: numpy expansion, aligned at the last axis.
//!
//! Operands: x. Attributes: `dims` Exprs.
//! - C1: `dims` has at least x's rank.
//! - C2: every dim of x is 1 or equals the result's; where that is not decided a guard checks it.
//!
//! `out[.., i, j] = x[i if i's dim is not 1 else 0, ..]`

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::{Guards, Relation, relation};
use crate::lower::parallel;
use crate::reference::moved;
use ir::{Array, Attrs};
use nest::Nest;
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "broadcast", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    let dims = attrs::exprs(cx.attrs, "dims")?;
    let lead = dims.len().checked_sub(x.rank()).ok_or_else(|| OpError::shape(format!("{x} does not broadcast to rank {}", dims.len())))?;
    let mut guards = Guards::default();
    for (axis, (from, to)) in x.dims.iter().zip(&dims[lead..]).enumerate() {
        guards.broadcasts(lead + axis, from, to)?;
    }
    Ok(Inferred::of(x.dtype, dims.to_vec()).with(guards))
}

fn reference(inputs: &[&Array], _: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, dims) = (inputs[0], &out[0].1);
    let lead = dims.len() - x.dims().len();
    let strides: Vec<usize> = x.dims().iter().zip(x.strides()).map(|(dim, stride)| if *dim == 1 { 0 } else { stride }).collect();
    Ok(vec![moved(x, dims, |index| index[lead..].iter().zip(&strides).map(|(at, stride)| at * stride).sum())])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let mut nest = cx.nest();
    let (x, dims) = (&cx.inputs[0], cx.dims());
    let index = parallel(&mut nest, dims);
    let lead = dims.len() - x.rank();
    let source: Vec<Expr> = (0..x.rank()).map(|axis| source(&x.dims[axis], &dims[lead + axis], &index[lead + axis])).collect();
    let value = nest.read(0, &source);
    vec![cx.store(nest, &index, value)]
}

/// The index into a dim of size `from`: 0 where that is 1, `at` where it is `to`, and the one or the other at run time.
fn source(from: &Expr, to: &Expr, at: &Expr) -> Expr {
    match (from.as_const(), relation(from, to)) {
        (Some(1), _) => Expr::zero(),
        (Some(_), _) | (None, Relation::Equal) => at.clone(),
        (None, Relation::Undecided | Relation::Different) => at.minimum(&(from - 1)),
    }
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(dims: &[&str]) -> Attrs {
        Attrs::from([("dims", Attr::Exprs(dims.iter().map(|dim| dim.parse().unwrap()).collect()))])
    }

    #[test]
    fn meaning() {
        let out = case("broadcast", attrs(&["2", "2", "3"]), &["i32[2, 1]"], &[]).with_ints(0, &[5, 7]).check();
        assert_eq!(out, Array::ints(DType::I32, vec![2, 2, 3], [[5, 5, 5], [7, 7, 7]].concat().repeat(2)));
    }

    #[test]
    fn every_type() {
        for dtype in DType::ALL {
            case("broadcast", attrs(&["n", "4"]), &[&format!("{dtype}[4]")], &[("n", 3)]).check();
        }
    }

    #[test]
    fn undecided_dims_are_one_or_whole() {
        for (n, m) in [(1, 5), (5, 5), (1, 1), (0, 0), (1, 0)] {
            let case = case("broadcast", attrs(&["m", "2"]), &["f32[n, 1]"], &[("n", n), ("m", m)]);
            case.check();
            assert_eq!(case.maps(), "z[i0, i1] <- a[min(n - 1, i0), 0]");
        }
        assert_eq!(inferred("broadcast", attrs(&["m"]), &["f32[n]"]), "f32[m] where one_or_equal(n, m)");
        assert_eq!(inferred("broadcast", attrs(&["m"]), &["f32[4]"]), "f32[m] where m == 4");
        assert_eq!(inferred("broadcast", attrs(&["m", "n"]), &["f32[n]"]), "f32[m, n]");
    }

    #[test]
    fn constraints() {
        assert_eq!(infer_error("broadcast", attrs(&["4"]), &["f32[2, 4]"]), "f32[2, 4] does not broadcast to rank 1");
        assert_eq!(infer_error("broadcast", attrs(&["2", "4"]), &["f32[3]"]), "axis 1 does not broadcast: 3 to 4");
    }
}
