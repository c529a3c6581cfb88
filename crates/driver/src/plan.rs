//! The program passes, in order.

use crate::options::Options;
use ir::{Diagnostics, Graph};
use program::{Program, fuse, layouts, lower, pack, precision, prepare, winograd};

/// A pass from program to program.
pub struct ProgramPass {
    pub name: &'static str,
    pub run: fn(Program, &Options) -> Program,
}

/// The pass that only runs where products of bf16 are asked for.
pub const PRECISION: &str = "precision";

/// The pass that options may leave out by itself.
pub const WINOGRAD: &str = "winograd";

/// From one nest a node to groups with layouts.
pub const PASSES: [ProgramPass; 6] = [
    ProgramPass { name: "fuse", run: |program, _| fuse::fuse(program) },
    ProgramPass { name: "prepare", run: |program, _| prepare::hoist(program) },
    ProgramPass { name: PRECISION, run: |program, options| precision::narrow(&program, &options.target, options.winograd) },
    ProgramPass { name: WINOGRAD, run: |program, options| winograd::filter(program, &options.target) },
    ProgramPass { name: "layouts", run: |program, _| layouts::assign(program) },
    ProgramPass { name: "pack", run: |program, options| pack::pack(program, &options.target) },
];

/// Core graph -> planned program.
pub fn plan(graph: &Graph, options: &Options) -> Result<Program, Diagnostics> {
    let lowered = lower::lower(graph)?;
    Ok(options.selection.program_passes(options).into_iter().fold(lowered, |program, pass| (pass.run)(program, options)))
}
