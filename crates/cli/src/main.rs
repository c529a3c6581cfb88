//! The `inkle` command: arguments in, a report or a failure out.
//!
//! - [`args`]: the command line
//! - [`run`], [`bench`], [`gemm`], [`conv`], [`attention`], [`inspect`], [`check`], [`kept`]: the commands
//! - [`model`]: from the command line to a compiled model
//! - [`inputs`], [`content`], [`random`], [`npz`]: tensors of a call
//! - [`measure`], [`profile`], [`timings`], [`peak`], [`against_peak`]: times
//! - [`report`], [`summary`], [`failure`], [`progress`]: what the user reads
//! - [`machine`]: what the system tells

mod against_peak;
mod args;
mod attention;
mod bench;
mod check;
mod content;
mod conv;
mod failure;
mod gemm;
mod inputs;
mod inspect;
mod kept;
mod machine;
mod measure;
mod model;
mod npz;
mod peak;
mod profile;
mod progress;
mod random;
mod report;
mod run;
mod summary;
mod timings;

use args::{Arguments, Bench, CacheAction, Command};
use clap::Parser;
use failure::Failure;
use machine::Started;
use report::Report;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

fn main() -> ExitCode {
    let started = Started::now();
    let arguments = Arguments::parse();
    let json = wants_json(&arguments.command);
    // a panic is told once, as a bug, below
    std::panic::set_hook(Box::new(|panic| report::remark(&panic.to_string())));
    let result = catch_unwind(AssertUnwindSafe(|| obey(&arguments.command, started)));
    match result.unwrap_or_else(|_| Err(Failure::bug("it stopped at the place above; please report it with the model"))) {
        Ok(report) => told(&report, json),
        Err(failure) => failed(&failure, json),
    }
}

fn obey(command: &Command, started: Started) -> Result<Report, Failure> {
    match command {
        Command::Run(arguments) => run::run(arguments),
        Command::Bench(arguments) => bench::bench(arguments, started),
        Command::Inspect(arguments) => inspect::inspect(arguments),
        Command::Check(arguments) => check::check(arguments),
        Command::Cache(arguments) => kept::kept(arguments),
    }
}

fn wants_json(command: &Command) -> bool {
    match command {
        Command::Run(arguments) => arguments.form.json,
        Command::Bench(arguments) => match &arguments.product {
            Some(Bench::Gemm(product)) => product.form.json,
            Some(Bench::Conv(convolution)) => convolution.form.json,
            Some(Bench::Attention(attention)) => attention.form.json,
            None => arguments.form.json,
        },
        Command::Inspect(arguments) => arguments.form.json,
        Command::Check(arguments) => arguments.form.json,
        Command::Cache(arguments) => match &arguments.action {
            Some(CacheAction::Clear(form)) => form.json,
            Some(CacheAction::Why(arguments)) => arguments.form.json,
            None => arguments.form.json,
        },
    }
}

fn told(report: &Report, json: bool) -> ExitCode {
    report::print(&if json { format!("{}\n", report.json) } else { report.text.clone() });
    ExitCode::from(report.exit_code)
}

fn failed(failure: &Failure, json: bool) -> ExitCode {
    let _ = write!(anstream::stderr(), "{failure}");
    if json {
        report::print(&format!("{}\n", failure.json()));
    }
    ExitCode::from(failure.exit_code)
}
