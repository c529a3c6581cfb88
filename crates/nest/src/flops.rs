//! How many operations on floats a nest asks for.

use crate::nest::{IterKind, Nest, ScalarOp};
use sym::Sym;

/// Operations on floats over all points, a multiply-add counted as two and every other scalar function as one. NaN where a size has no
/// value.
pub fn flops(nest: &Nest, size: &dyn Fn(&Sym) -> Option<i64>) -> f64 {
    let points = |kinds: &[IterKind]| -> f64 {
        let extents = nest.iters.iter().filter(|iter| kinds.contains(&iter.kind)).map(|iter| &iter.extent);
        extents.map(|extent| extent.eval(size).map_or(f64::NAN, |extent| extent as f64)).product()
    };
    let inside = points(&[IterKind::Parallel, IterKind::Reduction, IterKind::Scan]);
    let outside = points(&[IterKind::Parallel, IterKind::Scan]);
    let varies = nest.varies_in_reduction();
    let count = |(scalar, varies): (&crate::nest::Scalar, bool)| match scalar.op {
        ScalarOp::Apply(..) | ScalarOp::Reduce(..) if !scalar.dtype.is_float() => 0.0,
        ScalarOp::Reduce(..) => inside,
        ScalarOp::Apply(..) if varies => inside,
        ScalarOp::Apply(..) => outside,
        ScalarOp::Read(_) | ScalarOp::Literal(_) | ScalarOp::Index(_) | ScalarOp::Convert(_) => 0.0,
    };
    nest.body.iter().zip(varies).map(count).sum()
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
}
