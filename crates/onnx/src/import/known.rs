//! Small tensors of whole numbers that are known as expressions of the symbols: shape arithmetic, done at import.

use super::sizes;
use ir::array::{for_each_index, row_major_strides};
use ir::{DType, Literal, Tensor};
use nest::Func;
use sym::Expr;

/// A tensor of integers, bools, or whole numbers as f32 or f64. Invariant: `values`, row-major, has `product(dims)` entries, at most
/// [`Known::LIMIT`]; those of a bool tensor are the constants 0 and 1, constants of a float tensor at most [`WHOLE`].
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub dtype: DType,
    pub dims: Vec<usize>,
    pub values: Vec<Expr>,
}

/// Whole floats up to this are exact, and so are their sums.
const WHOLE: i64 = 1 << 24;

impl Known {
    /// The most elements that are worth knowing.
    pub const LIMIT: usize = 1024;

    pub fn scalar(dtype: DType, value: Expr) -> Known {
        Known { dtype, dims: Vec::new(), values: vec![value] }
    }

    pub fn vector(dtype: DType, values: Vec<Expr>) -> Known {
        Known { dtype, dims: vec![values.len()], values }
    }

    /// None for floats, and where there are too many elements.
    pub fn of_tensor(tensor: &Tensor) -> Option<Known> {
        let dtype = tensor.dtype();
        if dtype.is_float() || tensor.count() > Known::LIMIT {
            return None;
        }
        let array = tensor.to_array();
        let values: Vec<i64> = (0..array.count()).map(|at| array.get(at).as_i64()).collect();
        let is_bits = dtype == DType::U64 && values.iter().any(|value| *value < 0);
        let known = Known { dtype, dims: tensor.dims().to_vec(), values: values.into_iter().map(Expr::from).collect() };
        (!is_bits).then_some(known)
    }

    /// Floats of the model as whole numbers; None where one is not, or is too large to be exact.
    pub fn of_whole_floats(tensor: &Tensor) -> Option<Known> {
        if !matches!(tensor.dtype(), DType::F32 | DType::F64) || tensor.count() > Known::LIMIT {
            return None;
        }
        let array = tensor.to_array();
        let values = (0..array.count()).map(|at| whole(array.get(at).as_f64())).collect::<Option<Vec<Expr>>>()?;
        Some(Known { dtype: tensor.dtype(), dims: tensor.dims().to_vec(), values })
    }

    /// The elements where all are numbers.
    pub fn constants(&self) -> Option<Vec<i64>> {
        self.values.iter().map(Expr::as_const).collect()
    }

    /// The same elements under other dims; None where the count differs.
    pub fn reshaped(&self, dims: Vec<usize>) -> Option<Known> {
        let same_count = element_count(&dims) == Some(self.values.len());
        same_count.then(|| Known { dtype: self.dtype, dims, values: self.values.clone() })
    }

    /// Elements of this tensor arranged anew: `source` gives the index to read for an index of the result. None where there would be
    /// too many, or `source` gives none.
    pub fn arranged(&self, dims: Vec<usize>, mut source: impl FnMut(&[usize]) -> Option<Vec<usize>>) -> Option<Known> {
        element_count(&dims)?;
        let strides = row_major_strides(&self.dims);
        let mut values = Some(Vec::new());
        for_each_index(&dims, |index| {
            let at = source(index).map(|index| index.iter().zip(&strides).map(|(i, stride)| i * stride).sum::<usize>());
            let value = at.and_then(|at| self.values.get(at)).cloned();
            values = values.take().zip(value).map(|(mut values, value)| {
                values.push(value);
                values
            });
        });
        Some(Known { dtype: self.dtype, dims, values: values? })
    }

    /// Numpy expansion to dims of at least this rank; None where it does not fit.
    pub fn broadcast(&self, dims: &[usize]) -> Option<Known> {
        let lead = dims.len().checked_sub(self.dims.len())?;
        let fits = self.dims.iter().zip(&dims[lead..]).all(|(from, to)| *from == 1 || from == to);
        let source = |index: &[usize]| index[lead..].iter().zip(&self.dims).map(|(i, dim)| if *dim == 1 { 0 } else { *i }).collect();
        fits.then(|| self.arranged(dims.to_vec(), |index| Some(source(index)))).flatten()
    }

    /// A scalar function of each element, with numpy broadcasting; None where an element is not decided.
    pub fn map(func: Func, operands: &[Known]) -> Option<Known> {
        let types: Vec<DType> = operands.iter().map(|known| known.dtype).collect();
        let dtype = func.result(&types).ok()?;
        let dims = broadcast_dims(operands)?;
        let operands: Option<Vec<Known>> = operands.iter().map(|known| known.broadcast(&dims)).collect();
        let operands = operands?;
        let data_type = *types.last()?;
        let value = |at: usize| element(func, data_type, &operands.iter().map(|known| &known.values[at]).collect::<Vec<_>>());
        let values = (0..element_count(&dims)?).map(value).collect::<Option<Vec<Expr>>>()?;
        Some(Known { dtype, dims, values })
    }

    /// The elements in another integer type, or as bool; None where one is not decided or does not fit.
    pub fn converted(&self, to: DType) -> Option<Known> {
        let values = self.values.iter().map(|value| converted_element(value, self.dtype, to)).collect::<Option<Vec<Expr>>>()?;
        Some(Known { dtype: to, dims: self.dims.clone(), values })
    }
}

/// A float as a whole number; None for -0, which is none.
fn whole(value: f64) -> Option<Expr> {
    let fits = value.fract() == 0.0 && value.abs() <= WHOLE as f64 && !(value == 0.0 && value.is_sign_negative());
    fits.then(|| Expr::from(value as i64))
}

/// The number of elements, where it is at most the limit.
fn element_count(dims: &[usize]) -> Option<usize> {
    if dims.contains(&0) {
        return Some(0);
    }
    dims.iter().try_fold(1usize, |count, dim| count.checked_mul(*dim).filter(|count| *count <= Known::LIMIT))
}

fn broadcast_dims(operands: &[Known]) -> Option<Vec<usize>> {
    let lists: Vec<Vec<Expr>> = operands.iter().map(|known| known.dims.iter().map(|dim| Expr::from(*dim as i64)).collect()).collect();
    let lists: Vec<&[Expr]> = lists.iter().map(Vec::as_slice).collect();
    let dims = ops::dims::broadcast_dims(&lists).ok()?;
    dims.iter().map(|dim| dim.as_const().and_then(|dim| usize::try_from(dim).ok())).collect()
}

/// One element of a map. `dtype` is the type of the data operands.
fn element(func: Func, dtype: DType, x: &[&Expr]) -> Option<Expr> {
    let numbers: Option<Vec<i64>> = x.iter().map(|x| x.as_const()).collect();
    if let Some(numbers) = numbers {
        let literal = |number: i64| if dtype.is_float() { Literal::Float(number as f64) } else { Literal::Int(number) };
        let literals: Vec<Literal> = numbers.into_iter().map(literal).collect();
        return match func.eval(dtype, &literals) {
            Literal::Float(value) => whole(value),
            Literal::Int(value) => Some(Expr::from(value)),
        };
    }
    let wide = matches!(dtype, DType::I32 | DType::I64 | DType::U32 | DType::U64 | DType::F32 | DType::F64);
    let decided = |decided: Option<bool>| decided.map(|decided| Expr::from(decided as i64));
    match (func, x) {
        (Func::Select, [condition, a, b]) => match condition.as_const() {
            Some(0) => Some((*b).clone()),
            Some(_) => Some((*a).clone()),
            None => (a == b).then(|| (*a).clone()),
        },
        _ if !wide => None,
        (Func::Neg, [a]) => Some(-*a),
        (Func::Abs, [a]) => sizes::is_nonnegative(a).map(|positive| if positive { (*a).clone() } else { -*a }),
        (Func::Add, [a, b]) => sizes::bounded(*a + *b),
        (Func::Sub, [a, b]) => sizes::bounded(*a - *b),
        (Func::Mul, [a, b]) => sizes::product([*a, *b]),
        (Func::Floor | Func::Ceil | Func::Round | Func::Trunc, [a]) => Some((*a).clone()),
        (Func::Div, [a, b]) if dtype.is_float() => b.as_const().filter(|b| *b > 0).and_then(|_| a.exact_div(b)),
        (Func::Div, [a, b]) => sizes::quotient(a, b),
        (Func::Rem, _) if dtype.is_float() => None,
        (Func::Rem, [a, b]) => sizes::bounded(*a - &sizes::product([&sizes::quotient(a, b)?, b])?),
        (Func::Max, [a, b]) => sizes::bounded(sizes::maximum(a, b)),
        (Func::Min, [a, b]) => sizes::bounded(sizes::minimum(a, b)),
        (Func::Equal, [a, b]) => decided(sizes::is_equal(a, b)),
        (Func::NotEqual, [a, b]) => decided(sizes::is_equal(a, b).map(|equal| !equal)),
        (Func::GreaterEqual, [a, b]) => decided(sizes::is_nonnegative(&(*a - *b))),
        (Func::LessEqual, [a, b]) => decided(sizes::is_nonnegative(&(*b - *a))),
        (Func::Greater, [a, b]) => decided(sizes::is_nonnegative(&(*b - *a)).map(|at_most| !at_most)),
        (Func::Less, [a, b]) => decided(sizes::is_nonnegative(&(*a - *b)).map(|at_least| !at_least)),
        _ => None,
    }
}

fn converted_element(value: &Expr, from: DType, to: DType) -> Option<Expr> {
    if let Some(number) = value.as_const() {
        let from = if from.is_float() { DType::I64 } else { from };
        return (!to.is_float()).then(|| Expr::from(nest::func::convert(Literal::Int(number), from, to).as_i64()));
    }
    match to {
        DType::Bool => sizes::is_equal(value, &Expr::zero()).map(|zero| Expr::from(!zero as i64)),
        DType::I32 | DType::I64 | DType::F32 | DType::F64 => Some(value.clone()),
        DType::U32 | DType::U64 => (sizes::is_nonnegative(value) == Some(true)).then(|| value.clone()),
        DType::I8 | DType::I16 | DType::U8 | DType::U16 | DType::F16 | DType::BF16 => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(text: &str) -> Known {
        Known::vector(DType::I64, text.split("; ").map(|value| value.parse().unwrap()).collect())
    }

    fn check(func: Func, operands: &[&str], want: Option<&str>) {
        let operands: Vec<Known> = operands.iter().map(|text| vector(text)).collect();
        let values = Known::map(func, &operands).map(|known| known.values);
        assert_eq!(values, want.map(|text| vector(text).values), "{func:?}");
    }

    #[test]
    fn arithmetic_is_symbolic() {
        check(Func::Add, &["n; 2", "1"], Some("n + 1; 3"));
        check(Func::Div, &["n*4; 7; -7", "2"], Some("2*n; 3; -3"));
        check(Func::Div, &["n*m", "m"], Some("n"));
        check(Func::Div, &["4 - n", "2"], None);
        check(Func::Rem, &["n*4 + 1", "2"], Some("1"));
        check(Func::Max, &["n; n", "0; m"], Some("n; max(n, m)"));
        check(Func::Equal, &["n; 3; n", "-1; 3; n"], Some("0; 1; 1"));
        check(Func::Equal, &["n", "1"], None);
        check(Func::Less, &["n", "n + 1"], Some("1"));
        check(Func::Mul, &["9223372036854775807", "2"], Some("-2"));
    }

    #[test]
    fn whole_floats_are_known() {
        let float = |text: &str| vector(text).converted(DType::F32).unwrap();
        let map = |func: Func, operands: &[Known]| Known::map(func, operands).map(|known| known.values);
        assert_eq!(map(Func::Mul, &[float("n"), float("m")]), Some(vector("n*m").values));
        assert_eq!(map(Func::Div, &[float("6*n"), float("2*m - m + n")]), None);
        assert_eq!(map(Func::Floor, &[float("n")]), Some(vector("n").values));
        assert_eq!(float("n").converted(DType::I64), Some(vector("n")));
        let tensor = |value: f64| Tensor::from_array(&ir::Array::floats(DType::F32, vec![], vec![value]));
        assert_eq!(Known::of_whole_floats(&tensor(3.0)).map(|known| known.values), Some(vector("3").values));
        assert!([0.5, -0.0, 1e9, f64::NAN].into_iter().all(|value| Known::of_whole_floats(&tensor(value)).is_none()));
    }

    #[test]
    fn known_tensors_broadcast() {
        let row = vector("a; b");
        assert_eq!(row.broadcast(&[2, 2]).unwrap().values, vector("a; b; a; b").values);
        assert_eq!(row.broadcast(&[3]), None);
        assert_eq!(Known::scalar(DType::I64, Expr::one()).broadcast(&[1 << 20]), None);
    }
}
