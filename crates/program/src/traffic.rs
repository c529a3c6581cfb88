//! How much memory a kernel has to touch.

use crate::physical::PhysicalGroup;
use nest::{Index, Nest, ScalarOp};
use sym::Sym;

/// For each buffer of a group, the bytes of the elements that its nests read or write, each counted once; NaN where the sizes that decide
/// it have no value. It is an upper bound: what several reads share beyond the buffer's size is counted for each, and so is what two points
/// share where an index mixes iterators.
pub fn bytes(group: &PhysicalGroup, size: &dyn Fn(&Sym) -> Option<i64>) -> Vec<f64> {
    let mut elements = vec![0.0; group.buffers.len()];
    let dims: Vec<Vec<f64>> =
        group.buffers.iter().map(|buffer| buffer.ty.dims.iter().map(|dim| number(dim.eval(size))).collect()).collect();
    for stage in &group.stages {
        let reads = stage.nest.body.iter().filter_map(|scalar| match &scalar.op {
            ScalarOp::Read(read) => Some((stage.operands[read.operand], &read.index)),
            _ => None,
        });
        let writes = stage.writes.iter().copied().zip(stage.nest.writes.iter().map(|write| &write.index));
        for (buffer, index) in reads.chain(writes) {
            elements[buffer] += touched(&stage.nest, index, &dims[buffer], size);
        }
    }
    let capped = |(at, elements): (usize, f64)| elements.min(dims[at].iter().product()) * group.buffers[at].ty.dtype.size() as f64;
    elements.into_iter().enumerate().map(capped).collect()
}

/// The elements that an index walks over: no more along each dim than it has, and than the iterators there have values.
fn touched(nest: &Nest, index: &[Index], dims: &[f64], size: &dyn Fn(&Sym) -> Option<i64>) -> f64 {
    let points = |mentioned: &dyn Fn(&Sym) -> bool| -> f64 {
        nest.iters.iter().filter(|iter| mentioned(&iter.sym)).map(|iter| number(iter.extent.eval(size))).product()
    };
    let along = |(index, dim): (&Index, &f64)| match index {
        Index::Map(map) => dim.min(points(&|sym| map.mentions(sym))),
        Index::Data(_) => *dim,
    };
    let anywhere = |sym: &Sym| index.iter().any(|index| index.as_map().is_none_or(|map| map.mentions(sym)));
    index.iter().zip(dims).map(along).product::<f64>().min(points(&anywhere))
}

fn number(size: Option<i64>) -> f64 {
    size.map_or(f64::NAN, |size| size as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physical::{PhysicalBuffer, PhysicalRole, PhysicalStage};

    fn group(nest: &str, writes: usize) -> PhysicalGroup {
        let nest: Nest = nest.parse().unwrap();
        let input = nest.operands.iter().map(|operand| PhysicalBuffer { ty: operand.ty.clone(), role: PhysicalRole::Input });
        let output = nest.writes.iter().map(|write| PhysicalBuffer { ty: write.ty.clone(), role: PhysicalRole::Output });
        let buffers: Vec<_> = input.chain(output).collect();
        let (operands, writes) = ((0..buffers.len() - writes).collect(), (buffers.len() - writes..buffers.len()).collect());
        PhysicalGroup { outer: vec![], stages: vec![PhysicalStage { nest, operands, writes }], buffers }
    }

    #[test]
    fn windows_strides_and_tables_count_what_they_touch() {
        let window = r#"nest {
  for i0 in 28
  reduce k in 3
  operand x: f32[30]
  operand w: f32[3]
  v0: f32 = x[i0 + k]
  v1: f32 = w[k]
  v2: f32 = mul v0 v1
  v3: f32 = reduce sum v2
  write y: f32[28] at [i0] = v3
}"#;
        assert_eq!(bytes(&group(window, 1), &|_| None), [120.0, 12.0, 112.0]);
        let stride = "nest {\n  for i0 in n\n  operand x: f32[2*n]\n  v0: f32 = x[2*i0]\n  write y: f32[n] at [i0] = v0\n}";
        assert_eq!(bytes(&group(stride, 1), &|_| Some(7)), [28.0, 28.0]);
        assert!(bytes(&group(stride, 1), &|_| None)[0].is_nan());
        let table = r#"nest {
  for i0 in 5, i1 in 8
  operand ids: i64[5]
  operand table: f32[1000, 8]
  v0: i64 = ids[i0]
  v1: f32 = table[@v0, i1]
  write y: f32[5, 8] at [i0, i1] = v1
}"#;
        assert_eq!(bytes(&group(table, 1), &|_| None), [40.0, 160.0, 160.0]);
    }
}
