//! Proofs of bounds: what `sym::Ranges` settles at once, what follows from all that is known where the body runs, and where sizes are
//! numbers, what holds at every point.

use crate::nest::{Index, IterKind, Nest, Read, ScalarId, ScalarOp};
use std::collections::{BTreeSet, HashSet};
use sym::{Expr, Premises, Ranges, Sym};

/// The most points that are gone through.
const MOST_POINTS: i64 = 1 << 22;

/// The values of iterators.
type Point<'a> = dyn Fn(&Sym) -> Option<i64> + 'a;

/// What is known in a nest.
pub(super) struct Proof<'a> {
    nest: &'a Nest,
    /// Of the iterators.
    pub ranges: Ranges,
    /// Of sizes, and that no loop over a parallel or scan iterator is empty.
    premises: Premises,
}

impl Proof<'_> {
    pub fn new<'a>(nest: &'a Nest, facts: &Premises) -> Proof<'a> {
        let mut premises = facts.clone();
        let loops = nest.iters.iter().filter(|iter| iter.kind != IterKind::Reduction);
        loops.for_each(|iter| premises.positive(&iter.extent));
        Proof { nest, ranges: nest.ranges(), premises }
    }

    /// Whether `expr >= 0` is proved where the loops over these iterators run, with those over parallel and scan iterators.
    pub fn nonnegative(&self, expr: &Expr, inside: &BTreeSet<Sym>) -> bool {
        if self.ranges.nonnegative(expr) {
            return true;
        }
        let mut premises = self.premises.clone();
        for iter in self.nest.iters.iter().filter(|iter| inside.contains(&iter.sym)) {
            premises.nonnegative(&iter.extent - &Expr::sym(&iter.sym) - 1);
            premises.positive(&iter.extent);
        }
        premises.imply(expr) || self.holds_at_points(expr, inside)
    }

    fn holds_at_points(&self, expr: &Expr, inside: &BTreeSet<Sym>) -> bool {
        let used = expr.symbols();
        let loops = self.nest.iters.iter().filter(|iter| inside.contains(&iter.sym));
        if loops.clone().any(|iter| iter.extent.is_zero()) {
            return true;
        }
        let walked = loops.filter(|iter| used.contains(&iter.sym)).map(|iter| &iter.sym).collect();
        used.iter().all(|sym| self.nest.iter(sym).is_some())
            && self.for_all_points(walked, &mut |value| expr.eval(value).is_some_and(|value| value >= 0))
    }

    /// Whether no two points of the parallel and scan iterators have the same index, where sizes are numbers.
    pub fn is_injective_at_points(&self, index: &[Expr]) -> bool {
        let mut seen = HashSet::new();
        let iters = self.nest.iters.iter().filter(|iter| iter.kind != IterKind::Reduction && !iter.extent.is_one());
        self.for_all_points(iters.map(|iter| &iter.sym).collect(), &mut |value| {
            let at = index.iter().map(|map| map.eval(value)).collect::<Option<Vec<i64>>>();
            at.is_some_and(|at| seen.insert(at))
        })
    }

    /// Whether a condition holds at every point of these iterators; false where these are too many, or a size is no number.
    fn for_all_points(&self, iterators: Vec<&Sym>, holds: &mut dyn FnMut(&Point) -> bool) -> bool {
        let extents = iterators.iter().map(|sym| self.nest.iter(sym)?.extent.as_const()).collect::<Option<Vec<i64>>>();
        let count = |extents: &[i64]| extents.iter().try_fold(1i64, |product, extent| product.checked_mul((*extent).max(0)));
        let Some((extents, count)) = extents.and_then(|extents| count(&extents).map(|count| (extents, count))) else { return false };
        let mut point = vec![0; extents.len()];
        count <= MOST_POINTS
            && (0..count).all(|_| {
                let held = holds(&|sym| iterators.iter().position(|iterator| *iterator == sym).map(|at| point[at]));
                advance(&mut point, &extents);
                held
            })
    }

    pub fn less(&self, a: &Expr, b: &Expr, inside: &BTreeSet<Sym>) -> bool {
        self.nonnegative(&(b - a - 1), inside)
    }

    /// The iterators that a read walks. It may be done outside of the loops over all others, also where these are empty.
    pub fn walked(&self, read: &Read) -> BTreeSet<Sym> {
        let mut walked = BTreeSet::new();
        self.collect_walked(read, &mut walked);
        walked
    }

    fn collect_walked(&self, read: &Read, walked: &mut BTreeSet<Sym>) {
        for index in &read.index {
            match index {
                Index::Map(map) => map.collect_symbols(walked),
                Index::Data(id) => self.collect_walked_by(*id, walked),
            }
        }
    }

    fn collect_walked_by(&self, id: ScalarId, walked: &mut BTreeSet<Sym>) {
        match &self.nest.scalar(id).op {
            ScalarOp::Read(read) => self.collect_walked(read, walked),
            ScalarOp::Index(map) => map.collect_symbols(walked),
            ScalarOp::Apply(_, operands) => operands.iter().for_each(|id| self.collect_walked_by(*id, walked)),
            ScalarOp::Convert(operand) | ScalarOp::Bits(operand) => self.collect_walked_by(*operand, walked),
            ScalarOp::Literal(_) | ScalarOp::Reduce(..) => {}
        }
    }
}

/// To the next point, the last iterator first.
fn advance(point: &mut [i64], extents: &[i64]) {
    for (at, extent) in point.iter_mut().zip(extents).rev() {
        *at += 1;
        if *at < *extent {
            return;
        }
        *at = 0;
    }
}
