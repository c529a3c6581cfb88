//! `philox`: random bits, an element's by its place alone.
//!
//! Operands: none, or a scalar i64, the number of a run. Attributes: `dims` Exprs; `seed`, `stream`, `half` Int.
//! - C1: `stream` is in `0..2^32`, `half` is 0 or 1.
//! - C2: the operand is a scalar i64.
//!
//! `out[i..]`, a u64, is one half of the 128 bits that Philox4x32-10 [Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2,
//! 3, 2011] makes of the counter (low and high half of the row-major place, `stream`, the low half of the run's number) under the key
//! `seed`: its words 0 and 1, or 2 and 3, the lower one first. Equal on all machines, at any number of threads and in any order.

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::lower::{parallel, valid};
use ir::{Array, Attrs, DType, Literal};
use nest::{Func, Nest, NestBuilder, ScalarId};
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "philox", infer, reference, kind: Kind::Core { lower } };

const ROUNDS: usize = 10;
/// What the even words are multiplied by.
const FACTORS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
/// What the key grows by from round to round: the golden ratio and the root of 3, less 1.
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];

struct Philox {
    key: [u32; 2],
    stream: u32,
    half: usize,
}

impl Philox {
    fn read(attrs: &Attrs) -> Result<Philox, OpError> {
        let (seed, stream) = (attrs::int(attrs, "seed")? as u64, attrs::int(attrs, "stream")?);
        let stream = u32::try_from(stream).map_err(|_| OpError::attribute(format!("attribute `stream` is {stream}, not in 0..2^32")))?;
        Ok(Philox { key: [seed as u32, (seed >> 32) as u32], stream, half: attrs::flag(attrs, "half")? as usize })
    }

    /// The key of a round.
    fn key(&self, round: usize) -> [u32; 2] {
        [0, 1].map(|at| self.key[at].wrapping_add(WEYL[at].wrapping_mul(round as u32)))
    }
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    match cx.inputs {
        [] => {}
        [run] if run.dtype == DType::I64 && run.rank() == 0 => {}
        [run] => return Err(OpError::types(format!("the number of the run is {run}, not i64[]"))),
        more => return Err(OpError::shape(format!("{} operands, not 0 or 1", more.len()))),
    }
    Philox::read(cx.attrs)?;
    Ok(Inferred::of(DType::U64, attrs::exprs(cx.attrs, "dims")?.to_vec()))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let philox = Philox::read(attrs)?;
    let run = inputs.first().map_or(0, |run| run.get(0).as_i64()) as u32;
    Ok(vec![Array::from_fn(DType::U64, out[0].1.clone(), |at| {
        let words = words(&philox, [at as u32, (at as u64 >> 32) as u32, philox.stream, run]);
        let [low, high] = [2 * philox.half, 2 * philox.half + 1].map(|word| u64::from(words[word]));
        Literal::Int((high << 32 | low) as i64)
    })])
}

fn words(philox: &Philox, counter: [u32; 4]) -> [u32; 4] {
    (0..ROUNDS).fold(counter, |[a, b, c, d], round| {
        let ([k, l], [p, q]) = (philox.key(round), [(a, FACTORS[0]), (c, FACTORS[1])].map(|(x, y)| u64::from(x) * u64::from(y)));
        [(q >> 32) as u32 ^ b ^ k, q as u32, (p >> 32) as u32 ^ d ^ l, p as u32]
    })
}

/// Words are u64 below 2^32.
struct Words<'a> {
    nest: &'a mut NestBuilder,
    /// 2^32, and the largest word.
    base: ScalarId,
    mask: ScalarId,
}

impl Words<'_> {
    fn literal(&mut self, value: u64) -> ScalarId {
        self.nest.literal(Literal::Int(value as i64), DType::U64)
    }

    fn low(&mut self, x: ScalarId) -> ScalarId {
        self.nest.apply(Func::And, &[x, self.mask])
    }

    fn high(&mut self, x: ScalarId) -> ScalarId {
        self.nest.apply(Func::Div, &[x, self.base])
    }

    /// The place in the result that an index is.
    fn place(&mut self, dims: &[Expr], index: &[Expr]) -> ScalarId {
        let place = dims.iter().zip(index).fold(Expr::zero(), |place, (dim, at)| &(&place * dim) + at);
        let place = self.nest.index(&place, DType::I64);
        self.nest.convert(place, DType::U64)
    }

    fn round(&mut self, [a, b, c, d]: [ScalarId; 4], factors: [ScalarId; 2], key: [u32; 2]) -> [ScalarId; 4] {
        let [p, q] = [self.nest.apply(Func::Mul, &[a, factors[0]]), self.nest.apply(Func::Mul, &[c, factors[1]])];
        let [k, l] = key.map(|key| self.literal(key.into()));
        let mut mixed = |product: ScalarId, word: ScalarId, key: ScalarId| {
            let high = self.high(product);
            let mixed = self.nest.apply(Func::Xor, &[high, word]);
            self.nest.apply(Func::Xor, &[mixed, key])
        };
        let (a, c) = (mixed(q, b, k), mixed(p, d, l));
        [a, self.low(q), c, self.low(p)]
    }
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let philox = valid(Philox::read(cx.attrs));
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let [base, mask] = [1 << 32, u64::from(u32::MAX)].map(|value: u64| nest.literal(Literal::Int(value as i64), DType::U64));
    let run = (!cx.inputs.is_empty()).then(|| nest.read(0, &[]));
    let run = run.map(|run| nest.convert(run, DType::U64));
    let mut words = Words { nest: &mut nest, base, mask };
    let place = words.place(cx.dims(), &index);
    let run = match run {
        Some(run) => words.low(run),
        None => words.literal(0),
    };
    let mut state = [words.low(place), words.high(place), words.literal(philox.stream.into()), run];
    let factors = FACTORS.map(|factor| words.literal(factor.into()));
    for round in 0..ROUNDS {
        state = words.round(state, factors, philox.key(round));
    }
    let high = nest.apply(Func::Mul, &[state[2 * philox.half + 1], base]);
    let bits = nest.apply(Func::Or, &[high, state[2 * philox.half]]);
    vec![cx.store(nest, &index, bits)]
}

#[cfg(test)]
mod tests {
    use super::{Philox, words};
    use crate::check::{case, infer_error};
    use ir::{Attr, Attrs};

    fn attrs(dims: &[&str], seed: i64, stream: i64, half: i64) -> Attrs {
        let dims = Attr::Exprs(dims.iter().map(|dim| dim.parse().unwrap()).collect());
        Attrs::from([("dims", dims), ("seed", Attr::Int(seed)), ("stream", Attr::Int(stream)), ("half", Attr::Int(half))])
    }

    /// The known answers of the authors' Random123.
    #[test]
    fn known_answers() {
        let philox = |key| Philox { key, stream: 0, half: 0 };
        assert_eq!(words(&philox([0; 2]), [0; 4]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        assert_eq!(words(&philox([u32::MAX; 2]), [u32::MAX; 4]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
        let digits_of_pi = words(&philox([0xa4093822, 0x299f31d0]), [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]);
        assert_eq!(digits_of_pi, [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
    }

    #[test]
    fn meaning() {
        let first = case("philox", attrs(&["1"], 0, 0, 0), &[], &[]).check();
        assert_eq!(first.get(0).as_i64() as u64, 0xe169c58d_6627e8d5);
        let second = case("philox", attrs(&["1"], 0, 0, 1), &[], &[]).check();
        assert_eq!(second.get(0).as_i64() as u64, 0x9b00dbd8_bc57ac4c);
        for n in [0, 1, 5] {
            case("philox", attrs(&["2", "n", "3"], -7, 0xffff_ffff, 0), &[], &[("n", n)]).check();
            case("philox", attrs(&["n"], 1 << 40, 3, 1), &["i64[]"], &[("n", n)]).with_ints(0, &[-1]).check();
        }
    }

    #[test]
    fn constraints() {
        assert_eq!(infer_error("philox", attrs(&["2"], 0, -1, 0), &[]), "attribute `stream` is -1, not in 0..2^32");
        assert_eq!(infer_error("philox", attrs(&["2"], 0, 0, 2), &[]), "attribute `half` is 2, not 0 or 1");
        assert_eq!(infer_error("philox", attrs(&["2"], 0, 0, 0), &["i64[1]"]), "the number of the run is i64[1], not i64[]");
    }
}
