//! Models that say DequantizeLinear, operator, QuantizeLinear: products are of bytes, and bytes are what passes from layer to layer.

use driver::Options;
use driver::compile::compile_graph;
use driver::verify::{Sample, verify_graph};
use ir::{Array, DType, Diagnostic, Graph, Literal, Tensor, TensorType, ValueId};
use nest::Func;
use ops::{Builder, WindowAttrs};
use program::{Role, Step};
use std::collections::BTreeMap;
use target::Target;

/// Numbers without an order.
fn drawn(dtype: DType, dims: &[usize], seed: u64, number: impl Fn(u64) -> f64) -> Tensor {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        number(state >> 40)
    };
    let literal = |number: f64| if dtype.is_float() { Literal::Float(number) } else { Literal::Int(number as i64) };
    Tensor::from_array(&Array::from_fn(dtype, dims.to_vec(), |_| literal(next())))
}

fn numbers(b: &mut Builder, x: ValueId, list: Tensor) -> Result<ValueId, Diagnostic> {
    let dims = b.dims(x).to_vec();
    let behind: Vec<usize> = if list.dims().is_empty() { vec![] } else { (1..dims.len()).collect() };
    let list = b.graph.constant(list, None, "list");
    let list = b.unsqueeze(list, &behind)?;
    b.broadcast(list, &dims)
}

fn one(dtype: DType, number: f64) -> Tensor {
    drawn(dtype, &[], 0, |_| number)
}

fn dequantized(b: &mut Builder, x: ValueId, scale: Tensor, zero: f64) -> Result<ValueId, Diagnostic> {
    let zero = numbers(b, x, one(b.dtype(x), zero))?;
    let (x, zero) = (b.convert(x, DType::I32)?, b.convert(zero, DType::I32)?);
    let whole = b.map(Func::Sub, &[x, zero])?;
    let whole = b.convert(whole, DType::F32)?;
    let scale = numbers(b, x, scale)?;
    b.map(Func::Mul, &[whole, scale])
}

fn quantized(b: &mut Builder, x: ValueId, scale: f64, zero: f64) -> Result<ValueId, Diagnostic> {
    let scale = numbers(b, x, one(DType::F32, scale))?;
    let quotient = b.map(Func::Div, &[x, scale])?;
    let whole = b.map(Func::Round, &[quotient])?;
    let zero = numbers(b, x, one(DType::U8, zero))?;
    let zero = b.convert(zero, DType::F32)?;
    let moved = b.map(Func::Add, &[whole, zero])?;
    b.convert(moved, DType::U8)
}

fn conv(b: &mut Builder, x: ValueId, dims: [usize; 4], seed: u64) -> Result<ValueId, Diagnostic> {
    let w = drawn(DType::I8, &dims, seed, |bits| (bits % 255) as f64 - 127.0);
    let w = b.graph.constant(w, Some("w"), "w");
    let scale = drawn(DType::F32, &dims[..1], seed, |bits| ((bits % 50 + 10) as f64 / 17000.0) as f32 as f64);
    let w = dequantized(b, w, scale, 0.0)?;
    let pads = vec![dims[2] as i64 / 2; 2];
    b.conv(x, w, &WindowAttrs { low: pads.clone(), high: pads, ..WindowAttrs::plain(2) }, 1)
}

/// A window of 3x3 over bytes with a zero point, and a residual layer.
fn network() -> Result<Graph, Diagnostic> {
    let mut b = Builder::new("network");
    let x = b.input("x", TensorType::new(DType::F32, [2, 4, 9, 9].map(Into::into).to_vec()));
    let x = quantized(&mut b, x, 0.0187, 113.0)?;
    let x = dequantized(&mut b, x, one(DType::F32, 0.0187), 113.0)?;
    let y = conv(&mut b, x, [32, 4, 3, 3], 7)?;
    let y = b.map_number(Func::Max, y, 0.0)?;
    let y = quantized(&mut b, y, 0.0123, 0.0)?;
    let y = dequantized(&mut b, y, one(DType::F32, 0.0123), 0.0)?;
    let z = conv(&mut b, y, [32, 32, 1, 1], 8)?;
    let z = b.map(Func::Add, &[z, y])?;
    let z = quantized(&mut b, z, 0.031, 100.0)?;
    let z = dequantized(&mut b, z, one(DType::F32, 0.031), 100.0)?;
    let z = conv(&mut b, z, [32, 32, 3, 3], 9)?;
    b.output("z", z);
    Ok(b.finish())
}

#[test]
fn each_step_means_the_same() {
    let graph = network().unwrap();
    for target in [Target::native(), Target::x86_64_v3()] {
        for seed in 1..4 {
            let x = drawn(DType::F32, &[2, 4, 9, 9], seed, |bits| ((bits % 4001) as f64 / 1000.0 - 2.0) as f32 as f64);
            let inputs = BTreeMap::from([("x".to_string(), x)]);
            let report = verify_graph(&graph, &Options::new(target.clone(), 2), &inputs, Sample::All).unwrap();
            assert!(report.failure.is_none(), "seed {seed}: {:?}", report.failure);
        }
    }
}

#[test]
fn layers_pass_bytes() {
    let compiled = compile_graph(network().unwrap(), &Options::new(Target::x86_64_v3(), 1)).unwrap();
    let program = &compiled.program;
    let stages: Vec<_> = program.steps.iter().flat_map(Step::groups).flat_map(|group| &group.stages).collect();
    // the input's bytes, these with their border, two layers, a border, a layer, and its result in the caller's order
    assert_eq!(stages.len(), 7, "{}", program::text::print_program(program));
    for id in stages.iter().flat_map(|stage| &stage.writes) {
        let buffer = program.buffer(*id);
        assert!(buffer.ty.dtype == DType::U8 || matches!(buffer.role, Role::Output(_)) || buffer.name.contains("raw"), "{}", buffer.name);
    }
}

/// Codes of 4 bits are cut out of bytes once, and become numbers where a row is multiplied with them; for more rows, once.
#[test]
fn weights_of_one_row_stay_bytes() {
    let read = |rows: i64| -> Result<Vec<DType>, Diagnostic> {
        let mut b = Builder::new("row");
        let x = b.input("x", TensorType::new(DType::F32, [rows, 32].map(Into::into).to_vec()));
        let codes = drawn(DType::U8, &[64, 32], 5, |bits| (bits % 256) as f64);
        let codes = b.graph.constant(codes, Some("codes"), "codes");
        let codes = b.map_number(Func::And, codes, 15.0)?;
        let weights = b.convert(codes, DType::F32)?;
        let weights = b.map_number(Func::Mul, weights, 0.5)?;
        let y = b.contract("mk,nk->mn", x, weights)?;
        b.output("y", y);
        let compiled = compile_graph(b.finish(), &Options::new(Target::x86_64_v3(), 1)).unwrap();
        let stages: Vec<_> = compiled.program.steps.iter().flat_map(Step::groups).flat_map(|group| &group.stages).collect();
        assert_eq!(stages.len(), 1);
        Ok(stages[0].nest.operands.iter().map(|operand| operand.ty.dtype).collect())
    };
    assert_eq!(read(1).unwrap(), [DType::F32, DType::U8]);
    assert_eq!(read(8).unwrap(), [DType::F32, DType::F32]);
}
