//! Steps of the host in whole models: at all levels, in branches and loops.

use driver::interpret::{Interpreter, interpret};
use driver::verify::{Sample, verify_graph};
use driver::{Options, compile_graph};
use ir::{Array, Attr, Attrs, DType, Graph, Strings, Tensor, TensorType, Texts};
use nest::Func;
use ops::{Builder, Scan};
use std::collections::BTreeMap;
use std::sync::Arc;
use target::Target;

fn ty(dtype: DType, dims: &[&str]) -> TensorType {
    TensorType::new(dtype, dims.iter().map(|dim| dim.parse().unwrap()).collect())
}

fn pattern(text: &str) -> Attrs {
    Attrs::from([("pattern", Attr::Text(text.to_string()))])
}

/// `c ? matches(x, "a+") : x == x + "!"`, and the sum of the numbers written behind a 1, one in each run.
fn model() -> Graph {
    let region = |then: bool| {
        let mut b = Builder::new("region");
        let (x, mark) = (b.input("x", ty(DType::I64, &["n"])), b.input("mark", ty(DType::I64, &["n"])));
        let y = match then {
            true => b.one("regex_full_match", pattern("a+"), &[x]),
            false => {
                let joined = b.one("string_concat", Attrs::new(), &[x, mark]).unwrap();
                b.map(Func::Equal, &[x, joined])
            }
        };
        b.output("y", y.unwrap());
        b.finish()
    };
    let mut body = Builder::new("body");
    let (sum, number) = (body.input("sum", ty(DType::I32, &[])), body.input("number", ty(DType::I32, &[])));
    let one = body.input("one", ty(DType::I64, &[]));
    let text = body.one("string_of", Attrs::new(), &[number]).unwrap();
    let text = body.one("string_concat", Attrs::new(), &[one, text]).unwrap();
    let read = body.one("number_of", Attrs::from([("to", Attr::DType(DType::I32))]), &[text]).unwrap();
    let next = body.map(Func::Add, &[sum, read]).unwrap();
    body.output("next", next);
    body.output("read", read);
    let mut b = Builder::new("g");
    let (c, x) = (b.input("c", ty(DType::Bool, &[])), b.input("x", ty(DType::I64, &["n"])));
    let numbers = b.input("numbers", ty(DType::I32, &["m"]));
    let (mark, one) = (b.ints(DType::I64, vec![], vec![1]), b.ints(DType::I64, vec![], vec![2]));
    let mark = b.broadcast(mark, &["n".parse().unwrap()]).unwrap();
    let chosen = b.branch(c, &[x, mark], region(true), region(false)).unwrap();
    let zero = b.number(DType::I32, 0.0);
    let scan = Scan { trips: "m".parse().unwrap(), scanned: vec![(numbers, 0, false)], stacked: vec![(0, false)] };
    let sums = b.scan(&scan, &[zero], &[one], body.finish()).unwrap();
    for (name, value) in [("chosen", chosen[0]), ("sum", sums[0]), ("read", sums[1])] {
        b.output(name, value);
    }
    let table = vec!["!".into(), "1".into()];
    b.graph.texts(Texts { table, inputs: ["x".to_string()].into(), ..Texts::default() });
    b.finish()
}

fn ints(dtype: DType, dims: &[usize], values: &[i64]) -> Tensor {
    Tensor::from_array(&Array::ints(dtype, dims.to_vec(), values.to_vec()))
}

#[test]
fn all_levels_give_the_same() {
    let options = Options { profile: true, ..Options::new(Target::native(), 2) };
    let compiled = compile_graph(model(), &options).unwrap();
    let strings = Arc::new(Strings::of(&compiled.image.texts));
    let x = strings.tensor(vec![3], &["aa", "b", ""]).unwrap();
    let mut executable = compiled.load(2).unwrap();
    executable.share_strings(&strings);
    for (truth, want) in [(1, [1, 0, 0]), (0, [0, 0, 0])] {
        let inputs = [ints(DType::Bool, &[], &[truth]), x.clone(), ints(DType::I32, &[3], &[7, 0, 12])];
        let want = [ints(DType::Bool, &[3], &want), ints(DType::I32, &[], &[139]), ints(DType::I32, &[3], &[17, 10, 112])];
        assert_eq!(executable.run(&inputs).unwrap(), want);
        for how in [Interpreter::Graph, Interpreter::Program, Interpreter::Nest, Interpreter::Kernel] {
            assert_eq!(interpret(&compiled, how, &inputs, &strings).unwrap(), want, "{how:?}");
        }
    }
    assert!(executable.profile().unwrap().iter().any(|step| step.calls > 0));
}

#[test]
fn a_failed_step_says_why() {
    let compiled = compile_graph(model(), &Options::new(Target::native(), 1)).unwrap();
    let mut executable = compiled.load(1).unwrap();
    let inputs = [ints(DType::Bool, &[], &[1]), ints(DType::I64, &[1], &[99]), ints(DType::I32, &[0], &[])];
    let problem = executable.run(&inputs).unwrap_err().to_string();
    assert_eq!(problem, "[E010] model: there is no string of number 99");
    let inputs = [ints(DType::Bool, &[], &[1]), ints(DType::I64, &[1], &[0]), ints(DType::I32, &[1], &[-1])];
    let problem = executable.run(&inputs).unwrap_err().to_string();
    assert_eq!(problem, "[E009] model: \"1-1\" is no number of i32");
}

#[test]
fn every_pass_keeps_the_meaning() {
    let graph = model();
    let inputs =
        [("c", ints(DType::Bool, &[], &[0])), ("x", ints(DType::I64, &[2], &[1, 2])), ("numbers", ints(DType::I32, &[2], &[3, 4]))];
    let inputs: BTreeMap<String, Tensor> = inputs.map(|(name, tensor)| (name.to_string(), tensor)).into();
    let report = verify_graph(&graph, &Options::new(Target::native(), 2), &inputs, Sample::All).unwrap();
    assert!(report.failure.is_none(), "{:?}", report.failure);
}

#[test]
fn programs_read_back() {
    let compiled = compile_graph(model(), &Options::new(Target::native(), 1)).unwrap();
    let text = compiled.program.to_string();
    assert_eq!(program::text::parse_program(&text, &|_| None), Ok(compiled.program.clone()), "{text}");
    assert_eq!(program::verify::verify(&compiled.program), Vec::<String>::new());
    let graph = compiled.graph.to_string();
    assert_eq!(ir::text::parse_graph(&graph, &ops::intern, &|_| None), Ok(compiled.graph), "{graph}");
}
