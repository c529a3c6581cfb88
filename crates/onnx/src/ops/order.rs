//! The largest or smallest elements along an axis, in order.

use super::activation::lowest;
use super::{Entry, network};
use crate::import::{Call, Outcome, sizes};
use ::ops::{Builder, Folded, Scan};
use ir::guard::Condition;
use ir::{Code, DType, Diagnostic, Graph, Literal, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("TopK", 1, |call| {
        let k = call.int("k")?.ok_or_else(|| call.attribute_error("attribute `k` is missing"))?;
        top_k(call, Expr::from(k), true)
    }),
    Entry("TopK", 10, |call| {
        let k = call.computed_number(1, "k")?;
        top_k(call, k, true)
    }),
    Entry("TopK", 11, |call| {
        call.ignore(&["sorted"]);
        let largest = call.flag_or("largest", true)?;
        let k = call.computed_number(1, "k")?;
        top_k(call, k, largest)
    }),
];

type Result<T> = std::result::Result<T, Diagnostic>;

/// How many passes take as long as a step of a network.
const PASSES_A_STEP: i64 = 16;
/// The size and the number of elements that count where they are not known.
const USUAL_SIZE: i64 = 1 << 12;
/// Larger than any index.
const NOWHERE: i64 = 1 << 62;

/// Few elements are found one in each run of a scan: the largest of those that come behind the one before it, the first of equal ones. So
/// the work is k passes, and the memory that of the results. Where k is large, all elements are sorted.
fn top_k(call: &mut Call, k: Expr, largest: bool) -> Outcome {
    let dims = call.dims(0)?;
    let axis = call.normal_axis(call.int_or("axis", -1)?, dims.len())?;
    let size = &dims[axis];
    if [&k, &(size - &k)].iter().any(|room| sizes::is_nonnegative(room) == Some(false)) {
        return Err(call.error(Code::Shape, format!("{k} of {size} elements")).into());
    }
    call.guard(Condition::AtLeast(k.clone(), Expr::zero()));
    call.guard(Condition::AtLeast(size.clone(), k.clone()));
    let x = call.value(0)?;
    let order = Order { largest, axis, dtype: call.dtype(0)?, size: size.clone() };
    let b = call.b();
    let (keys, ranks) = order.keys(b, x)?;
    let found = if are_few(&k, size) {
        order.passes(b, [keys, ranks], &k)?
    } else {
        let [_, ranks] = network::sorted(b, [keys, ranks], axis, largest)?;
        b.slice_axis(ranks, axis, &Expr::zero(), &k)?
    };
    let indices = order.indices(b, found)?;
    let values = b.gather_elements(x, indices, axis)?;
    Ok(vec![values.into(), indices.into()])
}

/// Whether k passes are cheaper than sorting.
fn are_few(k: &Expr, size: &Expr) -> bool {
    let size = size.as_const().unwrap_or(USUAL_SIZE);
    k.as_const().unwrap_or(size) / PASSES_A_STEP <= network::steps(size)
}

/// The order of elements along an axis.
pub struct Order {
    pub largest: bool,
    pub axis: usize,
    pub dtype: DType,
    pub size: Expr,
}

impl Order {
    /// What elements are ordered by, and then, where that is equal: the index, plus the size where the element comes behind those that
    /// are not so marked. NaN is larger than infinity.
    pub fn keys(&self, b: &mut Builder, x: ValueId) -> Result<(ValueId, ValueId)> {
        let dims = b.dims(x).to_vec();
        let index = b.iota(&dims, self.axis, DType::I64)?;
        if !self.dtype.is_float() {
            return Ok((x, index));
        }
        let is_nan = b.map(Func::IsNan, &[x])?;
        let infinity = b.number(self.dtype, f64::INFINITY);
        let keys = b.map_broadcast(Func::Select, &[is_nan, infinity, x])?;
        let later = if self.largest { b.map(Func::Not, &[is_nan])? } else { is_nan };
        let size = b.size(&self.size, DType::I64)?;
        let behind = b.map_broadcast(Func::Add, &[index, size])?;
        Ok((keys, b.map(Func::Select, &[later, behind, index])?))
    }

    /// What stands behind all elements, in the order.
    fn last(&self) -> Literal {
        match (self.largest, self.dtype) {
            (true, dtype) => lowest(dtype),
            (false, dtype) => highest(dtype),
        }
    }

    fn first(&self) -> Literal {
        if self.largest { highest(self.dtype) } else { lowest(self.dtype) }
    }

    /// The ranks of the k first elements, along the axis.
    fn passes(&self, b: &mut Builder, tensors: [ValueId; 2], k: &Expr) -> Result<ValueId> {
        let mut row = b.dims(tensors[0]).to_vec();
        row[self.axis] = Expr::one();
        let (key, rank) = (b.scalar(self.dtype, self.first()), b.scalar(DType::I64, Literal::Int(-1)));
        let carried = [b.broadcast(key, &row)?, b.broadcast(rank, &row)?];
        let region = self.pass(b, carried, tensors)?;
        let scan = Scan { trips: k.clone(), scanned: vec![], stacked: vec![(self.axis, false)] };
        let results = b.scan(&scan, &carried, &tensors, region)?;
        Ok(results[2])
    }

    /// One run: the key and the rank of the element before, the tensors -> key and rank of the next, and the rank without its axis.
    fn pass(&self, outer: &Builder, carried: [ValueId; 2], tensors: [ValueId; 2]) -> Result<Graph> {
        let mut builder = Builder::new("pass");
        builder.location = outer.location.clone();
        let b = &mut builder;
        let mut given = |names: [&str; 2], ids: [ValueId; 2]| [0, 1].map(|at| b.input(names[at], outer.ty(ids[at]).clone()));
        let [key, rank] = given(["key", "rank"], carried);
        let [keys, ranks] = given(["keys", "ranks"], tensors);
        let comes_behind = if self.largest { Func::Less } else { Func::Greater };
        let behind = b.map_broadcast(comes_behind, &[keys, key])?;
        let equal = b.map_broadcast(Func::Equal, &[keys, key])?;
        let later = b.map_broadcast(Func::Greater, &[ranks, rank])?;
        let later = b.map(Func::And, &[equal, later])?;
        let left = b.map(Func::Or, &[behind, later])?;
        let last = b.scalar(self.dtype, self.last());
        let left_keys = b.map_broadcast(Func::Select, &[left, keys, last])?;
        let best = if self.largest { Monoid::Max } else { Monoid::Min };
        let next_key = b.reduce(best, left_keys, &[self.axis], Folded::Kept)?;
        let hit = b.map_broadcast(Func::Equal, &[keys, next_key])?;
        let hit = b.map(Func::And, &[hit, left])?;
        let nowhere = b.scalar(DType::I64, Literal::Int(NOWHERE));
        let hits = b.map_broadcast(Func::Select, &[hit, ranks, nowhere])?;
        let next_rank = b.reduce(Monoid::Min, hits, &[self.axis], Folded::Kept)?;
        let mut slice = b.dims(next_rank).to_vec();
        slice.remove(self.axis);
        let stacked = b.reshape(next_rank, &slice)?;
        for (name, id) in ["next_key", "next_rank", "found"].into_iter().zip([next_key, next_rank, stacked]) {
            b.output(name, id);
        }
        Ok(builder.finish())
    }

    /// Ranks as indices.
    pub fn indices(&self, b: &mut Builder, ranks: ValueId) -> Result<ValueId> {
        if !self.dtype.is_float() {
            return Ok(ranks);
        }
        let size = b.size(&self.size, DType::I64)?;
        let less = b.map_broadcast(Func::Sub, &[ranks, size])?;
        let zero = b.number(DType::I64, 0.0);
        let is_index = b.map_broadcast(Func::Less, &[less, zero])?;
        b.map(Func::Select, &[is_index, ranks, less])
    }
}

fn highest(dtype: DType) -> Literal {
    match dtype.int_range() {
        // the bits of the largest number
        Some(_) if dtype == DType::U64 => Literal::Int(-1),
        Some((_, high)) => Literal::Int(high),
        None => Literal::Float(f64::INFINITY),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, ops_of};

    #[test]
    fn largest_and_smallest() {
        let text = |k: i64, attributes: &str| format!("x: f32[2, n] k: i64[1] = {k} v, i = TopK {{{attributes}}} (x, k) => v, i");
        let x = "f32[2, 4] 1 3 3 2 -1 0 -inf inf";
        check(&text(3, "axis = 1"), &[x], &["f32[2, 3] 3 3 2 inf 0 -1", "i64[2, 3] 1 2 3 3 1 0"]);
        check(&text(2, "largest = 0"), &[x], &["f32[2, 2] 1 2 -inf -1", "i64[2, 2] 0 3 2 0"]);
        check(&text(1, "axis = 0, sorted = 0"), &[x], &["f32[1, 4] 1 3 3 inf", "i64[1, 4] 0 0 0 1"]);
        check(&text(0, "axis = 1"), &[x], &["f32[2, 0]", "i64[2, 0]"]);
        check("x: u64[3] k: i64[1] = 3 v, i = TopK(x, k) => v, i", &["u64[3] 1 -1 5"], &["u64[3] -1 5 1", "i64[3] 1 2 0"]);
        check("opset 1 x: i8[3] v, i = TopK {k = 2} (x) => v, i", &["i8[3] -128 -128 -128"], &["i8[2] -128 -128", "i64[2] 0 1"]);
    }

    #[test]
    fn nan_is_the_largest() {
        let text = |largest: i64| format!("x: f32[4] k: i64[1] = 4 v, i = TopK {{largest = {largest}}} (x, k) => i");
        let x = "f32[4] inf nan 1 nan";
        check(&text(1), &[x], &["i64[4] 1 3 0 2"]);
        check(&text(0), &[x], &["i64[4] 2 0 1 3"]);
    }

    #[test]
    fn many_elements_are_sorted() {
        let x = format!("f32[2, 20] {}", (0..40).map(|at| format!("{} ", at * at % 37)).collect::<String>());
        let of = |size: &str, k: &str| format!("x: f32[2, {size}] {k} v, i = TopK(x, k) => v, i");
        let [passes, network] =
            [("20", "k: i64[1] = 20"), ("n", "s = Shape(x) a: i64[1] = 1 k = Gather(s, a)")].map(|(size, k)| of(size, k));
        let numbers = |text: &str| crate::testing::numbers(text, &[&x], &Default::default());
        assert_eq!(numbers(&passes), numbers(&network));
        let steps = |text: &str| ops_of(text).matches("while").count();
        assert_eq!((steps(&passes), steps(&network)), (0, 1));
    }

    #[test]
    fn more_than_there_are() {
        check_problems("x: f32[2] k: i64[1] = 3 v = TopK(x, k) => v", &["[E003] TopK#0: 3 of 2 elements"]);
        check_problems("x: f32[2] k: i64[1] = -1 v = TopK(x, k) => v", &["[E003] TopK#0: -1 of 2 elements"]);
    }
}
