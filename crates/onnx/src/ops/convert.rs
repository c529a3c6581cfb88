//! Element types, and nodes that give their operand back.

use super::Entry;
use crate::import::{Call, Outcome, element_type_of, one};
use ir::{DType, Literal};

pub const OPS: &[Entry] =
    &[Entry("Cast", 6, cast), Entry("CastLike", 15, cast_like), Entry("Identity", 1, identity), Entry("Dropout", 7, dropout)];

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
    let x = call.value(0)?;
    one(call.b().convert(x, to)?)
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
