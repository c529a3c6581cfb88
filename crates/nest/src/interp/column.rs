//! Columns: the values of one scalar at all lanes of a block, and the functions on them.

use crate::func::{Func, convert};
use ir::{DType, Literal};

#[derive(Clone, Debug)]
pub(super) enum Column {
    Float(Vec<f64>),
    Int(Vec<i64>),
}

impl Column {
    pub fn new(dtype: DType, lanes: usize) -> Column {
        if dtype.is_float() { Column::Float(vec![0.0; lanes]) } else { Column::Int(vec![0; lanes]) }
    }

    pub fn get(&self, lane: usize) -> Literal {
        match self {
            Column::Float(column) => Literal::Float(column[lane]),
            Column::Int(column) => Literal::Int(column[lane]),
        }
    }

    pub fn set(&mut self, lane: usize, value: Literal) {
        match self {
            Column::Float(column) => column[lane] = value.as_f64(),
            Column::Int(column) => column[lane] = value.as_i64(),
        }
    }

    pub fn fill(&mut self, value: Literal) {
        match self {
            Column::Float(column) => column.fill(value.as_f64()),
            Column::Int(column) => column.fill(value.as_i64()),
        }
    }
}

/// Calls `$each` with the function as a constant where it is a frequent one: the optimiser then reduces `Func::eval` to an instruction.
macro_rules! with_constant {
    ($func:expr, $each:ident($($arg:expr),*)) => {
        match $func {
            Func::Add => $each(Func::Add, $($arg),*),
            Func::Sub => $each(Func::Sub, $($arg),*),
            Func::Mul => $each(Func::Mul, $($arg),*),
            Func::Div => $each(Func::Div, $($arg),*),
            Func::Max => $each(Func::Max, $($arg),*),
            Func::Min => $each(Func::Min, $($arg),*),
            Func::Less => $each(Func::Less, $($arg),*),
            Func::Equal => $each(Func::Equal, $($arg),*),
            other => $each(other, $($arg),*),
        }
    };
}

/// `out[lane] = func(args[lane]..)` for lanes below `lanes`; `dtype` is the type of the data operands.
pub(super) fn apply(func: Func, dtype: DType, args: &[&Column], out: &mut Column, lanes: usize) {
    with_constant!(func, apply_each(dtype, args, out, lanes))
}

#[inline(always)]
fn apply_each(func: Func, dtype: DType, args: &[&Column], out: &mut Column, lanes: usize) {
    match (args, out) {
        ([Column::Float(a), Column::Float(b)], Column::Float(out)) => {
            for ((out, a), b) in out[..lanes].iter_mut().zip(a).zip(b) {
                *out = func.eval(DType::F64, &[Literal::Float(*a), Literal::Float(*b)]).as_f64();
            }
        }
        ([Column::Int(a), Column::Int(b)], Column::Int(out)) => {
            for ((out, a), b) in out[..lanes].iter_mut().zip(a).zip(b) {
                *out = func.eval(dtype, &[Literal::Int(*a), Literal::Int(*b)]).as_i64();
            }
        }
        (args, out) => {
            let mut values = [Literal::Int(0); 3];
            for lane in 0..lanes {
                for (value, arg) in values.iter_mut().zip(args) {
                    *value = arg.get(lane);
                }
                out.set(lane, func.eval(dtype, &values[..args.len()]));
            }
        }
    }
}

/// `total[lane] = func(total[lane], term[lane])`
pub(super) fn fold(func: Func, dtype: DType, total: &mut Column, term: &Column, lanes: usize) {
    with_constant!(func, fold_each(dtype, total, term, lanes))
}

#[inline(always)]
fn fold_each(func: Func, dtype: DType, total: &mut Column, term: &Column, lanes: usize) {
    match (total, term) {
        (Column::Float(total), Column::Float(term)) => {
            for (total, term) in total[..lanes].iter_mut().zip(term) {
                *total = func.eval(DType::F64, &[Literal::Float(*total), Literal::Float(*term)]).as_f64();
            }
        }
        (total, term) => {
            for lane in 0..lanes {
                total.set(lane, func.eval(dtype, &[total.get(lane), term.get(lane)]));
            }
        }
    }
}

/// `out[lane] = convert(value[lane])`
pub(super) fn convert_each(from: DType, to: DType, value: &Column, out: &mut Column, lanes: usize) {
    match (value, out) {
        (Column::Float(value), Column::Float(out)) => out[..lanes].copy_from_slice(&value[..lanes]),
        (value, out) => (0..lanes).for_each(|lane| out.set(lane, convert(value.get(lane), from, to))),
    }
}
