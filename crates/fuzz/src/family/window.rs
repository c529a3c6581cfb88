//! Convolutions, and the windows that they share with pools.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use onnx::proto::AttributeProto;
use sym::Expr;

/// A window over spatial axes.
#[derive(Clone, Debug)]
pub struct Window {
    pub taps: Vec<i64>,
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    pub low: Vec<i64>,
    pub high: Vec<i64>,
    /// The value of `auto_pad`, where it says the padding.
    pub auto_pad: Option<&'static str>,
    pub rounds_up: bool,
}

impl Window {
    /// A window with at least one position at every size of the axes.
    pub fn draw(generator: &mut Generator, spatial: &[Expr]) -> Window {
        let mut window = Window {
            taps: vec![],
            strides: vec![],
            dilations: vec![],
            low: vec![],
            high: vec![],
            auto_pad: generator.random.chance(12).then(|| generator.random.one_of(["SAME_UPPER", "SAME_LOWER"])),
            rounds_up: false,
        };
        let padded = window.auto_pad.is_none() && generator.random.chance(60);
        let taps = generator.random.one_of([1, 2, 3, 3, 3, 5, 7]);
        for dim in spatial {
            window.draw_axis(generator, dim, taps, padded);
        }
        window
    }

    fn draw_axis(&mut self, generator: &mut Generator, dim: &Expr, taps: i64, padded: bool) {
        let random = &mut generator.random;
        let taps = if random.chance(80) { taps } else { random.between(1, 4) };
        let pad = |random: &mut random::Random| if padded { random.between(0, taps / 2) } else { 0 };
        let low = pad(random);
        let high = if random.chance(80) { low } else { pad(random) };
        let (stride, dilation) = (random.one_of([1, 1, 1, 2, 2, 3]), random.one_of([1, 1, 1, 1, 2, 3]));
        let size = generator.smallest(dim) + low + high;
        let taps = if self.auto_pad.is_some() { taps } else { taps.min(size) };
        let fits = self.auto_pad.is_none() && (taps - 1) * dilation < size;
        self.taps.push(taps);
        self.strides.push(stride);
        self.dilations.push(if fits { dilation } else { 1 });
        self.low.push(low);
        self.high.push(high);
    }

    pub fn without_dilations(mut self) -> Window {
        self.dilations.fill(1);
        self
    }

    /// Padding that no window lies in alone: shorter than the window, and none where the window has gaps.
    pub fn with_short_padding(mut self) -> Window {
        for axis in 0..self.taps.len() {
            let most = if self.dilations[axis] > 1 { 0 } else { self.taps[axis] - 1 };
            (self.low[axis], self.high[axis]) = (self.low[axis].min(most), self.high[axis].min(most));
        }
        self
    }

    fn extent(&self, axis: usize) -> i64 {
        (self.taps[axis] - 1) * self.dilations[axis] + 1
    }

    /// The number of positions; None where there is none at some size.
    pub fn positions(&self, generator: &Generator, spatial: &[Expr]) -> Option<Vec<Expr>> {
        let dims: Vec<Expr> = spatial.iter().enumerate().map(|(axis, dim)| self.positions_on(axis, dim)).collect();
        dims.iter().all(|dim| generator.smallest(dim) >= 1).then_some(dims)
    }

    fn positions_on(&self, axis: usize, dim: &Expr) -> Expr {
        let stride = Expr::from(self.strides[axis]);
        if self.auto_pad.is_some() {
            return dim.ceil_div(&stride);
        }
        let before = dim + self.low[axis];
        let room = &before + (self.high[axis] - self.extent(axis));
        match self.rounds_up {
            false => room.floor_div(&stride) + 1,
            true => (room.ceil_div(&stride) + 1).minimum(&before.ceil_div(&stride)),
        }
    }

    /// Attributes; those with their default value are left out in part of the cases.
    pub fn attributes(&self, generator: &mut Generator) -> Vec<AttributeProto> {
        let mut attributes = vec![draft::ints("kernel_shape", &self.taps)];
        for (name, values) in [("strides", &self.strides), ("dilations", &self.dilations)] {
            if values.iter().any(|value| *value != 1) || generator.random.chance(30) {
                attributes.push(draft::ints(name, values));
            }
        }
        match self.auto_pad {
            Some(name) => attributes.push(draft::text("auto_pad", name)),
            None => attributes.push(draft::ints("pads", &[&self.low[..], &self.high].concat())),
        }
        attributes
    }

    pub fn count(&self) -> i64 {
        self.taps.iter().product()
    }
}

/// A tensor with batch, channels and one to three spatial axes; the channels are a number.
pub fn images(generator: &mut Generator) -> Option<Id> {
    let fits = |_: &Generator, form: &Form| form.is_float() && (3..=5).contains(&form.rank()) && form.dims[1].as_const().is_some();
    let found = generator.find(fits);
    if found.is_some() && generator.random.chance(85) {
        return found;
    }
    let axes = generator.random.one_of([1, 2, 2, 2, 2, 3]);
    let batch = if generator.random.chance(30) { generator.dim() } else { Expr::from(generator.random.one_of([1, 1, 2])) };
    let channels = Expr::from(generator.random.one_of([1, 2, 3, 4, 6, 8, 16, 24, 33]));
    let mut dims = vec![batch, channels];
    for _ in 0..axes {
        let symbol = if generator.random.chance(25) { generator.symbol() } else { None };
        dims.push(symbol.unwrap_or_else(|| Expr::from(generator.random.one_of([1, 4, 5, 7, 8, 9, 12, 16]))));
    }
    generator.float_input(&dims)
}

pub fn conv(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let channels = generator.dims(x)[1].as_const()?;
    let groups = match generator.random.below(4) {
        0 => channels,
        1 => generator.random.between(1, channels),
        _ => 1,
    };
    let groups = if channels % groups == 0 { groups } else { 1 };
    let per_group = if groups > 1 { generator.random.one_of([1, 1, 2, 4]) } else { generator.random.one_of([1, 2, 4, 8, 16, 17, 32, 40]) };
    let spatial = generator.dims(x)[2..].to_vec();
    let window = Window::draw(generator, &spatial);
    let result = emit_conv(generator, x, groups * per_group, groups, &window)?;
    generator.tame(result, 60.0)
}

/// A Conv to `maps` channels; with a bias in half of the cases.
pub fn emit_conv(generator: &mut Generator, x: Id, maps: i64, groups: i64, window: &Window) -> Option<Id> {
    let form = generator.form(x).clone();
    let depth = form.dims[1].as_const()? / groups;
    let positions = window.positions(generator, &form.dims[2..])?;
    let dims = [&[form.dims[0].clone(), Expr::from(maps)], &positions[..]].concat();
    let work = [&dims[..], &[Expr::from(depth * window.count())]].concat();
    if !generator.is_quick(&work) {
        return None;
    }
    let shape: Vec<Expr> = [&[maps, depth], &window.taps[..]].concat().into_iter().map(Expr::from).collect();
    let size = 1.7 / ((depth * window.count()) as f64).sqrt();
    let weights = match generator.random.chance(92) {
        true => generator.weight("weight", form.dtype, &super::shape::numbers(&shape)?, size)?,
        false => generator.input(form.dtype, &shape, Interval::around_zero(size))?,
    };
    let mut operands = vec![x, weights];
    if generator.random.chance(50) {
        operands.push(generator.weight("bias", form.dtype, &[maps as usize], 1.0)?);
    }
    let mut attributes = window.attributes(generator);
    if generator.random.chance(20) {
        attributes.retain(|attribute| attribute.name != "kernel_shape");
    }
    if groups != 1 || generator.random.chance(30) {
        attributes.push(draft::int("group", groups));
    }
    let most = form.interval.largest() * size * (depth * window.count()) as f64 + 1.0;
    generator.emit("Conv", &operands, attributes, form.of(dims).within(Interval::around_zero(most)).rounded())
}
