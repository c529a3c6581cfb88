//! `if`: one of two regions, chosen at run time.
//!
//! Operands: a condition (bool scalar), then the captures. Regions: `then`, `else`, whose inputs are the captures.
//! - C1: the condition is a bool of rank 0.
//! - C2: the inputs of both regions have the types of the captures.
//! - C3: the outputs of both regions have equal element types and dims.

use super::{check_inputs, interpreted, known_outside};
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::{Guards, rank_of, same_type};
use ir::{Code, DType, Graph, TensorType};

pub const IF: OpDef = OpDef { name: "if", infer, reference: interpreted, kind: Kind::Region };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let (condition, captures) = cx.inputs.split_first().ok_or_else(|| OpError::shape("no condition"))?;
    rank_of("condition", condition, 0)?;
    if condition.dtype != DType::Bool {
        return Err(OpError::types(format!("the condition is {}, not bool", condition.dtype)));
    }
    let [then, other] = cx.regions else {
        return Err(OpError::new(Code::Malformed, format!("regions: {} given, 2 needed", cx.regions.len())));
    };
    check_inputs(then, captures)?;
    check_inputs(other, captures)?;
    joined_types(then, other)
}

fn joined_types(then: &Graph, other: &Graph) -> Result<Inferred, OpError> {
    if then.outputs.len() != other.outputs.len() {
        let message = format!("branches have {} and {} outputs", then.outputs.len(), other.outputs.len());
        return Err(OpError::new(Code::Malformed, message));
    }
    let (mut types, mut guards) = (Vec::new(), Guards::default());
    for (at, ((_, a), (_, b))) in then.outputs.iter().zip(&other.outputs).enumerate() {
        let (a, b) = (known_outside(then, *a)?, known_outside(other, *b)?);
        let dims = guards.all_equal(&format!("output {at} of the branches"), &a.dims, &b.dims)?;
        types.push(TensorType::new(same_type(a, b)?, dims));
    }
    Ok(Inferred { types, ..Inferred::default() }.with(guards))
}

#[cfg(test)]
mod tests {
    use crate::build::Builder;
    use crate::check::ty;
    use ir::{Diagnostic, Graph, ValueId};
    use nest::Func;

    fn region(capture: &str, func: Func) -> Graph {
        let mut b = Builder::new("region");
        let x = b.input("x", ty(capture));
        let y = b.map(func, &[x]).unwrap();
        b.output("y", y);
        b.finish()
    }

    fn branch(condition: &str, then: Graph, other: Graph) -> Result<(Builder, Vec<ValueId>), Diagnostic> {
        let mut b = Builder::new("g");
        let (condition, x) = (b.input("condition", ty(condition)), b.input("x", ty("f32[n]")));
        let results = b.branch(condition, &[x], then, other)?;
        Ok((b, results))
    }

    #[test]
    fn results_have_the_types_of_both_branches() {
        let (b, results) = branch("bool[]", region("f32[n]", Func::Neg), region("f32[n]", Func::Abs)).unwrap();
        assert_eq!(results.iter().map(|id| b.ty(*id).clone()).collect::<Vec<_>>(), [ty("f32[n]")]);
    }

    #[test]
    fn constraints() {
        let message = |condition: &str, then: Graph, other: Graph| branch(condition, then, other).err().unwrap().message;
        let fine = || region("f32[n]", Func::Neg);
        assert_eq!(message("bool[1]", fine(), fine()), "condition: rank 1 of bool[1], not 0");
        assert_eq!(message("i32[]", fine(), fine()), "the condition is i32, not bool");
        assert_eq!(message("bool[]", fine(), region("f32[m]", Func::Neg)), "region region: input f32[m] is given f32[n]");
        assert_eq!(message("bool[]", fine(), region("f32[n]", Func::IsNan)), "element types differ: f32 vs bool");
    }
}
