//! `layer_norm`: mean 0 and variance 1 over the last axes, then a scale and a bias.
//!
//! Operands: x (float), scale, bias. Attributes: `axis` Int, `epsilon` Float.
//! - C1: the element types are equal and float.
//! - C2: `axis` is an axis of x.
//! - C3: the dims of scale and bias are those of x from `axis` on.
//!
//! `out = (x - mean) / sqrt(variance + epsilon) * scale + bias`; mean and variance, the mean of `(x - mean)^2`, are over the axes from
//! `axis` on.

use super::check_float;
use crate::attrs;
use crate::build::{Builder, core::Folded};
use crate::def::{ConcreteType, InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::{Guards, same_type};
use crate::reference::as_floats;
use ir::{Array, Attrs, Diagnostic, ValueId};
use nest::Func;

pub const DEF: OpDef = OpDef { name: "layer_norm", infer, reference, kind: Kind::Composite { decompose } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x, scale, bias] = cx.operands()?;
    check_float(x)?;
    let axis = attrs::axis(cx.attrs, "axis", x.rank())?;
    attrs::float(cx.attrs, "epsilon")?;
    let mut guards = Guards::default();
    for (name, ty) in [("scale", scale), ("bias", bias)] {
        same_type(x, ty)?;
        guards.all_equal(name, &x.dims[axis..], &ty.dims)?;
    }
    Ok(Inferred::of(x.dtype, x.dims.clone()).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, _: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, scale, bias) = (inputs[0], as_floats(inputs[1]), as_floats(inputs[2]));
    let epsilon = attrs::float(attrs, "epsilon")?;
    let mut out = as_floats(x);
    for row in out.chunks_exact_mut(scale.len().max(1)) {
        let count = row.len() as f64;
        let mean = row.iter().sum::<f64>() / count;
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        for (k, value) in row.iter_mut().enumerate() {
            *value = (*value - mean) / (variance + epsilon).sqrt() * scale[k] + bias[k];
        }
    }
    Ok(vec![Array::floats(x.dtype(), x.dims().to_vec(), out)])
}

fn decompose(b: &mut Builder, inputs: &[ValueId], attrs: &Attrs) -> Result<Vec<ValueId>, Diagnostic> {
    let (rank, dtype) = (b.dims(inputs[0]).len(), b.dtype(inputs[0]));
    let axis = attrs::axis(attrs, "axis", rank).map_err(|error| error.at(&b.location))?;
    let epsilon = attrs::float(attrs, "epsilon").map_err(|error| error.at(&b.location))?;
    let axes: Vec<usize> = (axis..rank).collect();
    let (x, scale, bias) = (b.widened(inputs[0])?, b.widened(inputs[1])?, b.widened(inputs[2])?);
    let mean = b.mean(x, &axes, Folded::Kept)?;
    let centred = b.map_broadcast(Func::Sub, &[x, mean])?;
    let square = b.map(Func::Mul, &[centred, centred])?;
    let variance = b.mean(square, &axes, Folded::Kept)?;
    let shifted = b.map_number(Func::Add, variance, epsilon)?;
    let factor = b.map(Func::Rsqrt, &[shifted])?;
    let normal = b.map_broadcast(Func::Mul, &[centred, factor])?;
    let scaled = b.map_broadcast(Func::Mul, &[normal, scale])?;
    let out = b.map_broadcast(Func::Add, &[scaled, bias])?;
    Ok(vec![b.convert(out, dtype)?])
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Attr, Attrs};

    fn attrs(axis: i64) -> Attrs {
        Attrs::from([("axis", Attr::Int(axis)), ("epsilon", Attr::Float(1e-5))])
    }

    #[test]
    fn decomposition() {
        for (dtype, tolerance) in [("f64", 1e-12), ("f32", 1e-7), ("f16", 1e-7)] {
            for n in [0, 2] {
                // epsilon and counts are rounded to f32 where that is the type computed in
                let types = [format!("{dtype}[n, 3, 4]"), format!("{dtype}[3, 4]"), format!("{dtype}[3, 4]")];
                let types: Vec<&str> = types.iter().map(String::as_str).collect();
                case("layer_norm", attrs(1), &types, &[("n", n)]).check_decomposition(tolerance);
            }
        }
        case("layer_norm", attrs(1), &["f64[2, d]", "f64[d]", "f64[d]"], &[("d", 5)]).check_decomposition(1e-12);
    }

    #[test]
    fn constraints() {
        assert_eq!(inferred("layer_norm", attrs(1), &["f32[n, d]", "f32[8]", "f32[d]"]), "f32[n, d] where d == 8");
        assert_eq!(infer_error("layer_norm", attrs(1), &["f32[n, 8]", "f32[8]", "f32[7]"]), "bias: axis 0 differs: 8 vs 7");
        assert_eq!(infer_error("layer_norm", attrs(0), &["f32[8]", "f16[8]", "f32[8]"]), "element types differ: f32 vs f16");
    }
}
