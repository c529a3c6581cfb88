//! A method for each composite.

use super::Builder;
use crate::composites::conv_transpose::Transposed;
use crate::composites::resize::ResizeAttrs;
use ir::{Attr, Attrs, DType, Diagnostic, ValueId};
use sym::Expr;

type Result<T> = std::result::Result<T, Diagnostic>;

impl Builder {
    pub fn softmax(&mut self, x: ValueId, axis: usize) -> Result<ValueId> {
        self.one("softmax", Attrs::from([("axis", Attr::Int(axis as i64))]), &[x])
    }

    pub fn layer_norm(&mut self, x: ValueId, scale: ValueId, bias: ValueId, axis: usize, epsilon: f64) -> Result<ValueId> {
        let attrs = Attrs::from([("axis", Attr::Int(axis as i64)), ("epsilon", Attr::Float(epsilon))]);
        self.one("layer_norm", attrs, &[x, scale, bias])
    }

    pub fn gelu(&mut self, x: ValueId) -> Result<ValueId> {
        self.one("gelu", Attrs::from([("approximate", Attr::Int(0))]), &[x])
    }

    /// The tanh form of `gelu`.
    pub fn gelu_tanh(&mut self, x: ValueId) -> Result<ValueId> {
        self.one("gelu", Attrs::from([("approximate", Attr::Int(1))]), &[x])
    }

    pub fn attention(&mut self, q: ValueId, k: ValueId, v: ValueId, mask: Option<ValueId>, scale: f64) -> Result<ValueId> {
        let operands: Vec<ValueId> = [q, k, v].into_iter().chain(mask).collect();
        self.one("attention", Attrs::from([("scale", Attr::Float(scale))]), &operands)
    }

    /// `parameters` are scale, bias, mean and variance.
    pub fn batch_norm(&mut self, x: ValueId, parameters: [ValueId; 4], epsilon: f64) -> Result<ValueId> {
        let [scale, bias, mean, variance] = parameters;
        self.one("batch_norm", Attrs::from([("epsilon", Attr::Float(epsilon))]), &[x, scale, bias, mean, variance])
    }

    pub fn hard_sigmoid(&mut self, x: ValueId, alpha: f64, beta: f64) -> Result<ValueId> {
        self.one("hard_sigmoid", Attrs::from([("alpha", Attr::Float(alpha)), ("beta", Attr::Float(beta))]), &[x])
    }

    pub fn clamp(&mut self, x: ValueId, low: ValueId, high: ValueId) -> Result<ValueId> {
        self.one("clamp", Attrs::new(), &[x, low, high])
    }

    /// A border of x's own elements, around each axis; `mode` is edge, reflect or wrap.
    pub fn extend(&mut self, x: ValueId, mode: &str, low: &[Expr], high: &[Expr]) -> Result<ValueId> {
        if low.iter().chain(high).all(Expr::is_zero) {
            return Ok(x);
        }
        let exprs = |sizes: &[Expr]| Attr::Exprs(sizes.to_vec());
        self.one("extend", Attrs::from([("mode", Attr::Text(mode.to_string())), ("low", exprs(low)), ("high", exprs(high))]), &[x])
    }

    /// One axis at another size.
    pub fn resize(&mut self, x: ValueId, axis: usize, size: &Expr, resize: &ResizeAttrs) -> Result<ValueId> {
        self.one("resize", resize.attrs(axis, size), &[x])
    }

    /// `low` elements are cut off before the result, whose spatial dims are `sizes`.
    pub fn conv_transpose(&mut self, x: ValueId, w: ValueId, place: &Transposed, groups: i64) -> Result<ValueId> {
        self.one("conv_transpose", place.attrs(groups), &[x, w])
    }

    /// f16 and bf16 as f32, which composites compute in; other types unchanged.
    pub fn widened(&mut self, x: ValueId) -> Result<ValueId> {
        match self.dtype(x) {
            DType::F16 | DType::BF16 => self.convert(x, DType::F32),
            _ => Ok(x),
        }
    }
}
