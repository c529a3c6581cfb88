//! `bitcast`: the same bits as another element type.
//!
//! Operands: x. Attributes: `to` DType.
//! - C1: an element of `to` has as many bytes as one of x.
//!
//! `out[i] = bits of x[i] as to`. A bool is a byte of 0 or 1, and a byte becomes the bool of `!= 0`. Which bits a NaN has, is open where it
//! was computed.

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::lower::parallel;
use ir::{Array, Attrs};
use nest::Nest;
use nest::func::bits;

pub const DEF: OpDef = OpDef { name: "bitcast", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    let to = attrs::dtype(cx.attrs, "to")?;
    match x.dtype.size() == to.size() {
        true => Ok(Inferred::of(to, x.dims.clone())),
        false => Err(OpError::types(format!("{} has {} bytes, {to} has {}", x.dtype, x.dtype.size(), to.size()))),
    }
}

fn reference(inputs: &[&Array], _: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, (to, dims)) = (inputs[0], &out[0]);
    Ok(vec![Array::from_fn(*to, dims.clone(), |at| bits(x.get(at), x.dtype(), *to))])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let x = nest.read(0, &index);
    let value = nest.bits(x, cx.outputs[0].dtype);
    vec![cx.store(nest, &index, value)]
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(to: DType) -> Attrs {
        Attrs::from([("to", Attr::DType(to))])
    }

    #[test]
    fn every_pair_of_one_size() {
        for (from, to) in DType::ALL.into_iter().flat_map(|from| DType::ALL.map(|to| (from, to))) {
            for n in [0, 3] {
                if from.size() == to.size() {
                    case("bitcast", attrs(to), &[&format!("{from}[n, 2]")], &[("n", n)]).check();
                }
            }
        }
    }

    #[test]
    fn meaning() {
        let code = case("bitcast", attrs(DType::I32), &["f32[3]"], &[]).with_floats(0, &[1.0, -0.0, f64::INFINITY]).check();
        assert_eq!(code, Array::ints(DType::I32, vec![3], vec![0x3f80_0000, i32::MIN.into(), 0x7f80_0000]));
        let number = case("bitcast", attrs(DType::BF16), &["u16[2]"], &[]).with_ints(0, &[0x3f80, 0xc000]).check();
        assert_eq!(number, Array::floats(DType::BF16, vec![2], vec![1.0, -2.0]));
    }

    #[test]
    fn constraints() {
        assert_eq!(infer_error("bitcast", attrs(DType::I64), &["f32[2]"]), "f32 has 4 bytes, i64 has 8");
    }
}
