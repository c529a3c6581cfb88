//! `hard_sigmoid`: a ramp from 0 to 1.
//!
//! Operands: x (float). Attributes: `alpha`, `beta` Float.
//! - C1: x has a float type.
//!
//! `out = max(0, min(1, alpha*x + beta))`

use super::check_float;
use crate::attrs;
use crate::build::Builder;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, OpDef, OpError};
use crate::reference::as_floats;
use ir::{Array, Attrs, Diagnostic, ValueId};
use nest::Func;

pub const DEF: OpDef = OpDef { name: "hard_sigmoid", infer, reference, kind: Kind::Composite { decompose } };

fn parameters(attrs: &Attrs) -> Result<(f64, f64), OpError> {
    Ok((attrs::float(attrs, "alpha")?, attrs::float(attrs, "beta")?))
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    check_float(x)?;
    parameters(cx.attrs)?;
    Ok(Inferred::of(x.dtype, x.dims.clone()))
}

fn reference(inputs: &[&Array], attrs: &Attrs, _: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, (alpha, beta)) = (inputs[0], parameters(attrs)?);
    let ramp = |x: f64| (alpha * x + beta).clamp(0.0, 1.0);
    Ok(vec![Array::floats(x.dtype(), x.dims().to_vec(), as_floats(x).into_iter().map(ramp).collect())])
}

fn decompose(b: &mut Builder, inputs: &[ValueId], attrs: &Attrs) -> Result<Vec<ValueId>, Diagnostic> {
    let (alpha, beta) = parameters(attrs).map_err(|error| error.at(&b.location))?;
    let dtype = b.dtype(inputs[0]);
    let x = b.widened(inputs[0])?;
    let scaled = b.map_number(Func::Mul, x, alpha)?;
    let ramp = b.map_number(Func::Add, scaled, beta)?;
    let below = b.map_number(Func::Min, ramp, 1.0)?;
    let out = b.map_number(Func::Max, below, 0.0)?;
    Ok(vec![b.convert(out, dtype)?])
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error};
    use ir::{Attr, Attrs};

    fn attrs() -> Attrs {
        Attrs::from([("alpha", Attr::Float(0.2)), ("beta", Attr::Float(0.5))])
    }

    #[test]
    fn decomposition() {
        // alpha is rounded to f32 where that is the type computed in
        for (dtype, tolerance) in [("f64", 1e-15), ("f32", 1e-7), ("bf16", 1e-7)] {
            for n in [0, 9] {
                case("hard_sigmoid", attrs(), &[&format!("{dtype}[n]")], &[("n", n)]).check_decomposition(tolerance);
            }
        }
        case("hard_sigmoid", attrs(), &["f64[1]"], &[]).with_floats(0, &[f64::NAN]).check_decomposition(0.0);
    }

    #[test]
    fn constraints() {
        assert_eq!(infer_error("hard_sigmoid", Attrs::new(), &["f32[2]"]), "attribute `alpha` is missing");
        assert_eq!(infer_error("hard_sigmoid", attrs(), &["i32[2]"]), "i32[2] is no float tensor");
    }
}
