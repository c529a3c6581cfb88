//! Values of the interpreters: one f64 or i64 per element, so that reference meanings work in f64 or exact integers.

use crate::dtype::{DType, Literal};

/// A dense row-major tensor of interpreter values. Floats of every type are f64 and are *not* rounded to `dtype`: differences between
/// two interpretations are then those of f64, far below the bound of a wrong pass. Invariant: the data's length is `product(dims)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    dtype: DType,
    dims: Vec<usize>,
    data: Data,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Float(Vec<f64>),
    Int(Vec<i64>),
}

impl Array {
    /// Panics where the length is wrong or the type is not a float type: a bug of the caller.
    pub fn floats(dtype: DType, dims: Vec<usize>, data: Vec<f64>) -> Array {
        assert!(dtype.is_float() && data.len() == dims.iter().product::<usize>());
        Array { dtype, dims, data: Data::Float(data) }
    }

    pub fn ints(dtype: DType, dims: Vec<usize>, data: Vec<i64>) -> Array {
        assert!(!dtype.is_float() && data.len() == dims.iter().product::<usize>());
        Array { dtype, dims, data: Data::Int(data) }
    }

    /// The most elements of an array that an interpreter makes: they take 8 GiB.
    pub const MOST_ELEMENTS: usize = 1 << 30;

    /// Whether the elements are few enough for an interpreter.
    pub fn fits(dims: &[usize]) -> bool {
        let count = dims.iter().try_fold(1usize, |count, dim| count.checked_mul(*dim));
        dims.contains(&0) || count.is_some_and(|count| count <= Array::MOST_ELEMENTS)
    }

    pub fn filled(dtype: DType, dims: Vec<usize>, value: Literal) -> Array {
        let count = dims.iter().product();
        match dtype.is_float() {
            true => Array::floats(dtype, dims, vec![value.as_f64(); count]),
            false => Array::ints(dtype, dims, vec![value.as_i64(); count]),
        }
    }

    /// An array whose element at each row-major position is `value(position)`.
    pub fn from_fn(dtype: DType, dims: Vec<usize>, mut value: impl FnMut(usize) -> Literal) -> Array {
        let count = dims.iter().product();
        match dtype.is_float() {
            true => Array::floats(dtype, dims, (0..count).map(|i| value(i).as_f64()).collect()),
            false => Array::ints(dtype, dims, (0..count).map(|i| value(i).as_i64()).collect()),
        }
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    pub fn data(&self) -> &Data {
        &self.data
    }

    pub fn count(&self) -> usize {
        self.dims.iter().product()
    }

    /// The element at a row-major position.
    pub fn get(&self, at: usize) -> Literal {
        match &self.data {
            Data::Float(data) => Literal::Float(data[at]),
            Data::Int(data) => Literal::Int(data[at]),
        }
    }

    pub fn set(&mut self, at: usize, value: Literal) {
        match &mut self.data {
            Data::Float(data) => data[at] = value.as_f64(),
            Data::Int(data) => data[at] = value.as_i64(),
        }
    }

    pub fn reshaped(mut self, dims: Vec<usize>) -> Array {
        assert_eq!(self.count(), dims.iter().product::<usize>());
        self.dims = dims;
        self
    }

    /// Row-major strides, in elements.
    pub fn strides(&self) -> Vec<usize> {
        row_major_strides(&self.dims)
    }
}

/// Row-major strides of dims, in elements.
pub fn row_major_strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    strides
}

/// Calls `visit` with every multi-index of `dims` in row-major order.
pub fn for_each_index(dims: &[usize], mut visit: impl FnMut(&[usize])) {
    if dims.contains(&0) {
        return;
    }
    let mut index = vec![0; dims.len()];
    loop {
        visit(&index);
        let Some(axis) = (0..dims.len()).rev().find(|a| index[*a] + 1 < dims[*a]) else { return };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}
