//! Tasks of those who work on the compiler: `cargo xtask COMMAND`.
//!
//! - [`fuzz`]: random models, checked end to end
//! - [`fuzz_load`]: damaged inputs
//! - [`size`]: lines of Rust by room
//! - [`schedules`]: how good the default schedules are
//! - [`fit`]: what they take for granted of the machine, found by measuring
//! - [`problem`], [`measure`]: single operations, and calls of them, for both
//! - [`sabotage`]: the share of wrong passes that the checks find

mod fit;
mod fuzz;
mod fuzz_load;
mod measure;
mod problem;
mod sabotage;
mod schedules;
mod size;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "xtask", about = "Tasks of those who work on the compiler")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check random models end to end; make those that fail smaller
    Fuzz(fuzz::Arguments),
    /// Load damaged models and texts; none may make the compiler stop in disorder
    FuzzLoad(fuzz_load::Arguments),
    /// Print lines of Rust by room, and how long functions are
    Size(size::Arguments),
    /// Measure default schedules beside others
    Schedules(schedules::Arguments),
    /// Fit the costs of this machine, and write its target record
    Fit(fit::Arguments),
    /// Corrupt passes and print the share that the checks find
    Sabotage(sabotage::Arguments),
    /// Check what standard input asks for, line by line (started by `fuzz`)
    #[command(hide = true)]
    FuzzWorker,
    /// Load the inputs of the seeds on standard input (started by `fuzz-load`)
    #[command(hide = true)]
    FuzzLoadWorker,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Size(arguments) => size::run(&arguments),
        Command::Schedules(arguments) => schedules::run(&arguments),
        Command::Fit(arguments) => fit::run(&arguments),
        Command::Sabotage(arguments) => sabotage::run(&arguments),
        Command::FuzzLoad(arguments) => fuzz_load::run(&arguments),
        Command::FuzzLoadWorker => fuzz_load::worker(),
        Command::FuzzWorker => fuzz::worker::run(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
