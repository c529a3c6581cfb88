//! Operators that onnxruntime's tools put in the place of patterns.

use super::chain::rows;
use crate::draft;
use crate::generator::{Generator, Id};
use crate::interval::Interval;
use ir::DType;
use sym::Expr;

/// A form of gelu, some of which add a bias first.
pub fn activation(generator: &mut Generator) -> Option<Id> {
    let x = rows(generator)?;
    let x = generator.tame(x, 10.0)?;
    let form = generator.form(x).clone();
    let op = generator.random.one_of(["Gelu", "BiasGelu", "FastGelu", "QuickGelu"]);
    let biased = op == "BiasGelu" || op == "FastGelu" && generator.random.chance(50);
    let width = form.dims.last()?.as_const()? as usize;
    let bias = if biased { Some(generator.weight("bias", form.dtype, &[width], 1.0)?) } else { None };
    let attributes = if op == "QuickGelu" && generator.random.chance(50) { vec![draft::float("alpha", 1.0)] } else { vec![] };
    let most = form.interval.largest() + 1.0;
    let result = form.within(Interval::new(-1.0, most)).rounded();
    generator.emit_all(&format!("com.microsoft.{op}"), &[Some(x), bias], attributes, vec![result])?.first().copied()
}

/// A normalised sum with what skips a layer, or the plain one that divides by the root of the mean square.
pub fn norm(generator: &mut Generator) -> Option<Id> {
    let x = rows(generator)?;
    let form = generator.form(x).clone();
    let width = form.dims.last()?.as_const()? as usize;
    let scale = generator.weight_within("scale", form.dtype, &[width], Interval::new(0.5, 1.5))?;
    let attributes = vec![draft::float("epsilon", generator.random.one_of([1e-5, 1e-3]))];
    let normal = form.within(Interval::around_zero(1.5 * (width as f64).sqrt() + 1.0)).rounded();
    if generator.random.chance(30) {
        return generator.emit("SimplifiedLayerNormalization", &[x, scale], attributes, normal);
    }
    let skip = generator.tensor(form.dtype, &form.dims, Interval::around_zero(1.0))?;
    let mut parameters = || if generator.random.chance(50) { generator.weight("bias", form.dtype, &[width], 1.0) } else { None };
    let (first, second) = (parameters(), parameters());
    match generator.random.chance(50) {
        true => {
            let operands = [Some(x), Some(skip), Some(scale), first, second];
            generator.emit_all("com.microsoft.SkipLayerNormalization", &operands, attributes, vec![normal])
        }
        false => {
            let operands = [Some(x), Some(skip), Some(scale), first];
            generator.emit_all("com.microsoft.SkipSimplifiedLayerNormalization", &operands, attributes, vec![normal])
        }
    }?
    .first()
    .copied()
}

/// A scaled product, in which matrices may be transposed.
pub fn matmul(generator: &mut Generator) -> Option<Id> {
    let x = rows(generator)?;
    let x = generator.tame(x, 10.0)?;
    let form = generator.form(x).clone();
    let (depth, columns) = (form.dims.last()?.as_const()?, generator.size());
    let transposed = generator.random.chance(50);
    let dims = if transposed { [columns, depth] } else { [depth, columns] };
    let weights = generator.weight("weight", form.dtype, &dims.map(|dim| dim as usize), 1.7 / (depth as f64).sqrt())?;
    let mut product = form.dims.clone();
    if !generator.is_quick(product.iter().chain([&Expr::from(columns)])) {
        return None;
    }
    *product.last_mut()? = Expr::from(columns);
    let most = 0.5 * 1.7 * (depth as f64).sqrt() * form.interval.largest();
    let attributes = vec![draft::int("transB", transposed as i64), draft::float("alpha", 0.5)];
    let product = form.of(product).within(Interval::around_zero(most)).rounded();
    generator.emit("com.microsoft.FusedMatMul", &[x, weights], attributes, product)
}

/// A product with weights of few bits, in blocks.
pub fn matmul_of_bits(generator: &mut Generator) -> Option<Id> {
    let x = rows(generator)?;
    let x = generator.tame(x, 10.0)?;
    let form = generator.form(x).clone();
    if form.dtype == DType::F64 {
        return None;
    }
    let (depth, columns, bits) = (form.dims.last()?.as_const()?, generator.size(), generator.random.one_of([2, 4, 4, 4, 8]));
    let block = generator.random.one_of([16, 16, 32]);
    let blocks = (depth + block - 1) / block;
    let bytes = Interval::new(0.0, 255.0);
    let shape = [columns, blocks, block / 8 * bits].map(|dim| dim as usize);
    let codes = generator.weight_within("codes", DType::U8, &shape, bytes)?;
    let most = 2f64.powi(-(bits as i32)) / (depth as f64).sqrt();
    let list = if generator.random.chance(50) { vec![columns * blocks] } else { vec![columns, blocks] };
    let list: Vec<usize> = list.into_iter().map(|dim| dim as usize).collect();
    let scales = generator.weight_within("scales", form.dtype, &list, Interval::new(0.5 * most, most))?;
    let zero = match generator.random.below(3) {
        0 => None,
        1 => Some(generator.weight_within("zero_points", DType::U8, &[columns as usize, (blocks * bits + 7) as usize / 8], bytes)?),
        _ => Some(generator.weight_within("zero_points", form.dtype, &list, Interval::new(0.0, 2f64.powi(bits as i32)))?),
    };
    let bias = if generator.random.chance(40) { Some(generator.weight("bias", form.dtype, &[columns as usize], 1.0)?) } else { None };
    let mut product = form.dims.clone();
    if !generator.is_quick(product.iter().chain([&Expr::from(columns)])) {
        return None;
    }
    *product.last_mut()? = Expr::from(columns);
    let largest = (depth as f64).sqrt() * form.interval.largest() + 1.0;
    let product = form.of(product).within(Interval::around_zero(largest)).rounded();
    let sizes = [("K", depth), ("N", columns), ("bits", bits), ("block_size", block)];
    let attributes = sizes.map(|(name, value)| draft::int(name, value)).to_vec();
    let operands = [Some(x), Some(codes), Some(scales), zero, None, bias];
    generator.emit_all("com.microsoft.MatMulNBits", &operands, attributes, vec![product])?.first().copied()
}

/// Attention of heads side by side, with a bias, a mask of keys, and earlier keys.
pub fn multi_head(generator: &mut Generator) -> Option<Id> {
    let (batch, queries, keys, float) = (generator.dim(), generator.dim(), generator.dim(), generator.float);
    let (heads, size) = (generator.random.between(1, 3), generator.random.one_of([1, 2, 4, 8, 9]));
    let is_causal = generator.random.chance(30);
    let keys = if is_causal { queries.clone() } else { keys };
    let past = if generator.random.chance(30) { Some(generator.dim()) } else { None };
    let all = past.iter().fold(keys.clone(), |sum, past| &sum + past);
    if !generator.is_quick([&batch, &queries, &all, &Expr::from(2 * heads * size)]) {
        return None;
    }
    let unit = Interval::around_zero(1.0);
    let dims = |length: &Expr| vec![batch.clone(), length.clone(), Expr::from(heads * size)];
    let q = generator.input(float, &dims(&queries), unit)?;
    let [k, v] = [(); 2].map(|()| generator.input(float, &dims(&keys), unit));
    let bias = if generator.random.chance(40) { generator.weight("bias", float, &[(3 * heads * size) as usize], 0.5) } else { None };
    let mask = match generator.random.below(3) {
        0 => Some(generator.input(DType::I32, &[batch.clone(), all.clone()], Interval::BOOL)?),
        _ => None,
    };
    let (mut earlier, mut forms) = ([None; 2], vec![generator.form(q).within(Interval::around_zero(1.5)).rounded()]);
    if let Some(past) = &past {
        let split = |length: &Expr| vec![batch.clone(), Expr::from(heads), length.clone(), Expr::from(size)];
        for earlier in &mut earlier {
            *earlier = Some(generator.input(float, &split(past), unit)?);
            forms.push(forms[0].of(split(&all)));
        }
    }
    let mut attributes = vec![draft::int("num_heads", heads)];
    if is_causal {
        attributes.push(draft::int("unidirectional", 1));
    }
    let operands = [Some(q), Some(k?), Some(v?), bias, mask, None, earlier[0], earlier[1]];
    generator.emit_all("com.microsoft.MultiHeadAttention", &operands, attributes, forms)?.first().copied()
}
