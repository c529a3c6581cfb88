//! `gelu`: x times the normal distribution's cumulative function at x.
//!
//! Operands: x (float). Attributes: `approximate` Int.
//! - C1: x has a float type.
//! - C2: `approximate` is 0 or 1.
//!
//! `out = x/2 * (1 + erf(x/sqrt 2))`; approximate: `x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))`

use super::check_float;
use crate::attrs;
use crate::build::Builder;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, OpDef, OpError};
use crate::reference::as_floats;
use ir::{Array, Attrs, Diagnostic, ValueId};
use nest::Func;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

pub const DEF: OpDef = OpDef { name: "gelu", infer, reference, kind: Kind::Composite { decompose } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    check_float(x)?;
    attrs::flag(cx.attrs, "approximate")?;
    Ok(Inferred::of(x.dtype, x.dims.clone()))
}

fn reference(inputs: &[&Array], attrs: &Attrs, _: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let exact = |x: f64| x / 2.0 * (1.0 + libm::erf(x / 2f64.sqrt()));
    let approximate = |x: f64| x / 2.0 * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
    let (x, tanh) = (inputs[0], attrs::flag(attrs, "approximate")?);
    let out = as_floats(x).into_iter().map(|x| if tanh { approximate(x) } else { exact(x) }).collect();
    Ok(vec![Array::floats(x.dtype(), x.dims().to_vec(), out)])
}

fn decompose(b: &mut Builder, inputs: &[ValueId], attrs: &Attrs) -> Result<Vec<ValueId>, Diagnostic> {
    let dtype = b.dtype(inputs[0]);
    let x = b.widened(inputs[0])?;
    let bend = match attrs::flag(attrs, "approximate").map_err(|error| error.at(&b.location))? {
        true => tanh_bend(b, x)?,
        false => {
            let scaled = b.map_number(Func::Mul, x, FRAC_1_SQRT_2)?;
            b.map(Func::Erf, &[scaled])?
        }
    };
    let one = b.map_number(Func::Add, bend, 1.0)?;
    let half = b.map_number(Func::Mul, x, 0.5)?;
    let out = b.map(Func::Mul, &[half, one])?;
    Ok(vec![b.convert(out, dtype)?])
}

/// `tanh(sqrt(2/pi) * (x + 0.044715 x^3))`
fn tanh_bend(b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
    let square = b.map(Func::Mul, &[x, x])?;
    let cube = b.map(Func::Mul, &[square, x])?;
    let small = b.map_number(Func::Mul, cube, 0.044715)?;
    let sum = b.map(Func::Add, &[x, small])?;
    let scaled = b.map_number(Func::Mul, sum, (2.0 / PI).sqrt())?;
    b.map(Func::Tanh, &[scaled])
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error};
    use ir::{Attr, Attrs};

    fn attrs(approximate: i64) -> Attrs {
        Attrs::from([("approximate", Attr::Int(approximate))])
    }

    #[test]
    fn decomposition() {
        // constants are rounded to f32 where that is the type computed in
        for (dtype, tolerance) in [("f64", 1e-13), ("f32", 1e-6), ("bf16", 1e-6)] {
            for (n, approximate) in [(0, 0), (4, 0), (4, 1)] {
                case("gelu", attrs(approximate), &[&format!("{dtype}[n, 5]")], &[("n", n)]).check_decomposition(tolerance);
            }
        }
    }

    #[test]
    fn meaning() {
        let out = case("gelu", attrs(0), &["f64[3]"], &[]).with_floats(0, &[0.0, 1.0, -1.0]).check_decomposition(1e-15);
        for (at, want) in [0.0, 0.8413447460685429, -0.15865525393145707].into_iter().enumerate() {
            assert!((out.get(at).as_f64() - want).abs() < 1e-14);
        }
    }

    #[test]
    fn constraints() {
        assert_eq!(infer_error("gelu", attrs(2), &["f32[2]"]), "attribute `approximate` is 2, not 0 or 1");
        assert_eq!(infer_error("gelu", attrs(0), &["i8[2]"]), "i8[2] is no float tensor");
    }
}
