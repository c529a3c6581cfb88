//! Support vector machines: scores are weighted sums of a kernel of the features with the support vectors.

use super::scores::Transform;
use super::{Labels, Result, best_label, chosen_label, column, floats, rows};
use crate::import::{Call, Outcome, one};
use crate::ops::Entry;
use ::ops::{Builder, Folded};
use ir::{Code, DType, Graph, Literal, TensorType, ValueId};
use nest::{Func, Monoid};
use std::collections::BTreeMap;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("SVMRegressor", 1, regress), Entry("SVMClassifier", 1, classify)];

/// The most classes: pairs of them have scores.
const MOST_CLASSES: usize = 256;
/// The most coefficients, with a row for each pair of classes.
const MOST_ENTRIES: usize = 1 << 24;

#[derive(Clone, Copy, PartialEq)]
enum Kernel {
    Linear,
    Poly,
    Rbf,
    Sigmoid,
}

/// The kernel with gamma, coef0 and degree.
fn kernel(call: &Call) -> Result<(Kernel, [f64; 3])> {
    let kernel = match call.text("kernel_type")?.unwrap_or("LINEAR") {
        "LINEAR" => Kernel::Linear,
        "POLY" => Kernel::Poly,
        "RBF" => Kernel::Rbf,
        "SIGMOID" => Kernel::Sigmoid,
        other => return Err(call.attribute_error(format!("attribute `kernel_type` is `{other}`"))),
    };
    match call.floats("kernel_params")?.unwrap_or_default() {
        [] => Ok((kernel, [0.0; 3])),
        [gamma, coef0, degree] => Ok((kernel, [*gamma, *coef0, *degree].map(f64::from))),
        other => Err(call.attribute_error(format!("attribute `kernel_params` has {} entries, not 3", other.len()))),
    }
}

/// `[n, vectors]`: the kernel of each row of `x`, `[n, f]`, with each vector.
fn kernels(b: &mut Builder, x: ValueId, vectors: ValueId, (kernel, [gamma, coef0, degree]): (Kernel, [f64; 3])) -> Result<ValueId> {
    if kernel == Kernel::Rbf {
        let x = b.unsqueeze(x, &[1])?;
        let gap = b.map_broadcast(Func::Sub, &[x, vectors])?;
        let square = b.map(Func::Mul, &[gap, gap])?;
        let distance = b.reduce(Monoid::Sum, square, &[2], Folded::Dropped)?;
        let power = b.map_number(Func::Mul, distance, -gamma)?;
        return b.map(Func::Exp, &[power]);
    }
    let products = b.contract("nf,vf->nv", x, vectors)?;
    if kernel == Kernel::Linear {
        return Ok(products);
    }
    let scaled = b.map_number(Func::Mul, products, gamma)?;
    let sum = b.map_number(Func::Add, scaled, coef0)?;
    if kernel == Kernel::Sigmoid { b.map(Func::Tanh, &[sum]) } else { b.map_number(Func::Pow, sum, degree) }
}

/// Numbers as a matrix of so many rows.
fn matrix(call: &mut Call, name: &'static str, rows: usize, dtype: DType) -> Result<(ValueId, usize)> {
    let values = call.floats(name)?.unwrap_or_default();
    let columns = values.len().checked_div(rows).filter(|columns| columns * rows == values.len());
    let Some(columns) = columns else {
        return Err(call.attribute_error(format!("attribute `{name}` has {} entries for {rows} rows", values.len())));
    };
    Ok((floats(call.b(), dtype, vec![rows, columns], values.iter().copied()), columns))
}

fn as_wide(call: &Call, name: &str, found: usize, wanted: usize) -> Result<()> {
    match found == wanted {
        true => Ok(()),
        false => Err(call.attribute_error(format!("attribute `{name}` has rows of {found}, not {wanted}"))),
    }
}

fn rho<'a>(call: &Call<'a, '_>) -> Result<&'a [f32]> {
    match call.floats("rho")?.unwrap_or_default() {
        [] => Err(call.attribute_error("attribute `rho` is missing")),
        rho => Ok(rho),
    }
}

/// One score a row, or for a single class whether it is it, as 1 and -1.
fn regress(call: &mut Call) -> Outcome {
    let (x, features) = rows(call)?;
    let dtype = call.b().dtype(x);
    let supports = call.int_or("n_supports", 0)?;
    let (rho, kernel, transform) = (f64::from(rho(call)?[0]), kernel(call)?, Transform::of(call)?);
    let single = call.flag_or("one_class", false)?;
    let (coefficients, count) = matrix(call, "coefficients", 1, dtype)?;
    let given = match usize::try_from(supports) {
        Ok(0) => {
            call.ignore(&["support_vectors"]);
            x
        }
        Ok(supports) => {
            let (vectors, width) = matrix(call, "support_vectors", supports, dtype)?;
            as_wide(call, "support_vectors", width, features)?;
            kernels(call.b(), x, vectors, kernel)?
        }
        Err(_) => return Err(call.attribute_error(format!("attribute `n_supports` is {supports}")).into()),
    };
    as_wide(call, "coefficients", count, if supports == 0 { features } else { supports as usize })?;
    let b = call.b();
    let sum = b.contract("nv,tv->nt", given, coefficients)?;
    let score = b.map_number(Func::Add, sum, rho)?;
    let score = if single {
        let inside = b.map_number(Func::Greater, score, 0.0)?;
        let (yes, no) = (b.number(dtype, 1.0), b.number(dtype, -1.0));
        b.map_broadcast(Func::Select, &[inside, yes, no])?
    } else {
        transform.apply(b, score)?
    };
    one(b.convert(score, DType::F32)?)
}

/// Labels and scores.
fn classify(call: &mut Call) -> Outcome {
    let labels = Labels::of(call, "classlabels_ints", "classlabels_strings")?;
    let classes = labels.numbers.len();
    if classes == 0 || classes > MOST_CLASSES {
        return Err(call.attribute_error(format!("{classes} classes, not 1 to {MOST_CLASSES}")).into());
    }
    let (x, features) = rows(call)?;
    let transform = Transform::of(call)?;
    let counts = call.ints("vectors_per_class")?.unwrap_or_default();
    let (label, scores) = match counts.iter().any(|count| *count != 0) {
        true => by_pairs(call, x, features, &labels.numbers, &counts, transform)?,
        false => by_class(call, x, features, &labels.numbers, transform)?,
    };
    let scores = call.b().convert(scores, DType::F32)?;
    Ok(vec![labels.result(label), scores.into()])
}

/// Without support vectors: a linear score for each class.
fn by_class(call: &mut Call, x: ValueId, features: usize, labels: &[i64], transform: Transform) -> Result<(ValueId, ValueId)> {
    call.ignore(&["kernel_type", "kernel_params", "support_vectors", "prob_a", "prob_b"]);
    let dtype = call.b().dtype(x);
    let (coefficients, width) = matrix(call, "coefficients", labels.len(), dtype)?;
    as_wide(call, "coefficients", width, features)?;
    let rho = f64::from(rho(call)?[0]);
    let b = call.b();
    let sums = b.contract("nf,cf->nc", x, coefficients)?;
    let scores = b.map_number(Func::Add, sums, rho)?;
    let label = match labels {
        [only] => {
            let score = column(b, scores, 0)?;
            let is_it = b.map_number(Func::Greater, score, 0.0)?;
            chosen_label(b, is_it, [0, *only])?
        }
        _ => best_label(b, scores, labels)?,
    };
    Ok((label, transform.apply(b, scores)?))
}

/// With support vectors: each pair of classes has a score, which votes for one of them.
fn by_pairs(
    call: &mut Call,
    x: ValueId,
    features: usize,
    labels: &[i64],
    counts: &[i64],
    transform: Transform,
) -> Result<(ValueId, ValueId)> {
    let dtype = call.b().dtype(x);
    let classes = labels.len();
    let pairs: Vec<(usize, usize)> = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j))).collect();
    let starts = starts(call, counts, classes)?;
    let total = starts[classes];
    let (vectors, width) = matrix(call, "support_vectors", total, dtype)?;
    as_wide(call, "support_vectors", width, features)?;
    let coefficients = call.floats("coefficients")?.unwrap_or_default();
    if pairs.is_empty() || total.checked_mul(classes - 1) != Some(coefficients.len()) {
        let message = format!("attribute `coefficients` has {} entries for {total} vectors of {classes} classes", coefficients.len());
        return Err(call.attribute_error(message));
    }
    if pairs.len().checked_mul(total).is_none_or(|entries| entries > MOST_ENTRIES) {
        return Err(call.error(Code::Limit, format!("{total} vectors for {} pairs of classes", pairs.len())));
    }
    let of_pair = |name: &'static str| -> Result<Vec<f32>> {
        let values = call.floats(name)?.unwrap_or_default();
        let fits = values.len() == pairs.len();
        fits.then(|| values.to_vec())
            .ok_or_else(|| call.attribute_error(format!("attribute `{name}` has {} entries, not {}", values.len(), pairs.len())))
    };
    let (rho, kernel) = (of_pair("rho")?, kernel(call)?);
    let has_probabilities = call.floats("prob_a")?.is_some_and(|values| !values.is_empty());
    let probabilities = if has_probabilities { Some([of_pair("prob_a")?, of_pair("prob_b")?]) } else { None };
    call.ignore(&["prob_b"]);
    let weight = |(pair, at): (usize, usize)| {
        let (i, j) = pairs[pair];
        match at {
            at if (starts[i]..starts[i + 1]).contains(&at) => coefficients[(j - 1) * total + at],
            at if (starts[j]..starts[j + 1]).contains(&at) => coefficients[i * total + at],
            _ => 0.0,
        }
    };
    let weights: Vec<f32> = (0..pairs.len()).flat_map(|pair| (0..total).map(move |at| (pair, at))).map(weight).collect();
    let b = call.b();
    let kernels = kernels(b, x, vectors, kernel)?;
    let weights = floats(b, dtype, vec![pairs.len(), total], weights);
    let sums = b.contract("nv,pv->np", kernels, weights)?;
    let rho = floats(b, dtype, vec![pairs.len()], rho);
    let scores = b.map_broadcast(Func::Add, &[sums, rho])?;
    let votes = votes(b, scores, &pairs, classes)?;
    let label = best_label(b, votes, labels)?;
    let scores = match probabilities {
        Some([a, c]) => {
            let of_pairs = pair_probabilities(b, scores, a, c)?;
            let shares = shares(b, of_pairs, &pairs, classes)?;
            transform.apply(b, shares)?
        }
        None if pairs.len() == 1 => two_columns(b, scores, transform)?,
        None => transform.apply(b, scores)?,
    };
    Ok((label, scores))
}

/// Where the vectors of each class begin, and where the last ones end.
fn starts(call: &Call, counts: &[i64], classes: usize) -> Result<Vec<usize>> {
    if counts.len() != classes {
        return Err(call.attribute_error(format!("attribute `vectors_per_class` has {} entries, not {classes}", counts.len())));
    }
    let mut starts = vec![0usize];
    for count in counts {
        let next = usize::try_from(*count).ok().and_then(|count| starts[starts.len() - 1].checked_add(count));
        starts.push(next.ok_or_else(|| call.attribute_error(format!("attribute `vectors_per_class` has {count}")))?);
    }
    Ok(starts)
}

/// `[n, classes]`: how many pairs are for each class: a positive score is for the first of its pair.
fn votes(b: &mut Builder, scores: ValueId, pairs: &[(usize, usize)], classes: usize) -> Result<ValueId> {
    let dtype = b.dtype(scores);
    let table = |of: fn(&(usize, usize)) -> usize| -> Vec<f32> {
        pairs.iter().flat_map(|pair| (0..classes).map(move |class| f32::from(u8::from(of(pair) == class)))).collect()
    };
    let [first, second] = [table(|(i, _)| *i), table(|(_, j)| *j)].map(|table| floats(b, dtype, vec![pairs.len(), classes], table));
    let is_first = b.map_number(Func::Greater, scores, 0.0)?;
    let is_second = b.map(Func::Not, &[is_first])?;
    let (is_first, is_second) = (b.convert(is_first, dtype)?, b.convert(is_second, dtype)?);
    let (first, second) = (b.contract("np,pc->nc", is_first, first)?, b.contract("np,pc->nc", is_second, second)?);
    b.map(Func::Add, &[first, second])
}

/// The scores of two classes from that of their pair.
fn two_columns(b: &mut Builder, score: ValueId, transform: Transform) -> Result<ValueId> {
    let one = b.number(b.dtype(score), 1.0);
    let first = match transform {
        Transform::None | Transform::Logistic | Transform::Probit => b.map(Func::Neg, &[score])?,
        Transform::Softmax | Transform::SoftmaxZero => b.map_broadcast(Func::Sub, &[one, score])?,
    };
    let both = b.concat(&[first, score], 1)?;
    match transform {
        Transform::Logistic | Transform::Probit => transform.apply(b, both),
        Transform::None | Transform::Softmax | Transform::SoftmaxZero => Ok(both),
    }
}

/// `[n, pairs]`: how likely the first of each pair is, by Platt's logistic function, kept off 0 and 1.
fn pair_probabilities(b: &mut Builder, scores: ValueId, slopes: Vec<f32>, offsets: Vec<f32>) -> Result<ValueId> {
    let dtype = b.dtype(scores);
    let (slopes, offsets) = (floats(b, dtype, vec![slopes.len()], slopes), floats(b, dtype, vec![offsets.len()], offsets));
    let scaled = b.map_broadcast(Func::Mul, &[scores, slopes])?;
    let sum = b.map_broadcast(Func::Add, &[scaled, offsets])?;
    let opposite = b.map(Func::Neg, &[sum])?;
    let likely = b.map(Func::Sigmoid, &[opposite])?;
    let likely = b.map_number(Func::Max, likely, 1e-7)?;
    b.map_number(Func::Min, likely, 1.0 - 1e-7)
}

/// `[n, classes]`: the probabilities of the classes that agree best with those of the pairs, by the iteration of Wu, Lin and Weng.
fn shares(b: &mut Builder, of_pairs: ValueId, pairs: &[(usize, usize)], classes: usize) -> Result<ValueId> {
    let dtype = b.dtype(of_pairs);
    let rows = b.dims(of_pairs)[0].clone();
    let size = Expr::from(classes as i64);
    // r[n, i, j]: of classes i and j, how likely i is
    let numbers: BTreeMap<(usize, usize), i64> = pairs.iter().copied().zip(0..).collect();
    let place = |i: usize, j: usize| numbers.get(&(i.min(j), i.max(j))).copied().unwrap_or(0);
    let cells: Vec<(usize, usize)> = (0..classes).flat_map(|i| (0..classes).map(move |j| (i, j))).collect();
    let mut table = |of: &dyn Fn(usize, usize) -> i64, dtype: DType| {
        b.ints(dtype, vec![classes, classes], cells.iter().map(|(i, j)| of(*i, *j)).collect())
    };
    let places = table(&place, DType::I64);
    let [above, diagonal] = [table(&|i, j| i64::from(i < j), DType::Bool), table(&|i, j| i64::from(i == j), DType::Bool)];
    let gathered = b.gather(of_pairs, places, 1)?;
    let one = b.number(dtype, 1.0);
    let complement = b.map_broadcast(Func::Sub, &[one, gathered])?;
    let r = b.map_broadcast(Func::Select, &[above, gathered, complement])?;
    let zero = b.number(dtype, 0.0);
    let r = b.map_broadcast(Func::Select, &[diagonal, zero, r])?;
    // q[n, i, j] = -r[j, i] r[i, j], and on the diagonal the sum of r[j, i]^2
    let turned = b.transpose(r, &[0, 2, 1])?;
    let product = b.map(Func::Mul, &[r, turned])?;
    let product = b.map(Func::Neg, &[product])?;
    let square = b.map(Func::Mul, &[r, r])?;
    let sums = b.reduce(Monoid::Sum, square, &[1], Folded::Dropped)?;
    let sums = b.unsqueeze(sums, &[2])?;
    let q = b.map_broadcast(Func::Select, &[diagonal, sums, product])?;
    let start = b.number(dtype, 1.0 / classes as f64);
    let start = b.broadcast(start, &[rows, size])?;
    let (truth, run) = (b.scalar(DType::Bool, Literal::Int(1)), b.number(DType::I64, 0.0));
    let region = improved(b, b.ty(start).clone(), b.ty(q).clone(), classes)?;
    let results = b.repeat_while(truth, &[start, run], &[q], region)?;
    Ok(results[0])
}

/// The region of one round: it improves the rows that are not good enough.
fn improved(outer: &Builder, shares: TensorType, q: TensorType, classes: usize) -> Result<Graph> {
    let mut b = Builder::new("improved");
    b.location = outer.location.clone();
    outer.graph.graph().symbols.iter().for_each(|(sym, fact)| b.graph.symbol(sym, *fact));
    let rows = shares.dims[0].clone();
    let (before, run) = (b.input("shares", shares), b.input("run", TensorType::new(DType::I64, vec![])));
    let q = b.input("q", q);
    let mut gradient = b.contract("nij,nj->ni", q, before)?;
    let products = b.map(Func::Mul, &[before, gradient])?;
    let mut value = b.reduce(Monoid::Sum, products, &[1], Folded::Kept)?;
    let gap = b.map_broadcast(Func::Sub, &[gradient, value])?;
    let gap = b.map(Func::Abs, &[gap])?;
    let gap = b.reduce(Monoid::Max, gap, &[1], Folded::Kept)?;
    let open = b.map_number(Func::GreaterEqual, gap, 0.005 / classes as f64)?;
    let mut after = before;
    for class in 0..classes {
        let (at, one) = (Expr::from(class as i64), Expr::one());
        let row = b.slice_axis(q, 1, &at, &one)?;
        let row = b.reshape(row, &[rows.clone(), Expr::from(classes as i64)])?;
        let (own, slope) = (b.slice_axis(row, 1, &at, &one)?, b.slice_axis(gradient, 1, &at, &one)?);
        let gap = b.map(Func::Sub, &[value, slope])?;
        let step = b.map(Func::Div, &[gap, own])?;
        let whole = b.map_number(Func::Add, step, 1.0)?;
        let curved = b.map(Func::Mul, &[step, own])?;
        let twice = b.map_number(Func::Mul, slope, 2.0)?;
        let rise = b.map(Func::Add, &[curved, twice])?;
        let rise = b.map(Func::Mul, &[step, rise])?;
        let raised = b.map(Func::Add, &[value, rise])?;
        let square = b.map(Func::Mul, &[whole, whole])?;
        value = b.map(Func::Div, &[raised, square])?;
        let change = b.map_broadcast(Func::Mul, &[row, step])?;
        let changed = b.map(Func::Add, &[gradient, change])?;
        gradient = b.map_broadcast(Func::Div, &[changed, whole])?;
        let unit = b.ints(DType::Bool, vec![classes], (0..classes).map(|other| i64::from(other == class)).collect());
        let moved = b.map_broadcast(Func::Add, &[after, step])?;
        let moved = b.map_broadcast(Func::Select, &[unit, moved, after])?;
        after = b.map_broadcast(Func::Div, &[moved, whole])?;
    }
    let next = b.map_broadcast(Func::Select, &[open, after, before])?;
    let any = b.reduce(Monoid::Or, open, &[0, 1], Folded::Dropped)?;
    let run = b.map_number(Func::Add, run, 1.0)?;
    let more = b.map_number(Func::Less, run, 100.max(classes) as f64)?;
    let go_on = b.map(Func::And, &[any, more])?;
    [("go_on", go_on), ("next", next), ("run", run)].into_iter().for_each(|(name, id)| b.output(name, id));
    Ok(b.finish())
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn regression_by_kernels() {
        let of = |more: &str| {
            format!(
                "x: f32[n, 2] y = ai.onnx.ml.SVMRegressor {{n_supports = 2, support_vectors = [1.0, 2.0, -1.0, 0.0],
                coefficients = [1.0, -2.0], rho = [0.5], {more}}} (x) => y"
            )
        };
        let x = "f32[2, 2] 1 1 0 3";
        check(&of(r#"kernel_type = "LINEAR""#), &[x], &["f32[2, 1] 5.5 6.5"]);
        check(&of(r#"kernel_type = "POLY", kernel_params = [1.0, 1.0, 2.0]"#), &[x], &["f32[2, 1] 16.5 47.5"]);
        check(&of(r#"kernel_type = "RBF", kernel_params = [0.5, 0.0, 0.0]"#), &[x], &["f32[2, 1] 0.9424 0.8544"]);
        check(&of(r#"kernel_type = "POLY", kernel_params = [1.0, -4.0, 1.0], one_class = 1"#), &[x], &["f32[2, 1] 1 1"]);
        let linear = "x: f32[n, 2] y = ai.onnx.ml.SVMRegressor {coefficients = [1.0, -2.0], rho = [0.5]} (x) => y";
        check(linear, &[x], &["f32[2, 1] -0.5 -5.5"]);
        let narrow = linear.replace("1.0, -2.0", "1.0");
        check_problems(&narrow, &["[E005] SVMRegressor#0: attribute `coefficients` has rows of 1, not 2"]);
    }

    #[test]
    fn classes_by_votes() {
        let of = |more: &str| {
            format!(
                "x: f32[n, 2] l, s = ai.onnx.ml.SVMClassifier {{classlabels_ints = [3, 9], vectors_per_class = [1, 1],
                support_vectors = [1.0, 0.0, 0.0, 1.0], coefficients = [1.0, -1.0], rho = [0.5], {more}}} (x) => l, s"
            )
        };
        let x = "f32[2, 2] 1 0 0 2";
        check(&of(r#"kernel_type = "LINEAR""#), &[x], &["i64[2] 3 9", "f32[2, 2] -1.5 1.5 1.5 -1.5"]);
        check(&of("prob_a = [-1.0], prob_b = [0.0]"), &[x], &["i64[2] 3 9", "f32[2, 2] 0.8176 0.1824 0.1824 0.8176"]);
        let linear = "x: f32[n, 2] l, s = ai.onnx.ml.SVMClassifier {classlabels_ints = [3, 9], coefficients = [1.0, 0.0, 0.0, 1.0], rho = [0.5]} (x) => l, s";
        check(linear, &[x], &["i64[2] 3 9", "f32[2, 2] 1.5 0.5 0.5 2.5"]);
        check_problems(
            &of("vectors = 1")
                .replace("vectors = 1", "post_transform = \"NONE\"")
                .replace("vectors_per_class = [1, 1]", "vectors_per_class = [1]"),
            &["[E005] SVMClassifier#0: attribute `vectors_per_class` has 1 entries, not 2"],
        );
    }
}
