//! The program passes, in order.

use ir::{Diagnostics, Graph};
use program::{Program, fuse, layouts, lower, pack, prepare, winograd};
use target::Target;

/// A pass from program to program.
pub struct ProgramPass {
    pub name: &'static str,
    pub run: fn(&Program, &Target) -> Program,
}

/// From one nest a node to groups with layouts.
pub const PASSES: [ProgramPass; 5] = [
    ProgramPass { name: "fuse", run: |program, _| fuse::fuse(program) },
    ProgramPass { name: "prepare", run: |program, _| prepare::hoist(program) },
    ProgramPass { name: "winograd", run: winograd::filter },
    ProgramPass { name: "layouts", run: |program, _| layouts::assign(program) },
    ProgramPass { name: "pack", run: pack::pack },
];

/// Core graph -> planned program.
pub fn plan(graph: &Graph, target: &Target) -> Result<Program, Diagnostics> {
    let lowered = lower::lower(graph)?;
    Ok(PASSES.iter().fold(lowered, |program, pass| (pass.run)(&program, target)))
}
