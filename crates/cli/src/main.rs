//! The `inkle` command: arguments in, a report or a failure out.
//!
//! - [`args`]: the command line
//! - [`run`], [`compile`], [`explain`], [`bench`], [`gemm`], [`conv`], [`attention`], [`inspect`], [`check`], [`tune`], [`suite`],
//!   [`record`], [`kept`]: the commands
//! - [`peers`]: models beside other frameworks
//! - [`model`]: from the command line to a compiled model
//! - [`inputs`], [`content`], [`random`], [`npz`]: tensors of a call
//! - [`measure`], [`profile`], [`timings`], [`memory`]: times and sizes
//! - [`microkernel`], [`peak`], [`bandwidth`], [`roofline`], [`against_peak`]: what the machine can do at most
//! - [`chart`]: times and memory as pictures
//! - [`report`], [`summary`], [`failure`], [`progress`]: what the user reads
//! - [`machine`]: what the system tells
//! - [`watchdog`]: the limits of time and memory

mod against_peak;
mod args;
mod attention;
mod bandwidth;
mod bench;
mod chart;
mod check;
mod compile;
mod content;
mod conv;
mod explain;
mod failure;
mod gemm;
mod inputs;
mod inspect;
mod kept;
mod machine;
mod measure;
mod memory;
mod microkernel;
mod model;
mod npz;
mod peak;
mod peers;
mod profile;
mod progress;
mod record;
mod report;
mod roofline;
mod run;
mod suite;
mod summary;
mod timings;
mod tune;
mod watchdog;

use args::{Arguments, Command};
use clap::Parser;
use failure::Failure;
use machine::Started;
use report::Report;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use watchdog::{Limits, Watchdog};

/// Passes make and drop many small values; the system's allocator takes a quarter of their time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let started = Started::now();
    let Arguments { command } = Arguments::parse();
    let (json, limits) = (command.form().json, Limits::of(command.machine()));
    // a panic is told once, as a bug, below
    std::panic::set_hook(Box::new(|panic| report::remark(&panic.to_string())));
    let watchdog = Watchdog::start(limits, started, move |failure| end(failed(failure, json)));
    let result = catch_unwind(AssertUnwindSafe(|| obey(&command, started)));
    watchdog.stop();
    ExitCode::from(match result.unwrap_or_else(|_| Err(Failure::bug("it stopped at the place above; please report it with the model"))) {
        Ok(report) => told(&report, json),
        Err(failure) => failed(&failure, json),
    })
}

fn obey(command: &Command, started: Started) -> Result<Report, Failure> {
    match command {
        Command::Run(arguments) => run::run(arguments),
        Command::Compile(arguments) => compile::compile(arguments),
        Command::Explain(arguments) => explain::explain(arguments),
        Command::Bench(arguments) => bench::bench(arguments, started),
        Command::Inspect(arguments) => inspect::inspect(arguments),
        Command::Check(arguments) => check::check(arguments),
        Command::Tune(arguments) => tune::tune(arguments),
        Command::Test(arguments) => suite::test(arguments),
        Command::Target(arguments) => record::record(arguments),
        Command::Cache(arguments) => kept::kept(arguments),
    }
}

/// Prints a report and gives the exit code.
fn told(report: &Report, json: bool) -> u8 {
    report::print(&if json { format!("{}\n", report.json) } else { report.text.clone() });
    report.exit_code
}

fn failed(failure: &Failure, json: bool) -> u8 {
    let _ = write!(anstream::stderr(), "{failure}");
    if json {
        report::print(&format!("{}\n", failure.json()));
    }
    failure.exit_code
}

/// Ends the process at once, while other threads still work: nothing of what they use is torn down.
fn end(exit_code: u8) {
    // SAFETY: the call takes no memory of ours and does not return.
    unsafe { libc::_exit(exit_code.into()) }
}
