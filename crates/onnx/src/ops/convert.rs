//! Element types, and nodes that give their operand back.

use super::Entry;
use super::narrow::{Powers, Rounding, decoded, encoded, read_as};
use crate::import::{Call, Known, Narrow, Out, Outcome, Stored, element_type_of, one, stored_type_of};
use ir::{Array, Code, DType, Diagnostic, Literal, Tensor};

pub const OPS: &[Entry] = &[
    Entry("Cast", 6, cast),
    Entry("CastLike", 15, cast_like),
    Entry("BitCast", 26, bit_cast),
    Entry("Identity", 1, identity),
    Entry("Dropout", 7, dropout),
];

fn cast(call: &mut Call) -> Outcome {
    let to = call.int("to")?.ok_or_else(|| call.attribute_error("attribute `to` is missing"))?;
    let to = stored_type_of(to).map_err(|(code, text)| call.error(code, format!("Cast: {text}")))?;
    convert(call, to)
}

fn cast_like(call: &mut Call) -> Outcome {
    let to = (call.dtype(1)?, call.narrow(1));
    convert(call, to)
}

/// How a number becomes a float of a narrow type.
fn rounding(call: &mut Call) -> Result<Rounding, Diagnostic> {
    let mode = match call.text("round_mode")?.unwrap_or("up") {
        "up" => Powers::Up,
        "down" => Powers::Down,
        "nearest" => Powers::Nearest,
        mode => return Err(call.attribute_error(format!("attribute `round_mode` is `{mode}`"))),
    };
    Ok(Rounding { saturate: call.flag_or("saturate", true)?, mode })
}

fn convert(call: &mut Call, (to, to_narrow): Stored) -> Outcome {
    let (rounding, from_narrow) = (rounding(call)?, call.narrow(0));
    if let (Some(_), _) | (_, Some(_)) = (from_narrow, to_narrow) {
        if from_narrow == to_narrow {
            return one(call.term(0)?);
        }
        let x = call.value(0)?;
        let x = match from_narrow {
            None => x,
            Some(Narrow::Text) => read_as(call.b(), x, if let Some(Narrow::Float(_)) = to_narrow { DType::F32 } else { to })?,
            Some(narrow) => decoded(call.b(), x, narrow)?,
        };
        return match to_narrow {
            Some(narrow) => one(Out::Narrow(Box::new(encoded(call.b(), x, narrow, rounding)?.into()), narrow)),
            None => one(call.b().convert(x, to)?),
        };
    }
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
    convert(call, (to, None))
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
        check("x: f32[1] y = Cast {to = 8} (x) => y", &["f32[1] 2.5"], &["string[1] [\"2.5\"]"]);
    }

    /// The cases of the standard's own suite have more.
    #[test]
    fn narrow_types_have_a_byte_each() {
        let there_and_back =
            |ty: i64, attributes: &str| format!("x: f32[6] n = Cast {{to = {ty}{attributes}}} (x) y = Cast {{to = 1}} (n) => n, y");
        let x = "f32[6] 0.3 -2.9 0 500 -inf nan";
        let saturated = "f32[6] 0.3125 -3 0 448 -448 NaN";
        check(&there_and_back(17, ""), &[x], &["u8[6] 42 196 0 126 254 127", saturated]);
        check(&there_and_back(17, ", saturate = 0"), &[x], &["u8[6] 42 196 0 127 255 127", "f32[6] 0.3125 -3 0 NaN NaN NaN"]);
        check(&there_and_back(22, ""), &["f32[6] 7 8 -9 -8 15 -1"], &["i8[6] 7 -8 7 -8 -1 -1", "f32[6] 7 -8 7 -8 -1 -1"]);
        let powers = "f32[6] 0 0.124 1.1 4 1.5 nan";
        check(&there_and_back(24, ", round_mode = \"down\""), &[powers], &["u8[6] 0 123 127 129 127 255", "f32[6] 0 0.0625 1 4 1 NaN"]);
        check_problems(
            "x: f32[2] n = Cast {to = 17} (x) y = Relu(n) => y",
            &["[E006] Relu#1: Relu: element type float8e4m3fn is not supported"],
        );
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
