//! The bounds of groups of several stages: rounding in one stage may lead the later ones away, and no further than that.

use driver::Options;
use driver::verify::{Sample, verify_graph};
use ir::{Array, DType, Graph, Literal, Tensor, TensorType};
use ops::Builder;
use std::collections::BTreeMap;
use target::Target;

fn ty(dtype: DType, dims: [i64; 3]) -> TensorType {
    TensorType::new(dtype, dims.map(Into::into).to_vec())
}

/// Both products of one attention, each result rounded to the type.
fn attention(dtype: DType, [m, n, d]: [i64; 3]) -> Graph {
    let mut b = Builder::new("attention");
    let (q, k) = (b.input("q", ty(dtype, [2, m, d])), b.input("k", ty(dtype, [2, d, n])));
    let v = b.input("v", ty(dtype, [2, n, d]));
    let scores = b.contract("bmd,bdn->bmn", q, k).unwrap();
    let weights = b.softmax(scores, 2).unwrap();
    let y = b.contract("bmn,bnd->bmd", weights, v).unwrap();
    b.output("y", y);
    b.finish()
}

/// Numbers from -2 to 2, drawn.
fn drawn(graph: &Graph, seed: u64) -> BTreeMap<String, Tensor> {
    let mut state = seed;
    let mut number = move |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        Literal::Float((state >> 40) as f64 / (1 << 22) as f64 - 2.0)
    };
    let mut tensor = |id| {
        let value: &ir::Value = graph.value(id);
        let dims = value.ty.dims.iter().map(|dim| dim.as_const().unwrap() as usize).collect();
        (value.name.to_string(), Tensor::from_array(&Array::from_fn(value.ty.dtype, dims, &mut number)))
    };
    graph.inputs.iter().map(|id| tensor(*id)).collect()
}

#[test]
fn narrow_attention_stays_within_its_bound() {
    for dtype in [DType::F16, DType::BF16, DType::F32] {
        let graph = attention(dtype, [24, 64, 32]);
        for target in [Target::native(), Target::x86_64_v3()] {
            let options = Options::new(target, 2);
            for seed in 1..8 {
                let report = verify_graph(&graph, &options, &drawn(&graph, seed), Sample::All).unwrap();
                assert!(report.failure.is_none(), "{dtype}, seed {seed}: {:?}", report.failure);
            }
        }
    }
}

/// Coordinates whose quotient is between two elements, and in f32 on one of them.
#[test]
fn interpreters_and_code_agree_which_element_is_nearest() {
    use ops::composites::resize::{COORDINATES, ROUNDINGS, ResizeAttrs};
    for (coordinates, rounding) in COORDINATES.into_iter().flat_map(|c| ROUNDINGS.map(|r| (c, r))) {
        let mut b = Builder::new("resize");
        for (from, to) in [(5, 7), (20, 29), (23, 42)] {
            let x = b.input(&format!("x{to}"), ty(DType::F32, [1, 2, from]));
            let (mode, coordinates, rounding) = ("nearest".to_string(), coordinates.to_string(), rounding.to_string());
            let scale = (to as f32 / from as f32) as f64;
            let plain = ResizeAttrs {
                scale,
                mode,
                coordinates,
                rounding,
                cubic: -0.75,
                exclude_outside: false,
                roi: [0.0, 1.0],
                antialias: false,
                extrapolation: 0.0,
            };
            let y = b.resize(x, 2, &to.into(), &plain).unwrap();
            b.output(&format!("y{to}"), y);
        }
        let graph = b.finish();
        let report = verify_graph(&graph, &Options::new(Target::native(), 2), &drawn(&graph, 1), Sample::All).unwrap();
        assert!(report.failure.is_none(), "{coordinates} {rounding}: {:?}", report.failure);
    }
}
