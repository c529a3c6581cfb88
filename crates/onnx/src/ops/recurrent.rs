//! Recurrent layers, as scans over time.
//!
//! What the input adds to all gates of all steps is one product in front of the scan; a step adds what the state does.

use super::Entry;
use crate::import::{Call, Out, Outcome};
use ::ops::{Builder, Scan};
use ir::{Code, DType, Diagnostic, Graph, TensorType, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("RNN", 7, |call| recurrent(call, Kind::Rnn)),
    Entry("GRU", 7, |call| recurrent(call, Kind::Gru { linear_before_reset: false })),
    Entry("LSTM", 7, |call| recurrent(call, Kind::Lstm { input_forget: false })),
];

type Result<T, E = Diagnostic> = std::result::Result<T, E>;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// `h' = f(x W + h R + b)`
    Rnn,
    /// Gates z, r, h: `h' = (1 - z) g(x W + (r h) R + b) + z h`, or with `r (h R + b)`.
    Gru { linear_before_reset: bool },
    /// Gates i, o, f, c: `c' = f c + i g(..)`, `h' = o h(c')`; with `input_forget` f is `1 - i`.
    Lstm { input_forget: bool },
}

impl Kind {
    fn gates(self) -> i64 {
        match self {
            Kind::Rnn => 1,
            Kind::Gru { .. } => 3,
            Kind::Lstm { .. } => 4,
        }
    }

    fn activations(self) -> &'static [&'static str] {
        match self {
            Kind::Rnn => &["Tanh"],
            Kind::Gru { .. } => &["Sigmoid", "Tanh"],
            Kind::Lstm { .. } => &["Sigmoid", "Tanh", "Tanh"],
        }
    }

    fn states(self) -> usize {
        if matches!(self, Kind::Lstm { .. }) { 2 } else { 1 }
    }
}

/// A layer: what all directions share. Tensors have time first.
struct Layer {
    kind: Kind,
    /// The input, `[time, batch, features]`.
    x: ValueId,
    /// `[directions, gates * hidden, features]` and `[directions, gates * hidden, hidden]`.
    weights: [ValueId; 2],
    /// `[directions, 2 * gates * hidden]`
    bias: Option<ValueId>,
    /// Steps of each sequence, i64 `[batch]`.
    lengths: Option<ValueId>,
    /// Initial states, `[directions, batch, hidden]`.
    initial: Vec<Option<ValueId>>,
    /// What the cell adds to gates i, o and f, `[directions, 3 * hidden]`.
    peepholes: Option<ValueId>,
    clip: Option<f64>,
    hidden: Expr,
}

/// One direction's own operands.
struct Direction {
    reverse: bool,
    activations: Vec<Activation>,
    /// `[gates * hidden, hidden]`
    recurrence: ValueId,
    /// What is added to the recurrent product of a GRU's hidden gate, `[hidden]`.
    reset_bias: Option<ValueId>,
    /// `[3 * hidden]`
    peepholes: Option<ValueId>,
    /// What the input and the biases give, `[time, batch, gates * hidden]`.
    gates: ValueId,
    /// `[batch, hidden]` each.
    initial: Vec<ValueId>,
}

fn recurrent(call: &mut Call, kind: Kind) -> Outcome {
    let kind = match kind {
        Kind::Rnn => Kind::Rnn,
        Kind::Gru { .. } => Kind::Gru { linear_before_reset: call.flag_or("linear_before_reset", false)? },
        Kind::Lstm { .. } => Kind::Lstm { input_forget: call.flag_or("input_forget", false)? },
    };
    let batch_first = call.opset >= 14 && call.flag_or("layout", false)?;
    let reverse: &[bool] = match call.text("direction")?.unwrap_or("forward") {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(call.attribute_error(format!("attribute `direction` is `{other}`")).into()),
    };
    let activations = activations(call, kind, reverse.len())?;
    let layer = layer(call, kind, reverse.len(), batch_first)?;
    let stacked = call.wants(0);
    let (mut sequences, mut finals) = (Vec::new(), vec![Vec::new(); kind.states()]);
    for (at, (reverse, activations)) in reverse.iter().zip(activations).enumerate() {
        let b = call.b();
        let direction = direction(b, &layer, at as i64, *reverse, activations)?;
        let results = run(b, &layer, &direction, stacked)?;
        for (states, id) in finals.iter_mut().zip(&results) {
            states.push(b.unsqueeze(*id, &[0])?);
        }
        if let Some(id) = results.get(kind.states()) {
            sequences.push(b.unsqueeze(*id, &[1])?);
        }
    }
    let mut outs: Vec<Out> = Vec::new();
    outs.push(match stacked {
        true => {
            let sequence = call.b().concat(&sequences, 1)?;
            turned(call, sequence, batch_first, &[2, 0, 1, 3])?.into()
        }
        // nothing reads it
        false => call.term(0)?.into(),
    });
    for states in finals {
        let state = call.b().concat(&states, 0)?;
        outs.push(turned(call, state, batch_first, &[1, 0, 2])?.into());
    }
    Ok(outs)
}

fn turned(call: &mut Call, x: ValueId, turn: bool, perm: &[usize]) -> Result<ValueId> {
    if turn { call.b().transpose(x, perm) } else { Ok(x) }
}

fn layer(call: &mut Call, kind: Kind, directions: usize, batch_first: bool) -> Result<Layer> {
    let dtype = call.dtype(0)?;
    if !dtype.is_float() {
        return Err(call.error(Code::Type, format!("{} is not defined on {dtype}", call.node.op_type)));
    }
    let recurrence = ranked(call, 2, 3)?;
    let hidden = call.b().dims(recurrence)[2].clone();
    if call.int("hidden_size")?.is_some_and(|size| hidden.as_const().is_some_and(|hidden| hidden != size)) {
        return Err(call.attribute_error(format!("attribute `hidden_size` differs from the {hidden} of R")));
    }
    let x = ranked(call, 0, 3)?;
    let x = turned(call, x, batch_first, &[1, 0, 2])?;
    let (batch, features) = (call.b().dims(x)[1].clone(), call.b().dims(x)[2].clone());
    let (count, gates) = (Expr::from(directions as i64), &hidden * &Expr::from(kind.gates()));
    let weights =
        [operand(call, 1, &[count.clone(), gates.clone(), features])?, operand(call, 2, &[count.clone(), gates.clone(), hidden.clone()])?];
    let bias = optional(call, 3, &[count.clone(), &gates * &Expr::from(2)])?;
    let lengths = optional(call, 4, std::slice::from_ref(&batch))?;
    let lengths = lengths.map(|id| call.b().convert(id, DType::I64)).transpose()?;
    let mut initial = Vec::new();
    for at in 0..kind.states() {
        let mut dims = [count.clone(), batch.clone(), hidden.clone()];
        dims[..2].rotate_left(batch_first as usize);
        let state = optional(call, 5 + at, &dims)?;
        initial.push(state.map(|id| turned(call, id, batch_first, &[1, 0, 2])).transpose()?);
    }
    let peepholes = match kind {
        Kind::Lstm { .. } => optional(call, 7, &[count, &hidden * &Expr::from(3)])?,
        Kind::Rnn | Kind::Gru { .. } => None,
    };
    let clip = call.float("clip")?.map(f64::from);
    Ok(Layer { kind, x, weights, bias, lengths, initial, peepholes, clip, hidden })
}

fn ranked(call: &mut Call, at: usize, rank: usize) -> Result<ValueId> {
    if call.rank(at)? != rank {
        return Err(call.error(Code::Shape, format!("operand {at} of {} is {}, of rank {rank} wanted", call.node.op_type, call.ty(at)?)));
    }
    call.value(at)
}

/// An operand of these dims, as far as is known now; the rest is checked at run time.
fn operand(call: &mut Call, at: usize, dims: &[Expr]) -> Result<ValueId> {
    let value = ranked(call, at, dims.len())?;
    let found = call.dims(at)?;
    for (axis, (a, b)) in found.iter().zip(dims).enumerate() {
        if (a - b).as_const().is_some_and(|gap| gap != 0) {
            return Err(call.error(Code::Shape, format!("operand {at} of {}: axis {axis} differs: {a} vs {b}", call.node.op_type)));
        }
        call.guard(ir::guard::Condition::Equal(a.clone(), b.clone()));
    }
    call.b().reshape(value, dims)
}

fn optional(call: &mut Call, at: usize, dims: &[Expr]) -> Result<Option<ValueId>> {
    call.optional(at).map(|_| operand(call, at, dims)).transpose()
}

/// Entry `at` of the first axis.
fn entry(b: &mut Builder, x: ValueId, at: i64) -> Result<ValueId> {
    let part = b.slice_axis(x, 0, &Expr::from(at), &Expr::one())?;
    let dims = b.dims(part)[1..].to_vec();
    b.reshape(part, &dims)
}

/// Number `at` of the parts of `hidden` elements along the last axis.
fn part(b: &mut Builder, x: ValueId, at: i64, hidden: &Expr) -> Result<ValueId> {
    let axis = b.dims(x).len() - 1;
    b.slice_axis(x, axis, &(hidden * &Expr::from(at)), hidden)
}

fn direction(b: &mut Builder, layer: &Layer, at: i64, reverse: bool, activations: Vec<Activation>) -> Result<Direction> {
    let (input, recurrence) = (entry(b, layer.weights[0], at)?, entry(b, layer.weights[1], at)?);
    let mut gates = b.contract("tbi,gi->tbg", layer.x, input)?;
    let mut reset_bias = None;
    if let Some(bias) = layer.bias {
        let (bias, size) = (entry(b, bias, at)?, &layer.hidden * &Expr::from(layer.kind.gates()));
        let (mut own, other) = (b.slice_axis(bias, 0, &Expr::zero(), &size)?, b.slice_axis(bias, 0, &size, &size)?);
        if layer.kind == (Kind::Gru { linear_before_reset: true }) {
            reset_bias = Some(part(b, other, 2, &layer.hidden)?);
            let front = &layer.hidden * &Expr::from(2);
            let (first, last) = (b.slice_axis(own, 0, &Expr::zero(), &front)?, part(b, own, 2, &layer.hidden)?);
            let shared = b.slice_axis(other, 0, &Expr::zero(), &front)?;
            let first = b.map(Func::Add, &[first, shared])?;
            own = b.concat(&[first, last], 0)?;
        } else {
            own = b.map(Func::Add, &[own, other])?;
        }
        gates = b.map_broadcast(Func::Add, &[gates, own])?;
    }
    let mut initial = Vec::new();
    for state in &layer.initial {
        initial.push(match state {
            Some(state) => entry(b, *state, at)?,
            None => {
                let (dtype, batch) = (b.dtype(layer.x), b.dims(layer.x)[1].clone());
                let zero = b.number(dtype, 0.0);
                b.broadcast(zero, &[batch, layer.hidden.clone()])?
            }
        });
    }
    let peepholes = layer.peepholes.map(|id| entry(b, id, at)).transpose()?;
    Ok(Direction { reverse, activations, recurrence, reset_bias, peepholes, gates, initial })
}

/// The final states, and with `stacked` the hidden state of each step.
fn run(b: &mut Builder, layer: &Layer, direction: &Direction, stacked: bool) -> Result<Vec<ValueId>> {
    let trips = b.dims(layer.x)[0].clone();
    let mut scanned = vec![(direction.gates, 0, direction.reverse)];
    let mut captures = vec![direction.recurrence];
    captures.extend(direction.reset_bias);
    captures.extend(direction.peepholes);
    if let Some(lengths) = layer.lengths {
        scanned.push((b.iota(std::slice::from_ref(&trips), 0, DType::I64)?, 0, direction.reverse));
        captures.push(lengths);
    }
    let types = |ids: &[ValueId]| ids.iter().map(|id| b.ty(*id).clone()).collect::<Vec<TensorType>>();
    let slices: Vec<TensorType> = scanned.iter().map(|(id, ..)| TensorType::new(b.dtype(*id), b.dims(*id)[1..].to_vec())).collect();
    let inputs = [types(&direction.initial), slices, types(&captures)];
    let region = step(b, layer, direction, &inputs, stacked)?;
    let scan = Scan { trips, scanned, stacked: vec![(0, direction.reverse); stacked as usize] };
    b.scan(&scan, &direction.initial, &captures, region)
}

/// The region of one step; `inputs` are the types of its carried values, slices and captures.
fn step(outer: &Builder, layer: &Layer, direction: &Direction, inputs: &[Vec<TensorType>; 3], stacked: bool) -> Result<Graph> {
    let mut builder = Builder::new("step");
    let b = &mut builder;
    b.location = outer.location.clone();
    outer.graph.graph().symbols.iter().for_each(|(sym, fact)| b.graph.symbol(sym, *fact));
    let [states, slices, captures] = [("state", &inputs[0]), ("slice", &inputs[1]), ("capture", &inputs[2])]
        .map(|(name, types)| types.iter().map(|ty| b.input(name, ty.clone())).collect::<Vec<ValueId>>());
    let mut captures = captures.into_iter();
    let recurrence = captures.next().unwrap_or(states[0]);
    let reset_bias = direction.reset_bias.and_then(|_| captures.next());
    let peepholes = direction.peepholes.and_then(|_| captures.next());
    let mut cell = Cell { b, layer, activations: &direction.activations, gates: slices[0], recurrence };
    let mut next = match layer.kind {
        Kind::Rnn => vec![cell.rnn(states[0])?],
        Kind::Gru { linear_before_reset } => vec![cell.gru(states[0], linear_before_reset, reset_bias)?],
        Kind::Lstm { input_forget } => cell.lstm(states[0], states[1], input_forget, peepholes)?,
    };
    let mut shown = next[0];
    if let (Some(time), Some(lengths)) = (slices.get(1), captures.next()) {
        let runs = b.map_broadcast(Func::Less, &[*time, lengths])?;
        let runs = b.unsqueeze(runs, &[1])?;
        let zero = b.number(b.dtype(shown), 0.0);
        shown = b.map_broadcast(Func::Select, &[runs, shown, zero])?;
        for (next, before) in next.iter_mut().zip(&states) {
            *next = b.map_broadcast(Func::Select, &[runs, *next, *before])?;
        }
    }
    next.iter().enumerate().for_each(|(at, id)| b.output(&format!("state{at}"), *id));
    if stacked {
        b.output("shown", shown);
    }
    Ok(builder.finish())
}

/// The equations of a step. States are `[batch, hidden]`.
struct Cell<'a> {
    b: &'a mut Builder,
    layer: &'a Layer,
    activations: &'a [Activation],
    /// What the input gives, `[batch, gates * hidden]`.
    gates: ValueId,
    /// `[gates * hidden, hidden]`
    recurrence: ValueId,
}

impl Cell<'_> {
    /// What the state gives to `count` gates from number `first` on.
    fn product(&mut self, h: ValueId, first: i64, count: i64) -> Result<ValueId> {
        let hidden = &self.layer.hidden;
        let rows = self.b.slice_axis(self.recurrence, 0, &(hidden * &Expr::from(first)), &(hidden * &Expr::from(count)))?;
        self.b.contract("bh,gh->bg", h, rows)
    }

    /// Gate number `at` of a sum of gates.
    fn gate(&mut self, sum: ValueId, at: i64) -> Result<ValueId> {
        part(self.b, sum, at, &self.layer.hidden)
    }

    /// An activation, of what is clipped first.
    fn activated(&mut self, activation: usize, x: ValueId) -> Result<ValueId> {
        let x = match self.layer.clip {
            Some(clip) => {
                let dtype = self.b.dtype(x);
                let (low, high) = (self.b.number(dtype, -clip), self.b.number(dtype, clip));
                self.b.clamp(x, low, high)?
            }
            None => x,
        };
        self.activations[activation].apply(self.b, x)
    }

    /// `1 - x`
    fn complement(&mut self, x: ValueId) -> Result<ValueId> {
        let one = self.b.number(self.b.dtype(x), 1.0);
        self.b.map_broadcast(Func::Sub, &[one, x])
    }

    fn rnn(&mut self, h: ValueId) -> Result<ValueId> {
        let product = self.product(h, 0, 1)?;
        let sum = self.b.map(Func::Add, &[self.gates, product])?;
        self.activated(0, sum)
    }

    fn gru(&mut self, h: ValueId, linear_before_reset: bool, reset_bias: Option<ValueId>) -> Result<ValueId> {
        let product = self.product(h, 0, if linear_before_reset { 3 } else { 2 })?;
        let mut open = Vec::new();
        for at in 0..2 {
            let (input, state) = (self.gate(self.gates, at)?, self.gate(product, at)?);
            let sum = self.b.map(Func::Add, &[input, state])?;
            open.push(self.activated(0, sum)?);
        }
        let (update, reset) = (open[0], open[1]);
        let state = if linear_before_reset {
            let mut state = self.gate(product, 2)?;
            if let Some(bias) = reset_bias {
                state = self.b.map_broadcast(Func::Add, &[state, bias])?;
            }
            self.b.map(Func::Mul, &[reset, state])?
        } else {
            let kept = self.b.map(Func::Mul, &[reset, h])?;
            self.product(kept, 2, 1)?
        };
        let input = self.gate(self.gates, 2)?;
        let sum = self.b.map(Func::Add, &[input, state])?;
        let fresh = self.activated(1, sum)?;
        let rest = self.complement(update)?;
        let (fresh, old) = (self.b.map(Func::Mul, &[rest, fresh])?, self.b.map(Func::Mul, &[update, h])?);
        self.b.map(Func::Add, &[fresh, old])
    }

    fn lstm(&mut self, h: ValueId, c: ValueId, input_forget: bool, peepholes: Option<ValueId>) -> Result<Vec<ValueId>> {
        let product = self.product(h, 0, 4)?;
        let sum = self.b.map(Func::Add, &[self.gates, product])?;
        let input = self.peeped(sum, 0, c, peepholes, 0)?;
        let input = self.activated(0, input)?;
        let forget = if input_forget {
            self.complement(input)?
        } else {
            let forget = self.peeped(sum, 2, c, peepholes, 2)?;
            self.activated(0, forget)?
        };
        let fresh = self.gate(sum, 3)?;
        let fresh = self.activated(1, fresh)?;
        let (old, new) = (self.b.map(Func::Mul, &[forget, c])?, self.b.map(Func::Mul, &[input, fresh])?);
        let next = self.b.map(Func::Add, &[old, new])?;
        let output = self.peeped(sum, 1, next, peepholes, 1)?;
        let output = self.activated(0, output)?;
        let seen = self.activations[2].apply(self.b, next)?;
        Ok(vec![self.b.map(Func::Mul, &[output, seen])?, next])
    }

    /// Gate number `at`, with the cell's share by part `peephole` of the peepholes.
    fn peeped(&mut self, sum: ValueId, at: i64, c: ValueId, peepholes: Option<ValueId>, peephole: i64) -> Result<ValueId> {
        let gate = self.gate(sum, at)?;
        let Some(peepholes) = peepholes else { return Ok(gate) };
        let weight = part(self.b, peepholes, peephole, &self.layer.hidden)?;
        let share = self.b.map_broadcast(Func::Mul, &[c, weight])?;
        self.b.map(Func::Add, &[gate, share])
    }
}

/// An activation function with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Activation {
    Plain(Func),
    Relu,
    Softplus,
    Softsign,
    Affine(f64, f64),
    LeakyRelu(f64),
    ThresholdedRelu(f64),
    ScaledTanh(f64, f64),
    HardSigmoid(f64, f64),
    Elu(f64),
}

/// The activations of each direction. Those that have parameters take them from the two lists, in order.
fn activations(call: &Call, kind: Kind, directions: usize) -> Result<Vec<Vec<Activation>>> {
    let each = kind.activations().len();
    let names: Vec<&str> = match call.texts("activations")? {
        Some(names) if names.len() != each * directions => {
            return Err(call.attribute_error(format!("`activations` has {} entries, not {}", names.len(), each * directions)));
        }
        Some(names) => names,
        None => kind.activations().repeat(directions),
    };
    let mut alphas = call.floats("activation_alpha")?.unwrap_or(&[]).iter().copied();
    let mut betas = call.floats("activation_beta")?.unwrap_or(&[]).iter().copied();
    let mut list = Vec::new();
    for name in names {
        let mut alpha = |default: f32| alphas.next().unwrap_or(default) as f64;
        let mut beta = |default: f32| betas.next().unwrap_or(default) as f64;
        list.push(match name.to_ascii_lowercase().as_str() {
            "sigmoid" => Activation::Plain(Func::Sigmoid),
            "tanh" => Activation::Plain(Func::Tanh),
            "relu" => Activation::Relu,
            "softplus" => Activation::Softplus,
            "softsign" => Activation::Softsign,
            "affine" => Activation::Affine(alpha(1.0), beta(0.0)),
            "leakyrelu" => Activation::LeakyRelu(alpha(0.01)),
            "thresholdedrelu" => Activation::ThresholdedRelu(alpha(1.0)),
            "scaledtanh" => Activation::ScaledTanh(alpha(1.0), beta(1.0)),
            "hardsigmoid" => Activation::HardSigmoid(alpha(0.2), beta(0.5)),
            "elu" => Activation::Elu(alpha(1.0)),
            _ => return Err(call.attribute_error(format!("`{name}` is no activation"))),
        });
    }
    Ok(list.chunks(each).map(<[Activation]>::to_vec).collect())
}

impl Activation {
    fn apply(self, b: &mut Builder, x: ValueId) -> Result<ValueId> {
        match self {
            Activation::Plain(func) => b.map(func, &[x]),
            Activation::Relu => b.map_number(Func::Max, x, 0.0),
            Activation::Softplus => {
                // max(x, 0) + log(1 + exp(-|x|))
                let size = b.map(Func::Abs, &[x])?;
                let low = b.map(Func::Neg, &[size])?;
                let power = b.map(Func::Exp, &[low])?;
                let sum = b.map_number(Func::Add, power, 1.0)?;
                let (rest, ramp) = (b.map(Func::Log, &[sum])?, b.map_number(Func::Max, x, 0.0)?);
                b.map(Func::Add, &[ramp, rest])
            }
            Activation::Softsign => {
                let size = b.map(Func::Abs, &[x])?;
                let sum = b.map_number(Func::Add, size, 1.0)?;
                b.map(Func::Div, &[x, sum])
            }
            Activation::Affine(alpha, beta) => {
                let scaled = b.map_number(Func::Mul, x, alpha)?;
                b.map_number(Func::Add, scaled, beta)
            }
            Activation::LeakyRelu(alpha) => {
                let scaled = b.map_number(Func::Mul, x, alpha)?;
                below(b, x, 0.0, scaled)
            }
            Activation::ThresholdedRelu(alpha) => {
                let zero = b.number(b.dtype(x), 0.0);
                let above = {
                    let limit = b.number(b.dtype(x), alpha);
                    b.map_broadcast(Func::Greater, &[x, limit])?
                };
                b.map_broadcast(Func::Select, &[above, x, zero])
            }
            Activation::ScaledTanh(alpha, beta) => {
                let scaled = b.map_number(Func::Mul, x, beta)?;
                let tanh = b.map(Func::Tanh, &[scaled])?;
                b.map_number(Func::Mul, tanh, alpha)
            }
            Activation::HardSigmoid(alpha, beta) => b.hard_sigmoid(x, alpha, beta),
            Activation::Elu(alpha) => {
                let power = b.map(Func::Exp, &[x])?;
                let less = b.map_number(Func::Sub, power, 1.0)?;
                let scaled = b.map_number(Func::Mul, less, alpha)?;
                below(b, x, 0.0, scaled)
            }
        }
    }
}

/// `other` where x is below a limit, else x.
fn below(b: &mut Builder, x: ValueId, limit: f64, other: ValueId) -> Result<ValueId> {
    let limit = b.number(b.dtype(x), limit);
    let is_below = b.map_broadcast(Func::Less, &[x, limit])?;
    b.map(Func::Select, &[is_below, other, x])
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    const WEIGHTS: &str = "w: f32[1, 2, 1] = 1 0.5 r: f32[1, 2, 2] = 0 1 0.5 0";

    #[test]
    fn a_layer_carries_its_state() {
        let text = format!("x: f32[t, b, 1] {WEIGHTS} y, h = RNN {{activations = [\"Relu\"]}} (x, w, r) => y, h");
        let y = "f32[3, 1, 1, 2] 1 0.5 2.5 1.5 4.5 2.75";
        check(&text, &["f32[3, 1, 1] 1 2 3"], &[y, "f32[1, 1, 2] 4.5 2.75"]);
    }

    #[test]
    fn short_sequences_end_early_in_both_directions() {
        let weights = "w: f32[2, 1, 1] = 1 1 r: f32[2, 1, 1] = 1 1 l: i32[2] = 1 2";
        let text = format!(
            "x: f32[2, 2, 1] {weights} y, h = RNN {{direction = \"bidirectional\", activations = [\"Relu\", \"Relu\"]}} (x, w, r, _, l) => y, h"
        );
        check(&text, &["f32[2, 2, 1] 1 2 3 4"], &["f32[2, 2, 2, 1] 1 2 1 6 0 6 0 4", "f32[2, 2, 1] 1 6 1 6"]);
    }

    #[test]
    fn operands_fit_each_other() {
        let text = "x: f32[3, 1, 4] w: f32[1, 2, 1] = 1 0.5 r: f32[1, 2, 2] = 0 1 0.5 0 y = RNN(x, w, r) => y";
        check_problems(text, &["[E003] RNN#0: operand 1 of RNN: axis 2 differs: 1 vs 4"]);
        let text = format!("x: f32[3, 1, 1] {WEIGHTS} y = RNN {{activations = [\"Relu\", \"Tanh\"]}} (x, w, r) => y");
        check_problems(&text, &["[E005] RNN#0: `activations` has 2 entries, not 1"]);
    }
}
