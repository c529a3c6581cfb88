//! How many operations on floats a nest asks for.

use crate::func::Func;
use crate::nest::{Index, IterKind, Nest, ScalarOp};
use sym::Sym;

/// Operations on floats over all points, a multiply-add counted as two, a choice as none, and every other scalar function as one. What does
/// not depend on an iterator is computed once for all of its values. NaN where a size has no value.
pub fn flops(nest: &Nest, size: &dyn Fn(&Sym) -> Option<i64>) -> f64 {
    let extent = |at: usize| nest.iters[at].extent.eval(size).map_or(f64::NAN, |extent| extent as f64);
    let points = |walked: &[bool]| -> f64 { (0..walked.len()).filter(|at| walked[*at]).map(extent).product() };
    let is_reduction = |at: usize| nest.iters[at].kind == IterKind::Reduction;
    let dependences = dependences(nest);
    let count = |(at, scalar): (usize, &crate::nest::Scalar)| match &scalar.op {
        ScalarOp::Apply(Func::Select, _) => 0.0,
        ScalarOp::Apply(..) | ScalarOp::Reduce(..) if !scalar.dtype.is_float() => 0.0,
        ScalarOp::Reduce(_, operand) => {
            let of = &dependences[operand.0 as usize];
            points(&(0..of.len()).map(|at| of[at] || is_reduction(at)).collect::<Vec<_>>())
        }
        ScalarOp::Apply(..) => points(&dependences[at]),
        ScalarOp::Read(_) | ScalarOp::Literal(_) | ScalarOp::Index(_) | ScalarOp::Convert(_) | ScalarOp::Bits(_) => 0.0,
    };
    nest.body.iter().enumerate().map(count).sum()
}

/// For each scalar of the body, which of the iterators it depends on.
fn dependences(nest: &Nest) -> Vec<Vec<bool>> {
    let mut all: Vec<Vec<bool>> = Vec::with_capacity(nest.body.len());
    for scalar in &nest.body {
        let mentioned = |iter: &crate::nest::Iter| match &scalar.op {
            ScalarOp::Read(read) => read.index.iter().filter_map(Index::as_map).any(|map| map.mentions(&iter.sym)),
            ScalarOp::Index(map) => map.mentions(&iter.sym),
            ScalarOp::Literal(_) | ScalarOp::Apply(..) | ScalarOp::Convert(_) | ScalarOp::Bits(_) | ScalarOp::Reduce(..) => false,
        };
        let operands = scalar.op.operands();
        let depends = |at: usize| {
            let folded = matches!(scalar.op, ScalarOp::Reduce(..)) && nest.iters[at].kind == IterKind::Reduction;
            !folded && (mentioned(&nest.iters[at]) || operands.iter().any(|id| all[id.0 as usize][at]))
        };
        let depends = (0..nest.iters.len()).map(depends).collect();
        all.push(depends);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_with_an_epilogue_has_two_for_each_term_and_one_for_each_result() {
        let text = r#"nest {
  for i0 in n, i1 in 3
  reduce i2 in 5
  operand a: f32[n, 5]
  operand b: f32[5, 3]
  v0: f32 = a[i0, i2]
  v1: f32 = b[i2, i1]
  v2: f32 = mul v0 v1
  v3: f32 = reduce sum v2
  v4: f32 = add v3 v3
  v5: i64 = index i0
  v6: i64 = add v5 v5
  write y: f32[n, 3] at [i0, i1] = v4
}"#;
        let nest: Nest = text.parse().unwrap();
        assert_eq!(flops(&nest, &|_| Some(7)), (7 * 3 * 5 * 2 + 7 * 3) as f64);
        assert!(flops(&nest, &|_| None).is_nan());
    }

    #[test]
    fn what_an_iterator_only_chooses_from_is_computed_once() {
        let text = r#"nest {
  for i0 in 2, i1 in 7
  operand a: f32[7]
  v0: f32 = a[i1]
  v1: f32 = add v0 v0
  v2: f32 = mul v0 v1
  v3: i64 = index i0
  v4: i64 = literal 0
  v5: bool = eq v3 v4
  v6: f32 = select v5 v1 v2
  write y: f32[2, 7] at [i0, i1] = v6
}"#;
        let nest: Nest = text.parse().unwrap();
        assert_eq!(flops(&nest, &|_| None), 14.0);
    }
}
