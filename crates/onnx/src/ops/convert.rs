//! Element types, and nodes that give their operand back.

use super::Entry;
use crate::import::{Call, Known, Out, Outcome, element_type_of, one};
use ir::{Array, Code, DType, Literal, Tensor};

pub const OPS: &[Entry] = &[
    Entry("Cast", 6, cast),
    Entry("CastLike", 15, cast_like),
    Entry("BitCast", 26, bit_cast),
    Entry("Identity", 1, identity),
    Entry("Dropout", 7, dropout),
];

fn cast(call: &mut Call) -> Outcome {
    call.ignore(&["saturate", "round_mode"]);
    let to = call.int("to")?.ok_or_else(|| call.attribute_error("attribute `to` is missing"))?;
    let to = element_type_of(to).map_err(|(code, text)| call.error(code, format!("Cast: {text}")))?;
    convert(call, to)
}

fn cast_like(call: &mut Call) -> Outcome {
    call.ignore(&["saturate", "round_mode"]);
    let to = call.dtype(1)?;
    convert(call, to)
}

fn convert(call: &mut Call, to: DType) -> Outcome {
    if call.dtype(0)? == to {
        return one(call.term(0)?);
    }
    if let Some(known) = call.known(0).and_then(|known| known.converted(to)) {
        return one(known);
    }
    if let Some(numbers) = call.known(0).and_then(|known| float_constant(&known, to)) {
        return one(Out::Constant(numbers));
    }
    let x = call.value(0)?;
    one(call.b().convert(x, to)?)
}

/// Known integers as floats.
fn float_constant(known: &Known, to: DType) -> Option<Tensor> {
    let numbers = known.constants().filter(|_| to.is_float())?;
    let convert = |number| nest::func::convert(Literal::Int(number), known.dtype, to).as_f64();
    Some(Tensor::from_array(&Array::floats(to, known.dims.clone(), numbers.into_iter().map(convert).collect())))
}

/// The same bits as another type: between integers a conversion is that.
fn bit_cast(call: &mut Call) -> Outcome {
    let to = call.int("to")?.ok_or_else(|| call.attribute_error("attribute `to` is missing"))?;
    let to = element_type_of(to).map_err(|(code, text)| call.error(code, format!("BitCast: {text}")))?;
    let from = call.dtype(0)?;
    if from.size() != to.size() {
        return Err(call.error(Code::Type, format!("BitCast of {from}, of {} bytes, to {to}, of {}", from.size(), to.size())).into());
    }
    if from != to && (from.is_float() || to.is_float()) {
        return Err(call.unsupported(format!("the bits of {from} as {to}")).into());
    }
    convert(call, to)
}

fn identity(call: &mut Call) -> Outcome {
    one(call.term(0)?)
}

/// The inference form: the operand, and a mask that keeps everything.
fn dropout(call: &mut Call) -> Outcome {
    call.ignore(&["ratio", "seed"]);
    if call.opset >= 12 && call.optional(2).is_some() && call.constant(2) != Some(Literal::Int(0)) {
        return Err(call.unsupported("`training_mode` is not known to be false").into());
    }
    let x = call.term(0)?;
    if !call.wants(1) {
        return one(x);
    }
    let dims = call.dims(0)?;
    let dtype = if call.opset >= 10 { DType::Bool } else { call.dtype(0)? };
    let yes = call.b().number(dtype, 1.0);
    let mask = call.b().broadcast(yes, &dims)?;
    Ok(vec![x.into(), mask.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn element_types() {
        check("x: f32[3] y = Cast {to = 7} (x) z = Cast {to = 9} (x) => y, z", &["f32[3] -1.5 0 2"], &["i64[3] -1 0 2", "bool[3] 1 0 1"]);
        check("x: f32[1] w: i32[] = 0 y = CastLike(x, w) => y", &["f32[1] 2.5"], &["i32[1] 2"]);
        check_problems("x: f32[1] y = Cast {to = 8} (x) => y", &["[E006] Cast#0: Cast: element type string is not supported"]);
    }

    #[test]
    fn the_bits_of_integers() {
        check("x: i8[3] y = BitCast {to = 2} (x) => y", &["i8[3] -1 0 127"], &["u8[3] 255 0 127"]);
        check_problems("x: f32[1] y = BitCast {to = 7} (x) => y", &["[E004] BitCast#0: BitCast of f32, of 4 bytes, to i64, of 8"]);
        check_problems("x: f32[1] y = BitCast {to = 6} (x) => y", &["[E006] BitCast#0: BitCast: the bits of f32 as i32"]);
    }

    #[test]
    fn dropout_keeps_everything() {
        check("x: f32[2] y, m = Dropout(x) => y, m", &["f32[2] 1 2"], &["f32[2] 1 2", "bool[2] 1 1"]);
        let training = "x: f32[2] r: f32[] = 0.5 t: bool[] = 1 y = Dropout(x, r, t) => y";
        check_problems(training, &["[E006] Dropout#0: Dropout: `training_mode` is not known to be false"]);
    }
}
