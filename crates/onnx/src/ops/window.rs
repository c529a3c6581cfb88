//! Windows over spatial axes: the attributes that convolutions and pools share.

use crate::import::{Call, sizes};
use ::ops::WindowAttrs;
use ir::{Code, Diagnostic};
use sym::Expr;

type Result<T> = std::result::Result<T, Diagnostic>;

/// The largest attribute of a window.
const MAX_ATTRIBUTE: i64 = 1 << 31;

/// A window over the spatial axes of an operand. Padding may depend on the operand's size.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub taps: Vec<i64>,
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    pub low: Vec<Expr>,
    pub high: Vec<Expr>,
    /// What of `high` the node asks for; the rest is there for the last position where positions are rounded up.
    pub asked_high: Vec<Expr>,
}

/// What is done with the window positions that the input does not fill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rounding {
    Floor,
    /// One more position, unless it would start in the padding behind the input.
    Ceil,
}

impl Window {
    /// The window of a node over the spatial dims of its operand.
    pub fn read(call: &Call, taps: Vec<i64>, spatial: &[Expr], rounding: Rounding) -> Result<Window> {
        let axes = spatial.len();
        check_range(call, "kernel_shape", &taps, axes, 1)?;
        let strides = read_ints(call, "strides", axes, 1)?;
        let dilations = read_ints(call, "dilations", axes, 1)?;
        let zero = vec![Expr::zero(); axes];
        let mut window = Window { taps, strides, dilations, low: zero.clone(), high: zero.clone(), asked_high: zero };
        let pads = call.ints("pads")?;
        match call.text("auto_pad")?.unwrap_or("NOTSET") {
            "NOTSET" => window.explicit_padding(call, pads, axes)?,
            "VALID" => {}
            "SAME_UPPER" => return Ok(window.same_padding(spatial, |total| (half(total), total - &half(total)))),
            "SAME_LOWER" => return Ok(window.same_padding(spatial, |total| (total - &half(total), half(total)))),
            other => return Err(call.attribute_error(format!("attribute `auto_pad` is `{other}`"))),
        }
        window.asked_high = window.high.clone();
        match rounding {
            Rounding::Floor => Ok(window),
            Rounding::Ceil => Ok(window.rounded_up(spatial)),
        }
    }

    fn explicit_padding(&mut self, call: &Call, pads: Option<Vec<i64>>, axes: usize) -> Result<()> {
        let Some(pads) = pads else { return Ok(()) };
        check_range(call, "pads", &pads, 2 * axes, 0)?;
        let exprs: Vec<Expr> = pads.into_iter().map(Expr::from).collect();
        (self.low, self.high) = (exprs[..axes].to_vec(), exprs[axes..].to_vec());
        Ok(())
    }

    /// The size of the window on an axis, with the gaps between its taps.
    fn extent(&self, axis: usize) -> i64 {
        (self.taps[axis] - 1).saturating_mul(self.dilations[axis]).saturating_add(1)
    }

    /// Padding that makes the result `ceil(size / stride)` long; `split` gives its two ends.
    fn same_padding(mut self, spatial: &[Expr], split: impl Fn(&Expr) -> (Expr, Expr)) -> Window {
        for (axis, size) in spatial.iter().enumerate() {
            let stride = self.strides[axis];
            let last = (size.ceil_div(&Expr::from(stride)) - 1) * stride;
            let total = last + self.extent(axis) - size.clone();
            (self.low[axis], self.high[axis]) = split(&sizes::maximum(&total, &Expr::zero()));
        }
        self.asked_high = self.high.clone();
        self
    }

    /// Padding behind the input, so that rounding down gives the positions of rounding up. The last of these starts inside of the
    /// input or the padding before it.
    fn rounded_up(mut self, spatial: &[Expr]) -> Window {
        for (axis, size) in spatial.iter().enumerate() {
            let (stride, extent) = (Expr::from(self.strides[axis]), Expr::from(self.extent(axis)));
            let before = size + &self.low[axis];
            let room = &(&before + &self.high[axis]) - &extent;
            // where a window is longer than a step and the padding, all positions start inside
            let all_inside = sizes::is_nonnegative(&(&(&extent - &stride) - &self.high[axis])) == Some(true);
            let positions = if all_inside { room.ceil_div(&stride) + 1 } else { before.ceil_div(&stride) };
            let needed = &(&(positions - 1) * &stride) + &(&extent - &before);
            self.high[axis] = sizes::maximum(&needed, &Expr::zero());
        }
        self
    }

    /// The padding as numbers, where it does not depend on sizes.
    pub fn constant(&self) -> Option<WindowAttrs> {
        let numbers = |exprs: &[Expr]| exprs.iter().map(Expr::as_const).collect::<Option<Vec<i64>>>();
        Some(WindowAttrs {
            strides: self.strides.clone(),
            dilations: self.dilations.clone(),
            low: numbers(&self.low)?,
            high: numbers(&self.high)?,
        })
    }

    /// The window without its padding.
    pub fn unpadded(&self) -> WindowAttrs {
        WindowAttrs { strides: self.strides.clone(), dilations: self.dilations.clone(), ..WindowAttrs::plain(self.taps.len()) }
    }

    pub fn is_padded(&self) -> bool {
        self.low.iter().chain(&self.high).any(|pad| !pad.is_zero())
    }
}

fn half(size: &Expr) -> Expr {
    size.floor_div(&Expr::from(2))
}

/// An attribute with an entry for each axis; all 1 where it is left out.
pub(super) fn read_ints(call: &Call, name: &'static str, axes: usize, least: i64) -> Result<Vec<i64>> {
    let values = call.ints(name)?.unwrap_or_else(|| vec![1; axes]);
    check_range(call, name, &values, axes, least)?;
    Ok(values)
}

fn check_range(call: &Call, name: &str, values: &[i64], count: usize, least: i64) -> Result<()> {
    if values.len() != count {
        return Err(call.attribute_error(format!("attribute `{name}` has {} entries, not {count}", values.len())));
    }
    match values.iter().find(|value| !(least..=MAX_ATTRIBUTE).contains(value)) {
        Some(value) if *value < least && name == "pads" => Err(call.unsupported(format!("negative padding {value}"))),
        Some(value) => Err(call.attribute_error(format!("attribute `{name}` holds {value}"))),
        None => Ok(()),
    }
}

/// The dims behind the batch and channel axes of operand 0.
pub(super) fn spatial_dims(call: &Call) -> Result<Vec<Expr>> {
    let dims = call.dims(0)?;
    match dims.len() {
        0..=2 => Err(call.error(Code::Shape, format!("{} has no spatial axes", call.ty(0)?))),
        _ => Ok(dims[2..].to_vec()),
    }
}
