//! `contract`: a sum of products over named axes.
//!
//! Operands: a, b. Attributes: `spec` Text such as `bmk,bkn->bmn`, a letter an axis.
//! - C1: letters are ASCII letters, none twice in one list; each list has its tensor's rank; the result's letters are in a or b.
//! - C2: the element types are equal and not bool, or both are 8-bit integers, which gives i32.
//! - C3: a letter has one size.
//!
//! `out[bmn] = sum over the letters that the output lacks of a[bmk] * b[bkn]`, accumulated in f32 for f16, bf16 and f32, in i32 for 8-bit
//! integers, else in the type itself.

use super::accumulate::{accumulator, product_type};
use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::{Guards, rank_of};
use crate::lower::{fold, parallel, reduction, valid};
use crate::reference::{dot, dot_ints, position, wrapped};
use ir::array::{Data, for_each_index};
use ir::{Array, Attrs, Code, TensorType};
use nest::{Func, Monoid, Nest};
use std::collections::BTreeMap;
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "contract", infer, reference, kind: Kind::Core { lower } };

/// The letters of the operands and of the result.
pub struct Spec {
    pub a: Vec<char>,
    pub b: Vec<char>,
    pub out: Vec<char>,
}

impl Spec {
    pub fn read(attrs: &Attrs) -> Result<Spec, OpError> {
        let text = attrs::text(attrs, "spec")?;
        let wrong = |why: &str| OpError::attribute(format!("attribute `spec`: {text}: {why}"));
        let (operands, out) = text.split_once("->").ok_or_else(|| wrong("no ->"))?;
        let (a, b) = operands.split_once(',').ok_or_else(|| wrong("no comma"))?;
        let spec = Spec { a: a.chars().collect(), b: b.chars().collect(), out: out.chars().collect() };
        for letters in [&spec.a, &spec.b, &spec.out] {
            let twice = letters.iter().enumerate().any(|(at, c)| letters[..at].contains(c));
            if twice || !letters.iter().all(char::is_ascii_alphabetic) {
                return Err(wrong("a letter stands twice in one list, or is none"));
            }
        }
        if !spec.out.iter().all(|c| spec.a.contains(c) || spec.b.contains(c)) {
            return Err(wrong("a letter of the result is in no operand"));
        }
        Ok(spec)
    }

    /// The letters that are summed over: a's in order, then those of b alone.
    pub fn summed(&self) -> Vec<char> {
        let only_b = self.b.iter().filter(|c| !self.a.contains(c));
        self.a.iter().chain(only_b).filter(|c| !self.out.contains(c)).copied().collect()
    }
}

/// The size of each letter, with the conditions that remain.
fn sizes(spec: &Spec, a: &TensorType, b: &TensorType, guards: &mut Guards) -> Result<BTreeMap<char, Expr>, OpError> {
    let mut sizes: BTreeMap<char, Expr> = spec.a.iter().copied().zip(a.dims.iter().cloned()).collect();
    for (letter, dim) in spec.b.iter().zip(&b.dims) {
        let size = match sizes.get(letter) {
            Some(size) => guards.equal(&letter.to_ascii_uppercase().to_string(), size, dim)?,
            None => dim.clone(),
        };
        sizes.insert(*letter, size);
    }
    Ok(sizes)
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [a, b] = cx.operands()?;
    let spec = Spec::read(cx.attrs)?;
    rank_of("a", a, spec.a.len())?;
    rank_of("b", b, spec.b.len())?;
    let dtype = product_type(a, b)?;
    let mut guards = Guards::default();
    let sizes = sizes(&spec, a, b, &mut guards)?;
    Ok(Inferred::of(dtype, spec.out.iter().map(|c| sizes[c].clone()).collect()).with(guards))
}

/// Both operands are laid out as rows of all summed letters; every element of the result is then the product of two rows.
fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (a, b) = (inputs[0], inputs[1]);
    let (spec, (dtype, dims)) = (Spec::read(attrs)?, &out[0]);
    let sizes: BTreeMap<char, usize> = spec.a.iter().zip(a.dims()).chain(spec.b.iter().zip(b.dims())).map(|(c, d)| (*c, *d)).collect();
    let summed = spec.summed();
    let length: usize = summed.iter().map(|c| sizes[c]).product();
    let (rows_a, rows_b) = (offsets(&spec.out, &spec.a, a, &sizes), offsets(&spec.out, &spec.b, b, &sizes));
    let (terms_a, terms_b) = (offsets(&summed, &spec.a, a, &sizes), offsets(&summed, &spec.b, b, &sizes));
    match (a.data(), b.data()) {
        (Data::Float(a), Data::Float(b)) => {
            let (a, b) = (Rows::lay(a, &rows_a, &terms_a), Rows::lay(b, &rows_b, &terms_b));
            let sums = (0..rows_a.len()).map(|at| dot(a.row(at, length), b.row(at, length))).collect();
            Ok(vec![Array::floats(*dtype, dims.clone(), sums)])
        }
        (Data::Int(a), Data::Int(b)) => {
            let (a, b) = (Rows::lay(a, &rows_a, &terms_a), Rows::lay(b, &rows_b, &terms_b));
            let sums = (0..rows_a.len()).map(|at| dot_ints(a.row(at, length), b.row(at, length))).collect();
            Ok(vec![wrapped(*dtype, dims, sums)])
        }
        (Data::Float(_), Data::Int(_)) | (Data::Int(_), Data::Float(_)) => Err(OpError::new(Code::Type, "element types differ")),
    }
}

/// For every index over `letters`, in row-major order, how far it moves in an operand: letters that it lacks do not.
fn offsets(letters: &[char], own: &[char], operand: &Array, sizes: &BTreeMap<char, usize>) -> Vec<usize> {
    let strides = operand.strides();
    let strides: Vec<usize> = letters.iter().map(|c| own.iter().position(|o| o == c).map_or(0, |at| strides[at])).collect();
    let dims: Vec<usize> = letters.iter().map(|c| sizes[c]).collect();
    let mut offsets = Vec::with_capacity(dims.iter().product());
    for_each_index(&dims, |index| offsets.push(position(&strides, index)));
    offsets
}

/// An operand's distinct rows of terms.
struct Rows<T> {
    data: Vec<T>,
    /// The row of each element of the result.
    numbers: Vec<usize>,
}

impl<T: Copy> Rows<T> {
    fn lay(data: &[T], rows: &[usize], terms: &[usize]) -> Rows<T> {
        let mut known = BTreeMap::new();
        let mut laid = Vec::new();
        let mut number = |row: usize| {
            let next = known.len();
            *known.entry(row).or_insert_with(|| {
                laid.extend(terms.iter().map(|term| data[row + term]));
                next
            })
        };
        let numbers = rows.iter().map(|row| number(*row)).collect();
        Rows { data: laid, numbers }
    }

    fn row(&self, element: usize, length: usize) -> &[T] {
        &self.data[self.numbers[element] * length..][..length]
    }
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let spec = valid(Spec::read(cx.attrs));
    let sizes = valid(sizes(&spec, &cx.inputs[0], &cx.inputs[1], &mut Guards::default()));
    let summed = spec.summed();
    let lengths: Vec<Expr> = summed.iter().map(|c| sizes[c].clone()).collect();
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let terms = reduction(&mut nest, &lengths);
    let places: BTreeMap<char, Expr> = spec.out.iter().copied().zip(index.clone()).chain(summed.into_iter().zip(terms)).collect();
    let dtype = accumulator(cx.inputs[0].dtype);
    let factors = [&spec.a, &spec.b].into_iter().enumerate().map(|(operand, letters)| {
        let at: Vec<Expr> = letters.iter().map(|c| places[c].clone()).collect();
        let read = nest.read(operand, &at);
        nest.convert(read, dtype)
    });
    let factors: Vec<nest::ScalarId> = factors.collect();
    let product = nest.apply(Func::Mul, &factors);
    let sum = fold(&mut nest, Monoid::Sum, &lengths, product);
    let value = nest.convert(sum, cx.outputs[0].dtype);
    vec![cx.store(nest, &index, value)]
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(spec: &str) -> Attrs {
        Attrs::from([("spec", Attr::Text(spec.to_string()))])
    }

    #[test]
    fn meaning() {
        let case = case("contract", attrs("mk,kn->mn"), &["i32[2, 2]", "i32[2, 2]"], &[]);
        let case = case.with_ints(0, &[1, 2, 3, 4]).with_ints(1, &[5, 6, 7, 8]);
        assert_eq!(case.check(), Array::ints(DType::I32, vec![2, 2], vec![19, 22, 43, 50]));
        assert_eq!(case.maps(), "z[i0, i1] <- a[i0, i2], b[i2, i1]");
    }

    #[test]
    fn every_type_at_any_size() {
        for dtype in DType::ALL.into_iter().filter(|dtype| *dtype != DType::Bool) {
            for (m, k) in [(0, 3), (3, 0), (4, 5), (1, 1)] {
                let types = [format!("{dtype}[2, m, k]"), format!("{dtype}[2, k, 3]")];
                case("contract", attrs("bmk,bkn->bmn"), &[&types[0], &types[1]], &[("m", m), ("k", k)]).check();
            }
        }
        case("contract", attrs("mk,kn->mn"), &["u8[2, 300]", "i8[300, 2]"], &[]).check();
    }

    #[test]
    fn every_form() {
        for (spec, a, b) in [
            ("mk,nk->mn", "f32[4, k]", "f32[3, k]"),
            ("bhmd,bhnd->bhmn", "f32[2, 3, n, 4]", "f32[2, 3, n, 4]"),
            ("k,k->", "f32[k]", "f32[k]"),
            ("i,j->ji", "f32[n]", "f32[k]"),
            ("ab,cb->a", "f32[n, k]", "f32[3, k]"),
            ("ij,ij->ij", "f32[n, k]", "f32[n, k]"),
            ("mk,kn->mn", "f32[n, 1]", "f32[1, 5]"),
        ] {
            case("contract", attrs(spec), &[a, b], &[("n", 2), ("k", 7)]).check();
        }
        assert_eq!(
            case("contract", attrs("mk,kn->mn"), &["f32[n, 1]", "f32[1, 5]"], &[("n", 2)]).maps(),
            "z[i0, i1] <- a[i0, 0], b[0, i1]"
        );
    }

    #[test]
    fn constraints() {
        assert_eq!(inferred("contract", attrs("mk,kn->mn"), &["i8[m, k]", "u8[j, n]"]), "i32[m, n] where k == j");
        assert_eq!(infer_error("contract", attrs("mk,kn->mn"), &["f32[m, n*64 + 1]", "f32[n*64, 8]"]), "K differs: 64*n + 1 vs 64*n");
        assert_eq!(infer_error("contract", attrs("mk,kn->mn"), &["f32[2, 3]", "f64[3, 2]"]), "element types differ: f32 vs f64");
        assert_eq!(infer_error("contract", attrs("mk,kn->mn"), &["f32[3]", "f32[3, 2]"]), "a: rank 1 of f32[3], not 2");
        assert_eq!(
            infer_error("contract", attrs("k,k->m"), &["f32[3]", "f32[3]"]),
            "attribute `spec`: k,k->m: a letter of the result is in no operand"
        );
        assert_eq!(
            infer_error("contract", attrs("kk,k->"), &["f32[3, 3]", "f32[3]"]),
            "attribute `spec`: kk,k->: a letter stands twice in one list, or is none"
        );
    }
}
