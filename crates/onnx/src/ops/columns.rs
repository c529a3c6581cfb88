//! Blocks of an image put together again.

use super::Entry;
use super::interpolate::folded;
use super::window::{Rounding, Window};
use crate::import::{Call, Outcome, one, sizes};
use ::ops::Builder;
use ir::{Code, Diagnostic, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("Col2Im", 18, col2im)];

type Result<T> = std::result::Result<T, Diagnostic>;

/// Longer blocks are no sum of shifted images.
const MAX_BLOCK: i64 = 64;

/// `y[.., position * stride + tap * dilation - low] += x[.., tap, position]`, one axis after the other.
fn col2im(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    if dims.len() != 3 {
        return Err(call.error(Code::Shape, format!("{} is no batch of columns", call.ty(0)?)).into());
    }
    let image = call.sizes(1, "image_shape")?;
    let block = call.numbers(2, "block_shape")?;
    if block.len() != image.len() || image.is_empty() {
        return Err(call.error(Code::Shape, format!("blocks {block:?} of an image {image:?}")).into());
    }
    let window = Window::read(call, block, &image, Rounding::Floor)?;
    if let Some(long) = window.taps.iter().find(|taps| **taps > MAX_BLOCK) {
        return Err(call.unsupported(format!("blocks of length {long}")).into());
    }
    let axes = image.len();
    let count = window.taps.iter().fold(1_i64, |count, taps| count.saturating_mul(*taps));
    let positions: Vec<Expr> = (0..axes).map(|axis| positions(&window, &image, axis)).collect();
    if positions.iter().any(|count| sizes::is_nonnegative(&(count - 1)) == Some(false)) {
        return Err(call.error(Code::Shape, format!("a block is longer than the image {image:?}")).into());
    }
    let taps = window.taps.iter().map(|tap| Expr::from(*tap));
    let channels = dims[1].floor_div(&Expr::from(count));
    let split: Vec<Expr> = [dims[0].clone(), channels].into_iter().chain(taps).chain(positions).collect();
    let x = call.value(0)?;
    let b = call.b();
    let mut y = b.reshape(x, &split)?;
    for (axis, size) in image.iter().enumerate() {
        // the image's axes so far stand in front of the taps
        y = joined(b, y, (2 + axis, 2 + axes), &window, (axis, size))?;
    }
    one(y)
}

fn positions(window: &Window, image: &[Expr], axis: usize) -> Expr {
    let extent = (window.taps[axis] - 1).saturating_mul(window.dilations[axis]).saturating_add(1);
    let room = &(&(&image[axis] + &window.low[axis]) + &window.high[axis]) - extent;
    room.floor_div(&Expr::from(window.strides[axis])) + 1
}

/// The axes of taps and of positions as one axis of the image, in the place of the taps.
fn joined(b: &mut Builder, x: ValueId, (tap_axis, at): (usize, usize), window: &Window, (axis, size): (usize, &Expr)) -> Result<ValueId> {
    let rank = b.dims(x).len();
    // positions right behind their taps
    let perm: Vec<usize> = (0..=tap_axis).chain([at]).chain((tap_axis + 1..rank).filter(|other| *other != at)).collect();
    let x = b.transpose(x, &perm)?;
    let shift = |tap: i64| tap.saturating_mul(window.dilations[axis]);
    let last = shift(window.taps[axis] - 1);
    let stride = match (&window.low[axis] + size - last).as_const() {
        // a single position is as far from the next as the image needs
        Some(rest) if b.dims(x)[tap_axis + 1].is_one() => rest.clamp(1, window.strides[axis]),
        _ => window.strides[axis],
    };
    let spread = spread(b, x, tap_axis + 1, stride)?;
    let parts: Vec<ValueId> =
        (0..window.taps[axis]).map(|tap| shifted(b, spread, tap_axis, tap, [shift(tap), last - shift(tap)])).collect::<Result<_>>()?;
    let sum = folded(b, Func::Add, &parts)?;
    b.slice_axis(sum, tap_axis, &window.low[axis], size)
}

/// Zeros behind each element of an axis: `stride - 1` of them.
fn spread(b: &mut Builder, x: ValueId, axis: usize, stride: i64) -> Result<ValueId> {
    let mut dims = b.dims(x).to_vec();
    let zero = b.number(b.dtype(x), 0.0);
    let pairs = b.unsqueeze(x, &[axis + 1])?;
    let low = vec![Expr::zero(); dims.len() + 1];
    let mut high = low.clone();
    high[axis + 1] = Expr::from(stride - 1);
    let pairs = b.pad(pairs, zero, &low, &high)?;
    dims[axis] = &dims[axis] * stride;
    b.reshape(pairs, &dims)
}

/// One tap, with zeros before and behind its positions.
fn shifted(b: &mut Builder, x: ValueId, axis: usize, tap: i64, [before, behind]: [i64; 2]) -> Result<ValueId> {
    let part = b.slice_axis(x, axis, &Expr::from(tap), &Expr::one())?;
    let mut dims = b.dims(part).to_vec();
    dims.remove(axis);
    let part = b.reshape(part, &dims)?;
    let zero = b.number(b.dtype(x), 0.0);
    let mut low = vec![Expr::zero(); dims.len()];
    let mut high = low.clone();
    (low[axis], high[axis]) = (Expr::from(before), Expr::from(behind));
    b.pad(part, zero, &low, &high)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn blocks_add_up() {
        let text = |attributes: &str, dims: &str, image: &str| {
            format!("x: f32[{dims}] i: i64[1] = {image} k: i64[1] = 2 y = Col2Im {{{attributes}}} (x, i, k) => y")
        };
        let x = "f32[1, 2, 2] 1 2 3 4";
        check(&text("strides = [1]", "1, 2, n", "3"), &[x], &["f32[1, 1, 3] 1 5 4"]);
        check(&text("strides = [2]", "1, 2, 2", "4"), &[x], &["f32[1, 1, 4] 1 3 2 4"]);
        check(&text("strides = [2]", "1, 2, 2", "5"), &[x], &["f32[1, 1, 5] 1 3 2 4 0"]);
        check(&text("dilations = [2]", "1, 2, 2", "4"), &[x], &["f32[1, 1, 4] 1 2 3 4"]);
        check(&text("pads = [1, 0]", "1, 2, 2", "2"), &[x], &["f32[1, 1, 2] 5 4"]);
        check_problems(&text("strides = [1]", "1, 2, 2", "1"), &["[E003] Col2Im#0: a block is longer than the image [1]"]);
        check_problems(
            "x: f32[1, 100, 2] i: i64[1] = 101 k: i64[1] = 100 y = Col2Im(x, i, k) => y",
            &["[E006] Col2Im#0: Col2Im: blocks of length 100"],
        );
    }

    #[test]
    fn images() {
        let text = "x: f32[n, 4, 2] i: i64[2] = 2 3 k: i64[2] = 2 2 y = Col2Im(x, i, k) => y";
        check(text, &["f32[1, 4, 2] 1 2 3 4 5 6 7 8"], &["f32[1, 1, 2, 3] 1 5 4 5 13 8"]);
    }
}
