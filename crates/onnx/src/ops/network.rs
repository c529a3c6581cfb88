//! Sorting by Batcher's merge exchange (Knuth, The Art of Computer Programming, 5.2.2, algorithm M): steps that each compare all elements
//! with one at a distance. For n elements, t the logarithm of n rounded up, there are t (t + 1) / 2 of them.

use ::ops::Builder;
use ir::{DType, Diagnostic, Graph, Literal, ValueId};
use nest::Func;
use sym::Expr;

type Result<T> = std::result::Result<T, Diagnostic>;

/// How many steps sort so many elements.
pub fn steps(size: i64) -> i64 {
    let levels = i64::from(64 - (size.max(1) - 1).leading_zeros());
    levels * (levels + 1) / 2
}

/// Keys and ranks in order along an axis; of equal keys the one of smaller rank comes first. Ranks are i64, and all differ.
pub fn sorted(b: &mut Builder, [keys, ranks]: [ValueId; 2], axis: usize, largest: bool) -> Result<[ValueId; 2]> {
    let half = half(b, &b.dims(keys)[axis].clone())?;
    let zero = b.number(DType::I64, 0.0);
    let any = b.map(Func::Less, &[zero, half])?;
    let carried = [keys, ranks, half, half, zero, half];
    let region = step(b, &carried, axis, largest)?;
    let results = b.repeat_while(any, &carried, &[half], region)?;
    Ok([results[0], results[1]])
}

/// The largest power of two below a size; 0 for sizes below 2.
fn half(b: &mut Builder, size: &Expr) -> Result<ValueId> {
    if let Some(size) = size.as_const() {
        let half = if size < 2 { 0 } else { 1 << (63 - (size - 1).leading_zeros()) };
        return Ok(b.scalar(DType::I64, Literal::Int(half)));
    }
    let mut last = b.size(&(size - 1), DType::I64)?;
    // a one in each place behind the first
    for shift in [1, 2, 4, 8, 16, 32] {
        let shifted = b.map_number(Func::Div, last, (1i64 << shift) as f64)?;
        last = b.map(Func::Or, &[last, shifted])?;
    }
    let next = b.map_number(Func::Add, last, 1.0)?;
    b.map_number(Func::Div, next, 2.0)
}

/// One step. Carried: keys, ranks, and p, q, r, d of the algorithm; captured: what p and q start from.
fn step(outer: &Builder, carried: &[ValueId; 6], axis: usize, largest: bool) -> Result<Graph> {
    let mut builder = Builder::new("exchange");
    builder.location = outer.location.clone();
    let b = &mut builder;
    let mut given = |name: &str, at: usize| b.input(name, outer.ty(carried[at]).clone());
    let [keys, ranks] = [given("keys", 0), given("ranks", 1)];
    let [p, q, r, d, half] = [given("p", 2), given("q", 3), given("r", 4), given("d", 5), given("half", 2)];
    let [keys, ranks] = exchanged(b, [keys, ranks], [p, r, d], axis, largest)?;
    let goes_on = b.map(Func::NotEqual, &[q, p])?;
    let [half_p, half_q] = [b.map_number(Func::Div, p, 2.0)?, b.map_number(Func::Div, q, 2.0)?];
    let (zero, gap) = (b.number(DType::I64, 0.0), b.map(Func::Sub, &[q, p])?);
    let next = [[p, half_p], [half_q, half], [p, zero], [gap, half_p]];
    let next = next.map(|[inside, behind]| b.map(Func::Select, &[goes_on, inside, behind]));
    let [p, q, r, d] = next;
    let (p, q, r, d) = (p?, q?, r?, d?);
    let any = b.map(Func::Less, &[zero, p])?;
    for (name, id) in [("any", any), ("keys", keys), ("ranks", ranks), ("p", p), ("q", q), ("r", r), ("d", d)] {
        b.output(name, id);
    }
    Ok(builder.finish())
}

/// Each element beside that at the distance `d`, in order, where the places allow it: those whose bits at `p` are `r`.
fn exchanged(b: &mut Builder, tensors: [ValueId; 2], [p, r, d]: [ValueId; 3], axis: usize, largest: bool) -> Result<[ValueId; 2]> {
    let dims = b.dims(tensors[0]).to_vec();
    let index = b.iota(&dims[axis..=axis], 0, DType::I64)?;
    let (up, down) = (b.map_broadcast(Func::Add, &[index, d])?, b.map_broadcast(Func::Sub, &[index, d])?);
    let (size, zero) = (b.size(&dims[axis], DType::I64)?, b.number(DType::I64, 0.0));
    let mut takes_part = |place: ValueId, func: Func, operands: [ValueId; 2]| {
        let bits = b.map_broadcast(Func::And, &[place, p])?;
        let marked = b.map_broadcast(Func::Equal, &[bits, r])?;
        let inside = b.map_broadcast(func, &operands)?;
        b.map(Func::And, &[marked, inside])
    };
    let is_first = takes_part(index, Func::Less, [up, size])?;
    let is_second = takes_part(down, Func::GreaterEqual, [down, zero])?;
    let other = b.map(Func::Select, &[is_second, down, index])?;
    let other = b.map(Func::Select, &[is_first, up, other])?;
    let [keys, ranks] = tensors;
    let (other_keys, other_ranks) = (b.gather(keys, other, axis)?, b.gather(ranks, other, axis)?);
    let behind = b.map(if largest { Func::Less } else { Func::Greater }, &[keys, other_keys])?;
    let (equal, later) = (b.map(Func::Equal, &[keys, other_keys])?, b.map(Func::Greater, &[ranks, other_ranks])?);
    let later = b.map(Func::And, &[equal, later])?;
    let behind = b.map(Func::Or, &[behind, later])?;
    let before = b.map(Func::Not, &[behind])?;
    let mut along = vec![Expr::one(); dims.len()];
    along[axis] = dims[axis].clone();
    let (is_first, is_second) = (b.reshape(is_first, &along)?, b.reshape(is_second, &along)?);
    let second = b.map_broadcast(Func::And, &[is_second, before])?;
    let changes = b.map_broadcast(Func::Select, &[is_first, behind, second])?;
    Ok([b.map(Func::Select, &[changes, other_keys, keys])?, b.map(Func::Select, &[changes, other_ranks, ranks])?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::{Array, TensorType};
    use std::collections::BTreeMap;
    use sym::Sym;

    /// Keys that repeat, sorted by the network, for a size that is known or not.
    fn by_network(keys: &[i64], is_known: bool, largest: bool) -> Vec<i64> {
        let size = if is_known { Expr::from(keys.len() as i64) } else { Expr::sym(&Sym::new("n")) };
        let mut b = Builder::new("g");
        let x = b.input("x", TensorType::new(DType::I64, vec![size.clone()]));
        let ranks = b.iota(&[size], 0, DType::I64).unwrap();
        let [_, ranks] = sorted(&mut b, [x, ranks], 0, largest).unwrap();
        b.output("ranks", ranks);
        let input = Array::ints(DType::I64, vec![keys.len()], keys.to_vec());
        let symbols = BTreeMap::from([(Sym::new("n"), keys.len() as i64)]);
        let outputs = ::ops::interp::outputs(&b.finish(), &[input], &symbols).unwrap();
        (0..keys.len()).map(|at| outputs[0].get(at).as_i64()).collect()
    }

    #[test]
    fn networks_sort_any_number_of_elements() {
        for size in (0..20).chain([31, 32, 33, 100]) {
            let keys: Vec<i64> = (0..size).map(|at| at * at * 7 % 11).collect();
            let mut want: Vec<i64> = (0..size).collect();
            want.sort_by_key(|at| keys[*at as usize]);
            assert_eq!(by_network(&keys, true, false), want, "{size}");
            want.sort_by_key(|at| -keys[*at as usize]);
            assert_eq!(
                by_network(&keys, false, true),
                {
                    want.sort_by_key(|at| (-keys[*at as usize], *at));
                    want
                },
                "{size}"
            );
        }
        assert_eq!([0, 1, 2, 3, 4, 5, 8, 9].map(steps), [0, 0, 1, 3, 3, 6, 6, 10]);
    }
}
