//! A method for each core op, and numpy broadcasting.

use super::Builder;
use crate::dims::broadcast_dims;
use ir::{Attr, Attrs, Code, DType, Diagnostic, Graph, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

type Result<T> = std::result::Result<T, Diagnostic>;

/// What a `scan` walks along.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    pub trips: Expr,
    /// Each scanned tensor, with its axis and whether its last slice comes first.
    pub scanned: Vec<(ValueId, usize, bool)>,
    /// The axis of each stacked result, and whether the first run gives its last slice.
    pub stacked: Vec<(usize, bool)>,
}

/// Window parameters, one entry a spatial axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowAttrs {
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    pub low: Vec<i64>,
    pub high: Vec<i64>,
}

impl WindowAttrs {
    /// Stride and dilation 1, no padding.
    pub fn plain(axes: usize) -> WindowAttrs {
        WindowAttrs { strides: vec![1; axes], dilations: vec![1; axes], low: vec![0; axes], high: vec![0; axes] }
    }

    fn attrs(&self) -> Attrs {
        Attrs::from([
            ("strides", Attr::Ints(self.strides.clone())),
            ("dilations", Attr::Ints(self.dilations.clone())),
            ("low", Attr::Ints(self.low.clone())),
            ("high", Attr::Ints(self.high.clone())),
        ])
    }
}

/// Whether a folded axis stays, with size 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folded {
    Kept,
    Dropped,
}

impl Builder {
    /// `func` of operands of equal dims.
    pub fn map(&mut self, func: Func, operands: &[ValueId]) -> Result<ValueId> {
        self.one("map", Attrs::from([("func", Attr::Text(func.name().to_string()))]), operands)
    }

    /// `func` of operands that broadcast together.
    pub fn map_broadcast(&mut self, func: Func, operands: &[ValueId]) -> Result<ValueId> {
        let operands = self.broadcast_together(operands)?;
        self.map(func, &operands)
    }

    /// `func(x, value)` with a number of x's type.
    pub fn map_number(&mut self, func: Func, x: ValueId, value: f64) -> Result<ValueId> {
        let number = self.number(self.dtype(x), value);
        self.map_broadcast(func, &[x, number])
    }

    pub fn convert(&mut self, x: ValueId, to: DType) -> Result<ValueId> {
        self.one("convert", Attrs::from([("to", Attr::DType(to))]), &[x])
    }

    /// The same bits as another element type of the same size.
    pub fn bitcast(&mut self, x: ValueId, to: DType) -> Result<ValueId> {
        self.one("bitcast", Attrs::from([("to", Attr::DType(to))]), &[x])
    }

    pub fn broadcast(&mut self, x: ValueId, dims: &[Expr]) -> Result<ValueId> {
        self.one("broadcast", Attrs::from([("dims", Attr::Exprs(dims.to_vec()))]), &[x])
    }

    /// All operands at the dims that numpy's rule gives. Where it is not known which of two sizes is 1, the result's is the larger, and
    /// each operand is guarded to be 1 or that.
    pub fn broadcast_together(&mut self, operands: &[ValueId]) -> Result<Vec<ValueId>> {
        let lists: Vec<&[Expr]> = operands.iter().map(|id| self.dims(*id)).collect();
        let dims = broadcast_dims(&lists).map_err(|error| error.at(&self.location))?;
        operands.iter().map(|id| self.broadcast(*id, &dims)).collect()
    }

    pub fn reshape(&mut self, x: ValueId, dims: &[Expr]) -> Result<ValueId> {
        self.one("reshape", Attrs::from([("dims", Attr::Exprs(dims.to_vec()))]), &[x])
    }

    /// Inserts axes of size 1; `axes` count in the result.
    pub fn unsqueeze(&mut self, x: ValueId, axes: &[usize]) -> Result<ValueId> {
        let mut dims = self.dims(x).to_vec();
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        for axis in axes {
            if axis > dims.len() {
                return Err(self.error(Code::Attribute, format!("axis {axis} is outside of rank {}", dims.len() + 1)));
            }
            dims.insert(axis, Expr::one());
        }
        self.reshape(x, &dims)
    }

    pub fn transpose(&mut self, x: ValueId, perm: &[usize]) -> Result<ValueId> {
        let perm = perm.iter().map(|axis| *axis as i64).collect();
        self.one("transpose", Attrs::from([("perm", Attr::Ints(perm))]), &[x])
    }

    pub fn slice(&mut self, x: ValueId, starts: &[Expr], sizes: &[Expr], steps: &[i64]) -> Result<ValueId> {
        let attrs = Attrs::from([
            ("starts", Attr::Exprs(starts.to_vec())),
            ("sizes", Attr::Exprs(sizes.to_vec())),
            ("steps", Attr::Ints(steps.to_vec())),
        ]);
        self.one("slice", attrs, &[x])
    }

    /// `size` elements from `start` along one axis.
    pub fn slice_axis(&mut self, x: ValueId, axis: usize, start: &Expr, size: &Expr) -> Result<ValueId> {
        let mut sizes = self.dims(x).to_vec();
        let mut starts = vec![Expr::zero(); sizes.len()];
        if axis >= sizes.len() {
            return Err(self.error(Code::Attribute, format!("axis {axis} is outside of rank {}", sizes.len())));
        }
        (starts[axis], sizes[axis]) = (start.clone(), size.clone());
        let steps = vec![1; sizes.len()];
        self.slice(x, &starts, &sizes, &steps)
    }

    pub fn concat(&mut self, operands: &[ValueId], axis: usize) -> Result<ValueId> {
        self.one("concat", Attrs::from([("axis", Attr::Int(axis as i64))]), operands)
    }

    /// `value` is a scalar of x's type.
    pub fn pad(&mut self, x: ValueId, value: ValueId, low: &[Expr], high: &[Expr]) -> Result<ValueId> {
        if low.iter().chain(high).all(Expr::is_zero) && self.dtype(x) == self.dtype(value) {
            return Ok(x);
        }
        self.one("pad", Attrs::from([("low", Attr::Exprs(low.to_vec())), ("high", Attr::Exprs(high.to_vec()))]), &[x, value])
    }

    pub fn gather(&mut self, data: ValueId, indices: ValueId, axis: usize) -> Result<ValueId> {
        self.one("gather", Attrs::from([("axis", Attr::Int(axis as i64))]), &[data, indices])
    }

    pub fn gather_nd(&mut self, data: ValueId, indices: ValueId, batch: usize) -> Result<ValueId> {
        self.one("gather_nd", Attrs::from([("batch", Attr::Int(batch as i64))]), &[data, indices])
    }

    pub fn gather_elements(&mut self, data: ValueId, indices: ValueId, axis: usize) -> Result<ValueId> {
        self.one("gather_elements", Attrs::from([("axis", Attr::Int(axis as i64))]), &[data, indices])
    }

    /// Without `combine` an update takes the element's place.
    pub fn scatter_nd(&mut self, [data, indices, updates]: [ValueId; 3], combine: Option<Monoid>) -> Result<ValueId> {
        self.one("scatter_nd", Attrs::from([("combine", combine_attr(combine))]), &[data, indices, updates])
    }

    pub fn scatter_elements(&mut self, [data, indices, updates]: [ValueId; 3], axis: usize, combine: Option<Monoid>) -> Result<ValueId> {
        let attrs = Attrs::from([("axis", Attr::Int(axis as i64)), ("combine", combine_attr(combine))]);
        self.one("scatter_elements", attrs, &[data, indices, updates])
    }

    /// `spec` such as `bmk,bkn->bmn`.
    pub fn contract(&mut self, spec: &str, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.one("contract", Attrs::from([("spec", Attr::Text(spec.to_string()))]), &[a, b])
    }

    pub fn conv(&mut self, x: ValueId, w: ValueId, window: &WindowAttrs, groups: i64) -> Result<ValueId> {
        let mut attrs = window.attrs();
        attrs.insert("groups", Attr::Int(groups));
        self.one("conv", attrs, &[x, w])
    }

    /// `axes` in any order.
    pub fn reduce(&mut self, kind: Monoid, x: ValueId, axes: &[usize], folded: Folded) -> Result<ValueId> {
        let mut axes: Vec<i64> = axes.iter().map(|axis| *axis as i64).collect();
        axes.sort_unstable();
        let attrs = Attrs::from([
            ("kind", Attr::Text(kind.name().to_string())),
            ("axes", Attr::Ints(axes)),
            ("keep", Attr::Int((folded == Folded::Kept) as i64)),
        ]);
        self.one("reduce", attrs, &[x])
    }

    /// The arithmetic mean over `axes`, of a float tensor.
    pub fn mean(&mut self, x: ValueId, axes: &[usize], folded: Folded) -> Result<ValueId> {
        let count = Expr::product(axes.iter().filter_map(|axis| self.ty(x).dims.get(*axis)));
        let sum = self.reduce(Monoid::Sum, x, axes, folded)?;
        let count = self.size(&count, self.dtype(x))?;
        self.map_broadcast(Func::Div, &[sum, count])
    }

    pub fn reduce_window(&mut self, kind: Monoid, x: ValueId, taps: &[i64], window: &WindowAttrs) -> Result<ValueId> {
        let mut attrs = window.attrs();
        attrs.insert("kind", Attr::Text(kind.name().to_string()));
        attrs.insert("window", Attr::Ints(taps.to_vec()));
        self.one("reduce_window", attrs, &[x])
    }

    pub fn iota(&mut self, dims: &[Expr], axis: usize, dtype: DType) -> Result<ValueId> {
        let attrs = Attrs::from([("dims", Attr::Exprs(dims.to_vec())), ("axis", Attr::Int(axis as i64)), ("dtype", Attr::DType(dtype))]);
        self.one("iota", attrs, &[])
    }

    /// 64 random bits an element; `run` tells runs of a loop apart.
    pub fn philox(&mut self, dims: &[Expr], seed: u64, stream: u32, half: usize, run: Option<ValueId>) -> Result<ValueId> {
        let attrs = Attrs::from([
            ("dims", Attr::Exprs(dims.to_vec())),
            ("seed", Attr::Int(seed as i64)),
            ("stream", Attr::Int(stream.into())),
            ("half", Attr::Int(half as i64)),
        ]);
        self.one("philox", attrs, run.as_slice())
    }

    /// Integers known as expressions of the symbols; a constant where they hold none.
    pub fn sizes(&mut self, values: &[Expr], dims: &[usize], dtype: DType) -> Result<ValueId> {
        let known: Option<Vec<i64>> = values.iter().map(Expr::as_const).collect();
        if let Some(known) = known.filter(|known| known.len() == dims.iter().product::<usize>()) {
            return Ok(self.ints(dtype, dims.to_vec(), known));
        }
        let dims = dims.iter().map(|dim| Expr::from(*dim as i64)).collect();
        let attrs = Attrs::from([("values", Attr::Exprs(values.to_vec())), ("dims", Attr::Exprs(dims)), ("dtype", Attr::DType(dtype))]);
        self.one("sizes", attrs, &[])
    }

    /// One size as a scalar.
    pub fn size(&mut self, value: &Expr, dtype: DType) -> Result<ValueId> {
        match value.as_const() {
            Some(value) if dtype.is_float() => Ok(self.number(dtype, value as f64)),
            Some(value) => Ok(self.scalar(dtype, ir::Literal::Int(value))),
            None => self.sizes(std::slice::from_ref(value), &[], dtype),
        }
    }

    /// `then` where the bool scalar holds, else `other`; the regions' inputs are the captures.
    pub fn branch(&mut self, condition: ValueId, captures: &[ValueId], then: Graph, other: Graph) -> Result<Vec<ValueId>> {
        let operands: Vec<ValueId> = std::iter::once(condition).chain(captures.iter().copied()).collect();
        self.op_with_regions("if", Attrs::new(), &operands, vec![then, other])
    }

    /// The carried values after `region` has run as long as the condition held; its inputs are the carried values, then the captures.
    pub fn repeat_while(&mut self, condition: ValueId, carried: &[ValueId], captures: &[ValueId], region: Graph) -> Result<Vec<ValueId>> {
        let operands = [&[condition], carried, captures].concat();
        self.op_with_regions("while", Attrs::from([("carried", Attr::Int(carried.len() as i64))]), &operands, vec![region])
    }

    /// The carried values after the last run of `region`, then the stacked results.
    pub fn scan(&mut self, scan: &Scan, carried: &[ValueId], captures: &[ValueId], region: Graph) -> Result<Vec<ValueId>> {
        let scanned: Vec<ValueId> = scan.scanned.iter().map(|(id, ..)| *id).collect();
        let axes = scan.scanned.iter().map(|(_, axis, _)| axis).chain(scan.stacked.iter().map(|(axis, _)| axis));
        let reverse = scan.scanned.iter().map(|(.., flag)| flag).chain(scan.stacked.iter().map(|(_, flag)| flag));
        let attrs = Attrs::from([
            ("trips", Attr::Exprs(vec![scan.trips.clone()])),
            ("carried", Attr::Int(carried.len() as i64)),
            ("stacked", Attr::Int(scan.stacked.len() as i64)),
            ("axes", Attr::Ints(axes.map(|axis| *axis as i64).collect())),
            ("reverse", Attr::Ints(reverse.map(|flag| *flag as i64).collect())),
        ]);
        self.op_with_regions("scan", attrs, &[carried, &scanned, captures].concat(), vec![region])
    }
}

fn combine_attr(combine: Option<Monoid>) -> Attr {
    Attr::Text(combine.map_or("none", Monoid::name).to_string())
}
