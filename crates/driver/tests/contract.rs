//! The contraction template against the nest interpreter, through the planner.

use ir::{Array, DType, Literal, Tensor, TensorType};
use kernel::KernelBuilder;
use kernel::kernel::Space;
use kernel::lower::{StageCx, contract, contract_match, contract_schedule};
use nest::Func;
use ops::{Builder, WindowAttrs};
use program::{BufferId, PhysicalGroup, PhysicalRole, Program, Role, Step, layout};
use std::collections::BTreeMap;
use sym::{Expr, Sym};
use target::Target;

fn ty(text: &str) -> TensorType {
    let (dtype, dims) = text.strip_suffix(']').unwrap().split_once('[').unwrap();
    TensorType::new(DType::from_name(dtype).unwrap(), dims.split(", ").filter(|d| !d.is_empty()).map(|d| d.parse().unwrap()).collect())
}

fn sample(ty: &TensorType, sizes: &BTreeMap<Sym, i64>, seed: usize) -> Array {
    let dims: Vec<usize> = ty.dims.iter().map(|d| d.eval(&|s| sizes.get(s).copied()).unwrap() as usize).collect();
    let number = |at: usize| (at * 7 + seed * 5 + at / 11) as i64;
    let element = |at: usize| match ty.dtype.int_range().filter(|(low, high)| high - low < 256) {
        Some((low, high)) => Literal::Int(low + number(at) * 37 % (high - low + 1)),
        None => Literal::Float((number(at) % 13 - 6) as f64 / 4.0),
    };
    Array::from_fn(ty.dtype, dims, element)
}

/// Runs all stages by the nest interpreter, and each matched group's kernel by the kernel interpreter on the same inputs.
fn check(program: &Program, sizes: &BTreeMap<Sym, i64>, want_kernels: usize) {
    check_on(&[Target::x86_64_v4(), Target::x86_64_v3()], program, sizes, want_kernels);
}

fn check_on(targets: &[Target], program: &Program, sizes: &BTreeMap<Sym, i64>, want_kernels: usize) {
    let mut values: Vec<Option<Array>> = program
        .buffers
        .iter()
        .enumerate()
        .map(|(at, b)| match &b.role {
            Role::Constant { tensor, .. } => Some(tensor.to_array()),
            Role::Input(_) => Some(sample(&b.ty, sizes, at)),
            _ => None,
        })
        .collect();
    let mut kernels = 0;
    for step in program.prepare.iter().chain(&program.steps) {
        let Step::Group(group) = step else { continue };
        for stage in &group.stages {
            let operands: Vec<Array> = stage.operands.iter().map(|id| values[id.0 as usize].clone().unwrap()).collect();
            let mut outs: Vec<Array> = stage
                .writes
                .iter()
                .map(|id| values[id.0 as usize].clone().unwrap_or_else(|| sample(&program.buffer(*id).ty, sizes, 0)))
                .collect();
            nest::interp::run(&stage.nest, &operands.iter().collect::<Vec<_>>(), sizes, &mut outs).unwrap();
            stage.writes.iter().zip(outs).for_each(|(id, out)| values[id.0 as usize] = Some(out));
        }
        let (physical, ids) = PhysicalGroup::new(program, group);
        let [stage] = physical.stages.as_slice() else { continue };
        let Some(matched) = contract_match::matched(&stage.nest) else {
            println!("unmatched {:?}", stage.nest);
            continue;
        };
        kernels += 1;
        for target in targets {
            run_kernel(program, &physical, &ids, &matched, target, sizes, &values);
        }
    }
    assert_eq!(kernels, want_kernels);
}

fn run_kernel(
    program: &Program,
    physical: &PhysicalGroup,
    ids: &[BufferId],
    matched: &contract_match::Matched,
    target: &Target,
    sizes: &BTreeMap<Sym, i64>,
    values: &[Option<Array>],
) {
    let stage = &physical.stages[0];
    let mut b = KernelBuilder::new("k");
    let buffers: Vec<_> = physical
        .buffers
        .iter()
        .enumerate()
        .map(|(at, buffer)| {
            let space = if buffer.role == PhysicalRole::Output { Space::Output } else { Space::Input };
            b.buffer(&format!("b{at}"), buffer.ty.dtype, buffer.ty.count(), space)
        })
        .collect();
    let cx = StageCx::new(stage, &buffers, 0);
    let schedule = contract_schedule::choose(&cx, matched, target).unwrap();
    assert!(schedule.is_legal(), "{schedule}");
    println!("{schedule}");
    let tasks = contract::emit(&mut b, &cx, matched, &schedule);
    let kernel = b.finish(tasks.clone(), physical.sizes());
    let mut memory: Vec<Vec<u8>> = ids
        .iter()
        .zip(&physical.buffers)
        .map(|(id, physical)| {
            let value = values[id.0 as usize].as_ref().unwrap();
            let array = layout::to_physical(&program.buffer(*id).layout, value);
            let array = if physical.role == PhysicalRole::Output {
                Array::filled(
                    array.dtype(),
                    array.dims().to_vec(),
                    if array.dtype().is_float() { Literal::Float(f64::NAN) } else { Literal::Int(-77) },
                )
            } else {
                array
            };
            Tensor::from_array(&array).bytes().to_vec()
        })
        .collect();
    let args: Vec<i64> = kernel.sizes.iter().map(|s| sizes[s]).collect();
    let tasks = tasks.eval(&|s| sizes.get(s).copied()).unwrap();
    assert_eq!(kernel::interp::run(&kernel, &mut memory, &args, 0, tasks), Ok(0));
    for ((id, buffer), bytes) in ids.iter().zip(&physical.buffers).zip(memory) {
        if buffer.role != PhysicalRole::Output {
            continue;
        }
        let want = values[id.0 as usize].as_ref().unwrap();
        let layout = &program.buffer(*id).layout;
        let dims = layout::to_physical(layout, want).dims().to_vec();
        let got = Tensor::new(want.dtype(), dims, std::sync::Arc::new(bytes)).unwrap().to_array();
        let got = layout::from_physical(layout, &got, want.dims());
        for at in 0..want.count() {
            let (g, w) = (got.get(at).as_f64(), want.get(at).as_f64());
            // sums of at most 600 products of numbers below 2 in f32, then the rounding of a narrower result
            let limit = if want.dtype().is_float() { 1e-3 + 2.0 * want.dtype().unit_roundoff() * w.abs() } else { 0.0 };
            assert!((g - w).abs() <= limit, "{}: at {at}: {g} for {w}", program.buffer(*id).name);
        }
    }
}

fn planned(b: Builder) -> Program {
    planned_for(b, &Target::x86_64_v4())
}

fn planned_for(b: Builder, target: &Target) -> Program {
    driver::plan::plan(&b.finish(), &driver::Options::new(target.clone(), 2)).unwrap()
}

fn sizes(list: &[(&str, i64)]) -> BTreeMap<Sym, i64> {
    list.iter().map(|(n, v)| (Sym::new(n), *v)).collect()
}

fn weight(b: &mut Builder, dims: &[usize], seed: usize) -> ir::ValueId {
    weight_of(b, DType::F32, dims, seed)
}

fn weight_of(b: &mut Builder, dtype: DType, dims: &[usize], seed: usize) -> ir::ValueId {
    let ty = TensorType::new(dtype, dims.iter().map(|d| Expr::from(*d as i64)).collect());
    let array = sample(&ty, &BTreeMap::new(), seed);
    b.graph.constant(Tensor::from_array(&array), Some(&format!("w{seed}")), "w")
}

#[test]
fn matrix_products() {
    for (m, k, n) in [(128, 32, 48), (5, 7, 19), (1, 64, 100), (33, 3, 32), (37, 512, 160)] {
        let mut b = Builder::new("g");
        let x = b.input("x", ty(&format!("f32[{m}, {k}]")));
        let w = weight(&mut b, &[k, n], 1);
        let y = b.contract("mk,kn->mn", x, w).unwrap();
        b.output("y", y);
        check(&planned(b), &sizes(&[]), 1);
    }
}

#[test]
fn symbolic_rows_with_epilogue() {
    let mut b = Builder::new("g");
    let x = b.input("x", ty("f32[n, s, 24]"));
    let w = weight(&mut b, &[24, 40], 1);
    let bias = weight(&mut b, &[40], 2);
    let y = b.contract("bsk,kn->bsn", x, w).unwrap();
    let dims = b.dims(y).to_vec();
    let bias = b.broadcast(bias, &dims).unwrap();
    let y = b.map(Func::Add, &[y, bias]).unwrap();
    let y = b.map(Func::Abs, &[y]).unwrap();
    b.output("y", y);
    let program = planned(b);
    assert_eq!(program.steps.len(), 1);
    check(&program, &sizes(&[("n", 2), ("s", 13)]), 1);
    check(&program, &sizes(&[("n", 1), ("s", 3)]), 1);
}

#[test]
fn convolutions() {
    for (c, m, size, k, stride, pad) in [(3, 8, 9, 3, 1, 1), (16, 33, 14, 3, 2, 1), (8, 16, 7, 1, 1, 0), (3, 20, 23, 7, 2, 3)] {
        let mut b = Builder::new("g");
        let x = b.input("x", ty(&format!("f32[2, {c}, {size}, {size}]")));
        let x = b.map(Func::Abs, &[x]).unwrap();
        let w = weight(&mut b, &[m, c, k, k], 1);
        let window = WindowAttrs { strides: vec![stride; 2], low: vec![pad; 2], high: vec![pad; 2], ..WindowAttrs::plain(2) };
        let y = b.conv(x, w, &window, 1).unwrap();
        let y = b.map(Func::Neg, &[y]).unwrap();
        b.output("y", y);
        let program = planned(b);
        check(&program, &sizes(&[]), 1);
    }
}

#[test]
fn convolution_of_unknown_size() {
    let mut b = Builder::new("g");
    let x = b.input("x", ty("f32[n, 3, h, w]"));
    let w = weight(&mut b, &[8, 3, 3, 3], 1);
    let window = WindowAttrs { strides: vec![2; 2], low: vec![1; 2], high: vec![1; 2], ..WindowAttrs::plain(2) };
    let y = b.conv(x, w, &window, 1).unwrap();
    let w = weight(&mut b, &[16, 8, 1, 1], 2);
    let y = b.conv(y, w, &WindowAttrs::plain(2), 1).unwrap();
    b.output("y", y);
    let program = planned(b);
    check(&program, &sizes(&[("n", 2), ("h", 12), ("w", 17)]), 2);
}

#[test]
fn attention_products() {
    let mut b = Builder::new("g");
    let x = b.input("x", ty("f32[1, s, 48]"));
    let split: Vec<Expr> = ["1", "s", "3", "16"].map(|d| d.parse().unwrap()).to_vec();
    let q = b.reshape(x, &split).unwrap();
    let q = b.transpose(q, &[0, 2, 1, 3]).unwrap();
    let scores = b.contract("bhid,bhjd->bhij", q, q).unwrap();
    let o = b.contract("bhij,bhjd->bhid", scores, q).unwrap();
    let o = b.transpose(o, &[0, 2, 1, 3]).unwrap();
    let joined: Vec<Expr> = ["1", "s", "48"].map(|d| d.parse().unwrap()).to_vec();
    let o = b.reshape(o, &joined).unwrap();
    let w = weight(&mut b, &[48, 32], 2);
    let y = b.contract("bsk,kn->bsn", o, w).unwrap();
    b.output("y", y);
    let program = planned(b);
    for step in &program.steps {
        if let Step::Group(g) = step {
            println!("{:?}", g.stages.iter().map(|s| &s.nest).collect::<Vec<_>>());
        }
    }
    check(&program, &sizes(&[("s", 11)]), 3);
}

/// AVX-512 with the dot products, and without; AVX2.
fn dot_targets() -> [Target; 3] {
    [Target { bf16_dot: true, int8_dot: true, ..Target::x86_64_v4() }, Target::x86_64_v4(), Target::x86_64_v3()]
}

/// The factors' types that the template takes, narrower than its sums.
const NARROW: [(DType, DType); 6] = [
    (DType::BF16, DType::BF16),
    (DType::F16, DType::F16),
    (DType::I8, DType::I8),
    (DType::U8, DType::I8),
    (DType::I8, DType::U8),
    (DType::U8, DType::U8),
];

#[test]
fn narrow_factors_of_any_depth() {
    for target in dot_targets() {
        for (x, w) in NARROW {
            for (m, k, n) in [(5, 7, 19), (17, 64, 48), (1, 3, 16), (20, 2, 33), (3, 130, 70)] {
                let mut b = Builder::new("g");
                let x = b.input("x", ty(&format!("{x}[{m}, {k}]")));
                let w = weight_of(&mut b, w, &[k, n], 1);
                let y = b.contract("mk,kn->mn", x, w).unwrap();
                b.output("y", y);
                check_on(std::slice::from_ref(&target), &planned_for(b, &target), &sizes(&[]), 1);
            }
        }
    }
}

#[test]
fn narrow_factors_that_are_both_unknown_before_the_call() {
    for target in dot_targets() {
        for (x, w) in NARROW {
            let mut b = Builder::new("g");
            let (x, w) = (b.input("x", ty(&format!("{x}[h, s, k]"))), b.input("w", ty(&format!("{w}[h, k, 40]"))));
            let y = b.contract("hsk,hkn->hsn", x, w).unwrap();
            b.output("y", y);
            let program = planned_for(b, &target);
            for k in [1, 4, 6, 11] {
                check_on(std::slice::from_ref(&target), &program, &sizes(&[("h", 2), ("s", 9), ("k", k)]), 1);
            }
        }
    }
}

#[test]
fn narrow_convolutions() {
    for target in dot_targets() {
        for (x, w) in NARROW {
            for (c, m, size, k, stride, pad) in [(3, 8, 9, 3, 1, 1), (16, 33, 8, 3, 2, 1), (6, 16, 7, 1, 1, 0)] {
                let mut b = Builder::new("g");
                let x = b.input("x", ty(&format!("{x}[1, {c}, {size}, {size}]")));
                let w = weight_of(&mut b, w, &[m, c, k, k], 1);
                let window = WindowAttrs { strides: vec![stride; 2], low: vec![pad; 2], high: vec![pad; 2], ..WindowAttrs::plain(2) };
                let y = b.conv(x, w, &window, 1).unwrap();
                b.output("y", y);
                check_on(std::slice::from_ref(&target), &planned_for(b, &target), &sizes(&[]), 1);
            }
        }
    }
}

#[test]
fn dots_are_used_where_the_target_has_them() {
    let [with, without, _] = dot_targets();
    for (x, w, group) in [(DType::BF16, DType::BF16, 2), (DType::I8, DType::I8, 4), (DType::U8, DType::I8, 4), (DType::F16, DType::F16, 1)]
    {
        for (target, want) in [(&with, group), (&without, 1)] {
            let mut b = Builder::new("g");
            let x = b.input("x", ty(&format!("{x}[8, 16]")));
            let w = weight_of(&mut b, w, &[16, 32], 1);
            let y = b.contract("mk,kn->mn", x, w).unwrap();
            b.output("y", y);
            let program = planned_for(b, target);
            let Some(Step::Group(group)) = program.steps.last() else { panic!("no group") };
            let (physical, _) = PhysicalGroup::new(&program, group);
            let matched = contract_match::matched(&physical.stages[0].nest).unwrap();
            assert_eq!(matched.group(), want, "{:?}", physical.stages[0].nest);
        }
    }
}
