//! Reverse-mode differentiation: the nodes of a graph that is being built, from the last one back, each by a rule of its op.
//!
//! A cotangent is the derivative of the sum of what is differentiated by each element of a value. Composites are differentiated through
//! their decompositions. What has no rule is an error, never a zero; what is flat (comparisons, rounding, integers) has no cotangent.
//!
//! - [`map`]: the rules of scalar functions

mod map;

use crate::attrs;
use crate::build::Builder;
use crate::build::core::Folded;
use crate::core::contract::Spec;
use crate::def::Kind;
use ir::graph::Node;
use ir::{Code, Diagnostic, ValueId};
use nest::{Func, Monoid};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use sym::Expr;

type Result<T> = std::result::Result<T, Diagnostic>;

/// The most nodes of a graph with derivatives: those of derivatives may be twice as many each time.
const MOST_NODES: usize = 200_000;

/// For each operand of a node its cotangent; None where it has none.
type Cotangents = Vec<Option<ValueId>>;

/// The derivatives of the sum of y's elements by the elements of each of `xs`.
pub fn gradients(b: &mut Builder, y: ValueId, xs: &[ValueId]) -> Result<Vec<ValueId>> {
    let count = b.graph.graph().nodes.len();
    let one = b.number(b.dtype(y), 1.0);
    let dims = b.dims(y).to_vec();
    let seed = b.broadcast(one, &dims)?;
    let mut tape = Tape { b, depends: xs.iter().copied().collect(), cotangents: BTreeMap::from([(y, seed)]) };
    tape.follow(0..count);
    tape.back(0..count)?;
    let Tape { b, cotangents, .. } = tape;
    let mut gradients = Vec::new();
    for x in xs {
        gradients.push(match cotangents.get(x) {
            Some(cotangent) => *cotangent,
            None => {
                let (zero, dims) = (b.number(b.dtype(*x), 0.0), b.dims(*x).to_vec());
                b.broadcast(zero, &dims)?
            }
        });
    }
    Ok(gradients)
}

/// The values of `outputs` for other values of some: the nodes between are added again.
pub fn replayed(b: &mut Builder, output: ValueId, others: &BTreeMap<ValueId, ValueId>) -> Result<ValueId> {
    let nodes: Vec<Node> = b.graph.graph().nodes.clone();
    let mut now = others.clone();
    if nodes.len() > MOST_NODES {
        return Err(b.error(Code::Limit, format!("there are more than {MOST_NODES} nodes")));
    }
    for node in nodes {
        if node.inputs.iter().all(|id| !now.contains_key(id)) || node.outputs.iter().any(|id| others.contains_key(id)) {
            continue;
        }
        let inputs: Vec<ValueId> = node.inputs.iter().map(|id| now.get(id).copied().unwrap_or(*id)).collect();
        let outputs = b.op_with_regions(node.op, node.attrs.clone(), &inputs, node.regions.clone())?;
        now.extend(node.outputs.iter().copied().zip(outputs));
    }
    Ok(now.get(&output).copied().unwrap_or(output))
}

struct Tape<'a> {
    b: &'a mut Builder,
    /// What depends on the values that are differentiated by, with these.
    depends: BTreeSet<ValueId>,
    cotangents: BTreeMap<ValueId, ValueId>,
}

impl Tape<'_> {
    fn follow(&mut self, nodes: Range<usize>) {
        for node in &self.b.graph.graph().nodes[nodes] {
            if node.inputs.iter().any(|id| self.depends.contains(id)) {
                self.depends.extend(&node.outputs);
            }
        }
    }

    fn back(&mut self, nodes: Range<usize>) -> Result<()> {
        for at in nodes.rev() {
            if self.b.graph.graph().nodes.len() > MOST_NODES {
                return Err(self.b.error(Code::Limit, format!("the derivatives have more than {MOST_NODES} nodes")));
            }
            let node = self.b.graph.graph().nodes[at].clone();
            let reaches = node.outputs.iter().any(|id| self.cotangents.contains_key(id));
            if !reaches || !node.inputs.iter().any(|id| self.depends.contains(id)) {
                continue;
            }
            match crate::find(node.op).map(|def| &def.kind) {
                Some(Kind::Composite { decompose }) => {
                    let first = self.b.graph.graph().nodes.len();
                    let outputs = decompose(self.b, &node.inputs, &node.attrs)?;
                    let last = self.b.graph.graph().nodes.len();
                    for (old, new) in node.outputs.iter().zip(outputs) {
                        if let Some(cotangent) = self.cotangents.get(old).copied() {
                            let dims = self.b.dims(new).to_vec();
                            let cotangent = self.b.reshape(cotangent, &dims)?;
                            self.add(new, cotangent)?;
                        }
                    }
                    self.follow(first..last);
                    self.back(first..last)?;
                }
                _ => self.node(&node)?,
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<()> {
        let Some(cotangent) = node.outputs.first().and_then(|id| self.cotangents.get(id)).copied() else {
            return Err(self.unsupported(node, ""));
        };
        let cotangents = self.rule(node, cotangent)?;
        for (id, cotangent) in node.inputs.iter().zip(cotangents) {
            if let (Some(cotangent), true) = (cotangent, self.depends.contains(id)) {
                self.add(*id, cotangent)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, id: ValueId, cotangent: ValueId) -> Result<()> {
        let sum = match self.cotangents.get(&id) {
            Some(sum) => self.b.map(Func::Add, &[*sum, cotangent])?,
            None => cotangent,
        };
        self.cotangents.insert(id, sum);
        Ok(())
    }

    fn unsupported(&self, node: &Node, why: &str) -> Diagnostic {
        self.b.error(Code::Unsupported, format!("the derivative of {}{why}", node.op))
    }

    fn needs(&self, node: &Node, operand: usize) -> bool {
        node.inputs.get(operand).is_some_and(|id| self.depends.contains(id) && self.b.dtype(*id).is_float())
    }

    fn rule(&mut self, node: &Node, g: ValueId) -> Result<Cotangents> {
        if !self.b.dtype(node.outputs[0]).is_float() {
            return Ok(vec![]);
        }
        let located = |error: crate::OpError| error.at(&node.location);
        let x = node.inputs[0];
        let dims = self.b.dims(x).to_vec();
        match node.op {
            "map" => {
                let func = crate::core::map::func(&node.attrs).map_err(located)?;
                map::cotangents(self.b, func, &node.inputs, node.outputs[0], g)?
                    .ok_or_else(|| self.unsupported(node, &format!(" {}", func.name())))
            }
            "convert" => {
                let from = self.b.dtype(x);
                if from.is_float() { Ok(vec![Some(self.b.convert(g, from)?)]) } else { Ok(vec![]) }
            }
            "reshape" => Ok(vec![Some(self.b.reshape(g, &dims)?)]),
            "broadcast" => self.broadcast(node, g),
            "transpose" => {
                let perm = attrs::ints(&node.attrs, "perm").map_err(located)?;
                let mut inverse = vec![0; perm.len()];
                perm.iter().enumerate().for_each(|(to, from)| inverse[*from as usize] = to);
                Ok(vec![Some(self.b.transpose(g, &inverse)?)])
            }
            "slice" => {
                let [starts, sizes] =
                    ["starts", "sizes"].map(|name| attrs::exprs(&node.attrs, name).map(<[Expr]>::to_vec).map_err(located));
                let (starts, sizes) = (starts?, sizes?);
                if attrs::ints(&node.attrs, "steps").map_err(located)?.iter().any(|step| *step != 1) {
                    return Err(self.unsupported(node, " with steps"));
                }
                let high: Vec<Expr> = dims.iter().zip(&starts).zip(&sizes).map(|((dim, start), size)| &(dim - start) - size).collect();
                let zero = self.b.number(self.b.dtype(g), 0.0);
                Ok(vec![Some(self.b.pad(g, zero, &starts, &high)?)])
            }
            "pad" => {
                if self.needs(node, 1) {
                    return Err(self.unsupported(node, " by its value"));
                }
                let low = attrs::exprs(&node.attrs, "low").map_err(located)?.to_vec();
                Ok(vec![Some(self.b.slice(g, &low, &dims, &vec![1; dims.len()])?), None])
            }
            "concat" => {
                let axis = attrs::axis(&node.attrs, "axis", dims.len()).map_err(located)?;
                let (mut start, mut parts) = (Expr::zero(), Vec::new());
                for id in &node.inputs {
                    let size = self.b.dims(*id)[axis].clone();
                    parts.push(Some(self.b.slice_axis(g, axis, &start, &size)?));
                    start = &start + &size;
                }
                Ok(parts)
            }
            "reduce" => self.reduce(node, g),
            "contract" => self.contract(node, g),
            _ => Err(self.unsupported(node, "")),
        }
    }

    /// Sums over what has been repeated.
    fn broadcast(&mut self, node: &Node, g: ValueId) -> Result<Cotangents> {
        let (from, to) = (self.b.dims(node.inputs[0]).to_vec(), self.b.dims(node.outputs[0]).to_vec());
        let new = to.len() - from.len();
        let mut repeated: Vec<usize> = (0..new).collect();
        for (axis, (dim, wide)) in from.iter().zip(&to[new..]).enumerate() {
            match dim == wide {
                true => {}
                false if dim.is_one() => repeated.push(new + axis),
                false => return Err(self.unsupported(node, &format!(" from {dim} to {wide}, which sizes decide"))),
            }
        }
        let sum = if repeated.is_empty() { g } else { self.b.reduce(Monoid::Sum, g, &repeated, Folded::Kept)? };
        Ok(vec![Some(self.b.reshape(sum, &from)?)])
    }

    /// Of a sum to each term; of an extremum, in equal parts, to those that are it.
    fn reduce(&mut self, node: &Node, g: ValueId) -> Result<Cotangents> {
        let located = |error: crate::OpError| error.at(&node.location);
        let (kind, axes) = (attrs::text(&node.attrs, "kind").map_err(located)?, attrs::ints(&node.attrs, "axes").map_err(located)?);
        let (x, axes) = (node.inputs[0], axes.iter().map(|axis| *axis as usize).collect::<Vec<usize>>());
        let dims = self.b.dims(x).to_vec();
        let mut kept = dims.clone();
        axes.iter().for_each(|axis| kept[*axis] = Expr::one());
        let b = &mut *self.b;
        let wide = |b: &mut Builder, id: ValueId| b.reshape(id, &kept).and_then(|id| b.broadcast(id, &dims));
        let all = wide(b, g)?;
        match kind {
            "sum" => Ok(vec![Some(all)]),
            "max" | "min" => {
                let extreme = wide(b, node.outputs[0])?;
                let found = b.map(Func::Equal, &[x, extreme])?;
                let hits = b.convert(found, b.dtype(g))?;
                let count = b.reduce(Monoid::Sum, hits, &axes, Folded::Kept)?;
                let count = b.broadcast(count, &dims)?;
                let share = b.map(Func::Div, &[all, count])?;
                let zero = b.number(b.dtype(g), 0.0);
                Ok(vec![Some(b.map_broadcast(Func::Select, &[found, share, zero])?)])
            }
            kind => Err(self.unsupported(node, &format!(" {kind}"))),
        }
    }

    /// Of each factor the contraction of the cotangent with the other; letters that only it has were summed, so that the result is repeated.
    fn contract(&mut self, node: &Node, g: ValueId) -> Result<Cotangents> {
        let Spec { a, b, out } = Spec::read(&node.attrs).map_err(|error| error.at(&node.location))?;
        let text = |letters: &[char]| letters.iter().collect::<String>();
        let mut cotangents = vec![None, None];
        for (at, own, other) in [(0, &a, &b), (1, &b, &a)] {
            if !self.needs(node, at) {
                continue;
            }
            let known: Vec<char> = own.iter().copied().filter(|letter| out.contains(letter) || other.contains(letter)).collect();
            let product = self.b.contract(&format!("{},{}->{}", text(&out), text(other), text(&known)), g, node.inputs[1 - at])?;
            let dims = self.b.dims(node.inputs[at]).to_vec();
            let narrow: Vec<Expr> =
                own.iter().zip(&dims).map(|(letter, dim)| if known.contains(letter) { dim.clone() } else { Expr::one() }).collect();
            let product = self.b.reshape(product, &narrow)?;
            let product = self.b.broadcast(product, &dims)?;
            cotangents[at] = Some(self.b.convert(product, self.b.dtype(node.inputs[at]))?);
        }
        Ok(cotangents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interp::outputs;
    use ir::{Array, DType, Literal, TensorType};

    /// Derivatives by two vectors of three, against differences of the function.
    #[track_caller]
    fn check(build: impl Fn(&mut Builder, ValueId, ValueId) -> Result<ValueId>) {
        let values = [[0.3, -0.7, 1.2], [0.8, 0.4, -0.5]];
        let ty = || TensorType::new(DType::F64, vec![Expr::from(3)]);
        let run = |values: &[[f64; 3]; 2], with: bool| {
            let mut b = Builder::new("g");
            let [x, w] = ["x", "w"].map(|name| b.input(name, ty()));
            let y = build(&mut b, x, w).unwrap();
            let results = if with { gradients(&mut b, y, &[x, w]).unwrap() } else { vec![y] };
            results.iter().for_each(|id| b.output("o", *id));
            let inputs = values.map(|values| Array::floats(DType::F64, vec![3], values.to_vec()));
            outputs(&b.finish(), &inputs, &BTreeMap::new()).unwrap()
        };
        let sum = |array: &Array| (0..array.count()).map(|at| array.get(at).as_f64()).sum::<f64>();
        let found = run(&values, true);
        for (input, at) in (0..2).flat_map(|input| (0..3).map(move |at| (input, at))) {
            let step = 1e-5;
            let moved = |by: f64| {
                let mut values = values;
                values[input][at] += by;
                sum(&run(&values, false)[0])
            };
            let (want, got) = ((moved(step) - moved(-step)) / (2.0 * step), found[input].get(at).as_f64());
            assert!((want - got).abs() <= 1e-7 * (1.0 + want.abs()), "by element {at} of {input}: {got}, not {want}");
        }
    }

    #[test]
    fn scalar_functions() {
        use Func::*;
        for func in [Neg, Abs, Exp, Sqrt, Rsqrt, Reciprocal, Log, Erf, Tanh, Sigmoid, Sin, Cos, Atan, Floor] {
            check(|b, x, w| {
                let x = b.map(Mul, &[x, x])?;
                let y = b.map(func, &[x])?;
                b.map(Mul, &[y, w])
            });
        }
        for func in [Add, Sub, Mul, Div, Max, Min] {
            check(|b, x, w| b.map(func, &[x, w]));
        }
        check(|b, x, w| {
            let base = b.map(Exp, &[x])?;
            let power = b.map(Pow, &[base, w])?;
            let chosen = b.map_number(Less, x, 0.5)?;
            let sum = b.map(MulAdd, &[x, w, power])?;
            b.map(Select, &[chosen, sum, x])
        });
    }

    #[test]
    fn moves_sums_and_products() {
        check(|b, x, w| {
            let column = b.reshape(x, &[Expr::from(3), Expr::one()])?;
            let wide = b.broadcast(column, &[Expr::from(3), Expr::from(2)])?;
            let other = b.unsqueeze(w, &[0])?;
            let square = b.contract("ab,cd->ac", wide, other)?;
            let twice = b.concat(&[square, square], 1)?;
            let turned = b.transpose(twice, &[1, 0])?;
            let part = b.slice_axis(turned, 0, &Expr::one(), &Expr::one())?;
            let product = b.contract("ab,bc->ac", part, wide)?;
            b.reduce(Monoid::Max, product, &[1], Folded::Dropped)
        });
    }

    #[test]
    fn composites() {
        check(|b, x, w| {
            let soft = b.softmax(x, 0)?;
            let gelu = b.gelu(w)?;
            b.map(Func::Mul, &[soft, gelu])
        });
        check(|b, x, w| b.layer_norm(x, w, x, 0, 1e-5));
    }

    #[test]
    fn other_values() {
        let mut b = Builder::new("g");
        let ty = || TensorType::new(DType::F32, vec![]);
        let [x, z] = ["x", "z"].map(|name| b.input(name, ty()));
        let square = b.map(Func::Mul, &[x, x]).unwrap();
        let y = b.map(Func::Add, &[square, x]).unwrap();
        let again = replayed(&mut b, y, &BTreeMap::from([(x, z)])).unwrap();
        let gradient = gradients(&mut b, again, &[z]).unwrap();
        b.output("y", again);
        b.output("g", gradient[0]);
        let numbers = [2.0, 3.0].map(|value| Array::filled(DType::F32, vec![], Literal::Float(value)));
        let found = outputs(&b.finish(), &numbers, &BTreeMap::new()).unwrap();
        assert_eq!(found.iter().map(|array| array.get(0).as_f64()).collect::<Vec<f64>>(), [12.0, 7.0]);
    }

    #[test]
    fn what_has_no_rule() {
        let mut b = Builder::new("g");
        let x = b.input("x", TensorType::new(DType::F32, vec![Expr::from(3)]));
        let y = b.reduce(Monoid::Product, x, &[0], Folded::Dropped).unwrap();
        assert_eq!(gradients(&mut b, y, &[x]).unwrap_err().message, "the derivative of reduce product");
    }
}
