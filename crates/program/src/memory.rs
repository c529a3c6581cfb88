//! The memory plan: a place in the arena for each temporary. Where all sizes are known the places are numbers; else each is a symbol, and
//! the places are found anew at the sizes of each call that differs from the one before, so that they are good at any sizes.

use crate::program::{BufferId, Loop, Program, Role, Step};
use crate::work::{step_uses, use_counts};
pub use arena::Life;
use arena::{Arena, Effort, Tenant};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use sym::{Expr, Sym};

/// Byte offsets; every buffer starts 64-byte aligned.
#[derive(Clone, Debug, Default)]
pub struct MemoryPlan {
    /// Offset in the arena of each `Temp` that is used: a number, or one of `offsets`.
    pub arena: Vec<Option<Expr>>,
    /// What is placed at the sizes of a call: the temporaries, or one block that holds them all where their places are numbers.
    pub tenants: Arena,
    /// The symbol of each tenant's offset; none is a symbol of the program.
    pub offsets: Vec<Sym>,
    /// Offset in the prepared memory of each `Prepared` buffer that is used. What only other preparation reads shares its memory.
    pub prepared: Vec<Option<Expr>>,
    pub prepared_bytes: Expr,
    /// First and last place that uses each buffer, in the order of the text; for `Prepared` ones among the steps of preparation, with one
    /// more place behind them for all that the call reads.
    pub lives: Vec<Option<Life>>,
}

impl MemoryPlan {
    /// The values of `offsets`, and the bytes of the arena, where `size` gives the largest value of an expression over the sizes. None
    /// where there is none or the arena is too large for 64 bits.
    pub fn at(&self, size: &dyn Fn(&Expr) -> Option<i64>) -> Option<(BTreeMap<Sym, i64>, i64)> {
        let plan = self.tenants.plan(size, Effort::CALL)?;
        Some((self.offsets.iter().cloned().zip(plan.offsets).collect(), plan.bytes))
    }
}

/// Bytes of a buffer as laid out, rounded up to whole cache lines.
pub fn buffer_bytes(program: &Program, id: BufferId) -> Expr {
    let buffer = program.buffer(id);
    let count = Expr::product(&buffer.layout.physical_dims(&buffer.ty.dims));
    (&count * &Expr::from(buffer.ty.dtype.size() as i64)).round_up(64)
}

pub fn plan(program: &Program) -> MemoryPlan {
    let mut lives = lives(program);
    for (life, prepared) in lives.iter_mut().zip(prepared_lives(program)) {
        *life = prepared.or(*life);
    }
    let temps: Vec<(BufferId, Tenant)> = all_with(program, &Role::Temp).filter_map(|id| Some((id, tenant(program, &lives, id)?))).collect();
    let (tenants, offsets, places) = place(program, &temps);
    let mut arena = vec![None; program.buffers.len()];
    temps.iter().zip(places).for_each(|((id, _), place)| arena[id.0 as usize] = Some(place));
    let (prepared, prepared_bytes) = place_prepared(program, &lives);
    MemoryPlan { arena, tenants, offsets, prepared, prepared_bytes, lives }
}

/// The places of prepared buffers: one behind the other where their sizes are not known.
fn place_prepared(program: &Program, lives: &[Option<Life>]) -> (Vec<Option<Expr>>, Expr) {
    let buffers = all_with(program, &Role::Prepared).filter_map(|id| Some((id, tenant(program, lives, id)?)));
    let (ids, tenants): (Vec<BufferId>, Vec<Tenant>) = buffers.unzip();
    let mut places = vec![None; program.buffers.len()];
    if let Some(plan) = Arena::new(&tenants).plan(&Expr::as_const, Effort::ONCE) {
        ids.iter().zip(plan.offsets).for_each(|(id, offset)| places[id.0 as usize] = Some(Expr::from(offset)));
        return (places, Expr::from(plan.bytes));
    }
    let mut end = Expr::zero();
    for (id, tenant) in ids.iter().zip(tenants) {
        places[id.0 as usize] = Some(end.clone());
        end = end + tenant.bytes;
    }
    (places, end)
}

/// The lives of the prepared buffers.
fn prepared_lives(program: &Program) -> Vec<Option<Life>> {
    let mut walk = Walk { lives: vec![None; program.buffers.len()], uses: use_counts(&program.prepare), at: 0 };
    walk.steps(program, &program.prepare);
    let called = Life { first: walk.at, last: walk.at };
    let read = use_counts(&program.steps);
    all_with(program, &Role::Prepared).filter(|id| read.contains_key(id)).for_each(|id| walk.used(id, called));
    let prepared = |(id, life): (usize, Option<Life>)| life.filter(|_| program.buffers[id].role == Role::Prepared);
    walk.lives.into_iter().enumerate().map(prepared).collect()
}

/// What a temporary needs; None where nothing uses it.
fn tenant(program: &Program, lives: &[Option<Life>], id: BufferId) -> Option<Tenant> {
    Some(Tenant { bytes: buffer_bytes(program, id), life: lives[id.0 as usize]? })
}

/// The tenants of the arena, the symbols of their offsets, and the place of each temporary.
fn place(program: &Program, temps: &[(BufferId, Tenant)]) -> (Arena, Vec<Sym>, Vec<Expr>) {
    let all: Vec<Tenant> = temps.iter().map(|(_, tenant)| tenant.clone()).collect();
    let arena = Arena::new(&all);
    // without a value for any symbol, there is a plan where none is needed
    if let Some(plan) = arena.plan(&Expr::as_const, Effort::ONCE) {
        let block = Arena::block(Expr::from(plan.bytes));
        return (block, offset_symbols(program, 1), plan.offsets.into_iter().map(Expr::from).collect());
    }
    let offsets = offset_symbols(program, arena.len());
    let places = offsets.iter().map(Expr::sym).collect();
    (arena, offsets, places)
}

/// Symbols that the program does not have.
fn offset_symbols(program: &Program, count: usize) -> Vec<Sym> {
    let mut taken: BTreeSet<Sym> = program.symbols.keys().cloned().collect();
    counters(&program.steps, &mut taken);
    let free = (0..).map(|at| Sym::new(&format!("offset.{at}"))).filter(|sym| !taken.contains(sym));
    free.take(count).collect()
}

fn counters(steps: &[Step], found: &mut BTreeSet<Sym>) {
    for step in steps {
        if let Step::Loop(repeat) = step {
            found.insert(repeat.counter.clone());
        }
        step.blocks().into_iter().for_each(|block| counters(block, found));
    }
}

fn all_with<'a>(program: &'a Program, role: &'a Role) -> impl Iterator<Item = BufferId> + 'a {
    (0..program.buffers.len() as u32).map(BufferId).filter(move |id| program.buffer(*id).role == *role)
}

/// The first and last place at which each buffer is used, the places numbered in the order of the text.
fn lives(program: &Program) -> Vec<Option<Life>> {
    let mut walk = Walk { lives: vec![None; program.buffers.len()], uses: use_counts(&program.steps), at: 0 };
    walk.steps(program, &program.steps);
    walk.lives
}

struct Walk {
    lives: Vec<Option<Life>>,
    /// How often all steps use each buffer.
    uses: HashMap<BufferId, usize>,
    /// The present place.
    at: usize,
}

impl Walk {
    fn used(&mut self, id: BufferId, Life { first, last }: Life) {
        let life = self.lives[id.0 as usize].get_or_insert(Life { first, last });
        *life = Life { first: life.first.min(first), last: life.last.max(last) };
    }

    fn steps(&mut self, program: &Program, steps: &[Step]) {
        for step in steps {
            let here = Life { first: self.at, last: self.at };
            match step {
                Step::Host(_) | Step::Group(_) | Step::Border(_) | Step::Guard(_) | Step::Size { .. } => {
                    let (reads, writes) = step_uses(step);
                    reads.into_iter().chain(writes).for_each(|id| self.used(id, here));
                }
                Step::If { .. } | Step::Loop(_) => step.condition().into_iter().for_each(|id| self.used(id, here)),
            }
            self.at += 1;
            match step {
                Step::Loop(repeat) => self.repeat(program, repeat),
                Step::Host(_) | Step::Group(_) | Step::Border(_) | Step::Guard(_) | Step::Size { .. } | Step::If { .. } => {
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
        shared.into_iter().for_each(|id| self.used(id, Life { first: start, last: self.at }));
        self.at += 1;
        self.steps(program, &repeat.last);
    }
}

/// The bytes that are live at each place in the order of the text, each buffer in whole cache lines; no plan can do with an arena smaller
/// than the largest of them. None where a size has no value or the sum overflows.
pub fn live_bytes(program: &Program, plan: &MemoryPlan, size: &dyn Fn(&Expr) -> Option<i64>) -> Option<Vec<i64>> {
    let temps = all_with(program, &Role::Temp).filter_map(|id| tenant(program, &plan.lives, id));
    let (lives, sizes): (Vec<Life>, Vec<Option<i64>>) = temps.map(|tenant| (tenant.life, size(&tenant.bytes))).unzip();
    arena::live_bytes(&lives, &sizes.into_iter().collect::<Option<Vec<i64>>>()?)
}
