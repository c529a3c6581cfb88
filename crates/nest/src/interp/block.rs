//! One block of points at a time: every scalar is evaluated for all lanes of the block before the next scalar.

use super::bound;
use super::code::{Code, Fold, Op, OpKind, PlaceCode, Term, Track, WriteCode};
use super::column::{Column, apply, convert_each, fold};
use super::poly::Place;
use super::read::{At, Lanes, ReadState, data_place};
use crate::func::{Func, bits, wrap};
use crate::nest::Monoid;
use ir::array::Data;
use ir::{Array, Literal};
use std::mem::take;

/// The most points of a block.
pub(super) const LANES: usize = 256;

pub(super) struct Block<'a> {
    code: &'a Code,
    operands: &'a [&'a Array],
    /// What the operands may differ by; empty where all are exact.
    operand_errors: &'a [Option<&'a Array>],
    lanes: usize,
    place: Place,
    /// By scalar: its values, and where it is inexact the bounds of their errors.
    columns: Vec<Column>,
    errors: Vec<Vec<f64>>,
    /// By fold of a float sum: the sum of the terms' magnitudes.
    magnitudes: Vec<Vec<f64>>,
    reads: Vec<ReadState>,
    gathered: [Vec<f64>; 2],
    gathered_ints: Vec<i64>,
    positions: Vec<usize>,
}

/// The position of a lane that stores nothing.
const NOWHERE: usize = usize::MAX;

/// What a block writes through one write.
pub(super) struct Written<'a> {
    /// Row-major positions in the result.
    positions: &'a [usize],
    pub values: &'a Column,
    /// None where every value is exact.
    pub errors: Option<&'a [f64]>,
}

impl Written<'_> {
    /// The lanes that store something, with where.
    pub fn places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.positions.iter().copied().enumerate().filter(|(_, position)| *position != NOWHERE)
    }
}

impl<'a> Block<'a> {
    pub fn new(code: &'a Code, operands: &'a [&'a Array], operand_errors: &'a [Option<&'a Array>]) -> Block<'a> {
        let lanes_of_points = |iter: usize| if code.points.contains(&iter) { vec![0; LANES] } else { vec![] };
        Block {
            code,
            operands,
            operand_errors,
            lanes: 0,
            place: Place { columns: (0..code.extents.len()).map(lanes_of_points).collect(), steps: vec![0; code.extents.len()] },
            columns: code.dtypes.iter().map(|dtype| Column::new(*dtype, LANES)).collect(),
            errors: code.inexact.iter().map(|inexact| vec![0.0; if *inexact { LANES } else { 0 }]).collect(),
            magnitudes: code.folds.iter().map(|_| vec![0.0; LANES]).collect(),
            reads: code.reads.iter().map(|_| ReadState::default()).collect(),
            gathered: [vec![], vec![]],
            gathered_ints: vec![],
            positions: vec![],
        }
    }

    /// Takes the points numbered `first..first + lanes`, row-major over the iterators of points.
    pub fn load_range(&mut self, first: usize, lanes: usize) {
        self.lanes = lanes;
        self.resize_columns();
        let mut point = self.point(first);
        for lane in 0..lanes {
            for (iter, value) in self.code.points.iter().zip(&point) {
                self.place.columns[*iter][lane] = *value;
            }
            self.advance(&mut point);
        }
    }

    /// Takes the points with these numbers.
    pub fn load_points(&mut self, numbers: &[usize]) {
        self.lanes = numbers.len();
        self.resize_columns();
        for (lane, number) in numbers.iter().enumerate() {
            for (iter, value) in self.code.points.iter().zip(self.point(*number)) {
                self.place.columns[*iter][lane] = value;
            }
        }
    }

    fn resize_columns(&mut self) {
        for iter in &self.code.points {
            self.place.columns[*iter].resize(self.lanes, 0);
        }
    }

    fn point(&self, mut number: usize) -> Vec<i64> {
        let mut point = vec![0; self.code.points.len()];
        for (value, iter) in point.iter_mut().zip(&self.code.points).rev() {
            let extent = self.code.extents[*iter] as usize;
            *value = (number % extent) as i64;
            number /= extent;
        }
        point
    }

    fn advance(&self, point: &mut [i64]) {
        for (value, iter) in point.iter_mut().zip(&self.code.points).rev() {
            *value += 1;
            if *value < self.code.extents[*iter] {
                return;
            }
            *value = 0;
        }
    }

    /// Evaluates all scalars at the loaded points.
    pub fn run(&mut self) -> Result<(), String> {
        let code = self.code;
        self.place.steps.fill(0);
        self.run_once(&code.before)?;
        code.folds.iter().enumerate().for_each(|(at, fold)| self.start_fold(at, fold));
        if code.step_count() > 0 && !code.folds.is_empty() {
            self.run_steps()?;
        }
        code.folds.iter().enumerate().for_each(|(at, fold)| self.finish_fold(at, fold));
        self.place.steps.fill(0);
        self.run_once(&code.after)
    }

    fn run_once(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            if let OpKind::Read(read) = op.kind {
                self.prepare(read)?;
            }
            self.run_op(op)?;
        }
        Ok(())
    }

    fn run_steps(&mut self) -> Result<(), String> {
        let code = self.code;
        for op in &code.during {
            if let OpKind::Read(read) = op.kind {
                self.prepare(read)?;
            }
        }
        for fold in &code.folds {
            if let Term::Product(a, b) = fold.term {
                self.prepare(a)?;
                self.prepare(b)?;
            }
        }
        loop {
            for op in &code.during {
                self.run_op(op)?;
            }
            for (at, fold) in code.folds.iter().enumerate() {
                self.run_fold(at, fold)?;
            }
            if !self.next_step() {
                return Ok(());
            }
        }
    }

    fn next_step(&mut self) -> bool {
        for iter in self.code.steps.iter().rev() {
            self.place.steps[*iter] += 1;
            if self.place.steps[*iter] < self.code.extents[*iter] {
                return true;
            }
            self.place.steps[*iter] = 0;
        }
        false
    }

    fn prepare(&mut self, read: usize) -> Result<(), String> {
        let at = At { place: &self.place, columns: &self.columns, lanes: self.lanes };
        self.reads[read].prepare(&self.code.reads[read], at)
    }

    fn run_op(&mut self, op: &Op) -> Result<(), String> {
        let mut out = take_column(&mut self.columns[op.result]);
        match &op.kind {
            OpKind::Read(read) => {
                self.read(*read, &mut out)?;
                self.read_errors(*read, op.result)?;
            }
            OpKind::Literal(value) => out.fill(*value),
            OpKind::Index(map) => self.index(map, op.result, &mut out),
            OpKind::Apply { func, dtype, args } => {
                match *args.as_slice() {
                    [a] => apply(*func, *dtype, &[&self.columns[a]], &mut out, self.lanes),
                    [a, b] => apply(*func, *dtype, &[&self.columns[a], &self.columns[b]], &mut out, self.lanes),
                    [a, b, c] => apply(*func, *dtype, &[&self.columns[a], &self.columns[b], &self.columns[c]], &mut out, self.lanes),
                    _ => (),
                }
                self.apply_errors(op.result, *func, args, &out);
            }
            OpKind::Bits { from, to, arg } => {
                for lane in 0..self.lanes {
                    let value = self.columns[*arg].get(lane);
                    out.set(lane, bits(value, *from, *to));
                    if self.code.inexact[op.result] {
                        let open = self.error(*arg, lane) > 0.0 || value.as_f64().is_nan();
                        self.errors[op.result][lane] = if open { f64::INFINITY } else { 0.0 };
                    }
                }
            }
            OpKind::Convert { from, to, arg } => {
                convert_each(*from, *to, &self.columns[*arg], &mut out, self.lanes);
                for lane in 0..self.errors[op.result].len().min(self.lanes) {
                    let error = self.error(*arg, lane);
                    self.errors[op.result][lane] = bound::converted(*from, *to, self.columns[*arg].get(lane), error, out.get(lane));
                }
            }
        }
        self.columns[op.result] = out;
        Ok(())
    }

    fn index(&self, map: &super::poly::Poly, result: usize, out: &mut Column) {
        let mut values = vec![0; self.lanes];
        map.fill(&self.place, &mut values);
        let dtype = self.code.dtypes[result];
        values.iter().enumerate().for_each(|(lane, value)| out.set(lane, Literal::Int(wrap(*value, dtype))));
    }

    fn read(&mut self, read: usize, out: &mut Column) -> Result<(), String> {
        let code = &self.code.reads[read];
        let at = At { place: &self.place, columns: &self.columns, lanes: self.lanes };
        let fill = code.fill.unwrap_or(Literal::Int(0));
        match (self.operands[code.operand].data(), out) {
            (Data::Float(data), Column::Float(out)) => {
                self.reads[read].values(code, at, data, fill.as_f64(), &mut self.gathered[0])?.store(&mut out[..self.lanes])
            }
            (Data::Int(data), Column::Int(out)) => {
                self.reads[read].values(code, at, data, fill.as_i64(), &mut self.gathered_ints)?.store(&mut out[..self.lanes])
            }
            _ => return Err(format!("bug: the element type of {}", code.name)),
        }
        Ok(())
    }

    /// The errors of the elements that were read; infinite where another one may be meant.
    fn read_errors(&mut self, read: usize, result: usize) -> Result<(), String> {
        if !self.code.inexact[result] {
            return Ok(());
        }
        let (code, lanes) = (&self.code.reads[read], self.lanes);
        let mut errors = take(&mut self.errors[result]);
        errors[..lanes].fill(0.0);
        if let Some(array) = self.operand_errors.get(code.operand).copied().flatten() {
            let Data::Float(data) = array.data() else { return Err(format!("bug: the type of the errors of {}", code.name)) };
            let at = At { place: &self.place, columns: &self.columns, lanes };
            self.reads[read].values(code, at, data, 0.0, &mut self.gathered[0])?.store(&mut errors[..lanes]);
        }
        for index in code.indices() {
            (0..lanes).filter(|lane| self.error(index, *lane) > 0.0).for_each(|lane| errors[lane] = f64::INFINITY);
        }
        self.errors[result] = errors;
        Ok(())
    }

    fn error(&self, scalar: usize, lane: usize) -> f64 {
        self.errors[scalar].get(lane).copied().unwrap_or(0.0)
    }

    fn apply_errors(&mut self, result: usize, func: Func, args: &[usize], out: &Column) {
        if !self.code.inexact[result] {
            return;
        }
        let dtype = self.code.dtypes[args[args.len() - 1]];
        let (mut x, mut error) = ([Literal::Int(0); 3], [0.0; 3]);
        for lane in 0..self.lanes {
            for (at, arg) in args.iter().enumerate() {
                x[at] = self.columns[*arg].get(lane);
                error[at] = self.error(*arg, lane);
            }
            let value = out.get(lane);
            let propagated = bound::propagated(func, dtype, &x[..args.len()], &error[..args.len()], value);
            self.errors[result][lane] = propagated + bound::own(func, dtype, value);
        }
    }

    fn start_fold(&mut self, at: usize, fold: &Fold) {
        self.columns[fold.result].fill(fold.monoid.identity(fold.dtype));
        self.errors[fold.result].fill(0.0);
        self.magnitudes[at].fill(0.0);
    }

    fn run_fold(&mut self, at: usize, code: &Fold) -> Result<(), String> {
        let mut total = take_column(&mut self.columns[code.result]);
        match code.term {
            Term::Product(a, b) => self.fold_product(at, a, b, &mut total)?,
            Term::Scalar(term) => {
                self.fold_errors(at, code, term, &total);
                fold(code.monoid.func(), code.dtype, &mut total, &self.columns[term], self.lanes);
            }
        }
        self.columns[code.result] = total;
        Ok(())
    }

    /// `total[lane] += a[lane] * b[lane]`
    fn fold_product(&mut self, fold: usize, a: usize, b: usize, total: &mut Column) -> Result<(), String> {
        let (code, lanes) = (self.code, self.lanes);
        let at = At { place: &self.place, columns: &self.columns, lanes };
        let (code_a, code_b) = (&code.reads[a], &code.reads[b]);
        let data = |operand: usize| self.operands[operand].data();
        let (Data::Float(data_a), Data::Float(data_b), Column::Float(total)) = (data(code_a.operand), data(code_b.operand), total) else {
            return Err(format!("bug: the element type of {} or {}", code_a.name, code_b.name));
        };
        let fill = |fill: Option<Literal>| fill.map_or(0.0, Literal::as_f64);
        let (mut state_a, mut state_b) = (take(&mut self.reads[a]), take(&mut self.reads[b]));
        let [gathered_a, gathered_b] = &mut self.gathered;
        let lanes_a = state_a.values(code_a, at, data_a, fill(code_a.fill), gathered_a)?;
        let lanes_b = state_b.values(code_b, at, data_b, fill(code_b.fill), gathered_b)?;
        match code.track {
            Track::Values => for_each_product(&lanes_a, &lanes_b, total[..lanes].iter_mut(), |total, product| *total += product),
            Track::Bounds => {
                let totals = total[..lanes].iter_mut().zip(&mut self.magnitudes[fold]);
                for_each_product(&lanes_a, &lanes_b, totals, |(total, magnitude), product| {
                    *total += product;
                    *magnitude += product.abs();
                })
            }
        }
        (self.reads[a], self.reads[b]) = (state_a, state_b);
        Ok(())
    }

    fn fold_errors(&mut self, at: usize, code: &Fold, term: usize, total: &Column) {
        if !self.code.inexact[code.result] {
            return;
        }
        for lane in 0..self.lanes {
            let (value, error) = (self.columns[term].get(lane).as_f64(), self.error(term, lane));
            let sum = &mut self.errors[code.result][lane];
            match code.monoid {
                Monoid::Sum => {
                    *sum += error;
                    self.magnitudes[at][lane] += value.abs() + error;
                }
                Monoid::Product => {
                    let product = total.get(lane).as_f64();
                    let grown = bound::times(*sum, value) + bound::times(error, product) + bound::times(*sum, error);
                    *sum = grown + code.dtype.rounding(product * value);
                }
                Monoid::Max | Monoid::Min | Monoid::And | Monoid::Or => *sum = sum.max(error),
            }
        }
    }

    fn finish_fold(&mut self, at: usize, code: &Fold) {
        let length = self.code.step_count() as f64;
        for lane in 0..self.errors[code.result].len().min(self.lanes) {
            let rounding = code.dtype.rounding(self.magnitudes[at][lane]);
            if code.monoid == Monoid::Sum {
                self.errors[code.result][lane] += (length + 8.0) * rounding;
            }
        }
    }

    pub fn written(&mut self, write: &WriteCode) -> Result<Written<'_>, String> {
        for scalar in &write.finite {
            let odd = (0..self.lanes).map(|lane| self.columns[*scalar].get(lane)).find(|value| !value.as_f64().is_finite());
            odd.map_or(Ok(()), |value| Err(format!("E011: {value} in what makes `{}`", write.name)))?;
        }
        self.positions.clear();
        self.positions.resize(self.lanes, 0);
        let mut index = vec![0; self.lanes];
        let mut stored = vec![true; self.lanes];
        for only in &write.only {
            only.fill(&self.place, &mut index);
            stored.iter_mut().zip(&index).for_each(|(stored, index)| *stored &= *index >= 0);
        }
        for (axis, place) in write.index.iter().enumerate() {
            match place {
                PlaceCode::Map(map) => map.fill(&self.place, &mut index),
                PlaceCode::Data(scalar) => self.places_in_data(write, axis, *scalar, &mut index)?,
            }
            for ((position, index), _) in self.positions.iter_mut().zip(&index).zip(&stored).filter(|(_, stored)| **stored) {
                if *index < 0 || *index >= write.dims[axis] as i64 {
                    return Err(format!(
                        "bug: write {} at index {index} of axis {axis}, which has {} elements",
                        write.name, write.dims[axis]
                    ));
                }
                *position += (*index * write.strides[axis]) as usize;
            }
        }
        self.positions.iter_mut().zip(&stored).filter(|(_, stored)| !**stored).for_each(|(position, _)| *position = NOWHERE);
        let errors = &self.errors[write.value];
        let errors = if errors.is_empty() { None } else { Some(errors.as_slice()) };
        Ok(Written { positions: &self.positions, values: &self.columns[write.value], errors })
    }

    fn places_in_data(&self, write: &WriteCode, axis: usize, scalar: usize, out: &mut [i64]) -> Result<(), String> {
        let extent = write.dims[axis] as i64;
        for (lane, out) in out.iter_mut().enumerate() {
            let place = data_place(self.columns[scalar].get(lane).as_i64(), extent);
            *out = place.map_err(|why| format!("{why} axis {axis} of `{}`, which has {extent} elements", write.name))?;
        }
        Ok(())
    }
}

impl<T: Copy> Lanes<'_, T> {
    fn store(&self, out: &mut [T]) {
        match self {
            Lanes::Uniform(value) => out.fill(*value),
            Lanes::Each(values) => out.copy_from_slice(values),
        }
    }
}

fn for_each_product<T>(a: &Lanes<f64>, b: &Lanes<f64>, totals: impl Iterator<Item = T>, mut add: impl FnMut(T, f64)) {
    match (a, b) {
        (Lanes::Uniform(a), Lanes::Uniform(b)) => totals.for_each(|total| add(total, a * b)),
        (Lanes::Uniform(a), Lanes::Each(b)) => totals.zip(*b).for_each(|(total, b)| add(total, a * b)),
        (Lanes::Each(a), Lanes::Uniform(b)) => totals.zip(*a).for_each(|(total, a)| add(total, a * b)),
        (Lanes::Each(a), Lanes::Each(b)) => totals.zip(*a).zip(*b).for_each(|((total, a), b)| add(total, a * b)),
    }
}

fn take_column(column: &mut Column) -> Column {
    match column {
        Column::Float(values) => Column::Float(take(values)),
        Column::Int(values) => Column::Int(take(values)),
    }
}
