use crate::check::executes_equally;
use crate::quantize::quantize;
use crate::testing::{graph_of, text, ty, well_formed};
use ir::{Array, DType, Graph, Tensor, ValueId};
use nest::{Func, Monoid};
use ops::{Builder, WindowAttrs};

/// A list of numbers, or one.
fn constant(b: &mut Builder, dtype: DType, numbers: &[f64]) -> ValueId {
    let dims = if numbers.len() == 1 { vec![] } else { vec![numbers.len()] };
    let array = match dtype.is_float() {
        true => Array::floats(dtype, dims, numbers.to_vec()),
        false => Array::ints(dtype, dims, numbers.iter().map(|number| *number as i64).collect()),
    };
    b.graph.constant(Tensor::from_array(&array), None, "constant")
}

/// Numbers along an axis, expanded.
fn spread(b: &mut Builder, x: ValueId, dtype: DType, numbers: &[f64], axis: usize) -> ValueId {
    let (dims, list) = (b.dims(x).to_vec(), constant(b, dtype, numbers));
    let behind: Vec<usize> = if numbers.len() == 1 { vec![] } else { (1..dims.len() - axis).collect() };
    let list = b.unsqueeze(list, &behind).unwrap();
    b.broadcast(list, &dims).unwrap()
}

/// As the frontend writes a DequantizeLinear.
fn dequantized(b: &mut Builder, x: ValueId, scale: &[f64], zero: &[f64], axis: usize) -> ValueId {
    let mut whole = b.convert(x, DType::I32).unwrap();
    if !zero.is_empty() {
        let zero = spread(b, x, b.dtype(x), zero, axis);
        let zero = b.convert(zero, DType::I32).unwrap();
        whole = b.map(Func::Sub, &[whole, zero]).unwrap();
    }
    let whole = b.convert(whole, DType::F32).unwrap();
    let scale = spread(b, x, DType::F32, scale, axis);
    b.map(Func::Mul, &[whole, scale]).unwrap()
}

/// As the frontend writes a QuantizeLinear.
fn quantized(b: &mut Builder, x: ValueId, scale: f64, zero: f64, to: DType) -> ValueId {
    let scale = spread(b, x, DType::F32, &[scale], 0);
    let quotient = b.map(Func::Div, &[x, scale]).unwrap();
    let whole = b.map(Func::Round, &[quotient]).unwrap();
    let zero = spread(b, x, to, &[zero], 0);
    let zero = b.convert(zero, DType::F32).unwrap();
    let moved = b.map_broadcast(Func::Add, &[whole, zero]).unwrap();
    b.convert(moved, to).unwrap()
}

/// The ops of the graph after, which computes the same.
fn ops_after(before: &Graph) -> Vec<String> {
    let after = quantize(before);
    well_formed(&after);
    for seed in 0..3 {
        executes_equally(before, &after, seed).unwrap_or_else(|error| panic!("{error}\n{}", text(&after)));
    }
    let name = |node: &ir::Node| crate::view::func_of(node.op, &node.attrs).map_or(node.op.to_string(), |func| func.name().to_string());
    after.nodes.iter().map(name).filter(|op| !matches!(op.as_str(), "broadcast" | "reshape")).collect()
}

/// The type of the first product.
fn product_type(graph: &Graph) -> DType {
    let after = quantize(graph);
    let node = after.nodes.iter().find(|node| matches!(node.op, "contract" | "conv")).expect("a product");
    after.ty(node.inputs[0]).dtype
}

#[test]
fn a_product_of_matrices() {
    let before = graph_of(|b| {
        let (x, w) = (b.input("x", ty("u8[n, 3]")), b.input("w", ty("i8[3, 2]")));
        let x = dequantized(b, x, &[0.5], &[], 0);
        let w = dequantized(b, w, &[0.25, 2.0], &[], 1);
        b.contract("mk,kn->mn", x, w)
    });
    assert_eq!(ops_after(&before), ["contract", "convert", "mul", "mul"]);
}

#[test]
fn zero_points_leave_sums() {
    let product = |p: &'static [f64], q: &'static [f64]| {
        graph_of(|b| {
            let (x, w) = (b.input("x", ty("u8[h, n, 3]")), b.input("w", ty("u8[h, 2, 3]")));
            let x = dequantized(b, x, &[0.5], p, 0);
            let w = dequantized(b, w, &[0.25, 2.0], q, 1);
            b.contract("hmk,hnk->hnm", x, w)
        })
    };
    for (p, q) in [(&[3.0][..], &[][..]), (&[], &[5.0]), (&[3.0], &[7.0, 1.0])] {
        assert_eq!(product_type(&product(p, q)), DType::U8);
        ops_after(&product(p, q));
    }
}

#[test]
fn what_does_not_fit_stays() {
    let product = |x: &'static str, scale: f64, to: DType| {
        let graph = graph_of(|b| {
            let (x, w) = (b.input("x", ty(x)), b.input("w", ty("i8[k, 2]")));
            let x = dequantized(b, x, &[scale], &[], 0);
            let w = dequantized(b, w, &[0.25], &[], 0);
            let (x, w) = (b.convert(x, to)?, b.convert(w, to)?);
            b.contract("mk,kn->mn", x, w)
        });
        product_type(&graph)
    };
    assert_eq!(product("u8[n, 3]", 0.5, DType::F32), DType::U8);
    assert_eq!(product("u8[n, 3]", 0.5, DType::F16), DType::F16);
    assert_eq!(product("u16[n, 3]", 0.5, DType::F32), DType::F32);
    assert_eq!(product("u8[n, 3]", 0.0, DType::F32), DType::F32);
    assert_eq!(product("u8[n, 3]", f64::NAN, DType::F32), DType::F32);
    // the sum of more products might not fit
    assert_eq!(product("u8[n, 33025]", 0.5, DType::F32), DType::U8);
    assert_eq!(product("u8[n, 33026]", 0.5, DType::F32), DType::F32);
    assert_eq!(product("u8[n, k]", 0.5, DType::F32), DType::F32);
}

#[test]
fn scales_along_what_is_summed_stay() {
    let before = graph_of(|b| {
        let (x, w) = (b.input("x", ty("u8[n, 3]")), b.input("w", ty("i8[3, 2]")));
        let x = dequantized(b, x, &[0.5, 1.0, 2.0], &[], 1);
        let w = dequantized(b, w, &[0.25], &[], 0);
        b.contract("mk,kn->mn", x, w)
    });
    assert_eq!(product_type(&before), DType::F32);
}

#[test]
fn convolutions_with_borders() {
    let window = WindowAttrs { low: vec![1], high: vec![2], ..WindowAttrs::plain(1) };
    for (p, q, groups) in [(&[][..], &[][..], 1), (&[1.0], &[], 1), (&[1.0], &[2.0], 2), (&[4.0], &[1.0, 2.0], 1)] {
        let before = graph_of(|b| {
            let x = b.input("x", ty("u8[n, 2, 5]"));
            let w = b.input("w", ty(if groups == 1 { "i8[2, 2, 3]" } else { "i8[2, 1, 3]" }));
            let x = dequantized(b, x, &[0.5], p, 0);
            let w = dequantized(b, w, &[0.25, 2.0], q, 0);
            b.conv(x, w, &window, groups)
        });
        assert_eq!(product_type(&before), DType::U8);
        ops_after(&before);
    }
}

#[test]
fn what_moves_elements_moves_codes() {
    let before = graph_of(|b| {
        let (x, w) = (b.input("x", ty("u8[n, 3]")), b.input("w", ty("i8[2, 3]")));
        let x = dequantized(b, x, &[0.5], &[3.0], 0);
        let x = b.reshape(x, &ty("u8[n, 1, 3]").dims)?;
        let w = dequantized(b, w, &[0.25, 2.0], &[1.0, 2.0], 0);
        let w = b.transpose(w, &[1, 0])?;
        b.contract("bmk,kn->bmn", x, w)
    });
    assert_eq!(product_type(&before), DType::U8);
    ops_after(&before);
}

#[test]
fn results_are_multiplied_by_reciprocals() {
    let before = graph_of(|b| {
        let (x, w) = (b.input("x", ty("u8[n, 3]")), b.input("w", ty("i8[3, 2]")));
        let x = dequantized(b, x, &[0.3], &[], 0);
        let w = dequantized(b, w, &[0.7], &[], 0);
        let y = b.contract("mk,kn->mn", x, w)?;
        let y = b.map_number(Func::Max, y, 0.0)?;
        Ok(quantized(b, y, 0.31, 2.0, DType::U8))
    });
    assert_eq!(ops_after(&before), ["contract", "convert", "mul", "mul", "max", "convert", "div", "mul", "round", "add", "convert"]);
}

#[test]
fn codes_of_the_same_scale_stay() {
    let pooled = |scale: f64, zero: f64, to: DType| {
        graph_of(|b| {
            let x = b.input("x", ty("u8[n, 2, 6]"));
            let x = dequantized(b, x, &[0.3], &[2.0], 0);
            let x = b.reduce_window(Monoid::Max, x, &[3], &WindowAttrs { low: vec![1], ..WindowAttrs::plain(1) })?;
            Ok(quantized(b, x, scale, zero, to))
        })
    };
    assert_eq!(ops_after(&pooled(0.3, 2.0, DType::U8)), ["reduce_window"]);
    for (scale, zero, to) in [(0.4, 2.0, DType::U8), (0.3, 1.0, DType::U8), (0.3, 2.0, DType::I8)] {
        assert!(ops_after(&pooled(scale, zero, to)).contains(&"div".to_string()));
    }
}
