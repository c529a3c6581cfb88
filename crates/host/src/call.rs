//! An operation with its attributes, as generated code and interpreters call it.

use crate::{Fault, HostOp, View, ViewMut};
use ir::{Array, Attrs, Code, DType, Strings, Tensor};
use std::sync::Arc;

/// What a call of an operation needs besides memory and sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct HostCall {
    pub op: &'static HostOp,
    pub attrs: Attrs,
    /// Element type and rank of each operand, then of each result.
    pub operands: Vec<(DType, usize)>,
    pub results: Vec<(DType, usize)>,
}

impl HostCall {
    /// The words that generated code passes: a pointer for each operand and result, then their dims, one after the other.
    pub fn words(&self) -> usize {
        self.tensors().map(|(_, rank)| 1 + rank).sum()
    }

    /// Operands, then results.
    pub fn tensors(&self) -> impl Iterator<Item = (DType, usize)> + '_ {
        self.operands.iter().chain(&self.results).copied()
    }

    pub fn run(&self, operands: &[View], results: &mut [ViewMut], strings: &Strings) -> Result<(), Fault> {
        let same = |ty: &(DType, usize), dtype: DType, dims: &[usize]| *ty == (dtype, dims.len());
        let fits = operands.len() == self.operands.len()
            && results.len() == self.results.len()
            && self.operands.iter().zip(operands).all(|(ty, view)| same(ty, view.dtype, view.dims))
            && self.results.iter().zip(&*results).all(|(ty, view)| same(ty, view.dtype, view.dims));
        match fits {
            true => (self.op.run)(&self.attrs, operands, results, strings),
            false => Err(Fault::types(format!("{} is called with other tensors than its own", self.op.name))),
        }
    }

    /// The same on the values of interpreters, which are rounded to their types first.
    pub fn interpreted(&self, operands: &[&Array], dims: &[Vec<usize>], strings: &Strings) -> Result<Vec<Array>, Fault> {
        let operands: Vec<Tensor> = operands.iter().map(|array| Tensor::from_array(array)).collect();
        let views: Vec<View> =
            operands.iter().map(|tensor| View { dtype: tensor.dtype(), dims: tensor.dims(), bytes: tensor.bytes() }).collect();
        let types: Vec<DType> = self.results.iter().map(|(dtype, _)| *dtype).collect();
        let too_large = || Fault::new(Code::Limit, format!("a result of {} is too large for the interpreter", self.op.name));
        let bytes = |(dtype, dims): (&DType, &Vec<usize>)| {
            let count = dims.iter().try_fold(dtype.size(), |bytes, dim| bytes.checked_mul(*dim));
            count.filter(|_| Array::fits(dims)).map(|count| vec![0; count]).ok_or_else(too_large)
        };
        let mut memory = types.iter().zip(dims).map(bytes).collect::<Result<Vec<Vec<u8>>, Fault>>()?;
        let parts = types.iter().zip(dims).zip(&mut memory);
        let mut results: Vec<ViewMut> = parts.map(|((dtype, dims), bytes)| ViewMut { dtype: *dtype, dims, bytes }).collect();
        self.run(&views, &mut results, strings)?;
        let tensors = types.into_iter().zip(dims).zip(memory);
        let array = |((dtype, dims), bytes): ((DType, &Vec<usize>), Vec<u8>)| {
            Tensor::new(dtype, dims.clone(), Arc::new(bytes)).map(|tensor| tensor.to_array()).ok_or_else(too_large)
        };
        tensors.map(array).collect()
    }
}
