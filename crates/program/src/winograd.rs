//! Convolutions with windows of 3x3 by fewer multiplications: minimal filtering (S. Winograd, "Arithmetic Complexity of Computations",
//! 1980; A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2015).
//!
//! ```text
//! before:  y[oh, ow, k] = epilogue(sum over c, p, q of x[oh + p - 1, ow + q - 1, c] * w[k, c, p, q])
//! after, for tiles of m*m results, n = m + 2:
//! prepare: u[a, b, c, k] = G w G'
//! group:   v[th, tw, a, b, c] = B' d B               d: the n*n elements of x under tile (th, tw)
//!          s[th, tw, a, b, k] = sum over c of v[th, tw, a, b, c] * u[a, b, c, k]
//!          y[m*th + i, m*tw + j, k] = epilogue(A' s A)
//! ```
//!
//! That is `n*n` products for `m*m` results instead of `9*m*m`: 16 for 36, or 36 for 144. It is taken where a count of instructions says
//! that it is faster. Results differ from the direct sum's by rounding alone: for n = 4 less than the direct sum's own error, for n = 6
//! about twice as much (the points keep the entries of A, B and G near 1).
//!
//! An element that is infinite or no number would reach all results of its tile. Each product enters one of the four corners of `A' s A` at
//! least, so where their sum is finite, so is all that the tile was made from; where it is not the call fails, and is to be repeated with
//! the direct sum.
//!
//! Needs: a fused, hoisted program, row-major. Gives: the same with such convolutions as groups of three stages.

use crate::layouts::stage_contraction;
use crate::program::{BufferId, Group, Program, Role, Stage, Step};
use ir::{DType, Literal, TensorType};
use nest::{Contraction, Func, Index, Iter, Monoid, Nest, NestBuilder, Read, ScalarId, ScalarOp};
use sym::{Expr, Sym};
use target::Target;
use target::costs::hundredths;

/// Nothing is filtered for targets without fused multiply-adds: the transforms, rounded after each product too, would lose another half of
/// what direct sums do there.
pub fn filter(mut program: Program, target: &Target) -> Program {
    if target.fma {
        let steps = std::mem::take(&mut program.steps);
        program.steps = steps.into_iter().map(|step| filter_step(&mut program, step, target)).collect();
    }
    program
}

fn filter_step(program: &mut Program, step: Step, target: &Target) -> Step {
    let Step::Group(group) = &step else { return step };
    let [stage] = group.stages.as_slice() else { return step };
    let Some(conv) = Conv::of(program, stage) else { return step };
    match conv.gain(target) {
        Some((tile, gain)) if gain > hundredths(target.costs.filter_gain) => Step::Group(conv.filtered(program, tile)),
        _ => step,
    }
}

/// Whether filtering makes the stage more than twice as fast.
pub fn halves(program: &Program, stage: &Stage, target: &Target) -> bool {
    Conv::of(program, stage).is_some_and(|conv| conv.gain(target).is_some_and(|(_, gain)| gain > 2.0))
}

/// Tiles of `m` results along one dim, from `m + 2` elements: the polynomial is evaluated at 0, at plus and minus each of `points`, and at
/// infinity.
#[derive(Clone, Copy, Debug)]
struct Tile {
    points: &'static [f64],
}

/// All numbers of A and B are exact in f32. Of the points tried for m = 4, these have the smallest error.
const TILES: [Tile; 2] = [Tile { points: &[0.75, 1.5] }, Tile { points: &[1.0] }];

impl Tile {
    fn m(self) -> usize {
        2 * self.points.len()
    }

    fn n(self) -> usize {
        self.m() + 2
    }

    /// Instructions of the transforms of a vector's worth of channels of one tile of `m*m`: into the products, and out of them.
    fn instructions(self) -> [f64; 2] {
        let (m, n, pairs) = (self.m() as f64, self.n() as f64, self.points.len() as f64);
        // multiply-adds of one dim's transform
        let into = 2.0 * pairs + pairs * (pairs - 1.0) * 2.0 + 2.0 * pairs;
        let out = 2.0 * pairs + m * pairs + 2.0;
        // loads are half an instruction, stores of wide vectors two
        [2.0 * n * into + 2.5 * n * n, (n + m) * out + 0.5 * n * n + 2.0 * m * m]
    }

    /// The coefficients of the product over the points but `skip` of `x - p*p`, the lowest first.
    fn polynomial(self, skip: Option<f64>) -> Vec<f64> {
        self.points.iter().filter(|p| Some(**p) != skip).fold(vec![1.0], |poly, p| {
            let lower = poly.iter().map(|c| -c * p * p).chain([0.0]);
            let higher = std::iter::once(0.0).chain(poly.iter().copied());
            lower.zip(higher).map(|(a, b)| a + b).collect()
        })
    }

    /// `B' d`.
    fn data(self, b: &mut NestBuilder, d: &[ScalarId]) -> Vec<ScalarId> {
        let whole = self.polynomial(None);
        let every_other = |poly: &[f64], first: usize| poly.iter().enumerate().map(|(k, c)| (*c, d[2 * k + first])).collect::<Vec<_>>();
        let mut out = vec![sum(b, &every_other(&whole, 0))];
        for p in self.points {
            let rest = self.polynomial(Some(*p));
            let (even, odd) = (sum(b, &every_other(&rest, 2)), sum(b, &every_other(&rest, 1)));
            out.extend([sum(b, &[(1.0, even), (*p, odd)]), sum(b, &[(1.0, even), (-*p, odd)])]);
        }
        out.push(sum(b, &every_other(&whole, 1)));
        out
    }

    /// `G w`.
    fn weights(self, b: &mut NestBuilder, w: &[ScalarId]) -> Vec<ScalarId> {
        let divided = |b: &mut NestBuilder, value: ScalarId, by: f64| {
            let by = b.literal(Literal::Float(by), DType::F32);
            b.apply(Func::Div, &[value, by])
        };
        let mut out = vec![divided(b, w[0], self.polynomial(None)[0])];
        for p in self.points {
            let square = p * p;
            let others: f64 = self.points.iter().filter(|q| *q != p).map(|q| square - q * q).product();
            let even = sum(b, &[(1.0, w[0]), (square, w[2])]);
            for side in [*p, -*p] {
                let value = sum(b, &[(1.0, even), (side, w[1])]);
                out.push(divided(b, value, 2.0 * square * others));
            }
        }
        out.push(w[2]);
        out
    }

    /// `A' s`.
    fn results(self, b: &mut NestBuilder, s: &[ScalarId]) -> Vec<ScalarId> {
        let pairs: Vec<[ScalarId; 2]> = s[1..s.len() - 1].chunks(2).map(|pair| [Func::Add, Func::Sub].map(|f| b.apply(f, pair))).collect();
        let result = |i: usize| {
            let powers = self.points.iter().zip(&pairs).map(|(p, pair)| (p.powi(i as i32), pair[i % 2]));
            let first = (i == 0).then_some((1.0, s[0]));
            let last = (i + 1 == self.m()).then(|| (1.0, s[s.len() - 1]));
            first.into_iter().chain(last).chain(powers).collect::<Vec<_>>()
        };
        (0..self.m()).map(|i| sum(b, &result(i))).collect()
    }
}

/// The sum of `c * x`, beginning with a term whose coefficient is 1, where there is one.
fn sum(b: &mut NestBuilder, terms: &[(f64, ScalarId)]) -> ScalarId {
    let first = terms.iter().position(|(c, _)| *c == 1.0).unwrap_or(0);
    let rest = terms.iter().enumerate().filter(|(at, _)| *at != first);
    let (c, x) = terms[first];
    let mut total = if c == 1.0 { x } else { scaled(b, c, x) };
    for (_, (c, x)) in rest {
        total = match *c {
            1.0 => b.apply(Func::Add, &[total, *x]),
            -1.0 => b.apply(Func::Sub, &[total, *x]),
            c => {
                let c = b.literal(Literal::Float(c), DType::F32);
                b.apply(Func::MulAdd, &[*x, c, total])
            }
        };
    }
    total
}

fn scaled(b: &mut NestBuilder, c: f64, x: ScalarId) -> ScalarId {
    let c = b.literal(Literal::Float(c), DType::F32);
    b.apply(Func::Mul, &[x, c])
}

type Grid = Vec<Vec<ScalarId>>;

/// A transform along both dims.
fn both(grid: &Grid, transform: &mut dyn FnMut(&[ScalarId]) -> Vec<ScalarId>) -> Grid {
    let columns: Grid = transposed(grid).iter().map(|column| transform(column)).collect();
    transposed(&columns).iter().map(|row| transform(row)).collect()
}

fn transposed(grid: &Grid) -> Grid {
    (0..grid[0].len()).map(|at| grid.iter().map(|row| row[at]).collect()).collect()
}

/// `grid[i][j]`, for two iterators.
fn pick(b: &mut NestBuilder, [i, j]: [&Expr; 2], grid: &Grid) -> ScalarId {
    let rows: Vec<ScalarId> = grid.iter().map(|row| pick_one(b, j, row)).collect();
    pick_one(b, i, &rows)
}

fn pick_one(b: &mut NestBuilder, at: &Expr, values: &[ScalarId]) -> ScalarId {
    let index = b.index(at, DType::I64);
    let (last, others) = values.split_last().map_or((ScalarId(0), values), |(last, others)| (*last, others));
    others.iter().enumerate().rev().fold(last, |rest, (k, value)| {
        let number = b.literal(Literal::Int(k as i64), DType::I64);
        let here = b.apply(Func::Equal, &[index, number]);
        b.apply(Func::Select, &[here, *value, rest])
    })
}

/// What an unknown size is taken for where a choice needs a number.
const ROUGH: i64 = 32;

/// A convolution with a window of 3x3 and steps of 1, with its epilogue.
struct Conv<'a> {
    stage: &'a Stage,
    parts: Contraction,
    x: Read,
    w: Read,
    /// The window's iterators, those of the results that they move with, and the numbers of results.
    window: [Sym; 2],
    at: [Sym; 2],
    extent: [Expr; 2],
    /// The other iterators of the rows: the batch.
    others: Vec<Iter>,
    /// What is summed besides the window: input channels.
    channels: Vec<Iter>,
    /// Output channels.
    k: Iter,
}

impl<'a> Conv<'a> {
    fn of(program: &Program, stage: &'a Stage) -> Option<Conv<'a>> {
        let nest = &stage.nest;
        let parts = stage_contraction(program, stage)?;
        let (x, w) = (nest.read(parts.a)?.clone(), nest.read(parts.b)?.clone());
        let iters = |syms: &[Sym], but: &[Sym]| -> Vec<Iter> {
            syms.iter().filter(|sym| !but.contains(sym)).filter_map(|sym| nest.iter(sym).cloned()).collect()
        };
        let pairs: Vec<(Sym, Sym)> = parts.k.iter().filter_map(|p| Some((p.clone(), moves_with(nest, &parts, &x, &w, p)?))).collect();
        let [(p, i), (q, j)] = pairs.as_slice() else { return None };
        let (window, at) = ([p.clone(), q.clone()], [i.clone(), j.clone()]);
        let extent = |sym: &Sym| nest.iter(sym).map(|iter| iter.extent.clone());
        let [k] = iters(&parts.n, &[]).try_into().ok()?;
        let conv = Conv {
            extent: [extent(i)?, extent(j)?],
            others: iters(&parts.m, &at),
            channels: iters(&parts.k, &window),
            stage,
            parts,
            x,
            w,
            window,
            at,
            k,
        };
        conv.is_served(program).then_some(conv)
    }

    fn is_served(&self, program: &Program) -> bool {
        let nest = &self.stage.nest;
        let role = |operand: usize| &program.buffer(self.stage.operands[operand]).role;
        let floats = [self.parts.a, self.parts.b, self.parts.sum].iter().all(|id| nest.scalar(*id).dtype == DType::F32);
        let known = matches!(role(self.w.operand), Role::Constant { .. } | Role::Prepared);
        let inside = *role(self.x.operand) == Role::Temp && self.stage.writes.iter().all(|id| program.buffer(*id).role == Role::Temp);
        let padding = self.x.fill.is_none_or(|fill| fill == Literal::Float(0.0));
        let sizes = self.channels.iter().chain([&self.k]).all(|iter| iter.extent.as_const().is_some());
        let plain = self.parts.batch.is_empty() && self.at[0] != self.at[1] && !self.channels.is_empty() && !nest.updates();
        floats && known && inside && padding && sizes && plain
    }

    /// The tile with the fewest instructions, and how many times more the direct sum has. None where there are too few channels for whole
    /// vectors.
    fn gain(&self, target: &Target) -> Option<(Tile, f64)> {
        let lanes = target.lanes(DType::F32) as f64;
        let number = |extent: &Expr| extent.eval(&|_| Some(ROUGH)).unwrap_or(ROUGH).max(1) as f64;
        let product = |iters: &[Iter]| iters.iter().map(|iter| number(&iter.extent)).product::<f64>();
        let (batch, c, k) = (product(&self.others), product(&self.channels), number(&self.k.extent));
        let results = batch * self.extent.iter().map(number).product::<f64>();
        let (streamed, short_sums) = (hundredths(target.costs.streamed_bytes), hundredths(target.costs.short_sums));
        let direct = results * 9.0 * c * k / lanes + 9.0 * c * k * 4.0 / streamed;
        let cost = |tile: &Tile| {
            let [into, out] = tile.instructions();
            let filter = (tile.n() * tile.n()) as f64 * c * k;
            let tiles = batch * self.extent.iter().map(|extent| (number(extent) / tile.m() as f64).ceil()).product::<f64>();
            tiles * (short_sums * filter + into * c + out * k) / lanes + filter * 4.0 / streamed
        };
        let best = TILES.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)))?;
        (c.min(k) >= lanes).then_some((*best, direct / cost(best)))
    }

    fn filtered(&self, program: &mut Program, tile: Tile) -> Group {
        let sizes = |iters: &[Iter]| iters.iter().map(|iter| iter.extent.clone()).collect::<Vec<_>>();
        let m = Expr::from(tile.m() as i64);
        let n = Expr::from(tile.n() as i64);
        let places = [sizes(&self.others), self.extent.iter().map(|extent| extent.ceil_div(&m)).collect(), vec![n.clone(), n]];
        let dims = |inner: &[Iter]| places.iter().cloned().chain([sizes(inner)]).flatten().collect::<Vec<_>>();
        let k = std::slice::from_ref(&self.k);
        let u = add(program, self.stage, "filter", sizes_of_weights(tile, &self.channels, &self.k), Role::Prepared);
        let v = add(program, self.stage, "tiles", dims(&self.channels), Role::Local);
        let s = add(program, self.stage, "products", dims(k), Role::Local);
        let weights = self.weights(program, tile, u);
        program.prepare.push(Step::Group(Group { outer: vec![], stages: vec![weights] }));
        let mut stages = vec![self.data(program, tile, v), self.products(program, u, v, s)];
        stages.extend(self.results(program, tile, s));
        let outer = stages[0].nest.iters.iter().take(self.others.len() + 1).map(|iter| iter.sym.clone()).collect();
        Group { outer, stages }
    }

    /// For each dim, whether the last tile may reach beyond the results.
    fn overhangs(&self, tile: Tile) -> [bool; 2] {
        let m = tile.m() as i64;
        [0, 1].map(|d| self.extent[d].as_const().is_none_or(|extent| extent % m != 0))
    }

    /// `u = G w G'`.
    fn weights(&self, program: &Program, tile: Tile, u: BufferId) -> Stage {
        let mut b = NestBuilder::new();
        let ty = program.buffer(u).ty.clone();
        let point = b.parallel(&ty.dims);
        let id = self.stage.operands[self.w.operand];
        let operand = b.operand(&program.buffer(id).name, &program.buffer(id).ty);
        let mut bound: Vec<(Sym, Expr)> =
            self.channels.iter().chain([&self.k]).map(|iter| iter.sym.clone()).zip(point[2..].to_vec()).collect();
        let mut read = |b: &mut NestBuilder, p: i64, q: i64| {
            bound.truncate(point.len() - 2);
            bound.extend([(self.window[0].clone(), Expr::from(p)), (self.window[1].clone(), Expr::from(q))]);
            b.read_at(operand, at(&self.w.index, &bound), None)
        };
        let grid: Grid = (0..3).map(|p| (0..3).map(|q| read(&mut b, p, q)).collect()).collect();
        let grid = both(&grid, &mut |w| tile.weights(&mut b, w));
        let value = pick(&mut b, [&point[0], &point[1]], &grid);
        b.write(&program.buffer(u).name, &ty, &point, value);
        self.made(b.finish(), vec![id], vec![u])
    }

    /// `v = B' d B`.
    fn data(&self, program: &Program, tile: Tile, v: BufferId) -> Stage {
        let mut b = NestBuilder::new();
        let ty = program.buffer(v).ty.clone();
        let point = b.parallel(&ty.dims);
        let (others, rest) = point.split_at(self.others.len());
        let id = self.stage.operands[self.x.operand];
        let operand = b.operand(&program.buffer(id).name, &program.buffer(id).ty);
        let outside = self.others.iter().map(|iter| iter.sym.clone()).zip(others.to_vec());
        let channels = self.channels.iter().map(|iter| iter.sym.clone()).zip(rest[4..].to_vec());
        let bound: Vec<(Sym, Expr)> = outside.chain(channels).chain(self.window.iter().map(|sym| (sym.clone(), Expr::zero()))).collect();
        let m = Expr::from(tile.m() as i64);
        // elements behind the last result count for no result that is stored
        let fill = self.x.fill.or(self.overhangs(tile).contains(&true).then_some(Literal::Float(0.0)));
        let read = |b: &mut NestBuilder, p: i64, q: i64| {
            let rows = self.at.iter().cloned().zip([&(&rest[0] * &m) + p, &(&rest[1] * &m) + q]);
            let bound: Vec<(Sym, Expr)> = bound.iter().cloned().chain(rows).collect();
            b.read_at(operand, at(&self.x.index, &bound), fill)
        };
        let n = tile.n() as i64;
        let grid: Grid = (0..n).map(|p| (0..n).map(|q| read(&mut b, p, q)).collect()).collect();
        let grid = both(&grid, &mut |d| tile.data(&mut b, d));
        let value = pick(&mut b, [&rest[2], &rest[3]], &grid);
        b.write(&program.buffer(v).name, &ty, &point, value);
        self.made(b.finish(), vec![id], vec![v])
    }

    /// `s = sum over c of v * u`.
    fn products(&self, program: &Program, u: BufferId, v: BufferId, s: BufferId) -> Stage {
        let mut b = NestBuilder::new();
        let ty = program.buffer(s).ty.clone();
        let point = b.parallel(&ty.dims);
        let channels = b.reduction(&self.channels.iter().map(|iter| iter.extent.clone()).collect::<Vec<_>>());
        let [data, weights] = [v, u].map(|id| b.operand(&program.buffer(id).name, &program.buffer(id).ty));
        let (place, k) = point.split_at(point.len() - 1);
        let tile = &place[place.len() - 2..];
        let v_at = b.read(data, &[place, &channels].concat());
        let u_at = b.read(weights, &[tile, &channels, k].concat());
        let product = b.apply(Func::Mul, &[v_at, u_at]);
        let total = b.reduce(Monoid::Sum, product);
        b.write(&program.buffer(s).name, &ty, &point, total);
        self.made(b.finish(), vec![v, u], vec![s])
    }

    /// `A' s A`, and the epilogue behind it: in a stage of its own where it is long, so that its code stands there once.
    fn results(&self, program: &mut Program, tile: Tile, s: BufferId) -> Vec<Stage> {
        if !self.has_long_epilogue() {
            let (b, point, total, corners) = self.sums(program, tile, s);
            let mut stage = self.epilogue(tile, (b, point, total), s);
            stage.nest.writes.iter_mut().take(1).for_each(|write| write.finite.push(corners));
            return vec![stage.tidied()];
        }
        let (mut b, point, total, corners) = self.sums(program, tile, s);
        let ty = &program.buffer(s).ty;
        let m = Expr::from(tile.m() as i64);
        let inner = ty.dims.len() - 3;
        let dims: Vec<Expr> = [&ty.dims[..inner], &[m.clone(), m], &ty.dims[inner + 2..]].concat();
        let z = add(program, self.stage, "results", dims.clone(), Role::Local);
        let ty = program.buffer(z).ty.clone();
        b.write(&program.buffer(z).name, &ty, &point, total);
        b.finite(corners);
        let first = self.made(b.finish(), vec![s], vec![z]);
        let mut b = NestBuilder::new();
        let point = b.parallel(&dims);
        let operand = b.operand(&program.buffer(z).name, &ty);
        let total = b.read(operand, &point);
        vec![first, self.epilogue(tile, (b, point, total), z).tidied()]
    }

    fn has_long_epilogue(&self) -> bool {
        let behind = &self.stage.nest.body[self.parts.sum.0 as usize + 1..];
        let functions = || behind.iter().filter_map(|scalar| if let ScalarOp::Apply(func, _) = &scalar.op { Some(*func) } else { None });
        functions().any(|func| func.ulp() > 0.5) || functions().count() > 8
    }

    /// `A' s A` at `[others.., th, tw, i, j, k]`, and the sum of the corners of that.
    fn sums(&self, program: &Program, tile: Tile, s: BufferId) -> (NestBuilder, Vec<Expr>, ScalarId, ScalarId) {
        let mut b = NestBuilder::new();
        let ty = &program.buffer(s).ty;
        let m = Expr::from(tile.m() as i64);
        let outside = ty.dims.len() - 3;
        let place = b.parallel(&ty.dims[..outside]);
        let within = b.parallel(&[m.clone(), m]);
        let k = b.parallel(&ty.dims[outside + 2..]);
        let products = b.operand(&program.buffer(s).name, ty);
        let read = |b: &mut NestBuilder, p: i64, q: i64| b.read(products, &[&place, [p, q].map(Expr::from).as_slice(), &k].concat());
        let n = tile.n() as i64;
        let grid: Grid = (0..n).map(|p| (0..n).map(|q| read(&mut b, p, q)).collect()).collect();
        let grid = both(&grid, &mut |s| tile.results(&mut b, s));
        let total = pick(&mut b, [&within[0], &within[1]], &grid);
        let last = grid.len() - 1;
        let corners = [(0, 0), (0, last), (last, 0), (last, last)].map(|(i, j)| (1.0, grid[i][j]));
        let corners = sum(&mut b, &corners);
        (b, [place, within, k].concat(), total, corners)
    }

    /// The epilogue of `total`, which `b` reads from `from` alone.
    fn epilogue(&self, tile: Tile, (b, point, total): (NestBuilder, Vec<Expr>, ScalarId), from: BufferId) -> Stage {
        let nest = &self.stage.nest;
        let m = Expr::from(tile.m() as i64);
        let (others, inner) = point.split_at(self.others.len());
        let place = [0, 1].map(|d| &(&inner[d] * &m) + &inner[2 + d]);
        let rows = self.at.iter().cloned().zip(place.clone());
        let columns = std::iter::once((self.k.sym.clone(), inner[4].clone()));
        let bound: Vec<(Sym, Expr)> =
            self.others.iter().map(|iter| iter.sym.clone()).zip(others.to_vec()).chain(rows).chain(columns).collect();
        let mut made = with_epilogue(b.finish(), nest, (self.parts.sum, total), &bound, self.overhangs(tile).contains(&true));
        for d in (0..2).filter(|d| self.overhangs(tile)[*d]) {
            let left = &self.extent[d] - &place[d] - 1;
            made.writes.iter_mut().for_each(|write| write.only.push(left.clone()));
        }
        let operands = [&[from], self.stage.operands.as_slice()].concat();
        self.made(made, operands, self.stage.writes.clone())
    }

    fn made(&self, nest: Nest, operands: Vec<BufferId>, writes: Vec<BufferId>) -> Stage {
        Stage { nest, operands, writes, location: self.stage.location.clone() }
    }
}

/// For an iterator of a window of 3 the iterator of the results whose sum with it, and a constant, is the index of one dim of `x`; `w` is
/// indexed by the window's alone.
fn moves_with(nest: &Nest, parts: &Contraction, x: &Read, w: &Read, p: &Sym) -> Option<Sym> {
    let maps = |read: &'_ Read| read.index.iter().filter_map(Index::as_map).cloned().collect::<Vec<_>>();
    let is_window = nest.iter(p)?.extent == Expr::from(3) && maps(w).iter().all(|e| !e.mentions(p) || e.as_sym() == Some(p));
    let (x, dims) = (maps(x), |x: &[Expr], sym: &Sym| x.iter().filter(|e| e.mentions(sym)).count());
    let dim = x.iter().find(|e| e.mentions(p))?;
    let (coefficient, rest) = dim.split_linear(p)?;
    let row = parts.m.iter().find(|row| rest.split_linear(row).is_some_and(|(c, rest)| c.is_one() && rest.as_const().is_some()))?;
    (is_window && coefficient.is_one() && dims(&x, p) == 1 && dims(&x, row) == 1).then(|| row.clone())
}

/// An index with iterators replaced.
fn at(index: &[Index], bound: &[(Sym, Expr)]) -> Vec<Index> {
    let value = |sym: &Sym| bound.iter().find(|(bound, _)| bound == sym).map(|(_, value)| value.clone());
    index.iter().map(|index| index.map(&|id| id, &|e| e.substitute(&value))).collect()
}

/// `made` with what `nest` does behind its sum, whose place `total` takes.
fn with_epilogue(mut made: Nest, nest: &Nest, (sum, total): (ScalarId, ScalarId), bound: &[(Sym, Expr)], overhangs: bool) -> Nest {
    let value = |sym: &Sym| bound.iter().find(|(bound, _)| bound == sym).map(|(_, value)| value.clone());
    let varies = nest.varies_in_reduction();
    let first = made.operands.len();
    made.operands.extend(nest.operands.iter().cloned());
    let mut ids: Vec<ScalarId> = Vec::with_capacity(nest.body.len());
    for (at, scalar) in nest.body.iter().enumerate() {
        if at == sum.0 as usize || varies[at] {
            ids.push(total);
            continue;
        }
        let mut op = scalar.op.map(&|id| ids[id.0 as usize], &|e| e.substitute(&value));
        if let ScalarOp::Read(read) = &mut op {
            read.operand += first;
            // beyond the last result, where nothing is stored
            read.fill = read.fill.or(overhangs.then_some(Literal::zero(scalar.dtype)));
        }
        made.body.push(nest::Scalar { op, dtype: scalar.dtype });
        ids.push(ScalarId(made.body.len() as u32 - 1));
    }
    made.writes = nest.writes.iter().map(|write| write.map(&|id| ids[id.0 as usize], &|e| e.substitute(&value))).collect();
    made
}

fn sizes_of_weights(tile: Tile, channels: &[Iter], k: &Iter) -> Vec<Expr> {
    let n = Expr::from(tile.n() as i64);
    [n.clone(), n].into_iter().chain(channels.iter().chain([k]).map(|iter| iter.extent.clone())).collect()
}

/// A new buffer, named after the result of a stage.
fn add(program: &mut Program, stage: &Stage, what: &str, dims: Vec<Expr>, role: Role) -> BufferId {
    let stem = program.buffer(stage.writes[0]).name.clone();
    program.add_buffer(&stem, what, TensorType::new(DType::F32, dims), role)
}
