//! Any level of a compiled model, as text. What is printed is what runs.

use crate::compile::{self, Compiled};
use crate::error::Error;
use crate::options::Options;
use crate::text;
use kernel::module::EntryStep;
use program::Step;
use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Graph,
    Core,
    Program,
    Nest,
    Kernel,
    Schedule,
    Llvm,
    Asm,
}

/// The text of a level. With `node`, of the levels below Core only the parts that came from model nodes whose name contains it.
pub fn inspect(compiled: &Compiled, options: &Options, at: At, node: Option<&str>) -> Result<String, Error> {
    Ok(match (at, node) {
        (At::Graph, None) => ir::text::print_graph(&compiled.graph),
        (At::Core, None) => ir::text::print_graph(&compiled.core),
        (At::Graph, Some(name)) => lines_of(&ir::text::print_graph(&compiled.graph), name),
        (At::Core, Some(name)) => lines_of(&ir::text::print_graph(&compiled.core), name),
        (At::Program, None) => program::text::print_program(&compiled.program),
        (At::Kernel, None) => text::print_kernels(compiled),
        (At::Program | At::Nest, node) => nests(compiled, node),
        (At::Kernel, node) => each_kernel(compiled, node, &|at| Ok(kernel::text::print_kernel(compiled.assembly.lowered[at].kernel())))?,
        (At::Schedule, node) => each_kernel(compiled, node, &|at| Ok(format!("{}\n", compiled.assembly.lowered[at].schedule)))?,
        (At::Llvm, node) => each_kernel(compiled, node, &|at| Ok(llvm_text(compiled, options, at)))?,
        (At::Asm, node) => {
            each_kernel(compiled, node, &|at| Ok(llvm::emit_assembly(&llvm_text(compiled, options, at), &compile::emit_options(options))?))?
        }
    })
}

fn llvm_text(compiled: &Compiled, options: &Options, at: usize) -> String {
    llvm::print_kernel(compiled.assembly.lowered[at].kernel(), &compile::print_options(options))
}

/// The lines of a graph's text whose location mentions a node.
fn lines_of(text: &str, node: &str) -> String {
    let mentions = |line: &&str| line.rsplit_once(" @ ").is_some_and(|(_, location)| location.contains(node));
    text.lines().filter(mentions).map(|line| format!("{line}\n")).collect()
}

fn nests(compiled: &Compiled, node: Option<&str>) -> String {
    let mut out = String::new();
    let program = &compiled.program;
    for (part, steps) in [("prepare", &program.prepare), ("step", &program.steps)] {
        for (at, step) in steps.iter().enumerate() {
            for stage in step_stages(step).into_iter().filter(|s| node.is_none_or(|n| s.location.to_string().contains(n))) {
                let _ = writeln!(out, "// {part} {at}: {}\n{}", stage.location, nest::text::print_nest(&stage.nest));
            }
        }
    }
    out
}

fn step_stages(step: &Step) -> Vec<&program::Stage> {
    step.groups().into_iter().flat_map(|g| &g.stages).collect()
}

/// One part a kernel, headed by the model nodes of its launches.
fn each_kernel(compiled: &Compiled, node: Option<&str>, print: &dyn Fn(usize) -> Result<String, Error>) -> Result<String, Error> {
    let mut labels = vec![Vec::new(); compiled.assembly.lowered.len()];
    let module = compiled.module();
    module.prepare.steps.iter().chain(&module.main.steps).for_each(|step| collect(step, &compiled.assembly.labels, &mut labels));
    let mut out = String::new();
    for (at, labels) in labels.iter().enumerate() {
        if node.is_none_or(|n| labels.iter().any(|l| l.contains(n))) {
            let _ = write!(out, "// kernel {}: {}\n{}", at, labels.join("; "), print(at)?);
        }
    }
    Ok(out)
}

fn collect(step: &EntryStep, names: &[String], labels: &mut [Vec<String>]) {
    match step {
        EntryStep::Launch(launch) => labels[launch.kernel].push(names[launch.step as usize].clone()),
        EntryStep::Host(_) | EntryStep::If { .. } | EntryStep::Loop(_) | EntryStep::Guard { .. } | EntryStep::Size { .. } => {
            step.blocks().into_iter().flatten().for_each(|step| collect(step, names, labels));
        }
    }
}
