mod naive;

use super::*;
use crate::nest::{Index, Monoid};
use crate::{Func, NestBuilder};
use ir::TensorType;
use ir::array::Data;
use sym::Expr;

fn e(text: &str) -> Expr {
    text.parse().unwrap()
}

fn ty(dtype: DType, dims: &[&str]) -> TensorType {
    TensorType::new(dtype, dims.iter().map(|dim| e(dim)).collect())
}

fn sizes(sizes: &[(&str, i64)]) -> BTreeMap<Sym, i64> {
    sizes.iter().map(|(name, value)| (Sym::new(name), *value)).collect()
}

/// Distinct values with both signs that f32 holds exactly.
fn ramp(dtype: DType, dims: &[usize]) -> Array {
    Array::from_fn(dtype, dims.to_vec(), |at| Literal::Float(((at * 37 + 11) % 64) as f64 * 0.25 - 7.0))
}

fn ints(dims: &[usize], values: &[i64]) -> Array {
    Array::ints(DType::I64, dims.to_vec(), values.to_vec())
}

fn floats(array: &Array) -> Vec<f64> {
    match array.data() {
        Data::Float(values) => values.clone(),
        Data::Int(values) => values.iter().map(|value| *value as f64).collect(),
    }
}

/// The first output of a nest that has one, and its bounds; the three ways to run must agree.
fn check(nest: &Nest, operands: &[&Array], sizes: &BTreeMap<Sym, i64>) -> Result<(Vec<f64>, Vec<f64>), String> {
    let value = |dim: &Expr| dim.eval(&|sym| sizes.get(sym).copied()).unwrap() as usize;
    let write = &nest.writes[0];
    let dims = write.ty.dims.iter().map(value).collect();
    let mut outputs = vec![Array::filled(write.ty.dtype, dims, Literal::zero(write.ty.dtype))];
    let mut again = outputs.clone();
    run(nest, operands, sizes, &mut outputs)?;
    let bounds = run_bounded(nest, operands, &[], sizes, &mut again)?;
    assert_eq!(outputs, again);
    let points: Vec<usize> = (0..point_count(nest, sizes)?).rev().step_by(3).collect();
    for sample in &run_points(nest, operands, sizes, &points)?[0] {
        assert_eq!((sample.value, sample.bound), (outputs[0].get(sample.position), bounds[0].get(sample.position).as_f64()));
    }
    Ok((floats(&outputs[0]), floats(&bounds[0])))
}

fn contraction(dtype: DType) -> Nest {
    let mut b = NestBuilder::new();
    let out = b.parallel(&[e("n"), e("m")]);
    let k = b.reduction(&[e("k")]);
    let left = b.operand("a", &ty(dtype, &["n", "k"]));
    let right = b.operand("b", &ty(dtype, &["k", "m"]));
    let x = b.read(left, &[out[0].clone(), k[0].clone()]);
    let y = b.read(right, &[k[0].clone(), out[1].clone()]);
    let product = b.apply(Func::Mul, &[x, y]);
    let sum = b.reduce(Monoid::Sum, product);
    b.write("c", &ty(dtype, &["n", "m"]), &out, sum);
    b.finish()
}

#[test]
fn contraction_is_the_sum_of_products() {
    for (n, m, k) in [(3, 5, 7), (2, 300, 4), (1, 1, 1)] {
        let (a, b) = (ramp(DType::F32, &[n, k]), ramp(DType::F32, &[k, m]));
        let sizes = sizes(&[("n", n as i64), ("m", m as i64), ("k", k as i64)]);
        let (got, bounds) = check(&contraction(DType::F32), &[&a, &b], &sizes).unwrap();
        let (a, b) = (floats(&a), floats(&b));
        for at in 0..n * m {
            let terms: Vec<f64> = (0..k).map(|k_at| a[at / m * k + k_at] * b[k_at * m + at % m]).collect();
            assert_eq!(got[at], terms.iter().sum::<f64>());
            let want = (k as f64 + 8.0) * 2f64.powi(-24) * terms.iter().map(|term| term.abs()).sum::<f64>();
            assert!((bounds[at] - want).abs() <= 1e-9 * want + 1e-40, "{} vs {want}", bounds[at]);
        }
    }
}

#[test]
fn errors_of_operands_reach_results() {
    let (a, b) = (ramp(DType::F32, &[2, 3]), ramp(DType::F32, &[3, 2]));
    let error = Array::filled(DType::F64, vec![2, 3], Literal::Float(0.5));
    let mut out = [Array::filled(DType::F32, vec![2, 2], Literal::Float(0.0))];
    let known = sizes(&[("n", 2), ("m", 2), ("k", 3)]);
    let bounds = run_bounded(&contraction(DType::F32), &[&a, &b], &[Some(&error), None], &known, &mut out).unwrap();
    let b = floats(&b);
    for (at, bound) in floats(&bounds[0]).into_iter().enumerate() {
        let moved: f64 = (0..3).map(|k| 0.5 * b[k * 2 + at % 2].abs()).sum();
        assert!((moved..moved + 1e-3).contains(&bound), "{bound} for {moved}");
    }
    let wrong = run_bounded(&contraction(DType::F32), &[&a, &a], &[Some(&out[0]), None], &known, &mut []);
    assert!(wrong.is_err());
}

#[test]
fn empty_reductions_give_the_identity_and_empty_results_nothing() {
    let nest = contraction(DType::F32);
    let run = |n: i64, m: i64, k: i64| {
        let (a, b) = (ramp(DType::F32, &[n as usize, k as usize]), ramp(DType::F32, &[k as usize, m as usize]));
        check(&nest, &[&a, &b], &sizes(&[("n", n), ("m", m), ("k", k)])).unwrap().0
    };
    assert_eq!(run(2, 2, 0), [0.0; 4]);
    assert_eq!(run(0, 2, 3), [0.0; 0]);
    assert_eq!(run(0, 0, 0), [0.0; 0]);
}

/// `y[o, i, j] = sum x[c, i*2 + p - 1, j*2 + q - 1] w[o, c, p, q]`, zero outside.
fn convolution() -> Nest {
    let mut b = NestBuilder::new();
    let out = b.parallel(&[e("o"), e("(h + 1)/2"), e("(w + 1)/2")]);
    let red = b.reduction(&[e("c"), e("3"), e("3")]);
    let x = b.operand("x", &ty(DType::F32, &["c", "h", "w"]));
    let w = b.operand("w", &ty(DType::F32, &["o", "c", "3", "3"]));
    let row = out[1].clone() * 2 + red[1].clone() - Expr::one();
    let column = out[2].clone() * 2 + red[2].clone() - Expr::one();
    let index = [red[0].clone(), row, column].map(Index::Map).to_vec();
    let pixel = b.read_at(x, index, Some(Literal::Float(0.0)));
    let weight = b.read(w, &[out[0].clone(), red[0].clone(), red[1].clone(), red[2].clone()]);
    let product = b.apply(Func::Mul, &[pixel, weight]);
    let sum = b.reduce(Monoid::Sum, product);
    b.write("y", &ty(DType::F32, &["o", "(h + 1)/2", "(w + 1)/2"]), &out, sum);
    b.finish()
}

#[test]
fn convolution_fills_outside() {
    for (h, w) in [(5usize, 4usize), (6, 131)] {
        let (x, weight) = (ramp(DType::F32, &[3, h, w]), ramp(DType::F32, &[4, 3, 3, 3]));
        let (got, _) = check(&convolution(), &[&x, &weight], &sizes(&[("o", 4), ("c", 3), ("h", h as i64), ("w", w as i64)])).unwrap();
        let (x, weight, rows, columns) = (floats(&x), floats(&weight), h.div_ceil(2), w.div_ceil(2));
        ir::array::for_each_index(&[4, rows, columns], |at| {
            let mut sum = 0.0;
            ir::array::for_each_index(&[3, 3, 3], |r| {
                let (row, column) = ((at[1] * 2 + r[1]).wrapping_sub(1), (at[2] * 2 + r[2]).wrapping_sub(1));
                if row < h && column < w {
                    sum += x[(r[0] * h + row) * w + column] * weight[((at[0] * 3 + r[0]) * 3 + r[1]) * 3 + r[2]];
                }
            });
            assert_eq!(got[(at[0] * rows + at[1]) * columns + at[2]], sum);
        });
    }
}

/// `y[i, j] = table[rows[i], j]`
fn gather() -> Nest {
    let mut b = NestBuilder::new();
    let out = b.parallel(&[e("n"), e("3")]);
    let table = b.operand("table", &ty(DType::F32, &["5", "3"]));
    let rows = b.operand("rows", &ty(DType::I64, &["n"]));
    let row = b.read(rows, &out[..1]);
    let value = b.read_at(table, vec![Index::Data(row), Index::Map(out[1].clone())], None);
    b.write("y", &ty(DType::F32, &["n", "3"]), &out, value);
    b.finish()
}

#[test]
fn gather_counts_from_the_end_and_checks() {
    let table = ramp(DType::F32, &[5, 3]);
    let (got, bounds) = check(&gather(), &[&table, &ints(&[3], &[4, -5, -1])], &sizes(&[("n", 3)])).unwrap();
    let table_values = floats(&table);
    assert_eq!(got, [&table_values[12..15], &table_values[0..3], &table_values[12..15]].concat());
    assert_eq!(bounds, [0.0; 9]);
    for outside in [5, -6] {
        let error = check(&gather(), &[&table, &ints(&[2], &[1, outside])], &sizes(&[("n", 2)])).unwrap_err();
        assert_eq!(error, format!("E010: index {outside} is outside axis 0 of `table: f32[5, 3]`, which has 5 elements"));
    }
}

/// The first position of a row's minimum: `min over j of (x[i, j] == least[i] ? j : n)`.
fn arg_min() -> Nest {
    let mut b = NestBuilder::new();
    let i = b.parallel(&[e("m")]);
    let j = b.reduction(&[e("n")]);
    let x = b.operand("x", &ty(DType::F32, &["m", "n"]));
    let least = b.operand("least", &ty(DType::F32, &["m"]));
    let value = b.read(x, &[i[0].clone(), j[0].clone()]);
    let low = b.read(least, &i);
    let equal = b.apply(Func::Equal, &[value, low]);
    let at = b.index(&j[0], DType::I64);
    let none = b.index(&e("n"), DType::I64);
    let candidate = b.apply(Func::Select, &[equal, at, none]);
    let first = b.reduce(Monoid::Min, candidate);
    b.write("first", &ty(DType::I64, &["m"]), &i, first);
    b.finish()
}

#[test]
fn select_folds_positions() {
    let x = Array::floats(DType::F32, vec![2, 4], vec![3.0, 1.0, 2.0, 1.0, -5.0, 7.0, 0.0, 1.0]);
    let least = Array::floats(DType::F32, vec![2], vec![1.0, -5.0]);
    let (got, bounds) = check(&arg_min(), &[&x, &least], &sizes(&[("m", 2), ("n", 4)])).unwrap();
    assert_eq!((got, bounds), (vec![1.0, 0.0], vec![0.0, 0.0]));
}

/// `y[i, j] = relu(sum_k a[i, k] b[k, j] + bias[j])` of a transposed result, through maps that mix lane and step: `(k + i) % 3`.
#[test]
fn epilogues_and_mixed_maps() {
    let mut b = NestBuilder::new();
    let out = b.parallel(&[e("n"), e("m")]);
    let k = b.reduction(&[e("3")]);
    let left = b.operand("a", &ty(DType::F32, &["n", "3"]));
    let bias = b.operand("bias", &ty(DType::F32, &["m"]));
    let turned = (out[0].clone() + k[0].clone()).modulo(&Expr::from(3));
    let x = b.read(left, &[out[0].clone(), turned]);
    let scale = b.index(&(k[0].clone() + 1), DType::I32);
    let scale = b.convert(scale, DType::F32);
    let term = b.apply(Func::Mul, &[x, scale]);
    let sum = b.reduce(Monoid::Sum, term);
    let shift = b.read(bias, &out[1..]);
    let shifted = b.apply(Func::Add, &[sum, shift]);
    let zero = b.literal(Literal::Float(0.0), DType::F32);
    let value = b.apply(Func::Max, &[shifted, zero]);
    b.write("y", &ty(DType::F32, &["m", "n"]), &[out[1].clone(), out[0].clone()], value);
    let (a, shift) = (ramp(DType::F32, &[4, 3]), ramp(DType::F32, &[70]));
    let (got, bounds) = check(&b.finish(), &[&a, &shift], &sizes(&[("n", 4), ("m", 70)])).unwrap();
    let (a, shift) = (floats(&a), floats(&shift));
    for (at, value) in got.iter().enumerate() {
        let (j, i) = (at / 4, at % 4);
        let sum: f64 = (0..3).map(|k| a[i * 3 + (k + i) % 3] * (k + 1) as f64).sum();
        assert_eq!(*value, (sum + shift[j]).max(0.0));
        assert!(bounds[at] > 0.0 && bounds[at] < 1e-4);
    }
}

#[test]
fn faults_of_the_nest_are_told_apart() {
    let mut b = NestBuilder::new();
    let i = b.parallel(&[e("n")]);
    let x = b.operand("x", &ty(DType::F32, &["n"]));
    let value = b.read(x, &[i[0].clone() + 1]);
    b.write("y", &ty(DType::F32, &["n"]), &i, value);
    let error = check(&b.finish(), &[&ramp(DType::F32, &[3])], &sizes(&[("n", 3)])).unwrap_err();
    assert_eq!(error, "bug: a map reads `x: f32[n]` at index 3 of axis 0, which has 3 elements");
}

/// Every function gives the same through columns as alone, on every pair of interesting operands.
#[test]
fn columns_mean_what_the_functions_mean() {
    let specials = [0.0, -0.0, 1.0, -1.5, 3.25, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-300, 2.5];
    for dtype in [DType::F32, DType::I8, DType::I64, DType::U8, DType::U64, DType::Bool] {
        for func in Func::ALL {
            let types: Vec<DType> = (0..func.arity()).map(|at| if func == Func::Select && at == 0 { DType::Bool } else { dtype }).collect();
            let Ok(result) = func.result(&types) else { continue };
            let count = specials.len().pow(func.arity() as u32);
            let mut b = NestBuilder::new();
            let i = b.parallel(&[e("n")]);
            let reads: Vec<_> = types
                .iter()
                .map(|dtype| {
                    let operand = b.operand("x", &ty(*dtype, &["n"]));
                    b.read(operand, &i)
                })
                .collect();
            let value = b.apply(func, &reads);
            b.write("y", &ty(result, &["n"]), &i, value);
            let operand = |at: usize| {
                Array::from_fn(types[at], vec![count], |n| {
                    let special = specials[n / specials.len().pow(at as u32) % specials.len()];
                    if types[at].is_float() { Literal::Float(special) } else { Literal::Int(crate::func::wrap(special as i64, types[at])) }
                })
            };
            let operands: Vec<Array> = (0..types.len()).map(operand).collect();
            let mut outputs = [Array::filled(result, vec![count], Literal::zero(result))];
            run(&b.finish(), &operands.iter().collect::<Vec<_>>(), &sizes(&[("n", count as i64)]), &mut outputs).unwrap();
            for at in 0..count {
                let x: Vec<Literal> = operands.iter().map(|operand| operand.get(at)).collect();
                let want = func.eval(dtype, &x);
                let same = outputs[0].get(at) == want || (outputs[0].get(at).as_f64().is_nan() && want.as_f64().is_nan());
                assert!(same, "{} {dtype} of {x:?}: {} vs {want}", func.name(), outputs[0].get(at));
            }
        }
    }
}

#[test]
#[ignore = "a measurement: cargo test --release -p nest -- --ignored --nocapture speed"]
fn speed() {
    let time = |what: &str, nest: &Nest, dims: &[&[usize]], known: &[(&str, i64)], macs: f64| {
        let operands: Vec<Array> = dims.iter().map(|dims| ramp(DType::F32, dims)).collect();
        let known = sizes(known);
        let value = |dim: &Expr| dim.eval(&|sym| known.get(sym).copied()).unwrap() as usize;
        let mut outputs = [Array::filled(DType::F32, nest.writes[0].ty.dims.iter().map(value).collect(), Literal::Float(0.0))];
        let start = std::time::Instant::now();
        run(nest, &operands.iter().collect::<Vec<_>>(), &known, &mut outputs).unwrap();
        let plain = start.elapsed().as_secs_f64();
        run_bounded(nest, &operands.iter().collect::<Vec<_>>(), &[], &known, &mut outputs).unwrap();
        let bounded = start.elapsed().as_secs_f64() - plain;
        println!("{what}: {:.0} M points/s, with bounds {:.0}", macs / plain / 1e6, macs / bounded / 1e6);
    };
    time("matmul", &contraction(DType::F32), &[&[256, 768], &[768, 768]], &[("n", 256), ("m", 768), ("k", 768)], 256.0 * 768.0 * 768.0);
    for (h, channels) in [(224, 16), (112, 64), (56, 64), (14, 256)] {
        let (c, known) = (channels as usize, [("o", channels), ("c", channels), ("h", h), ("w", h)]);
        let macs = (channels * h * h / 4 * 9 * channels) as f64;
        time(&format!("conv {h}"), &convolution(), &[&[c, h as usize, h as usize], &[c, c, 3, 3]], &known, macs);
    }
    let count = 1 << 22;
    time("gelu", &gelu(), &[&[count]], &[("n", count as i64)], count as f64);
}

fn gelu() -> Nest {
    let mut b = NestBuilder::new();
    let i = b.parallel(&[e("n")]);
    let x = b.operand("x", &ty(DType::F32, &["n"]));
    let x = b.read(x, &i);
    let half = b.literal(Literal::Float(0.5), DType::F32);
    let scaled = b.apply(Func::Mul, &[x, half]);
    let erf = b.apply(Func::Erf, &[scaled]);
    let value = b.apply(Func::MulAdd, &[scaled, erf, scaled]);
    b.write("y", &ty(DType::F32, &["n"]), &i, value);
    b.finish()
}

/// `y` of five elements, 10 to 14, after an update by `x[i]` at `at[i]`; with its bounds.
fn updated(combine: &str, at: &[i64], x: &[f64]) -> Result<(Vec<f64>, Vec<f64>), String> {
    let text = "nest { scan i in n operand at: i64[n] operand x: f32[n] v0: i64 = at[i] v1: f32 = x[i] v2: f32 = mul v1 v1
        write y: f32[5] at [@v0] = COMBINE v2 }";
    let nest: Nest = text.replace("COMBINE", combine).parse().unwrap();
    let operands = [&ints(&[at.len()], at), &Array::floats(DType::F32, vec![x.len()], x.to_vec())];
    let mut outputs = [Array::floats(DType::F32, vec![5], (10..15).map(f64::from).collect())];
    let mut again = outputs.clone();
    let sizes = sizes(&[("n", x.len() as i64)]);
    run(&nest, &operands, &sizes, &mut outputs)?;
    let bounds = run_bounded(&nest, &operands, &[], &sizes, &mut again)?;
    assert_eq!(outputs, again);
    Ok((floats(&outputs[0]), floats(&bounds[0])))
}

#[test]
fn updates_take_effect_in_order() {
    let run = |combine| updated(combine, &[1, -1, 1, 3], &[2.0, 3.0, 4.0, 5.0]).unwrap().0;
    assert_eq!(run(""), [10.0, 16.0, 12.0, 25.0, 9.0]);
    assert_eq!(run("sum"), [10.0, 31.0, 12.0, 38.0, 23.0]);
    assert_eq!(run("product"), [10.0, 704.0, 12.0, 325.0, 126.0]);
    assert_eq!(run("max"), [10.0, 16.0, 12.0, 25.0, 14.0]);
    assert_eq!(run("min"), [10.0, 4.0, 12.0, 13.0, 9.0]);
    assert!(updated("sum", &[5], &[1.0]).unwrap_err().starts_with("E010: index 5 is outside axis 0 of `y`"));
}

#[test]
fn bounds_of_updates_grow_with_each() {
    let u = DType::F32.unit_roundoff();
    let bound = |combine, count: usize| updated(combine, &vec![2; count], &vec![1.0; count]).unwrap().1;
    assert_eq!(bound("sum", 4)[0], 0.0);
    assert!(bound("sum", 4)[2] >= u * (1.0 + 13.0 + 1.0 + 14.0 + 1.0 + 15.0 + 1.0 + 16.0));
    assert!(bound("sum", 4)[2] <= 3.0 * u * (4.0 + 13.0 + 14.0 + 15.0 + 16.0));
    assert!(bound("", 4)[2] <= 3.0 * u && bound("max", 4)[2] <= 3.0 * u);
}
