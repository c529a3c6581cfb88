//! The program passes, in order.

use crate::options::{Options, Precision};
use ir::{Diagnostics, Graph};
use program::{Program, fuse, layouts, lower, pack, precision, prepare, winograd};
use target::Target;

/// A pass from program to program.
pub struct ProgramPass {
    pub name: &'static str,
    pub run: fn(&Program, &Target) -> Program,
}

/// The pass that only runs where products of bf16 are asked for.
const PRECISION: &str = "precision";

/// The passes that a compile runs.
pub fn passes(options: &Options) -> impl Iterator<Item = &'static ProgramPass> + use<> {
    let narrow = options.precision == Precision::Bf16;
    PASSES.iter().filter(move |pass| narrow || pass.name != PRECISION)
}

/// From one nest a node to groups with layouts.
pub const PASSES: [ProgramPass; 6] = [
    ProgramPass { name: "fuse", run: |program, _| fuse::fuse(program) },
    ProgramPass { name: "prepare", run: |program, _| prepare::hoist(program) },
    ProgramPass { name: PRECISION, run: precision::narrow },
    ProgramPass { name: "winograd", run: winograd::filter },
    ProgramPass { name: "layouts", run: |program, _| layouts::assign(program) },
    ProgramPass { name: "pack", run: pack::pack },
];

/// Core graph -> planned program.
pub fn plan(graph: &Graph, options: &Options) -> Result<Program, Diagnostics> {
    let lowered = lower::lower(graph)?;
    Ok(passes(options).fold(lowered, |program, pass| (pass.run)(&program, &options.target)))
}
