//! Elements repeated along axes.

use super::Entry;
use super::reshape::const_dims;
use crate::import::{Call, Outcome, one, sizes};
use ir::{Code, Diagnostic};
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("Expand", 8, expand), Entry("Tile", 6, tile)];

/// The operand and the shape broadcast to each other.
fn expand(call: &mut Call) -> Outcome {
    let (given, wanted) = (call.dims(0)?, call.computed_sizes(1, "shape")?);
    if let Some(size) = wanted.iter().find(|size| sizes::is_nonnegative(size) == Some(false)) {
        return Err(call.error(Code::Shape, format!("the shape holds {size}")).into());
    }
    let dims = ::ops::dims::broadcast_dims(&[&given, &wanted]).map_err(|error| call.error(error.code, error.message))?;
    if let Some(known) = call.known(0).and_then(|known| known.broadcast(&const_dims(&dims)?)) {
        return one(known);
    }
    let x = call.value(0)?;
    one(call.b().broadcast(x, &dims)?)
}

/// Each repeated axis becomes two, of which the first repeats.
fn tile(call: &mut Call) -> Outcome {
    let (dims, repeats) = (call.dims(0)?, call.computed_sizes(1, "repeats")?);
    if repeats.len() != dims.len() {
        return Err(call.error(Code::Shape, format!("{} repeats for {} axes", repeats.len(), dims.len())).into());
    }
    if let Some(repeat) = repeats.iter().find(|repeat| sizes::is_nonnegative(repeat) == Some(false)) {
        return Err(call.error(Code::Shape, format!("an axis is repeated {repeat} times")).into());
    }
    let (mut apart, mut repeated, mut joined) = (Vec::new(), Vec::new(), Vec::new());
    for (dim, repeat) in dims.iter().zip(&repeats) {
        if !repeat.is_one() {
            apart.push(Expr::one());
            repeated.push(repeat.clone());
        }
        apart.push(dim.clone());
        repeated.push(dim.clone());
        joined.push(whole(call, dim, repeat)?);
    }
    let x = call.value(0)?;
    let x = call.b().reshape(x, &apart)?;
    let x = call.b().broadcast(x, &repeated)?;
    one(call.b().reshape(x, &joined)?)
}

fn whole(call: &Call, dim: &Expr, repeat: &Expr) -> Result<Expr, Diagnostic> {
    sizes::product([dim, repeat]).ok_or_else(|| call.error(Code::Limit, format!("{dim} times {repeat} is too complicated")))
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types};

    #[test]
    fn elements_repeat() {
        check("x: f32[2, 1] r: i64[2] = 2 2 y = Tile(x, r) => y", &["f32[2, 1] 1 2"], &["f32[4, 2] 1 1 2 2 1 1 2 2"]);
        check("x: f32[3, 1] s: i64[3] = 2 1 2 y = Expand(x, s) => y", &["f32[3, 1] 1 2 3"], &["f32[2, 3, 2] 1 1 2 2 3 3 1 1 2 2 3 3"]);
        check_types("x: f32[1, 4] w: f32[n, 1] s = Shape(w) y = Expand(x, s) z = Tile(x, s) => y, z", &["f32[n, 4]", "f32[n, 4]"]);
    }
    #[test]
    fn shapes_are_not_negative() {
        check_problems("x: f32[3, 1] s: i64[2] = -3 1 y = Expand(x, s) => y", &["[E003] Expand#0: the shape holds -3"]);
    }
}
