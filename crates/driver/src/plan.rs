//! The program passes, in order.

use crate::options::{Options, Precision};
use ir::{Diagnostics, Graph};
use program::{Program, fuse, layouts, lower, pack, precision, prepare, winograd};

/// A pass from program to program.
pub struct ProgramPass {
    pub name: &'static str,
    pub run: fn(&Program, &Options) -> Program,
}

/// The pass that only runs where products of bf16 are asked for.
const PRECISION: &str = "precision";

/// The pass that may be left out.
const WINOGRAD: &str = "winograd";

/// The passes that a compile runs.
pub fn passes(options: &Options) -> impl Iterator<Item = &'static ProgramPass> + use<> {
    let (narrow, winograd) = (options.precision == Precision::Bf16, options.winograd);
    PASSES.iter().filter(move |pass| match pass.name {
        PRECISION => narrow,
        WINOGRAD => winograd,
        _ => true,
    })
}

/// From one nest a node to groups with layouts.
pub const PASSES: [ProgramPass; 6] = [
    ProgramPass { name: "fuse", run: |program, _| fuse::fuse(program) },
    ProgramPass { name: "prepare", run: |program, _| prepare::hoist(program) },
    ProgramPass { name: PRECISION, run: |program, options| precision::narrow(program, &options.target, options.winograd) },
    ProgramPass { name: WINOGRAD, run: |program, options| winograd::filter(program, &options.target) },
    ProgramPass { name: "layouts", run: |program, _| layouts::assign(program) },
    ProgramPass { name: "pack", run: |program, options| pack::pack(program, &options.target) },
];

/// Core graph -> planned program.
pub fn plan(graph: &Graph, options: &Options) -> Result<Program, Diagnostics> {
    let lowered = lower::lower(graph)?;
    Ok(passes(options).fold(lowered, |program, pass| (pass.run)(&program, options)))
}
