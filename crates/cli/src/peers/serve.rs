//! Our side of a comparison: a process that answers as `scripts/peers.py` does, and one request more:
//! `{"profile": null}` -> `{"gflop", "mbytes", "kernels"}`.

use crate::args::BenchArgs;
use crate::bench::{both_sets, inputs_of};
use crate::failure::Failure;
use crate::machine::{Started, peak_rss_mib};
use crate::measure::Caller;
use crate::model::{self, Machine};
use crate::npz;
use crate::profile::Profile;
use crate::report::{self, Report};
use driver::{Compiled, Options, Source};
use ir::{Code, Tensor};
use runtime::Executable;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// The least calls of a round.
const LEAST_RUNS: usize = 4;

/// What a request finds: the compiled model and its callers, one for each set of inputs.
struct Server {
    machine: Machine,
    source: Source,
    options: Options,
    compiled: Compiled,
    executable: Executable,
    sets: [Vec<Tensor>; 2],
    callers: [Caller; 2],
}

/// Serves a model until standard input ends. Inputs and outputs are written to the folder.
pub fn serve(arguments: &BenchArgs, path: &Path, folder: &Path, started: Started) -> Result<Report, Failure> {
    let (mut server, ready) = match Server::start(arguments, path, folder, started) {
        Ok(ready) => ready,
        Err(failure) => {
            answer(&failed(&failure));
            return Err(failure);
        }
    };
    answer(&ready);
    for line in std::io::stdin().lines() {
        let request: Value = line.ok().and_then(|line| serde_json::from_str(&line).ok()).unwrap_or_default();
        answer(&server.answer(&request).unwrap_or_else(|failure| failed(&failure)));
    }
    Ok(Report::new(String::new(), json!({})))
}

fn answer(document: &Value) {
    report::print(&format!("{document}\n"));
}

fn failed(failure: &Failure) -> Value {
    json!({ "error": failure.first_line(), "exit_code": failure.exit_code })
}

impl Server {
    /// Compiles without the cache of kernels.
    fn start(arguments: &BenchArgs, path: &Path, folder: &Path, started: Started) -> Result<(Server, Value), Failure> {
        let machine = Machine { store: None, ..Machine::new(&arguments.compile.machine)? };
        let source = model::source(path, arguments.compile.weights.as_deref())?;
        let options = model::options(&arguments.compile, &machine)?;
        let compiled = driver::compile(&source, &options)?;
        let mut executable = machine.load(&compiled)?;
        let load_s = started.seconds();
        let inputs = both_sets(inputs_of(arguments, path).as_deref(), &compiled, machine.most_bytes)?;
        executable.share_strings(&inputs[0].strings);
        let remark = inputs.each_ref().map(|set| set.remark.as_str()).join("; ");
        let sets = inputs.map(|set| set.tensors);
        let mut callers = [Caller::new(&executable, &sets[0])?, Caller::new(&executable, &sets[1])?];
        for (at, (set, caller)) in sets.iter().zip(&mut callers).enumerate() {
            caller.call(&mut executable)?;
            write(folder, at + 1, &compiled, set, (&executable, caller))?;
        }
        let vector_bits = machine.target.vector_bits;
        let ready = json!({ "version": env!("CARGO_PKG_VERSION"), "load_s": load_s, "vector_bits": vector_bits, "inputs": remark });
        Ok((Server { machine, source, options, compiled, executable, sets, callers }, ready))
    }

    fn answer(&mut self, request: &Value) -> Result<Value, Failure> {
        if let Some(seconds) = request["run"].as_f64() {
            return Ok(json!({ "seconds": self.run(seconds)? }));
        }
        match request.as_object().and_then(|request| request.keys().next()).map(String::as_str) {
            Some("memory") => Ok(json!({ "peak_rss_mib": peak_rss_mib() })),
            Some("profile") => self.profile(),
            _ => Err(Failure::user(Code::Input, format!("there is no answer to {request}"))),
        }
    }

    /// The seconds of calls, by turns with the sets of inputs; the first of each set does not count.
    fn run(&mut self, seconds: f64) -> Result<Vec<f64>, Failure> {
        for caller in &mut self.callers {
            caller.call(&mut self.executable)?;
        }
        let (start, mut times) = (Instant::now(), Vec::new());
        while times.len() < LEAST_RUNS || start.elapsed().as_secs_f64() < seconds {
            times.push(self.callers[times.len() % 2].call(&mut self.executable)?);
        }
        Ok(times)
    }

    /// Compiles once more, with clocks between the steps.
    fn profile(&self) -> Result<Value, Failure> {
        let sizes = self.executable.bind(&self.sets[0].iter().map(|tensor| tensor.dims().to_vec()).collect::<Vec<_>>())?;
        let work = driver::call_work(&self.compiled, &sizes)?;
        let compiled = driver::compile(&self.source, &Options { profile: true, ..self.options.clone() })?;
        let mut executable = self.machine.load(&compiled)?;
        executable.share_strings(self.executable.strings());
        let profile = Profile::of(&mut executable, &self.sets[0])?;
        Ok(json!({ "gflop": work.flops / 1e9, "mbytes": work.bytes / 1e6, "kernels": profile.kernels(&compiled, &sizes) }))
    }
}

/// `inputs.K.npz` and `outputs.K.npz`.
fn write(
    folder: &Path,
    at: usize,
    compiled: &Compiled,
    inputs: &[Tensor],
    (executable, caller): (&Executable, &Caller),
) -> Result<(), Failure> {
    let image = &compiled.image;
    let outputs: Vec<Tensor> = (0..image.outputs.len()).filter_map(|at| caller.output(executable, at)).collect();
    let named = |list: &'_ [(String, ir::TensorType)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    for (kind, names, tensors) in [("inputs", named(&image.inputs), inputs), ("outputs", named(&image.outputs), &outputs)] {
        npz::write(&folder.join(format!("{kind}.{at}.npz")), names.iter().map(String::as_str).zip(tensors))?;
    }
    Ok(())
}
