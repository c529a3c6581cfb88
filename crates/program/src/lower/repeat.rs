//! `while` and `scan` -> a loop step.
//!
//! A carried value is a buffer of two places: run number t reads place (t - 1) % 2 and writes place t % 2, so nothing that a run still
//! needs is overwritten. Slices of scanned tensors and stacked results are views: their index mentions the loop's counter.

use super::{Lowering, Values, early_guards, region_prefix};
use crate::program::{BufferId, Loop, Role, Step, Times};
use ir::{Code, Diagnostics, Graph, Location, Node, TensorType};
use nest::{IterKind, NestBuilder};
use ops::Parts;
use sym::{Expr, Sym};

/// A buffer of which a nest reads or writes one slice: `at` along `axis`.
struct Slice {
    id: BufferId,
    axis: usize,
    at: Expr,
}

impl Lowering {
    pub(super) fn repeat(
        &mut self,
        graph: &Graph,
        node: &Node,
        prefix: &str,
        values: &mut Values,
        steps: &mut Vec<Step>,
    ) -> Result<(), Diagnostics> {
        let parts = Parts::of(&node.attrs).map_err(|error| Diagnostics::from(error.at(&node.location)))?;
        let [region] = node.regions.as_slice() else {
            return Err(Diagnostics::one(Code::Malformed, &node.location, format!("{} has no region", node.op)));
        };
        let operands: Vec<BufferId> = node.inputs.iter().map(|v| self.place(graph, *v, prefix, values)).collect();
        let results: Vec<BufferId> = node.outputs.iter().map(|v| self.place(graph, *v, prefix, values)).collect();
        let prefix = region_prefix(graph, node, prefix, 0);
        let (condition, given) = operands.split_at(usize::from(parts.trips.is_none()));
        let mut walk = Walk { counter: self.counter(), prefix, location: node.location.clone(), steps: Vec::new() };
        let condition = condition.first().map(|from| self.own_condition(*from, &mut walk));
        let carried: Vec<BufferId> = given[..parts.carried].iter().map(|from| self.carried(*from, &mut walk)).collect();
        // in front of the loop, since invariant steps go there too
        steps.extend(early_guards(region).cloned().map(Step::Guard));
        steps.append(&mut walk.steps);
        let inputs = self.region_inputs(&parts, given, &carried, &mut walk);
        let next = self.region_body(region, inputs, &mut walk)?;
        let (go_on, next) = next.split_at(usize::from(condition.is_some()));
        let copies = condition.iter().zip(go_on).map(|(to, from)| self.copy(*from, *to)).collect::<Vec<Step>>();
        walk.steps.extend(copies);
        for (from, id) in next.iter().zip(&carried) {
            self.copy_to(*from, &walk.written_half(*id), &mut walk);
        }
        for ((from, to), (axis, reverse)) in next[parts.carried..].iter().zip(&results[parts.carried..]).zip(parts.stacked_axes()) {
            self.copy_to(*from, &walk.slice(*to, axis, reverse, parts.trips.as_ref()), &mut walk);
        }
        let body = std::mem::take(&mut walk.steps);
        for (id, to) in carried.iter().zip(&results) {
            self.copy_from(&walk.written_half(*id), *to, &mut walk);
        }
        let times = condition.map_or_else(|| Times::Trips(parts.trips.clone().unwrap_or_default()), Times::While);
        steps.push(Step::Loop(Loop { counter: walk.counter, times, body, last: walk.steps }));
        Ok(())
    }

    /// A symbol for the present loop: `t0`, within another loop `t1`.
    fn counter(&self) -> Sym {
        let mut name = format!("t{}", self.depth);
        while self.program.symbols.contains_key(&Sym::new(&name)) {
            name.push('_');
        }
        Sym::new(&name)
    }

    /// A copy of the first condition, which the loop changes.
    fn own_condition(&mut self, from: BufferId, walk: &mut Walk) -> BufferId {
        let ty = self.program.buffer(from).ty.clone();
        let id = self.fresh(&format!("{}go_on", walk.prefix), ty, Role::Temp);
        walk.steps.push(self.copy(from, id));
        id
    }

    /// The buffer of a carried value, its first place filled.
    fn carried(&mut self, from: BufferId, walk: &mut Walk) -> BufferId {
        let mut ty = self.program.buffer(from).ty.clone();
        ty.dims.insert(0, Expr::from(2));
        let id = self.fresh(&format!("{}carried", walk.prefix), ty, Role::Temp);
        self.copy_to(from, &Slice { id, axis: 0, at: Expr::zero() }, walk);
        id
    }

    /// The buffers of the region's inputs, with the steps that fill those of carried values and slices.
    fn region_inputs(&mut self, parts: &Parts, given: &[BufferId], carried: &[BufferId], walk: &mut Walk) -> Vec<BufferId> {
        let mut inputs = Vec::new();
        for id in carried {
            inputs.push(self.taken(&walk.read_half(*id), walk));
        }
        let (scanned, captures) = given[parts.carried..].split_at(parts.scanned());
        for (id, (axis, reverse)) in scanned.iter().zip(parts.scanned_axes()) {
            inputs.push(self.taken(&walk.slice(*id, axis, reverse, parts.trips.as_ref()), walk));
        }
        inputs.extend(captures);
        inputs
    }

    fn taken(&mut self, slice: &Slice, walk: &mut Walk) -> BufferId {
        let mut ty = self.program.buffer(slice.id).ty.clone();
        ty.dims.remove(slice.axis);
        let to = self.fresh(&format!("{}slice", walk.prefix), ty, Role::Temp);
        self.copy_from(slice, to, walk);
        to
    }

    /// The region's steps; gives the buffers of its outputs.
    fn region_body(&mut self, region: &Graph, inputs: Vec<BufferId>, walk: &mut Walk) -> Result<Vec<BufferId>, Diagnostics> {
        let mut values: Values = region.inputs.iter().copied().zip(inputs).collect();
        self.depth += 1;
        let done = self.nodes(region, &walk.prefix, &mut values, &mut walk.steps);
        self.depth -= 1;
        done?;
        Ok(region.outputs.iter().map(|(_, value)| self.place(region, *value, &walk.prefix, &mut values)).collect())
    }

    fn copy_to(&mut self, from: BufferId, to: &Slice, walk: &mut Walk) {
        let (part, whole) = (self.program.buffer(from).ty.clone(), self.program.buffer(to.id).ty.clone());
        let (mut b, index) = indexed(&part);
        let operand = b.operand("from", &part);
        let value = b.read(operand, &index);
        b.write("to", &whole, &to.index(&index), value);
        let step = self.step(b.finish(), &[from], &[to.id], &walk.location);
        walk.steps.push(step);
    }

    fn copy_from(&mut self, from: &Slice, to: BufferId, walk: &mut Walk) {
        let (part, whole) = (self.program.buffer(to).ty.clone(), self.program.buffer(from.id).ty.clone());
        let (mut b, index) = indexed(&part);
        let operand = b.operand("from", &whole);
        let value = b.read(operand, &from.index(&index));
        b.write("to", &part, &index, value);
        let step = self.step(b.finish(), &[from.id], &[to], &walk.location);
        walk.steps.push(step);
    }
}

/// A loop while it is lowered.
struct Walk {
    counter: Sym,
    /// What stands before the names of its buffers.
    prefix: String,
    location: Location,
    steps: Vec<Step>,
}

impl Walk {
    fn half(&self, id: BufferId, offset: i64) -> Slice {
        Slice { id, axis: 0, at: (Expr::sym(&self.counter) + offset).modulo(&Expr::from(2)) }
    }

    fn read_half(&self, id: BufferId) -> Slice {
        self.half(id, -1)
    }

    fn written_half(&self, id: BufferId) -> Slice {
        self.half(id, 0)
    }

    /// The present run's slice of a tensor that has one for each of `trips` runs.
    fn slice(&self, id: BufferId, axis: usize, reverse: bool, trips: Option<&Expr>) -> Slice {
        let counter = Expr::sym(&self.counter);
        let at = match (reverse, trips) {
            (true, Some(trips)) => trips - &counter,
            (_, _) => counter - 1,
        };
        Slice { id, axis, at }
    }
}

impl Slice {
    /// The index in the whole of an index in the slice.
    fn index(&self, part: &[Expr]) -> Vec<Expr> {
        let mut index = part.to_vec();
        index.insert(self.axis, self.at.clone());
        index
    }
}

/// A nest over all elements of a type.
fn indexed(ty: &TensorType) -> (NestBuilder, Vec<Expr>) {
    let mut b = NestBuilder::new();
    let index = ty.dims.iter().map(|dim| if dim.is_one() { Expr::zero() } else { b.iter(dim, IterKind::Parallel) }).collect();
    (b, index)
}
