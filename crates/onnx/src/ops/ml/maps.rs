//! Operators that take or give maps, which are no values of a graph.

use super::super::Entry;
use crate::import::{Call, Outcome};

pub const OPS: &[Entry] = &[Entry("CastMap", 1, refused), Entry("DictVectorizer", 1, refused), Entry("ZipMap", 1, refused)];

fn refused(call: &mut Call) -> Outcome {
    let what = if call.node.op_type == "ZipMap" {
        "it gives a sequence of maps; its operand has the same numbers as a tensor"
    } else {
        "it takes a map"
    };
    Err(call.unsupported(what).into())
}
