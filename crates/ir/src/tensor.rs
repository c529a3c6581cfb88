//! Concrete tensors: little-endian element bytes with a type.

use crate::array::Array;
use crate::dtype::{DType, Literal};
use half::{bf16, f16};
use std::fmt;
use std::sync::Arc;

/// Element bytes that may live in a mapped file.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A dense row-major tensor. Invariant: `bytes` holds exactly `product(dims) * dtype.size()` bytes.
#[derive(Clone)]
pub struct Tensor {
    dtype: DType,
    dims: Vec<usize>,
    bytes: Bytes,
}

impl Tensor {
    /// None where the byte count does not match.
    pub fn new(dtype: DType, dims: Vec<usize>, bytes: Bytes) -> Option<Tensor> {
        let count = dims.iter().try_fold(dtype.size(), |n, d| n.checked_mul(*d))?;
        ((*bytes).as_ref().len() == count).then_some(Tensor { dtype, dims, bytes })
    }

    /// A tensor of f32; None where the number of values does not match.
    pub fn from_f32(dims: Vec<usize>, values: &[f32]) -> Option<Tensor> {
        Tensor::new(DType::F32, dims, Arc::new(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()))
    }

    /// The elements of a tensor of f32; None for other types.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        let value = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap_or_default());
        (self.dtype == DType::F32).then(|| self.bytes().chunks_exact(4).map(value).collect())
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    pub fn bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    pub fn count(&self) -> usize {
        self.dims.iter().product()
    }

    /// The same elements under other dims; None where the count differs.
    pub fn reshaped(&self, dims: Vec<usize>) -> Option<Tensor> {
        Tensor::new(self.dtype, dims, self.bytes.clone())
    }

    /// The elements as interpreter values (every float type is exact in f64).
    pub fn to_array(&self) -> Array {
        let values = |f: &dyn Fn(&[u8]) -> f64| self.bytes().chunks_exact(self.dtype.size()).map(f).collect::<Vec<f64>>();
        let ints = |f: &dyn Fn(&[u8]) -> i64| self.bytes().chunks_exact(self.dtype.size()).map(f).collect::<Vec<i64>>();
        macro_rules! read {
            ($kind:ty, $b:ident) => {
                <$kind>::from_le_bytes($b.try_into().unwrap_or_default())
            };
        }
        let dims = self.dims.clone();
        match self.dtype {
            DType::F16 => Array::floats(self.dtype, dims, values(&|b| read!(f16, b).to_f64())),
            DType::BF16 => Array::floats(self.dtype, dims, values(&|b| read!(bf16, b).to_f64())),
            DType::F32 => Array::floats(self.dtype, dims, values(&|b| read!(f32, b) as f64)),
            DType::F64 => Array::floats(self.dtype, dims, values(&|b| read!(f64, b))),
            DType::Bool | DType::U8 => Array::ints(self.dtype, dims, ints(&|b| b[0] as i64)),
            DType::I8 => Array::ints(self.dtype, dims, ints(&|b| b[0] as i8 as i64)),
            DType::I16 => Array::ints(self.dtype, dims, ints(&|b| read!(i16, b) as i64)),
            DType::U16 => Array::ints(self.dtype, dims, ints(&|b| read!(u16, b) as i64)),
            DType::I32 => Array::ints(self.dtype, dims, ints(&|b| read!(i32, b) as i64)),
            DType::U32 => Array::ints(self.dtype, dims, ints(&|b| read!(u32, b) as i64)),
            DType::I64 => Array::ints(self.dtype, dims, ints(&|b| read!(i64, b))),
            DType::U64 => Array::ints(self.dtype, dims, ints(&|b| read!(u64, b) as i64)),
        }
    }

    /// A tensor of the array's type; floats are rounded to nearest even, integers are cut to the type's width.
    pub fn from_array(array: &Array) -> Tensor {
        let mut bytes = Vec::with_capacity(array.count() * array.dtype().size());
        for at in 0..array.count() {
            push_literal(&mut bytes, array.dtype(), array.get(at));
        }
        Tensor { dtype: array.dtype(), dims: array.dims().to_vec(), bytes: Arc::new(bytes) }
    }

    /// The value where all elements are the same bytes; None for empty or mixed tensors.
    pub fn uniform(&self) -> Option<Literal> {
        let size = self.dtype.size();
        let first = self.bytes().get(..size)?;
        let same = self.bytes().chunks_exact(size).all(|c| c == first);
        let element = Tensor { dtype: self.dtype, dims: vec![], bytes: Arc::new(first.to_vec()) };
        same.then(|| element.to_array().get(0))
    }
}

fn push_literal(bytes: &mut Vec<u8>, dtype: DType, value: Literal) {
    match dtype {
        DType::F16 => bytes.extend(f16::from_f64(value.as_f64()).to_le_bytes()),
        DType::BF16 => bytes.extend(bf16::from_f64(value.as_f64()).to_le_bytes()),
        DType::F32 => bytes.extend((value.as_f64() as f32).to_le_bytes()),
        DType::F64 => bytes.extend(value.as_f64().to_le_bytes()),
        _ => bytes.extend(&value.as_i64().to_le_bytes()[..dtype.size()]),
    }
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Tensor) -> bool {
        self.dtype == other.dtype && self.dims == other.dims && self.bytes() == other.bytes()
    }
}
impl Eq for Tensor {}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.dims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_go_in_and_out() {
        let tensor = Tensor::from_f32(vec![2, 1], &[1.5, -0.0]).unwrap();
        assert_eq!(tensor.to_array().get(0), Literal::Float(1.5));
        assert_eq!(tensor.to_f32().unwrap(), [1.5, -0.0]);
        assert!(Tensor::from_f32(vec![3], &[1.0]).is_none());
        assert!(Tensor::from_array(&Array::ints(DType::I32, vec![1], vec![1])).to_f32().is_none());
    }
}
