//! Products of dequantised tensors.
//!
//! `sum (a - p)(b - q)` is computed as `sum ab - p (sum b - K q) - q sum a`, exact in i32 that wraps, as long as the result fits.

use super::read::{List, Quantized};
use crate::rewrite::{Rewriter, Site};
use ir::{Array, Attr, DType, Literal, Tensor, ValueId};
use nest::{Func, Monoid};
use ops::core::contract::Spec;
use ops::{Builder, Folded, attrs};
use sym::Expr;

/// The most products of differences of bytes whose sum fits i32.
const MOST_PRODUCTS: i64 = i32::MAX as i64 / (255 * 255);

/// The factors of a node whose result is f32, where both are dequantised.
fn factors(rewriter: &Rewriter, site: &Site) -> Option<[Quantized; 2]> {
    let view = rewriter.view();
    let [a, b] = site.inputs[..] else { return None };
    (view.ty(a).dtype == DType::F32).then_some(())?;
    Some([Quantized::read(view, a)?, Quantized::read(view, b)?])
}

/// How many products a sum has.
fn depth<'a>(dims: impl IntoIterator<Item = &'a Expr>) -> Option<i64> {
    Expr::product(dims).as_const().filter(|count| (0..=MOST_PRODUCTS).contains(count))
}

pub fn contract(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let [a, b] = factors(rewriter, site)?;
    let spec = Spec::read(&site.node.attrs).ok()?;
    let summed = spec.summed();
    summed.iter().all(|letter| spec.a.contains(letter) && spec.b.contains(letter)).then_some(())?;
    let dims = rewriter.b.dims(site.inputs[0]).to_vec();
    let depth = depth(summed.iter().filter_map(|letter| Some(&dims[spec.a.iter().position(|own| own == letter)?])))?;
    // each list belongs to an axis of the result
    let place = |list: &List, letters: &[char]| match list.axis {
        Some(axis) => Some(List { axis: Some(spec.out.iter().position(|letter| *letter == letters[axis])?), ..*list }),
        None => Some(list.clone()),
    };
    let place_zero = |zero: &Option<List>, letters: &[char]| zero.as_ref().map_or(Some(None), |zero| place(zero, letters).map(Some));
    let (p, q) = (place_zero(&a.zero, &spec.a)?, place_zero(&b.zero, &spec.b)?);
    let scales = [place(&a.scale, &spec.a)?, place(&b.scale, &spec.b)?];
    site.inputs.iter().for_each(|id| rewriter.covers(*id));
    let codes = [a.codes(rewriter)?, b.codes(rewriter)?];
    let b = &mut rewriter.b;
    let product = b.one("contract", site.node.attrs.clone(), &codes).ok()?;
    let sums = |b: &mut Builder, at: usize| folded(b, codes[at], [&spec.a, &spec.b][at], &spec.out);
    let excess = Excess { p, q, depth }.values(b, spec.out.len(), |b| sums(b, 1), |b| sums(b, 0))?;
    scaled(b, product, &excess, &scales)
}

/// The sums of codes over the letters that the result lacks, in the places of the result's letters.
fn folded(b: &mut Builder, codes: ValueId, letters: &[char], out: &[char]) -> Option<ValueId> {
    let summed: Vec<usize> = (0..letters.len()).filter(|axis| !out.contains(&letters[*axis])).collect();
    let wide = b.convert(codes, DType::I32).ok()?;
    let sums = b.reduce(Monoid::Sum, wide, &summed, Folded::Dropped).ok()?;
    let kept: Vec<char> = letters.iter().filter(|letter| out.contains(letter)).copied().collect();
    let order: Vec<usize> = out.iter().filter_map(|letter| kept.iter().position(|own| own == letter)).collect();
    let sums = b.transpose(sums, &order).ok()?;
    let missing: Vec<usize> = (0..out.len()).filter(|axis| !letters.contains(&out[*axis])).collect();
    b.unsqueeze(sums, &missing).ok()
}

pub fn conv(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let [x, w] = factors(rewriter, site)?;
    let of_axis = |list: Option<&List>, axis: usize| list.and_then(|list| list.axis).is_none_or(|own| own == axis);
    let uniform = |list: Option<&List>| list.is_none_or(|list| list.axis.is_none());
    let fits = uniform(Some(&x.scale)) && uniform(x.zero.as_ref()) && of_axis(Some(&w.scale), 0) && of_axis(w.zero.as_ref(), 0);
    fits.then_some(())?;
    let dims = rewriter.b.dims(site.inputs[1]).to_vec();
    let depth = depth(&dims[1..])?;
    site.inputs.iter().for_each(|id| rewriter.covers(*id));
    let codes = [x.codes(rewriter)?, w.codes(rewriter)?];
    // of a channel of the result
    let of_maps = |list: List| List { axis: list.axis.map(|_| 1), ..list };
    let (p, q) = (x.zero, w.zero.map(of_maps));
    let b = &mut rewriter.b;
    let mut attributes = site.node.attrs.clone();
    let padded = match &p {
        Some(p) => padded(b, codes[0], p, &mut attributes)?,
        None => codes[0],
    };
    let product = b.one("conv", attributes.clone(), &[padded, codes[1]]).ok()?;
    let groups = attrs::groups(&attributes).ok()?;
    let of_weights = |b: &mut Builder| {
        let wide = b.convert(codes[1], DType::I32).ok()?;
        let axes: Vec<usize> = (1..dims.len()).collect();
        let sums = b.reduce(Monoid::Sum, wide, &axes, Folded::Dropped).ok()?;
        b.unsqueeze(sums, &(1..dims.len() - 1).collect::<Vec<_>>()).ok()
    };
    let of_windows = |b: &mut Builder| {
        let maps = if groups == 1 { Expr::one() } else { dims[0].clone() };
        let ones = ones(b, &[&[maps], &dims[1..]].concat())?;
        b.one("conv", attributes.clone(), &[padded, ones]).ok()
    };
    let excess = Excess { p, q, depth }.values(b, dims.len(), of_weights, of_windows)?;
    scaled(b, product, &excess, &[x.scale, of_maps(w.scale)])
}

/// The codes with a border of their zero point, where the convolution has a border: that is what its zeros stand for.
fn padded(b: &mut Builder, codes: ValueId, zero: &List, attributes: &mut ir::Attrs) -> Option<ValueId> {
    let side = |attributes: &mut ir::Attrs, name: &'static str| {
        let pads = attrs::ints(attributes, name).ok()?.to_vec();
        attributes.insert(name, Attr::Ints(vec![0; pads.len()]));
        Some([0, 0].into_iter().chain(pads).map(Expr::from).collect::<Vec<Expr>>())
    };
    let (low, high) = (side(attributes, "low")?, side(attributes, "high")?);
    let zero = b.reshape(zero.value, &[]).ok()?;
    b.pad(codes, zero, &low, &high).ok()
}

/// More weights of one are no constant.
const MOST_ONES: i64 = 1 << 20;

fn ones(b: &mut Builder, dims: &[Expr]) -> Option<ValueId> {
    let known: Option<Vec<usize>> = dims.iter().map(|dim| dim.as_const().map(|dim| dim as usize)).collect();
    match known.filter(|_| Expr::product(dims).as_const().is_some_and(|count| count <= MOST_ONES)) {
        Some(dims) => Some(b.graph.constant(Tensor::from_array(&Array::filled(DType::I8, dims, Literal::Int(1))), None, "ones")),
        None => {
            let one = b.scalar(DType::I8, Literal::Int(1));
            b.broadcast(one, dims).ok()
        }
    }
}

/// What zero points add to a sum of products.
struct Excess {
    p: Option<List>,
    q: Option<List>,
    depth: i64,
}

impl Excess {
    /// `p (sum b - K q)` and `q sum a`, for expansion to the result.
    fn values(
        self,
        b: &mut Builder,
        rank: usize,
        of_second: impl FnOnce(&mut Builder) -> Option<ValueId>,
        of_first: impl FnOnce(&mut Builder) -> Option<ValueId>,
    ) -> Option<Vec<ValueId>> {
        let wide = |b: &mut Builder, list: &List| {
            let value = list.along(b, rank)?;
            b.convert(value, DType::I32).ok()
        };
        let mut excess = Vec::new();
        if let Some(p) = &self.p {
            let (p, mut sums) = (wide(b, p)?, of_second(b)?);
            if let Some(q) = &self.q {
                let q = wide(b, q)?;
                let all = b.map_number(Func::Mul, q, self.depth as f64).ok()?;
                sums = b.map_broadcast(Func::Sub, &[sums, all]).ok()?;
            }
            excess.push(b.map_broadcast(Func::Mul, &[p, sums]).ok()?);
        }
        if let Some(q) = &self.q {
            let (q, sums) = (wide(b, q)?, of_first(b)?);
            excess.push(b.map_broadcast(Func::Mul, &[q, sums]).ok()?);
        }
        Some(excess)
    }
}

/// `(product - excess..) * scales..`, in f32.
fn scaled(b: &mut Builder, product: ValueId, excess: &[ValueId], scales: &[List; 2]) -> Option<Vec<ValueId>> {
    let dims = b.dims(product).to_vec();
    let exact = excess.iter().try_fold(product, |left, excess| {
        let excess = b.broadcast(*excess, &dims).ok()?;
        b.map(Func::Sub, &[left, excess]).ok()
    })?;
    let numbers = b.convert(exact, DType::F32).ok()?;
    let [first, second] = scales;
    let (first, second) = (first.along(b, dims.len())?, second.along(b, dims.len())?);
    let factor = b.map_broadcast(Func::Mul, &[first, second]).ok()?;
    let factor = b.broadcast(factor, &dims).ok()?;
    Some(vec![b.map(Func::Mul, &[numbers, factor]).ok()?])
}
