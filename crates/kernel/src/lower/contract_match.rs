//! Contractions that the template serves: what is the broadcast factor and what lies in panels, and the loops that rows and reduction make.

use crate::lower::point::{Access, Point, StageCx, lane_sym};
use crate::lower::scalars;
use ir::DType;
use nest::contraction::turned_byte;
use nest::{Contraction, Iter, Nest, Read, ScalarId, ScalarOp, contraction};
use sym::{Expr, Sym};

/// A contraction with the iterator that its vectors run along.
#[derive(Clone, Debug)]
pub struct Matched {
    pub parts: Contraction,
    /// The `n` iterator along the vectors.
    pub n: Sym,
    /// Elements of a panel of a packed `b`; None where `b` is read in place.
    pub panel: Option<i64>,
    /// Where `b` is packed in groups of the reduction.
    pub dot: Option<Dot>,
}

/// A reduction in groups: `inner = group*step + g`, and one dot multiplies all `g` of a step.
#[derive(Clone, Debug)]
pub struct Dot {
    pub inner: Sym,
    pub group: i64,
    /// Whether `a` is a byte that is turned to the other sign.
    pub turned: bool,
}

impl Matched {
    /// Elements of the reduction in one step.
    pub fn group(&self) -> i64 {
        self.dot.as_ref().map_or(1, |dot| dot.group)
    }

    /// An address with the innermost reduction iterator replaced by its step.
    pub fn stepped(&self, nest: &Nest, address: &Expr) -> Expr {
        let Some(dot) = &self.dot else { return address.clone() };
        nest.ranges().simplify(&address.replace(&dot.inner, &(Expr::sym(&step_sym()) * dot.group)))
    }

    /// Elements of the innermost reduction beyond the last whole group.
    pub fn rest(&self, nest: &Nest) -> Expr {
        self.dot.as_ref().map_or(Expr::zero(), |dot| extent_of(nest, &dot.inner).modulo(&Expr::from(dot.group)))
    }
}

/// The number of a group along the innermost reduction.
pub fn step_sym() -> Sym {
    Sym::new("$step")
}

pub fn extent_of(nest: &Nest, sym: &Sym) -> Expr {
    nest.iter(sym).map_or(Expr::one(), |iter| iter.extent.clone())
}

/// The contraction of a physical nest that the template can serve.
pub fn matched(nest: &Nest) -> Option<Matched> {
    served(nest, contraction(nest, &along_vectors(nest)?)?)
}

/// The same for a stage of a group whose tasks are blocks of `row` at a point of the iterators in `outer`: `m` is the row, or the row and
/// one inner iterator, and `n` is one iterator.
pub fn matched_rows(nest: &Nest, row: &Sym, outer: &[Iter]) -> Option<Matched> {
    let mut inner = nest.clone();
    inner.iters.retain(|iter| outer.iter().all(|other| other.sym != iter.sym));
    let parts = contraction(&inner, &along_vectors(nest)?)?;
    served(nest, parts).filter(|Matched { parts, .. }| parts.m.contains(row) && parts.m.len() <= 2 && parts.n.len() == 1)
}

/// Whether a read walks along the innermost dim of the result.
fn along_vectors(nest: &Nest) -> Option<impl Fn(&Read) -> bool> {
    let last = nest.writes.first()?.index.last()?.as_map()?.symbols();
    Some(move |read: &Read| read.index.iter().filter_map(|i| i.as_map()).any(|e| last.iter().any(|s| e.mentions(s))))
}

fn served(nest: &Nest, parts: Contraction) -> Option<Matched> {
    let last = nest.writes.first()?.index.last()?.as_map()?;
    let n = parts.n.iter().find(|s| last.mentions(s)).cloned()?;
    let (a, b) = (nest.read(parts.a)?, nest.read(parts.b)?);
    let linear = |e: &Expr, syms: &[Sym]| syms.iter().all(|s| e.split_linear(s).is_some());
    let turned = turned(nest, &parts)?;
    let dot = dot_of(nest, &parts, b, turned);
    let panel = panel_of(nest, b, &n, dot.is_some());
    let matched = Matched { parts, n, panel, dot };
    let Matched { parts, n, .. } = &matched;
    let a_address = matched.stepped(nest, &address(nest, a));
    let b_address = in_panel(nest, &matched.stepped(nest, &address(nest, b)), n, panel);
    let stride = b_address.split_linear(&lane_sym()).map(|(stride, _)| stride);
    let steps: Vec<Sym> = reduction(nest, &matched).into_iter().map(|(sym, _)| sym).collect();
    let fits = a.fill.is_none()
        && stride == Some(Expr::from(matched.group()))
        && turned == matched.dot.as_ref().is_some_and(|dot| dot.turned)
        && [&parts.m, &steps, &parts.batch].into_iter().all(|syms| linear(&a_address, syms))
        && [&steps, &parts.batch].into_iter().all(|syms| linear(&b_address, syms))
        && scalars::may_vectorise(nest, n);
    fits.then_some(matched)
}

/// The reduction iterators with their extents, the innermost one in steps where it goes by groups.
fn reduction(nest: &Nest, matched: &Matched) -> Vec<(Sym, Expr)> {
    let step = |s: &Sym| match &matched.dot {
        Some(dot) if dot.inner == *s => (step_sym(), extent_of(nest, s).floor_div(&Expr::from(dot.group))),
        _ => (s.clone(), extent_of(nest, s)),
    };
    matched.parts.k.iter().map(step).collect()
}

/// Whether `a` is a byte turned to the other sign. None where the product is of anything else than that and the two reads, accumulated in
/// a type that holds them.
fn turned(nest: &Nest, parts: &Contraction) -> Option<bool> {
    let ScalarOp::Reduce(_, product) = nest.scalar(parts.sum).op else { return None };
    let ScalarOp::Apply(_, factors) = &nest.scalar(product).op else { return None };
    let is_read = |id: ScalarId| id == parts.a || id == parts.b;
    let plain =
        |id: ScalarId| is_read(id) || matches!(nest.scalar(id).op, ScalarOp::Convert(read) if is_read(read) && widens(nest, read, id));
    let turned = |id: ScalarId| turned_byte(nest, id) == Some(parts.a);
    let accumulates = matches!(nest.scalar(parts.sum).dtype, DType::F32 | DType::I32);
    let fits = accumulates && factors.iter().all(|id| plain(*id) || turned(*id));
    fits.then(|| factors.iter().any(|id| turned(*id)))
}

fn widens(nest: &Nest, from: ScalarId, to: ScalarId) -> bool {
    let (from, to) = (nest.scalar(from).dtype, nest.scalar(to).dtype);
    from.size() < to.size() && (from.is_float() && to.is_float() || from.is_int() && to.is_int())
}

/// The groups in which `b` is packed: its last physical dim holds `inner % group`, or `inner` itself where one group holds all.
fn dot_of(nest: &Nest, parts: &Contraction, b: &Read, turned: bool) -> Option<Dot> {
    let group = match ([parts.a, parts.b].map(|id| nest.scalar(id).dtype), turned) {
        ([DType::BF16, DType::BF16], false) => 2,
        ([DType::U8, DType::I8] | [DType::I8, DType::U8], false) => 4,
        ([DType::I8, DType::I8] | [DType::U8, DType::U8], true) => 4,
        _ => return None,
    };
    let (last, dim) = (b.index.last()?.as_map()?, nest.operands[b.operand].ty.dims.last()?.as_const()?);
    let inner = parts.k.iter().find(|k| last.mentions(k))?.clone();
    let one_group = last.as_sym() == Some(&inner) && extent_of(nest, &inner).as_const().is_some_and(|extent| extent <= group);
    let packed = dim == group && (one_group || *last == Expr::sym(&inner).modulo(&Expr::from(group)));
    packed.then_some(Dot { inner, group, turned })
}

fn address(nest: &Nest, read: &Read) -> Expr {
    let maps: Vec<Expr> = read.index.iter().map(|i| i.as_map().cloned().unwrap_or_default()).collect();
    crate::lower::point::address(&nest.operands[read.operand].ty.dims, &maps)
}

/// The block of a packed operand: its last physical dim (the last but one in front of groups), where the index there is `n % block`, or `n`
/// itself where one block holds all.
fn panel_of(nest: &Nest, read: &Read, n: &Sym, grouped: bool) -> Option<i64> {
    let at = read.index.len().checked_sub(1 + usize::from(grouped))?;
    let last = read.index[at].as_map()?;
    let block = nest.operands[read.operand].ty.dims[at].as_const()?;
    let one_block = nest.iter(n)?.extent.as_const().is_some_and(|width| width <= block && block <= WIDEST_PANEL);
    let packed = if last.as_sym() == Some(n) { one_block } else { *last == Expr::sym(n).modulo(&Expr::from(block)) };
    packed.then_some(block)
}

/// No panel is wider: an operand whose rows are longer lies as it came.
const WIDEST_PANEL: i64 = 64;

/// An address with `n` replaced by `block*panel + lane`, where lane runs within one panel; by the lane alone where there are no panels.
pub fn in_panel(nest: &Nest, address: &Expr, n: &Sym, panel: Option<i64>) -> Expr {
    let mut ranges = nest.ranges();
    let lane = Expr::sym(&lane_sym());
    let Some(block) = panel else { return ranges.simplify(&address.replace(n, &lane)) };
    ranges.iterator(&lane_sym(), &Expr::from(block));
    ranges.simplify(&address.replace(n, &(&(Expr::sym(&Sym::new("$panel")) * block) + &lane)))
}

/// Several iterators walked as one: `(sym, extent)`, outermost first.
pub type Merged = Vec<(Sym, Expr)>;

/// Iterators in order, neighbours joined where every address that mentions them walks them as one.
fn merge(addresses: &[Expr], iters: Vec<(Sym, Expr)>) -> Vec<Merged> {
    let mut out: Vec<Merged> = Vec::new();
    for (sym, extent) in iters {
        let joins = out.last().and_then(|m| m.last()).is_some_and(|(outer, _)| addresses.iter().all(|e| walks_on(e, outer, &sym, &extent)));
        match out.last_mut() {
            Some(last) if joins => last.push((sym, extent)),
            _ => out.push(vec![(sym, extent)]),
        }
    }
    out
}

fn walks_on(address: &Expr, outer: &Sym, inner: &Sym, extent: &Expr) -> bool {
    match (address.split_linear(outer), address.split_linear(inner)) {
        (Some((a, _)), Some((b, _))) => a == &b * extent,
        _ => false,
    }
}

pub fn merged_extent(merged: &Merged) -> Expr {
    Expr::product(merged.iter().map(|(_, extent)| extent))
}

/// Gives each of the joined iterators its digit of `value`.
pub fn bind(point: &mut Point, merged: &Merged, value: &Expr) {
    let mut rest = value.clone();
    for (at, (sym, extent)) in merged.iter().enumerate().rev() {
        if at == 0 {
            point.bind(sym, rest.clone());
        } else {
            point.bind(sym, rest.modulo(extent));
            rest = rest.floor_div(extent);
        }
    }
}

/// All addresses of a nest except `b`'s, over its iterators.
pub fn row_addresses(cx: &StageCx, matched: &Matched) -> Vec<Expr> {
    let nest = cx.nest();
    let reads = nest.reads().filter(|(id, _)| *id != matched.parts.b).map(|(id, _)| cx.address(Access::Read(id)));
    reads.chain((0..nest.writes.len()).map(|w| cx.address(Access::Write(w)))).collect()
}

/// The rows of `m` in the order of their strides in `a`, joined; the reduction likewise in `a` and `b`.
pub fn loops(cx: &StageCx, matched: &Matched) -> (Vec<Merged>, Vec<Merged>) {
    let nest = cx.nest();
    let a = factor_address(cx, matched, matched.parts.a);
    let b = in_panel(nest, &factor_address(cx, matched, matched.parts.b), &matched.n, matched.panel);
    let stride = |s: &Sym| a.split_linear(s).and_then(|(c, _)| c.eval(&|_| Some(64))).unwrap_or(0);
    let sorted = |mut iters: Vec<(Sym, Expr)>| {
        iters.sort_by_key(|(s, _)| (*s == step_sym(), std::cmp::Reverse(stride(s))));
        iters
    };
    let rows = matched.parts.m.iter().map(|s| (s.clone(), extent_of(nest, s))).collect();
    let m = merge(&row_addresses(cx, matched), sorted(rows));
    let k = merge(&[a.clone(), b], sorted(reduction(nest, matched)));
    (m, k)
}

/// The address of `a` or `b` over the iterators, with steps for the innermost reduction.
pub fn factor_address(cx: &StageCx, matched: &Matched, id: ScalarId) -> Expr {
    matched.stepped(cx.nest(), &cx.address(Access::Read(id)))
}

/// The distance in `a` of neighbouring rows, and of neighbouring steps of the reduction, where rows and reduction are one loop each.
pub fn row_strides(cx: &StageCx, matched: &Matched, m: &[Merged], k: &[Merged]) -> Option<(i64, i64)> {
    let ([m], [k]) = (m, k) else { return None };
    let a = factor_address(cx, matched, matched.parts.a);
    let stride = |merged: &Merged| a.split_linear(&merged.last()?.0)?.0.as_const();
    Some((stride(m)?, stride(k)?))
}
