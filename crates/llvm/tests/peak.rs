//! How close printed kernels come to what one core can do. Run alone:
//! `cargo test -p llvm --release --test peak -- --ignored --nocapture --test-threads 1`

mod common;

use common::{Native, check, elements, host, machines};
use ir::DType;
use kernel::{Kernel, KernelBuilder, Space, Ty, ValueId};
use llvm::{EmitOptions, PrintOptions, emit_assembly, print_kernel};
use runtime::AlignedBuffer;
use std::time::Instant;
use sym::{Expr, Sym};

const LANES: u32 = 16;

fn task() -> Expr {
    Expr::sym(&Sym::new(kernel::kernel::TASK))
}

/// A register tile of `rows` by `vectors` over `depth`; task t works on rows `t*rows..` of `a` and of `c`.
struct Tile {
    rows: i64,
    vectors: i64,
    lanes: u32,
    depth: Expr,
    /// Turns of a loop inside that of `depth`.
    nested: Option<Expr>,
    row_stride: Expr,
    c_stride: Expr,
}

fn gemm(name: &str, tile: &Tile, sizes: &[&str], tasks: i64) -> Kernel {
    let Tile { rows, vectors, lanes, depth, nested, row_stride, c_stride } = tile;
    let mut k = KernelBuilder::new(name);
    let lanes = *lanes;
    let width = vectors * i64::from(lanes);
    let a = k.buffer("a", DType::F32, row_stride * (rows * tasks), Space::Input);
    let b = k.buffer("b", DType::F32, depth * nested.as_ref().unwrap_or(&Expr::one()) * width, Space::Input);
    let c = k.buffer("c", DType::F32, c_stride * (rows * tasks), Space::Output);
    let zero = k.float(0.0, Ty::vector(DType::F32, lanes));
    let first = task() * *rows;
    let accumulators = vec![zero; (rows * vectors) as usize];
    let turn = |k: &mut KernelBuilder, at: &Expr, sums: &[ValueId]| {
        let panel: Vec<ValueId> = (0..*vectors).map(|j| k.load(b, &(at * width + j * i64::from(lanes)), lanes, None)).collect();
        let mut next = Vec::new();
        for row in 0..*rows {
            let scalar = k.load(a, &(&((&first + row) * row_stride.clone()) + at), 1, None);
            let spread = k.splat(scalar, lanes);
            for (j, panel) in panel.iter().enumerate() {
                next.push(k.mul_add(spread, *panel, sums[row as usize * *vectors as usize + j]));
            }
        }
        next
    };
    let sums = match nested {
        None => k.for_loop("k", (&Expr::zero(), depth, 1), &accumulators, turn),
        Some(inner) => k.for_loop("o", (&Expr::zero(), depth, 1), &accumulators, |k, o, sums| {
            k.for_loop("k", (&Expr::zero(), inner, 1), sums, |k, at, sums| turn(k, &(o * inner + at.clone()), sums))
        }),
    };
    for (at, sum) in sums.iter().enumerate() {
        let (row, j) = (at as i64 / vectors, at as i64 % vectors);
        k.store(c, &((&first + row) * c_stride.clone() + j * i64::from(lanes)), *sum, None);
    }
    k.finish(Expr::from(tasks), sizes.iter().map(|s| Sym::new(s)).collect())
}

/// Fused multiply-adds on 12 registers, no memory.
fn registers_only(turns: i64, lanes: u32) -> Kernel {
    let mut k = KernelBuilder::new("registers");
    let x = k.buffer("x", DType::F32, Expr::from(i64::from(lanes)), Space::Input);
    let y = k.buffer("y", DType::F32, Expr::from(i64::from(lanes)), Space::Output);
    let factor = k.load(x, &Expr::zero(), lanes, None);
    let sums = k.for_loop("i", (&Expr::zero(), &Expr::from(turns), 1), &[factor; 12], |k, _, sums| {
        sums.iter().map(|sum| k.mul_add(factor, factor, *sum)).collect()
    });
    let total = sums[1..].iter().fold(sums[0], |total, sum| k.binary(kernel::Binary::Add, total, *sum));
    k.store(y, &Expr::zero(), total, None);
    k.finish(Expr::one(), vec![])
}

/// Flops a nanosecond, the best of several runs.
fn rate(native: &mut Native, buffers: &mut [AlignedBuffer], sizes: &[i64], tasks: i64, flops: f64) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..40 {
        let start = Instant::now();
        assert_eq!(native.run(buffers, sizes, 0, tasks), 0);
        best = best.min(start.elapsed().as_nanos() as f64);
    }
    flops / best
}

fn zeroed(bytes: i64) -> AlignedBuffer {
    AlignedBuffer::zeroed(bytes as usize).unwrap()
}

fn peak(machine: &EmitOptions, lanes: u32) -> f64 {
    let turns = 200_000;
    let mut native = Native::new(&registers_only(turns, lanes), machine, &[]);
    rate(&mut native, &mut [zeroed(64), zeroed(64)], &[], 1, turns as f64 * 12.0 * 2.0 * f64::from(lanes))
}

/// Instructions of the innermost loop: the lines from the last label before the last backward jump.
fn inner_loop(assembly: &str) -> Vec<&str> {
    let lines: Vec<&str> = assembly.lines().map(|line| line.split('#').next().unwrap_or("").trim()).collect();
    let heads = lines.iter().enumerate().filter(|(_, line)| line.starts_with(".L") && line.ends_with(':'));
    let loops = heads.filter_map(|(at, head)| {
        let label = head.trim_end_matches(':');
        let jump = (at..lines.len()).find(|end| lines[*end].starts_with('j') && lines[*end].ends_with(label))?;
        Some(lines[at + 1..=jump].to_vec())
    });
    loops.filter(|body| body.iter().any(|line| line.starts_with("vf"))).min_by_key(Vec::len).unwrap_or_default()
}

/// The assembly; text and assembly also go to the folder that `INKLE_DUMP` names.
fn dump(name: &str, kernel: &Kernel, machine: &EmitOptions) -> String {
    let text = print_kernel(kernel, &PrintOptions::default());
    let assembly = emit_assembly(&text, machine).unwrap();
    if let Ok(folder) = std::env::var("INKLE_DUMP") {
        std::fs::write(format!("{folder}/{name}.ll"), &text).unwrap();
        std::fs::write(format!("{folder}/{name}.s"), &assembly).unwrap();
    }
    assembly
}

fn measure(name: &str, machine: &EmitOptions, tile: &Tile, names: &[&str], sizes: &[i64]) {
    let tasks = 16;
    let kernel = gemm(name, tile, names, tasks);
    let assembly = dump(name, &kernel, machine);
    let value = |sym: &Sym| names.iter().position(|n| *n == sym.name()).map(|at| sizes[at]);
    let lens: Vec<i64> = kernel.buffers.iter().map(|buffer| buffer.len.eval(&value).unwrap() * 4).collect();
    let mut buffers: Vec<AlignedBuffer> = lens.iter().map(|bytes| zeroed(*bytes)).collect();
    let mut native = Native::new(&kernel, machine, sizes);
    let depth = (&tile.depth * tile.nested.as_ref().unwrap_or(&Expr::one())).eval(&value).unwrap();
    let flops = (tasks * tile.rows * tile.vectors * depth * 2 * i64::from(tile.lanes)) as f64;
    let (mut best, mut top) = (0f64, 0f64);
    for _ in 0..5 {
        best = best.max(rate(&mut native, &mut buffers, sizes, tasks, flops));
        top = top.max(peak(machine, tile.lanes));
    }
    let inner = inner_loop(&assembly);
    let count = |start: &str| inner.iter().filter(|line| line.starts_with(start)).count();
    println!(
        "{name:24} {best:6.1} GFLOP/s, {:5.1} % of {top:.1}; inner loop: {} instructions, {} fma, {} broadcasts, {} embedded, {} spills",
        100.0 * best / top,
        inner.len(),
        count("vfmadd"),
        count("vbroadcast"),
        inner.iter().filter(|line| line.contains("{1to")).count(),
        inner.iter().filter(|line| line.contains("(%rsp)") || line.contains("(%rbp)")).count()
    );
}

#[test]
#[ignore = "a measurement"]
fn register_tiles_reach_the_peak() {
    let (host, avx2) = (host(), machines().remove(1));
    let tile = |rows: i64, vectors: i64, lanes: u32| {
        let c_stride = Expr::from(vectors * i64::from(lanes));
        Tile { rows, vectors, lanes, depth: 256.into(), nested: None, row_stride: 272.into(), c_stride }
    };
    for (rows, vectors) in [(9, 3), (14, 2), (8, 3), (6, 4)] {
        measure(&format!("{rows}x{vectors}"), &host, &tile(rows, vectors, 16), &[], &[]);
    }
    for (rows, vectors) in [(6, 2), (4, 3)] {
        measure(&format!("avx2_{rows}x{vectors}"), &avx2, &tile(rows, vectors, 8), &[], &[]);
    }
    let symbol = |name: &str| Expr::sym(&Sym::new(name));
    let deep = Tile { depth: symbol("K"), ..tile(9, 3, 16) };
    measure("9x3_symbolic_depth", &host, &deep, &["K"], &[256]);
    let nested = Tile { depth: 4.into(), nested: Some(64.into()), ..tile(9, 3, 16) };
    measure("9x3_nested", &host, &nested, &[], &[]);
    let nested = Tile { depth: symbol("K"), nested: Some(symbol("I")), ..tile(9, 3, 16) };
    measure("9x3_nested_symbolic", &host, &nested, &["K", "I"], &[4, 64]);
    let strided = Tile { row_stride: symbol("lda"), c_stride: symbol("ldc"), ..deep };
    measure("9x3_symbolic_strides", &host, &strided, &["K", "lda", "ldc"], &[256, 272, 48]);
}

#[test]
fn register_tiles_are_right() {
    let tile = Tile {
        rows: 9,
        vectors: 3,
        lanes: 16,
        nested: None,
        depth: Expr::sym(&Sym::new("K")),
        row_stride: Expr::sym(&Sym::new("lda")),
        c_stride: 48.into(),
    };
    let kernel = gemm("tile", &tile, &["K", "lda"], 2);
    for depth in [0, 1, 17] {
        let (a, b) = (elements(DType::F32, 2 * 9 * 20, 3), elements(DType::F32, depth * 48, 4));
        check(&kernel, &[a, b, vec![0; 2 * 9 * 48 * 4]], &[depth as i64, 20], 2);
    }
}

/// Sums 4 loaded vectors a turn, all in L1; `s` is the stride.
fn sums(name: &str, load: impl Fn(&mut KernelBuilder, kernel::BufferId, &Expr) -> ValueId) -> Kernel {
    let mut k = KernelBuilder::new(name);
    let x = k.buffer("x", DType::F32, Expr::from(8192), Space::Input);
    let y = k.buffer("y", DType::F32, Expr::from(i64::from(LANES)), Space::Output);
    let zero = k.float(0.0, Ty::vector(DType::F32, LANES));
    let sums = k.for_loop("i", (&Expr::zero(), &Expr::from(TURNS), 1), &[zero; 4], |k, i, sums| {
        let mut next = Vec::new();
        for (part, sum) in sums.iter().enumerate() {
            let value = load(k, x, &(i * &Expr::from(16) + part as i64 * 4));
            next.push(k.binary(kernel::Binary::Add, *sum, value));
        }
        next
    });
    let total = sums[1..].iter().fold(sums[0], |total, sum| k.binary(kernel::Binary::Add, total, *sum));
    k.store(y, &Expr::zero(), total, None);
    k.finish(Expr::from(1000), vec![Sym::new("s")])
}

const TURNS: i64 = 128;

/// Nanoseconds a load.
fn time(kernel: &Kernel, stride: i64) -> f64 {
    let mut native = Native::new(kernel, &host(), &[stride]);
    let mut buffers = [zeroed(4 * 8192), zeroed(64)];
    1.0 / rate(&mut native, &mut buffers, &[stride], 1000, (TURNS * 4 * 1000) as f64)
}

#[test]
#[ignore = "a measurement"]
fn strided_loads() {
    for stride in [1, 2, 3, 4, 5, 6, 8, 16, 100] {
        let known = sums("known", |k, x, at| k.load_strided(x, at, &stride.into(), LANES, None));
        let symbolic = sums("symbolic", |k, x, at| k.load_strided(x, at, &Expr::sym(&Sym::new("s")), LANES, None));
        let masked = sums("masked", |k, x, at| {
            let all = k.below(&Expr::sym(&Sym::new("s")).maximum(&16.into()), LANES);
            k.load_strided(x, at, &stride.into(), LANES, Some(all))
        });
        let (known, symbolic, masked) = (time(&known, stride), time(&symbolic, stride), time(&masked, stride));
        println!("stride {stride:4}: known {known:.2} ns, symbolic {symbolic:.2} ns, masked {masked:.2} ns");
    }
}

/// `y[i] = make(x[i])` over 8192 elements, `vectors` of them a turn.
fn mapped(to: DType, vectors: i64, make: impl Fn(&mut KernelBuilder, ValueId) -> ValueId) -> Kernel {
    let mut k = KernelBuilder::new("mapped");
    let x = k.buffer("x", DType::F32, Expr::from(8192), Space::Input);
    let y = k.buffer("y", to, Expr::from(8192), Space::Output);
    k.each("i", &Expr::zero(), &Expr::from(8192), vectors * i64::from(LANES), |k, i| {
        for part in 0..vectors {
            let index = i + &Expr::from(part * i64::from(LANES));
            let value = k.load(x, &index, LANES, None);
            let value = make(k, value);
            k.store(y, &index, value, None);
        }
    });
    k.finish(Expr::from(100), vec![])
}

/// Elements a nanosecond with 1, 2 and 4 vectors a turn.
fn map_rates(name: &str, to: DType, make: impl Fn(&mut KernelBuilder, ValueId) -> ValueId) {
    let rates = [1, 2, 4].map(|vectors| {
        let kernel = mapped(to, vectors, &make);
        dump(&format!("{name}_{vectors}"), &kernel, &host());
        let mut native = Native::new(&kernel, &host(), &[]);
        let x: Vec<u8> = (0..8192).flat_map(|i| (i as f32 / 2048.0 - 1.9).to_le_bytes()).collect();
        rate(&mut native, &mut [AlignedBuffer::copy_of(&x).unwrap(), zeroed(8 * 8192)], &[], 100, 819_200.0)
    });
    println!("{name}: {rates:.1?} elements/ns with 1, 2, 4 vectors a turn");
}

#[test]
#[ignore = "a measurement"]
fn functions() {
    use nest::Func;
    for func in [Func::Neg, Func::Exp, Func::Log, Func::Erf, Func::Tanh, Func::Sigmoid, Func::Rsqrt, Func::Sin] {
        map_rates(func.name(), DType::F32, |k, x| kernel::lower::math::apply(k, func, &[x], &[None]));
    }
    for to in DType::ALL {
        map_rates(&format!("convert_{to}"), to, |k, x| k.convert(x, to));
    }
}
