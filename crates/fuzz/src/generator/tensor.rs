//! New inputs and weights.

use super::{Form, Generator, Id};
use crate::draft;
use crate::interval::Interval;
use crate::model::ORDINARY_WORK;
use ir::{Array, DType, Literal, Tensor};
use onnx::proto::ValueInfoProto;
use sym::{Expr, Sym};

/// The sizes that dims are drawn from: around the widths of vectors and tiles.
const SIZES: [i64; 18] = [1, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 64];

/// Further ones for large models: around the blocks of long sums.
const LARGE_SIZES: [i64; 8] = [65, 96, 100, 128, 129, 200, 257, 384];

/// Weights may have so many times the elements of other tensors.
const WEIGHT_FACTOR: i64 = 4;

/// Floats of inputs are in `-INPUT_SIZE..INPUT_SIZE`.
const INPUT_SIZE: f64 = 2.0;

impl Generator {
    pub fn size(&mut self) -> i64 {
        if self.most_work > ORDINARY_WORK && self.random.chance(30) { self.random.one_of(LARGE_SIZES) } else { self.random.one_of(SIZES) }
    }

    /// A size or a symbol.
    pub fn dim(&mut self) -> Expr {
        match self.random.chance(35) {
            true => self.symbol().unwrap_or_else(Expr::one),
            false => Expr::from(self.size()),
        }
    }

    /// One of the model's symbols; None where it has none.
    pub fn symbol(&mut self) -> Option<Expr> {
        let symbols: Vec<Sym> = self.symbols.iter().map(|symbol| Sym::new(&symbol.name)).collect();
        self.random.pick(&symbols).map(|sym| Expr::sym(&sym))
    }

    /// Dims of a tensor that is not too large.
    pub fn new_dims(&mut self, rank: usize) -> Vec<Expr> {
        loop {
            let dims: Vec<Expr> = (0..rank).map(|_| self.dim()).collect();
            if self.is_handy(&dims) {
                return dims;
            }
        }
    }

    /// A new input of the model; None where its dims can't be declared.
    pub fn input(&mut self, dtype: DType, dims: &[Expr], interval: Interval) -> Option<Id> {
        if !dims.iter().all(|dim| self.is_declarable(dim)) || !self.is_handy(dims) {
            return None;
        }
        let id = self.add("input", Form { dtype, dims: dims.to_vec(), interval, exact: true });
        let info = draft::value_info(&self.value(id).name, dtype, dims);
        self.draft.graph.input.push(ValueInfoProto { doc_string: format!("{} {}", interval.low, interval.high), ..info });
        Some(id)
    }

    /// Whether an input may have a dim: a number, a symbol, or a multiple and the like of a symbol that an input has for itself.
    fn is_declarable(&self, dim: &Expr) -> bool {
        let symbols = dim.symbols();
        let (Some(sym), 1) = (symbols.first(), symbols.len()) else { return dim.as_const().is_some() };
        let declared = |info: &ValueInfoProto| crate::inputs::dims_text(info).iter().any(|text| text == sym.name());
        dim.as_sym().is_some() || dim.split_linear(sym).is_some() && self.draft.graph.input.iter().any(declared)
    }

    pub fn float_input(&mut self, dims: &[Expr]) -> Option<Id> {
        let size = if self.random.chance(80) { INPUT_SIZE } else { self.random.one_of([0.5, 1.0, 8.0]) };
        self.input(self.float, dims, Interval::around_zero(size))
    }

    /// Constant numbers in `-size..size`.
    pub fn weight(&mut self, stem: &str, dtype: DType, dims: &[usize], size: f64) -> Option<Id> {
        self.weight_within(stem, dtype, dims, Interval::around_zero(size))
    }

    /// Constant numbers; None where they are too many.
    pub fn weight_within(&mut self, stem: &str, dtype: DType, dims: &[usize], interval: Interval) -> Option<Id> {
        if dims.iter().product::<usize>() as i64 > WEIGHT_FACTOR * self.most_elements {
            return None;
        }
        let random = &mut self.random;
        let array = Array::from_fn(dtype, dims.to_vec(), |_| match dtype.is_float() {
            true => Literal::Float(random.float(interval.low, interval.high)),
            false => Literal::Int(random.between(interval.low.ceil() as i64, interval.high.floor() as i64)),
        });
        Some(self.constant(stem, &Tensor::from_array(&array)))
    }

    /// Random numbers of any type at the given dims: weights where all are numbers and chance wants it, else an input.
    pub fn tensor(&mut self, dtype: DType, dims: &[Expr], interval: Interval) -> Option<Id> {
        match const_dims(dims) {
            Some(dims) if self.random.chance(70) => self.weight_within("weight", dtype, &dims, interval),
            _ => self.input(dtype, dims, interval),
        }
    }
}

/// The dims where all are numbers.
pub fn const_dims(dims: &[Expr]) -> Option<Vec<usize>> {
    dims.iter().map(|dim| dim.as_const().and_then(|dim| usize::try_from(dim).ok())).collect()
}
