//! Functions are measured through the kernel interpreter, against f64.

use super::apply;
use crate::build::KernelBuilder;
use crate::interp;
use crate::kernel::Space;
use ir::{DType, Literal};
use nest::Func;
use sym::Expr;
use target::Target;

const LANES: u32 = 16;

/// The function on f32 or f64 arguments, as a kernel computes it.
fn computed(func: Func, dtype: DType, constants: &[Option<Literal>], arguments: &[Vec<f64>]) -> Vec<f64> {
    computed_on(&Target::x86_64_v3(), func, dtype, constants, arguments)
}

fn computed_on(target: &Target, func: Func, dtype: DType, constants: &[Option<Literal>], arguments: &[Vec<f64>]) -> Vec<f64> {
    let count = arguments[0].len() as i64;
    let mut b = KernelBuilder::on(target, "math");
    let len = Expr::from(count);
    let inputs: Vec<_> = (0..arguments.len()).map(|at| b.buffer(&format!("x{at}"), dtype, len.clone(), Space::Input)).collect();
    let output = b.buffer("y", dtype, len.clone(), Space::Output);
    b.each("i", &Expr::zero(), &len, LANES as i64, |b, i| {
        let mask = b.below(&(&len - i), LANES);
        let x: Vec<_> = inputs.iter().map(|x| b.load(*x, i, LANES, Some(mask))).collect();
        let y = apply(b, func, &x, constants);
        b.store(output, i, y, Some(mask));
    });
    let kernel = b.finish(Expr::one(), vec![]);
    let mut buffers: Vec<Vec<u8>> = arguments.iter().map(|x| bytes(dtype, x)).collect();
    buffers.push(vec![0; count as usize * dtype.size()]);
    assert_eq!(interp::run(&kernel, &mut buffers, &[], 0, 1), Ok(0));
    values(dtype, &buffers[arguments.len()])
}

fn bytes(dtype: DType, x: &[f64]) -> Vec<u8> {
    match dtype {
        DType::F32 => x.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect(),
        _ => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

fn values(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    match dtype {
        DType::F32 => bytes.chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f64).collect(),
        _ => bytes.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap_or_default())).collect(),
    }
}

/// Distance in units of the last place of the wanted value; NaN and infinities must be met.
fn ulps(dtype: DType, got: f64, want: f64) -> f64 {
    if got.is_nan() || want.is_nan() {
        return if got.is_nan() && want.is_nan() { 0.0 } else { f64::INFINITY };
    }
    let rounded = dtype.rounded(want);
    if got == rounded {
        return 0.0;
    }
    if got.is_infinite() || rounded.is_infinite() {
        return f64::INFINITY;
    }
    let (bits, lowest) = match dtype {
        DType::F16 => (10, -14),
        DType::BF16 => (7, -126),
        DType::F32 => (23, -126),
        _ => (52, -1022),
    };
    let exponent = (want.abs().log2().floor() as i32).max(lowest);
    ((got - want) / f64::exp2((exponent - bits) as f64)).abs()
}

/// f32 numbers of every size and sign, specials included.
fn everywhere() -> Vec<f64> {
    let mut all: Vec<f64> = (0..u32::MAX / 40_009).map(|k| f32::from_bits(k * 40_009) as f64).collect();
    all.extend([0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.0, -1.0, 0.5, 1e-45f32 as f64, f32::MAX as f64, f32::MIN as f64]);
    all
}

/// Dense f32 numbers of an interval.
fn dense(low: f64, high: f64) -> Vec<f64> {
    (0..200_000).map(|k| (low + (high - low) * k as f64 / 199_999.0) as f32 as f64).collect()
}

fn worst(target: &Target, func: Func, dtype: DType, arguments: &[Vec<f64>], want: impl Fn(&[f64]) -> f64) -> (f64, Vec<f64>) {
    let got = computed_on(target, func, dtype, &[], arguments);
    let mut worst = (0.0, vec![]);
    for (at, got) in got.iter().enumerate() {
        let x: Vec<f64> = arguments.iter().map(|x| x[at]).collect();
        let error = ulps(dtype, *got, want(&x));
        if error > worst.0 {
            worst = (error, [&x[..], &[*got, want(&x)]].concat());
        }
    }
    worst
}

/// Without fused multiply-adds the last steps of a polynomial round once more.
const UNFUSED: f64 = 0.8;

fn check(func: Func, dtype: DType, x: Vec<f64>, limit: f64, want: impl Fn(f64) -> f64) {
    let unfused = if limit == 0.0 { 0.0 } else { limit + UNFUSED };
    for (target, limit) in [(Target::x86_64_v3(), limit), (Target::wasm32(), unfused)] {
        let (error, at) = worst(&target, func, dtype, std::slice::from_ref(&x), |x| want(x[0]));
        println!("{} {dtype} on {}: {error:.3} ulp at {at:?}", func.name(), target.name);
        assert!(error <= limit, "{} {dtype} on {}: {error} ulp at {at:?}", func.name(), target.name);
    }
}

fn check_f32(func: Func, (low, high): (f64, f64), limit: f64, want: impl Fn(f64) -> f64) {
    let mut x = everywhere();
    x.extend(dense(low, high));
    check(func, DType::F32, x, limit, want);
}

/// `2/sqrt(pi) e^(-x^2) sum 2^n x^(2n+1) / (2n+1)!!`: no term cancels.
fn erf(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 6.0 {
        return if x.is_nan() { x } else { 1f64.copysign(x) };
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..400 {
        term *= 2.0 * x * x / (2 * n + 1) as f64;
        sum += term;
    }
    sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn f32_functions_are_within_their_ulp() {
    check_f32(Func::Exp, (-105.0, 90.0), 0.95, f64::exp);
    check_f32(Func::Log, (0.0, 4.0), 0.95, f64::ln);
    check_f32(Func::Erf, (-4.5, 4.5), 1.0, erf);
    check_f32(Func::Tanh, (-10.0, 10.0), 1.4, f64::tanh);
    check_f32(Func::Sigmoid, (-105.0, 105.0), 2.0, sigmoid);
    check_f32(Func::Sin, (-100.0, 100.0), 1.6, f64::sin);
    check_f32(Func::Cos, (-100.0, 100.0), 1.6, f64::cos);
    check_f32(Func::Atan, (-4.0, 4.0), 1.5, f64::atan);
    check_f32(Func::Rsqrt, (0.0, 10.0), 2.0, |x| 1.0 / x.sqrt());
    check_f32(Func::Sign, (-1.0, 1.0), 0.0, |x| if x == 0.0 || x.is_nan() { x } else { x.signum() });
}

#[test]
fn f64_functions_are_close() {
    let wide: Vec<f64> = (0..40_000).map(|k| f64::from_bits(k * (u64::MAX / 40_000))).collect();
    let with = |low: f64, high: f64| -> Vec<f64> {
        wide.iter().copied().chain((0..40_000).map(|k| low + (high - low) * k as f64 / 39_999.0)).collect()
    };
    check(Func::Exp, DType::F64, with(-750.0, 712.0), 1.5, f64::exp);
    check(Func::Log, DType::F64, with(0.0, 4.0), 1.5, f64::ln);
    // the reference loses as much: e^(-x^2) takes over the rounding of x^2
    check(Func::Erf, DType::F64, with(-6.5, 6.5), 20.0, erf);
    check(Func::Tanh, DType::F64, with(-22.0, 22.0), 3.0, f64::tanh);
    check(Func::Sigmoid, DType::F64, with(-750.0, 750.0), 3.0, |x| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { sigmoid(x) });
    check(Func::Atan, DType::F64, with(-4.0, 4.0), 2.0, f64::atan);
    let moderate: Vec<f64> = with(-1e4, 1e4).into_iter().filter(|x| x.is_nan() || x.abs() < 1e8).collect();
    check(Func::Sin, DType::F64, moderate.clone(), 2.0, f64::sin);
    check(Func::Cos, DType::F64, moderate, 2.0, f64::cos);
}

/// Pairs of everything with everything of a few telling numbers and some plain ones.
fn pairs(edge: &[f64]) -> [Vec<f64>; 2] {
    let mut telling = vec![0.0, 0.5, 1.0, 2.0, 3.0, 1.5, 7.0, 0.1, 1e10, 123456.0, f64::INFINITY, f64::NAN, 0.9999, 1.0001, 33.3, 1e-3];
    telling.extend(edge);
    telling.extend(telling.clone().iter().map(|x| -x));
    let telling: Vec<f64> = telling.iter().map(|x| *x as f32 as f64).collect();
    let all = telling.iter().flat_map(|x| telling.iter().map(move |y| (*x, *y)));
    let (mut x, mut y): (Vec<f64>, Vec<f64>) = all.unzip();
    for k in 0..100_000u32 {
        x.push(f32::from_bits(k.wrapping_mul(2_654_435_761) & 0x7fff_ffff) as f64);
        y.push(((k % 1000) as f64 / 37.0 - 13.0) as f32 as f64);
    }
    [x, y]
}

fn check_pairs(func: Func, dtype: DType, edge: &[f64], limit: f64, want: impl Fn(f64, f64) -> f64) {
    for target in [Target::x86_64_v3(), Target::wasm32()] {
        let (error, at) = worst(&target, func, dtype, &pairs(edge), |x| want(x[0], x[1]));
        println!("{} {dtype} on {}: {error:.3} ulp at {at:?}", func.name(), target.name);
        assert!(error <= limit, "{} {dtype} on {}: {error} ulp at {at:?}", func.name(), target.name);
    }
}

#[test]
fn powers_have_the_special_cases_of_c() {
    check_pairs(Func::Pow, DType::F32, &[1e-40, f32::MAX as f64], 0.51, f64::powf);
    check_pairs(Func::Pow, DType::F64, &[1e-40, 1e30], 4.0, f64::powf);
    for exponent in [0.0, 1.0, -1.0, 2.0, 3.0, 0.5] {
        let x = everywhere();
        let y = vec![exponent; x.len()];
        let got = computed(Func::Pow, DType::F32, &[None, Some(Literal::Float(exponent))], &[x.clone(), y]);
        for (x, got) in x.iter().zip(got) {
            let error = ulps(DType::F32, got, x.powf(exponent));
            assert!(error <= 1.5 || x.powf(exponent).abs() < 1e-36, "{x}^{exponent}: {got}, {error} ulp");
        }
    }
}

#[test]
fn remainders_are_exact() {
    check_pairs(Func::Rem, DType::F32, &[1e-45, f32::MAX as f64, 1e-30], 0.0, |x, y| x % y);
    check_pairs(Func::Rem, DType::F64, &[1e-30, 1e38], 0.0, |x, y| x % y);
    let x = vec![f64::MAX, f64::MAX, 1e300, 5e-324, 1.7e308, 3.0];
    let y = vec![5e-324, 3e-310, 7e-200, 3e-320, 1.5, 1e-308];
    let got = computed(Func::Rem, DType::F64, &[], &[x.clone(), y.clone()]);
    assert_eq!(got, x.iter().zip(&y).map(|(x, y)| x % y).collect::<Vec<f64>>());
}

#[test]
fn extrema_keep_nan() {
    let x = vec![f64::NAN, 1.0, f64::NAN, 2.0];
    let y = vec![1.0, f64::NAN, f64::NAN, 3.0];
    let max = computed(Func::Max, DType::F32, &[], &[x.clone(), y.clone()]);
    assert!(max[..3].iter().all(|x| x.is_nan()) && max[3] == 3.0, "{max:?}");
    let with = computed(Func::Min, DType::F32, &[None, Some(Literal::Float(2.5))], &[x, vec![2.5; 4]]);
    assert!(with[0].is_nan() && with[1] == 1.0 && with[3] == 2.0, "{with:?}");
}

/// Where a function bends.
const BENDS: [(Func, (f64, f64)); 9] = [
    (Func::Exp, (-105.0, 90.0)),
    (Func::Log, (0.0, 4.0)),
    (Func::Rsqrt, (0.0, 10.0)),
    (Func::Erf, (-4.5, 4.5)),
    (Func::Tanh, (-10.0, 10.0)),
    (Func::Sigmoid, (-105.0, 105.0)),
    (Func::Sin, (-100.0, 100.0)),
    (Func::Cos, (-100.0, 100.0)),
    (Func::Atan, (-4.0, 4.0)),
];

/// Every number of a type of 16 bits.
fn all_of(dtype: DType) -> Vec<f64> {
    (0..=u16::MAX).map(|code| nest::func::bits(Literal::Int(code.into()), DType::U16, dtype).as_f64()).collect()
}

/// The largest error of a function, of 16-bit types by way of f32.
fn largest_error(func: Func, dtype: DType, arguments: &[Vec<f64>]) -> f64 {
    let got = computed(func, DType::F32, &[], arguments);
    let error = |at: usize| {
        let x: Vec<Literal> = arguments.iter().map(|x| Literal::Float(x[at])).collect();
        let want = if func == Func::Erf { erf(arguments[0][at]) } else { func.eval(dtype, &x).as_f64() };
        ulps(dtype, dtype.rounded(got[at]), want)
    };
    (0..got.len()).map(error).fold(0.0, f64::max)
}

/// Errors of f32, f16 and bf16.
fn largest_errors(func: Func) -> Vec<f64> {
    let bend = BENDS.iter().find(|(bent, _)| *bent == func).map(|(_, bend)| *bend);
    let samples = |dtype: DType| match (bend, dtype) {
        (Some((low, high)), DType::F32) => vec![[everywhere(), dense(low, high)].concat()],
        (Some(_), dtype) => vec![all_of(dtype)],
        (None, dtype) => pairs(&[1e-30, f32::MAX as f64]).map(|x| x.into_iter().map(|x| dtype.rounded(x)).collect()).to_vec(),
    };
    [DType::F32, DType::F16, DType::BF16].map(|dtype| largest_error(func, dtype, &samples(dtype))).to_vec()
}

/// `docs/numerics.md` has the errors that are measured, rounded up. `INKLE_BLESS=1` writes them anew.
#[test]
fn the_page_has_the_errors() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/numerics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let functions = BENDS.iter().map(|(func, _)| *func).chain([Func::Pow, Func::Rem]);
    let measured: Vec<(Func, Vec<f64>)> = functions.map(|func| (func, largest_errors(func))).collect();
    let mut new: Vec<String> = page.lines().filter(|line| !line.starts_with("| `")).map(String::from).collect();
    let head = new.iter().position(|line| line.starts_with("| function")).expect("a table");
    for (at, (func, errors)) in measured.iter().enumerate() {
        let cells: String = errors.iter().map(|error| format!(" {:.2} |", (error * 100.0).ceil() / 100.0)).collect();
        new.insert(head + 2 + at, format!("| `{}` | {} |{cells}", func.name(), func.ulp()));
        assert!(errors[0] <= func.ulp(), "{}: {} ulp", func.name(), errors[0]);
    }
    let new = new.join("\n") + "\n";
    if std::env::var_os("INKLE_BLESS").is_some() {
        std::fs::write(&path, &new).unwrap();
    } else {
        assert!(page == new, "docs/numerics.md is stale; INKLE_BLESS=1 cargo test -p kernel the_page writes it anew:\n{new}");
    }
}
