//! The memory plan: a place in the arena for each temporary, proved free of overlap for every assignment of sizes.

use crate::program::{BufferId, Loop, Program, Role, Step};
use crate::work::step_uses;
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
    let mut walk = Walk { lives: vec![None; program.buffers.len()], uses: use_counts(program, &program.steps), at: 0 };
    walk.steps(program, &program.steps);
    walk.lives
}

/// How often steps use each buffer.
fn use_counts(program: &Program, steps: &[Step]) -> Vec<usize> {
    let mut counts = vec![0; program.buffers.len()];
    for (reads, writes) in steps.iter().map(step_uses) {
        reads.iter().chain(&writes).for_each(|id| counts[id.0 as usize] += 1);
    }
    counts
}

struct Walk {
    lives: Vec<Option<(usize, usize)>>,
    uses: Vec<usize>,
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
        let inside = use_counts(program, &repeat.body);
        let shared = (0..inside.len()).filter(|at| inside[*at] > 0 && inside[*at] < self.uses[*at]).collect::<Vec<_>>();
        shared.into_iter().for_each(|at| self.used(BufferId(at as u32), (start, self.at)));
        self.at += 1;
        self.steps(program, &repeat.last);
    }
}

/// Slots in the arena, one after the other; a slot is as large as its largest buffer, and two buffers share one only if their lives are
/// disjoint: so nothing overlaps whatever the sizes are. Constant sizes are packed tighter, by offset.
fn place(program: &Program, temps: &[BufferId], lives: &[Option<(usize, usize)>]) -> (Vec<Option<Expr>>, Expr) {
    let sizes: Vec<Expr> = temps.iter().map(|id| buffer_bytes(program, *id)).collect();
    let mut offsets = vec![None; program.buffers.len()];
    let constant: Vec<usize> = (0..temps.len()).filter(|k| sizes[*k].as_const().is_some()).collect();
    let fixed: Vec<(i64, (usize, usize))> =
        constant.iter().map(|k| (sizes[*k].as_const().unwrap_or(0), lives[temps[*k].0 as usize].unwrap_or((0, 0)))).collect();
    let (places, end) = place_constant(&fixed);
    for (k, offset) in constant.iter().zip(places) {
        offsets[temps[*k].0 as usize] = Some(Expr::from(offset));
    }
    let symbolic: Vec<usize> = (0..temps.len()).filter(|k| sizes[*k].as_const().is_none()).collect();
    let bytes = place_symbolic(temps, &sizes, &symbolic, lives, Expr::from(end), &mut offsets);
    (offsets, bytes)
}

/// Largest first, each at the lowest offset that is free during its life.
fn place_constant(buffers: &[(i64, (usize, usize))]) -> (Vec<i64>, i64) {
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
    (offsets, end)
}

fn overlap(a: (usize, usize), b: (usize, usize)) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

struct SlotOf {
    size: Expr,
    members: Vec<usize>,
}

fn place_symbolic(
    temps: &[BufferId],
    sizes: &[Expr],
    symbolic: &[usize],
    lives: &[Option<(usize, usize)>],
    start: Expr,
    offsets: &mut [Option<Expr>],
) -> Expr {
    let rough = |e: &Expr| e.eval(&|_: &Sym| Some(128)).unwrap_or(i64::MAX);
    let life = |k: usize| lives[temps[k].0 as usize].unwrap_or((0, 0));
    let mut order = symbolic.to_vec();
    order.sort_by_key(|k| (std::cmp::Reverse(rough(&sizes[*k])), *k));
    let mut slots: Vec<SlotOf> = Vec::new();
    for k in order {
        let free = |slot: &SlotOf| slot.members.iter().all(|m| !overlap(life(*m), life(k)));
        // a slot of the very same size first, then any that is larger by the rough measure
        let same = slots.iter().position(|s| free(s) && s.size == sizes[k]);
        match same.or_else(|| slots.iter().position(free)) {
            Some(at) => {
                slots[at].size = bounded_maximum(&slots[at].size, &sizes[k]);
                slots[at].members.push(k);
            }
            None => slots.push(SlotOf { size: sizes[k].clone(), members: vec![k] }),
        }
    }
    let mut end = start;
    for slot in slots {
        slot.members.iter().for_each(|k| offsets[temps[*k].0 as usize] = Some(end.clone()));
        end = end + slot.size;
    }
    end
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

/// The largest sum of bytes that live at once over the order of places: no plan can need less. For known sizes.
pub fn lower_bound(program: &Program, plan: &MemoryPlan, value: &dyn Fn(&Sym) -> Option<i64>) -> i64 {
    let live = |at: usize| -> i64 {
        let at_step = |id: &BufferId| plan.lives[id.0 as usize].is_some_and(|life| life.0 <= at && at <= life.1);
        all_with(program, &Role::Temp).filter(at_step).map(|id| buffer_bytes(program, id).eval(value).unwrap_or(0)).sum()
    };
    let places = plan.lives.iter().flatten().map(|life| life.1 + 1).max().unwrap_or(0);
    (0..places).map(live).max().unwrap_or(0)
}
