use super::*;
use crate::check::executes_equally;
use crate::testing::{counted, graph, graph_of, ty, well_formed};
use ir::{DType, Diagnostic};
use nest::{Func, Monoid};
use ops::{Builder, WindowAttrs};
use std::collections::BTreeSet;

/// Every fault that a seed gives is well-typed, and some inputs show it; gives the sentences.
fn faults(before: &Graph) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for seed in 0..60 {
        let (wrong, what) = sabotage(before, seed).expect("something to change");
        well_formed(&wrong);
        assert!((0..8).any(|inputs| executes_equally(before, &wrong, inputs).is_err()), "{what} is not seen");
        assert_eq!(sabotage(before, seed).map(|(_, what)| what), Some(what.clone()));
        all.insert(what);
    }
    all
}

/// The faults of a graph of one operand.
fn faults_of(from: &str, build: impl FnOnce(&mut Builder, ir::ValueId) -> Result<ir::ValueId, Diagnostic>) -> Vec<String> {
    let before = graph_of(|b| {
        let x = b.input("x", ty(from));
        build(b, x)
    });
    faults(&before).into_iter().collect()
}

#[test]
fn functions() {
    assert_eq!(
        faults(&graph_of(|b| {
            let (x, z) = (b.input("x", ty("f64[n]")), b.input("z", ty("f64[n]")));
            b.map(Func::Sub, &[x, z])
        }))
        .into_iter()
        .collect::<Vec<_>>(),
        [
            "sub (map): operand 0 is dropped",
            "sub (map): operand 1 is dropped",
            "sub (map): operands 0 and 1 are swapped",
            "sub (map): sub becomes add"
        ]
    );
}

#[test]
fn axes_and_kinds() {
    assert_eq!(faults_of("f64[n, n, 3]", |b, x| b.transpose(x, &[0, 2, 1])), ["transpose (transpose): axes 0 and 2 are swapped"]);
    assert_eq!(faults_of("f64[n, 3]", |b, x| b.softmax(x, 1)), ["softmax (softmax): axis 1 becomes 0"]);
    assert_eq!(faults_of("f64[n, 3]", |b, x| b.reduce(Monoid::Sum, x, &[1], ops::Folded::Kept)), ["reduce (reduce): sum becomes max"]);
    assert_eq!(faults_of("f64[3, 3]", |b, x| b.contract("ab,bc->ac", x, x)), ["contract (contract): the letters become ba,bc->ac"]);
    assert_eq!(faults_of("f64[2, n, 4]", |b, x| b.slice_axis(x, 2, &1.into(), &2.into())).len(), 2);
}

#[test]
fn windows() {
    let seen = faults_of("f64[n, 1, 5]", |b, x| {
        let w = counted(b, DType::F64, &[1, 1, 2]);
        b.conv(x, w, &WindowAttrs { low: vec![1], ..WindowAttrs::plain(1) }, 1)
    });
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen.contains(&"conv (conv): low and high padding are swapped".to_string()));
}

#[test]
fn a_transformer_layer() {
    let before = graph(|b| {
        let x = b.input("x", ty("f64[b, 4, 6]"));
        let (scale, bias) = (counted(b, DType::F64, &[6]), b.input("bias", ty("f64[6]")));
        let normal = b.layer_norm(x, scale, bias, 2, 1e-5)?;
        let heads = b.reshape(normal, &ty("f64[b, 4, 2, 3]").dims)?;
        let heads = b.transpose(heads, &[0, 2, 1, 3])?;
        let keys = b.map(Func::Tanh, &[heads])?;
        let out = b.attention(heads, keys, heads, None, 0.5)?;
        let out = b.gelu(out)?;
        b.output("y", out);
        Ok(())
    });
    let seen = faults(&before);
    assert_eq!(seen.len(), 10, "{seen:#?}");
    let seen = faults(&crate::decompose::decompose(&before));
    assert!(seen.len() > 20, "{seen:#?}");
}

#[test]
fn nothing_to_change() {
    assert!(sabotage(&graph_of(|b| Ok(b.input("x", ty("f32[n]")))), 1).is_none());
}
