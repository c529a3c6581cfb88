//! Graphs drawn at random: every pass keeps them well-formed, and their meaning.

use crate::check::executes_equally;
use crate::dce::dce;
use crate::pipeline::pipeline;
use crate::sabotage::sabotage;
use crate::testing::{counted, graph, text, ty, well_formed};
use ir::{DType, Diagnostic, Graph, Literal, ValueId};
use nest::{Func, Monoid};
use ops::{Builder, Folded, WindowAttrs};
use random::Random;
use sym::Expr;

/// Passes on a drawn graph, one after the other; false where no sizes fit the graph, or it gives no numbers.
fn check_passes(seed: u64) -> bool {
    let mut before = dce(&drawn(seed));
    if executes_equally(&before, &before, seed).is_err() {
        return false;
    }
    for pass in pipeline() {
        let after = (pass.run)(&before);
        well_formed(&after);
        let verdict = executes_equally(&before, &after, seed);
        assert_eq!(verdict, Ok(()), "seed {seed}: {}:\n{}\n->\n{}", pass.name, text(&before), text(&after));
        before = after;
    }
    true
}

#[test]
fn all_passes() {
    let checked = (0..400).filter(|seed| check_passes(*seed)).count();
    assert!(checked > 300, "{checked}");
}

/// A second run finds nothing more to do, but for what one round of each pass leaves.
#[test]
fn passes_settle() {
    for seed in 0..100 {
        let once = crate::pipeline::run(&drawn(seed));
        let twice = crate::pipeline::run(&once);
        assert!(twice.nodes.len() <= once.nodes.len(), "seed {seed}:\n{}\n->\n{}", text(&once), text(&twice));
    }
}

/// Faults are well-typed, and nearly all show: not where what follows hides them, as a product with 0 does.
#[test]
fn faults_show() {
    let (mut seen, mut hidden) = (0, Vec::new());
    for seed in 0..300 {
        let graph = crate::pipeline::run(&drawn(seed));
        let Some((wrong, what)) = sabotage(&graph, seed).filter(|_| executes_equally(&graph, &graph, seed).is_ok()) else { continue };
        well_formed(&wrong);
        match (0..4).any(|inputs| executes_equally(&graph, &wrong, seed + inputs).is_err()) {
            true => seen += 1,
            false => hidden.push(format!("{what}\n{}\n{}", text(&graph), text(&wrong))),
        }
    }
    assert!(seen > 10 * hidden.len(), "{seen} seen, hidden:\n{}", hidden.join("\n"));
}

/// A graph of a dozen ops that are drawn from `seed`; outputs are the last values and one of each type.
fn drawn(seed: u64) -> Graph {
    graph(|b| {
        let mut pool = Pool { draw: Random::new(seed), values: Vec::new() };
        for (name, dims) in [("x", "f64[n, 2, 3]"), ("z", "f64[3]"), ("w", "f64[2, 3]"), ("flags", "bool[n, 2, 3]"), ("ids", "i64[n, 2]")] {
            pool.values.push(b.input(name, ty(dims)));
        }
        pool.values.push(counted(b, DType::F64, &[2, 3]));
        pool.values.push(b.number(DType::F64, 1.0));
        for _ in 0..14 {
            if let Ok(value) = pool.step(b) {
                pool.values.push(value);
            }
        }
        let count = pool.values.len();
        for (at, value) in pool.values[count.saturating_sub(3)..].iter().enumerate() {
            b.output(&format!("y{at}"), *value);
        }
        Ok(())
    })
}

/// The values made so far.
struct Pool {
    draw: Random,
    values: Vec<ValueId>,
}

type Step = fn(&mut Pool, &mut Builder, ValueId) -> Result<ValueId, Diagnostic>;

const STEPS: [Step; 22] = [
    Pool::unary,
    Pool::binary,
    Pool::binary,
    Pool::number,
    Pool::number,
    Pool::compare,
    Pool::logic,
    Pool::select,
    Pool::convert,
    Pool::transpose,
    Pool::transpose,
    Pool::merge,
    Pool::ones,
    Pool::expand,
    Pool::slice,
    Pool::concat,
    Pool::pad,
    Pool::gather,
    Pool::reduce,
    Pool::softmax,
    Pool::contract,
    Pool::conv,
];

impl Pool {
    /// One more node on a recent value. An error is an op that does not fit it.
    fn step(&mut self, b: &mut Builder) -> Result<ValueId, Diagnostic> {
        let step = STEPS[self.draw.below(STEPS.len())];
        let value = self.any();
        step(self, b, value)
    }

    /// Later values more often.
    fn any(&mut self) -> ValueId {
        let (a, c) = (self.draw.below(self.values.len()), self.draw.below(self.values.len()));
        self.values[a.max(c)]
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.draw.below(choices.len())]
    }

    fn axis(&mut self, b: &Builder, x: ValueId) -> usize {
        self.draw.below(b.dims(x).len())
    }

    fn unary(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let func = self.of(&[Func::Neg, Func::Tanh, Func::Abs, Func::Not, Func::Sigmoid, Func::Erf, Func::Sqrt, Func::IsNan]);
        b.map(func, &[x])
    }

    fn binary(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let func = self.of(&[Func::Add, Func::Sub, Func::Mul, Func::Max, Func::Min]);
        let z = self.any();
        b.map_broadcast(func, &[x, z])
    }

    fn number(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let func = self.of(&[Func::Add, Func::Sub, Func::Mul, Func::Div, Func::Max, Func::Pow]);
        let number = self.of(&[0.0, 1.0, 2.0, 0.5, 3.0]);
        b.map_number(func, x, number)
    }

    fn compare(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let func = self.of(&[Func::Less, Func::Equal, Func::NotEqual, Func::GreaterEqual]);
        let z = self.any();
        b.map_broadcast(func, &[x, z])
    }

    fn logic(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let func = self.of(&[Func::And, Func::Or, Func::Xor]);
        let constant = self.of(&[0, 1]);
        let other = if self.draw.below(2) == 0 { b.scalar(DType::Bool, Literal::Int(constant)) } else { self.any() };
        b.map_broadcast(func, &[x, other])
    }

    fn select(&mut self, b: &mut Builder, condition: ValueId) -> Result<ValueId, Diagnostic> {
        let (x, z) = (self.any(), self.any());
        b.map_broadcast(Func::Select, &[condition, x, z])
    }

    fn convert(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let to = self.of(&[DType::F64, DType::I64, DType::Bool, DType::I8]);
        b.convert(x, to)
    }

    fn transpose(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let mut perm: Vec<usize> = (0..b.dims(x).len()).collect();
        for at in 1..perm.len() {
            perm.swap(at, self.draw.below(at + 1));
        }
        b.transpose(x, &perm)
    }

    /// Two neighbouring axes as one, or one of size 6 as two.
    fn merge(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let mut dims = b.dims(x).to_vec();
        if let Some(at) = dims.iter().position(|dim| dim.as_const() == Some(6)) {
            dims.splice(at..at + 1, [Expr::from(2), Expr::from(3)]);
        } else if dims.len() > 1 {
            let at = self.draw.below(dims.len() - 1);
            let product = &dims[at] * &dims[at + 1];
            dims.splice(at..at + 2, [product]);
        }
        b.reshape(x, &dims)
    }

    /// An axis of size 1 more, or all such axes gone.
    fn ones(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let mut dims = b.dims(x).to_vec();
        if self.draw.below(2) == 0 {
            dims.retain(|dim| !dim.is_one());
        } else {
            dims.insert(self.draw.below(dims.len() + 1), Expr::one());
        }
        b.reshape(x, &dims)
    }

    fn expand(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let wide = |dim: &Expr| if dim.is_one() { Expr::from(2) } else { dim.clone() };
        let mut dims: Vec<Expr> = b.dims(x).iter().map(wide).collect();
        if dims.len() < 4 && self.draw.below(2) == 0 {
            dims.insert(0, "n".parse().unwrap_or_default());
        }
        b.broadcast(x, &dims)
    }

    fn slice(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let dims = b.dims(x).to_vec();
        let (mut starts, mut sizes, mut steps) = (vec![Expr::zero(); dims.len()], dims.clone(), vec![1; dims.len()]);
        for axis in 0..dims.len() {
            let Some(size) = dims[axis].as_const().filter(|size| *size > 1) else { continue };
            match self.draw.below(3) {
                0 => (starts[axis], sizes[axis]) = (Expr::one(), Expr::from(size - 1)),
                1 => (starts[axis], steps[axis]) = (Expr::from(size - 1), -1),
                _ => {}
            }
        }
        b.slice(x, &starts, &sizes, &steps)
    }

    fn concat(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let (axis, z) = (self.axis(b, x), self.any());
        b.concat(&[x, if b.ty(x) == b.ty(z) { z } else { x }], axis)
    }

    fn pad(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let value = self.of(&[0.0, 1.0]);
        let value = b.number(b.dtype(x), value);
        let mut side = || (0..b.dims(x).len()).map(|_| Expr::from(self.draw.below(2) as i64)).collect::<Vec<Expr>>();
        let (low, high) = (side(), side());
        b.pad(x, value, &low, &high)
    }

    fn gather(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let axis = self.axis(b, x);
        if b.dims(x).get(axis).and_then(Expr::as_const).is_none_or(|size| size < 2) {
            return Ok(x);
        }
        let indices = match self.draw.below(3) {
            0 => b.ints(DType::I64, vec![], vec![1]),
            1 => b.ints(DType::I64, vec![2], vec![-1, -2]),
            _ => b.ints(DType::I64, vec![3], vec![0, 1, 1]),
        };
        b.gather(x, indices, axis)
    }

    fn reduce(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let (kind, folded) = (self.of(&[Monoid::Sum, Monoid::Max, Monoid::Or]), self.of(&[Folded::Kept, Folded::Dropped]));
        let axes: Vec<usize> = (0..b.dims(x).len()).filter(|_| self.draw.below(2) == 0).collect();
        b.reduce(kind, x, &axes, folded)
    }

    fn softmax(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let axis = self.axis(b, x);
        b.softmax(x, axis)
    }

    /// With itself, or with a table of 3 or 2 rows; the letters of the result in any order.
    fn contract(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let letters: Vec<char> = ('a'..='z').take(b.dims(x).len()).collect();
        let summed = self.axis(b, x);
        let mut out: Vec<char> = letters.iter().copied().filter(|c| letters.get(summed) != Some(c)).collect();
        let (table, rows) = match b.dims(x).get(summed).and_then(Expr::as_const) {
            Some(size @ 1..=6) => (counted(b, DType::F64, &[size as usize, 2]), format!("{}z", letters[summed])),
            _ => (x, letters.iter().collect()),
        };
        if rows.contains('z') {
            out.insert(self.draw.below(out.len() + 1), 'z');
        }
        let text = |letters: &[char]| letters.iter().collect::<String>();
        b.contract(&format!("{},{rows}->{}", text(&letters), text(&out)), x, table)
    }

    fn conv(&mut self, b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let channels = b.dims(x).get(1).and_then(Expr::as_const).unwrap_or(1) as usize;
        let w = counted(b, DType::F64, &[2, channels, 2]);
        let out = b.conv(x, w, &WindowAttrs { low: vec![1], ..WindowAttrs::plain(1) }, 1)?;
        let bias = counted(b, DType::F64, &[2, 1]);
        b.map_broadcast(Func::Mul, &[out, bias])
    }
}
