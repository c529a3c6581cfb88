//! A method for each composite.

use super::Builder;
use ir::{Attr, Attrs, DType, Diagnostic, ValueId};

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

    /// f16 and bf16 as f32, which composites compute in; other types unchanged.
    pub fn widened(&mut self, x: ValueId) -> Result<ValueId> {
        match self.dtype(x) {
            DType::F16 | DType::BF16 => self.convert(x, DType::F32),
            _ => Ok(x),
        }
    }
}
