//! The invariants of programs.
//!
//! - P1: every buffer that is mentioned exists.
//! - P2: names of buffers are unique.
//! - P3: input and output number n of the model is a buffer with that role, and no other buffer has it.
//! - P4: a layout's axes make up each dim exactly once: `d/b` and `d%b`, or `d`; halos are not negative. Buffers in the caller's memory
//!   and constants are row-major.
//! - P5: a constant's tensor has its buffer's type.
//! - P6: dims mention only the program's symbols.
//! - P7: a stage has a buffer of the operand's type for each operand and of the write's type for each write; it writes a buffer once.
//! - P8: every nest is well formed (`nest::verify`). For all sizes, or at those of a call: where guards constrain sizes that
//!   it mentions, what they do not prove for all sizes is left to the call.
//! - P9: on every path a buffer is written before it is read; outputs are written at the end.
//! - P10: no step writes an input or a constant.
//! - P11: the prepare steps are groups that read constants and prepared buffers and write prepared buffers; no other step writes those.
//!   Their iterators run over numbers: no call has given a size yet.
//! - P12: a local buffer is used in one group only, and is neither an input nor an output nor a condition.
//! - P13: a group has stages; one exactly where it has no outer iterators; else these are the leading parallel iterators of every stage, in
//!   order, with one extent each.
//! - P14: at a point of the outer iterators a stage reads of what the group writes only what the same point wrote.
//! - P15: a condition is a bool scalar, what says a size an i64 scalar.
//! - P16: a border is of a buffer that has a halo and that steps may write.
//! - P17: a loop's counter is neither a symbol of the program nor the counter of a loop around it; nests, guards and numbers of trips
//!   mention the program's symbols and the counters of the loops around them alone. A symbol that a step computes is mentioned behind that
//!   step alone, where it runs, and is computed nowhere else there; it is no negative number.
//! - P18: a stage that updates is the only one of its group, and does not read what it updates.
//! - P19: the results of a step of the host have the types that its operation gives for its operands; operands and results are row-major,
//!   and no buffer is both, or a result twice.

mod flow;
pub(crate) mod group;
mod scope;
#[cfg(test)]
pub mod tests;

use crate::layout::{Axis, Layout};
use crate::program::{Buffer, BufferId, HostStep, Loop, Program, Role, Stage, Step, Times};
use ir::guard::Condition;
use ir::{Guard, TensorType};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use sym::{Expr, Premises, Sym};

/// A size above this is no bound that a proof could use.
const LARGE: i64 = 1 << 32;

/// The faults, each with its invariant and a place; none where the program is well formed.
pub fn verify(program: &Program) -> Vec<String> {
    faults(program, None)
}

/// The faults at the sizes of one call. What is not proved for all sizes is then decided.
pub fn verify_at(program: &Program, sizes: &BTreeMap<Sym, i64>) -> Vec<String> {
    faults(program, Some(sizes))
}

fn faults(program: &Program, sizes: Option<&BTreeMap<Sym, i64>>) -> Vec<String> {
    let missing = missing_buffers(program);
    if !missing.is_empty() {
        return missing;
    }
    let mut faults = Vec::new();
    faults.extend(repeated_names(program));
    faults.extend(interface_faults(program));
    program.buffers.iter().for_each(|buffer| faults.extend(buffer_faults(program, buffer)));
    let mut judge = |stage: &Stage, facts: &Premises| {
        faults.extend(stage_faults(program, stage));
        faults.extend(nest_faults(program, stage, facts, sizes).into_iter().map(|why| format!("P8: {}: {why}", stage.location)));
    };
    each_stage(&program.prepare, &facts(program), &mut judge);
    each_stage(&program.steps, &facts(program), &mut judge);
    faults.extend(program.prepare.iter().chain(&program.steps).flat_map(Step::host_steps).flat_map(|step| host_faults(program, step)));
    faults.extend(flow::faults(program));
    faults.extend(group::faults(program));
    if faults.is_empty() {
        faults.extend(scope::faults(program));
    }
    faults
}

/// The faults of P1, P9 to P11, P15 and P16, and where sizes are computed P17, which need no proof about sizes: what is read was written.
/// Each compile looks for them.
pub fn verify_flow(program: &Program) -> Vec<String> {
    let missing = missing_buffers(program);
    if !missing.is_empty() {
        return missing;
    }
    let mut faults = flow::faults(program);
    if !program.computed().is_empty() {
        faults.extend(scope::faults(program));
    }
    faults
}

fn stages(program: &Program) -> impl Iterator<Item = &Stage> {
    program.prepare.iter().chain(&program.steps).flat_map(Step::groups).flat_map(|group| &group.stages)
}

/// Calls `judge` with each stage and what is known of the symbols where it runs.
fn each_stage(steps: &[Step], facts: &Premises, judge: &mut dyn FnMut(&Stage, &Premises)) {
    let mut facts = Cow::Borrowed(facts);
    for step in steps {
        match step {
            Step::Group(group) => group.stages.iter().for_each(|stage| judge(stage, &facts)),
            Step::Host(_) | Step::Border(_) | Step::Size { .. } => {}
            Step::Guard(guard) => assume(facts.to_mut(), &guard.condition),
            Step::If { then, otherwise, .. } => [then, otherwise].into_iter().for_each(|steps| each_stage(steps, &facts, judge)),
            Step::Loop(repeat) => {
                each_stage(&repeat.body, &counted(&facts, repeat, 1), judge);
                each_stage(&repeat.last, &counted(&facts, repeat, 0), judge);
            }
        }
    }
}

/// The facts with what is known of a loop's counter.
fn counted(facts: &Premises, repeat: &Loop, low: i64) -> Premises {
    let (mut facts, counter) = (facts.clone(), Expr::sym(&repeat.counter));
    facts.nonnegative(&counter - low);
    if let Times::Trips(trips) = &repeat.times {
        facts.nonnegative(trips - &counter);
    }
    facts
}

/// P1.
fn missing_buffers(program: &Program) -> Vec<String> {
    let mut used: Vec<(&str, BufferId)> = Vec::new();
    used.extend(program.inputs.iter().chain(&program.outputs).map(|(name, id)| (name.as_str(), *id)));
    used.extend(stages(program).flat_map(|stage| stage.operands.iter().chain(&stage.writes)).map(|id| ("a stage", *id)));
    used.extend(direct_uses(&program.prepare).into_iter().chain(direct_uses(&program.steps)).map(|id| ("a step", id)));
    let missing = used.into_iter().filter(|(_, id)| id.0 as usize >= program.buffers.len());
    missing.map(|(what, id)| format!("P1: {what}: there is no {id:?}")).collect()
}

/// The buffers that steps mention outside groups.
fn direct_uses(steps: &[Step]) -> Vec<BufferId> {
    let of = |step: &Step| match step {
        Step::Group(_) | Step::Guard(_) => vec![],
        Step::Host(step) => step.buffers().collect(),
        Step::Border(id) | Step::Size { from: id, .. } => vec![*id],
        Step::If { .. } | Step::Loop(_) => step.condition().into_iter().chain(step.blocks().into_iter().flat_map(direct_uses)).collect(),
    };
    steps.iter().flat_map(of).collect()
}

/// P2.
fn repeated_names(program: &Program) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let repeated = program.buffers.iter().filter(|buffer| !seen.insert(&buffer.name));
    repeated.map(|buffer| format!("P2: two buffers are called {}", buffer.name)).collect()
}

/// P3.
fn interface_faults(program: &Program) -> Vec<String> {
    let mut faults = Vec::new();
    let sides = [("input", &program.inputs), ("output", &program.outputs)];
    for (what, list) in sides {
        for (at, (name, id)) in list.iter().enumerate() {
            let role = if what == "input" { Role::Input(at) } else { Role::Output(at) };
            if program.buffer(*id).role != role {
                faults.push(format!("P3: {what} {name}: {id:?} is not {what} {at}"));
            }
        }
    }
    for (at, buffer) in program.buffers.iter().enumerate() {
        let id = BufferId(at as u32);
        let listed = match buffer.role {
            Role::Input(n) => program.inputs.get(n).is_some_and(|(_, other)| *other == id),
            Role::Output(n) => program.outputs.get(n).is_some_and(|(_, other)| *other == id),
            Role::Constant { .. } | Role::Prepared | Role::Temp | Role::Local => true,
        };
        if !listed {
            faults.push(format!("P3: {} has the role of an input or output that it is not", buffer.name));
        }
    }
    faults
}

/// P4, P5, P6.
fn buffer_faults(program: &Program, buffer: &Buffer) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |number: u32, why: String| faults.push(format!("P{number}: {}: {why}", buffer.name));
    if let Some(why) = layout_fault(&buffer.layout, buffer.ty.rank()) {
        fault(4, format!("the layout {}: {why}", buffer.layout));
    }
    let fixed = match &buffer.role {
        Role::Input(_) | Role::Output(_) | Role::Constant { .. } => true,
        Role::Prepared | Role::Temp | Role::Local => false,
    };
    if fixed && !buffer.layout.is_row_major() {
        fault(4, format!("the layout {} is not row-major", buffer.layout));
    }
    if let Role::Constant { tensor, .. } = &buffer.role
        && (tensor.dtype() != buffer.ty.dtype || Some(tensor.dims().to_vec()) != buffer.ty.const_dims())
    {
        fault(5, format!("the constant is {tensor:?}, the buffer {}", buffer.ty));
    }
    for sym in unknown_symbols(program, &buffer.ty) {
        fault(6, format!("{sym} is no symbol of the program"));
    }
    faults
}

fn unknown_symbols(program: &Program, ty: &TensorType) -> BTreeSet<Sym> {
    let symbols = ty.dims.iter().flat_map(Expr::symbols);
    symbols.filter(|sym| !program.symbols.contains_key(sym)).collect()
}

fn layout_fault(layout: &Layout, rank: usize) -> Option<String> {
    if layout.halo.len() != rank {
        return Some(format!("{} halos for {rank} dims", layout.halo.len()));
    }
    if layout.pad < 0 || (layout.pad > 0 && layout.axes.last().is_none_or(|axis| layout.halo[axis.dim] != (0, 0))) {
        return Some(format!("a pad of {} elements", layout.pad));
    }
    if layout.halo.iter().any(|(low, high)| *low < 0 || *high < 0) {
        return Some("a negative halo".to_string());
    }
    if let Some(axis) = layout.axes.iter().find(|axis| axis.dim >= rank) {
        return Some(format!("there is no d{}", axis.dim));
    }
    (0..rank).find(|dim| !covers(&layout.axes, *dim)).map(|dim| format!("d{dim} is not made up exactly once"))
}

/// Whether the axes of a dim are the digits of a mixed radix: each divides by the product of those below it, the highest has no modulus.
fn covers(axes: &[Axis], dim: usize) -> bool {
    let mut digits: Vec<&Axis> = axes.iter().filter(|axis| axis.dim == dim).collect();
    digits.sort_by_key(|axis| axis.div);
    let mut unit = Some(1);
    for axis in digits {
        if axis.modulo.is_some_and(|m| m < 1) || unit != Some(axis.div) {
            return false;
        }
        unit = axis.modulo.and_then(|m| m.checked_mul(axis.div));
    }
    unit.is_none()
}

/// P7.
fn stage_faults(program: &Program, stage: &Stage) -> Vec<String> {
    let mut faults = Vec::new();
    let operands = stage.nest.operands.iter().map(|operand| &operand.ty).collect::<Vec<_>>();
    let writes = stage.nest.writes.iter().map(|write| &write.ty).collect::<Vec<_>>();
    for (what, types, ids) in [("operand", operands, &stage.operands), ("write", writes, &stage.writes)] {
        if types.len() != ids.len() {
            faults.push(format!("P7: {}: {} buffers for {} {what}s", stage.location, ids.len(), types.len()));
        }
        for (ty, id) in types.into_iter().zip(ids).filter(|(ty, id)| **ty != program.buffer(**id).ty) {
            let buffer = program.buffer(*id);
            faults.push(format!("P7: {}: the {what} {} is {}, its buffer {}", stage.location, buffer.name, ty, buffer.ty));
        }
    }
    if stage.writes.iter().collect::<BTreeSet<_>>().len() != stage.writes.len() {
        faults.push(format!("P7: {}: writes a buffer twice", stage.location));
    }
    faults
}

/// P19.
fn host_faults(program: &Program, step: &HostStep) -> Vec<String> {
    let types = |ids: &[BufferId]| ids.iter().map(|id| program.buffer(*id).ty.clone()).collect::<Vec<TensorType>>();
    let mut faults = Vec::new();
    match (step.op.types)(&types(&step.operands), &step.attrs) {
        Ok(wanted) if wanted == types(&step.results) => {}
        Ok(wanted) => faults.push(format!("{} gives {wanted:?}, not {:?}", step.op.name, types(&step.results))),
        Err(fault) => faults.push(format!("{}: {fault}", step.op.name)),
    }
    let buffers: Vec<BufferId> = step.buffers().collect();
    if let Some(id) = buffers.iter().find(|id| !program.buffer(**id).layout.is_row_major()) {
        faults.push(format!("{} is not row-major", program.buffer(*id).name));
    }
    let repeated = step.results.iter().find(|id| buffers.iter().filter(|other| other == id).count() > 1);
    faults.extend(repeated.map(|id| format!("{} is a result and something else", program.buffer(*id).name)));
    faults.into_iter().map(|why| format!("P19: {}: {why}", step.location)).collect()
}

/// P8.
fn nest_faults(program: &Program, stage: &Stage, facts: &Premises, sizes: Option<&BTreeMap<Sym, i64>>) -> Vec<String> {
    let faults = nest::verify::verify(&stage.nest, facts);
    let is_open = |why: &String| ["N5", "N8", "N9"].iter().any(|bound| why.starts_with(bound));
    match sizes {
        Some(sizes) if faults.iter().any(is_open) => {
            let nest = nest::rewrite::at_sizes(&stage.nest, &|sym| sizes.get(sym).copied());
            let faults = nest::verify::verify(&nest, &facts.substitute(&|sym| sizes.get(sym).map(|size| Expr::from(*size))));
            // what steps compute is not known yet
            let open = program.symbols.keys().any(|sym| !sizes.contains_key(sym)) && guarded(program, stage);
            faults.into_iter().filter(|why| !open || !is_open(why)).collect()
        }
        None if guarded(program, stage) => faults.into_iter().filter(|why| !is_open(why)).collect(),
        Some(_) | None => faults,
    }
}

/// What is known of sizes.
fn facts(program: &Program) -> Premises {
    let mut facts = Premises::default();
    for (sym, fact) in &program.symbols {
        facts.nonnegative(Expr::sym(sym) - fact.low);
        if fact.high < LARGE {
            facts.nonnegative(-Expr::sym(sym) + fact.high);
        }
    }
    program.guards.iter().for_each(|guard| assume(&mut facts, &guard.condition));
    facts
}

fn assume(facts: &mut Premises, condition: &Condition) {
    match condition {
        Condition::Equal(a, b) => facts.equal(a, b),
        Condition::OneOrEqual(a, b) => facts.one_or_equal(a, b),
        Condition::AtLeast(a, b) => facts.nonnegative(a - b),
    }
}

/// Whether a guard constrains a size that the stage mentions.
fn guarded(program: &Program, stage: &Stage) -> bool {
    let dims = stage.nest.operands.iter().map(|o| &o.ty).chain(stage.nest.writes.iter().map(|w| &w.ty)).flat_map(|ty| &ty.dims);
    let sizes: BTreeSet<Sym> = dims.chain(stage.nest.iters.iter().map(|iter| &iter.extent)).flat_map(Expr::symbols).collect();
    let inside = program.steps.iter().flat_map(guards);
    program.guards.iter().chain(inside).flat_map(|guard| guard.condition.symbols()).any(|sym| sizes.contains(&sym))
}

/// The guards among a step and those inside of it.
fn guards(step: &Step) -> Vec<&Guard> {
    match step {
        Step::Guard(guard) => vec![guard],
        Step::Host(_) | Step::Group(_) | Step::Border(_) | Step::Size { .. } | Step::If { .. } | Step::Loop(_) => {
            step.blocks().into_iter().flatten().flat_map(guards).collect()
        }
    }
}
