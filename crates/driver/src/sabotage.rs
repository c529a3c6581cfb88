//! Wrong steps of the pipeline, to prove that the checks find them. Each corruption is drawn from its seed and changes a result that is
//! used: it drops a term, shifts an index, swaps operands or moves a bound.

use crate::assemble::Assembly;
use crate::error::Error;
use crate::options::Options;
use ir::Graph;
use kernel::{Binary, Kernel, Op, Stmt};
use nest::{Func, Index, Monoid, Nest, ScalarOp};
use program::memory::{Life, MemoryPlan};
use program::{Program, Step};
use sym::Expr;

/// The passes that can be corrupted, in the order of the pipeline.
pub fn passes() -> Vec<&'static str> {
    let graph = passes::pipeline().iter().map(|pass| pass.name);
    let program = crate::plan::PASSES.iter().map(|pass| pass.name);
    graph.chain(["lower"]).chain(program).chain(["memory", "schedule"]).collect()
}

fn seed(pass: &str, options: &Options) -> Option<u64> {
    options.sabotage.as_ref().filter(|s| s.pass == pass).map(|s| s.seed)
}

fn nothing(pass: &str) -> Error {
    Error::input(format!("--sabotage {pass}: there is nothing to corrupt in its result"))
}

pub fn graph(pass: &str, graph: Graph, options: &Options) -> Result<Graph, Error> {
    match seed(pass, options) {
        None => Ok(graph),
        Some(seed) => passes::sabotage::sabotage(&graph, seed).map(|(graph, _)| graph).ok_or_else(|| nothing(pass)),
    }
}

pub fn program(pass: &str, mut program: Program, options: &Options) -> Result<Program, Error> {
    let Some(seed) = seed(pass, options) else { return Ok(program) };
    let mut nests: Vec<&mut Nest> = Vec::new();
    nests_of(&mut program.steps, &mut nests);
    let count = nests.len().max(1);
    let done = (0..count).any(|turn| nests.get_mut((seed as usize / 5 + turn) % count).is_some_and(|nest| corrupt_nest(nest, seed)));
    if done { Ok(program) } else { Err(nothing(pass)) }
}

/// The nests of steps. Those of branches are left out: no run is sure to come there.
fn nests_of<'a>(steps: &'a mut [Step], nests: &mut Vec<&'a mut Nest>) {
    for step in steps {
        match step {
            Step::Group(group) => nests.extend(group.stages.iter_mut().map(|stage| &mut stage.nest)),
            Step::Loop(repeat) => [&mut repeat.body, &mut repeat.last].into_iter().for_each(|block| nests_of(block, nests)),
            Step::Host(_) | Step::Border(_) | Step::Guard(_) | Step::Size { .. } | Step::If { .. } => {}
        }
    }
}

/// Makes two temporaries that live at once share memory.
pub fn memory(mut plan: MemoryPlan, program: &Program, options: &Options) -> Result<MemoryPlan, Error> {
    let Some(seed) = seed("memory", options) else { return Ok(plan) };
    let placed: Vec<usize> = (0..program.buffers.len()).filter(|at| plan.arena[*at].is_some()).collect();
    let pairs: Vec<(usize, usize)> = placed
        .iter()
        .flat_map(|a| placed.iter().map(move |b| (*a, *b)))
        .filter(|(a, b)| starts_within(plan.lives[*b], plan.lives[*a]) && plan.arena[*a] != plan.arena[*b])
        .collect();
    let (a, b) = *pairs.get(seed as usize % pairs.len().max(1)).ok_or_else(|| nothing("memory"))?;
    plan.arena[b] = plan.arena[a].clone();
    Ok(plan)
}

/// Whether a buffer is written while another is kept for later.
fn starts_within(inner: Option<Life>, outer: Option<Life>) -> bool {
    inner.zip(outer).is_some_and(|(inner, outer)| outer.first < inner.first && inner.first < outer.last)
}

pub fn kernels(pass: &str, assembly: &mut Assembly, options: &Options) -> Result<(), Error> {
    let Some(seed) = seed(pass, options) else { return Ok(()) };
    let count = assembly.lowered.len().max(1);
    for turn in 0..count {
        let at = (seed as usize / 4 + turn) % count;
        let Some(lowered) = assembly.lowered.get_mut(at) else { continue };
        let mut kernel = lowered.kernel().clone();
        if corrupt_kernel(&mut kernel, seed) {
            lowered.replace(kernel);
            return Ok(());
        }
    }
    Err(nothing(pass))
}

fn corrupt_nest(nest: &mut Nest, seed: u64) -> bool {
    let kinds: [&dyn Fn(&mut Nest) -> bool; 5] = [&drop_term, &shift_index, &swap_operands, &change_fold, &move_bound];
    (0..kinds.len()).any(|turn| kinds[(seed as usize + turn) % kinds.len()](nest))
}

/// `a + b` becomes `a + a`.
fn drop_term(nest: &mut Nest) -> bool {
    nest.body.iter_mut().any(|scalar| match &mut scalar.op {
        ScalarOp::Apply(Func::Add | Func::Mul | Func::Max, x) if x[0] != x[1] => {
            x[1] = x[0];
            true
        }
        _ => false,
    })
}

/// One index of a read counts backwards.
fn shift_index(nest: &mut Nest) -> bool {
    let extents: Vec<(sym::Sym, Expr)> = nest.iters.iter().map(|iter| (iter.sym.clone(), iter.extent.clone())).collect();
    for scalar in &mut nest.body {
        let ScalarOp::Read(read) = &mut scalar.op else { continue };
        for index in &mut read.index {
            let Index::Map(map) = index else { continue };
            let known = map.as_sym().and_then(|s| extents.iter().find(|(sym, _)| sym == s)).cloned();
            if let Some((_, extent)) = known {
                *map = &extent - &(&map.clone() + &Expr::one());
                return true;
            }
        }
    }
    false
}

fn swap_operands(nest: &mut Nest) -> bool {
    nest.body.iter_mut().any(|scalar| match &mut scalar.op {
        ScalarOp::Apply(Func::Sub | Func::Div | Func::Pow | Func::Less | Func::Greater, x) if x[0] != x[1] => {
            x.swap(0, 1);
            true
        }
        _ => false,
    })
}

fn change_fold(nest: &mut Nest) -> bool {
    if let Some(write) = nest.writes.iter_mut().find(|write| write.combine.is_some()) {
        write.combine = if write.combine == Some(Monoid::Sum) { Some(Monoid::Max) } else { None };
        return true;
    }
    nest.body.iter_mut().any(|scalar| match &mut scalar.op {
        ScalarOp::Reduce(monoid @ (Monoid::Sum | Monoid::Max), _) => {
            *monoid = if *monoid == Monoid::Sum { Monoid::Max } else { Monoid::Min };
            true
        }
        _ => false,
    })
}

/// A reduction or a scan leaves out its last point.
fn move_bound(nest: &mut Nest) -> bool {
    let reduction = nest.iters.iter_mut().find(|iter| iter.kind != nest::IterKind::Parallel && !iter.extent.is_one());
    reduction.map(|iter| iter.extent = &iter.extent - &Expr::one()).is_some()
}

fn corrupt_kernel(kernel: &mut Kernel, seed: u64) -> bool {
    let kinds: [&dyn Fn(&mut Stmt) -> bool; 4] = [&change_op, &shift_load, &shorten_loop, &shift_store];
    (0..kinds.len()).any(|turn| first(&mut kernel.body, kinds[(seed as usize + turn) % kinds.len()]))
}

/// Applies a change to the first statement, in depth, that it fits.
fn first(stmts: &mut [Stmt], change: &dyn Fn(&mut Stmt) -> bool) -> bool {
    stmts.iter_mut().any(|stmt| {
        change(stmt)
            || match stmt {
                Stmt::For { body, .. } => first(body, change),
                Stmt::If { then, otherwise, .. } => first(then, change) || first(otherwise, change),
                Stmt::Def { .. } | Stmt::Name { .. } | Stmt::Check { .. } | Stmt::Store { .. } => false,
            }
    })
}

fn change_op(stmt: &mut Stmt) -> bool {
    let Stmt::Def { op, .. } = stmt else { return false };
    match op {
        Op::Binary(binary @ (Binary::Add | Binary::Mul | Binary::Max), ..) => {
            *binary = if *binary == Binary::Add { Binary::Sub } else { Binary::Add };
            true
        }
        Op::MulAdd(a, b, c) if a != c && b != c => {
            *op = Op::MulAdd(*a, *b, *b);
            true
        }
        _ => false,
    }
}

/// A load whose index moves reads the element before.
fn shift_load(stmt: &mut Stmt) -> bool {
    match stmt {
        Stmt::Def { op: Op::Load { index, .. }, .. } if index.as_const().is_none() => {
            *index = (&*index - &Expr::one()).maximum(&Expr::zero());
            true
        }
        _ => false,
    }
}

fn shorten_loop(stmt: &mut Stmt) -> bool {
    match stmt {
        Stmt::For { end, step, .. } if *step == 1 => {
            *end = &*end - &Expr::one();
            true
        }
        _ => false,
    }
}

fn shift_store(stmt: &mut Stmt) -> bool {
    match stmt {
        Stmt::Store { index, .. } if index.as_const().is_none() => {
            *index = (&*index - &Expr::one()).maximum(&Expr::zero());
            true
        }
        _ => false,
    }
}
