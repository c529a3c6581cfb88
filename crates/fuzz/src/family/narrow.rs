//! Through the narrow types and back: integers of 2 and 4 bits, floats of 4 and 8.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::{Array, DType, Tensor};
use onnx::proto::DataType;
use sym::Expr;

/// Each type with the first opset of the models that has it, and its largest number.
const TYPES: [(DataType, i64, f64); 10] = [
    (DataType::Float8e4m3fn, 20, 448.0),
    (DataType::Float8e4m3fnuz, 20, 240.0),
    (DataType::Float8e5m2, 20, 57344.0),
    (DataType::Float8e5m2fnuz, 20, 57344.0),
    (DataType::Int4, 24, 7.0),
    (DataType::Uint4, 24, 15.0),
    (DataType::Float4e2m1, 24, 6.0),
    (DataType::Float8e8m0, 24, 8.0),
    (DataType::Int2, 28, 1.0),
    (DataType::Uint2, 28, 3.0),
];

fn is_unsigned(ty: DataType) -> bool {
    matches!(ty, DataType::Uint4 | DataType::Uint2 | DataType::Float8e8m0)
}

/// An operand that fits, and the type.
fn operand(generator: &mut Generator) -> Option<(Id, DataType, f64)> {
    let opset = generator.opset;
    let types: Vec<_> = TYPES.into_iter().filter(|(_, since, _)| *since <= opset).collect();
    let (ty, _, most) = generator.random.pick(&types)?;
    let most = f64::min(most, 8.0);
    let low = if ty == DataType::Float8e8m0 {
        0.125
    } else if is_unsigned(ty) {
        0.0
    } else {
        -most
    };
    let within = Interval::new(low, most);
    let fits = |_: &Generator, form: &Form| {
        form.dtype == DType::F32 && form.exact && form.interval.low >= within.low && form.interval.high <= within.high
    };
    let x = match generator.find(fits).filter(|_| generator.random.chance(70)) {
        Some(found) => found,
        None => {
            let dims = generator.new_dims(2);
            generator.input(DType::F32, &dims, within)?
        }
    };
    Some((x, ty, most))
}

/// A node whose result is of a narrow type: its name.
fn node(generator: &mut Generator, op: &str, inputs: Vec<String>, attributes: Vec<onnx::proto::AttributeProto>) -> String {
    let name = generator.draft.fresh("narrow");
    generator.draft.node(op, inputs, vec![name.clone()], attributes);
    name
}

/// Maybe with its axes in the opposite order.
fn turned(generator: &mut Generator, narrow: String, form: Form) -> (String, Form) {
    if !generator.random.chance(30) {
        return (narrow, form);
    }
    let dims: Vec<Expr> = form.dims.iter().rev().cloned().collect();
    (node(generator, "Transpose", vec![narrow], vec![]), form.of(dims))
}

fn result(
    generator: &mut Generator,
    op: &str,
    inputs: Vec<String>,
    attributes: Vec<onnx::proto::AttributeProto>,
    form: Form,
) -> Option<Id> {
    let id = generator.given("wide", form);
    let output = generator.value(id).name.clone();
    generator.draft.node(op, inputs, vec![output], attributes);
    Some(id)
}

pub fn cast(generator: &mut Generator) -> Option<Id> {
    let (x, ty, most) = operand(generator)?;
    let form = generator.form(x).clone();
    let input = generator.used(x);
    let narrow = node(generator, "Cast", vec![input], vec![draft::int("to", ty as i64)]);
    let (narrow, form) = turned(generator, narrow, form);
    let wide = form.within(form.interval.hull(Interval::new(0.0, 2.0 * most)).hull(form.interval.scale(1.5)));
    result(generator, "Cast", vec![narrow], vec![draft::int("to", DataType::Float as i64)], wide)
}

/// With a scale, a power of two, for all elements or for each place of the last axis.
pub fn quantize(generator: &mut Generator) -> Option<Id> {
    if generator.opset < 24 {
        return None;
    }
    let (x, ty, most) = operand(generator).filter(|(_, ty, _)| *ty != DataType::Float8e8m0)?;
    let form = generator.form(x).clone();
    let exponent = generator.random.between(-3, 1) as i32;
    let last = form.dims.last().and_then(Expr::as_const).filter(|_| generator.random.chance(40));
    let scale = match last {
        Some(count) => {
            let scales = (0..count).map(|at| 2f64.powi(exponent + (at % 2) as i32)).collect();
            generator.constant("scale", &Tensor::from_array(&Array::floats(DType::F32, vec![count as usize], scales)))
        }
        None => generator.number(DType::F32, 2f64.powi(exponent)),
    };
    let inputs = [x, scale].map(|id| generator.used(id)).to_vec();
    let mut attributes: Vec<_> = last.map(|_| draft::int("axis", -1)).into_iter().collect();
    attributes.push(draft::int("output_dtype", ty as i64));
    let narrow = node(generator, "QuantizeLinear", inputs.clone(), attributes);
    let attributes = last.map(|_| draft::int("axis", -1)).into_iter().collect();
    let wide = form.within(Interval::around_zero(2.0 * most + 4.0));
    result(generator, "DequantizeLinear", vec![narrow, inputs[1].clone()], attributes, wide)
}
