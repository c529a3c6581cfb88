//! Operators on columns of features.

use super::{Labels, Result, floats, input};
use crate::import::{Call, Outcome, one};
use crate::ops::Entry;
use ::ops::Folded;
use ir::{Code, DType, Literal, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("ArrayFeatureExtractor", 1, extract),
    Entry("Binarizer", 1, binarize),
    Entry("Scaler", 1, scale),
    Entry("Normalizer", 1, normalize),
    Entry("Imputer", 1, impute),
    Entry("FeatureVectorizer", 1, vectorize),
    Entry("OneHotEncoder", 1, one_hot),
];

/// Elements of the last axis, by all indices in a row; a vector becomes one row.
fn extract(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let Some(last) = dims.len().checked_sub(1) else { return Err(call.error(Code::Shape, "the operand is a scalar").into()) };
    let (x, indices) = (call.value(0)?, call.value(1)?);
    let count = Expr::product(call.b().dims(indices));
    let indices = call.b().reshape(indices, &[count])?;
    let found = call.b().gather(x, indices, last)?;
    one(if last == 0 { call.b().unsqueeze(found, &[0])? } else { found })
}

/// 1 for what is above the threshold, else 0.
fn binarize(call: &mut Call) -> Outcome {
    let (threshold, dtype) = (call.float_or("threshold", 0.0)?, call.dtype(0)?);
    input(call)?;
    let x = call.value(0)?;
    let x = if dtype == DType::I32 || threshold.is_nan() { call.b().convert(x, DType::F64)? } else { x };
    let b = call.b();
    // a whole number is above a threshold where it is above the next lower whole one
    let number = if b.dtype(x).is_float() { Literal::Float(threshold) } else { Literal::Int(threshold.floor() as i64) };
    let number = b.scalar(b.dtype(x), number);
    let above = b.map_broadcast(Func::Greater, &[x, number])?;
    one(b.convert(above, dtype)?)
}

/// Numbers for each feature, or one for all.
fn per_feature(call: &mut Call, name: &'static str, values: &[f32], x: ValueId) -> Result<ValueId> {
    let dims = call.b().dims(x).to_vec();
    let dtype = call.b().dtype(x);
    match (values, dims.last()) {
        ([value], _) => Ok(call.b().number(dtype, f64::from(*value))),
        (_, Some(features)) => {
            let count = Expr::from(values.len() as i64);
            call.equal_dims(&format!("the size of `{name}`"), std::slice::from_ref(features), &[count])?;
            Ok(floats(call.b(), dtype, vec![values.len()], values.iter().copied()))
        }
        (_, None) => Err(call.attribute_error(format!("attribute `{name}` has {} entries for a scalar", values.len()))),
    }
}

fn scale(call: &mut Call) -> Outcome {
    let mut x = input(call)?;
    for (name, func) in [("offset", Func::Sub), ("scale", Func::Mul)] {
        if let Some(values) = call.floats(name)?.filter(|values| !values.is_empty()) {
            let values = per_feature(call, name, values, x)?;
            x = call.b().map_broadcast(func, &[x, values])?;
        }
    }
    one(call.b().convert(x, DType::F32)?)
}

/// Rows over their largest element, the sum of sizes or the root of the sum of squares; a row where that is 0 stays.
fn normalize(call: &mut Call) -> Outcome {
    let norm = call.text("norm")?.unwrap_or("MAX");
    let Some(axis) = call.rank(0)?.checked_sub(1).filter(|axis| *axis < 2) else {
        return Err(call.error(Code::Shape, format!("the operand has {} axes, not 1 or 2", call.rank(0)?)).into());
    };
    let x = input(call)?;
    let b = call.b();
    let size = match norm {
        "MAX" => b.reduce(Monoid::Max, x, &[axis], Folded::Kept)?,
        "L1" => {
            let size = b.map(Func::Abs, &[x])?;
            b.reduce(Monoid::Sum, size, &[axis], Folded::Kept)?
        }
        "L2" => {
            let square = b.map(Func::Mul, &[x, x])?;
            let sum = b.reduce(Monoid::Sum, square, &[axis], Folded::Kept)?;
            b.map(Func::Sqrt, &[sum])?
        }
        other => return Err(call.attribute_error(format!("attribute `norm` is `{other}`")).into()),
    };
    let is_zero = b.map_number(Func::Equal, size, 0.0)?;
    let quotient = b.map_broadcast(Func::Div, &[x, size])?;
    let result = b.map_broadcast(Func::Select, &[is_zero, x, quotient])?;
    one(b.convert(result, DType::F32)?)
}

/// Another value in place of one, NaN among them.
fn impute(call: &mut Call) -> Outcome {
    let (whole, numbers) =
        (call.ints("imputed_value_int64s")?.unwrap_or_default(), call.floats("imputed_value_floats")?.unwrap_or_default());
    let (replaced_whole, replaced) = (call.int_or("replaced_value_int64", 0)?, call.float_or("replaced_value_float", 0.0)?);
    let x = call.value(0)?;
    let dtype = call.b().dtype(x);
    let (values, found) = match dtype {
        DType::F32 | DType::F64 if !numbers.is_empty() => {
            let values = per_feature(call, "imputed_value_floats", numbers, x)?;
            let found = if replaced.is_nan() { call.b().map(Func::IsNan, &[x])? } else { call.b().map_number(Func::Equal, x, replaced)? };
            (values, found)
        }
        DType::I32 | DType::I64 if !whole.is_empty() => {
            if whole.len() > 1 {
                let (features, count) = (call.dims(0)?.last().cloned().unwrap_or_else(Expr::one), Expr::from(whole.len() as i64));
                call.equal_dims("the size of `imputed_value_int64s`", &[features], &[count])?;
            }
            let dims = if whole.len() == 1 { vec![] } else { vec![whole.len()] };
            let values = call.b().ints(dtype, dims, whole);
            let replaced = call.b().scalar(dtype, Literal::Int(replaced_whole));
            (values, call.b().map_broadcast(Func::Equal, &[x, replaced])?)
        }
        _ => return Err(call.attribute_error(format!("there are no values to impute for {dtype}")).into()),
    };
    one(call.b().map_broadcast(Func::Select, &[found, values, x])?)
}

/// Rows one after another, each cut or filled up with zeros to its size.
fn vectorize(call: &mut Call) -> Outcome {
    let sizes = call.ints("inputdimensions")?.unwrap_or_default();
    if sizes.len() != call.operand_count() || sizes.is_empty() {
        let message = format!("attribute `inputdimensions` has {} entries for {} operands", sizes.len(), call.operand_count());
        return Err(call.attribute_error(message).into());
    }
    let mut parts = Vec::new();
    for (at, size) in sizes.iter().enumerate() {
        let x = call.value(at)?;
        let x = if call.rank(at)? == 1 { call.b().unsqueeze(x, &[0])? } else { x };
        let x = call.b().convert(x, DType::F32)?;
        let (dims, size) = (call.b().dims(x).to_vec(), Expr::from(*size));
        let ([_, width], true) = (&dims[..], size.as_const().is_some_and(|size| size >= 0)) else {
            return Err(call.error(Code::Shape, format!("operand {at} has {} axes, and its size is {size}", dims.len())).into());
        };
        let Some(width) = width.as_const() else {
            return Err(call.unsupported(format!("operand {at} has {width} features, which is not known before a call")).into());
        };
        let (kept, zero) = (Expr::from(width).minimum(&size), call.b().number(DType::F32, 0.0));
        let x = call.b().slice_axis(x, 1, &Expr::zero(), &kept)?;
        parts.push(call.b().pad(x, zero, &[Expr::zero(), Expr::zero()], &[Expr::zero(), size - kept])?);
    }
    one(call.b().concat(&parts, 1)?)
}

/// A last axis with an element for each category: 1 where the operand is it. Of equal categories the last counts.
fn one_hot(call: &mut Call) -> Outcome {
    let Labels { numbers: categories, narrow } = Labels::of(call, "cats_int64s", "cats_strings")?;
    if narrow != call.narrow(0) {
        return Err(call.error(Code::Type, "strings beside categories that are numbers, or numbers beside strings").into());
    }
    let lenient = call.flag_or("zeros", true)?;
    if categories.is_empty() {
        return Err(call.attribute_error("there are no categories").into());
    }
    input(call)?;
    let (x, rank) = (call.value(0)?, call.rank(0)?);
    let b = call.b();
    let x = b.convert(x, DType::I64)?;
    let x = b.unsqueeze(x, &[rank])?;
    let last: std::collections::BTreeMap<i64, usize> = categories.iter().enumerate().map(|(at, category)| (*category, at)).collect();
    let counts = categories.iter().enumerate().map(|(at, category)| i64::from(last[category] == at)).collect();
    let counts = b.ints(DType::Bool, vec![categories.len()], counts);
    let categories = b.ints(DType::I64, vec![categories.len()], categories);
    let equal = b.map_broadcast(Func::Equal, &[x, categories])?;
    let equal = b.map_broadcast(Func::And, &[equal, counts])?;
    let mut hot = b.convert(equal, DType::F32)?;
    if !lenient {
        // an element of no category is an index outside of a table of one
        let any = b.reduce(Monoid::Or, equal, &[rank], Folded::Kept)?;
        let none = b.map(Func::Not, &[any])?;
        let (index, table) = (b.convert(none, DType::I64)?, b.ints(DType::F32, vec![1], vec![1]));
        let checked = b.gather(table, index, 0)?;
        hot = b.map_broadcast(Func::Mul, &[hot, checked])?;
    }
    one(hot)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn columns_are_picked_scaled_and_filled() {
        let rows = "f32[2, 3] -4 2 1 0 0 0";
        check("x: f32[n, 3] i: i64[1, 2] = 2 0 y = ai.onnx.ml.ArrayFeatureExtractor(x, i) => y", &[rows], &["f32[2, 2] 1 -4 0 0"]);
        check("x: i64[3] i: i64[1] = 1 y = ai.onnx.ml.ArrayFeatureExtractor(x, i) => y", &["i64[3] 5 6 7"], &["i64[1, 1] 6"]);
        check("x: f32[n, 3] y = ai.onnx.ml.Binarizer {threshold = 1.0} (x) => y", &[rows], &["f32[2, 3] 0 1 0 0 0 0"]);
        check("x: i32[3] y = ai.onnx.ml.Binarizer {threshold = 1.5} (x) => y", &["i32[3] 1 2 -5"], &["i32[3] 0 1 0"]);
        let scaled = "x: f32[n, 3] y = ai.onnx.ml.Scaler {offset = [1.0], scale = [1.0, 2.0, 3.0]} (x) => y";
        check(scaled, &[rows], &["f32[2, 3] -5 2 0 -1 -2 -3"]);
        let imputed = "x: f32[n, 2] y = ai.onnx.ml.Imputer {imputed_value_floats = [7.0, 8.0], replaced_value_float = NaN.} (x) => y";
        check(imputed, &["f32[2, 2] 1 nan nan 4"], &["f32[2, 2] 1 8 7 4"]);
        let imputed = "x: i32[n, 2] y = ai.onnx.ml.Imputer {imputed_value_int64s = [7], replaced_value_int64 = -1} (x) => y";
        check(imputed, &["i32[1, 2] -1 3"], &["i32[1, 2] 7 3"]);
        let joined = "x: f32[n, 3] v: i64[2] y = ai.onnx.ml.FeatureVectorizer {inputdimensions = [2, 3]} (x, v) => y";
        check(joined, &["f32[1, 3] 1 2 3", "i64[2] 8 9"], &["f32[1, 5] 1 2 8 9 0"]);
    }

    #[test]
    fn rows_are_normalised() {
        let of = |norm: &str| format!("x: f32[n, 3] y = ai.onnx.ml.Normalizer {{norm = \"{norm}\"}} (x) => y");
        let rows = "f32[3, 3] -4 2 1 0 0 0 -3 -2 -1";
        check(&of("MAX"), &[rows], &["f32[3, 3] -2 1 0.5 0 0 0 3 2 1"]);
        check(&of("L1"), &[rows], &["f32[3, 3] -0.5714 0.2857 0.1429 0 0 0 -0.5 -0.3333 -0.1667"]);
        check(&of("L2"), &["f32[1, 3] -3 4 0"], &["f32[1, 3] -0.6 0.8 0"]);
        check_problems(&of("L3"), &["[E005] Normalizer#0: attribute `norm` is `L3`"]);
    }

    #[test]
    fn categories() {
        let text = "x: i64[n, 2] y = ai.onnx.ml.OneHotEncoder {cats_int64s = [1, 5, 5]} (x) => y";
        check(text, &["i64[1, 2] 5 2"], &["f32[1, 2, 3] 0 0 1 0 0 0"]);
        check("x: f32[1] y = ai.onnx.ml.OneHotEncoder {cats_int64s = [1, 5]} (x) => y", &["f32[1] 5.7"], &["f32[1, 2] 0 1"]);
        let words = "x: i64[1] y = ai.onnx.ml.OneHotEncoder {cats_strings = [\"a\"]} (x) => y";
        check_problems(words, &["[E004] OneHotEncoder#0: strings beside categories that are numbers, or numbers beside strings"]);
        check(&words.replace("i64[1]", "string[n]"), &["string[2] \"b\" \"a\""], &["f32[2, 1] 0 1"]);
        check_problems(
            "x: f32[2] y = ai.onnx.ml.ZipMap(x) => y",
            &["[E006] ZipMap#0: ZipMap: it gives a sequence of maps; its operand has the same numbers as a tensor"],
        );
    }
}
