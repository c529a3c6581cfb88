//! The order of axes, and channels spread over space.

use super::Entry;
use crate::import::{Call, Known, Outcome, one};
use ir::guard::Condition;
use ir::{Code, Diagnostic};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("Transpose", 1, transpose),
    Entry("DepthToSpace", 1, depth_to_space),
    Entry("SpaceToDepth", 1, space_to_depth),
    Entry("SpaceToDepth", 28, space_to_depth_in_order),
];

fn transpose(call: &mut Call) -> Outcome {
    let rank = call.rank(0)?;
    let perm = match call.ints("perm")? {
        Some(perm) => call.normal_axes(&perm, rank)?,
        None => (0..rank).rev().collect(),
    };
    if perm.len() != rank {
        return Err(call.attribute_error(format!("attribute `perm` is {perm:?}, no order of {rank} axes")).into());
    }
    if let Some(known) = call.known(0).and_then(|known| transposed(&known, &perm)) {
        return one(known);
    }
    let x = call.value(0)?;
    one(call.b().transpose(x, &perm)?)
}

fn transposed(known: &Known, perm: &[usize]) -> Option<Known> {
    let dims = perm.iter().map(|axis| known.dims[*axis]).collect();
    known.arranged(dims, |index| {
        let mut source = vec![0; index.len()];
        perm.iter().zip(index).for_each(|(axis, i)| source[*axis] = *i);
        Some(source)
    })
}

/// The dims of `[N, C, H, W]`, and the size of a block.
fn blocks(call: &Call) -> Result<([Expr; 4], Expr), Diagnostic> {
    let size = call.int("blocksize")?.ok_or_else(|| call.attribute_error("attribute `blocksize` is missing"))?;
    if !(1..=1 << 16).contains(&size) {
        return Err(call.attribute_error(format!("attribute `blocksize` is {size}")));
    }
    let dims: Result<[Expr; 4], _> = call.dims(0)?.try_into();
    let dims =
        dims.map_err(|_| call.error(Code::Shape, format!("{} has not 4 axes", call.ty(0).map(ToString::to_string).unwrap_or_default())))?;
    Ok((dims, Expr::from(size)))
}

/// `size / part`, which must leave no rest.
fn whole_quotient(call: &mut Call, size: &Expr, part: &Expr) -> Expr {
    let quotient = size.floor_div(part);
    call.guard(Condition::Equal(&quotient * part, size.clone()));
    quotient
}

fn depth_to_space(call: &mut Call) -> Outcome {
    let ([n, c, h, w], size) = blocks(call)?;
    let columns_first = columns_first(call)?;
    let channels = whole_quotient(call, &c, &(&size * &size));
    let x = call.value(0)?;
    let (apart, perm) = match columns_first {
        true => ([n.clone(), channels.clone(), size.clone(), size.clone(), h.clone(), w.clone()], [0, 1, 4, 2, 5, 3]),
        false => ([n.clone(), size.clone(), size.clone(), channels.clone(), h.clone(), w.clone()], [0, 3, 4, 1, 5, 2]),
    };
    let x = call.b().reshape(x, &apart)?;
    let x = call.b().transpose(x, &perm)?;
    one(call.b().reshape(x, &[n, channels, &h * &size, &w * &size])?)
}

/// Whether `mode` puts a channel's block before the channels.
fn columns_first(call: &mut Call) -> Result<bool, Diagnostic> {
    match call.text("mode")?.unwrap_or("DCR") {
        "DCR" => Ok(false),
        "CRD" => Ok(true),
        mode => Err(call.attribute_error(format!("attribute `mode` is `{mode}`"))),
    }
}

fn space_to_depth(call: &mut Call) -> Outcome {
    into_depth(call, false)
}

fn space_to_depth_in_order(call: &mut Call) -> Outcome {
    let columns_first = columns_first(call)?;
    into_depth(call, columns_first)
}

fn into_depth(call: &mut Call, columns_first: bool) -> Outcome {
    let ([n, c, h, w], size) = blocks(call)?;
    let (rows, columns) = (whole_quotient(call, &h, &size), whole_quotient(call, &w, &size));
    let x = call.value(0)?;
    let x = call.b().reshape(x, &[n.clone(), c.clone(), rows.clone(), size.clone(), columns.clone(), size.clone()])?;
    let perm = if columns_first { [0, 1, 3, 5, 2, 4] } else { [0, 3, 5, 1, 2, 4] };
    let x = call.b().transpose(x, &perm)?;
    one(call.b().reshape(x, &[n, &(&c * &size) * &size, rows, columns])?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types};

    #[test]
    fn axes_turn() {
        check("x: f32[1, 2, 3] y = Transpose(x) => y", &["f32[1, 2, 3] 1 2 3 4 5 6"], &["f32[3, 2, 1] 1 4 2 5 3 6"]);
        check_types("x: f32[n, 2, m] y = Transpose {perm = [0, 2, 1]} (x) => y", &["f32[n, m, 2]"]);
        check_problems(
            "x: f32[2, 3] y = Transpose {perm = [0, 0]} (x) => y",
            &["[E005] Transpose#0: axes [0, 0] name an axis of rank 2 twice"],
        );
    }

    #[test]
    fn channels_and_space() {
        let (deep, wide) = ("f32[1, 4, 1, 2] 1 2 3 4 5 6 7 8", "f32[1, 1, 2, 4] 1 3 2 4 5 7 6 8");
        check("x: f32[1, 4, h, w] y = DepthToSpace {blocksize = 2} (x) => y", &[deep], &[wide]);
        check("x: f32[1, 4, h, w] y = DepthToSpace {blocksize = 2, mode = \"CRD\"} (x) => y", &[deep], &[wide]);
        check("x: f32[1, 1, h, w] y = SpaceToDepth {blocksize = 2} (x) => y", &[wide], &[deep]);
        let turned = |mode: &str| format!("opset 28 x: f32[1, 2, 2, 2] y = SpaceToDepth {{blocksize = 2, mode = \"{mode}\"}} (x) => y");
        let pixels = "f32[1, 2, 2, 2] 1 2 3 4 5 6 7 8";
        check(&turned("DCR"), &[pixels], &["f32[1, 8, 1, 1] 1 5 2 6 3 7 4 8"]);
        check(&turned("CRD"), &[pixels], &["f32[1, 8, 1, 1] 1 2 3 4 5 6 7 8"]);
        let order = |mode: &str| format!("x: f32[1, 8, 1, 1] y = DepthToSpace {{blocksize = 2, mode = \"{mode}\"}} (x) => y");
        let x = "f32[1, 8, 1, 1] 1 2 3 4 5 6 7 8";
        check(&order("DCR"), &[x], &["f32[1, 2, 2, 2] 1 3 5 7 2 4 6 8"]);
        check(&order("CRD"), &[x], &["f32[1, 2, 2, 2] 1 2 3 4 5 6 7 8"]);
    }
}
