//! `clamp`: elements kept between two bounds.
//!
//! Operands: x, low, high (scalars).
//! - C1: the element types are equal.
//! - C2: `low` and `high` have rank 0.
//!
//! `out = min(max(x, low), high)`

use crate::build::Builder;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::{rank_of, same_type};
use ir::{Array, Attrs, Diagnostic, Literal, ValueId};
use nest::Func;

pub const DEF: OpDef = OpDef { name: "clamp", infer, reference, kind: Kind::Composite { decompose } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x, low, high] = cx.operands()?;
    for (name, bound) in [("low", low), ("high", high)] {
        same_type(x, bound)?;
        rank_of(name, bound, 0)?;
    }
    Ok(Inferred::of(x.dtype, x.dims.clone()))
}

fn reference(inputs: &[&Array], _: &Attrs, _: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, low, high) = (inputs[0], inputs[1].get(0), inputs[2].get(0));
    let pick = |value: Literal| {
        let raised = Func::Max.eval(x.dtype(), &[value, low]);
        Func::Min.eval(x.dtype(), &[raised, high])
    };
    Ok(vec![Array::from_fn(x.dtype(), x.dims().to_vec(), |at| pick(x.get(at)))])
}

fn decompose(b: &mut Builder, inputs: &[ValueId], _: &Attrs) -> Result<Vec<ValueId>, Diagnostic> {
    let raised = b.map_broadcast(Func::Max, &[inputs[0], inputs[1]])?;
    Ok(vec![b.map_broadcast(Func::Min, &[raised, inputs[2]])?])
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error};
    use ir::{Array, Attrs, DType};

    #[test]
    fn decomposition() {
        for dtype in DType::ALL {
            for n in [0, 9] {
                let types = [format!("{dtype}[n]"), format!("{dtype}[]")];
                case("clamp", Attrs::new(), &[&types[0], &types[1], &types[1]], &[("n", n)]).check_decomposition(0.0);
            }
        }
    }

    #[test]
    fn meaning() {
        let case = case("clamp", Attrs::new(), &["i8[3]", "i8[]", "i8[]"], &[]).with_ints(1, &[-1]).with_ints(2, &[1]);
        assert_eq!(case.with_ints(0, &[-7, 0, 7]).check_decomposition(0.0), Array::ints(DType::I8, vec![3], vec![-1, 0, 1]));
    }

    #[test]
    fn constraints() {
        assert_eq!(infer_error("clamp", Attrs::new(), &["f32[2]", "f32[1]", "f32[]"]), "low: rank 1 of f32[1], not 0");
        assert_eq!(infer_error("clamp", Attrs::new(), &["f32[2]", "f32[]", "f64[]"]), "element types differ: f32 vs f64");
    }
}
