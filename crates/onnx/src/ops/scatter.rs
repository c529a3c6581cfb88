//! Elements of a tensor changed at places picked by indices. Where several updates go to one place, they take effect in row-major order;
//! without a reduction the last one stays.

use super::Entry;
use crate::import::{Call, Outcome, one};
use ir::{Code, DType, Diagnostic, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("Scatter", 9, scatter_elements),
    Entry("ScatterElements", 11, scatter_elements),
    Entry("ScatterND", 11, scatter_nd),
    Entry("TensorScatter", 24, tensor_scatter),
];

fn scatter_elements(call: &mut Call) -> Outcome {
    let axis = call.normal_axis(call.int_or("axis", 0)?, call.rank(0)?)?;
    let combine = reduction(call)?;
    let operands = operands(call)?;
    one(call.b().scatter_elements(operands, axis, combine)?)
}

fn scatter_nd(call: &mut Call) -> Outcome {
    let combine = reduction(call)?;
    let operands = operands(call)?;
    one(call.b().scatter_nd(operands, combine)?)
}

fn operands(call: &mut Call) -> Result<[ValueId; 3], Diagnostic> {
    Ok([call.value(0)?, call.value(1)?, call.value(2)?])
}

/// How an update and the element that it meets become one, from opset 16 on.
fn reduction(call: &Call) -> Result<Option<Monoid>, Diagnostic> {
    if call.opset < 16 {
        return Ok(None);
    }
    match call.text("reduction")?.unwrap_or("none") {
        "none" => Ok(None),
        "add" => Ok(Some(Monoid::Sum)),
        "mul" => Ok(Some(Monoid::Product)),
        "max" => Ok(Some(Monoid::Max)),
        "min" => Ok(Some(Monoid::Min)),
        other => Err(call.attribute_error(format!("attribute `reduction` is {other}"))),
    }
}

/// A cache with new entries along an axis: those of batch b from place `write_indices[b]` on, or from the start; `circular` goes on at
/// the start where the cache ends.
fn tensor_scatter(call: &mut Call) -> Outcome {
    let cache = call.dims(0)?;
    let axis = call.normal_axis(call.int_or("axis", -2)?, cache.len())?;
    if axis == 0 {
        return Err(call.attribute_error("attribute `axis` is the batch's").into());
    }
    let circular = match call.text("mode")?.unwrap_or("linear") {
        "linear" => false,
        "circular" => true,
        other => return Err(call.attribute_error(format!("attribute `mode` is {other}")).into()),
    };
    let (past, update, starts) = (call.value(0)?, call.value(1)?, call.optional_value(2)?);
    let dims = call.dims(1)?;
    if dims.len() != cache.len() {
        return Err(call.error(Code::Shape, format!("an update of rank {} for a cache of rank {}", dims.len(), cache.len())).into());
    }
    let b = call.b();
    let mut place = b.iota(&dims[axis..=axis], 0, DType::I64)?;
    if let Some(starts) = starts {
        let starts = b.unsqueeze(starts, &[1])?;
        place = b.map_broadcast(Func::Add, &[place, starts])?;
    }
    if circular {
        let size = b.size(&cache[axis], DType::I64)?;
        place = b.map_broadcast(Func::Rem, &[place, size])?;
    }
    let rows = if starts.is_some() { dims[0].clone() } else { Expr::one() };
    let mut spread = vec![Expr::one(); dims.len()];
    (spread[0], spread[axis]) = (rows, dims[axis].clone());
    let place = b.reshape(place, &spread)?;
    let place = b.broadcast(place, &dims)?;
    one(b.scatter_elements([past, place, update], axis, None)?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, ops_of};

    #[test]
    fn updates_go_to_their_places() {
        let data = "x: f32[3] u: f32[2] i: i64[2] = -1 0 ";
        let inputs = ["f32[3] 1 2 3", "f32[2] 10 20"];
        check(&format!("{data} y = ScatterElements(x, i, u) => y"), &inputs, &["f32[3] 20 2 10"]);
        check(&format!("{data} y = ScatterElements {{reduction = \"add\"}} (x, i, u) => y"), &inputs, &["f32[3] 21 2 13"]);
        check(&format!("{data} y = ScatterElements {{reduction = \"mul\"}} (x, i, u) => y"), &inputs, &["f32[3] 20 2 30"]);
        check(&format!("{data} y = ScatterElements {{reduction = \"max\"}} (x, i, u) => y"), &inputs, &["f32[3] 20 2 10"]);
        check(&format!("{data} y = ScatterElements {{reduction = \"min\"}} (x, i, u) => y"), &inputs, &["f32[3] 1 2 3"]);
        let rows = "x: f32[2, 2] u: f32[2, 2] i: i64[2, 1] = 1 1 y = ScatterND(x, i, u) => y";
        check(rows, &["f32[2, 2] 1 2 3 4", "f32[2, 2] 5 6 7 8"], &["f32[2, 2] 1 2 7 8"]);
    }

    #[test]
    fn caches_take_new_entries() {
        let cache = |attributes: &str, starts: &str| {
            let text = format!("x: f32[2, 3, 1] u: f32[2, 2, 1] s: i64[2] = {starts} y = TensorScatter {{{attributes}}} (x, u, s) => y");
            check(&text, &["f32[2, 3, 1] 1 2 3 4 5 6", "f32[2, 2, 1] 10 20 30 40"], &["f32[2, 3, 1] 10 20 3 4 30 40"]);
        };
        cache("mode = \"linear\"", "0 1");
        cache("axis = 1", "0 1");
        let text = "x: f32[1, 3, 1] u: f32[1, 2, 1] s: i64[1] = 2 y = TensorScatter {mode = \"circular\"} (x, u, s) => y";
        check(text, &["f32[1, 3, 1] 1 2 3", "f32[1, 2, 1] 10 20"], &["f32[1, 3, 1] 20 2 10"]);
        let text = "x: f32[1, 3, 1] u: f32[1, 2, 1] y = TensorScatter(x, u) => y";
        check(text, &["f32[1, 3, 1] 1 2 3", "f32[1, 2, 1] 10 20"], &["f32[1, 3, 1] 10 20 3"]);
    }

    #[test]
    fn reductions_are_known() {
        assert_eq!(ops_of("x: f32[3] i: i64[1] = 0 u: f32[1] y = ScatterElements(x, i, u) => y"), "scatter_elements");
        check_problems(
            "x: f32[3] i: i64[1] = 0 u: f32[1] y = ScatterElements {reduction = \"sub\"} (x, i, u) => y",
            &["[E005] ScatterElements#0: attribute `reduction` is sub"],
        );
    }

    #[test]
    fn an_update_has_the_rank_of_its_cache() {
        let text = "x: f32[2, 3, 4] u: f32[2] i: i64[2] y = TensorScatter(x, u, i) => y";
        check_problems(text, &["[E003] TensorScatter#0: an update of rank 1 for a cache of rank 3"]);
    }
}
