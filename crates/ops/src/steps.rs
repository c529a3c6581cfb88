//! The operations of the host as ops of the graph, under the same names: their types and meanings are those of `host`.

use crate::def::{ConcreteType, InferCx, Inferred, Kind, OpDef, OpError};
use host::{Fault, HostCall, HostOp, OPS};
use ir::{Array, Attrs, Code, DType, Strings};

/// Operation number `AT` of the host.
pub const fn def<const AT: usize>() -> OpDef {
    OpDef { name: OPS[AT].name, infer: infer::<AT>, reference: unused, kind: Kind::Host(&OPS[AT]) }
}

fn infer<const AT: usize>(cx: &InferCx) -> Result<Inferred, OpError> {
    Ok(Inferred { types: (OPS[AT].types)(cx.inputs, cx.attrs).map_err(fault)?, ..Inferred::default() })
}

fn fault(fault: Fault) -> OpError {
    OpError::new(fault.code, fault.message)
}

/// Never called: the interpreter calls the operation with the table of strings.
fn unused(_: &[&Array], _: &Attrs, _: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    Err(OpError::new(Code::Unsupported, "an operation of the host is called with a table of strings"))
}

/// The results of an operation.
pub fn results(
    op: &'static HostOp,
    operands: &[&Array],
    attrs: &Attrs,
    types: &[ConcreteType],
    strings: &Strings,
) -> Result<Vec<Array>, OpError> {
    let rank = |(dtype, dims): &ConcreteType| (*dtype, dims.len());
    let given: Vec<(DType, usize)> = operands.iter().map(|array| (array.dtype(), array.dims().len())).collect();
    let call = HostCall { op, attrs: attrs.clone(), operands: given, results: types.iter().map(rank).collect() };
    let dims: Vec<Vec<usize>> = types.iter().map(|(_, dims)| dims.clone()).collect();
    call.interpreted(operands, &dims, strings).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Builder;
    use crate::check::ty;
    use crate::interp::{self, outputs_with};
    use ir::{Attr, Literal};
    use std::collections::BTreeMap;

    #[test]
    fn every_operation_is_an_op() {
        let named = |op: &HostOp| matches!(crate::find(op.name).map(|def| &def.kind), Some(Kind::Host(found)) if *found == op);
        assert!(OPS.iter().all(named));
    }

    #[test]
    fn strings_come_from_the_table_of_the_call() {
        let mut b = Builder::new("g");
        let (x, y) = (b.input("x", ty("i64[n]")), b.input("y", ty("i32[n]")));
        let number = b.one("string_of", Attrs::new(), &[y]).unwrap();
        let joined = b.one("string_concat", Attrs::new(), &[x, number]).unwrap();
        let attrs = Attrs::from([("pattern", Attr::Text("a[0-9]+".to_string()))]);
        let matches = b.one("regex_full_match", attrs, &[joined]).unwrap();
        b.output("joined", joined);
        b.output("matches", matches);
        let (graph, strings) = (b.finish(), Strings::default());
        let inputs = [strings.tensor(vec![2], &["a", "b"]).unwrap().to_array(), Array::ints(DType::I32, vec![2], vec![7, -1])];
        let symbols = interp::bind_symbols(&graph, &[vec![2], vec![2]]).unwrap();
        let got = outputs_with(&graph, &inputs, &symbols, &strings, interp::Floats::Exact).unwrap();
        assert_eq!(strings.texts(&ir::Tensor::from_array(&got[0])).unwrap().join(","), "a7,b-1");
        assert_eq!((got[1].get(0), got[1].get(1)), (Literal::Int(1), Literal::Int(0)));
        let stray = [Array::ints(DType::I64, vec![2], vec![99, 0]), inputs[1].clone()];
        assert_eq!(interp::outputs(&graph, &stray, &symbols).unwrap_err().code, Code::Index);
        assert_eq!(b_error(), "[E003] model: i64[n] and i64[m] differ");
        assert!(interp::outputs(&graph, &inputs, &BTreeMap::new()).is_err());
    }

    fn b_error() -> String {
        let mut b = Builder::new("g");
        let (x, y) = (b.input("x", ty("i64[n]")), b.input("y", ty("i64[m]")));
        b.one("string_concat", Attrs::new(), &[x, y]).unwrap_err().to_string()
    }
}
