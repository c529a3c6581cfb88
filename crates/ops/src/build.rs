//! The builder that knows the ops: it infers types, adds guards, and gives back an operand where an op would change nothing.
//!
//! - [`core`]: a method for each core op, and numpy broadcasting
//! - [`composites`]: a method for each composite

pub mod composites;
pub mod core;

use crate::def::InferCx;
use ir::builder::{GraphBuilder, NewNode};
use ir::{Array, Attr, Attrs, Code, DType, Diagnostic, Graph, Literal, Location, Tensor, TensorType, ValueId};
use std::collections::BTreeMap;
use sym::Expr;

/// A `GraphBuilder` with shape rules. Every node gets the location that is current. Errors carry it too.
#[derive(Clone, Default)]
pub struct Builder {
    pub graph: GraphBuilder,
    /// The model nodes that the next nodes come from.
    pub location: Location,
    /// Scalar constants made so far.
    scalars: BTreeMap<(DType, Literal), ValueId>,
}

impl Builder {
    pub fn new(name: &str) -> Builder {
        Builder { graph: GraphBuilder::new(name), ..Builder::default() }
    }

    pub fn ty(&self, id: ValueId) -> &TensorType {
        self.graph.ty(id)
    }

    pub fn dims(&self, id: ValueId) -> &[Expr] {
        &self.ty(id).dims
    }

    pub fn dtype(&self, id: ValueId) -> DType {
        self.ty(id).dtype
    }

    pub fn input(&mut self, name: &str, ty: TensorType) -> ValueId {
        self.graph.input(name, ty)
    }

    pub fn output(&mut self, name: &str, value: ValueId) {
        self.graph.output(name, value);
    }

    pub fn finish(self) -> Graph {
        self.graph.finish()
    }

    /// A problem at the current location.
    pub fn error(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, &self.location, message)
    }

    /// Any op, by name. Gives back the operand where the op is the identity on it.
    pub fn op(&mut self, name: &str, attrs: Attrs, inputs: &[ValueId]) -> Result<Vec<ValueId>, Diagnostic> {
        self.op_with_regions(name, attrs, inputs, Vec::new())
    }

    /// An op with one result.
    pub fn one(&mut self, name: &str, attrs: Attrs, inputs: &[ValueId]) -> Result<ValueId, Diagnostic> {
        let outputs = self.op(name, attrs, inputs)?;
        outputs.first().copied().ok_or_else(|| self.error(Code::Malformed, format!("{name} has no result")))
    }

    pub fn op_with_regions(
        &mut self,
        name: &str,
        attrs: Attrs,
        inputs: &[ValueId],
        regions: Vec<Graph>,
    ) -> Result<Vec<ValueId>, Diagnostic> {
        let def = crate::find(name).ok_or_else(|| self.error(Code::Unsupported, format!("there is no op {name}")))?;
        let types: Vec<TensorType> = inputs.iter().map(|id| self.ty(*id).clone()).collect();
        let cx = InferCx { inputs: &types, attrs: &attrs, regions: &regions };
        let inferred = (def.infer)(&cx).map_err(|error| error.at(&self.location))?;
        if is_identity(def.name, &cx, &inferred.types) {
            return Ok(inputs.to_vec());
        }
        for condition in inferred.guards {
            self.graph.guard(condition, &self.location);
        }
        let hint = value_name(def.name, &attrs);
        Ok(self.graph.add_node(NewNode {
            op: def.name,
            attrs,
            inputs,
            outputs: inferred.types,
            regions,
            location: self.location.clone(),
            hints: &[&hint],
        }))
    }

    /// A scalar constant, rounded to its type; equal ones are shared.
    pub fn scalar(&mut self, dtype: DType, value: Literal) -> ValueId {
        let tensor = Tensor::from_array(&Array::filled(dtype, vec![], value));
        let key = (dtype, tensor.to_array().get(0));
        match self.scalars.get(&key) {
            Some(id) => *id,
            None => {
                let id = self.graph.constant(tensor, None, "scalar");
                self.scalars.insert(key, id);
                id
            }
        }
    }

    /// A scalar of a number, in an element type of either class.
    pub fn number(&mut self, dtype: DType, value: f64) -> ValueId {
        let literal = if dtype.is_float() { Literal::Float(value) } else { Literal::Int(value as i64) };
        self.scalar(dtype, literal)
    }

    /// A constant of one element type from integers.
    pub fn ints(&mut self, dtype: DType, dims: Vec<usize>, values: Vec<i64>) -> ValueId {
        let array = match dtype.is_float() {
            true => Array::floats(dtype, dims, values.into_iter().map(|value| value as f64).collect()),
            false => Array::ints(dtype, dims, values),
        };
        self.graph.constant(Tensor::from_array(&array), None, "constant")
    }
}

/// A derived name for a result: the scalar function's for `map`, else the op's.
fn value_name(op: &str, attrs: &Attrs) -> String {
    match (op, attrs.get("func")) {
        ("map", Some(Attr::Text(func))) => func.clone(),
        _ => op.to_string(),
    }
}

/// Whether the op gives its only operand back unchanged.
fn is_identity(op: &str, cx: &InferCx, results: &[TensorType]) -> bool {
    let ([x], [result]) = (cx.inputs, results) else { return false };
    let ordered = |perm: &[i64]| perm.iter().copied().eq(0..x.rank() as i64);
    x == result
        && match op {
            "broadcast" | "reshape" | "convert" | "bitcast" | "concat" => true,
            "transpose" => matches!(cx.attrs.get("perm"), Some(Attr::Ints(perm)) if ordered(perm)),
            "slice" => matches!(cx.attrs.get("steps"), Some(Attr::Ints(steps)) if steps.iter().all(|step| *step == 1)),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nest::Func;

    fn ty(dims: &[&str]) -> TensorType {
        TensorType::new(DType::F32, dims.iter().map(|dim| dim.parse().unwrap()).collect())
    }

    #[test]
    fn identities_add_no_node() {
        let mut b = Builder::new("g");
        let x = b.input("x", ty(&["n", "4"]));
        let dims = b.dims(x).to_vec();
        assert_eq!(b.broadcast(x, &dims), Ok(x));
        assert_eq!(b.reshape(x, &dims), Ok(x));
        assert_eq!(b.transpose(x, &[0, 1]), Ok(x));
        assert_eq!(b.convert(x, DType::F32), Ok(x));
        assert_eq!(b.slice(x, &[Expr::zero(), Expr::zero()], &dims, &[1, 1]), Ok(x));
        assert!(b.finish().nodes.is_empty());
    }

    #[test]
    fn undecided_broadcasts_are_guarded_where_they_stand() {
        let mut b = Builder::new("g");
        let (x, y) = (b.input("x", ty(&["n", "4"])), b.input("y", ty(&["m", "1"])));
        b.location = Location::of("/add");
        let sum = b.map_broadcast(Func::Add, &[x, y]).unwrap();
        assert_eq!(b.dims(sum), ["max(m, n)".parse().unwrap(), Expr::from(4)]);
        let guards: Vec<String> = b.finish().guards.iter().map(|guard| format!("{}: {}", guard.location, guard.condition)).collect();
        assert_eq!(guards, ["/add: one_or_equal(n, max(m, n))", "/add: one_or_equal(m, max(m, n))"]);
    }

    #[test]
    fn errors_name_the_node_and_both_values() {
        let mut b = Builder::new("g");
        let (x, y) = (b.input("x", ty(&["n", "768"])), b.input("y", ty(&["769", "4"])));
        b.location = Location::of("/layer3/MatMul_12");
        let error = b.contract("mk,kn->mn", x, y).unwrap_err();
        assert_eq!(error.to_string(), "[E003] /layer3/MatMul_12: K differs: 768 vs 769");
    }
}
