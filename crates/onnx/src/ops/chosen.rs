//! What is picked out of tensors by their elements, so that its size depends on data: what is not zero, what is marked, what is distinct.

use super::order::Order;
use super::position::running;
use super::{Entry, network};
use crate::import::{Call, Outcome, one};
use ::ops::{Builder, Folded, Scan};
use ir::guard::Condition;
use ir::{Code, DType, Diagnostic, Graph, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("NonZero", 9, non_zero), Entry("Compress", 9, compress), Entry("Unique", 11, unique)];

/// The most elements of which all pairs are compared.
const MOST_PAIRED: i64 = 1024;

type Result<T> = std::result::Result<T, Diagnostic>;

/// The coordinates of the elements that are not zero, in row-major order: a column for each of them.
fn non_zero(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let x = call.value(0)?;
    let b = call.b();
    let flags = if b.dtype(x) == DType::Bool { x } else { b.map_number(Func::NotEqual, x, 0.0)? };
    let flags = b.reshape(flags, &[Expr::product(&dims)])?;
    let places = places(call, flags)?;
    let count = call.b().dims(places)[0].clone();
    if dims.is_empty() {
        let none = call.b().ints(DType::I64, vec![0, 1], vec![]);
        return one(call.b().broadcast(none, &[Expr::zero(), count])?);
    }
    let rows = coordinates(call.b(), places, &dims)?;
    one(stacked(call.b(), &rows, 0)?)
}

/// Row-major places as a coordinate for each axis.
pub fn coordinates(b: &mut Builder, places: ValueId, dims: &[Expr]) -> Result<Vec<ValueId>> {
    let mut rows = Vec::new();
    for axis in 0..dims.len() {
        let (stride, size) = (b.size(&Expr::product(&dims[axis + 1..]), DType::I64)?, b.size(&dims[axis], DType::I64)?);
        let row = b.map_broadcast(Func::Div, &[places, stride])?;
        rows.push(if axis == 0 { row } else { b.map_broadcast(Func::Rem, &[row, size])? });
    }
    Ok(rows)
}

/// Tensors along a new axis.
pub fn stacked(b: &mut Builder, tensors: &[ValueId], axis: usize) -> Result<ValueId> {
    let rows = tensors.iter().map(|tensor| b.unsqueeze(*tensor, &[axis])).collect::<Result<Vec<ValueId>>>()?;
    b.concat(&rows, axis)
}

/// The places at which flags `[n]` hold, in order: as many as a call counts.
pub fn places(call: &mut Call, flags: ValueId) -> Result<ValueId> {
    let size = call.b().dims(flags)[0].clone();
    let b = call.b();
    let ones = b.convert(flags, DType::I64)?;
    let count = b.reduce(Monoid::Sum, ones, &[0], Folded::Dropped)?;
    let before = running(b, Monoid::Sum, ones, 0, (true, false))?;
    let count = call.computed_size(count, &size)?;
    let b = call.b();
    let all = b.iota(&[size], 0, DType::I64)?;
    compacted(b, flags, before, all, &count)
}

/// The `count` rows of `x` whose flags hold, each at its own of the places `to`.
fn compacted(b: &mut Builder, flags: ValueId, to: ValueId, x: ValueId, count: &Expr) -> Result<ValueId> {
    let mut dims = b.dims(x).to_vec();
    // the others go to one more row
    let behind = b.size(&dims[0], DType::I64)?;
    let to = b.map_broadcast(Func::Select, &[flags, to, behind])?;
    dims[0] = &dims[0] + 1;
    let zero = b.number(b.dtype(x), 0.0);
    let room = b.broadcast(zero, &dims)?;
    let index = b.unsqueeze(to, &[1])?;
    let all = b.scatter_nd([room, index, x], None)?;
    b.slice_axis(all, 0, &Expr::zero(), count)
}

/// The slices of an axis, or the elements, for which the condition holds.
fn compress(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let axis = call.int("axis")?.map(|axis| call.normal_axis(axis, dims.len())).transpose()?;
    let size = axis.map_or_else(|| Expr::product(&dims), |axis| dims[axis].clone());
    let indices = match call.known(1).and_then(|known| known.constants()) {
        Some(flags) => {
            let places: Vec<i64> = (0..).zip(flags).filter(|(_, holds)| *holds != 0).map(|(at, _)| at).collect();
            if let Some(last) = places.last() {
                call.guard(Condition::AtLeast(size.clone(), Expr::from(last + 1)));
            }
            call.b().ints(DType::I64, vec![places.len()], places)
        }
        None => {
            let flags = call.value(1)?;
            let [length] =
                <[Expr; 1]>::try_from(call.dims(1)?).map_err(|dims| call.error(Code::Shape, format!("a condition of {dims:?}")))?;
            call.guard(Condition::AtLeast(size.clone(), length));
            places(call, flags)?
        }
    };
    let x = call.value(0)?;
    let b = call.b();
    let x = if axis.is_some() { x } else { b.reshape(x, &[size])? };
    one(b.gather(x, indices, axis.unwrap_or(0))?)
}

/// The distinct slices of an axis, or elements, in order or as they come first; where each comes first, which of them each slice is, and
/// how often each comes. Elements are sorted; of few of them, and of slices, all pairs are compared.
fn unique(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let axis = call.int("axis")?.map(|axis| call.normal_axis(axis, dims.len())).transpose()?;
    let sorted = call.flag_or("sorted", true)?;
    let x = call.value(0)?;
    let b = call.b();
    let size = axis.map_or_else(|| Expr::product(&dims), |axis| dims[axis].clone());
    let first_axis: Vec<usize> = axis.into_iter().chain((0..dims.len()).filter(|other| Some(*other) != axis)).collect();
    let turned = if axis.is_some() { b.transpose(x, &first_axis)? } else { b.reshape(x, std::slice::from_ref(&size))? };
    let turned_dims = b.dims(turned).to_vec();
    let rows = b.reshape(turned, &[size.clone(), Expr::product(&turned_dims[1..])])?;
    let are_many = turned_dims.len() == 1 && size.as_const().is_none_or(|size| size > MOST_PAIRED);
    let Distinct { first, rank } = if are_many { distinct_elements(b, turned, sorted)? } else { distinct(b, rows, sorted)? };
    let ones = b.convert(first, DType::I64)?;
    let count = b.reduce(Monoid::Sum, ones, &[0], Folded::Dropped)?;
    let count = call.computed_size(count, &size)?;
    let b = call.b();
    let values = compacted(b, first, rank, turned, &count)?;
    let back: Vec<usize> = (0..first_axis.len()).map(|to| first_axis.iter().position(|from| *from == to).unwrap_or(to)).collect();
    let values = if axis.is_some() { b.transpose(values, &back)? } else { values };
    let places = b.iota(std::slice::from_ref(&size), 0, DType::I64)?;
    let indices = compacted(b, first, rank, places, &count)?;
    let (zero, one) = (b.number(DType::I64, 0.0), b.number(DType::I64, 1.0));
    let (none, each) = (b.broadcast(zero, std::slice::from_ref(&size))?, b.broadcast(one, &[size])?);
    let index = b.unsqueeze(rank, &[1])?;
    let counts = b.scatter_nd([none, index, each], Some(Monoid::Sum))?;
    let counts = b.slice_axis(counts, 0, &Expr::zero(), &count)?;
    Ok(vec![values.into(), indices.into(), rank.into(), counts.into()])
}

/// Of rows: whether each is the first of its kind, and the place of its kind among all.
struct Distinct {
    first: ValueId,
    rank: ValueId,
}

/// Equal elements stand beside each other when they are sorted, the first of them in front.
fn distinct_elements(b: &mut Builder, x: ValueId, sorted: bool) -> Result<Distinct> {
    let size = b.dims(x)[0].clone();
    let order = Order { largest: false, axis: 0, dtype: b.dtype(x), size: size.clone() };
    let (keys, ranks) = order.keys(b, x)?;
    let [keys, ranks] = network::sorted(b, [keys, ranks], 0, false)?;
    let places = order.indices(b, ranks)?;
    // a NaN has the key of infinity, and another rank than its place
    let is_nan = b.map(Func::NotEqual, &[ranks, places])?;
    let index = b.iota(std::slice::from_ref(&size), 0, DType::I64)?;
    let before = b.map_number(Func::Sub, index, 1.0)?;
    let before = b.map_number(Func::Max, before, 0.0)?;
    let mut fresh = b.map_number(Func::Equal, index, 0.0)?;
    for tensor in [keys, is_nan] {
        let other = b.gather(tensor, before, 0)?;
        let differs = b.map(Func::NotEqual, &[tensor, other])?;
        fresh = b.map(Func::Or, &[fresh, differs])?;
    }
    let ones = b.convert(fresh, DType::I64)?;
    let kind = running(b, Monoid::Sum, ones, 0, (false, false))?;
    let kind = b.map_number(Func::Sub, kind, 1.0)?;
    let first = turned_back(b, places, fresh)?;
    let rank = if sorted {
        kind
    } else {
        let ones = b.convert(first, DType::I64)?;
        let before = running(b, Monoid::Sum, ones, 0, (true, false))?;
        let own = b.gather(before, places, 0)?;
        let of_kinds = compacted(b, fresh, kind, own, &size)?;
        b.gather(of_kinds, kind, 0)?
    };
    Ok(Distinct { first, rank: turned_back(b, places, rank)? })
}

/// The elements of `x`, each at its own of the places.
fn turned_back(b: &mut Builder, places: ValueId, x: ValueId) -> Result<ValueId> {
    let zero = b.number(b.dtype(x), 0.0);
    let size = b.dims(x)[0].clone();
    let room = b.broadcast(zero, &[size])?;
    b.scatter_elements([room, places, x], 0, None)
}

fn distinct(b: &mut Builder, rows: ValueId, sorted: bool) -> Result<Distinct> {
    let size = b.dims(rows)[0].clone();
    let pairs = [size.clone(), size.clone()];
    let [less, equal] = compared(b, rows)?;
    let (this, other) = (b.iota(&pairs, 0, DType::I64)?, b.iota(&pairs, 1, DType::I64)?);
    let earlier = b.map(Func::Less, &[other, this])?;
    let earlier = b.map(Func::And, &[equal, earlier])?;
    let repeated = b.reduce(Monoid::Or, earlier, &[1], Folded::Dropped)?;
    let first = b.map(Func::Not, &[repeated])?;
    let all_firsts = b.broadcast(first, &pairs)?;
    let rank = if sorted {
        let below = b.map(Func::And, &[less, all_firsts])?;
        let below = b.convert(below, DType::I64)?;
        b.reduce(Monoid::Sum, below, &[1], Folded::Dropped)?
    } else {
        let ones = b.convert(first, DType::I64)?;
        let before = running(b, Monoid::Sum, ones, 0, (true, false))?;
        let before = b.broadcast(before, &pairs)?;
        let own = b.map(Func::And, &[equal, all_firsts])?;
        let zero = b.number(DType::I64, 0.0);
        let own = b.map_broadcast(Func::Select, &[own, before, zero])?;
        b.reduce(Monoid::Sum, own, &[1], Folded::Dropped)?
    };
    Ok(Distinct { first, rank })
}

/// Whether row `j` comes before row `i`, and whether they are equal, at `[i, j]`. All NaNs are equal, and behind all numbers.
fn compared(b: &mut Builder, rows: ValueId) -> Result<[ValueId; 2]> {
    let (dtype, dims) = (b.dtype(rows), b.dims(rows).to_vec());
    let pairs = [dims[0].clone(), dims[0].clone()];
    if dims[1].is_one() {
        let column = b.reshape(rows, &dims[..1])?;
        return compared_elements(b, column, &pairs);
    }
    let (truth, lie) = (b.number(DType::Bool, 1.0), b.number(DType::Bool, 0.0));
    let carried = [b.broadcast(lie, &pairs)?, b.broadcast(truth, &pairs)?];
    let mut inner = Builder::new("compared");
    inner.location = b.location.clone();
    let [less, equal] = ["less", "equal"].map(|name| inner.input(name, ir::TensorType::new(DType::Bool, pairs.to_vec())));
    let column = inner.input("column", ir::TensorType::new(dtype, dims[..1].to_vec()));
    let region = following(inner, less, equal, column, &pairs)?;
    let scan = Scan { trips: dims[1].clone(), scanned: vec![(rows, 1, false)], stacked: vec![] };
    let results = b.scan(&scan, &carried, &[], region)?;
    Ok([results[0], results[1]])
}

/// One more column: it decides where those before are equal.
fn following(mut b: Builder, less: ValueId, equal: ValueId, column: ValueId, pairs: &[Expr; 2]) -> Result<Graph> {
    let [own_less, own_equal] = compared_elements(&mut b, column, pairs)?;
    let decided = b.map(Func::And, &[equal, own_less])?;
    let less = b.map(Func::Or, &[less, decided])?;
    let equal = b.map(Func::And, &[equal, own_equal])?;
    b.output("less", less);
    b.output("equal", equal);
    Ok(b.finish())
}

fn compared_elements(b: &mut Builder, column: ValueId, pairs: &[Expr; 2]) -> Result<[ValueId; 2]> {
    let this = b.unsqueeze(column, &[1])?;
    let (this, other) = (b.broadcast(this, pairs)?, b.broadcast(column, pairs)?);
    let (less, equal) = (b.map(Func::Less, &[other, this])?, b.map(Func::Equal, &[other, this])?);
    if !b.dtype(column).is_float() {
        return Ok([less, equal]);
    }
    let (this, other) = (b.map(Func::IsNan, &[this])?, b.map(Func::IsNan, &[other])?);
    let is_number = b.map(Func::Not, &[other])?;
    let (behind, both) = (b.map(Func::And, &[is_number, this])?, b.map(Func::And, &[other, this])?);
    Ok([b.map(Func::Or, &[less, behind])?, b.map(Func::Or, &[equal, both])?])
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_types};

    #[test]
    fn what_holds_is_kept() {
        check("x: f32[2, n] c: bool[3] = 0 1 1 y = Compress {axis = 1} (x, c) => y", &["f32[2, 3] 1 2 3 4 5 6"], &["f32[2, 2] 2 3 5 6"]);
        check("x: f32[2, n] c: bool[4] = 0 1 0 1 y = Compress(x, c) => y", &["f32[2, 3] 1 2 3 4 5 6"], &["f32[2] 2 4"]);
        let text = "x: f32[2, n] c: bool[k] y = Compress {axis = 1} (x, c) => y";
        check(text, &["f32[2, 3] 1 2 3 4 5 6", "bool[2] 0 1"], &["f32[2, 1] 2 5"]);
        check(text, &["f32[2, 3] 1 2 3 4 5 6", "bool[3] 0 0 0"], &["f32[2, 0]"]);
    }

    #[test]
    fn what_is_not_zero_is_found() {
        check("x: f32[2, n] y = NonZero(x) => y", &["f32[2, 3] 0 nan 3 4 0 -1"], &["i64[2, 4] 0 0 1 1 1 2 0 2"]);
        check("x: f32[2, n] y = NonZero(x) => y", &["f32[2, 0]"], &["i64[2, 0]"]);
        check("x: bool[] y = NonZero(x) => y", &["bool[] 1"], &["i64[0, 1]"]);
        check_types("x: f32[2, n] y = NonZero(x) z = Gather(x, y) s = Shape(y) => y, s", &["i64[2, count.0]", "i64[2]", "2*n >= count.0"]);
        let text = "x: f32[n] y = NonZero(x) s = Shape(y) z = Transpose(y) w = GatherND(x, z) one: i64[] = 1 k = Gather(s, one)
            d: i64[1] = -1 l = Reshape(k, d) e = ConstantOfShape(l) a = Add(e, w) => a";
        check(text, &["f32[4] 5 0 6 7"], &["f32[3] 5 6 7"]);
    }

    #[test]
    fn distinct_elements() {
        let text = |attributes: &str| format!("x: f32[n] a, i, j, k = Unique {{{attributes}}} (x) => a, i, j, k");
        let x = ["f32[6] 2 1 1 3 4 3"];
        check(&text("sorted = 1"), &x, &["f32[4] 1 2 3 4", "i64[4] 1 0 3 4", "i64[6] 1 0 0 2 3 2", "i64[4] 2 1 2 1"]);
        check(&text("sorted = 0"), &x, &["f32[4] 2 1 3 4", "i64[4] 0 1 3 4", "i64[6] 0 1 1 2 3 2", "i64[4] 1 2 2 1"]);
        check(&text("sorted = 1"), &["f32[3] nan 5 nan"], &["f32[2] 5 NaN", "i64[2] 1 0", "i64[3] 1 0 1", "i64[2] 1 2"]);
        let pairs = text("sorted = 0").replace("f32[n]", "f32[6]");
        check(&pairs, &x, &["f32[4] 2 1 3 4", "i64[4] 0 1 3 4", "i64[6] 0 1 1 2 3 2", "i64[4] 1 2 2 1"]);
        check(&text("sorted = 0"), &["f32[4] nan inf nan inf"], &["f32[2] NaN inf", "i64[2] 0 1", "i64[4] 0 1 0 1", "i64[2] 2 2"]);
        check(&text("sorted = 1"), &["f32[0]"], &["f32[0]", "i64[0]", "i64[0]", "i64[0]"]);
        let rows = "x: i64[n, 2] a, i, j, k = Unique {axis = 0} (x) => a, i, j, k";
        check(rows, &["i64[3, 2] 1 5 0 7 1 5"], &["i64[2, 2] 0 7 1 5", "i64[2] 1 0", "i64[3] 1 0 1", "i64[2] 1 2"]);
        let columns = "x: i64[2, n] a, i, j, k = Unique {axis = 1} (x) => a";
        check(columns, &["i64[2, 3] 1 0 1 5 7 5"], &["i64[2, 2] 0 1 7 5"]);
    }
}
