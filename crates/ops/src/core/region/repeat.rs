//! `while` and `scan`: a region that runs again and again on the values that it gave before.
//!
//! `while`. Operands: a condition (bool scalar), the initial carried values, captures. The region has the carried values and the captures
//! as inputs, and gives the next condition and the next carried values. It runs as long as the condition holds. Results: the carried
//! values at the end.
//!
//! `scan`. Operands: the initial carried values, scanned tensors, captures. The region runs `trips` times; its inputs are the carried
//! values, a slice of each scanned tensor, and the captures; it gives the next carried values and a slice of each stacked result. Results:
//! the carried values at the end, and the stacked results. `axes` and `reverse` have an entry for each scanned tensor, then for each
//! stacked result: the axis that the slices lack, and whether the first run has the last slice.
//!
//! - C1: the condition is a bool of rank 0, of the region too.
//! - C2: the region's inputs have the types of what it is given.
//! - C3: a carried value keeps its type.
//! - C4: a scanned tensor has `trips` slices.

use super::{check_inputs, interpreted, known_outside};
use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::{Guards, rank_of};
use ir::{Attrs, Code, DType, Graph, TensorType};
use sym::Expr;

pub const WHILE: OpDef = OpDef { name: "while", infer: infer_while, reference: interpreted, kind: Kind::Region };
pub const SCAN: OpDef = OpDef { name: "scan", infer: infer_scan, reference: interpreted, kind: Kind::Region };

/// What the attributes say of the operands and results. A `while` has carried values alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    pub carried: usize,
    pub stacked: usize,
    /// The axis of each scanned tensor, then of each stacked result.
    pub axes: Vec<usize>,
    /// Likewise: whether the slices are taken from the end.
    pub reverse: Vec<bool>,
    pub trips: Option<Expr>,
}

impl Parts {
    pub fn of(attrs: &Attrs) -> Result<Parts, OpError> {
        let count = |name: &str| usize::try_from(attrs::int(attrs, name)?).map_err(|_| OpError::attribute(format!("`{name}` is negative")));
        let carried = count("carried")?;
        if !attrs.contains_key("trips") {
            return Ok(Parts { carried, ..Parts::default() });
        }
        let stacked = count("stacked")?;
        let axes = attrs::ints_of(attrs, "axes", attrs::ints(attrs, "axes")?.len(), 0)?;
        let reverse = attrs::ints_of(attrs, "reverse", axes.len(), 0)?;
        if stacked > axes.len() {
            return Err(OpError::attribute(format!("{stacked} stacked results, but {} axes", axes.len())));
        }
        let trips = attrs::exprs_of(attrs, "trips", 1)?[0].clone();
        let (axes, reverse) = (axes.iter().map(|axis| *axis as usize).collect(), reverse.iter().map(|flag| *flag != 0).collect());
        Ok(Parts { carried, stacked, axes, reverse, trips: Some(trips) })
    }

    pub fn scanned(&self) -> usize {
        self.axes.len() - self.stacked
    }

    /// The axis and direction of each scanned tensor.
    pub fn scanned_axes(&self) -> impl Iterator<Item = (usize, bool)> + '_ {
        self.axes.iter().copied().zip(self.reverse.iter().copied()).take(self.scanned())
    }

    /// The axis and direction of each stacked result.
    pub fn stacked_axes(&self) -> impl Iterator<Item = (usize, bool)> + '_ {
        self.axes.iter().copied().zip(self.reverse.iter().copied()).skip(self.scanned())
    }
}

fn infer_while(cx: &InferCx) -> Result<Inferred, OpError> {
    let parts = Parts::of(cx.attrs)?;
    let (condition, given) = cx.inputs.split_first().ok_or_else(|| OpError::shape("no condition"))?;
    is_condition("the condition", condition)?;
    let region = only_region(cx)?;
    check_inputs(region, given)?;
    let outputs = output_types(region, parts.carried + 1)?;
    is_condition("the next condition", outputs[0])?;
    Ok(Inferred { types: carried_types(&parts, given, &outputs[1..])?, ..Inferred::default() })
}

fn infer_scan(cx: &InferCx) -> Result<Inferred, OpError> {
    let parts = Parts::of(cx.attrs)?;
    let trips = parts.trips.clone().ok_or_else(|| OpError::attribute("attribute `trips` is missing"))?;
    let mut guards = Guards::default();
    guards.at_least("trips", &trips, &Expr::zero())?;
    let mut given = cx.inputs.to_vec();
    if given.len() < parts.carried + parts.scanned() {
        return Err(OpError::new(Code::Malformed, format!("operands: {} given, {} needed", given.len(), parts.carried + parts.scanned())));
    }
    for ((axis, _), ty) in parts.scanned_axes().zip(&mut given[parts.carried..]) {
        if axis >= ty.rank() {
            return Err(OpError::attribute(format!("axis {axis} is outside of {ty}")));
        }
        guards.equal("the number of slices", &ty.dims.remove(axis), &trips)?;
    }
    let region = only_region(cx)?;
    check_inputs(region, &given)?;
    let outputs = output_types(region, parts.carried + parts.stacked)?;
    let mut types = carried_types(&parts, &given, &outputs)?;
    for ((axis, _), slice) in parts.stacked_axes().zip(&outputs[parts.carried..]) {
        let mut ty = (*slice).clone();
        if axis > ty.rank() {
            return Err(OpError::attribute(format!("axis {axis} is outside of stacked {ty}")));
        }
        ty.dims.insert(axis, trips.clone());
        types.push(ty);
    }
    Ok(Inferred { types, ..Inferred::default() }.with(guards))
}

fn is_condition(what: &str, ty: &TensorType) -> Result<(), OpError> {
    rank_of(what, ty, 0)?;
    if ty.dtype != DType::Bool {
        return Err(OpError::types(format!("{what} is {}, not bool", ty.dtype)));
    }
    Ok(())
}

fn only_region<'a>(cx: &InferCx<'a>) -> Result<&'a Graph, OpError> {
    match cx.regions {
        [region] => Ok(region),
        regions => Err(OpError::new(Code::Malformed, format!("regions: {} given, 1 needed", regions.len()))),
    }
}

fn output_types(region: &Graph, count: usize) -> Result<Vec<&TensorType>, OpError> {
    if region.outputs.len() != count {
        return Err(OpError::new(Code::Malformed, format!("region {} has {} outputs, not {count}", region.name, region.outputs.len())));
    }
    region.outputs.iter().map(|(_, id)| known_outside(region, *id)).collect()
}

/// The types of the carried values: what they are before is what the region makes of them.
fn carried_types(parts: &Parts, given: &[TensorType], next: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
    if given.len() < parts.carried {
        return Err(OpError::new(Code::Malformed, format!("operands: {} given for {} carried values", given.len(), parts.carried)));
    }
    let pairs = || given.iter().zip(next).take(parts.carried);
    match pairs().enumerate().find(|(_, (before, next))| *before != **next) {
        Some((at, (before, next))) => Err(OpError::types(format!("carried value {at} is {before}, and {next} after a run"))),
        None => Ok(pairs().map(|(before, _)| before.clone()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use crate::build::Builder;
    use crate::build::core::Scan;
    use crate::check::ty;
    use crate::interp::outputs;
    use ir::{Array, DType, Graph};
    use nest::Func;
    use std::collections::BTreeMap;
    use sym::{Expr, Sym};

    /// `s' = s + x_t`, and stacks `s * x_t`.
    fn sums(carried: &str, slice: &str) -> Graph {
        let mut b = Builder::new("body");
        let (s, x) = (b.input("s", ty(carried)), b.input("x", ty(slice)));
        let (sum, product) = (b.map_broadcast(Func::Add, &[s, x]).unwrap(), b.map_broadcast(Func::Mul, &[s, x]).unwrap());
        b.output("sum", sum);
        b.output("product", product);
        b.finish()
    }

    fn scan(reverse: [bool; 2], axes: [usize; 2], x: &str) -> Result<Graph, ir::Diagnostic> {
        let mut b = Builder::new("g");
        let (s, x) = (b.input("s", ty("f32[2]")), b.input("x", ty(x)));
        let parts = Scan { trips: "n".parse().unwrap(), scanned: vec![(x, axes[0], reverse[0])], stacked: vec![(axes[1], reverse[1])] };
        let results = b.scan(&parts, &[s], &[], sums("f32[2]", "f32[2]"))?;
        results.iter().enumerate().for_each(|(at, id)| b.output(&format!("y{at}"), *id));
        Ok(b.finish())
    }

    fn floats(dims: &[usize], data: &[f64]) -> Array {
        Array::floats(DType::F32, dims.to_vec(), data.to_vec())
    }

    fn run(graph: &Graph, x: Array) -> Vec<Array> {
        let sizes = BTreeMap::from([(Sym::new("n"), 3)]);
        outputs(graph, &[floats(&[2], &[1.0, 0.0]), x], &sizes).unwrap()
    }

    #[test]
    fn a_scan_carries_slices_and_stacks() {
        let graph = scan([false; 2], [0, 0], "f32[n, 2]").unwrap();
        assert_eq!(graph.outputs.iter().map(|(_, id)| graph.ty(*id).to_string()).collect::<Vec<_>>(), ["f32[2]", "f32[n, 2]"]);
        let x = floats(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(run(&graph, x.clone()), [floats(&[2], &[10.0, 12.0]), floats(&[3, 2], &[1.0, 0.0, 6.0, 8.0, 25.0, 36.0])]);
        let graph = scan([true, false], [0, 0], "f32[n, 2]").unwrap();
        assert_eq!(run(&graph, x)[1], floats(&[3, 2], &[5.0, 0.0, 18.0, 24.0, 9.0, 20.0]));
    }

    #[test]
    fn slices_lie_along_any_axis() {
        let graph = scan([false, true], [1, 1], "f32[2, n]").unwrap();
        let x = floats(&[2, 3], &[1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        assert_eq!(run(&graph, x), [floats(&[2], &[10.0, 12.0]), floats(&[2, 3], &[25.0, 6.0, 1.0, 36.0, 8.0, 0.0])]);
    }

    #[test]
    fn a_while_ends_when_its_condition_fails() {
        let mut body = Builder::new("body");
        let (i, limit) = (body.input("i", ty("i64[]")), body.input("limit", ty("i64[]")));
        let next = body.map_number(Func::Add, i, 2.0).unwrap();
        let go_on = body.map(Func::Less, &[next, limit]).unwrap();
        body.output("go_on", go_on);
        body.output("next", next);
        let mut b = Builder::new("g");
        let (c, i, limit) = (b.input("c", ty("bool[]")), b.input("i", ty("i64[]")), b.input("limit", ty("i64[]")));
        let results = b.repeat_while(c, &[i], &[limit], body.finish()).unwrap();
        b.output("y", results[0]);
        let graph = b.finish();
        let int = |dtype: DType, value: i64| Array::ints(dtype, vec![], vec![value]);
        let run = |c: i64| outputs(&graph, &[int(DType::Bool, c), int(DType::I64, 1), int(DType::I64, 6)], &BTreeMap::new()).unwrap();
        assert_eq!((run(1), run(0)), (vec![int(DType::I64, 7)], vec![int(DType::I64, 1)]));
    }

    #[test]
    fn constraints() {
        let message = |axes: [usize; 2], x: &str| scan([false; 2], axes, x).unwrap_err().message;
        assert_eq!(message([0, 0], "f32[n, 3]"), "region body: input f32[2] is given f32[3]");
        assert_eq!(message([2, 0], "f32[n, 2]"), "axis 2 is outside of f32[n, 2]");
        assert_eq!(message([0, 2], "f32[n, 2]"), "axis 2 is outside of stacked f32[2]");
        assert_eq!(message([0, 0], "f32[n + 1, 2]"), "the number of slices differs: n + 1 vs n");
        let mut b = Builder::new("g");
        let (s, x) = (b.input("s", ty("f32[1]")), b.input("x", ty("f32[n, 2]")));
        let parts = Scan { trips: Expr::sym(&Sym::new("n")), scanned: vec![(x, 0, false)], stacked: vec![(0, false)] };
        let error = b.scan(&parts, &[s], &[], sums("f32[1]", "f32[2]")).unwrap_err();
        assert_eq!(error.message, "carried value 0 is f32[1], and f32[2] after a run");
    }
}
