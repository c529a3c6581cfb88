//! `contract`: a sum of products over named axes.
//!
//! Operands: a, b. Attributes: `spec` Text such as `bmk,bkn->bmn`, a letter an axis.
//! - C1: letters are ASCII letters, none twice in one list; each list has its tensor's rank; the result's letters are in a or b.
//! - C2: the element types are equal and not bool, or both are 8-bit integers, which gives i32.
//! - C3: a letter has one size.
//!
//! `out[bmn] = sum over the letters that the output lacks of a[bmk] * b[bkn]`, accumulated in f32 for f16, bf16 and f32, in i32 for 8-bit
//! integers, else in the type itself.

use super::accumulate::product_type;
use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::{Guards, rank_of};
use ir::{Attrs, TensorType};
use std::collections::BTreeMap;
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "contract", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

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
