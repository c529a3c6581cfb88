//! What is a dequantised tensor.

use crate::rewrite::Rewriter;
use crate::view::View;
use ir::{Attrs, DType, Node, ValueId};
use nest::Func;
use ops::{Builder, attrs};

/// Constant numbers that belong to the places of one axis, or one number for all.
#[derive(Clone)]
pub struct List {
    /// A constant.
    pub value: ValueId,
    pub axis: Option<usize>,
}

/// Scales between 1/this and this keep products and quotients of codes, scales and sums of i32 far inside of f32's range.
const MOST_SCALE: f64 = (1u64 << 40) as f64;

impl List {
    /// From its expansion to the dims of a tensor.
    pub fn read(view: View, value: ValueId) -> Option<List> {
        let source = view.unbroadcast(value);
        let (wide, dims) = (&view.ty(value).dims, &view.ty(source).dims);
        let lead = wide.len() - dims.len();
        let mut full = (0..dims.len()).filter(|axis| !dims[*axis].is_one());
        let axis = full.next();
        if full.next().is_some() || axis.is_some_and(|axis| dims[axis] != wide[axis + lead]) {
            return None;
        }
        let value = view.operand_of(source, "reshape").unwrap_or(source);
        let count = axis.map_or(Some(1), |axis| dims[axis].as_const())?;
        let constant = view.graph.constant(value)?;
        (constant.count() as i64 == count && count > 0).then_some(List { value, axis: axis.map(|axis| axis + lead) })
    }

    pub fn numbers(&self, view: View) -> Vec<f64> {
        let array = view.graph.constant(self.value).map(|tensor| tensor.to_array());
        array.map_or(vec![], |array| (0..array.count()).map(|at| array.get(at).as_f64()).collect())
    }

    /// Whether the numbers are positive and neither huge nor tiny.
    pub fn is_scale(&self, view: View) -> bool {
        view.ty(self.value).dtype == DType::F32 && self.numbers(view).iter().all(|scale| (1.0 / MOST_SCALE..=MOST_SCALE).contains(scale))
    }

    pub fn equals(&self, other: &List, view: View) -> bool {
        self.axis == other.axis && self.numbers(view) == other.numbers(view)
    }

    /// A scalar, or the numbers along their axis of a tensor of a rank, for expansion.
    pub fn along(&self, b: &mut Builder, rank: usize) -> Option<ValueId> {
        let mut dims = vec![sym::Expr::one(); self.axis.map_or(0, |_| rank)];
        if let Some(axis) = self.axis {
            dims[axis] = sym::Expr::product(b.dims(self.value));
        }
        b.reshape(self.value, &dims).ok()
    }
}

/// `(codes - zero) * scale`, in f32.
#[derive(Clone)]
pub struct Quantized {
    /// The codes, of 8 bits, before they are moved.
    source: ValueId,
    /// What moves them: ops of one operand.
    moves: Vec<(&'static str, Attrs)>,
    pub zero: Option<List>,
    pub scale: List,
}

/// How many ops that only move elements may stand behind a tensor that is dequantised.
const MOST_MOVES: usize = 8;

impl Quantized {
    pub fn read(view: View, value: ValueId) -> Option<Quantized> {
        let (mut at, mut nodes) = (value, Vec::new());
        while let Some((_, node)) = view.graph.producer(at).filter(|(_, node)| nodes.len() < MOST_MOVES && keeps_order(node)) {
            nodes.push(node);
            at = node.inputs[0];
        }
        nodes.iter().rev().try_fold(Quantized::dequantized(view, at)?, |found, node| found.moved(node))
    }

    fn dequantized(view: View, value: ValueId) -> Option<Quantized> {
        let [whole, scale] = view.map(value, Func::Mul)? else { return None };
        let exact = view.operand_of(*whole, "convert").filter(|exact| view.ty(*exact).dtype == DType::I32)?;
        let (wide, zero) = match view.map(exact, Func::Sub) {
            Some([wide, zero]) => (*wide, Some(List::read(view, view.operand_of(*zero, "convert")?)?)),
            _ => (exact, None),
        };
        let source = view.operand_of(wide, "convert").filter(|source| is_byte(view, *source))?;
        zero.iter().all(|zero| is_byte(view, zero.value)).then_some(())?;
        let scale = List::read(view, *scale).filter(|scale| scale.is_scale(view))?;
        Some(Quantized { source, moves: vec![], zero, scale })
    }

    /// The same behind a node that moves elements. Numbers of an axis only follow a transpose.
    fn moved(mut self, node: &Node) -> Option<Quantized> {
        for list in self.zero.iter_mut().chain([&mut self.scale]) {
            let Some(axis) = list.axis else { continue };
            let perm = attrs::ints(&node.attrs, "perm").ok().filter(|_| node.op == "transpose")?;
            list.axis = Some(perm.iter().position(|from| *from == axis as i64)?);
        }
        self.moves.push((node.op, node.attrs.clone()));
        Some(self)
    }

    pub fn dtype(&self, view: View) -> DType {
        view.ty(self.source).dtype
    }

    /// The codes in their places.
    pub fn codes(&self, rewriter: &mut Rewriter) -> Option<ValueId> {
        self.moves.iter().try_fold(self.source, |codes, (op, attrs)| rewriter.b.one(op, attrs.clone(), &[codes]).ok())
    }
}

fn is_byte(view: View, value: ValueId) -> bool {
    matches!(view.ty(value).dtype, DType::I8 | DType::U8)
}

/// Whether a node's elements are elements of its operand, chosen by their places or as the largest: what it does to numbers it does to
/// their codes.
fn keeps_order(node: &Node) -> bool {
    match node.op {
        "transpose" | "reshape" | "slice" => true,
        "reduce_window" => is_maximum(node),
        _ => false,
    }
}

/// The largest of windows that all have an element inside.
fn is_maximum(node: &Node) -> bool {
    let list = |name: &str| attrs::ints(&node.attrs, name).unwrap_or(&[]);
    let inside = |side: &str| list(side).iter().zip(list("window")).all(|(pad, taps)| pad < taps);
    attrs::text(&node.attrs, "kind") == Ok("max") && list("dilations").iter().all(|step| *step == 1) && inside("low") && inside("high")
}
