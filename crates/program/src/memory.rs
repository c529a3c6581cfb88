//! The memory plan: a place in the arena for each temporary, proved free of overlap for every assignment of sizes.

use crate::program::{BufferId, Loop, Program, Role, Step};
use crate::work::{step_uses, use_counts};
use std::collections::HashMap;
use sym::{Expr, Sym};

/// Byte offsets; every buffer starts 64-byte aligned.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryPlan {
    /// Offset in the arena of each `Temp` that is used.
    pub arena: Vec<Option<Expr>>,
    pub arena_bytes: Expr,
    /// Offset in the prepared memory of each `Prepared` buffer.
    pub prepared: Vec<Option<Expr>>,
    pub prepared_bytes: Expr,
    /// First and last place that uses each buffer, in the order of the text.
    pub lives: Vec<Option<(usize, usize)>>,
}

/// Bytes of a buffer as laid out, rounded up to whole cache lines.
pub fn buffer_bytes(program: &Program, id: BufferId) -> Expr {
    let buffer = program.buffer(id);
    let count = Expr::product(&buffer.layout.physical_dims(&buffer.ty.dims));
    (&count * &Expr::from(buffer.ty.dtype.size() as i64)).round_up(64)
}

pub fn plan(program: &Program) -> MemoryPlan {
    let lives = lives(program);
    let temps: Vec<BufferId> = all_with(program, &Role::Temp).filter(|id| lives[id.0 as usize].is_some()).collect();
    let (arena, arena_bytes) = place(program, &temps, &lives);
    let (mut prepared, mut prepared_bytes) = (vec![None; program.buffers.len()], Expr::zero());
    for id in all_with(program, &Role::Prepared) {
        prepared[id.0 as usize] = Some(prepared_bytes.clone());
        prepared_bytes = prepared_bytes + buffer_bytes(program, id);
    }
    MemoryPlan { arena, arena_bytes, prepared, prepared_bytes, lives }
}

fn all_with<'a>(program: &'a Program, role: &'a Role) -> impl Iterator<Item = BufferId> + 'a {
    (0..program.buffers.len() as u32).map(BufferId).filter(move |id| program.buffer(*id).role == *role)
}

/// The first and last place at which each buffer is used, the places numbered in the order of the text.
fn lives(program: &Program) -> Vec<Option<(usize, usize)>> {
    let mut walk = Walk { lives: vec![None; program.buffers.len()], uses: use_counts(&program.steps), at: 0 };
    walk.steps(program, &program.steps);
    walk.lives
}

struct Walk {
    lives: Vec<Option<(usize, usize)>>,
    /// How often all steps use each buffer.
    uses: HashMap<BufferId, usize>,
    /// The present place.
    at: usize,
}

impl Walk {
    fn used(&mut self, id: BufferId, (from, to): (usize, usize)) {
        let life = self.lives[id.0 as usize].get_or_insert((from, to));
        *life = (life.0.min(from), life.1.max(to));
    }

    fn steps(&mut self, program: &Program, steps: &[Step]) {
        for step in steps {
            let here = (self.at, self.at);
            match step {
                Step::Group(_) | Step::Border(_) | Step::Guard(_) => {
                    let (reads, writes) = step_uses(step);
                    reads.into_iter().chain(writes).for_each(|id| self.used(id, here));
                }
                Step::If { .. } | Step::Loop(_) => step.condition().into_iter().for_each(|id| self.used(id, here)),
            }
            self.at += 1;
            match step {
                Step::Loop(repeat) => self.repeat(program, repeat),
                Step::Group(_) | Step::Border(_) | Step::Guard(_) | Step::If { .. } => {
                    step.blocks().into_iter().for_each(|block| self.steps(program, block));
                }
            }
        }
    }

    /// What a body shares with steps around it lives through all runs. Anything else is written in each run before it is read (P9).
    fn repeat(&mut self, program: &Program, repeat: &Loop) {
        let start = self.at;
        self.steps(program, &repeat.body);
        let inside = use_counts(&repeat.body).into_iter();
        let shared: Vec<BufferId> = inside.filter(|(id, count)| self.uses.get(id) > Some(count)).map(|(id, _)| id).collect();
        shared.into_iter().for_each(|id| self.used(id, (start, self.at)));
        self.at += 1;
        self.steps(program, &repeat.last);
    }
}

/// Sizes of all symbols at which plans are made and compared.
const SAMPLES: [i64; 4] = [1, 16, 128, 512];

/// A place for each temporary. With known sizes by offset; else the best of the plans that known sizes lead to, and of slots.
fn place(program: &Program, temps: &[BufferId], lives: &[Option<(usize, usize)>]) -> (Vec<Option<Expr>>, Expr) {
    let tenants: Vec<Tenant> =
        temps.iter().map(|id| Tenant { bytes: buffer_bytes(program, *id), life: lives[id.0 as usize].unwrap_or((0, 0)) }).collect();
    let sample = |at: i64| move |sym: &Sym| program.symbols.get(sym).map(|fact| at.clamp(fact.low, fact.high.max(fact.low)));
    let (places, bytes) = match tenants.iter().all(|tenant| tenant.bytes.as_const().is_some()) {
        true => stacked(&tenants, &|_| None).unwrap_or_else(|| slots(&tenants)),
        false => {
            let plans = SAMPLES.iter().filter_map(|at| stacked(&tenants, &sample(*at))).chain([slots(&tenants)]);
            let worst = |bytes: &Expr| {
                let ratio =
                    |at: &i64| bytes.eval(&sample(*at)).map_or(f64::INFINITY, |bytes| bytes as f64) / most_live(&tenants, &sample(*at));
                SAMPLES.iter().map(ratio).fold(0.0, f64::max)
            };
            plans.min_by(|(_, a), (_, b)| worst(a).total_cmp(&worst(b))).unwrap_or_default()
        }
    };
    let mut offsets = vec![None; program.buffers.len()];
    temps.iter().zip(places).for_each(|(id, place)| offsets[id.0 as usize] = Some(place));
    (offsets, bytes)
}

/// What is to be placed.
#[derive(Debug)]
struct Tenant {
    bytes: Expr,
    life: (usize, usize),
}

/// The largest sum of bytes that live at once, at some sizes; at least 1.
fn most_live(tenants: &[Tenant], value: &dyn Fn(&Sym) -> Option<i64>) -> f64 {
    let mut changes = vec![0.0; tenants.iter().map(|tenant| tenant.life.1 + 2).max().unwrap_or(0)];
    for tenant in tenants {
        let bytes = tenant.bytes.eval(value).map_or(f64::INFINITY, |bytes| bytes as f64);
        changes[tenant.life.0] += bytes;
        changes[tenant.life.1 + 1] -= bytes;
    }
    changes
        .iter()
        .scan(0.0, |live, change| {
            *live += change;
            Some(*live)
        })
        .fold(1.0, f64::max)
}

/// The largest weight of an offset; plans that need more are given up.
const LARGEST_OFFSET: usize = 128;

/// The plan that places by offset at some sizes, made to hold at all sizes: of two buffers that live at once, the one that is above the
/// other there is above it everywhere, since it starts at the largest of the ends below it. None where that gets too complicated.
fn stacked(tenants: &[Tenant], value: &dyn Fn(&Sym) -> Option<i64>) -> Option<(Vec<Expr>, Expr)> {
    let known: Vec<(i64, (usize, usize))> =
        tenants.iter().map(|tenant| Some((tenant.bytes.eval(value)?, tenant.life))).collect::<Option<_>>()?;
    let (offsets, end) = place_constant(&known)?;
    if tenants.iter().all(|tenant| tenant.bytes.as_const().is_some()) {
        return Some((offsets.into_iter().map(Expr::from).collect(), Expr::from(end)));
    }
    let mut order: Vec<usize> = (0..tenants.len()).collect();
    // at sizes of which some are 0, buffers may share an offset; any order will do
    order.sort_by_key(|k| (offsets[*k], *k));
    let (mut places, mut placed) = (vec![Expr::zero(); tenants.len()], Vec::new());
    for k in order {
        places[k] = highest_end(&placed, &places, tenants, Some(tenants[k].life))?;
        placed.push(k);
    }
    let end = highest_end(&placed, &places, tenants, None)?;
    Some((places, end))
}

/// The largest end of the buffers in `placed`, from low to high, that live at some time of `life`.
fn highest_end(placed: &[usize], places: &[Expr], tenants: &[Tenant], life: Option<(usize, usize)>) -> Option<Expr> {
    let mut tops: Vec<usize> = Vec::new();
    for k in placed.iter().rev().filter(|k| life.is_none_or(|life| overlap(tenants[**k].life, life))) {
        // what lies below another that it lives with ends below that
        if !tops.iter().any(|top| overlap(tenants[*top].life, tenants[*k].life)) {
            tops.push(*k);
        }
    }
    let end = tops.iter().fold(Expr::zero(), |end, k| bounded_maximum(&end, &(&places[*k] + &tenants[*k].bytes)));
    (end.weight() <= LARGEST_OFFSET).then_some(end)
}

/// Largest first, each at the lowest offset that is free during its life; and the highest end. None where a sum overflows.
fn place_constant(buffers: &[(i64, (usize, usize))]) -> Option<(Vec<i64>, i64)> {
    buffers.iter().try_fold(0i64, |sum, (bytes, _)| sum.checked_add(*bytes))?;
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|k| (std::cmp::Reverse(buffers[*k].0), *k));
    let mut placed: Vec<usize> = Vec::new();
    let mut offsets = vec![0; buffers.len()];
    for k in order {
        let (size, life) = buffers[k];
        let mut taken: Vec<(i64, i64)> =
            placed.iter().filter(|p| overlap(buffers[**p].1, life)).map(|p| (offsets[*p], offsets[*p] + buffers[*p].0)).collect();
        taken.sort();
        let mut at = 0;
        for (start, end) in taken {
            if at + size <= start {
                break;
            }
            at = at.max(end);
        }
        offsets[k] = at;
        placed.push(k);
    }
    let end = (0..buffers.len()).map(|k| offsets[k] + buffers[k].0).max().unwrap_or(0);
    Some((offsets, end))
}

fn overlap(a: (usize, usize), b: (usize, usize)) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

struct Slot {
    bytes: Expr,
    members: Vec<usize>,
}

/// Slots, one after the other; a slot is as large as its largest buffer, and two buffers share one only if their lives are disjoint: so
/// nothing overlaps whatever the sizes are.
fn slots(tenants: &[Tenant]) -> (Vec<Expr>, Expr) {
    let rough = |e: &Expr| e.eval(&|_: &Sym| Some(128)).unwrap_or(i64::MAX);
    let mut order: Vec<usize> = (0..tenants.len()).collect();
    order.sort_by_key(|k| (std::cmp::Reverse(rough(&tenants[*k].bytes)), *k));
    let mut slots: Vec<Slot> = Vec::new();
    for k in order {
        let free = |slot: &Slot| slot.members.iter().all(|m| !overlap(tenants[*m].life, tenants[k].life));
        let bytes = &tenants[k].bytes;
        // a slot of the very same size first, then any that is larger by the rough measure
        let same = slots.iter().position(|slot| free(slot) && slot.bytes == *bytes);
        match same.or_else(|| slots.iter().position(free)) {
            Some(at) => {
                slots[at].bytes = bounded_maximum(&slots[at].bytes, bytes);
                slots[at].members.push(k);
            }
            None => slots.push(Slot { bytes: bytes.clone(), members: vec![k] }),
        }
    }
    let (mut places, mut end) = (vec![Expr::zero(); tenants.len()], Expr::zero());
    for slot in slots {
        slot.members.iter().for_each(|k| places[*k] = end.clone());
        end = end + slot.bytes;
    }
    (places, end)
}

/// The larger of two sizes, without a `max` where the ranges decide.
fn bounded_maximum(a: &Expr, b: &Expr) -> Expr {
    let ranges = sym::Ranges::new(0);
    if ranges.nonnegative(&(a - b)) {
        a.clone()
    } else if ranges.nonnegative(&(b - a)) {
        b.clone()
    } else {
        a.maximum(b)
    }
}

/// The bytes that are live at each place in the order of the text; no plan can do with an arena smaller than the largest of them. None where a size has no
/// value or the sum overflows.
pub fn live_bytes(program: &Program, plan: &MemoryPlan, value: &dyn Fn(&Sym) -> Option<i64>) -> Option<Vec<i64>> {
    let places = plan.lives.iter().flatten().map(|life| life.1 + 1).max().unwrap_or(0);
    let mut changes = vec![0i64; places + 1];
    for id in all_with(program, &Role::Temp) {
        if let Some((first, last)) = plan.lives[id.0 as usize] {
            let bytes = buffer_bytes(program, id).eval(value)?;
            changes[first] = changes[first].checked_add(bytes)?;
            changes[last + 1] = changes[last + 1].checked_sub(bytes)?;
        }
    }
    changes.pop();
    let mut live = 0i64;
    changes.into_iter().map(|change| live.checked_add(change).inspect(|sum| live = *sum)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tenant(bytes: &str, life: (usize, usize)) -> Tenant {
        Tenant { bytes: bytes.parse().unwrap(), life }
    }

    /// No two buffers that live at once overlap, and all end within the arena.
    fn check_apart(tenants: &[Tenant], (places, end): &(Vec<Expr>, Expr), n: i64, m: i64) {
        let value = |sym: &Sym| Some(if sym.name() == "n" { n } else { m });
        let spans: Vec<(i64, i64)> =
            places.iter().zip(tenants).map(|(at, tenant)| (at.eval(&value).unwrap(), tenant.bytes.eval(&value).unwrap())).collect();
        for (k, (start, bytes)) in spans.iter().enumerate() {
            assert!(*start >= 0 && start + bytes <= end.eval(&value).unwrap() && start % 64 == 0);
            for (other, (from, more)) in spans.iter().enumerate().filter(|(other, _)| overlap(tenants[*other].life, tenants[k].life)) {
                assert!(k == other || start + bytes <= *from || from + more <= *start, "{k} and {other} overlap at n = {n}, m = {m}");
            }
        }
    }

    #[test]
    fn buffers_of_several_sizes_share_the_arena() {
        // a slot for each of the first two would waste what lies behind the second
        let tenants =
            [tenant("256*n", (0, 1)), tenant("128*n", (1, 1)), tenant("64*n", (2, 3)), tenant("192*n", (2, 3)), tenant("256*n", (3, 4))];
        let plan = stacked(&tenants, &|_| Some(16)).unwrap();
        assert_eq!(plan.1, "512*n".parse().unwrap());
        (0..9).for_each(|n| check_apart(&tenants, &plan, n, 1));
    }

    #[test]
    fn sums_that_overflow_give_no_plan() {
        let tenants = [tenant("4611686018427387904*n", (0, 1)), tenant("4611686018427387904*n", (0, 1))];
        assert!(stacked(&tenants, &|_| Some(1)).is_none());
    }

    fn any_tenants() -> impl Strategy<Value = Vec<Tenant>> {
        let sizes =
            prop::sample::select(vec!["64", "4096", "64*n", "192*n", "64*m", "64*n*m", "64*((n + 3)/4)", "64*((3*n*m + 63)/64)", "0"]);
        prop::collection::vec((sizes, 0..6usize, 0..4usize), 1..14)
            .prop_map(|drawn| drawn.into_iter().map(|(bytes, first, length)| tenant(bytes, (first, first + length))).collect())
    }

    proptest! {
        #[test]
        fn plans_hold_at_all_sizes(tenants in any_tenants(), sample in 0..100i64, n in 0..200i64, m in 0..200i64) {
            check_apart(&tenants, &slots(&tenants), n, m);
            if let Some(plan) = stacked(&tenants, &|_| Some(sample)) {
                check_apart(&tenants, &plan, n, m);
            }
        }
    }
}
