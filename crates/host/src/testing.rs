//! Operations called on small tensors.

use crate::{Fault, HostCall, HostOp};
use ir::{Array, Attrs, Strings, TensorType};

/// An operation with a table of its own.
pub struct Case {
    op: &'static str,
    attrs: Attrs,
    pub strings: Strings,
}

impl Case {
    pub fn new(op: &HostOp, attrs: Attrs) -> Case {
        Case { op: op.name, attrs, strings: Strings::default() }
    }

    /// A vector of strings.
    pub fn texts(&self, texts: &[&str]) -> Array {
        self.strings.tensor(vec![texts.len()], texts).unwrap().to_array()
    }

    pub fn run(&self, operands: &[Array], dims: &[Vec<usize>]) -> Result<Vec<Array>, Fault> {
        let op = crate::find(self.op).unwrap();
        let ty = |array: &Array| TensorType::new(array.dtype(), array.dims().iter().map(|dim| sym::Expr::from(*dim as i64)).collect());
        let types = (op.types)(&operands.iter().map(ty).collect::<Vec<_>>(), &self.attrs)?;
        let call = HostCall {
            op,
            attrs: self.attrs.clone(),
            operands: operands.iter().map(|array| (array.dtype(), array.dims().len())).collect(),
            results: types.iter().map(|ty| (ty.dtype, ty.rank())).collect(),
        };
        call.interpreted(&operands.iter().collect::<Vec<_>>(), dims, &self.strings)
    }
}

/// The strings of a tensor, with commas between.
pub fn texts(case: &Case, array: &Array) -> String {
    case.strings.texts(&ir::Tensor::from_array(array)).unwrap().join(",")
}
