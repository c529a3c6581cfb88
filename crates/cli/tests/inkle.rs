//! The command as a user meets it: exit codes, what goes where, and whether the levels agree.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// `y = 2x + table[ids]`
const MODEL: &str = r#"graph "small" {
  symbol n in 1..=1024
  input %0 "x": f32[n, 4]
  input %1 "ids": i64[n]
  constant %2 "table": f32[3, 4] = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0]
  %3 "rows": f32[n, 4] = gather(%2, %1) {axis = 0} @ ["/table/Gather"]
  %4 "doubled": f32[n, 4] = map(%0, %0) {func = "add"} @ ["/Add"]
  %5 "y": f32[n, 4] = map(%4, %3) {func = "add"} @ ["/Add_1"]
  output "y" = %5
}
"#;

/// Gives inputs for it: drawn ones depend on what a level's text says of them.
const INPUTS: &str = r#"graph "inputs" {
  constant %0 "x": f32[2, 4] = [0.5, -1.0, 1.5, -2.0, 2.5, -3.0, 3.5, -4.0]
  constant %1 "ids": i64[2] = [2, 0]
  output "x" = %0
  output "ids" = %1
}
"#;

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        std::fs::write(folder.path("small.graph"), MODEL).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_inkle"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).env("XDG_CACHE_HOME", self.path("caches"));
        command
    }

    fn inkle(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// The JSON document of a command, which is all that standard output holds; and the exit code.
    fn json(&self, line: &str) -> (Value, i32) {
        let output = self.inkle(&format!("{line} --json"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{line}: {text}{}", String::from_utf8_lossy(&output.stderr));
        (serde_json::from_str(&text).unwrap(), output.status.code().unwrap())
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn every_level_gives_the_same_outputs() {
    let folder = Folder::new();
    let (report, code) = folder.json("run small.graph --seed 4 --outputs code.npz");
    assert_eq!(code, 0, "{report}");
    assert_eq!((&report["outputs"][0]["name"], &report["outputs"][0]["shape"][1]), (&"y".into(), &4.into()));
    for level in ["graph", "program", "nest", "kernel"] {
        let (report, code) = folder.json(&format!("run small.graph --seed 4 --interpret {level} --outputs {level}.npz"));
        assert_eq!(code, 0, "{level}: {report}");
        assert!(bytes(&folder.path("code.npz")) == bytes(&folder.path(&format!("{level}.npz"))), "{level} differs");
    }
}

#[test]
fn texts_of_levels_run() {
    let folder = Folder::new();
    std::fs::write(folder.path("inputs.graph"), INPUTS).unwrap();
    folder.inkle("run inputs.graph --outputs in.npz");
    folder.inkle("run small.graph --inputs in.npz --outputs graph.npz");
    for level in ["core", "program", "kernel"] {
        let text = folder.inkle(&format!("inspect small.graph --at {level}")).stdout;
        std::fs::write(folder.path(&format!("again.{level}")), text).unwrap();
        let output = folder.inkle(&format!("run again.{level} --inputs in.npz --outputs {level}.npz"));
        assert_eq!(output.status.code(), Some(0), "{level}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(bytes(&folder.path("graph.npz")) == bytes(&folder.path(&format!("{level}.npz"))), "{level} differs");
    }
}

#[test]
fn verification_finds_sabotage() {
    let folder = Folder::new();
    let (report, code) = folder.json("run small.graph --verify");
    assert_eq!((code, &report["failure"]), (0, &Value::Null), "{report}");
    let (report, code) = folder.json("run small.graph --verify --sabotage schedule:0");
    assert_eq!((code, &report["failure"]["pass"]), (1, &"schedule".into()), "{report}");
}

#[test]
fn exit_codes_say_whose_fault_it_is() {
    let folder = Folder::new();
    std::fs::write(folder.path("broken.graph"), MODEL.replace("f32[3, 4] =", "f32[3, 5] =")).unwrap();
    std::fs::write(folder.path("free.graph"), MODEL.replace("f32[n, 4]", "f32[4, n]").replace("[n]", "[4]")).unwrap();
    for (line, want) in [
        ("--help", 0),
        ("run", 2),
        ("run nothing.onnx", 2),
        ("check small.graph", 0),
        ("check broken.graph", 2),
        ("run free.graph", 2),
        ("run small.graph --inputs small.graph", 2),
        ("run small.graph --sabotage nothing", 2),
        ("run small.graph --max-memory 10", 3),
    ] {
        let output = folder.inkle(line);
        assert_eq!(output.status.code(), Some(want), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_missing_llvm_is_told() {
    let folder = Folder::new();
    let output = folder.command("run small.graph").env("INKLE_LLVM", "no-such-library.so").output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && message.contains("INKLE_LLVM") && message.contains("no-such-library.so"), "{message}");
}

#[test]
fn failures_are_json_too() {
    let folder = Folder::new();
    let (report, code) = folder.json("run nothing.onnx");
    assert_eq!((code, &report["exit_code"], &report["errors"][0]["code"]), (2, &2.into(), &"E001".into()));
}

#[test]
fn inspection_shows_every_level() {
    let folder = Folder::new();
    for (at, mark) in [
        ("graph", "gather("),
        ("core", "gather("),
        ("program", "b0"),
        ("nest", "/table/Gather"),
        ("kernel", "kernel"),
        ("schedule", "/table/Gather"),
        ("llvm", "define signext i32"),
        ("asm", ".text"),
    ] {
        let output = folder.inkle(&format!("inspect small.graph --at {at}"));
        assert!(String::from_utf8_lossy(&output.stdout).contains(mark), "{at}: {}", String::from_utf8_lossy(&output.stdout));
    }
    let none = folder.inkle("inspect small.graph --at llvm --node nowhere");
    assert!(none.stdout.is_empty() && none.status.success());
}

#[test]
fn bench_tells_what_was_measured() {
    let folder = Folder::new();
    let (report, code) = folder.json("bench small.graph --threads 2");
    assert_eq!(code, 0, "{report}");
    for key in ["compile_s", "first_ms", "median_ms", "p10_ms", "p90_ms", "peak_rss_mb"] {
        assert!(report[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {report}");
    }
    assert!(report["runs"].as_u64() >= Some(10) && report["kernels"].as_u64() >= Some(1) && report["code_bytes"].as_u64() > Some(0));
    assert_eq!((&report["recompiles"], &report["host_steps"]), (&0.into(), &0.into()));
}

#[test]
fn our_side_of_a_comparison_answers_requests() {
    let folder = Folder::new();
    std::fs::write(folder.path("requests"), "{\"run\": 0}\n{\"memory\": null}\n{\"profile\": null}\nnonsense\n").unwrap();
    let output = folder
        .command("bench small.graph --serve small.graph . --threads 1")
        .stdin(std::fs::File::open(folder.path("requests")).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [ready, run, memory, profile, refusal] = answers.as_slice() else { panic!("{text}") };
    assert!(ready["load_s"].as_f64() > Some(0.0) && memory["peak_rss_mib"].as_f64() > Some(1.0), "{text}");
    assert!(run["seconds"].as_array().is_some_and(|times| times.len() == 4), "{run}");
    // of one row: 8 sums; 4 + 4 + 4 floats and an index
    assert_eq!((profile["gflop"].as_f64(), profile["mbytes"].as_f64()), (Some(8e-9), Some(56e-6)), "{profile}");
    assert!(profile["kernels"][0]["ms"].as_f64() > Some(0.0) && profile["kernels"][0]["launches"][0]["runs"] == 1.0, "{profile}");
    assert!(refusal["error"].is_string());
    for at in [1, 2] {
        folder.inkle(&format!("run small.graph --inputs inputs.{at}.npz --outputs again.npz"));
        assert!(bytes(&folder.path("again.npz")) == bytes(&folder.path(&format!("outputs.{at}.npz"))));
    }
}

#[test]
fn models_that_are_not_compiled_fail_the_serving_process() {
    let folder = Folder::new();
    let output = folder.inkle("bench missing.onnx --serve missing.onnx .");
    let ready: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(ready["error"].is_string() && ready["exit_code"] == 2 && output.status.code() == Some(2), "{ready}");
    assert_eq!(folder.json("bench a.graph b.graph").1, 2);
}

#[test]
fn the_cache_is_used_shown_explained_and_cleared() {
    let folder = Folder::new();
    let run = |line: &str| folder.json(line).0;
    let functions = |report: &Value| report["cache"]["hits"].as_u64().unwrap() + report["cache"]["misses"].as_u64().unwrap();
    assert_eq!(functions(&run("run small.graph --no-cache")), 0);
    assert_eq!(run("cache")["entries"], 0);
    let cold = run("run small.graph --outputs cold.npz");
    assert_eq!((&cold["cache"]["hits"], functions(&cold) >= 3), (&0.into(), true), "{cold}");
    let warm = run("run small.graph --timings --outputs warm.npz");
    assert_eq!(warm["cache"]["misses"], 0, "{warm}");
    let has_stage = |report: &Value, name: &str| report["stages_s"].as_array().unwrap().iter().any(|stage| stage[0] == name);
    assert!(has_stage(&warm, "schedule") && has_stage(&warm, "load"), "{warm}");
    let checked = run("check small.graph --timings");
    assert!(has_stage(&checked, "schedule") && !has_stage(&checked, "load"), "{checked}");
    assert!(bytes(&folder.path("cold.npz")) == bytes(&folder.path("warm.npz")));
    let shown = run("cache");
    // one more holds the schedules
    assert_eq!((shown["entries"].as_u64().unwrap(), &shown["targets"][0]["entries"]), (functions(&cold) + 1, &shown["entries"]), "{shown}");
    assert_eq!(run("cache why small.graph")["misses"], Value::Array(vec![]));
    let why = run("cache why small.graph --target x86-64-v3");
    assert_eq!(why, run("cache why small.graph --target x86-64-v3"));
    assert!(why["misses"][0]["fields"].as_array().unwrap().iter().any(|field| field["field"] == "target"), "{why}");
    assert_eq!(run("cache clear")["removed"], shown["entries"]);
    assert_eq!(run("run small.graph")["cache"]["hits"], 0);
}

#[test]
fn products_are_right_and_below_peak() {
    let (report, code) = Folder::new().json("bench gemm --m 65 --n 47 --k 130 --threads 1");
    assert_eq!(code, 0, "{report}");
    // (k + 8) u sum|terms|, where the terms are below 1
    assert!(report["max_error"].as_f64().is_some_and(|error| error <= 138.0 * 130.0 * 2f64.powi(-24)), "{report}");
    assert!(report["of_peak"].as_f64().is_some_and(|share| share > 0.0 && share < 1.1), "{report}");
}
