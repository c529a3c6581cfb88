//! Element types, and nodes that give their operand back.

use super::Entry;
use super::narrow::{Powers, Rounding, decoded, encoded, read_as};
use crate::import::{Call, Known, Narrow, Out, Outcome, Stored, one, stored_type_of};
use ir::{Array, Code, DType, Diagnostic, Literal, Tensor};
use nest::Func;

pub const OPS: &[Entry] =
    &[Entry("Cast", 6, cast), Entry("CastLike", 15, cast_like), Entry("BitCast", 26, bit_cast), Entry("Identity", 1, identity)];

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
            Some(narrow) => one(Out::of(encoded(call.b(), x, narrow, rounding)?, Some(narrow))),
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
    let (to, to_narrow) = stored_type_of(to).map_err(|(code, text)| call.error(code, format!("BitCast: {text}")))?;
    let (from, from_narrow) = (call.dtype(0)?, call.narrow(0));
    let named =
        |(dtype, narrow): Stored| narrow.map_or((dtype.to_string(), 8 * dtype.size() as u32), |narrow| (narrow.name(), narrow.bits()));
    let ((from_name, from_bits), (to_name, to_bits)) = (named((from, from_narrow)), named((to, to_narrow)));
    if from_bits != to_bits {
        let message = format!("BitCast of {from_name}, of {from_bits} bits, to {to_name}, of {to_bits}");
        return Err(call.error(Code::Type, message).into());
    }
    if from_narrow == to_narrow && from == to {
        return one(call.term(0)?);
    }
    if from_narrow.is_some() || to_narrow.is_some() {
        return narrow_bits(call, from_bits, (to, to_narrow));
    }
    if let Some(known) = call.known(0).filter(|_| !to.is_float()).and_then(|known| known.converted(to)) {
        return one(known);
    }
    let x = call.value(0)?;
    one(call.b().bitcast(x, to)?)
}

/// The bits of an element that a byte holds as another such element: those above them say nothing, or repeat the sign.
fn narrow_bits(call: &mut Call, bits: u32, (to, to_narrow): Stored) -> Outcome {
    let x = call.value(0)?;
    let b = call.b();
    let code = b.convert(x, DType::U8)?;
    let code = if bits < 8 { b.map_number(Func::And, code, f64::from((1u32 << bits) - 1))? } else { code };
    match to_narrow {
        Some(narrow @ Narrow::Int { .. }) => {
            let number = encoded(b, code, narrow, Rounding { saturate: true, mode: Powers::Up })?;
            one(Out::of(number, Some(narrow)))
        }
        Some(narrow) => one(Out::of(b.convert(code, to)?, Some(narrow))),
        None => one(b.convert(code, to)?),
    }
}

fn identity(call: &mut Call) -> Outcome {
    one(call.term(0)?)
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
        check_problems("x: f32[1] y = BitCast {to = 7} (x) => y", &["[E004] BitCast#0: BitCast of f32, of 32 bits, to i64, of 64"]);
    }

    #[test]
    fn the_bits_of_floats() {
        check("x: f32[3] y = BitCast {to = 6} (x) => y", &["f32[3] -1 0 2.5"], &["i32[3] -1082130432 0 1075838976"]);
        check("x: f16[2] y = BitCast {to = 4} (x) => y", &["f16[2] -1 2"], &["u16[2] 48128 16384"]);
        check("x: i64[1] y = BitCast {to = 11} (x) => y", &["i64[1] 4607182418800017408"], &["f64[1] 1"]);
        check("x: f16[1] y = BitCast {to = 16} (x) => y", &["f16[1] 1.875"], &["bf16[1] 1"]);
    }

    #[test]
    fn the_bits_of_narrow_types() {
        let text = |from: i64, to: i64| format!("x: i32[3] n = Cast {{to = {from}}} (x) y = BitCast {{to = {to}}} (n) => y");
        check(&text(22, 21), &["i32[3] -1 7 -8"], &["u8[3] 15 7 8"]);
        check(&text(21, 22), &["i32[3] 15 7 8"], &["i8[3] -1 7 -8"]);
        check(&text(17, 3), &["i32[3] 1 -1 0"], &["i8[3] 56 -72 0"]);
        check(&text(22, 23), &["i32[3] -1 7 -8"], &["u8[3] 15 7 8"]);
        check_problems(&text(22, 17), &["[E004] BitCast#1: BitCast of int4, of 4 bits, to float8e4m3fn, of 8"]);
    }
}
