//! `quantize`: products of dequantised bytes become products of bytes.
//!
//! - [`read`]: what is a dequantised tensor
//! - [`product`]: products of two of them
//!
//! A model in the QDQ form stores bytes, and describes each operator on floats between a DequantizeLinear and a QuantizeLinear. The
//! frontend leaves these as scalar functions; they are recognised by what they compute.

pub mod product;
pub mod read;

use crate::rewrite::{Rewriter, Site, rewrite};
use crate::view::View;
use ir::{DType, Graph, ValueId};
use nest::Func;
use read::{List, Quantized};
use std::collections::BTreeSet;

/// Multiplies codes where the factors of a contraction or convolution are codes of 8 bits with constant scales and zero points:
///
/// ```text
/// a = (p - 3) * 0.5; b = q * 0.25; y = contract(a, b)   ->   y = (contract(p, q) - 3 * sum q) * 0.125
/// ```
///
/// The sums are exact, so only the scaling rounds. What is quantised as it was before is not computed again, and a quotient by the scale of
/// a result that products of codes enter becomes a product by its reciprocal:
///
/// ```text
/// u8(round(((p - 3) * 0.5) / 0.5) + 3)   ->   p
/// ```
pub fn quantize(graph: &Graph) -> Graph {
    rewrite(graph, quantize, |rewriter, site| match site.node.op {
        "contract" => product::contract(rewriter, site),
        "conv" => product::conv(rewriter, site),
        "convert" => quantized(rewriter, site),
        _ => None,
    })
}

/// `round(x / scale) + zero`, as a byte.
struct Quantization {
    x: ValueId,
    scale: List,
    zero: Option<List>,
    /// The zero point as it is added.
    shift: Option<ValueId>,
}

impl Quantization {
    fn read(view: View, site: &Site) -> Option<Quantization> {
        let operand = site.inputs[0];
        let (whole, shift) = match view.map(operand, Func::Add) {
            Some([whole, shift]) => (*whole, Some(*shift)),
            _ => (operand, None),
        };
        let [x, scale] = view.map(view.unary(whole, Func::Round)?, Func::Div)? else { return None };
        let zero = match shift {
            Some(shift) => Some(List::read(view, view.operand_of(shift, "convert").unwrap_or(shift))?),
            None => None,
        };
        let scale = List::read(view, *scale).filter(|scale| scale.is_scale(view))?;
        (view.ty(*x).dtype == DType::F32).then_some(Quantization { x: *x, scale, zero, shift })
    }
}

fn quantized(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let view = rewriter.view();
    let to = rewriter.before.ty(site.node.outputs[0]).dtype;
    matches!(to, DType::I8 | DType::U8).then_some(())?;
    let found = Quantization::read(view, site)?;
    let same = |inner: &Quantized| {
        let zeros = [&inner.zero, &found.zero].map(|zero| zero.as_ref().map(|zero| zero.numbers(view)));
        let axes = [&inner.zero, &found.zero].map(|zero| zero.as_ref().and_then(|zero| zero.axis));
        inner.dtype(view) == to && inner.scale.equals(&found.scale, view) && zeros[0] == zeros[1] && axes[0] == axes[1]
    };
    if let Some(inner) = Quantized::read(view, found.x).filter(same) {
        rewriter.covers(found.x);
        return Some(vec![inner.codes(rewriter)?]);
    }
    holds_product(view, found.x).then_some(())?;
    let b = &mut rewriter.b;
    let dims = b.dims(found.x).to_vec();
    let one = b.number(DType::F32, 1.0);
    let scale = found.scale.along(b, dims.len())?;
    let factor = b.map_broadcast(Func::Div, &[one, scale]).ok()?;
    let factor = b.broadcast(factor, &dims).ok()?;
    let quotient = b.map(Func::Mul, &[found.x, factor]).ok()?;
    let whole = b.map(Func::Round, &[quotient]).ok()?;
    let moved = found.shift.map_or(Ok(whole), |shift| b.map(Func::Add, &[whole, shift])).ok()?;
    Some(vec![b.convert(moved, to).ok()?])
}

/// How many values in front of one are looked at.
const MOST_VALUES: usize = 64;

/// Whether a product of codes is among what a value is computed from, point by point.
fn holds_product(view: View, value: ValueId) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![value]);
    while let Some(value) = open.pop() {
        let Some((_, node)) = view.graph.producer(value).filter(|_| seen.len() < MOST_VALUES && seen.insert(value)) else { continue };
        match node.op {
            "contract" | "conv" if view.ty(value).dtype == DType::I32 => return true,
            "map" | "convert" | "reshape" | "transpose" => open.extend(&node.inputs),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests;
