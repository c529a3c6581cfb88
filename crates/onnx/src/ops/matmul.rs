//! Matrix products.

use super::Entry;
use crate::import::{Call, Outcome, one};
use ir::{Code, DType, Diagnostic, TensorType, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("MatMul", 1, matmul), Entry("Gemm", 1, gemm)];

/// Letters of the batch axes; `m`, `n` and `k` are the matrices'.
const BATCH_LETTERS: &str = "abcdefghijlopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Numpy's product of matrices, vectors, and stacks of them.
fn matmul(call: &mut Call) -> Outcome {
    check_types(call)?;
    let operands = [call.value(0)?, call.value(1)?];
    for (at, id) in operands.iter().enumerate() {
        if call.b().dims(*id).is_empty() {
            return Err(call.error(Code::Shape, format!("operand {at} of MatMul is a scalar")).into());
        }
    }
    let (spec, operands) = product_spec(call, operands)?;
    one(call.b().contract(&spec, operands[0], operands[1])?)
}

pub(super) fn check_types(call: &Call) -> Result<(), Diagnostic> {
    match call.dtype(0)? {
        DType::Bool | DType::I8 | DType::U8 | DType::I16 | DType::U16 => {
            Err(call.error(Code::Type, format!("{} is not defined on {}", call.node.op_type, call.dtype(0)?)))
        }
        DType::I32 | DType::I64 | DType::U32 | DType::U64 | DType::F16 | DType::BF16 | DType::F32 | DType::F64 => Ok(()),
    }
}

/// How an operand takes part in one batch axis.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// The operand has the axis, with the size of the result's.
    Whole,
    /// The operand has the axis with size 1, and repeats along it.
    One,
    Absent,
}

/// The letters, and the operands without the axes along which they repeat.
pub(super) fn product_spec(call: &mut Call, operands: [ValueId; 2]) -> Result<(String, [ValueId; 2]), Diagnostic> {
    let types = operands.map(|id| call.b().ty(id).clone());
    let batch = types.iter().map(|ty| ty.rank().saturating_sub(2)).max().unwrap_or(0);
    if batch > BATCH_LETTERS.len() {
        return Err(call.error(Code::Limit, format!("a product of {batch} batch axes")));
    }
    let operands = expanded(call, operands, &types, batch)?;
    let types = operands.map(|id| call.b().ty(id).clone());
    let mut lists = [String::new(), String::new()];
    let mut squeezed = [Vec::new(), Vec::new()];
    let mut out = String::new();
    for (axis, letter) in BATCH_LETTERS.chars().take(batch).enumerate() {
        let parts = parts(&types, batch, axis);
        out.push(letter);
        for (at, part) in parts.into_iter().enumerate() {
            match part {
                Part::Whole => lists[at].push(letter),
                Part::One => squeezed[at].push(axis + types[at].rank() - 2 - batch),
                Part::Absent => {}
            }
        }
    }
    let (a, b) = (matrix_letters(&types[0], "mk"), matrix_letters(&types[1], "kn"));
    let free = |letters: &str| letters.replace('k', "");
    let spec = format!("{}{a},{}{b}->{out}{}{}", lists[0], lists[1], free(a), free(b));
    let a = without_axes(call, operands[0], &squeezed[0])?;
    let b = without_axes(call, operands[1], &squeezed[1])?;
    Ok((spec, [a, b]))
}

/// A vector has only the axis that is summed over.
fn matrix_letters(ty: &TensorType, letters: &'static str) -> &'static str {
    if ty.rank() == 1 { "k" } else { letters }
}

fn batch_dim(ty: &TensorType, batch: usize, axis: usize) -> Option<&Expr> {
    let own = ty.rank().saturating_sub(2);
    (axis + own).checked_sub(batch).map(|at| &ty.dims[at])
}

fn parts(types: &[TensorType; 2], batch: usize, axis: usize) -> [Part; 2] {
    let dims = [batch_dim(&types[0], batch, axis), batch_dim(&types[1], batch, axis)];
    let part = |own: Option<&Expr>, other: Option<&Expr>| match (own, other) {
        (None, _) => Part::Absent,
        (Some(own), Some(other)) if own.is_one() && !other.is_one() => Part::One,
        (Some(_), _) => Part::Whole,
    };
    [part(dims[0], dims[1]), part(dims[1], dims[0])]
}

/// Operands whose batch sizes may be 1 or not, as the sizes of a call decide, expanded.
fn expanded(call: &mut Call, operands: [ValueId; 2], types: &[TensorType; 2], batch: usize) -> Result<[ValueId; 2], Diagnostic> {
    let mut dims = types.clone().map(|ty| ty.dims);
    for axis in 0..batch {
        let (Some(a), Some(b)) = (batch_dim(&types[0], batch, axis), batch_dim(&types[1], batch, axis)) else { continue };
        if a.is_one() || b.is_one() || a == b {
            continue;
        }
        let joined = ::ops::dims::broadcast_dims(&[std::slice::from_ref(a), std::slice::from_ref(b)]);
        let joined = joined.map_err(|error| call.error(error.code, format!("batch {}", error.message)))?;
        for (dims, ty) in dims.iter_mut().zip(types) {
            let at = axis + ty.rank() - 2 - batch;
            dims[at] = joined[0].clone();
        }
    }
    Ok([call.b().broadcast(operands[0], &dims[0])?, call.b().broadcast(operands[1], &dims[1])?])
}

/// The value without axes of size 1.
fn without_axes(call: &mut Call, x: ValueId, axes: &[usize]) -> Result<ValueId, Diagnostic> {
    let dims = call.b().dims(x).to_vec();
    let kept: Vec<Expr> = dims.into_iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, dim)| dim).collect();
    call.b().reshape(x, &kept)
}

/// `alpha A' B' + beta C`
fn gemm(call: &mut Call) -> Outcome {
    check_types(call)?;
    let (transpose_a, transpose_b) = (call.flag_or("transA", false)?, call.flag_or("transB", false)?);
    let (alpha, beta) = (call.float_or("alpha", 1.0)?, call.float_or("beta", 1.0)?);
    let broadcasts = call.opset >= 7 || call.flag_or("broadcast", false)?;
    let operands = [call.value(0)?, call.value(1)?];
    let (a, b) = (if transpose_a { "km" } else { "mk" }, if transpose_b { "nk" } else { "kn" });
    let product = call.b().contract(&format!("{a},{b}->mn"), operands[0], operands[1])?;
    let product = scaled(call, product, alpha)?;
    let Some(c) = call.optional_value(2)?.filter(|_| beta != 0.0) else { return one(product) };
    let dims = call.b().dims(product).to_vec();
    let c = scaled(call, c, beta)?;
    let c = if broadcasts { call.b().broadcast(c, &dims)? } else { c };
    one(call.b().map(Func::Add, &[product, c])?)
}

fn scaled(call: &mut Call, x: ValueId, factor: f64) -> Result<ValueId, Diagnostic> {
    let whole = call.b().dtype(x).is_float() || factor.fract() == 0.0;
    match whole {
        _ if factor == 1.0 => Ok(x),
        true => call.b().map_number(Func::Mul, x, factor),
        false => Err(call.unsupported(format!("a factor of {factor} on integers"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::ImportOptions;
    use crate::testing::{check, check_problems, imported};

    #[test]
    fn products_of_matrices_and_vectors() {
        let m = "m: f32[2, 2] = 1 2 3 4";
        check(
            &format!("x: f32[2] {m} y = MatMul(x, m) z = MatMul(m, x) s = MatMul(x, x) => y, z, s"),
            &["f32[2] 1 10"],
            &["f32[2] 31 42", "f32[2] 21 43", "f32[] 101"],
        );
        check(&format!("x: f32[n, 1, 2] {m} y = MatMul(x, m) => y"), &["f32[2, 1, 2] 1 0 0 1"], &["f32[2, 1, 2] 1 2 3 4"]);
    }

    #[test]
    fn batch_axes_are_not_repeated() {
        let spec = |text: &str| {
            let graph = imported(text, &ImportOptions::default()).unwrap().graph;
            let node = graph.nodes.last().unwrap();
            (format!("{:?}", node.attrs["spec"]), graph.ty(node.outputs[0]).to_string())
        };
        let check = |a: &str, b: &str, want: &str, ty: &str| {
            let got = spec(&format!("a: f32{a} b: f32{b} y = MatMul(a, b) => y"));
            assert_eq!(got, (format!("Text(\"{want}\")"), ty.to_string()));
        };
        check("[n, s, 8]", "[8, 4]", "amk,kn->amn", "f32[n, s, 4]");
        check("[n, 12, s, 8]", "[n, 12, 8, s]", "abmk,abkn->abmn", "f32[n, 12, s, s]");
        check("[1, 12, s, 8]", "[n, 1, 8, 4]", "bmk,akn->abmn", "f32[n, 12, s, 4]");
        check("[n, 3, 4]", "[m, 4, 5]", "amk,akn->amn", "f32[max(m, n), 3, 5]");
        check_problems(
            "a: f32[2, 3, 4] b: f32[3, 4, 5] y = MatMul(a, b) => y",
            &["[E003] MatMul#0: batch axis 0 does not broadcast: 2 vs 3"],
        );
    }

    #[test]
    fn gemm_scales_and_transposes() {
        let text = "a: f32[2, 1] b: f32[3, 2] = 1 2 3 4 5 6 c: f32[3] = 1 1 1 y = Gemm {transA = 1, transB = 1, alpha = 2.0, beta = 0.5} (a, b, c) => y";
        check(text, &["f32[2, 1] 1 1"], &["f32[1, 3] 6.5 14.5 22.5"]);
    }
}
