//! Boxes that stand out: suppression of those that overlap better ones.

use super::Entry;
use super::chosen::{coordinates, places, stacked};
use crate::import::{Call, Outcome, one, sizes};
use ::ops::{Builder, Folded};
use ir::{Code, DType, Diagnostic, Graph, TensorType, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("NonMaxSuppression", 10, non_max_suppression)];

type Result<T> = std::result::Result<T, Diagnostic>;

/// Larger than any index.
const NOWHERE: i64 = 1 << 62;

/// For each batch and class, the boxes of the largest scores, each but those that overlap a better one by more than a share of both: rows
/// of batch, class and box. All batches and classes choose at once, a box in each run.
fn non_max_suppression(call: &mut Call) -> Outcome {
    let (boxes_dims, scores_dims) = (call.dims(0)?, call.dims(1)?);
    let ([batch, boxes, four], [batches, _, scored]) = (&boxes_dims[..], &scores_dims[..]) else {
        return Err(call.error(Code::Shape, format!("boxes {} and scores {}", call.ty(0)?, call.ty(1)?)).into());
    };
    let four = (four.clone(), Expr::from(4));
    call.equal_dims("batches, boxes and corners", &[batch.clone(), boxes.clone(), four.0], &[batches.clone(), scored.clone(), four.1])?;
    let center = call.flag_or("center_point_box", false)?;
    let (most, scores) = (most_boxes(call, boxes)?, call.value(1)?);
    let [overlap, least] = [3, 4].map(|at| scalar(call, at));
    let (overlap, least) = (overlap?, least?);
    let corners = call.value(0)?;
    let b = call.b();
    let zero = b.number(DType::F32, 0.0);
    let corners = Corners::of(b, corners, center)?;
    let not_nan = b.map(Func::Equal, &[scores, scores])?;
    let alive = match least {
        None => not_nan,
        Some(least) => b.map_broadcast(Func::Greater, &[scores, least])?,
    };
    let search = Search { dims: scores_dims.clone(), most };
    let chosen = search.run(b, alive, scores, &corners, overlap.unwrap_or(zero))?;
    let chosen_dims = b.dims(chosen).to_vec();
    let chosen = b.reshape(chosen, &[Expr::product(&chosen_dims)])?;
    let flags = b.map_number(Func::GreaterEqual, chosen, 0.0)?;
    let places = places(call, flags)?;
    let b = call.b();
    let mut columns = coordinates(b, places, &chosen_dims)?;
    columns[2] = b.gather(chosen, places, 0)?;
    one(stacked(b, &columns, 1)?)
}

/// How many boxes of a class may be chosen: no more than there are.
fn most_boxes(call: &mut Call, boxes: &Expr) -> Result<Expr> {
    let Some(term) = call.optional(2) else { return Ok(Expr::zero()) };
    if let Some(known) = call.known(2).filter(|known| known.values.len() == 1) {
        return Ok(sizes::minimum(&sizes::maximum(&known.values[0], &Expr::zero()), boxes));
    }
    let given = call.cx.emit(term)?;
    let b = call.b();
    let (given, all, none) = (b.reshape(given, &[])?, b.size(boxes, DType::I64)?, b.number(DType::I64, 0.0));
    let given = b.map(Func::Max, &[given, none])?;
    let count = b.map(Func::Min, &[given, all])?;
    call.computed_size(count, boxes)
}

fn scalar(call: &mut Call, at: usize) -> Result<Option<ValueId>> {
    let value = call.optional_value(at)?;
    value.map(|value| call.b().reshape(value, &[])).transpose()
}

/// Of boxes, each `[batch, 1, boxes]`: the lower and upper end on each axis, and the area.
struct Corners([ValueId; 5]);

impl Corners {
    fn of(b: &mut Builder, boxes: ValueId, center: bool) -> Result<Corners> {
        let dims = b.dims(boxes)[..2].to_vec();
        let row = [dims[0].clone(), Expr::one(), dims[1].clone()];
        let mut part = |at: i64| {
            let part = b.slice_axis(boxes, 2, &Expr::from(at), &Expr::one())?;
            b.reshape(part, &row)
        };
        let [a, c, d, e] = [part(0)?, part(1)?, part(2)?, part(3)?];
        let [[low, high], [left, right]] = match center {
            true => [around(b, a, d)?, around(b, c, e)?],
            false => [[b.map(Func::Min, &[a, d])?, b.map(Func::Max, &[a, d])?], [b.map(Func::Min, &[c, e])?, b.map(Func::Max, &[c, e])?]],
        };
        let (height, width) = (b.map(Func::Sub, &[high, low])?, b.map(Func::Sub, &[right, left])?);
        Ok(Corners([low, high, left, right, b.map(Func::Mul, &[height, width])?]))
    }
}

/// Both ends of what has this centre and size.
fn around(b: &mut Builder, center: ValueId, size: ValueId) -> Result<[ValueId; 2]> {
    let half = b.map_number(Func::Div, size, 2.0)?;
    Ok([b.map(Func::Sub, &[center, half])?, b.map(Func::Add, &[center, half])?])
}

/// The choice of boxes among scores of these dims `[batch, classes, boxes]`.
struct Search {
    dims: Vec<Expr>,
    most: Expr,
}

/// The operands of a run. Carried: which boxes are left, the indices chosen so far (-1 where there is none), the number of the run.
struct Run {
    alive: ValueId,
    chosen: ValueId,
    run: ValueId,
    scores: ValueId,
    corners: Corners,
    overlap: ValueId,
}

impl Search {
    /// The indices of the chosen boxes, `[batch, classes, most]`, the best first, and then -1.
    fn run(&self, b: &mut Builder, alive: ValueId, scores: ValueId, corners: &Corners, overlap: ValueId) -> Result<ValueId> {
        let none = b.number(DType::I64, -1.0);
        let chosen = b.broadcast(none, &[self.dims[0].clone(), self.dims[1].clone(), self.most.clone()])?;
        let start = b.number(DType::I64, 0.0);
        let carried = [alive, chosen, start];
        let captures = [&[scores], &corners.0[..], &[overlap]].concat();
        let mut inner = Builder::new("suppression");
        inner.location = b.location.clone();
        let names = ["alive", "chosen", "run", "scores", "low", "high", "left", "right", "area", "overlap"];
        let types: Vec<TensorType> = carried.iter().chain(&captures).map(|id| b.ty(*id).clone()).collect();
        let given: Vec<ValueId> = names.into_iter().zip(types).map(|(name, ty)| inner.input(name, ty)).collect();
        let corners = Corners([given[4], given[5], given[6], given[7], given[8]]);
        let run = Run { alive: given[0], chosen: given[1], run: given[2], scores: given[3], corners, overlap: given[9] };
        let region = self.region(inner, run)?;
        let any = self.goes_on(b, alive, start)?;
        Ok(b.repeat_while(any, &carried, &captures, region)?[1])
    }

    /// Whether boxes are left, and room for them.
    fn goes_on(&self, b: &mut Builder, alive: ValueId, runs: ValueId) -> Result<ValueId> {
        let most = b.size(&self.most, DType::I64)?;
        let room = b.map(Func::Less, &[runs, most])?;
        let any = b.reduce(Monoid::Or, alive, &[0, 1, 2], Folded::Dropped)?;
        b.map(Func::And, &[any, room])
    }

    fn region(&self, mut b: Builder, Run { alive, chosen, run, scores, corners, overlap }: Run) -> Result<Graph> {
        let b = &mut b;
        let index = b.iota(&self.dims, 2, DType::I64)?;
        let lowest = b.number(DType::F32, f64::NEG_INFINITY);
        let left = b.map_broadcast(Func::Select, &[alive, scores, lowest])?;
        let best = b.reduce(Monoid::Max, left, &[2], Folded::Kept)?;
        let hit = b.map_broadcast(Func::Equal, &[left, best])?;
        let hit = b.map(Func::And, &[hit, alive])?;
        let nowhere = b.scalar(DType::I64, ir::Literal::Int(NOWHERE));
        let hits = b.map_broadcast(Func::Select, &[hit, index, nowhere])?;
        let found = b.reduce(Monoid::Min, hits, &[2], Folded::Kept)?;
        let any = b.map_broadcast(Func::Less, &[found, nowhere])?;
        let zero = b.number(DType::I64, 0.0);
        let place = b.map_broadcast(Func::Select, &[any, found, zero])?;
        let covered = self.covered(b, &corners, place, overlap)?;
        let itself = b.map_broadcast(Func::Equal, &[index, place])?;
        let gone = b.map(Func::Or, &[covered, itself])?;
        let kept = b.map(Func::Not, &[gone])?;
        let alive = b.map(Func::And, &[alive, kept])?;
        let places = b.dims(chosen).to_vec();
        let places = b.iota(&places, 2, DType::I64)?;
        let here = b.map_broadcast(Func::Equal, &[places, run])?;
        let here = b.map_broadcast(Func::And, &[here, any])?;
        let chosen = b.map_broadcast(Func::Select, &[here, found, chosen])?;
        let next = b.map_number(Func::Add, run, 1.0)?;
        let go_on = self.goes_on(b, alive, next)?;
        for (name, id) in [("go_on", go_on), ("alive", alive), ("chosen", chosen), ("next", next)] {
            b.output(name, id);
        }
        Ok(std::mem::take(b).finish())
    }

    /// Whether each box overlaps that at `place` by more than the share `overlap` of what both cover. Boxes without area overlap nothing.
    fn covered(&self, b: &mut Builder, corners: &Corners, place: ValueId, overlap: ValueId) -> Result<ValueId> {
        let mut own = Vec::new();
        for part in corners.0 {
            let all = b.broadcast(part, &self.dims)?;
            own.push(b.gather_elements(all, place, 2)?);
        }
        let [low, high, left, right, area] = corners.0;
        let zero = b.number(DType::F32, 0.0);
        let mut common = Vec::new();
        for (from, to, own_from, own_to) in [(low, high, own[0], own[1]), (left, right, own[2], own[3])] {
            let (start, end) = (b.map_broadcast(Func::Max, &[from, own_from])?, b.map_broadcast(Func::Min, &[to, own_to])?);
            let length = b.map(Func::Sub, &[end, start])?;
            common.push(b.map_broadcast(Func::Max, &[length, zero])?);
        }
        let common = b.map(Func::Mul, &common)?;
        let both = b.map_broadcast(Func::Add, &[area, own[4]])?;
        let both = b.map(Func::Sub, &[both, common])?;
        let share = b.map(Func::Div, &[common, both])?;
        let mut covered = b.map_broadcast(Func::Greater, &[share, overlap])?;
        for size in [common, area, own[4], both] {
            let some = b.map_number(Func::Greater, size, 0.0)?;
            covered = b.map_broadcast(Func::And, &[covered, some])?;
        }
        Ok(covered)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    const BOXES: &str = "f32[1, 6, 4] 0 0 1 1 0 0.1 1 1.1 0 -0.1 1 0.9 0 10 1 11 0 10.1 1 11.1 0 100 1 101";
    const SCORES: &str = "f32[1, 1, 6] 0.9 0.75 0.6 0.95 0.5 0.3";

    fn text(most: &str, thresholds: &str) -> String {
        format!(
            "b: f32[1, n, 4] s: f32[1, c, n] m: i64[1] o: f32[1] = 0.5 l: f32[1] = 0.4 y = NonMaxSuppression(b, s, {most}{thresholds}) => y"
        )
    }

    #[test]
    fn boxes_that_overlap_better_ones_go() {
        let run = |thresholds: &str, most: i64, want: &str| {
            check(&text("m", thresholds), &[BOXES, SCORES, &format!("i64[1] {most}")], &[want]);
        };
        run(", o, l", 3, "i64[2, 3] 0 0 3 0 0 0");
        run(", o", 3, "i64[3, 3] 0 0 3 0 0 0 0 0 5");
        run(", o", 1, "i64[1, 3] 0 0 3");
        run("", 0, "i64[0, 3]");
        run("", -1, "i64[0, 3]");
    }

    #[test]
    fn centers_and_classes() {
        let text =
            "b: f32[1, n, 4] s: f32[1, c, n] m: i64[] = 2 o: f32[] = 0.5 y = NonMaxSuppression {center_point_box = 1} (b, s, m, o) => y";
        let boxes = "f32[1, 2, 4] 0.5 0.5 1 1 0.5 0.6 1 1";
        check(text, &[boxes, "f32[1, 2, 2] 1 2 2 2"], &["i64[2, 3] 0 0 1 0 1 0"]);
    }
}
