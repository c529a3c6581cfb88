//! A list of steps under rewriting, with who reads and writes each buffer kept current.

use crate::program::{BufferId, Group, Program, Role, Stage, Step};
use nest::Nest;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// One place in the order: a stage that may be rewritten, a group, branch or loop that stands as it is, or nothing any more.
#[derive(Clone, Debug)]
pub enum Slot {
    Stage(Arc<Stage>),
    Fixed(Step),
    Gone,
}

/// The places that use each buffer.
#[derive(Default)]
struct Places {
    of: HashMap<BufferId, BTreeSet<usize>>,
    none: BTreeSet<usize>,
}

impl Places {
    fn get(&self, id: BufferId) -> &BTreeSet<usize> {
        self.of.get(&id).unwrap_or(&self.none)
    }

    fn add(&mut self, id: BufferId, at: usize) {
        self.of.entry(id).or_default().insert(at);
    }

    fn remove(&mut self, id: BufferId, at: usize) {
        if let Some(places) = self.of.get_mut(&id) {
            places.remove(&at);
        }
    }
}

/// Straight-line steps of a program. Operand and write names in all nests are buffer names.
pub struct Work<'a> {
    pub program: &'a Program,
    pub slots: Vec<Slot>,
    /// The buffers that steps beside these use too.
    used_elsewhere: HashSet<BufferId>,
    readers: Places,
    writers: Places,
}

impl<'a> Work<'a> {
    /// `uses` counts the uses of each buffer in the whole program.
    pub fn new(program: &'a Program, uses: &HashMap<BufferId, usize>, steps: Vec<Step>) -> Work<'a> {
        let used_elsewhere = use_counts(&steps).into_iter().filter(|(id, count)| uses.get(id) > Some(count)).map(|(id, _)| id).collect();
        let slots = vec![Slot::Gone; steps.len()];
        let mut work = Work { program, slots, used_elsewhere, readers: Places::default(), writers: Places::default() };
        for (at, step) in steps.into_iter().enumerate() {
            let slot = match step {
                Step::Group(Group { outer, mut stages }) if stages.len() == 1 && outer.is_empty() => {
                    Slot::Stage(Arc::new(stages.remove(0)))
                }
                step => Slot::Fixed(step),
            };
            work.set(at, slot);
        }
        work
    }

    /// Replaces what stands at a place.
    pub fn set(&mut self, at: usize, slot: Slot) {
        let (reads, writes) = uses(&self.slots[at]);
        for id in reads {
            self.readers.remove(id, at);
        }
        for id in writes {
            self.writers.remove(id, at);
        }
        let (reads, writes) = uses(&slot);
        for id in reads {
            self.readers.add(id, at);
        }
        for id in writes {
            self.writers.add(id, at);
        }
        self.slots[at] = slot;
    }

    pub fn stage(&self, at: usize) -> Option<&Arc<Stage>> {
        match &self.slots[at] {
            Slot::Stage(stage) => Some(stage),
            Slot::Fixed(_) | Slot::Gone => None,
        }
    }

    pub fn readers(&self, id: BufferId) -> &BTreeSet<usize> {
        self.readers.get(id)
    }

    pub fn writers(&self, id: BufferId) -> &BTreeSet<usize> {
        self.writers.get(id)
    }

    /// The one stage that writes a temporary buffer of these steps alone, where there is just one and it writes nothing else.
    pub fn sole_writer(&self, id: BufferId) -> Option<usize> {
        let temp = self.program.buffer(id).role == Role::Temp && !self.used_elsewhere.contains(&id);
        let at = *self.writers(id).first().filter(|_| temp && self.writers(id).len() == 1)?;
        self.stage(at).filter(|stage| stage.writes.len() == 1)?;
        Some(at)
    }

    /// A stage made of a rewritten nest, whose operands and writes are found again by their names.
    pub fn bind(&self, nest: Nest, candidates: &[&Stage]) -> Arc<Stage> {
        let all = candidates.iter().flat_map(|s| s.operands.iter().chain(&s.writes));
        let named: HashMap<&str, BufferId> = all.map(|id| (&*self.program.buffer(*id).name, *id)).collect();
        let find = |name: &str| named.get(name).copied().unwrap_or(BufferId(u32::MAX));
        let operands = nest.operands.iter().map(|o| find(&o.name)).collect();
        let writes = nest.writes.iter().map(|w| find(&w.name)).collect();
        let location = ir::Location::all(candidates.iter().map(|s| &s.location));
        Arc::new(Stage { nest, operands, writes, location })
    }

    pub fn finish(self) -> Vec<Step> {
        let step = |slot| match slot {
            Slot::Stage(stage) => Some(Step::Group(Group { outer: vec![], stages: vec![Arc::unwrap_or_clone(stage)] })),
            Slot::Fixed(step) => Some(step),
            Slot::Gone => None,
        };
        self.slots.into_iter().filter_map(step).collect()
    }

    pub fn name(&self, id: BufferId) -> Arc<str> {
        self.program.buffer(id).name.clone()
    }
}

/// How often steps use each buffer, those inside of them included.
pub fn use_counts<'s>(steps: impl IntoIterator<Item = &'s Step>) -> HashMap<BufferId, usize> {
    let mut counts = HashMap::new();
    for (reads, writes) in steps.into_iter().map(step_uses) {
        reads.iter().chain(&writes).for_each(|id| *counts.entry(*id).or_default() += 1);
    }
    counts
}

fn uses(slot: &Slot) -> (Vec<BufferId>, Vec<BufferId>) {
    match slot {
        Slot::Stage(stage) => (stage.operands.clone(), stage.writes.clone()),
        Slot::Fixed(step) => step_uses(step),
        Slot::Gone => (vec![], vec![]),
    }
}

/// Buffers that a step reads and writes, those of the steps inside of it included.
pub fn step_uses(step: &Step) -> (Vec<BufferId>, Vec<BufferId>) {
    match step {
        Step::Group(group) => {
            let reads = group.stages.iter().flat_map(|s| s.operands.clone()).collect();
            (reads, group.writes())
        }
        Step::Host(step) => (step.operands.clone(), step.results.clone()),
        Step::Border(id) => (vec![], vec![*id]),
        Step::Guard(_) => (vec![], vec![]),
        Step::Size { from, .. } => (vec![*from], vec![]),
        Step::If { .. } | Step::Loop(_) => {
            let (mut reads, mut writes) = (Vec::from_iter(step.condition()), vec![]);
            for (r, w) in step.blocks().into_iter().flatten().map(step_uses) {
                reads.extend(r);
                writes.extend(w);
            }
            (reads, writes)
        }
    }
}
