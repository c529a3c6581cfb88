//! Steps of optimizers, and determinants.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use onnx::proto::AttributeProto;
use sym::Expr;

/// A step for one or two tensors; the results are the new tensors and their states.
pub fn optimizer(generator: &mut Generator) -> Option<Id> {
    let (op, kinds) = generator.random.one_of([("Adagrad", 3), ("Adam", 4), ("Momentum", 3)]);
    let count = generator.random.one_of([1, 1, 2]);
    let mut tensors = Vec::new();
    for _ in 0..count {
        let x = generator.find(|_, form| matches!(form.dtype, DType::F32 | DType::F64) && form.rank() <= 4)?;
        tensors.push(generator.tame(x, 8.0)?);
    }
    let forms: Vec<Form> = tensors.iter().map(|x| generator.form(*x).clone()).collect();
    let dtype = generator.random.one_of([DType::F32, DType::F64]);
    let mut operands = vec![generator.number(dtype, 0.125), generator.input(DType::I64, &[], Interval::new(0.0, 9.0))?];
    operands.extend(&tensors);
    for kind in 1..kinds {
        for form in &forms {
            // squares are positive, and no root is near 0
            let squares = kind + 1 == kinds && op != "Momentum";
            let interval = if squares { Interval::new(0.5, 2.0) } else { Interval::around_zero(2.0) };
            operands.push(generator.tensor(form.dtype, &form.dims, interval)?);
        }
    }
    let attributes = attributes(generator, op);
    let states = |form: &Form| form.within(Interval::around_zero(200.0)).rounded();
    let results: Vec<Form> = (0..kinds - 1).flat_map(|_| forms.iter().map(states)).collect();
    let operands: Vec<Option<Id>> = operands.into_iter().map(Some).collect();
    let results = generator.emit_all(&format!("{}.{op}", draft::TRAINING), &operands, attributes, results)?;
    let tamed: Vec<Id> = results.into_iter().map(|result| generator.clip(result, Interval::around_zero(3.0))).collect::<Option<_>>()?;
    tamed.first().copied()
}

fn attributes(generator: &mut Generator, op: &str) -> Vec<AttributeProto> {
    let norm = generator.random.one_of([0.0, 0.0, 0.25]);
    let mut attributes = vec![draft::float("norm_coefficient", norm)];
    match op {
        "Adagrad" => attributes.push(draft::float("decay_factor", generator.random.one_of([0.0, 0.5]))),
        "Adam" => attributes.extend([draft::float("alpha", 0.75), draft::float("beta", 0.9), draft::float("norm_coefficient_post", 0.125)]),
        _ => {
            let mode = generator.random.one_of(["standard", "nesterov"]);
            attributes.extend([draft::float("alpha", 0.5), draft::float("beta", 0.75), draft::text("mode", mode)]);
        }
    }
    attributes
}

/// Of small matrices.
pub fn determinant(generator: &mut Generator) -> Option<Id> {
    let n = Expr::from(generator.random.one_of([1, 2, 2, 3, 4, 5]));
    let rank = generator.random.below(3);
    let mut dims = generator.new_dims(rank);
    dims.extend([n.clone(), n.clone()]);
    let x = generator.float_input(&dims)?;
    let form = generator.form(x).clone();
    let x = generator.tame(x, 2.0)?;
    let n = n.as_const()? as i32;
    // the product of the rows' lengths
    let most = (generator.form(x).interval.largest() * f64::from(n).sqrt()).powi(n);
    dims.truncate(rank);
    let result = generator.emit("Det", &[x], vec![], form.of(dims).within(Interval::around_zero(most)).rounded())?;
    generator.tame(result, 60.0)
}
