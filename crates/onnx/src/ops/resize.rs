//! Resizing of axes.

use super::Entry;
use crate::import::{Call, Fault, Outcome, one};
use ::ops::composites::resize::ResizeAttrs;
use ir::{Code, DType, Diagnostic, ValueId};
use sym::Expr;

/// Scales are an attribute, operand 1, or operand 2 with sizes as operand 3.
pub const OPS: &[Entry] = &[
    Entry("Upsample", 7, |call| {
        let scales = call.floats("scales")?.ok_or_else(|| call.attribute_error("attribute `scales` is missing"))?.to_vec();
        scaled_simply(call, scales)
    }),
    Entry("Upsample", 9, |call| {
        let scales = required_scales(call, 1)?;
        scaled_simply(call, scales)
    }),
    Entry("Resize", 10, |call| {
        let scales = required_scales(call, 1)?;
        scaled_simply(call, scales)
    }),
    Entry("Resize", 11, resize),
];

/// A float operand whose elements are in the model; None where it is left out or empty.
fn floats(call: &Call, at: usize, what: &str) -> Result<Option<Vec<f32>>, Diagnostic> {
    let Some(term) = call.optional(at) else { return Ok(None) };
    if call.dims(at)? == [Expr::zero()] {
        return Ok(None);
    }
    let Some(tensor) = call.cx.constant(term) else {
        return Err(call.unsupported(format!("`{what}` is computed from data, and not known before a call")));
    };
    let array = tensor.to_array();
    if !tensor.dtype().is_float() {
        return Err(call.error(Code::Type, format!("`{what}` is {}", call.ty(at)?)));
    }
    Ok(Some((0..array.count()).map(|at| array.get(at).as_f64() as f32).collect()))
}

fn required_scales(call: &Call, at: usize) -> Result<Vec<f32>, Diagnostic> {
    floats(call, at, "scales")?.ok_or_else(|| call.error(Code::Malformed, "there are no scales"))
}

/// The forms before opset 11.
fn scaled_simply(call: &mut Call, scales: Vec<f32>) -> Outcome {
    let mode = call.text("mode")?.unwrap_or("nearest");
    let plain = ResizeAttrs { coordinates: "asymmetric".to_string(), rounding: "simple".to_string(), ..attributes(mode) };
    let axes = (0..call.rank(0)?).collect();
    resized(call, axes, &New::Scales(scales), plain, None)
}

fn attributes(mode: &str) -> ResizeAttrs {
    ResizeAttrs {
        scale: 0.0,
        mode: mode.to_string(),
        coordinates: "half_pixel".to_string(),
        rounding: "round_prefer_floor".to_string(),
        cubic: -0.75,
        exclude_outside: false,
        antialias: false,
        roi: [0.0, 1.0],
        extrapolation: 0.0,
    }
}

/// What says how large the axes become.
enum New {
    Scales(Vec<f32>),
    Sizes(Vec<Expr>),
}

fn resize(call: &mut Call) -> Outcome {
    let rank = call.rank(0)?;
    let axes = match call.ints("axes")? {
        Some(axes) if call.opset >= 18 => call.normal_axes(&axes, rank)?,
        _ => (0..rank).collect(),
    };
    let mut general = general_attributes(call)?;
    let roi = if general.coordinates == "tf_crop_and_resize" { floats(call, 1, "roi")? } else { None };
    let (scales, sizes) = (floats(call, 2, "scales")?, call.optional(3));
    let new = match (scales, sizes) {
        (Some(scales), None) => New::Scales(scales),
        (None, Some(_)) => New::Sizes(call.sizes(3, "sizes")?),
        _ => return Err(call.error(Code::Malformed, "Resize takes either scales or sizes").into()),
    };
    let new = match kept_ratio(call, &axes, &new)? {
        Some((sizes, scale)) => {
            general.scale = f64::from(scale);
            New::Sizes(sizes)
        }
        None => new,
    };
    resized(call, axes, &new, general, roi)
}

fn general_attributes(call: &Call) -> Result<ResizeAttrs, Diagnostic> {
    let general = attributes(call.text("mode")?.unwrap_or("nearest"));
    let text = |found: Option<&str>, default: String| found.map_or(default, str::to_string);
    Ok(ResizeAttrs {
        coordinates: text(call.text("coordinate_transformation_mode")?, general.coordinates),
        rounding: text(call.text("nearest_mode")?, general.rounding),
        cubic: call.float_or("cubic_coeff_a", -0.75)?,
        exclude_outside: call.flag_or("exclude_outside", false)?,
        antialias: call.opset >= 18 && call.flag_or("antialias", false)?,
        extrapolation: call.float_or("extrapolation_value", 0.0)?,
        ..general
    })
}

/// Sizes that keep the ratio of the axes, and the scale of all: the given ones bound them from above or from below. None where each axis
/// has its own.
fn kept_ratio(call: &Call, axes: &[usize], new: &New) -> Result<Option<(Vec<Expr>, f32)>, Diagnostic> {
    let policy = call.text("keep_aspect_ratio_policy")?.unwrap_or("stretch");
    let New::Sizes(sizes) = new else { return Ok(None) };
    let pick: fn(f32, f32) -> f32 = match policy {
        "stretch" => return Ok(None),
        "not_larger" => f32::min,
        "not_smaller" => f32::max,
        other => return Err(call.attribute_error(format!("attribute `keep_aspect_ratio_policy` is `{other}`"))),
    };
    let dims = call.dims(0)?;
    let old: Option<Vec<i64>> = axes.iter().map(|axis| dims[*axis].as_const()).collect();
    let wanted: Option<Vec<i64>> = sizes.iter().map(Expr::as_const).collect();
    let (Some(old), Some(wanted)) = (old, wanted) else {
        return Err(call.unsupported("attribute `keep_aspect_ratio_policy` with sizes that are not known"));
    };
    let scale = old.iter().zip(&wanted).map(|(old, wanted)| *wanted as f32 / *old as f32).reduce(pick).unwrap_or(1.0);
    Ok(Some((old.iter().map(|old| Expr::from((scale * *old as f32).round() as i64)).collect(), scale)))
}

/// One axis after the other. Integers are interpolated in f32 and cut to whole numbers at the end.
fn resized(call: &mut Call, axes: Vec<usize>, new: &New, general: ResizeAttrs, roi: Option<Vec<f32>>) -> Outcome {
    let (what, count) = match new {
        New::Scales(scales) => ("scales", scales.len()),
        New::Sizes(sizes) => ("sizes", sizes.len()),
    };
    if count != axes.len() || roi.as_ref().is_some_and(|roi| roi.len() != 2 * axes.len()) {
        return Err(call.error(Code::Shape, format!("{count} {what} for {} axes", axes.len())).into());
    }
    let (dims, dtype) = (call.dims(0)?, call.dtype(0)?);
    let mut x = call.value(0)?;
    if general.mode != "nearest" && !matches!(dtype, DType::F32 | DType::F64) {
        x = call.b().convert(x, DType::F32)?;
    }
    for (at, axis) in axes.iter().enumerate() {
        let mut one = general.clone();
        if let Some(roi) = &roi {
            one.roi = [roi[at] as f64, roi[axes.len() + at] as f64];
        }
        x = resized_axis(call, x, &dims, *axis, new, at, one)?;
    }
    one(call.b().convert(x, dtype)?)
}

fn resized_axis(
    call: &mut Call,
    x: ValueId,
    dims: &[Expr],
    axis: usize,
    new: &New,
    at: usize,
    mut one: ResizeAttrs,
) -> Result<ValueId, Fault> {
    let dim = &dims[axis];
    let size = match new {
        New::Scales(scales) => {
            one.scale = scales[at] as f64;
            scaled_size(call, dim, scales[at])?
        }
        New::Sizes(sizes) => {
            if let (Some(old), Some(new), true) = (dim.as_const(), sizes[at].as_const(), one.scale == 0.0) {
                one.scale = if old > 0 { (new as f32 / old as f32) as f64 } else { 1.0 };
            }
            sizes[at].clone()
        }
    };
    if &size == dim && one.coordinates != "tf_crop_and_resize" && (one.scale == 0.0 || one.scale == 1.0) {
        return Ok(x);
    }
    Ok(call.b().resize(x, axis, &size, &one)?)
}

/// The largest denominator of a scale of an axis of unknown size.
const MAX_DENOMINATOR: i64 = 256;

/// `floor(dim * scale)`, rounded as in f32 where the size is known, else by the fraction that the scale stands for.
fn scaled_size(call: &Call, dim: &Expr, scale: f32) -> Result<Expr, Diagnostic> {
    if !(scale > 0.0 && scale.is_finite()) {
        return Err(call.error(Code::Shape, format!("a scale is {scale}")));
    }
    if let Some(dim) = dim.as_const() {
        return Ok(Expr::from((dim as f32 * scale).floor() as i64));
    }
    let numerator = |denominator: i64| {
        let numerator = (scale as f64 * denominator as f64).round();
        let fraction = numerator / denominator as f64;
        // a product that is a whole number is not rounded below it
        let close = scale as f64 / fraction - 1.0 >= -f32::EPSILON as f64 / 4.0;
        (fraction as f32 == scale && close && numerator < 1e9).then_some((numerator as i64, denominator))
    };
    let fraction = (1..=MAX_DENOMINATOR).find_map(numerator);
    let (numerator, denominator) =
        fraction.ok_or_else(|| call.unsupported(format!("a scale of {scale} for an axis of unknown size {dim}")))?;
    Ok((dim * numerator).floor_div(&Expr::from(denominator)))
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types, ops_of};

    #[test]
    fn every_opset() {
        let (x, want) = ("f32[1, 1, 2] 1 2", "f32[1, 1, 4] 1 1 2 2");
        check("opset 7 x: f32[1, 1, n] y = Upsample {scales = [1.0, 1.0, 2.0]} (x) => y", &[x], &[want]);
        check("opset 9 x: f32[1, 1, n] s: f32[3] = 1 1 2 y = Upsample(x, s) => y", &[x], &[want]);
        check("opset 10 x: f32[1, 1, n] s: f32[3] = 1 1 2 y = Resize(x, s) => y", &[x], &[want]);
        check("opset 11 x: f32[1, 1, n] r: f32[0] = s: f32[3] = 1 1 2 y = Resize(x, r, s) => y", &[x], &[want]);
        check("opset 13 x: f32[1, 1, n] e: f32[0] = s: i64[3] = 1 1 4 y = Resize(x, _, e, s) => y", &[x], &[want]);
        check("opset 19 x: f32[1, 1, n] s: i64[1] = 4 y = Resize {axes = [-1]} (x, _, _, s) => y", &[x], &[want]);
    }

    #[test]
    fn a_kept_ratio_is_the_scale_of_all_axes() {
        // 4/7 of 5 are 3 elements, whose centres are 7/4 apart: 0.375, 2.125, 3.875
        let text = "opset 19 x: f32[7, 5] s: i64[2] = 4 4
            y = Resize {axes = [0, 1], mode = \"linear\", keep_aspect_ratio_policy = \"not_larger\"} (x, _, _, s) => y";
        let row = "0 1 2 3 4 ".repeat(7);
        check(text, &[&format!("f32[7, 5] {row}")], &[&format!("f32[4, 3] {}", ["0.375 2.125 3.875"; 4].join(" "))]);
    }

    #[test]
    fn whole_factors_only_move_elements() {
        let ops = ops_of("x: f32[1, 3, n] s: f32[3] = 1 1 3 y = Resize(x, _, s) => y");
        assert_eq!(ops, "resize");
        check_types("x: f32[1, 3, n] s: f32[3] = 1 1 1.5 y = Resize(x, _, s) => y", &["f32[1, 3, n + (n)/(2)]", "n >= 1"]);
    }

    #[test]
    fn sizes_come_from_shapes() {
        let text = "x: f32[1, 1, n] w: f32[m] s = Shape(w) e: i64[2] = 1 1 t = Concat {axis = 0} (e, s)
            y = Resize {mode = \"linear\", coordinate_transformation_mode = \"align_corners\"} (x, _, _, t) => y";
        check(text, &["f32[1, 1, 2] 1 2", "f32[5] 0 0 0 0 0"], &["f32[1, 1, 5] 1 1.25 1.5 1.75 2"]);
    }

    #[test]
    fn modes_and_policies() {
        let x = "f32[1, 1, 4] 1 2 3 4";
        check(
            "x: f32[1, 1, 4] s: f32[3] = 1 1 0.5 y = Resize {mode = \"cubic\", coordinate_transformation_mode = \"asymmetric\"} (x, _, s) => y",
            &[x],
            &["f32[1, 1, 2] 1 3"],
        );
        check(
            "x: f32[1, 1, 4] r: f32[6] = 0 0 0.5 1 1 1.5 s: i64[3] = 1 1 3
            y = Resize {coordinate_transformation_mode = \"tf_crop_and_resize\", extrapolation_value = 9.0, nearest_mode = \"floor\"} (x, r, _, s) => y",
            &[x],
            &["f32[1, 1, 3] 2 4 9"],
        );
        check(
            "x: u8[1, 1, 2] s: f32[3] = 1 1 2 y = Resize {mode = \"linear\"} (x, _, s) => y",
            &["u8[1, 1, 2] 1 4"],
            &["u8[1, 1, 4] 1 1 3 4"],
        );
        check_types(
            "x: f32[8, 4] s: i64[2] = 4 4 y = Resize {keep_aspect_ratio_policy = \"not_larger\"} (x, _, _, s) => y",
            &["f32[4, 2]"],
        );
    }

    #[test]
    fn a_filter_is_stretched_where_an_axis_shrinks() {
        let text = |mode: &str| {
            format!("x: f32[4] s: f32[1] = 0.5 y = Resize {{mode = \"{mode}\", antialias = 1, exclude_outside = 1}} (x, _, s) => y")
        };
        check(&text("linear"), &["f32[4] 7 7 0 0"], &["f32[2] 6 1"]);
        check(&text("cubic"), &["f32[4] 3 3 3 3"], &["f32[2] 3 3"]);
        check(&text("nearest"), &["f32[4] 1 2 3 4"], &["f32[2] 1 3"]);
        let unknown = "x: f32[n] w: f32[m] s = Shape(w) y = Resize {mode = \"linear\", antialias = 1} (x, _, _, s) => y";
        check(unknown, &["f32[4] 1 2 3 4", "f32[2] 0 0"], &["f32[2] 1.625 3.375"]);
        check(unknown, &["f32[2] 1 2", "f32[4] 0 0 0 0"], &["f32[4] 1 1.25 1.75 2"]);
    }

    #[test]
    fn what_does_not_resize() {
        check_problems(
            "opset 17 x: f32[4] s: f32[1] = 2 y = Resize {antialias = 1} (x, _, s) => y",
            &["[E005] Resize#0: Resize of opset 17 has no attribute `antialias`"],
        );
        check_problems(
            "x: f32[4] s: f32[1] y = Resize(x, _, s) => y",
            &["[E006] Resize#0: Resize: `scales` is computed from data, and not known before a call"],
        );
        check_problems("x: f32[4] s: f32[1] = 0 y = Resize(x, _, s) => y", &["[E003] Resize#0: a scale is 0"]);
    }
}
