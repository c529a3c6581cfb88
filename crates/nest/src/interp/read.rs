//! Reads of operands, one block of lanes at a time.
//!
//! An index is split into a part of the lane and a part of the reduction's step wherever it is their sum. The lane's part is evaluated
//! once a block; with its bounds over the block, one comparison a step tells whether all lanes are inside the operand.

use super::column::Column;
use super::poly::{Place, Poly};
use ir::Literal;

pub(super) struct ReadCode {
    pub operand: usize,
    pub name: String,
    pub dims: Vec<DimCode>,
    pub fill: Option<Literal>,
    /// Whether the operand has errors.
    pub uncertain: bool,
}

pub(super) struct DimCode {
    pub extent: i64,
    pub stride: i64,
    pub index: IndexCode,
}

pub(super) enum IndexCode {
    /// `lane + step`, where the step's part lies in `range` at every step.
    Split { lane: Poly, step: Poly, range: (i64, i64) },
    /// A map of both that is no such sum.
    Mixed(Poly),
    /// An integer scalar. `varies`: it is another one at each step.
    Data { scalar: usize, varies: bool },
}

/// A read at one block: what is known before the steps.
#[derive(Default)]
pub(super) struct ReadState {
    /// The lane's part of each dim's index; zeros where the index varies otherwise.
    dims: Vec<LaneIndex>,
    /// The row-major position that the lane's parts make.
    flat: Vec<i64>,
    shape: Shape,
    /// Whether every lane is inside the operand at every step.
    inside: bool,
    outside: Vec<bool>,
    scratch: Vec<i64>,
}

#[derive(Clone, Default)]
struct LaneIndex {
    column: Vec<i64>,
    low: i64,
    high: i64,
}

/// How positions go from lane to lane.
#[derive(Clone, Copy, Default, PartialEq)]
enum Shape {
    #[default]
    Scattered,
    Uniform,
    Contiguous,
}

/// The values of a read at all lanes.
pub(super) enum Lanes<'a, T> {
    Uniform(T),
    Each(&'a [T]),
}

/// The block and the step at which a read is evaluated.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub place: &'a Place,
    pub columns: &'a [Column],
    pub lanes: usize,
}

impl ReadState {
    /// Evaluates what does not change from step to step.
    pub fn prepare(&mut self, code: &ReadCode, at: At) -> Result<(), String> {
        self.dims.resize(code.dims.len(), LaneIndex::default());
        self.flat.clear();
        self.flat.resize(at.lanes, 0);
        self.inside = true;
        for (axis, dim) in code.dims.iter().enumerate() {
            let lane = &mut self.dims[axis];
            lane.evaluate(code, axis, at)?;
            self.inside &= match &dim.index {
                IndexCode::Split { range, .. } => dim.contains(lane.low.saturating_add(range.0), lane.high.saturating_add(range.1)),
                IndexCode::Mixed(_) => false,
                IndexCode::Data { varies, .. } => !varies,
            };
            add_scaled(&mut self.flat, dim.stride, &lane.column);
        }
        self.shape = shape(&self.flat);
        Ok(())
    }

    /// The values at the present step, borrowed from the operand where lanes are neighbours.
    pub fn values<'a, T: Copy>(
        &'a mut self,
        code: &ReadCode,
        at: At,
        data: &'a [T],
        fill: T,
        gathered: &'a mut Vec<T>,
    ) -> Result<Lanes<'a, T>, String> {
        if !self.inside && !self.is_inside_now(code, at.place) {
            self.locate_each(code, at)?;
            let place = |(at, outside): (&i64, &bool)| if *outside { fill } else { data[*at as usize] };
            gathered.clear();
            gathered.extend(self.scratch.iter().zip(&self.outside).map(place));
            return Ok(Lanes::Each(gathered));
        }
        let step: i64 = code.dims.iter().map(|dim| dim.stride * dim.step(at.place)).sum();
        let first = (self.flat[0] + step) as usize;
        Ok(match self.shape {
            Shape::Uniform => Lanes::Uniform(data[first]),
            Shape::Contiguous => Lanes::Each(&data[first..first + at.lanes]),
            Shape::Scattered => {
                gathered.clear();
                gathered.extend(self.flat.iter().map(|flat| data[(flat + step) as usize]));
                Lanes::Each(gathered)
            }
        })
    }

    fn is_inside_now(&self, code: &ReadCode, place: &Place) -> bool {
        code.dims.iter().zip(&self.dims).all(|(dim, lane)| match &dim.index {
            IndexCode::Split { step, .. } => {
                let step = step.at(&place.steps);
                dim.contains(lane.low.saturating_add(step), lane.high.saturating_add(step))
            }
            IndexCode::Mixed(_) => false,
            IndexCode::Data { varies, .. } => !varies,
        })
    }

    /// Positions into `scratch`, lane by lane, with `outside` where the fill stands.
    fn locate_each(&mut self, code: &ReadCode, at: At) -> Result<(), String> {
        self.scratch.clear();
        self.scratch.resize(at.lanes, 0);
        self.outside.clear();
        self.outside.resize(at.lanes, false);
        let mut index = vec![0; at.lanes];
        for (axis, dim) in code.dims.iter().enumerate() {
            index.copy_from_slice(&self.dims[axis].column);
            match &dim.index {
                IndexCode::Split { step, .. } => {
                    let step = step.at(&at.place.steps);
                    index.iter_mut().for_each(|index| *index += step);
                }
                IndexCode::Mixed(map) => map.fill(at.place, &mut index),
                IndexCode::Data { scalar, varies: true } => code.data_index(axis, *scalar, at, &mut index)?,
                IndexCode::Data { varies: false, .. } => (),
            }
            self.mark_outside(code, axis, &index)?;
            add_scaled(&mut self.scratch, dim.stride, &index);
        }
        Ok(())
    }

    fn mark_outside(&mut self, code: &ReadCode, axis: usize, index: &[i64]) -> Result<(), String> {
        let dim = &code.dims[axis];
        for (index, outside) in index.iter().zip(&mut self.outside) {
            if dim.contains(*index, *index) {
                continue;
            }
            if code.fill.is_none() {
                return Err(format!("bug: a map reads {} at index {index} of axis {axis}, which has {} elements", code.name, dim.extent));
            }
            *outside = true;
        }
        Ok(())
    }
}

impl LaneIndex {
    fn evaluate(&mut self, code: &ReadCode, axis: usize, at: At) -> Result<(), String> {
        self.column.clear();
        self.column.resize(at.lanes, 0);
        match &code.dims[axis].index {
            IndexCode::Split { lane, .. } => lane.fill(at.place, &mut self.column),
            IndexCode::Data { scalar, varies: false } => code.data_index(axis, *scalar, at, &mut self.column)?,
            IndexCode::Mixed(_) | IndexCode::Data { varies: true, .. } => (),
        }
        self.low = self.column.iter().copied().min().unwrap_or(0);
        self.high = self.column.iter().copied().max().unwrap_or(0);
        Ok(())
    }
}

impl ReadCode {
    /// The scalars that index it.
    pub fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.dims.iter().filter_map(|dim| match dim.index {
            IndexCode::Data { scalar, .. } => Some(scalar),
            IndexCode::Split { .. } | IndexCode::Mixed(_) => None,
        })
    }

    /// The checked values of a data index, counted from the dim's start.
    fn data_index(&self, axis: usize, scalar: usize, at: At, out: &mut [i64]) -> Result<(), String> {
        let extent = self.dims[axis].extent;
        for (lane, out) in out.iter_mut().enumerate() {
            let place = data_place(at.columns[scalar].get(lane).as_i64(), extent);
            *out = place.map_err(|why| format!("{why} axis {axis} of {}, which has {extent} elements", self.name))?;
        }
        Ok(())
    }
}

/// The place that an index read from data names; an error says what is outside of something.
pub(super) fn data_place(index: i64, extent: i64) -> Result<i64, String> {
    match index {
        _ if index < -extent || index >= extent => Err(format!("E010: index {index} is outside")),
        index => Ok(if index < 0 { index + extent } else { index }),
    }
}

impl DimCode {
    fn contains(&self, low: i64, high: i64) -> bool {
        low >= 0 && high < self.extent
    }

    fn step(&self, place: &Place) -> i64 {
        match &self.index {
            IndexCode::Split { step, .. } => step.at(&place.steps),
            IndexCode::Mixed(_) | IndexCode::Data { .. } => 0,
        }
    }
}

fn shape(flat: &[i64]) -> Shape {
    let every = |stride: i64| flat.windows(2).all(|pair| pair[1] == pair[0] + stride);
    if every(0) {
        Shape::Uniform
    } else if every(1) {
        Shape::Contiguous
    } else {
        Shape::Scattered
    }
}

/// Positions of elements outside wrap; they are not read.
fn add_scaled(out: &mut [i64], scale: i64, values: &[i64]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = out.wrapping_add(scale.wrapping_mul(*value));
    }
}
