//! `map`: a scalar function of each element.
//!
//! Operands: 1 to 3 tensors. Attributes: `func` Text, a name of the scalar table.
//! - C1: `func` is in the table, and the number of operands is its arity.
//! - C2: the function is defined on the operands' element types.
//! - C3: the operands' dims are equal.
//!
//! `out[i] = func(a[i], b[i], ..)`

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::Guards;
use crate::lower::{parallel, valid};
use ir::{Array, Attrs, DType, Literal};
use nest::{Func, Nest, ScalarId};

pub const DEF: OpDef = OpDef { name: "map", infer, reference, kind: Kind::Core { lower } };

/// The scalar function of a `map`.
pub fn func(attrs: &Attrs) -> Result<Func, OpError> {
    let name = attrs::text(attrs, "func")?;
    Func::from_name(name).ok_or_else(|| OpError::attribute(format!("attribute `func`: there is no scalar function {name}")))
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let types: Vec<DType> = cx.inputs.iter().map(|ty| ty.dtype).collect();
    let dtype = func(cx.attrs)?.result(&types).map_err(OpError::types)?;
    let mut guards = Guards::default();
    let (first, rest) = cx.inputs.split_first().ok_or_else(|| OpError::shape("no operands"))?;
    let dims = rest.iter().try_fold(first.dims.clone(), |dims, ty| guards.all_equal("operands", &dims, &ty.dims))?;
    Ok(Inferred::of(dtype, dims).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let func = func(attrs)?;
    // the condition of `select` stands before the data
    let dtype = inputs[inputs.len() - 1].dtype();
    let mut operands = vec![Literal::Int(0); inputs.len()];
    let (result, dims) = &out[0];
    Ok(vec![Array::from_fn(*result, dims.clone(), |at| {
        operands.iter_mut().zip(inputs).for_each(|(operand, input)| *operand = input.get(at));
        func.eval(dtype, &operands)
    })])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let operands: Vec<ScalarId> = (0..cx.inputs.len()).map(|operand| nest.read(operand, &index)).collect();
    let value = nest.apply(valid(func(cx.attrs)), &operands);
    vec![cx.store(nest, &index, value)]
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Attr, Attrs, DType, Literal};
    use nest::Func;

    fn attrs(func: Func) -> Attrs {
        Attrs::from([("func", Attr::Text(func.name().to_string()))])
    }

    /// Every function on every type that it is defined on.
    #[test]
    fn every_function() {
        for func in Func::ALL {
            for dtype in DType::ALL {
                let data = format!("{dtype}[n, 3]");
                let operands = match (func, func.arity()) {
                    (Func::Select, _) => vec!["bool[n, 3]", &data, &data],
                    (_, arity) => vec![data.as_str(); arity],
                };
                let types: Vec<DType> = operands.iter().map(|text| crate::check::ty(text).dtype).collect();
                if func.result(&types).is_ok() {
                    case("map", attrs(func), &operands, &[("n", 5)]).check();
                }
            }
        }
    }

    #[test]
    fn meaning() {
        let out = case("map", attrs(Func::Sub), &["i8[2]", "i8[2]"], &[]).with_ints(0, &[100, -100]).with_ints(1, &[-100, 1]).check();
        assert_eq!([out.get(0), out.get(1)], [Literal::Int(-56), Literal::Int(-101)]);
    }

    #[test]
    fn sizes_zero_one_and_symbolic() {
        for n in [0, 1, 4] {
            case("map", attrs(Func::Add), &["f32[n, 1, 2]", "f32[n, 1, 2]"], &[("n", n)]).check();
        }
        let scalar = case("map", attrs(Func::Exp), &["f64[]"], &[]);
        scalar.check();
        assert_eq!(scalar.maps(), "z[] <- a[]");
        assert_eq!(case("map", attrs(Func::Exp), &["f32[n, 1]"], &[("n", 2)]).maps(), "z[i0, 0] <- a[i0, 0]");
    }

    #[test]
    fn constraints() {
        assert_eq!(inferred("map", attrs(Func::Less), &["f32[n]", "f32[m]"]), "bool[n] where n == m");
        assert_eq!(inferred("map", attrs(Func::Add), &["f32[n]", "f32[4]"]), "f32[4] where n == 4");
        let c1 = Attrs::from([("func", Attr::Text("sine".to_string()))]);
        assert_eq!(infer_error("map", c1, &["f32[2]"]), "attribute `func`: there is no scalar function sine");
        assert_eq!(infer_error("map", attrs(Func::Add), &["f32[2]"]), "add takes 2 operands, got 1");
        assert_eq!(infer_error("map", attrs(Func::Exp), &["i32[2]"]), "exp is not defined on i32");
        assert_eq!(infer_error("map", attrs(Func::Add), &["f32[2]", "f32[3]"]), "operands: axis 0 differs: 2 vs 3");
    }
}
