//! `resize`: one axis read at other coordinates.
//!
//! Operands: x. Attributes: `axis` Int; `sizes` Exprs, the one new size; `scale` Float, new size over old as a coordinate transformation
//! sees it, or 0 for the quotient of the sizes; `mode`, `coordinates`, `rounding` Text; `cubic` Float, `exclude` and `antialias` Int,
//! `start` and `end` Float (of the part that is read) and `extrapolation` Float, as ONNX's Resize has them.
//! - C1: `axis` is an axis of x, the new size is not negative, and the old one at least 1 where the new one is.
//! - C2: `mode` is nearest, linear or cubic; the last two take floats.
//! - C3: `coordinates` is one of [`COORDINATES`], `rounding` (of mode nearest) one of [`ROUNDINGS`].
//! - C4: with `antialias`, `scale` is not below [`LEAST_SCALE`], unless it is 0.
//!
//! `out[.., i, ..] = sum over taps t of weight(t, c(i)) * x[.., clamp(place(t, c(i))), ..]`: one tap of weight 1 at the rounded coordinate,
//! two around it, or four of the cubic convolution. With `antialias` and a scale below 1, the filter of mode linear or cubic is stretched
//! by the scale's inverse, and its weights are divided by their sum. With `tf_crop_and_resize` a coordinate outside of the axis gives
//! `extrapolation`.
//!
//! Between two elements, rounding decides which is nearest. So mode nearest says how coordinates are rounded: each operation's result to
//! f32, as ONNX's runtimes compute. The decomposition computes them in f64 and rounds by arithmetic, since interpreters know f64 alone.
//! The other modes are continuous in the coordinate, and mean exact ones.

mod antialias;

use super::check_float;
use crate::attrs;
use crate::build::Builder;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::Guards;
use crate::reference::{as_floats, moved, position};
use ir::array::for_each_index;
use ir::{Array, Attr, Attrs, DType, Diagnostic, ValueId};
use nest::Func;
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "resize", infer, reference, kind: Kind::Composite { decompose } };

/// From a place in the result to a place in x, by the names of ONNX.
pub const COORDINATES: [&str; 7] = [
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
];

/// Which element is the nearest: ONNX's names, and that of the operators before opset 11 (up where the axis shrinks, else down).
pub const ROUNDINGS: [&str; 5] = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "simple"];

/// A filter that is stretched further is no use, and would take as long as it is wide.
pub const LEAST_SCALE: f64 = 1.0 / (1u64 << 20) as f64;

/// What one axis is resized by.
#[derive(Clone, Debug, PartialEq)]
pub struct ResizeAttrs {
    /// 0 for the quotient of the sizes.
    pub scale: f64,
    pub mode: String,
    pub coordinates: String,
    pub rounding: String,
    pub cubic: f64,
    pub exclude_outside: bool,
    pub antialias: bool,
    /// Start and end of the part that is read, of `tf_crop_and_resize`.
    pub roi: [f64; 2],
    pub extrapolation: f64,
}

impl ResizeAttrs {
    pub fn attrs(&self, axis: usize, size: &Expr) -> Attrs {
        Attrs::from([
            ("axis", Attr::Int(axis as i64)),
            ("sizes", Attr::Exprs(vec![size.clone()])),
            ("scale", Attr::Float(self.scale)),
            ("mode", Attr::Text(self.mode.clone())),
            ("coordinates", Attr::Text(self.coordinates.clone())),
            ("rounding", Attr::Text(self.rounding.clone())),
            ("cubic", Attr::Float(self.cubic)),
            ("exclude", Attr::Int(self.exclude_outside as i64)),
            ("antialias", Attr::Int(self.antialias as i64)),
            ("start", Attr::Float(self.roi[0])),
            ("end", Attr::Float(self.roi[1])),
            ("extrapolation", Attr::Float(self.extrapolation)),
        ])
    }

    fn read(attrs: &Attrs) -> Result<ResizeAttrs, OpError> {
        let one_of = |name: &str, names: &[&str]| match attrs::text(attrs, name)? {
            text if names.contains(&text) => Ok(text.to_string()),
            other => Err(OpError::attribute(format!("attribute `{name}` is {other}, not one of {}", names.join(", ")))),
        };
        Ok(ResizeAttrs {
            scale: attrs::float(attrs, "scale")?,
            mode: one_of("mode", &["nearest", "linear", "cubic"])?,
            coordinates: one_of("coordinates", &COORDINATES)?,
            rounding: one_of("rounding", &ROUNDINGS)?,
            cubic: attrs::float(attrs, "cubic")?,
            exclude_outside: attrs::flag(attrs, "exclude")?,
            antialias: attrs::flag(attrs, "antialias")?,
            roi: [attrs::float(attrs, "start")?, attrs::float(attrs, "end")?],
            extrapolation: attrs::float(attrs, "extrapolation")?,
        })
    }

    fn is_nearest(&self) -> bool {
        self.mode == "nearest"
    }

    /// Whether the filter is stretched; where sizes decide, it may be by a factor of 1.
    fn stretches(&self) -> bool {
        self.antialias && !self.is_nearest() && self.scale < 1.0
    }

    fn crops(&self) -> bool {
        self.coordinates == "tf_crop_and_resize"
    }

    /// Whether the nearest element of place `i` is always `i / factor`, for a scale that is a whole number.
    fn repeats(&self) -> bool {
        let down = matches!(self.rounding.as_str(), "floor" | "simple");
        let round = matches!(self.rounding.as_str(), "round_prefer_floor" | "round_prefer_ceil");
        match self.coordinates.as_str() {
            "asymmetric" | "tf_half_pixel_for_nn" => down,
            "half_pixel" | "half_pixel_symmetric" | "pytorch_half_pixel" => round,
            _ => false,
        }
    }
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    let resize = ResizeAttrs::read(cx.attrs)?;
    let axis = attrs::axis(cx.attrs, "axis", x.rank())?;
    let size = &attrs::exprs_of(cx.attrs, "sizes", 1)?[0];
    if !resize.is_nearest() {
        check_float(x)?;
    }
    if resize.stretches() && resize.scale != 0.0 && resize.scale < LEAST_SCALE {
        return Err(OpError::attribute(format!("attribute `scale` is {}, too small to antialias", resize.scale)));
    }
    let mut guards = Guards::default();
    guards.at_least("size", size, &Expr::zero())?;
    if size != &x.dims[axis] && !size.is_zero() {
        guards.at_least("size of the resized axis", &x.dims[axis], &Expr::one())?;
    }
    let mut dims = x.dims.clone();
    dims[axis] = size.clone();
    Ok(Inferred::of(x.dtype, dims).with(guards))
}

/// The coordinate in an axis of `from` elements that place `at` of `to` is read at; of mode nearest rounded to f32 at each step.
fn coordinate(resize: &ResizeAttrs, at: usize, from: usize, to: usize) -> f64 {
    let (at, from, to) = (at as f64, from as f64, to as f64);
    let step = |x: f64| if resize.is_nearest() { x as f32 as f64 } else { x };
    let scale = if resize.scale == 0.0 { step(to / from) } else { resize.scale };
    let [start, end] = resize.roi;
    let (last, end_place) = (step(from - 1.0), step(to - 1.0));
    let centre = || step(step(at + 0.5) / scale);
    match resize.coordinates.as_str() {
        "asymmetric" => step(at / scale),
        "tf_half_pixel_for_nn" => centre(),
        "pytorch_half_pixel" if to <= 1.0 => 0.0,
        "half_pixel" | "pytorch_half_pixel" => step(centre() - 0.5),
        "half_pixel_symmetric" => {
            let adjustment = step(to / step(scale * from));
            let offset = step(from / 2.0 * step(1.0 - adjustment));
            step(offset + step(centre() - 0.5))
        }
        "align_corners" if to <= 1.0 => 0.0,
        "align_corners" => step(step(at * last) / end_place),
        _ if to <= 1.0 => step(last * (0.5 * (start + end))),
        _ => {
            let walked = step(step(at * (end - start)) * last);
            step(step(last * start) + step(walked / end_place))
        }
    }
}

/// The elements that are read for a coordinate, before they are clamped, with their weights.
fn taps(resize: &ResizeAttrs, at: f64, from: usize, to: usize) -> Vec<(i64, f64)> {
    let (floor, last) = (at.floor(), from as f64 - 1.0);
    if resize.stretches() {
        return antialias::taps(resize, at, from, to);
    }
    match resize.mode.as_str() {
        "nearest" => {
            let shrinks = if resize.scale == 0.0 { to < from } else { resize.scale < 1.0 };
            let place = match resize.rounding.as_str() {
                "floor" => floor,
                "ceil" => at.ceil(),
                "simple" => {
                    if shrinks {
                        at.ceil()
                    } else {
                        at.trunc()
                    }
                }
                "round_prefer_ceil" => floor + (at - floor >= 0.5) as u8 as f64,
                _ => floor + (at - floor > 0.5) as u8 as f64,
            };
            vec![(place as i64, 1.0)]
        }
        "linear" => {
            let at = at.clamp(0.0, last.max(0.0));
            let part = at - at.floor();
            vec![(at.floor() as i64, 1.0 - part), (at.floor() as i64 + 1, part)]
        }
        _ => {
            let (a, part) = (resize.cubic, at - floor);
            let near = |d: f64| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
            let far = |d: f64| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
            let weights = [far(1.0 + part), near(part), near(1.0 - part), far(2.0 - part)];
            let mut taps: Vec<(i64, f64)> =
                weights.into_iter().enumerate().map(|(t, weight)| (floor as i64 - 1 + t as i64, weight)).collect();
            if resize.exclude_outside {
                taps.retain(|(place, _)| (0..from as i64).contains(place));
                let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
                taps.iter_mut().for_each(|(_, weight)| *weight /= sum);
            }
            taps
        }
    }
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, (dtype, dims)) = (inputs[0], &out[0]);
    let (resize, axis) = (ResizeAttrs::read(attrs)?, attrs::axis(attrs, "axis", dims.len())?);
    let (from, to) = (x.dims()[axis], dims[axis]);
    let clamped = |place: i64| place.clamp(0, from as i64 - 1) as usize;
    let coordinates: Vec<f64> = (0..to).map(|at| coordinate(&resize, at, from, to)).collect();
    let outside: Vec<bool> = coordinates.iter().map(|at| resize.crops() && !(0.0..=from as f64 - 1.0).contains(at)).collect();
    let taps: Vec<Vec<(i64, f64)>> = coordinates.iter().map(|at| taps(&resize, *at, from, to)).collect();
    let strides = x.strides();
    let element = |index: &[usize], place: i64| {
        let mut index = index.to_vec();
        index[axis] = clamped(place);
        position(&strides, &index)
    };
    if resize.is_nearest() && !resize.crops() {
        return Ok(vec![moved(x, dims, |index| element(index, taps[index[axis]][0].0))]);
    }
    let (data, mut sums) = (as_floats(x), Vec::with_capacity(dims.iter().product()));
    for_each_index(dims, |index| {
        let terms = taps[index[axis]].iter().map(|(place, weight)| weight * data[element(index, *place)]);
        sums.push(if outside[index[axis]] { resize.extrapolation } else { terms.sum() });
    });
    match dtype.is_float() {
        true => Ok(vec![Array::floats(*dtype, dims.clone(), sums)]),
        false => Ok(vec![Array::ints(*dtype, dims.clone(), sums.into_iter().map(|sum| sum as i64).collect())]),
    }
}

fn decompose(b: &mut Builder, inputs: &[ValueId], attrs: &Attrs) -> Result<Vec<ValueId>, Diagnostic> {
    let x = inputs[0];
    let located = |error: OpError| error.at(&b.location);
    let resize = ResizeAttrs::read(attrs).map_err(located)?;
    let axis = attrs::axis(attrs, "axis", b.dims(x).len()).map_err(located)?;
    let size = attrs::exprs_of(attrs, "sizes", 1).map_err(located)?[0].clone();
    let factor = size.exact_div(&b.dims(x)[axis]).and_then(|factor| factor.as_const());
    if let Some(factor) = factor.filter(|factor| resize.is_nearest() && resize.repeats() && [0.0, *factor as f64].contains(&resize.scale)) {
        return Ok(vec![repeated(b, x, axis, factor)?]);
    }
    let dtype = if resize.is_nearest() || resize.stretches() { DType::F64 } else { DType::F32 };
    let mut line = Line { from: b.dims(x)[axis].clone(), to: size, dtype, rounds: resize.is_nearest(), b };
    let at = line.coordinates(&resize)?;
    let outside = if resize.crops() { Some(line.outside(at)?) } else { None };
    let value = match resize.stretches() {
        true => antialias::filtered(&mut line, &resize, x, at, axis)?,
        false => {
            let taps = line.taps(&resize, at)?;
            weighted(b, x, axis, taps)?
        }
    };
    Ok(vec![match outside {
        Some(outside) => {
            let outside = along(b, outside, value, axis)?;
            let number = b.number(b.dtype(x), resize.extrapolation);
            b.map_broadcast(Func::Select, &[outside, number, value])?
        }
        None => value,
    }])
}

/// Each element of an axis `factor` times.
fn repeated(b: &mut Builder, x: ValueId, axis: usize, factor: i64) -> Result<ValueId, Diagnostic> {
    let mut dims = b.dims(x).to_vec();
    dims.insert(axis + 1, Expr::one());
    let x = b.reshape(x, &dims)?;
    dims[axis + 1] = Expr::from(factor);
    let x = b.broadcast(x, &dims)?;
    let joined = dims.remove(axis) * factor;
    dims[axis] = joined;
    b.reshape(x, &dims)
}

/// A vector along `axis` at the dims of `x`.
fn along(b: &mut Builder, vector: ValueId, x: ValueId, axis: usize) -> Result<ValueId, Diagnostic> {
    let dims = b.dims(x).to_vec();
    let behind: Vec<usize> = (1..dims.len() - axis).collect();
    let vector = b.unsqueeze(vector, &behind)?;
    b.broadcast(vector, &dims)
}

/// The sum of x's elements at the taps' places, each times its weight.
fn weighted(b: &mut Builder, x: ValueId, axis: usize, taps: Vec<Tap>) -> Result<ValueId, Diagnostic> {
    let dtype = b.dtype(x);
    let mut sum = None;
    for tap in taps {
        let element = b.gather(x, tap.place, axis)?;
        let Some(weight) = tap.weight else { return Ok(element) };
        let wide = b.widened(element)?;
        let weight = b.convert(weight, b.dtype(wide))?;
        let weight = along(b, weight, wide, axis)?;
        let term = b.map(Func::Mul, &[wide, weight])?;
        sum = Some(match sum {
            Some(sum) => b.map(Func::Add, &[sum, term])?,
            None => term,
        });
    }
    let sum = sum.ok_or_else(|| b.error(ir::Code::Malformed, "resize without taps"))?;
    b.convert(sum, dtype)
}

/// Which element is read for each place of the result, and its weight; None for 1.
struct Tap {
    place: ValueId,
    weight: Option<ValueId>,
}

/// Vectors over the places of the resized axis.
struct Line<'a> {
    b: &'a mut Builder,
    from: Expr,
    to: Expr,
    /// Of coordinates. f64 for stretched filters: of a weight there is left what an error of its coordinate makes it, where it should be 0.
    dtype: DType,
    /// Whether results of f64 are rounded to f32.
    rounds: bool,
}

/// Rounds to the 24 bits of f32: for `c = SPLIT*x` it is `c - (c - x)`, and exact in f64 [Dekker, A floating-point technique for
/// extending the available precision, 1971].
const SPLIT: f64 = (1u64 << 29) as f64 + 1.0;

type Vector = Result<ValueId, Diagnostic>;

impl Line<'_> {
    fn map(&mut self, func: Func, operands: &[ValueId]) -> Vector {
        let y = self.b.map_broadcast(func, operands)?;
        let rounds = self.rounds && matches!(func, Func::Add | Func::Sub | Func::Mul | Func::Div) && self.b.dtype(y) == DType::F64;
        if rounds { self.single(y) } else { Ok(y) }
    }

    fn number(&mut self, func: Func, x: ValueId, value: f64) -> Vector {
        let value = self.b.number(self.b.dtype(x), value);
        self.map(func, &[x, value])
    }

    /// An f64 rounded to f32.
    fn single(&mut self, x: ValueId) -> Vector {
        let large = self.b.map_number(Func::Mul, x, SPLIT)?;
        let low = self.b.map(Func::Sub, &[large, x])?;
        self.b.map(Func::Sub, &[large, low])
    }

    /// New size over old, as a scalar.
    fn scale(&mut self, resize: &ResizeAttrs) -> Vector {
        let (from, to) = (self.b.size(&self.from, self.dtype)?, self.b.size(&self.to, self.dtype)?);
        match resize.scale {
            0.0 => self.map(Func::Div, &[to, from]),
            scale => Ok(self.b.number(self.dtype, scale)),
        }
    }

    /// `coordinate` of every place.
    fn coordinates(&mut self, resize: &ResizeAttrs) -> Vector {
        let at = self.b.iota(std::slice::from_ref(&self.to), 0, self.dtype)?;
        let (from, to) = (self.b.size(&self.from, self.dtype)?, self.b.size(&self.to, self.dtype)?);
        let scale = self.scale(resize)?;
        match resize.coordinates.as_str() {
            "asymmetric" => self.map(Func::Div, &[at, scale]),
            "tf_half_pixel_for_nn" => self.centre(at, scale),
            "half_pixel" => self.half_pixel(at, scale),
            "pytorch_half_pixel" => {
                let at = self.half_pixel(at, scale)?;
                let zero = self.b.number(self.dtype, 0.0);
                self.unless_single(to, at, zero)
            }
            "half_pixel_symmetric" => {
                let whole = self.map(Func::Mul, &[scale, from])?;
                let adjustment = self.map(Func::Div, &[to, whole])?;
                let one = self.b.number(self.dtype, 1.0);
                let shift = self.map(Func::Sub, &[one, adjustment])?;
                let middle = self.number(Func::Div, from, 2.0)?;
                let offset = self.map(Func::Mul, &[middle, shift])?;
                let at = self.half_pixel(at, scale)?;
                self.map(Func::Add, &[offset, at])
            }
            "align_corners" => {
                let (last, end) = (self.number(Func::Sub, from, 1.0)?, self.number(Func::Sub, to, 1.0)?);
                let at = self.map(Func::Mul, &[at, last])?;
                let at = self.map(Func::Div, &[at, end])?;
                let zero = self.b.number(self.dtype, 0.0);
                self.unless_single(to, at, zero)
            }
            _ => self.cropped(resize.roi, at, from, to),
        }
    }

    fn centre(&mut self, at: ValueId, scale: ValueId) -> Vector {
        let at = self.number(Func::Add, at, 0.5)?;
        self.map(Func::Div, &[at, scale])
    }

    fn half_pixel(&mut self, at: ValueId, scale: ValueId) -> Vector {
        let at = self.centre(at, scale)?;
        self.number(Func::Sub, at, 0.5)
    }

    /// `at`, or `single` where the result has at most one place.
    fn unless_single(&mut self, to: ValueId, at: ValueId, single: ValueId) -> Vector {
        let is_single = self.number(Func::LessEqual, to, 1.0)?;
        self.map(Func::Select, &[is_single, single, at])
    }

    fn cropped(&mut self, [start, end]: [f64; 2], at: ValueId, from: ValueId, to: ValueId) -> Vector {
        let (last, steps) = (self.number(Func::Sub, from, 1.0)?, self.number(Func::Sub, to, 1.0)?);
        let first = self.number(Func::Mul, last, start)?;
        let at = self.number(Func::Mul, at, end - start)?;
        let at = self.map(Func::Mul, &[at, last])?;
        let at = self.map(Func::Div, &[at, steps])?;
        let at = self.map(Func::Add, &[first, at])?;
        let middle = self.number(Func::Mul, last, 0.5 * (start + end))?;
        self.unless_single(to, at, middle)
    }

    /// Whether a coordinate is outside of the axis.
    fn outside(&mut self, at: ValueId) -> Vector {
        let last = self.b.size(&(&self.from - 1), self.dtype)?;
        let (before, behind) = (self.number(Func::Less, at, 0.0)?, self.map(Func::Greater, &[at, last])?);
        self.map(Func::Or, &[before, behind])
    }

    fn taps(&mut self, resize: &ResizeAttrs, at: ValueId) -> Result<Vec<Tap>, Diagnostic> {
        match resize.mode.as_str() {
            "nearest" => {
                let place = self.rounded(resize, at)?;
                Ok(vec![Tap { place: self.place(place, 0)?, weight: None }])
            }
            "linear" => self.linear(at),
            _ => self.cubic(resize, at),
        }
    }

    fn rounded(&mut self, resize: &ResizeAttrs, at: ValueId) -> Vector {
        match resize.rounding.as_str() {
            "floor" => self.map(Func::Floor, &[at]),
            "ceil" => self.map(Func::Ceil, &[at]),
            "simple" => {
                let (up, down) = (self.map(Func::Ceil, &[at])?, self.map(Func::Trunc, &[at])?);
                let shrinks = match resize.scale {
                    0.0 => {
                        let (from, to) = (self.b.size(&self.from, self.dtype)?, self.b.size(&self.to, self.dtype)?);
                        self.map(Func::Less, &[to, from])?
                    }
                    scale => self.b.scalar(DType::Bool, ir::Literal::Int((scale < 1.0) as i64)),
                };
                self.map(Func::Select, &[shrinks, up, down])
            }
            rounding => {
                let floor = self.map(Func::Floor, &[at])?;
                let (part, above) = (self.map(Func::Sub, &[at, floor])?, self.number(Func::Add, floor, 1.0)?);
                let goes_up = if rounding == "round_prefer_ceil" { Func::GreaterEqual } else { Func::Greater };
                let is_above = self.number(goes_up, part, 0.5)?;
                self.map(Func::Select, &[is_above, above, floor])
            }
        }
    }

    /// A whole coordinate moved by `offset` and clamped to the axis, as an index.
    fn place(&mut self, whole: ValueId, offset: i64) -> Vector {
        let moved = if offset == 0 { whole } else { self.number(Func::Add, whole, offset as f64)? };
        let index = self.b.convert(moved, DType::I64)?;
        let last = self.b.size(&(&self.from - 1), DType::I64)?;
        let index = self.map(Func::Min, &[index, last])?;
        self.number(Func::Max, index, 0.0)
    }

    fn linear(&mut self, at: ValueId) -> Result<Vec<Tap>, Diagnostic> {
        let last = self.b.size(&(&self.from - 1), DType::F32)?;
        let at = self.map(Func::Min, &[at, last])?;
        let at = self.number(Func::Max, at, 0.0)?;
        let floor = self.map(Func::Floor, &[at])?;
        let part = self.map(Func::Sub, &[at, floor])?;
        let rest = self.one_minus(part)?;
        let (low, high) = (self.place(floor, 0)?, self.place(floor, 1)?);
        Ok(vec![Tap { place: low, weight: Some(rest) }, Tap { place: high, weight: Some(part) }])
    }

    fn one_minus(&mut self, x: ValueId) -> Vector {
        let one = self.b.number(self.b.dtype(x), 1.0);
        self.map(Func::Sub, &[one, x])
    }

    fn cubic(&mut self, resize: &ResizeAttrs, at: ValueId) -> Result<Vec<Tap>, Diagnostic> {
        let (a, floor) = (resize.cubic, self.map(Func::Floor, &[at])?);
        let part = self.map(Func::Sub, &[at, floor])?;
        let rest = self.one_minus(part)?;
        let (before, behind) = (self.number(Func::Add, part, 1.0)?, self.number(Func::Add, rest, 1.0)?);
        let [near, far] = cubic_pieces(a);
        let mut weights = Vec::new();
        for (distance, polynomial) in [(before, far), (part, near), (rest, near), (behind, far)] {
            weights.push(self.polynomial(distance, polynomial)?);
        }
        if resize.exclude_outside {
            weights = self.inside(floor, weights)?;
        }
        let taps = weights.into_iter().zip(-1..);
        taps.map(|(weight, offset)| Ok(Tap { place: self.place(floor, offset)?, weight: Some(weight) })).collect()
    }

    /// The polynomial of `x` with these coefficients, the highest first.
    fn polynomial(&mut self, x: ValueId, coefficients: [f64; 4]) -> Vector {
        let mut sum = self.number(Func::Mul, x, coefficients[0])?;
        for coefficient in &coefficients[1..3] {
            sum = self.number(Func::Add, sum, *coefficient)?;
            sum = self.map(Func::Mul, &[sum, x])?;
        }
        self.number(Func::Add, sum, coefficients[3])
    }

    /// The weights of elements outside of the axis are 0, and the others' sum 1.
    fn inside(&mut self, floor: ValueId, weights: Vec<ValueId>) -> Result<Vec<ValueId>, Diagnostic> {
        let (zero, mut kept, mut sum) = (self.b.number(DType::F32, 0.0), Vec::new(), None);
        for (weight, offset) in weights.into_iter().zip(-1..) {
            let place = self.number(Func::Add, floor, offset as f64)?;
            let outside = self.outside(place)?;
            let weight = self.map(Func::Select, &[outside, zero, weight])?;
            kept.push(weight);
            sum = Some(match sum {
                Some(sum) => self.map(Func::Add, &[sum, weight])?,
                None => weight,
            });
        }
        let Some(sum) = sum else { return Ok(kept) };
        kept.into_iter().map(|weight| self.map(Func::Div, &[weight, sum])).collect()
    }
}

/// The polynomials of the cubic convolution with parameter `a`: up to a distance of 1, and from there to 2. The highest coefficients come
/// first.
fn cubic_pieces(a: f64) -> [[f64; 4]; 2] {
    [[a + 2.0, -(a + 3.0), 0.0, 1.0], [a, -5.0 * a, 8.0 * a, -4.0 * a]]
}

#[cfg(test)]
mod tests {
    use super::{COORDINATES, ROUNDINGS, ResizeAttrs};
    use crate::check::{Case, case, infer_error};
    use ir::Array;

    fn resize(mode: &str, coordinates: &str, rounding: &str) -> ResizeAttrs {
        ResizeAttrs {
            scale: 0.0,
            mode: mode.to_string(),
            coordinates: coordinates.to_string(),
            rounding: rounding.to_string(),
            cubic: -0.75,
            exclude_outside: false,
            antialias: false,
            roi: [0.25, 1.25],
            extrapolation: 7.0,
        }
    }

    fn resized(resize: &ResizeAttrs, x: &str, axis: usize, size: &str, n: i64) -> Case {
        case("resize", resize.attrs(axis, &size.parse().unwrap()), &[x], &[("n", n)])
    }

    #[test]
    fn meaning() {
        let nearest = resize("nearest", "asymmetric", "floor");
        let out = resized(&nearest, "i32[2, 2]", 1, "4", 1).with_ints(0, &[1, 2, 3, 4]).check_decomposition(0.0);
        assert_eq!(out, Array::ints(ir::DType::I32, vec![2, 4], vec![1, 1, 2, 2, 3, 3, 4, 4]));
        let linear = resize("linear", "align_corners", "floor");
        let out = resized(&linear, "f32[2, 1]", 0, "3", 1).with_floats(0, &[1.0, 2.0]).check_decomposition(0.0);
        assert_eq!(out, Array::floats(ir::DType::F32, vec![3, 1], vec![1.0, 1.5, 2.0]));
    }

    #[test]
    fn nearest_elements_by_every_rule() {
        for (coordinates, rounding) in COORDINATES.into_iter().flat_map(|c| ROUNDINGS.map(|r| (c, r))) {
            let resize = resize("nearest", coordinates, rounding);
            for (size, n) in [("2*n", 4), ("3*n", 2), ("3*n", 1), ("7", 5), ("3", 7), ("1", 4), ("n", 3), ("0", 2)] {
                resized(&resize, "f32[2, n, 3]", 1, size, n).check_decomposition(0.0);
            }
            let scaled = ResizeAttrs { scale: 1.75, ..resize };
            resized(&scaled, "i32[n]", 0, "(7*n)/(4)", 5).check_decomposition(0.0);
        }
    }

    /// 3.5 / f32(1.4) is just above 2.5, and 2.5 in f32; 3 / f32(1.2) likewise below and at 2.5.
    #[test]
    fn nearest_elements_are_those_of_coordinates_in_f32() {
        for (coordinates, from, to) in
            COORDINATES.into_iter().flat_map(|c| (1..24).flat_map(move |from| [7, 29, 42].map(|to| (c, from, to))))
        {
            for (rounding, scale) in ROUNDINGS.into_iter().flat_map(|r| [0.0, (to as f32 / from as f32) as f64].map(|s| (r, s))) {
                let resize = ResizeAttrs { scale, ..resize("nearest", coordinates, rounding) };
                resized(&resize, "f32[n]", 0, &to.to_string(), from).check_decomposition(0.0);
            }
        }
    }

    #[test]
    fn sums_of_taps() {
        // weights are rounded to f32, values are below 4
        for (mode, coordinates) in ["linear", "cubic"].into_iter().flat_map(|mode| COORDINATES.map(|c| (mode, c))) {
            for (exclude_outside, (size, n)) in
                [(false, ("2*n", 4)), (true, ("7", 5)), (true, ("3", 7)), (false, ("1", 4)), (true, ("5", 1))]
            {
                let resize = ResizeAttrs { exclude_outside, ..resize(mode, coordinates, "floor") };
                for dtype in ["f32", "f64"] {
                    resized(&resize, &format!("{dtype}[2, n, 3]"), 1, size, n).check_decomposition(1e-5);
                }
            }
        }
    }

    #[test]
    fn stretched_filters() {
        let linear = ResizeAttrs { antialias: true, ..resize("linear", "half_pixel", "floor") };
        let x: Vec<f64> = (1..=4).map(f64::from).collect();
        let out = resized(&linear, "f32[4]", 0, "2", 1).with_floats(0, &x).check_decomposition(1e-6);
        // weights 1, 3, 3, 1 of 8, the first at the edge
        assert_eq!(out, Array::floats(ir::DType::F32, vec![2], vec![1.625, 3.375]));
        for (mode, coordinates) in ["linear", "cubic"].into_iter().flat_map(|mode| COORDINATES.map(|c| (mode, c))) {
            for (exclude_outside, (size, n)) in
                [(false, ("3", 7)), (true, ("3", 7)), (false, ("2*n", 4)), (true, ("1", 9)), (false, ("n", 5))]
            {
                let resize = ResizeAttrs { exclude_outside, antialias: true, ..resize(mode, coordinates, "floor") };
                for dtype in ["f32", "f16"] {
                    let tolerance = if dtype == "f16" { 1e-2 } else { 1e-4 };
                    resized(&resize, &format!("{dtype}[2, n, 3]"), 1, size, n).check_decomposition(tolerance);
                }
            }
        }
        let scaled = ResizeAttrs { scale: 0.375, antialias: true, ..resize("cubic", "half_pixel_symmetric", "floor") };
        resized(&scaled, "f32[n]", 0, "(3*n)/(8)", 21).check_decomposition(1e-4);
        resized(&linear, "f32[n]", 0, "0", 3).check_decomposition(0.0);
    }

    #[test]
    fn constraints() {
        let error = |resize: ResizeAttrs, x: &str, size: &str| infer_error("resize", resize.attrs(0, &size.parse().unwrap()), &[x]);
        let nearest = || resize("nearest", "asymmetric", "floor");
        assert_eq!(error(nearest(), "f32[3]", "-1"), "size: -1 is less than 0");
        assert_eq!(error(nearest(), "f32[0]", "2"), "size of the resized axis: 0 is less than 1");
        assert_eq!(
            error(resize("area", "asymmetric", "floor"), "f32[3]", "2"),
            "attribute `mode` is area, not one of nearest, linear, cubic"
        );
        let wide = ResizeAttrs { scale: 1e-9, antialias: true, ..resize("linear", "asymmetric", "floor") };
        assert_eq!(error(wide, "f32[3]", "2"), "attribute `scale` is 0.000000001, too small to antialias");
        assert!(error(resize("linear", "asymmetric", "floor"), "i32[3]", "2").contains("i32"));
    }
}
