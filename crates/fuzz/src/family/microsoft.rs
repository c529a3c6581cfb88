//! Operators that onnxruntime's tools put in the place of patterns.

use super::chain::rows;
use super::window::{Window, images};
use crate::draft;
use crate::generator::{Form, Generator, Id};
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

/// Pairs of elements turned by rows of tables, from a first position on or at given ones.
pub fn rotary(generator: &mut Generator) -> Option<Id> {
    let (batch, length, float) = (generator.dim(), generator.dim(), generator.float);
    let (heads, half) = (generator.random.between(1, 3), generator.random.one_of([1, 2, 4, 5]));
    let flat = generator.random.chance(50);
    let dims = match flat {
        true => vec![batch.clone(), length.clone(), Expr::from(2 * half * heads)],
        false => vec![batch.clone(), Expr::from(heads), length.clone(), Expr::from(2 * half)],
    };
    let x = generator.input(float, &dims, Interval::around_zero(1.0))?;
    let rows = generator.largest(&length) + generator.random.between(0, 3);
    let positions = match generator.random.chance(50) {
        true => generator.input(DType::I64, &[batch, length.clone()], Interval::new(0.0, rows as f64 - 1.0))?,
        false => generator.input(DType::I64, &[Expr::one()], Interval::new(0.0, (rows - generator.largest(&length)) as f64))?,
    };
    let table = [rows as usize, half as usize];
    let [cos, sin] = [(); 2].map(|()| generator.weight("table", float, &table, 1.0));
    let mut attributes = vec![draft::int("interleaved", generator.random.between(0, 1))];
    if flat && generator.random.chance(40) {
        attributes.push(draft::int("num_heads", heads));
    }
    let form = generator.form(x).within(Interval::around_zero(2.0)).rounded();
    generator.emit("com.microsoft.RotaryEmbedding", &[x, positions, cos?, sin?], attributes, form)
}

/// Attention of projections of one input, with a mask and earlier keys.
pub fn self_attention(generator: &mut Generator) -> Option<Id> {
    let (batch, length, float) = (generator.dim(), generator.dim(), generator.float);
    let (heads, size, width) =
        (generator.random.between(1, 3), generator.random.one_of([1, 2, 4, 8]), generator.random.one_of([1, 3, 8, 16]));
    let past = if generator.random.chance(30) { Some(generator.dim()) } else { None };
    let all = past.iter().fold(length.clone(), |sum, past| &sum + past);
    let hidden = heads * size;
    if !generator.is_quick([&batch, &length, &all, &Expr::from(2 * hidden)]) {
        return None;
    }
    let x = generator.input(float, &[batch.clone(), length.clone(), Expr::from(width)], Interval::around_zero(1.0))?;
    let weights = generator.weight("weight", float, &[width as usize, 3 * hidden as usize], 1.0 / (width as f64).sqrt())?;
    let bias = if generator.random.chance(60) { Some(generator.weight("bias", float, &[3 * hidden as usize], 0.5)?) } else { None };
    let mask = match generator.random.below(3) {
        0 => Some(generator.input(DType::I32, &[batch.clone(), all.clone()], Interval::BOOL)?),
        _ => None,
    };
    let most = (width as f64).sqrt() + 0.5;
    let result =
        generator.form(x).of(vec![batch.clone(), length, Expr::from(hidden)]).within(Interval::around_zero(most.max(1.0))).rounded();
    let mut forms = vec![result];
    let mut earlier = None;
    if let Some(past) = past {
        let dims = |length: Expr| vec![Expr::from(2), batch.clone(), Expr::from(heads), length, Expr::from(size)];
        earlier = Some(generator.input(float, &dims(past), Interval::around_zero(1.0))?);
        forms.push(forms[0].of(dims(all)));
    }
    let attributes = vec![draft::int("num_heads", heads), draft::int("unidirectional", generator.random.between(0, 1))];
    let operands = [Some(x), Some(weights), bias, mask, earlier];
    generator.emit_all("com.microsoft.Attention", &operands, attributes, forms)?.first().copied()
}

/// Attention of grouped heads over buffers of keys and values: a first call, or one after others.
pub fn group_query(generator: &mut Generator) -> Option<Id> {
    let (batch, float) = (generator.dim(), generator.float);
    let (length, size) = (generator.random.between(1, 9), generator.random.one_of([2, 4, 8]));
    let (few, group) = (generator.random.between(1, 2), generator.random.between(1, 3));
    let buffer = if generator.random.chance(50) { Some(length + generator.random.between(1, 6)) } else { None };
    let total = buffer.map_or(length, |buffer| generator.random.between(length + 1, buffer));
    let all = Expr::from(buffer.unwrap_or(length));
    if !generator.is_quick([&batch, &Expr::from(length * few * group), &all, &Expr::from(2 * size)]) {
        return None;
    }
    let unit = Interval::around_zero(1.0);
    let side = |heads: i64| [batch.clone(), Expr::from(length), Expr::from(heads * size)];
    let q = generator.input(float, &side(few * group), unit)?;
    let [k, v] = [(); 2].map(|()| generator.input(float, &side(few), unit));
    let kept = vec![batch.clone(), Expr::from(few), all, Expr::from(size)];
    let mut earlier = [None; 2];
    if buffer.is_some() {
        for earlier in &mut earlier {
            *earlier = Some(generator.input(float, &kept, unit)?);
        }
    }
    let last = generator.input(DType::I32, std::slice::from_ref(&batch), Interval::new(length as f64 - 1.0, total as f64 - 1.0))?;
    let total = generator.number(DType::I32, total as f64);
    let mut attributes = vec![draft::int("num_heads", few * group), draft::int("kv_num_heads", few)];
    if generator.random.chance(30) {
        attributes.push(draft::int("local_window_size", generator.random.between(1, 4)));
    }
    let mut operands = vec![Some(q), Some(k?), Some(v?), earlier[0], earlier[1], Some(last), Some(total)];
    if generator.random.chance(50) {
        attributes.push(draft::int("do_rotary", 1));
        let rows = buffer.unwrap_or(length) as usize;
        for _ in 0..2 {
            operands.push(Some(generator.weight("table", float, &[rows, size as usize / 2], 1.0)?));
        }
    }
    let result = generator.form(q).within(unit).rounded();
    let buffers = result.of(kept).within(Interval::around_zero(2.0));
    let forms = vec![result, buffers.clone(), buffers];
    generator.emit_all("com.microsoft.GroupQueryAttention", &operands, attributes, forms)?.first().copied()
}

/// The normalised sum of the embeddings of words, positions and segments.
pub fn embedding(generator: &mut Generator) -> Option<Id> {
    let (batch, length, float) = (generator.dim(), generator.dim(), generator.float);
    let width = generator.random.one_of([4, 8, 17, 32]);
    let rows = generator.size().max(1);
    let ids = [batch.clone(), length.clone()];
    let words = generator.input(DType::I32, &ids, Interval::new(0.0, rows as f64 - 1.0))?;
    let table = |generator: &mut Generator, rows: i64| generator.weight("table", float, &[rows as usize, width as usize], 1.0);
    let word_table = table(generator, rows)?;
    let longest = generator.largest(&length).max(1);
    let place_table = table(generator, longest + 2)?;
    let (mut segments, mut segment_table) = (None, None);
    if generator.random.chance(60) {
        segments = Some(generator.input(DType::I32, &ids, Interval::BOOL)?);
        segment_table = Some(table(generator, 2)?);
    }
    let scale = generator.weight_within("scale", float, &[width as usize], Interval::new(0.5, 1.5))?;
    let bias = generator.weight("bias", float, &[width as usize], 1.0)?;
    let mask = if generator.random.chance(50) { Some(generator.input(DType::I32, &ids, Interval::BOOL)?) } else { None };
    let most = 1.5 * (width as f64).sqrt() + 1.0;
    let dims = vec![batch.clone(), length.clone(), Expr::from(width)];
    let normal = Form { dtype: float, dims, interval: Interval::around_zero(most), exact: false };
    let counts = Interval::new(0.0, generator.largest(&length) as f64);
    let counts = Form { dtype: DType::I32, dims: vec![batch], interval: counts, exact: true };
    let operands = [Some(words), segments, Some(word_table), Some(place_table), segment_table, Some(scale), Some(bias), mask];
    let attributes = vec![draft::float("epsilon", 1e-3)];
    generator.emit_all("com.microsoft.EmbedLayerNormalization", &operands, attributes, vec![normal, counts])?.first().copied()
}

/// A convolution with an activation, to which a tensor is added before.
pub fn conv(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let x = generator.tame(x, 8.0)?;
    let form = generator.form(x).clone();
    let (channels, maps) = (form.dims[1].as_const()?, generator.random.one_of([1, 2, 8, 17]));
    let window = Window::draw(generator, &form.dims[2..]);
    let dims = [&[form.dims[0].clone(), Expr::from(maps)], &window.positions(generator, &form.dims[2..])?[..]].concat();
    let count = channels * window.count();
    if !generator.is_quick(dims.iter().chain([&Expr::from(count)])) {
        return None;
    }
    let shape: Vec<usize> = [&[maps, channels], &window.taps[..]].concat().into_iter().map(|size| size as usize).collect();
    let w = generator.weight("weight", form.dtype, &shape, 1.0 / (count as f64).sqrt())?;
    let bias = generator.weight("bias", form.dtype, &[maps as usize], 1.0)?;
    let added = if generator.random.chance(50) { generator.tensor(form.dtype, &dims, Interval::around_zero(1.0)) } else { None };
    let mut attributes = window.attributes(generator);
    let (name, parameters): (&str, &[f32]) = generator.random.one_of([
        ("Relu", &[][..]),
        ("Tanh", &[]),
        ("Sigmoid", &[]),
        ("LeakyRelu", &[0.25]),
        ("Clip", &[-0.5, 2.0]),
        ("HardSigmoid", &[0.25, 0.5]),
    ]);
    attributes.push(draft::text("activation", name));
    if !parameters.is_empty() {
        attributes.push(draft::floats("activation_params", parameters));
    }
    let most = (count as f64).sqrt() * form.interval.largest() + 2.0;
    let result = form.of(dims).within(Interval::around_zero(most)).rounded();
    generator.emit_all("com.microsoft.FusedConv", &[Some(x), Some(w), Some(bias), added], attributes, vec![result])?.first().copied()
}
