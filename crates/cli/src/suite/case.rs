//! One case: a model, its inputs, and what it should give for them.

use super::chance;
use crate::args::{Interpret, TestArgs};
use crate::failure::Failure;
use crate::model::{self, Machine};
use crate::run::graph_outputs;
use driver::interpret::{self, Interpreter};
use driver::values::{Given, compile_for, import_for};
use driver::{Compiled, Options, Source};
use ir::{Code, DType, Graph, Literal, Strings, Tensor, Texts};
use onnx::{Drawn, Kind, ModelFile, drawn_outputs, input_kinds, output_kinds, read_value};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// The most time of a case in its own process.
const TIME: &str = "60s";

/// The tolerances of ONNX's own suites.
const ABSOLUTE: f64 = 1e-7;
const RELATIVE: f64 = 1e-3;
const RELATIVE_BF16: f64 = 1.0 / 64.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    /// Results that are not the expected ones.
    Mismatch,
    /// Valid, but not supported.
    Unsupported,
    /// Refused, a limit, or a bug.
    Error,
}

impl Outcome {
    pub const ALL: [Outcome; 4] = [Outcome::Pass, Outcome::Mismatch, Outcome::Unsupported, Outcome::Error];

    pub fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Mismatch => "mismatch",
            Outcome::Unsupported => "unsupported",
            Outcome::Error => "error",
        }
    }

    pub fn from_name(name: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub name: String,
    pub outcome: Outcome,
    pub message: String,
    /// The steps of the host that it took.
    pub host_steps: Vec<String>,
}

impl Verdict {
    fn new(case: &Path, outcome: Outcome, message: impl Into<String>) -> Verdict {
        let name = case.file_name().unwrap_or(case.as_os_str()).to_string_lossy().into_owned();
        Verdict { name, outcome, message: message.into(), host_steps: vec![] }
    }

    pub fn json(&self) -> Value {
        json!({ "name": self.name, "outcome": self.outcome.name(), "message": self.message, "host_steps": self.host_steps })
    }
}

/// Runs a case by this command in a process of its own, so that whatever becomes of it can be told.
pub fn in_own_process(case: &Path, arguments: &TestArgs) -> Verdict {
    let told = || -> Result<Verdict, String> {
        let mut command = Command::new(std::env::current_exe().map_err(|why| why.to_string())?);
        command.arg("test").arg("--json").args(["--threads", "1", "--max-time", TIME, "--target", &arguments.machine.target]);
        if let Some(level) = arguments.interpret.and_then(|level| clap::ValueEnum::to_possible_value(&level)) {
            command.args(["--interpret", level.get_name()]);
        }
        if let Some(bytes) = arguments.machine.max_memory {
            command.args(["--max-memory", &bytes.to_string()]);
        }
        command.args(["--opt", &arguments.passes.opt.to_string()]);
        for pass in &arguments.passes.without {
            command.args(["--without", pass]);
        }
        if let Some(seed) = arguments.passes.shuffle_passes {
            command.args(["--shuffle-passes", &seed.to_string()]);
        }
        if arguments.machine.no_cache {
            command.arg("--no-cache");
        }
        let output = command.arg("--").arg(case).stdin(Stdio::null()).stderr(Stdio::null()).output().map_err(|why| why.to_string())?;
        let json: Value = serde_json::from_slice(&output.stdout).map_err(|_| format!("ended without a result: {}", output.status))?;
        if let Some(message) = json["errors"][0]["message"].as_str() {
            return Err(message.to_string());
        }
        let own = &json["cases"][0];
        let outcome = own["outcome"].as_str().and_then(Outcome::from_name).ok_or("ended without a result")?;
        let steps = own["host_steps"].as_array().into_iter().flatten().filter_map(|step| step.as_str().map(str::to_string)).collect();
        Ok(Verdict { host_steps: steps, ..Verdict::new(case, outcome, own["message"].as_str().unwrap_or_default()) })
    };
    told().unwrap_or_else(|why| Verdict::new(case, Outcome::Error, why))
}

/// Runs a case here.
pub fn tried(case: &Path, arguments: &TestArgs) -> Verdict {
    let mut host_steps = Vec::new();
    let result = catch_unwind(AssertUnwindSafe(|| checked(case, arguments, &mut host_steps)));
    let verdict = match result.unwrap_or_else(|_| Err(Failure::bug("a panic"))) {
        Ok(Checked { difference: None, random }) => Verdict::new(case, Outcome::Pass, if random { DRAWN } else { "" }),
        Ok(Checked { difference: Some(difference), .. }) => Verdict::new(case, Outcome::Mismatch, difference),
        Err(failure) if failure.exit_code == Code::Unsupported.exit_code() as u8 => {
            Verdict::new(case, Outcome::Unsupported, failure.first_line())
        }
        Err(failure) => Verdict::new(case, Outcome::Error, failure.first_line()),
    };
    Verdict { host_steps, ..verdict }
}

/// What is told of a case that passes though its results can't be the expected ones.
pub const DRAWN: &str = "random: type, shape and distribution are as expected";

/// The first difference from what is expected, and whether some output is random.
struct Checked {
    difference: Option<String>,
    random: bool,
}

fn checked(case: &Path, arguments: &TestArgs, host_steps: &mut Vec<String>) -> Result<Checked, Failure> {
    let machine = Machine::new(&arguments.machine)?;
    let options = Options { selection: model::selection(&arguments.passes)?, ..machine.options() };
    let sets: Vec<PathBuf> = (0..).map(|at| case.join(format!("test_data_set_{at}"))).take_while(|set| set.is_dir()).collect();
    if sets.is_empty() {
        return Err(Failure::user(Code::Input, "there is no test_data_set_0, so nothing to compare"));
    }
    let path = case.join("model.onnx");
    let file = ModelFile::open(&path).ok();
    let kinds = file.as_ref().map_or((vec![], vec![]), |file| (input_kinds(file), output_kinds(file)));
    let drawn = file.as_ref().map_or(vec![], drawn_outputs);
    let random = drawn.iter().any(|drawn| *drawn != Drawn::No);
    for set in sets {
        let inputs = values(&set, "input", &kinds.0, &Strings::default());
        let model = Model::new(&path, arguments.interpret, &options, &inputs.as_ref().map(given).unwrap_or_default())?;
        // a model that is not supported comes first: its inputs may be of types that can't be read
        inputs?;
        let strings = Arc::new(Strings::of(model.texts()));
        *host_steps = model.host_steps();
        let [inputs, wanted] =
            [("input", &kinds.0), ("output", &kinds.1)].map(|(role, kinds)| values(&set, role, kinds, &strings).map(tensors));
        let (inputs, wanted) = (inputs?, wanted?);
        let outputs = model.outputs(&inputs, &strings, &machine, &options)?;
        let mut difference = (outputs.len() != wanted.len()).then(|| format!("{} outputs, not {}", outputs.len(), wanted.len()));
        for (at, (got, want)) in outputs.iter().zip(&wanted).enumerate() {
            let is_text = || model.texts().outputs.contains(&model.output_names()[at]);
            let found = || match drawn.get(at) {
                None | Some(Drawn::No) if is_text() => text_difference(got, want, &strings),
                None | Some(Drawn::No) => self::difference(got, want),
                Some(drawn) => chance::improbable(drawn, got, want, &inputs),
            };
            difference = difference.or_else(|| found().map(|difference| format!("output {at}: {difference}")));
        }
        difference = difference.or_else(|| chance::mask_differs(&drawn, &outputs, &inputs));
        if difference.is_some() {
            return Ok(Checked { difference, random });
        }
    }
    Ok(Checked { difference: None, random })
}

/// Named values of a set: `input_0.pb`, `input_1.pb`, ..
type Named = Vec<(String, onnx::Value)>;

fn values(set: &Path, role: &str, kinds: &[(String, Kind)], strings: &Strings) -> Result<Named, Failure> {
    let paths = (0..).map(|at| set.join(format!("{role}_{at}.pb"))).take_while(|path| path.is_file());
    let read = |(at, path): (usize, PathBuf)| {
        // one too many is told where the numbers of values are compared
        let (name, kind) = kinds.get(at).cloned().unwrap_or_else(|| (format!("{role}_{at}"), Kind::Tensor));
        let value = read_value(&path, kind, strings).map_err(|problem| Failure::from(ir::Diagnostics(vec![problem])))?;
        Ok((name, value))
    };
    paths.enumerate().map(read).collect()
}

fn tensors(values: Named) -> Vec<Tensor> {
    values.into_iter().flat_map(|(name, value)| value.tensors(&name)).map(|(_, tensor)| tensor).collect()
}

fn given(values: &Named) -> Given {
    Given {
        contents: values.iter().map(|(name, value)| (name.clone(), value.content())).collect(),
        tensors: values.iter().cloned().flat_map(|(name, value)| value.tensors(&name)).collect(),
    }
}

/// A model that can be called.
enum Model {
    Compiled(Box<Compiled>),
    Interpreted(Box<Compiled>, Interpreter),
    /// Imported only: it need not compile.
    Graph(Box<Graph>),
}

impl Model {
    /// For a call with these inputs.
    fn new(path: &Path, level: Option<Interpret>, options: &Options, given: &Given) -> Result<Model, Failure> {
        let given = || given.clone();
        let source = Source::Onnx(path.to_path_buf());
        let compile = || compile_for(&source, options.clone(), given).map(|(compiled, _)| Box::new(compiled));
        Ok(match level {
            None => Model::Compiled(compile()?),
            Some(Interpret::Graph) => Model::Graph(Box::new(import_for(path, options, given)?)),
            Some(Interpret::Program) => Model::Interpreted(compile()?, Interpreter::Program),
            Some(Interpret::Nest) => Model::Interpreted(compile()?, Interpreter::Nest),
            Some(Interpret::Kernel) => Model::Interpreted(compile()?, Interpreter::Kernel),
        })
    }

    fn texts(&self) -> &Texts {
        match self {
            Model::Compiled(compiled) | Model::Interpreted(compiled, _) => &compiled.image.texts,
            Model::Graph(graph) => &graph.texts,
        }
    }

    fn output_names(&self) -> Vec<String> {
        match self {
            Model::Compiled(compiled) | Model::Interpreted(compiled, _) => {
                compiled.image.outputs.iter().map(|(name, _)| name.clone()).collect()
            }
            Model::Graph(graph) => graph.outputs.iter().map(|(name, _)| name.clone()).collect(),
        }
    }

    /// The names of its steps of the host.
    fn host_steps(&self) -> Vec<String> {
        match self {
            Model::Compiled(compiled) | Model::Interpreted(compiled, _) => {
                compiled.image.host_calls.iter().map(|call| call.op.name.to_string()).collect()
            }
            Model::Graph(graph) => host_steps_of(graph),
        }
    }

    fn outputs(&self, inputs: &[Tensor], strings: &Arc<Strings>, machine: &Machine, options: &Options) -> Result<Vec<Tensor>, Failure> {
        let called = |compiled: &Compiled| -> Result<_, Failure> {
            let mut executable = machine.load(compiled)?;
            executable.share_strings(strings);
            Ok(executable.run(inputs))
        };
        Ok(match self {
            Model::Compiled(compiled) => match called(compiled)? {
                Err(error) if error.is_not_finite() => {
                    let options = Options { winograd: false, ..options.clone() };
                    called(&driver::compile_graph(compiled.graph.clone(), &options)?)??
                }
                outputs => outputs?,
            },
            Model::Interpreted(compiled, how) => interpret::interpret(compiled, *how, inputs, strings)?,
            Model::Graph(graph) => graph_outputs(graph, inputs, strings)?,
        })
    }
}

fn host_steps_of(graph: &Graph) -> Vec<String> {
    let of_node = |node: &ir::Node| {
        let own = ops::is_host_step(node.op).then(|| node.op.to_string());
        own.into_iter().chain(node.regions.iter().flat_map(host_steps_of)).collect::<Vec<String>>()
    };
    graph.nodes.iter().flat_map(of_node).collect()
}

/// How a tensor of strings differs from the expected one.
fn text_difference(got: &Tensor, want: &Tensor, strings: &Strings) -> Option<String> {
    if got.dims() != want.dims() {
        return Some(format!("string{:?}, not string{:?}", got.dims(), want.dims()));
    }
    let [got, want] = [got, want].map(|tensor| strings.texts(tensor).unwrap_or_default());
    let wrong: Vec<usize> = (0..want.len()).filter(|at| got.get(*at) != want.get(*at)).collect();
    let first = *wrong.first()?;
    Some(format!("{} of {} elements; [{first}] is {:?}, not {:?}", wrong.len(), want.len(), got.get(first), want[first]))
}

/// How a result differs from the expected one beyond the tolerances.
pub fn difference(got: &Tensor, want: &Tensor) -> Option<String> {
    if (got.dtype(), got.dims()) != (want.dtype(), want.dims()) {
        return Some(format!("{}{:?}, not {}{:?}", got.dtype(), got.dims(), want.dtype(), want.dims()));
    }
    let (got, want) = (got.to_array(), want.to_array());
    let wrong: Vec<usize> = (0..want.count()).filter(|at| !same(want.dtype(), got.get(*at), want.get(*at))).collect();
    let first = wrong.first()?;
    Some(format!("{} of {} elements; [{first}] is {}, not {}", wrong.len(), want.count(), got.get(*first), want.get(*first)))
}

pub fn same(dtype: DType, got: Literal, want: Literal) -> bool {
    if !dtype.is_float() {
        return got == want;
    }
    let relative = if dtype == DType::BF16 { RELATIVE_BF16 } else { RELATIVE };
    let (got, want) = (got.as_f64(), want.as_f64());
    got == want || got.is_nan() && want.is_nan() || (got - want).abs() <= ABSOLUTE + relative * want.abs() && want.is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::Array;

    fn tensor(values: &[f64]) -> Tensor {
        Tensor::from_array(&Array::floats(DType::F32, vec![values.len()], values.to_vec()))
    }

    #[test]
    fn numbers_differ_beyond_the_tolerances() {
        let want = tensor(&[1.0, 0.0, f64::NAN, f64::INFINITY]);
        assert_eq!(difference(&tensor(&[1.0009, 5e-8, f64::NAN, f64::INFINITY]), &want), None);
        let wrong = difference(&tensor(&[1.0, 2e-7, f64::NAN, 3e38]), &want).unwrap();
        assert!(wrong.starts_with("2 of 4 elements; [1] is "), "{wrong}");
        assert_eq!(difference(&tensor(&[1.0]), &want).unwrap(), "f32[1], not f32[4]");
    }
}
