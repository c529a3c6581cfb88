//! `batch_norm`: the inference form, with known mean and variance for each channel.
//!
//! Operands: x `[N, C, ..]` (float), scale, bias, mean, variance `[C]`. Attributes: `epsilon` Float.
//! - C1: the element types are equal and float.
//! - C2: x has rank 2 or more, the others have dims `[C]`.
//!
//! `out = (x - mean) / sqrt(variance + epsilon) * scale + bias`, by channel

use super::check_float;
use crate::attrs;
use crate::build::Builder;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::{Guards, same_type};
use crate::reference::as_floats;
use ir::{Array, Attrs, Diagnostic, ValueId};
use nest::Func;

pub const DEF: OpDef = OpDef { name: "batch_norm", infer, reference, kind: Kind::Composite { decompose } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x, scale, bias, mean, variance] = cx.operands()?;
    check_float(x)?;
    attrs::float(cx.attrs, "epsilon")?;
    let channels = x.dims.get(1).ok_or_else(|| OpError::shape(format!("x is {x}, with no channels")))?;
    let mut guards = Guards::default();
    for (name, ty) in [("scale", scale), ("bias", bias), ("mean", mean), ("variance", variance)] {
        same_type(x, ty)?;
        guards.all_equal(name, std::slice::from_ref(channels), &ty.dims)?;
    }
    Ok(Inferred::of(x.dtype, x.dims.clone()).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, _: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let x = inputs[0];
    let [scale, bias, mean, variance] = [1, 2, 3, 4].map(|at| as_floats(inputs[at]));
    let (epsilon, inner) = (attrs::float(attrs, "epsilon")?, x.dims()[2..].iter().product::<usize>());
    let mut out = as_floats(x);
    for (at, value) in out.iter_mut().enumerate() {
        let c = at / inner % scale.len();
        *value = (*value - mean[c]) / (variance[c] + epsilon).sqrt() * scale[c] + bias[c];
    }
    Ok(vec![Array::floats(x.dtype(), x.dims().to_vec(), out)])
}

fn decompose(b: &mut Builder, inputs: &[ValueId], attrs: &Attrs) -> Result<Vec<ValueId>, Diagnostic> {
    let epsilon = attrs::float(attrs, "epsilon").map_err(|error| error.at(&b.location))?;
    let (dtype, axes) = (b.dtype(inputs[0]), spatial_axes(b, inputs[0]));
    let x = b.widened(inputs[0])?;
    let mut by_channel = Vec::new();
    for parameter in &inputs[1..] {
        let wide = b.widened(*parameter)?;
        by_channel.push(b.unsqueeze(wide, &axes)?);
    }
    let shifted = b.map_number(Func::Add, by_channel[3], epsilon)?;
    let factor = b.map(Func::Rsqrt, &[shifted])?;
    let factor = b.map_broadcast(Func::Mul, &[factor, by_channel[0]])?;
    let centred = b.map_broadcast(Func::Sub, &[x, by_channel[2]])?;
    let scaled = b.map_broadcast(Func::Mul, &[centred, factor])?;
    let out = b.map_broadcast(Func::Add, &[scaled, by_channel[1]])?;
    Ok(vec![b.convert(out, dtype)?])
}

/// The axes to insert behind `[C]` so that it broadcasts to x.
fn spatial_axes(b: &Builder, x: ValueId) -> Vec<usize> {
    (1..b.dims(x).len() - 1).collect()
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Attr, Attrs};

    fn attrs() -> Attrs {
        Attrs::from([("epsilon", Attr::Float(1e-3))])
    }

    #[test]
    fn decomposition() {
        // epsilon is rounded to f32 where that is the type computed in
        for (dtype, tolerance) in [("f64", 1e-12), ("f32", 1e-6), ("f16", 1e-6)] {
            for (n, x) in [(0, "n, 3, 2, 4"), (2, "n, 3, 2, 4"), (2, "n, 3"), (2, "n, 3, 5")] {
                let types = [format!("{dtype}[{x}]"), format!("{dtype}[3]")];
                let case = case("batch_norm", attrs(), &[&types[0], &types[1], &types[1], &types[1], &types[1]], &[("n", n)]);
                case.with_floats(4, &[0.5, 2.0, 3.0]).check_decomposition(tolerance);
            }
        }
    }

    #[test]
    fn constraints() {
        let types = ["f32[n, c, h]", "f32[c]", "f32[c]", "f32[8]", "f32[c]"];
        assert_eq!(inferred("batch_norm", attrs(), &types), "f32[n, c, h] where c == 8");
        let types = ["f32[n, 3]", "f32[3]", "f32[4]", "f32[3]", "f32[3]"];
        assert_eq!(infer_error("batch_norm", attrs(), &types), "bias: axis 0 differs: 3 vs 4");
        assert_eq!(infer_error("batch_norm", attrs(), &["f32[3]"; 5]), "x is f32[3], with no channels");
    }
}
