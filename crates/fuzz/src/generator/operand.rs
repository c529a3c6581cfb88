//! How a step finds its operands: values of the model so far, or new ones that fit them.

use super::tensor::const_dims;
use super::{Form, Generator, Id};
use crate::draft;
use crate::interval::Interval;
use ir::DType;
use std::ops::RangeInclusive;
use sym::Expr;

impl Generator {
    /// A value that fits; the latest ones are taken more often, so that chains form.
    pub fn find(&mut self, fits: impl Fn(&Generator, &Form) -> bool) -> Option<Id> {
        let fitting: Vec<Id> = self.ids().filter(|id| !self.value(*id).is_parameter && fits(self, self.form(*id))).collect();
        let recent = &fitting[fitting.len().saturating_sub(3)..];
        if self.random.chance(60) { self.random.pick(recent) } else { self.random.pick(&fitting) }
    }

    /// A tensor of floats with a rank in the range: an old one, or a new input.
    pub fn floats(&mut self, ranks: RangeInclusive<usize>) -> Option<Id> {
        let (low, high) = (*ranks.start(), *ranks.end());
        let found = self.find(|_, form| form.is_float() && ranks.contains(&form.rank()));
        if found.is_some() && self.random.chance(93) {
            return found;
        }
        let rank = self.random.between(low as i64, high.min(4) as i64) as usize;
        let dims = self.new_dims(rank);
        self.float_input(&dims)
    }

    /// A tensor of integers.
    pub fn integers(&mut self) -> Option<Id> {
        let found = self.find(|_, form| matches!(form.dtype, DType::I32 | DType::I64));
        if found.is_some() && self.random.chance(80) {
            return found;
        }
        let (rank, dtype) = (self.random.below(4), self.random.one_of([DType::I64, DType::I64, DType::I32]));
        let dims = self.new_dims(rank);
        self.input(dtype, &dims, Interval::around_zero(9.0))
    }

    /// A tensor of bools.
    pub fn bools(&mut self) -> Option<Id> {
        let found = self.find(|_, form| form.dtype == DType::Bool);
        if found.is_some() && self.random.chance(80) {
            return found;
        }
        let rank = self.random.below(4);
        let dims = self.new_dims(rank);
        self.input(DType::Bool, &dims, Interval::BOOL)
    }

    /// A tensor of any type.
    pub fn anything(&mut self, ranks: RangeInclusive<usize>) -> Option<Id> {
        let found = self.find(|_, form| ranks.contains(&form.rank()));
        found.or_else(|| self.floats(ranks))
    }

    /// Floats that no rounding made.
    pub fn exact_floats(&mut self) -> Option<Id> {
        let found = self.find(|_, form| form.is_float() && form.exact);
        found.or_else(|| {
            let dims = self.new_dims(2);
            self.float_input(&dims)
        })
    }

    /// A second operand of x's type that broadcasts with it; seldom x itself.
    pub fn partner(&mut self, x: Id) -> Option<Id> {
        self.partner_of(x, Interval::around_zero(2.0), false)
    }

    pub fn exact_partner(&mut self, x: Id) -> Option<Id> {
        self.partner_of(x, Interval::around_zero(2.0), true)
    }

    pub fn partner_of(&mut self, x: Id, interval: Interval, exact: bool) -> Option<Id> {
        let form = self.form(x).clone();
        let first = self.partner_within(&form, interval, exact)?;
        if first == x && self.random.chance(80) { self.partner_within(&form, interval, exact) } else { Some(first) }
    }

    /// A second operand; a new one has numbers in the interval.
    pub fn partner_within(&mut self, form: &Form, interval: Interval, exact: bool) -> Option<Id> {
        if self.random.chance(45) {
            let fits = |generator: &Generator, other: &Form| {
                let same = other.dtype == form.dtype && (other.exact || !exact);
                same && generator.broadcast(&form.dims, &other.dims).is_some_and(|dims| generator.is_handy(&dims))
            };
            if let Some(found) = self.find(fits) {
                return Some(found);
            }
        }
        let dims = self.partner_dims(&form.dims);
        let known: Vec<Expr> = dims.iter().map(|dim| if dim.as_const().is_some() { dim.clone() } else { Expr::one() }).collect();
        match (const_dims(&known), self.random.chance(75)) {
            (Some(known), true) => self.weight_within("weight", form.dtype, &known, interval),
            _ => self.input(form.dtype, &dims, interval),
        }
    }

    /// Dims that broadcast with others: some are 1, leading ones may be missing or more.
    fn partner_dims(&mut self, dims: &[Expr]) -> Vec<Expr> {
        let skipped = if self.random.chance(50) { 0 } else { self.random.below(dims.len() + 1) };
        let (ones, more) = (self.random.one_of([0, 0, 30, 70]), self.random.chance(5));
        let mut partner: Vec<Expr> = Vec::new();
        for dim in &dims[skipped..] {
            let widened = dim.is_one() && self.random.chance(20);
            partner.push(match () {
                () if widened => self.dim(),
                () if self.random.chance(ones) => Expr::one(),
                () => dim.clone(),
            });
        }
        if more && skipped == 0 {
            partner.insert(0, self.dim());
        }
        partner
    }

    /// The dims that numpy's rule gives; None where they do not fit for the sizes of every call.
    pub fn broadcast(&self, a: &[Expr], b: &[Expr]) -> Option<Vec<Expr>> {
        let rank = a.len().max(b.len());
        let dim = |dims: &[Expr], axis: usize| (axis + dims.len()).checked_sub(rank).map_or_else(Expr::one, |at| dims[at].clone());
        (0..rank).map(|axis| self.broadcast_dim(&dim(a, axis), &dim(b, axis))).collect()
    }

    fn broadcast_dim(&self, a: &Expr, b: &Expr) -> Option<Expr> {
        match (a.as_const(), b.as_const()) {
            _ if a == b || b.is_one() => Some(a.clone()),
            (Some(1), _) => Some(b.clone()),
            (Some(_), Some(_)) => None,
            _ => self.undecided_dim(a, b),
        }
    }

    /// Sizes that fit only by what the calls' sizes are.
    fn undecided_dim(&self, a: &Expr, b: &Expr) -> Option<Expr> {
        let fits = self.sizes(a).into_iter().zip(self.sizes(b)).all(|(a, b)| a == b || a == 1 || b == 1);
        let constant = [a, b].into_iter().find(|dim| dim.as_const().is_some_and(|dim| dim > 1));
        let dim = constant.cloned().unwrap_or_else(|| a.maximum(b));
        let covered = self.sizes(&dim).into_iter().zip(self.sizes(a).into_iter().zip(self.sizes(b))).all(|(dim, (a, b))| dim == a.max(b));
        (fits && covered).then_some(dim)
    }

    /// Numbers above 0.5 from any floats.
    pub fn positive(&mut self, x: Id) -> Option<Id> {
        let form = self.form(x).clone();
        if form.interval.low >= 0.1 {
            return Some(x);
        }
        let absolute = self.emit("Abs", &[x], vec![], form.within(form.interval.absolute()))?;
        let half = self.number(form.dtype, 0.5);
        let shifted = self.form(absolute).interval.plus(Interval::new(0.5, 0.5));
        self.emit("Add", &[absolute, half], vec![], form.rounded().within(shifted))
    }

    /// x where it is at most `most` at any rate; else x cut, squashed or scaled to that.
    pub fn tame(&mut self, x: Id, most: f64) -> Option<Id> {
        let form = self.form(x).clone();
        let size = form.interval.largest();
        if size <= most || !form.is_float() {
            return Some(x);
        }
        let unit = Interval::around_zero(1.0);
        match self.random.below(4) {
            0 => self.emit("Tanh", &[x], vec![], form.rounded().within(unit)),
            1 => self.emit("Sigmoid", &[x], vec![], form.rounded().within(Interval::BOOL)),
            2 => {
                let factor = self.number(form.dtype, most / size);
                self.emit("Mul", &[x, factor], vec![], form.rounded().within(form.interval.scale(most / size)))
            }
            _ => self.clip(x, Interval::around_zero(most.min(3.0))),
        }
    }

    pub fn clip(&mut self, x: Id, to: Interval) -> Option<Id> {
        let form = self.form(x).clone();
        let (low, high) = (self.number(form.dtype, to.low), self.number(form.dtype, to.high));
        let cut = form.interval.rising(|x| x.clamp(to.low, to.high));
        self.emit("Clip", &[x, low, high], vec![], form.within(cut))
    }

    /// A shape as the value of a shape operand: a list of numbers where all are, else computed from the sizes of `source`. None where a
    /// dim is not one of those.
    pub fn shape_operand(&mut self, source: Id, wanted: &[Expr]) -> Option<Id> {
        if let Some(numbers) = wanted.iter().map(Expr::as_const).collect::<Option<Vec<i64>>>() {
            return Some(self.list("shape", &numbers));
        }
        let given = self.dims(source);
        let known: Vec<bool> = wanted.iter().map(|dim| dim.as_const().is_some() || given.contains(dim)).collect();
        if known.contains(&false) {
            return None;
        }
        let vector = |size: i64| Form { dtype: DType::I64, dims: vec![Expr::from(size)], interval: Interval::new(0.0, 1e4), exact: true };
        let all = self.emit("Shape", &[source], vec![], vector(given.len() as i64))?;
        let mut parts = Vec::new();
        for dim in wanted {
            parts.push(match (dim.as_const(), given.iter().position(|other| other == dim)) {
                (Some(number), _) => self.list("size", &[number]),
                (None, Some(axis)) => self.size_at(all, axis, vector(1))?,
                (None, None) => return None,
            });
        }
        self.emit("Concat", &parts, vec![draft::int("axis", 0)], vector(wanted.len() as i64))
    }

    /// One entry of a shape, in one of the ways that exporters write it.
    fn size_at(&mut self, shape: Id, axis: usize, vector: Form) -> Option<Id> {
        if self.random.chance(30) {
            let bounds = [self.list("start", &[axis as i64]), self.list("end", &[axis as i64 + 1])];
            return self.emit("Slice", &[shape, bounds[0], bounds[1]], vec![], vector);
        }
        if self.random.chance(30) {
            let at = self.list("index", &[axis as i64]);
            return self.emit("Gather", &[shape, at], vec![], vector);
        }
        let at = self.number(DType::I64, axis as f64);
        let scalar = self.emit("Gather", &[shape, at], vec![draft::int("axis", 0)], vector.of(vec![]))?;
        let axes = self.list("axes", &[0]);
        self.emit("Unsqueeze", &[scalar, axes], vec![], vector)
    }
}
