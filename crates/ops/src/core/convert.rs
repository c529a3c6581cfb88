//! `convert`: another element type.
//!
//! Operands: x. Attributes: `to` DType.
//!
//! `out[i] = to(x[i])`: floats to integers truncate and saturate (NaN gives 0), integers wrap, anything to bool is `!= 0`.

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::lower::parallel;
use ir::{Array, Attrs};
use nest::Nest;
use nest::func::convert;

pub const DEF: OpDef = OpDef { name: "convert", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    Ok(Inferred::of(attrs::dtype(cx.attrs, "to")?, x.dims.clone()))
}

fn reference(inputs: &[&Array], _: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, (to, dims)) = (inputs[0], &out[0]);
    Ok(vec![Array::from_fn(*to, dims.clone(), |at| convert(x.get(at), x.dtype(), *to))])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let x = nest.read(0, &index);
    let value = nest.convert(x, cx.outputs[0].dtype);
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
    fn every_pair_of_types() {
        for (from, to) in DType::ALL.into_iter().flat_map(|from| DType::ALL.map(|to| (from, to))) {
            for n in [0, 3] {
                case("convert", attrs(to), &[&format!("{from}[n, 2]")], &[("n", n)]).check();
            }
        }
    }

    #[test]
    fn saturates_and_wraps() {
        let float = case("convert", attrs(DType::I8), &["f32[4]"], &[]).with_floats(0, &[1e9, -1e9, f64::NAN, -1.9]).check();
        assert_eq!(float, Array::ints(DType::I8, vec![4], vec![127, -128, 0, -1]));
        let int = case("convert", attrs(DType::U8), &["i32[2]"], &[]).with_ints(0, &[-1, 256]).check();
        assert_eq!(int, Array::ints(DType::U8, vec![2], vec![255, 0]));
    }

    #[test]
    fn constraints() {
        assert_eq!(infer_error("convert", Attrs::new(), &["f32[2]"]), "attribute `to` is missing");
    }
}
