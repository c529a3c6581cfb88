//! The order of axes.

use super::Entry;
use crate::import::{Call, Known, Outcome, one};

pub const OPS: &[Entry] = &[Entry("Transpose", 1, transpose)];

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
}
