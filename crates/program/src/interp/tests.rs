use super::*;
use crate::verify::tests::rows;

fn inputs(flag: i64) -> [Array; 2] {
    let x = Array::from_fn(DType::F32, vec![2, 8], |at| Literal::Float((at as f64).sin()));
    [x, Array::ints(DType::Bool, vec![], vec![flag])]
}

fn sizes(n: i64) -> BTreeMap<Sym, i64> {
    BTreeMap::from([(Sym::new("n"), n)])
}

/// The example's result straight from its definition.
fn expected(flag: i64) -> Vec<f64> {
    let e: Vec<f64> = (0..16).map(|at| (at as f64).sin().exp()).collect();
    let sum = |row: usize| e[row * 8..row * 8 + 8].iter().fold(0.0, |sum, v| sum + v);
    let scale = |at: usize| if flag == 1 { (at % 8 * (at % 8)) as f64 } else { 1.0 };
    (0..16).map(|at| e[at] / sum(at / 8) * scale(at)).collect()
}

#[test]
fn a_program_computes_what_it_says() {
    for flag in [0, 1] {
        let values = run(&rows(), &inputs(flag), &sizes(2)).unwrap();
        assert_eq!(values.outputs(&rows()), [Array::floats(DType::F32, vec![2, 8], expected(flag))]);
        assert_eq!(values.get(BufferId(3)).map(|w| w.get(3)), Some(Literal::Float(9.0)));
    }
}

#[test]
fn parts_are_kept_and_the_rest_is_garbage() {
    let mut program = rows();
    let Step::If { then, .. } = &mut program.steps[2] else { panic!("the branch") };
    let Step::Group(group) = &mut then[0] else { panic!("the group") };
    group.stages[0].nest.iters[1].extent = 4.into();
    let values = run(&program, &inputs(1), &sizes(2)).unwrap();
    let y = values.outputs(&program)[0].clone();
    assert_eq!(y.get(11), Literal::Float(expected(1)[11]));
    assert!(y.get(12).as_f64().is_nan());
}

#[test]
fn misuse_is_reported() {
    let program = rows();
    let error = |inputs: &[Array], sizes: &BTreeMap<Sym, i64>| run(&program, inputs, sizes).unwrap_err();
    assert_eq!(error(&inputs(0), &BTreeMap::new()), "E009: the size n is not given");
    assert_eq!(error(&inputs(0), &sizes(65)), "E009: the size n = 65 is not in 1..=64");
    assert_eq!(error(&inputs(0), &sizes(3)), "E009: input x is f32[2, 8], not f32[n, 8]");
    assert_eq!(error(&inputs(0)[..1], &sizes(2)), "E009: 1 inputs for a model of 2");
}

#[test]
fn guards_are_checked() {
    let mut program = rows();
    let condition = ir::guard::Condition::AtLeast(sym::Expr::sym(&Sym::new("n")), 4.into());
    program.guards.push(ir::Guard { condition, location: ir::Location::of("/Add") });
    assert_eq!(run(&program, &inputs(0), &sizes(2)).unwrap_err(), "E009 /Add: n >= 4 does not hold");
}

#[test]
fn a_read_before_a_write_is_reported() {
    let mut program = rows();
    program.steps.remove(1);
    assert_eq!(run(&program, &inputs(0), &sizes(2)).unwrap_err(), "b6 p is read before it is written");
}
