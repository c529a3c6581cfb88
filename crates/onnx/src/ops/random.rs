//! Random numbers, and what is drawn with them. The bits are `philox`'s: a seed, the node and the element's place decide them.
//!
//! Where the seed is the node's own, nodes of one seed give the same numbers. Uniform numbers are the multiples of 2^-24 (of 2^-53 in f64)
//! from 0 on and below 1. The 16-bit floats are computed in f32.

use super::Entry;
use super::activation::scalar_operand;
use super::extremum::{Among, places};
use crate::import::{Call, Outcome, element_type_of, one, sizes};
use ::ops::{Builder, Folded};
use ir::guard::Condition;
use ir::{Code, DType, Diagnostic, Literal, TensorType, ValueId};
use nest::{Func, Monoid};
use std::f64::consts::TAU;
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("RandomNormal", 1, |call| of_shape(call, normal)),
    Entry("RandomUniform", 1, |call| of_shape(call, uniform)),
    Entry("RandomNormalLike", 1, |call| like(call, normal)),
    Entry("RandomUniformLike", 1, |call| like(call, uniform)),
    Entry("Bernoulli", 15, bernoulli),
    Entry("Multinomial", 7, multinomial),
    Entry("Dropout", 1, |call| {
        call.ignore(&["consumed_inputs"]);
        match call.flag_or("is_test", false)? {
            true => kept(call),
            false => {
                let ratio = call.float_or("ratio", 0.5)?;
                let ratio = call.b().number(DType::F64, ratio);
                dropped(call, ratio, None)
            }
        }
    }),
    Entry("Dropout", 7, kept),
    Entry("Dropout", 12, dropout),
];

/// Multiplying by it moves the lower half of 64 bits up.
const WORD: f64 = (1u64 << 32) as f64;

type Result<T> = std::result::Result<T, Diagnostic>;

/// What a node's bits depend on.
struct Source {
    seed: u64,
    stream: u32,
    run: Option<ValueId>,
}

/// A node's own seed makes its numbers those of any node with that seed.
fn source(call: &mut Call, seed: Option<u64>) -> Result<Source> {
    let chance = &mut call.cx.chance;
    chance.nodes += 1;
    let (seed, stream) = seed.map_or((chance.seed, chance.nodes), |seed| (seed, 0));
    Ok(Source { seed, stream, run: run(call)? })
}

/// One number for the runs of all loops around the node.
fn run(call: &mut Call) -> Result<Option<ValueId>> {
    let mut joined = None;
    for term in call.cx.chance.runs.clone() {
        let run = call.cx.emit(term)?;
        let b = call.b();
        joined = Some(match joined {
            // the odd number next to 2^32 over the golden ratio: few pairs of runs meet
            Some(outer) => {
                let far = b.map_number(Func::Mul, outer, f64::from(0x9e37_79b1u32))?;
                b.map(Func::Add, &[far, run])?
            }
            None => run,
        });
    }
    Ok(joined)
}

fn float_seed(call: &Call) -> Result<Option<u64>> {
    Ok(call.float("seed")?.map(|seed| seed.to_bits().into()))
}

/// The type that random numbers are computed in for results or probabilities of a type.
fn computed(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

impl Source {
    fn bits(&self, b: &mut Builder, dims: &[Expr], half: usize) -> Result<ValueId> {
        b.philox(dims, self.seed, self.stream, half, self.run)
    }

    /// Uniform numbers of f32 or f64, from 0 on and below 1.
    fn unit(&self, b: &mut Builder, dims: &[Expr], dtype: DType) -> Result<ValueId> {
        let bits = self.bits(b, dims, 0)?;
        let whole = highest(b, bits, dtype)?;
        fraction(b, whole, dtype)
    }

    /// Numbers of mean 0 and deviation 1, by Box and Muller.
    fn normal(&self, b: &mut Builder, dims: &[Expr], dtype: DType) -> Result<ValueId> {
        let bits = self.bits(b, dims, 0)?;
        let other = match dtype {
            DType::F64 => self.bits(b, dims, 1)?,
            _ => b.map_number(Func::Mul, bits, WORD)?,
        };
        let (radius, turn) = (highest(b, bits, dtype)?, highest(b, other, dtype)?);
        // from above 0 to 1
        let radius = b.map_number(Func::Add, radius, 1.0)?;
        let radius = fraction(b, radius, dtype)?;
        let radius = b.map(Func::Log, &[radius])?;
        let radius = b.map_number(Func::Mul, radius, -2.0)?;
        let radius = b.map(Func::Sqrt, &[radius])?;
        let turn = fraction(b, turn, dtype)?;
        let turn = b.map_number(Func::Mul, turn, TAU)?;
        let along = b.map(Func::Cos, &[turn])?;
        b.map(Func::Mul, &[radius, along])
    }

    /// Numbers of Gumbel's distribution: the largest of `log(weight)` with them added is a place drawn by the weights.
    fn gumbel(&self, b: &mut Builder, dims: &[Expr], dtype: DType) -> Result<ValueId> {
        let bits = self.bits(b, dims, 0)?;
        let whole = highest(b, bits, dtype)?;
        // odd, so that the fraction is neither 0 nor 1
        let one = b.scalar(b.dtype(whole), Literal::Int(1));
        let odd = b.map_broadcast(Func::Or, &[whole, one])?;
        let unit = fraction(b, odd, dtype)?;
        let wait = b.map(Func::Log, &[unit])?;
        let wait = b.map(Func::Neg, &[wait])?;
        let wait = b.map(Func::Log, &[wait])?;
        b.map(Func::Neg, &[wait])
    }
}

/// As many of the highest bits as a number of the type holds, as a signed integer.
fn highest(b: &mut Builder, bits: ValueId, dtype: DType) -> Result<ValueId> {
    let (beyond, whole) = if dtype == DType::F64 { (1u64 << 11, DType::I64) } else { (1 << 40, DType::I32) };
    let high = b.map_number(Func::Div, bits, beyond as f64)?;
    b.convert(high, whole)
}

/// The integer over the number of integers that `highest` gives.
fn fraction(b: &mut Builder, whole: ValueId, dtype: DType) -> Result<ValueId> {
    let number = b.convert(whole, dtype)?;
    b.map_number(Func::Mul, number, dtype.unit_roundoff())
}

/// Random numbers of a float type by the attributes of the node.
type Distribution = fn(&mut Call, &[Expr], DType) -> Outcome;

fn of_shape(call: &mut Call, distribution: Distribution) -> Outcome {
    let shape = call.ints("shape")?.ok_or_else(|| call.attribute_error("attribute `shape` is missing"))?;
    if let Some(negative) = shape.iter().find(|size| **size < 0) {
        return Err(call.attribute_error(format!("attribute `shape` holds {negative}")).into());
    }
    let dims: Vec<Expr> = shape.into_iter().map(Expr::from).collect();
    let dtype = type_attribute(call)?.unwrap_or(DType::F32);
    drawn(call, dims, dtype, distribution)
}

fn like(call: &mut Call, distribution: Distribution) -> Outcome {
    let (dims, own) = (call.dims(0)?, call.dtype(0)?);
    let dtype = type_attribute(call)?.unwrap_or(own);
    drawn(call, dims, dtype, distribution)
}

fn type_attribute(call: &Call) -> Result<Option<DType>> {
    let Some(number) = call.int("dtype")? else { return Ok(None) };
    let dtype = element_type_of(number).map_err(|(code, text)| call.error(code, format!("{}: {text}", call.node.op_type)))?;
    Ok(Some(dtype))
}

fn drawn(call: &mut Call, dims: Vec<Expr>, dtype: DType, distribution: Distribution) -> Outcome {
    if !dtype.is_float() {
        return Err(call.error(Code::Type, format!("{} of {dtype}", call.node.op_type)).into());
    }
    let ty = TensorType::new(dtype, dims);
    if !sizes::is_reasonable(&ty) {
        return Err(call.error(Code::Limit, format!("{ty} is beyond the limits")).into());
    }
    distribution(call, &ty.dims, dtype)
}

fn normal(call: &mut Call, dims: &[Expr], dtype: DType) -> Outcome {
    let (mean, scale, seed) = (call.float_or("mean", 0.0)?, call.float_or("scale", 1.0)?, float_seed(call)?);
    let source = source(call, seed)?;
    let b = call.b();
    let number = source.normal(b, dims, computed(dtype))?;
    let number = b.map_number(Func::Mul, number, scale)?;
    let number = b.map_number(Func::Add, number, mean)?;
    one(b.convert(number, dtype)?)
}

fn uniform(call: &mut Call, dims: &[Expr], dtype: DType) -> Outcome {
    let (low, high, seed) = (call.float_or("low", 0.0)?, call.float_or("high", 1.0)?, float_seed(call)?);
    let source = source(call, seed)?;
    let b = call.b();
    let unit = source.unit(b, dims, computed(dtype))?;
    let number = b.map_number(Func::Mul, unit, high - low)?;
    let number = b.map_number(Func::Add, number, low)?;
    one(b.convert(number, dtype)?)
}

/// 1 with the probability that an element is.
fn bernoulli(call: &mut Call) -> Outcome {
    let (dims, own, seed) = (call.dims(0)?, call.dtype(0)?, float_seed(call)?);
    if !own.is_float() {
        return Err(call.error(Code::Type, format!("Bernoulli of {own}")).into());
    }
    let dtype = type_attribute(call)?.unwrap_or(own);
    let probability = call.value(0)?;
    let source = source(call, seed)?;
    let b = call.b();
    let unit = source.unit(b, &dims, computed(own))?;
    let probability = b.widened(probability)?;
    let hit = b.map(Func::Less, &[unit, probability])?;
    one(b.convert(hit, dtype)?)
}

/// Places of a row, by the probabilities whose logarithms, up to a number for each row, are its elements.
fn multinomial(call: &mut Call) -> Outcome {
    let (dims, own, seed) = (call.dims(0)?, call.dtype(0)?, float_seed(call)?);
    let [rows, classes] = dims.as_slice() else {
        return Err(call.error(Code::Shape, format!("{} is no matrix", call.ty(0)?)).into());
    };
    let dtype = type_attribute(call)?.unwrap_or(DType::I32);
    if !own.is_float() || !matches!(dtype, DType::I32 | DType::I64) {
        return Err(call.error(Code::Type, format!("Multinomial of {own} to {dtype}")).into());
    }
    let count = call.int_or("sample_size", 1)?;
    let each = TensorType::new(own, vec![rows.clone(), Expr::from(count), classes.clone()]);
    if count < 0 || !sizes::is_reasonable(&each) {
        return Err(call.attribute_error(format!("attribute `sample_size` is {count}")).into());
    }
    call.guard(Condition::AtLeast(classes.clone(), Expr::one()));
    let x = call.value(0)?;
    let source = source(call, seed)?;
    let b = call.b();
    let x = b.widened(x)?;
    let x = b.unsqueeze(x, &[1])?;
    let gumbel = source.gumbel(b, &each.dims, computed(own))?;
    let scores = b.map_broadcast(Func::Add, &[x, gumbel])?;
    let place = places(b, scores, (2, Monoid::Max, Among::First), Folded::Dropped)?;
    one(b.convert(place, dtype)?)
}

/// Before opset 12, and where nothing trains: the operand, and a mask that keeps everything.
fn kept(call: &mut Call) -> Outcome {
    call.ignore(&["ratio", "seed"]);
    let x = call.term(0)?;
    if !call.wants(1) {
        return one(x);
    }
    let dims = call.dims(0)?;
    let dtype = if call.opset >= 10 { DType::Bool } else { call.dtype(0)? };
    let yes = call.b().number(dtype, 1.0);
    let mask = call.b().broadcast(yes, &dims)?;
    Ok(vec![x.into(), mask.into()])
}

/// Where a tensor says whether it trains, nothing is dropped if it says no.
fn dropout(call: &mut Call) -> Outcome {
    let seed = call.int("seed")?.map(|seed| seed as u64);
    if call.optional(2).is_none() || call.constant(2) == Some(Literal::Int(0)) {
        return kept(call);
    }
    let ratio = match scalar_operand(call, 1)? {
        Some(ratio) => call.b().convert(ratio, DType::F64)?,
        None => call.b().number(DType::F64, 0.5),
    };
    let ratio = match (call.constant(2), scalar_operand(call, 2)?) {
        (None, Some(trains)) => {
            let b = call.b();
            let (trains, nothing) = (b.convert(trains, DType::Bool)?, b.number(DType::F64, 0.0));
            b.map(Func::Select, &[trains, ratio, nothing])?
        }
        _ => ratio,
    };
    dropped(call, ratio, seed)
}

/// Each element is 0 with the probability `ratio`, an f64 scalar; the others grow, so that the mean stays.
fn dropped(call: &mut Call, ratio: ValueId, seed: Option<u64>) -> Outcome {
    let ty = call.ty(0)?.clone();
    if !ty.dtype.is_float() {
        return Err(call.error(Code::Type, format!("Dropout of {}", ty.dtype)).into());
    }
    let mask_type = if call.opset >= 10 { DType::Bool } else { ty.dtype };
    let x = call.value(0)?;
    let source = source(call, seed)?;
    let b = call.b();
    let dtype = computed(ty.dtype);
    let unit = source.unit(b, &ty.dims, dtype)?;
    let limit = b.convert(ratio, dtype)?;
    let mask = b.map_broadcast(Func::GreaterEqual, &[unit, limit])?;
    let one = b.number(DType::F64, 1.0);
    let rest = b.map(Func::Sub, &[one, ratio])?;
    let scale = b.map(Func::Div, &[one, rest])?;
    let scale = b.convert(scale, dtype)?;
    let wide = b.widened(x)?;
    let scaled = b.map_broadcast(Func::Mul, &[wide, scale])?;
    let zero = b.number(dtype, 0.0);
    let y = b.map_broadcast(Func::Select, &[mask, scaled, zero])?;
    let y = b.convert(y, ty.dtype)?;
    Ok(vec![y.into(), b.convert(mask, mask_type)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::ImportOptions;
    use crate::testing::{check, check_problems, check_types, imported, numbers};

    /// The outputs for one input of zeros, at another seed than 0 where it is given.
    fn drawn(text: &str, input: &str, seed: u64) -> Vec<Vec<f64>> {
        numbers(text, &[input], &ImportOptions { seed, ..ImportOptions::default() })
    }

    fn mean(numbers: &[f64]) -> f64 {
        numbers.iter().sum::<f64>() / numbers.len() as f64
    }

    #[test]
    fn distributions() {
        let text = "x: f32[4, 2500]
            a = RandomNormalLike {mean = 3.0, scale = 2.0} (x) b = RandomUniformLike {low = -1.0, high = 3.0, dtype = 11} (x)
            c = RandomNormal {shape = [100, 100], dtype = 11} () => a, b, c";
        let x = format!("f32[4, 2500] {}", "0 ".repeat(10_000));
        let [a, b, c] = <[Vec<f64>; 3]>::try_from(drawn(text, &x, 0)).unwrap();
        // six standard errors of means and of mean squares
        assert!((mean(&a) - 3.0).abs() < 6.0 * 2.0 / 100.0 && (mean(&b) - 1.0).abs() < 6.0 * (4.0 / 12f64.sqrt()) / 100.0);
        let square = |numbers: &[f64], mean: f64| numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / numbers.len() as f64;
        assert!((square(&a, 3.0) / 4.0 - 1.0).abs() < 6.0 * 2f64.sqrt() / 100.0, "{}", square(&a, 3.0));
        assert!((square(&c, 0.0) - 1.0).abs() < 6.0 * 2f64.sqrt() / 100.0 && mean(&c).abs() < 0.06);
        assert!(b.iter().all(|x| (-1.0..3.0).contains(x)));
    }

    #[test]
    fn seeds_and_nodes_decide() {
        let text = |attributes: &str| {
            format!("x: f32[6] a = RandomUniformLike {{{attributes}}} (x) b = RandomUniformLike {{{attributes}}} (x) => a, b")
        };
        let x = "f32[6] 0 0 0 0 0 0";
        let plain = drawn(&text(""), x, 0);
        assert_eq!(plain, drawn(&text(""), x, 0));
        assert_ne!(plain[0], plain[1]);
        assert_ne!(plain, drawn(&text(""), x, 1));
        let seeded = drawn(&text("seed = 1.5"), x, 0);
        assert_eq!(seeded[0], seeded[1]);
        assert_eq!(seeded, drawn(&text("seed = 1.5"), x, 1));
    }

    #[test]
    fn runs_of_a_loop_differ() {
        let text =
            "x: f32[2] k: i64[] = 3 y = Loop {body = graph { i: i64[] c: bool[] r = RandomUniform {shape = [2]} () => c, r }} (k, _) => y";
        let numbers = &drawn(text, "f32[2] 0 0", 0)[0];
        assert!(numbers[..2] != numbers[2..4] && numbers[2..4] != numbers[4..], "{numbers:?}");
        let scan = "x: f32[3, 1] y = Scan {num_scan_inputs = 1, body = graph { v: f32[1] r = RandomUniformLike(v) => r }} (x) => y";
        let numbers = &drawn(scan, "f32[3, 1] 0 0 0", 0)[0];
        assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2], "{numbers:?}");
    }

    #[test]
    fn bernoulli_hits_by_probability() {
        let text = "x: f32[3000] y = Bernoulli {dtype = 7} (x) => y";
        let x = format!("f32[3000] {}", "0 1 0.25 ".repeat(1000));
        let hits = &drawn(text, &x, 0)[0];
        let part = |which: usize| mean(&hits.iter().skip(which).step_by(3).copied().collect::<Vec<f64>>());
        assert_eq!((part(0), part(1)), (0.0, 1.0));
        assert!((part(2) - 0.25).abs() < 6.0 * 0.25 * 3f64.sqrt() / 1000f64.sqrt(), "{}", part(2));
        check_types(text, &["i64[3000]"]);
    }

    #[test]
    fn multinomial_draws_by_weight() {
        let text = "x: f32[2, 3] y = Multinomial {sample_size = 2000} (x) => y";
        // weights 1 to 3 to nothing, and a sure one
        let places = &drawn(text, "f32[2, 3] 0 1.0986123 -inf -inf 7 -inf", 0)[0];
        assert!(places[..2000].iter().all(|place| *place < 2.0) && places[2000..].iter().all(|place| *place == 1.0));
        assert!((mean(&places[..2000]) - 0.75).abs() < 6.0 * (0.75f64 * 0.25 / 2000.0).sqrt());
        check_types(text, &["i32[2, 2000]"]);
    }

    #[test]
    fn dropout_in_training_drops_or_scales() {
        let text = |ratio: &str, trains: &str| {
            format!("x: f32[800] r: f32[] = {ratio} t: bool[] {trains} y, m = Dropout(x, r, t) z = Cast {{to = 1}} (m) => y, z")
        };
        let ones = format!("f32[800] {}", "1 ".repeat(800));
        let [y, m] = <[Vec<f64>; 2]>::try_from(drawn(&text("0.75", "= 1"), &ones, 0)).unwrap();
        assert!(y.iter().zip(&m).all(|(y, m)| *y == 4.0 * m));
        assert!((mean(&m) - 0.25).abs() < 6.0 * (0.75f64 * 0.25 / 800.0).sqrt());
        let [y, m] = <[Vec<f64>; 2]>::try_from(drawn(&text("0", "= 1"), &ones, 0)).unwrap();
        assert!(y.iter().chain(&m).all(|x| *x == 1.0));
        let given = |flag: &str| numbers(&text("0.75", ""), &[&ones, flag], &ImportOptions::default());
        assert_eq!(given("bool[] 1")[0], drawn(&text("0.75", "= 1"), &ones, 0)[0]);
        assert!(given("bool[] 0")[0].iter().all(|y| *y == 1.0));
        let old = "opset 6 x: f32[800] y = Dropout {ratio = 0.75} (x) => y";
        assert!(drawn(old, &ones, 0)[0].iter().all(|y| *y == 0.0 || *y == 4.0));
        check("opset 6 x: f32[2] y = Dropout {is_test = 1} (x) => y", &["f32[2] 1 2"], &["f32[2] 1 2"]);
    }

    #[test]
    fn dropout_keeps_everything_where_nothing_trains() {
        check("x: f32[2] y, m = Dropout(x) => y, m", &["f32[2] 1 2"], &["f32[2] 1 2", "bool[2] 1 1"]);
    }

    #[test]
    fn what_is_not_drawn() {
        check_problems("x: i32[2] y = RandomNormalLike(x) => y", &["[E004] RandomNormalLike#0: RandomNormalLike of i32"]);
        check_problems("x: f32[2] y = RandomUniform {shape = [-1]} () => y", &["[E005] RandomUniform#0: attribute `shape` holds -1"]);
        check_problems("x: f32[2] y = Multinomial(x) => y", &["[E003] Multinomial#0: f32[2] is no matrix"]);
        let huge = "x: f32[2] y = RandomUniform {shape = [4611686018427387904, 8]} () => y";
        assert!(imported(huge, &ImportOptions::default()).is_err());
    }
}
