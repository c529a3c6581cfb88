//! The tests' judge: an op's nests against its reference meaning, and a composite against its decomposition.

use crate::attrs::concrete;
use crate::build::Builder;
use crate::def::{ConcreteType, InferCx, Kind, LowerCx, OpDef, OpError};
use crate::interp::{concrete_type, outputs};
use crate::lower::operand_places;
use ir::array::Data;
use ir::{Array, Attrs, DType, Literal, TensorType, ValueId};
use nest::{Index, Nest, ScalarOp};
use std::collections::BTreeMap;
use sym::{Expr, Premises, Sym};

/// A type from `f32[n, 4]`.
pub fn ty(text: &str) -> TensorType {
    let (dtype, dims) = text.strip_suffix(']').and_then(|text| text.split_once('[')).expect("a type");
    let dims = dims.split(", ").filter(|dim| !dim.is_empty()).map(|dim| dim.parse().expect("a dim")).collect();
    TensorType::new(DType::from_name(dtype).expect("an element type"), dims)
}

/// One application of an op at known sizes.
pub struct Case {
    def: &'static OpDef,
    attrs: Attrs,
    types: Vec<TensorType>,
    sizes: BTreeMap<Sym, i64>,
    operands: Vec<Array>,
    constants: Vec<Option<Literal>>,
}

/// An application on sampled data: small numbers, so that sums are exact in f64.
pub fn case(op: &str, attrs: Attrs, types: &[&str], sizes: &[(&str, i64)]) -> Case {
    let types: Vec<TensorType> = types.iter().map(|text| ty(text)).collect();
    let sizes: BTreeMap<Sym, i64> = sizes.iter().map(|(name, value)| (Sym::new(name), *value)).collect();
    let operands = types.iter().enumerate().map(|(at, ty)| sample(at, concrete_type(ty, &sizes).expect("all sizes"))).collect();
    Case { def: crate::find(op).expect("an op"), attrs, sizes, operands, constants: vec![None; types.len()], types }
}

fn sample(seed: usize, (dtype, dims): ConcreteType) -> Array {
    let number = |at: usize| ((at * 7 + seed * 5 + at / 11) % 13) as i64 - 6;
    Array::from_fn(dtype, dims, |at| match dtype {
        _ if dtype.is_float() => Literal::Float(number(at) as f64 / 2.0),
        DType::Bool => Literal::Int(number(at) & 1),
        _ if dtype.is_unsigned_int() => Literal::Int(number(at) + 6),
        _ => Literal::Int(number(at)),
    })
}

/// The error of shape inference.
pub fn infer_error(op: &str, attrs: Attrs, types: &[&str]) -> String {
    let types: Vec<TensorType> = types.iter().map(|text| ty(text)).collect();
    let cx = InferCx { inputs: &types, attrs: &attrs, regions: &[] };
    (crate::find(op).expect("an op").infer)(&cx).expect_err("a constraint does not hold").message
}

/// The inferred types and guards, as text.
pub fn inferred(op: &str, attrs: Attrs, types: &[&str]) -> String {
    let types: Vec<TensorType> = types.iter().map(|text| ty(text)).collect();
    let cx = InferCx { inputs: &types, attrs: &attrs, regions: &[] };
    let inferred = (crate::find(op).expect("an op").infer)(&cx).expect("all constraints hold");
    let guards: Vec<String> = inferred.guards.iter().map(|guard| format!(" where {guard}")).collect();
    format!("{}{}", inferred.types[0], guards.concat())
}

impl Case {
    /// Other data for an operand.
    pub fn with_ints(mut self, operand: usize, data: &[i64]) -> Case {
        let array = &self.operands[operand];
        self.operands[operand] = Array::ints(array.dtype(), array.dims().to_vec(), data.to_vec());
        self
    }

    pub fn with_floats(mut self, operand: usize, data: &[f64]) -> Case {
        let array = &self.operands[operand];
        self.operands[operand] = Array::floats(array.dtype(), array.dims().to_vec(), data.to_vec());
        self
    }

    /// The lowering knows that all of an operand's elements are its first.
    pub fn with_constant(mut self, operand: usize) -> Case {
        self.constants[operand] = Some(self.operands[operand].get(0));
        self
    }

    /// Whether the sizes satisfy what inference left open, and what inference gave.
    fn infer(&self) -> Vec<TensorType> {
        let cx = InferCx { inputs: &self.types, attrs: &self.attrs, regions: &[] };
        let inferred = (self.def.infer)(&cx).unwrap_or_else(|error| panic!("{}: {}", self.def.name, error.message));
        for guard in &inferred.guards {
            assert_eq!(guard.holds(&|sym| self.sizes.get(sym).copied()), Some(true), "{guard}");
        }
        inferred.types
    }

    pub fn reference(&self) -> Result<Vec<Array>, OpError> {
        let out: Vec<ConcreteType> = self.infer().iter().map(|ty| concrete_type(ty, &self.sizes).expect("all sizes")).collect();
        let attrs = concrete(&self.attrs, &|sym| self.sizes.get(sym).copied()).expect("all symbols");
        let operands: Vec<&Array> = self.operands.iter().collect();
        let results = (self.def.reference)(&operands, &attrs, &out)?;
        let types: Vec<ConcreteType> = results.iter().map(|array| (array.dtype(), array.dims().to_vec())).collect();
        assert_eq!(types, out, "{}: the reference's types", self.def.name);
        Ok(results)
    }

    pub fn nests(&self) -> Vec<Nest> {
        let Kind::Core { lower } = self.def.kind else { panic!("{} is no core op", self.def.name) };
        let outputs = self.infer();
        lower(&LowerCx { inputs: &self.types, outputs: &outputs, attrs: &self.attrs, constants: &self.constants })
    }

    /// What the verifier of nests may know: that what is not empty here never is, and the sizes where guards constrain them.
    fn facts(&self) -> Premises {
        let mut facts = Premises::default();
        let cx = InferCx { inputs: &self.types, attrs: &self.attrs, regions: &[] };
        let guarded = (self.def.infer)(&cx).is_ok_and(|inferred| !inferred.guards.is_empty());
        for (sym, size) in &self.sizes {
            let size = Expr::from(*size);
            facts.nonnegative(Expr::sym(sym) - size.minimum(&Expr::one()));
            if guarded {
                facts.equal(&Expr::sym(sym), &size);
            }
        }
        facts
    }

    /// What the nests compute; elements that none writes are a value that no op gives.
    fn lowered(&self) -> Result<Vec<Array>, String> {
        let poison = |dtype: DType| if dtype.is_float() { Literal::Float(1e300) } else { Literal::Int(-777_777) };
        let types = self.infer();
        let types = types.iter().map(|ty| concrete_type(ty, &self.sizes).expect("all sizes"));
        let mut results: Vec<Array> = types.map(|(dtype, dims)| Array::filled(dtype, dims, poison(dtype))).collect();
        let operands: Vec<&Array> = self.operands.iter().collect();
        for nest in self.nests() {
            assert_eq!(nest::verify::verify(&nest, &self.facts()), Vec::<String>::new(), "{}", maps(&nest));
            let own: Vec<&Array> = operand_places(&nest).into_iter().map(|at| operands[at]).collect();
            nest::interp::run(&nest, &own, &self.sizes, &mut results)?;
        }
        Ok(results)
    }

    /// The result, equal by reference and by nests.
    pub fn check(&self) -> Array {
        let reference = self.reference().unwrap_or_else(|error| panic!("{}: {}", self.def.name, error.message));
        let lowered = self.lowered().unwrap_or_else(|error| panic!("{}: {error}", self.def.name));
        for (want, got) in reference.iter().zip(&lowered) {
            assert!(same(want, got), "{}: reference {want:?}\nnests {got:?}", self.def.name);
        }
        reference.into_iter().next().expect("a result")
    }

    /// Both the reference and the nests fail with this code.
    pub fn check_error(&self, code: &str) {
        assert_eq!(self.reference().expect_err("an error").code.name(), code);
        assert!(self.lowered().expect_err("an error").starts_with(code));
    }

    /// The first nest's maps: `z[i0, i1] <- a[i1, i0]`; a fill follows as `else`, an index from data is `*`.
    pub fn maps(&self) -> String {
        maps(&self.nests()[0])
    }

    /// A composite against its decomposition, element by element within `tolerance`; gives the reference's result.
    pub fn check_decomposition(&self, tolerance: f64) -> Array {
        let Kind::Composite { decompose } = self.def.kind else { panic!("{} is no composite", self.def.name) };
        let mut b = Builder::new(self.def.name);
        let ids: Vec<ValueId> = self.types.iter().map(|ty| b.input("x", ty.clone())).collect();
        let results = decompose(&mut b, &ids, &self.attrs).unwrap_or_else(|error| panic!("{error}"));
        b.output("y", results[0]);
        assert_eq!(*b.ty(results[0]), self.infer()[0], "{}: the decomposition's type", self.def.name);
        let got = outputs(&b.finish(), &self.operands, &self.sizes).unwrap_or_else(|error| panic!("{error}"));
        let want = self.reference().unwrap_or_else(|error| panic!("{}: {}", self.def.name, error.message));
        for at in 0..want[0].count() {
            let (want, got) = (want[0].get(at).as_f64(), got[0].get(at).as_f64());
            let agree = want == got || (want - got).abs() <= tolerance || want.is_nan() && got.is_nan();
            assert!(agree, "{}: element {at}: {want} vs {got}", self.def.name);
        }
        want.into_iter().next().expect("a result")
    }
}

/// Bitwise equal elements, but for the sign of zeros.
fn same(a: &Array, b: &Array) -> bool {
    match (a.data(), b.data()) {
        (Data::Float(x), Data::Float(y)) => x.iter().zip(y).all(|(x, y)| x == y || x.is_nan() && y.is_nan()),
        (x, y) => x == y,
    }
}

fn maps(nest: &Nest) -> String {
    let joined = |texts: Vec<String>| texts.join(", ");
    let index = |index: &[Index]| joined(index.iter().map(|at| at.as_map().map_or("*".to_string(), |map| map.to_string())).collect());
    let read = |read: &nest::Read| {
        let fill = read.fill.map_or(String::new(), |fill| format!(" else {fill}"));
        format!("{}[{}]{fill}", nest.operands[read.operand].name, index(&read.index))
    };
    let scalars = nest.body.iter().filter_map(|scalar| match &scalar.op {
        ScalarOp::Read(op) => Some(read(op)),
        ScalarOp::Index(map) => Some(map.to_string()),
        ScalarOp::Literal(_) | ScalarOp::Apply(..) | ScalarOp::Convert(_) | ScalarOp::Bits(_) | ScalarOp::Reduce(..) => None,
    });
    let write = &nest.writes[0];
    format!("{}[{}] <- {}", write.name, index(&write.index), joined(scalars.collect()))
}
