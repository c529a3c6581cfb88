//! Elements picked by indices.

use super::Entry;
use crate::import::{Call, Known, Outcome, one, sizes};
use ir::guard::Condition;
use ir::{Code, DType};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("Gather", 1, gather),
    Entry("GatherND", 11, gather_nd),
    Entry("GatherElements", 11, gather_elements),
    Entry("ReverseSequence", 10, reverse_sequence),
];

fn gather(call: &mut Call) -> Outcome {
    let axis = call.normal_axis(call.int_or("axis", 0)?, call.rank(0)?)?;
    let indices = call.known(1);
    if let Some(known) = indices.as_ref().and_then(|indices| gathered(&call.known(0)?, indices, axis)) {
        return one(known);
    }
    if let Some(index) = indices.filter(|indices| indices.dims.is_empty()).and_then(|indices| indices.values[0].as_const()) {
        return single(call, axis, index);
    }
    let (data, indices) = (call.value(0)?, call.value(1)?);
    one(call.b().gather(data, indices, axis)?)
}

/// None where an index is not a number within bounds.
fn gathered(data: &Known, indices: &Known, axis: usize) -> Option<Known> {
    let size = data.dims[axis] as i64;
    let normal = |index: i64| usize::try_from(if index < 0 { index + size } else { index }).ok().filter(|index| (*index as i64) < size);
    let at: Vec<usize> = indices.constants()?.into_iter().map(normal).collect::<Option<_>>()?;
    let strides = ir::array::row_major_strides(&indices.dims);
    let dims = [&data.dims[..axis], &indices.dims, &data.dims[axis + 1..]].concat();
    let rank = indices.dims.len();
    data.arranged(dims, |index| {
        let position: usize = index[axis..axis + rank].iter().zip(&strides).map(|(i, stride)| i * stride).sum();
        Some([&index[..axis], &[at[position]], &index[axis + rank..]].concat())
    })
}

/// One known index: a slice, without its axis.
fn single(call: &mut Call, axis: usize, index: i64) -> Outcome {
    let mut dims = call.dims(0)?;
    let dim = dims[axis].clone();
    let (start, needed) = if index < 0 { (&dim + index, -&Expr::from(index)) } else { (Expr::from(index), Expr::from(index) + 1) };
    match sizes::is_nonnegative(&(&dim - &needed)) {
        Some(true) => {}
        Some(false) => return Err(call.error(Code::Index, format!("index {index} is outside of axis {axis}, of size {dim}")).into()),
        None => call.guard(Condition::AtLeast(dim, needed)),
    }
    let x = call.value(0)?;
    let slice = call.b().slice_axis(x, axis, &start, &Expr::one())?;
    dims.remove(axis);
    one(call.b().reshape(slice, &dims)?)
}

fn gather_nd(call: &mut Call) -> Outcome {
    let batch = if call.opset < 12 { 0 } else { call.int_or("batch_dims", 0)? };
    let batch = usize::try_from(batch).map_err(|_| call.attribute_error(format!("attribute `batch_dims` is {batch}")))?;
    let (data, indices) = (call.value(0)?, call.value(1)?);
    one(call.b().gather_nd(data, indices, batch)?)
}

fn gather_elements(call: &mut Call) -> Outcome {
    let axis = call.normal_axis(call.int_or("axis", 0)?, call.rank(0)?)?;
    let (data, indices) = (call.value(0)?, call.value(1)?);
    one(call.b().gather_elements(data, indices, axis)?)
}

/// The first elements of each batch's time axis in the opposite order, as many as `sequence_lens` tells for the batch.
fn reverse_sequence(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let (time, batch) = (call.int_or("time_axis", 0)?, call.int_or("batch_axis", 1)?);
    let (time, batch) = match (time, batch, dims.len()) {
        (0, 1, 2..) => (0, 1),
        (1, 0, 2..) => (1, 0),
        _ => return Err(call.attribute_error(format!("time axis {time} and batch axis {batch} of rank {}", dims.len())).into()),
    };
    let lengths = call.dims(1)?;
    if lengths.len() != 1 {
        return Err(call.error(Code::Shape, format!("the lengths are {}, no vector", call.ty(1)?)).into());
    }
    call.guard(Condition::Equal(lengths[0].clone(), dims[batch].clone()));
    let (x, lengths) = (call.value(0)?, call.value(1)?);
    let along =
        |axis: usize| -> Vec<Expr> { (0..dims.len()).map(|at| if at == axis { dims[axis].clone() } else { Expr::one() }).collect() };
    let b = call.b();
    let lengths = b.convert(lengths, DType::I64)?;
    let lengths = b.reshape(lengths, &along(batch))?;
    let place = b.iota(&along(time), time, DType::I64)?;
    let turned = b.map_broadcast(Func::Less, &[place, lengths])?;
    let last = b.map_number(Func::Sub, lengths, 1.0)?;
    let mirrored = b.map_broadcast(Func::Sub, &[last, place])?;
    let source = b.map_broadcast(Func::Select, &[turned, mirrored, place])?;
    let source = b.broadcast(source, &dims)?;
    one(b.gather_elements(x, source, time)?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types, ops_of};

    #[test]
    fn sequences_are_reversed() {
        let text =
            |time: i64| format!("x: f32[n, 3] l: i64[k] y = ReverseSequence {{time_axis = {time}, batch_axis = {}}} (x, l) => y", 1 - time);
        let x = "f32[3, 3] 1 2 3 4 5 6 7 8 9";
        check(&text(1), &[x, "i64[3] 3 1 2"], &["f32[3, 3] 3 2 1 4 5 6 8 7 9"]);
        check(&text(0), &[x, "i64[3] 3 0 2"], &["f32[3, 3] 7 2 6 4 5 3 1 8 9"]);
        let wrong = "x: f32[2, 2] l: i64[2] y = ReverseSequence {time_axis = 1} (x, l) => y";
        check_problems(wrong, &["[E005] ReverseSequence#0: time axis 1 and batch axis 1 of rank 2"]);
    }

    #[test]
    fn indices_pick() {
        check("x: f32[2, 2] i: i64[2] = -1 0 y = Gather {axis = 1} (x, i) => y", &["f32[2, 2] 1 2 3 4"], &["f32[2, 2] 2 1 4 3"]);
        check("x: f32[2, 2] i: i64[1, 2] = 1 0 y = GatherND(x, i) => y", &["f32[2, 2] 1 2 3 4"], &["f32[1] 3"]);
        check("x: f32[2, 2] i: i64[1, 2] = -1 0 y = GatherElements(x, i) => y", &["f32[2, 2] 1 2 3 4"], &["f32[1, 2] 3 2"]);
    }

    #[test]
    fn one_index_is_a_slice() {
        assert_eq!(ops_of("x: f32[3, 4] i: i64[] = -2 y = Gather(x, i) => y"), "slice reshape");
        check_types("x: f32[2, n] i: i64[] = 3 y = Gather {axis = 1} (x, i) => y", &["f32[2]", "n >= 4"]);
        check_problems("x: f32[3] i: i64[] = 3 y = Gather(x, i) => y", &["[E010] Gather#0: index 3 is outside of axis 0, of size 3"]);
    }
}
