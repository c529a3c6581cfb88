//! Sizes that depend on data: room for them grows with the calls, each call gives what it computes, and branches and loops have their own.

use driver::{Compiled, Options, compile_graph};
use ir::graph::SymbolFact;
use ir::{Array, DType, Graph, Tensor, TensorType, ValueId};
use nest::{Func, Monoid};
use ops::{Builder, Folded};
use runtime::{Executable, InputRef, OutputMut};
use sym::{Expr, Sym};
use target::Target;

fn ty(text: &str) -> TensorType {
    ir::text::parse_tensor_type(&mut sym::Parser::new(text)).unwrap()
}

fn compiled(b: Builder) -> Compiled {
    compile_graph(b.finish(), &Options::new(Target::native(), 2)).unwrap()
}

fn scalar(value: i64) -> Tensor {
    Tensor::from_array(&Array::ints(DType::I64, vec![], vec![value]))
}

fn declare(b: &mut Builder, name: &str, high: i64, value: ValueId) -> Expr {
    let sym = Sym::new(name);
    b.graph.computed(&sym, SymbolFact { low: 0, high }, value);
    Expr::sym(&sym)
}

/// The numbers up to that in `count`, twice.
fn counting() -> Builder {
    let mut b = Builder::new("g");
    let count = b.input("count", ty("i64[]"));
    let size = declare(&mut b, "s", 1 << 20, count);
    let line = b.iota(std::slice::from_ref(&size), 0, DType::I64).unwrap();
    let square = b.broadcast(line, &[Expr::from(2), size]).unwrap();
    let sum = b.reduce(Monoid::Sum, square, &[0, 1], Folded::Dropped).unwrap();
    b.output("line", line);
    b.output("square", square);
    b.output("sum", sum);
    b
}

fn run(executable: &mut Executable, count: i64) {
    let outputs = executable.run(&[scalar(count)]).unwrap();
    let numbers: Vec<i64> = (0..count).collect();
    assert_eq!(outputs[0].to_array(), Array::ints(DType::I64, vec![count as usize], numbers.clone()));
    assert_eq!(outputs[1].to_array(), Array::ints(DType::I64, vec![2, count as usize], [&numbers[..], &numbers].concat()));
    assert_eq!(outputs[2].to_array().get(0).as_i64(), count * (count - 1));
}

#[test]
fn room_grows_with_the_calls() {
    let mut executable = compiled(counting()).load(2).unwrap();
    for count in [3, 0, 1024, 1025, 5, 100_000, 7] {
        run(&mut executable, count);
    }
}

#[test]
fn sizes_outside_their_bounds_are_errors() {
    let mut executable = compiled(counting()).load(1).unwrap();
    for count in [-1, (1 << 20) + 1, i64::MAX] {
        let error = executable.run(&[scalar(count)]).unwrap_err().to_string();
        assert!(error.contains("[E009] s: the model computes a size of"), "{error}");
    }
    run(&mut executable, 9);
    let mut small = Executable::load_within(compiled(counting()).image, 1, 1 << 20).unwrap();
    run(&mut small, 1000);
    assert!(small.run(&[scalar(1 << 19)]).unwrap_err().to_string().contains("[E008]"));
    run(&mut small, 1000);
}

#[test]
fn outputs_of_the_caller_hold_the_first_elements() {
    let mut executable = compiled(counting()).load(1).unwrap();
    let count = scalar(3);
    let sizes = executable.bind(&[vec![]]).unwrap();
    let room = executable.output_room(&sizes).unwrap();
    let mut bytes: Vec<Vec<u8>> = room.iter().map(|dims| vec![0; dims.iter().product::<usize>() * 8]).collect();
    let pairs = room.iter().zip(&mut bytes);
    let mut outputs: Vec<OutputMut> = pairs.map(|(dims, bytes)| OutputMut { dtype: DType::I64, dims, bytes }).collect();
    executable.run_into(&[InputRef::from(&count)], &mut outputs).unwrap();
    assert_eq!(executable.output_dims(executable.computed_sizes()).unwrap(), [vec![3], vec![2, 3], vec![]]);
    assert_eq!(bytes[1][..48], [0i64, 1, 2, 0, 1, 2].map(i64::to_le_bytes).concat());
}

/// `sum(0..x)`, or its negative.
fn part(negative: bool) -> Graph {
    let mut b = Builder::new("part");
    let x = b.input("x", ty("i64[]"));
    let size = declare(&mut b, if negative { "t" } else { "u" }, 1 << 20, x);
    let line = b.iota(&[size], 0, DType::I64).unwrap();
    let sum = b.reduce(Monoid::Sum, line, &[0], Folded::Dropped).unwrap();
    let sum = if negative { b.map(Func::Neg, &[sum]).unwrap() } else { sum };
    b.output("sum", sum);
    b.finish()
}

#[test]
fn branches_and_loops_compute_their_own() {
    let mut b = Builder::new("g");
    let (x, flag) = (b.input("x", ty("i64[]")), b.input("flag", ty("bool[]")));
    let chosen = b.branch(flag, &[x], part(false), part(true)).unwrap()[0];
    b.output("chosen", chosen);
    let mut body = Builder::new("body");
    let (run, sum) = (body.input("run", ty("i64[]")), body.input("sum", ty("i64[]")));
    let most = body.input("most", ty("i64[]"));
    let size = declare(&mut body, "v", 1 << 20, run);
    let line = body.iota(&[size], 0, DType::I64).unwrap();
    let own = body.reduce(Monoid::Sum, line, &[0], Folded::Dropped).unwrap();
    let sum = body.map(Func::Add, &[sum, own]).unwrap();
    let next = body.map_number(Func::Add, run, 700.0).unwrap();
    let more = body.map(Func::Less, &[next, most]).unwrap();
    [("more", more), ("next", next), ("sum", sum)].into_iter().for_each(|(name, id)| body.output(name, id));
    let (truth, zero) = (b.number(DType::Bool, 1.0), b.number(DType::I64, 0.0));
    let sums = b.repeat_while(truth, &[zero, zero], &[x], body.finish()).unwrap();
    b.output("all", sums[1]);
    let compiled = compiled(b);
    let mut executable = compiled.load(1).unwrap();
    for (x, flag) in [(5, true), (5, false), (3000, true), (2000, false)] {
        let flag = Tensor::from_array(&Array::ints(DType::Bool, vec![], vec![flag as i64]));
        let outputs = executable.run(&[scalar(x), flag.clone()]).unwrap();
        let sum = x * (x - 1) / 2;
        let number = |at: usize| outputs[at].to_array().get(0).as_i64();
        assert_eq!(number(0), if flag.to_array().get(0).as_i64() == 1 { sum } else { -sum });
        assert_eq!(number(1), (0..x.max(1)).step_by(700).map(|n| n * (n - 1) / 2).sum::<i64>());
        for level in [driver::interpret::Interpreter::Program, driver::interpret::Interpreter::Nest, driver::interpret::Interpreter::Kernel]
        {
            assert_eq!(
                driver::interpret::interpret(&compiled, level, &[scalar(x), flag.clone()], &Default::default()).unwrap(),
                outputs,
                "{level:?}"
            );
        }
    }
}
