//! Graph -> Program: every node's nests in order, one buffer for each value.
//!
//! Needs: a graph of core ops and regions. Gives: single-stage groups whose nests name operands and writes by buffer.
//!
//! - [`repeat`]: the loops

mod repeat;

use crate::layout::Layout;
use crate::program::{Buffer, BufferId, Group, HostStep, Program, Role, Stage, Step};
use ir::{Code, Def, Diagnostics, Graph, Guard, Literal, Location, Node, TensorType, ValueId};
use nest::{Nest, ScalarOp, rewrite};
use ops::lower::operand_places;
use ops::{Kind, LowerCx};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use sym::Sym;

pub fn lower(graph: &Graph) -> Result<Program, Diagnostics> {
    let mut lowering = Lowering { program: empty_program(graph), names: HashMap::new(), depth: 0 };
    let mut values = Values::new();
    for (at, input) in graph.inputs.iter().enumerate() {
        let id = lowering.buffer(graph, *input, Role::Input(at), "");
        values.insert(*input, id);
        lowering.program.inputs.push((graph.value(*input).name.to_string(), id));
    }
    for (at, (name, value)) in graph.outputs.iter().enumerate() {
        let made = matches!(graph.value(*value).def, Def::Node(..)) && !values.contains_key(value);
        let id = match made {
            true => lowering.buffer(graph, *value, Role::Output(at), ""),
            false => lowering.fresh(&format!("{name}.output"), graph.ty(*value).clone(), Role::Output(at)),
        };
        if made {
            values.insert(*value, id);
        }
        lowering.program.outputs.push((name.clone(), id));
    }
    let mut steps = Vec::new();
    lowering.nodes(graph, "", &mut values, &mut steps)?;
    for ((_, value), (_, id)) in graph.outputs.iter().zip(lowering.program.outputs.clone()) {
        lowering.copy_result(graph, *value, id, "", &mut values, &mut steps);
    }
    lowering.program.steps = steps;
    Ok(lowering.program)
}

/// What stands before the names of a region's values.
fn region_prefix(graph: &Graph, node: &Node, prefix: &str, at: usize) -> String {
    let name = node.outputs.first().map_or("", |id| &*graph.value(*id).name);
    format!("{prefix}{name}.{at}.")
}

type Values = HashMap<ValueId, BufferId>;

fn empty_program(graph: &Graph) -> Program {
    let guards = early_guards(graph).cloned().collect();
    Program { name: graph.name.clone(), symbols: graph.symbols.clone(), guards, texts: graph.texts.clone(), ..Program::default() }
}

/// The guards that mention no size that the graph computes.
fn early_guards(graph: &Graph) -> impl Iterator<Item = &Guard> {
    graph.guards.iter().filter(|guard| !graph.computed.iter().any(|(sym, _)| guard.condition.symbols().contains(sym)))
}

/// The sizes that a graph computes and that are not known yet, and the guards that wait for them.
struct ComputedSizes<'a> {
    unknown: BTreeSet<&'a Sym>,
    guards: Vec<&'a Guard>,
}

impl<'a> ComputedSizes<'a> {
    fn of(graph: &'a Graph) -> ComputedSizes<'a> {
        let unknown: BTreeSet<&Sym> = graph.computed.iter().map(|(sym, _)| sym).collect();
        let guards = graph.guards.iter().filter(|guard| guard.condition.symbols().iter().any(|sym| unknown.contains(sym))).collect();
        ComputedSizes { unknown, guards }
    }

    /// The guards that wait for no other size once this one is known.
    fn known(&mut self, symbol: &Sym) -> Vec<Guard> {
        self.unknown.remove(symbol);
        let waits = |guard: &&Guard| guard.condition.symbols().iter().any(|sym| self.unknown.contains(sym));
        let (waiting, ready): (Vec<&Guard>, Vec<&Guard>) = std::mem::take(&mut self.guards).into_iter().partition(waits);
        self.guards = waiting;
        ready.into_iter().cloned().collect()
    }
}

struct Lowering {
    program: Program,
    /// How often each buffer name was asked for.
    names: HashMap<String, usize>,
    /// How many loops are around.
    depth: usize,
}

impl Lowering {
    fn fresh(&mut self, name: &str, ty: TensorType, role: Role) -> BufferId {
        let count = self.names.entry(name.to_string()).or_insert(0);
        *count += 1;
        let name = if *count == 1 { name.to_string() } else { format!("{name}~{count}") };
        let layout = Layout::row_major(ty.rank());
        self.program.buffers.push(Buffer { name: Arc::from(name), ty, layout, role });
        BufferId(self.program.buffers.len() as u32 - 1)
    }

    fn buffer(&mut self, graph: &Graph, value: ValueId, role: Role, prefix: &str) -> BufferId {
        let name = format!("{prefix}{}", graph.value(value).name);
        self.fresh(&name, graph.ty(value).clone(), role)
    }

    /// The buffer of a value; one is made for constants and temporaries on first use.
    fn place(&mut self, graph: &Graph, value: ValueId, prefix: &str, values: &mut Values) -> BufferId {
        if let Some(id) = values.get(&value) {
            return *id;
        }
        let role = match &graph.value(value).def {
            Def::Constant { tensor, weight } => Role::Constant { tensor: tensor.clone(), weight: weight.clone() },
            Def::Input(_) | Def::Node(..) => Role::Temp,
        };
        let id = self.buffer(graph, value, role, prefix);
        values.insert(value, id);
        id
    }

    fn nodes(&mut self, graph: &Graph, prefix: &str, values: &mut Values, steps: &mut Vec<Step>) -> Result<(), Diagnostics> {
        let mut problems = Vec::new();
        let mut sizes = ComputedSizes::of(graph);
        self.sizes(graph, |id| !matches!(graph.value(id).def, Def::Node(..)), &mut sizes, prefix, values, steps);
        for node in &graph.nodes {
            if let Err(problem) = self.node(graph, node, prefix, values, steps) {
                problems.extend(problem.0);
            }
            self.sizes(graph, |id| node.outputs.contains(&id), &mut sizes, prefix, values, steps);
        }
        if problems.is_empty() { Ok(()) } else { Err(Diagnostics(problems)) }
    }

    /// The sizes that `made` values say, each followed by the guards that waited for it.
    fn sizes(
        &mut self,
        graph: &Graph,
        made: impl Fn(ValueId) -> bool,
        open: &mut ComputedSizes,
        prefix: &str,
        values: &mut Values,
        steps: &mut Vec<Step>,
    ) {
        for (symbol, id) in graph.computed.iter().filter(|(_, id)| made(*id)) {
            self.program.symbols.insert(symbol.clone(), graph.symbols.get(symbol).copied().unwrap_or_default());
            steps.push(Step::Size { symbol: symbol.clone(), from: self.place(graph, *id, prefix, values) });
            steps.extend(open.known(symbol).into_iter().map(Step::Guard));
        }
    }

    fn node(&mut self, graph: &Graph, node: &Node, prefix: &str, values: &mut Values, steps: &mut Vec<Step>) -> Result<(), Diagnostics> {
        let unsupported = |what: &str| Diagnostics::one(Code::Unsupported, &node.location, format!("op `{}` {what}", node.op));
        let def = ops::find(node.op).ok_or_else(|| unsupported("is unknown"))?;
        match &def.kind {
            Kind::Core { lower } => self.core_node(graph, node, *lower, prefix, values, steps),
            Kind::Host(op) => {
                let [operands, results] = [&node.inputs, &node.outputs]
                    .map(|ids| ids.iter().map(|v| self.place(graph, *v, prefix, values)).collect::<Vec<BufferId>>());
                let (attrs, location) = (node.attrs.clone(), node.location.clone());
                steps.push(Step::Host(HostStep { op, attrs, operands, results, location }));
            }
            Kind::Composite { .. } => return Err(unsupported("must be decomposed before it is lowered")),
            Kind::Region if node.op == "if" => self.branches(graph, node, prefix, values, steps)?,
            Kind::Region => self.repeat(graph, node, prefix, values, steps)?,
        }
        Ok(())
    }

    fn core_node(
        &mut self,
        graph: &Graph,
        node: &Node,
        lower: fn(&LowerCx) -> Vec<Nest>,
        prefix: &str,
        values: &mut Values,
        steps: &mut Vec<Step>,
    ) {
        let types = |ids: &[ValueId]| ids.iter().map(|v| graph.ty(*v).clone()).collect::<Vec<_>>();
        let uniform = |v: &ValueId| graph.constant(*v).and_then(|t| (t.count() <= 4096).then(|| t.uniform()).flatten());
        let constants: Vec<Option<Literal>> = node.inputs.iter().map(uniform).collect();
        let cx = LowerCx { inputs: &types(&node.inputs), outputs: &types(&node.outputs), attrs: &node.attrs, constants: &constants };
        let inputs: Vec<BufferId> = node.inputs.iter().map(|v| self.place(graph, *v, prefix, values)).collect();
        let outputs: Vec<BufferId> = node.outputs.iter().map(|v| self.place(graph, *v, prefix, values)).collect();
        for nest in lower(&cx) {
            let own: Vec<BufferId> = operand_places(&nest).into_iter().map(|at| inputs[at]).collect();
            steps.push(self.step(nest, &own, &outputs, &node.location));
        }
    }

    /// One nest as a step, its operands and writes named by buffer, its one-element constants written as literals.
    fn step(&self, mut nest: Nest, inputs: &[BufferId], outputs: &[BufferId], location: &Location) -> Step {
        let name = |id: BufferId| self.program.buffer(id).name.to_string();
        nest.operands.iter_mut().zip(inputs).for_each(|(operand, id)| operand.name = name(*id));
        nest.writes.iter_mut().zip(outputs).for_each(|(write, id)| write.name = name(*id));
        for scalar in &mut nest.body {
            if let ScalarOp::Read(read) = &scalar.op
                && let Role::Constant { tensor, .. } = &self.program.buffer(inputs[read.operand]).role
                && let Some(value) = (tensor.count() == 1 && read.fill.is_none()).then(|| tensor.uniform()).flatten()
            {
                scalar.op = ScalarOp::Literal(value);
            }
        }
        let nest = rewrite::tidy(&nest);
        let named: HashMap<&str, BufferId> = inputs.iter().map(|id| (&*self.program.buffer(*id).name, *id)).collect();
        let find = |name: &str| named.get(name).copied().unwrap_or(BufferId(u32::MAX));
        let operands = nest.operands.iter().map(|o| find(&o.name)).collect();
        let writes = outputs[..nest.writes.len()].to_vec();
        Step::Group(Group { outer: vec![], stages: vec![Stage { nest, operands, writes, location: location.clone() }] })
    }

    fn copy(&self, from: BufferId, to: BufferId) -> Step {
        let nest = rewrite::copy_nest("from", "to", &self.program.buffer(to).ty);
        self.step(nest, &[from], &[to], &Location::default())
    }

    /// Copies a result to its place, unless it was made there.
    fn copy_result(&mut self, graph: &Graph, value: ValueId, to: BufferId, prefix: &str, values: &mut Values, steps: &mut Vec<Step>) {
        let from = self.place(graph, value, prefix, values);
        if from != to {
            steps.push(self.copy(from, to));
        }
    }

    fn branches(
        &mut self,
        graph: &Graph,
        node: &Node,
        prefix: &str,
        values: &mut Values,
        steps: &mut Vec<Step>,
    ) -> Result<(), Diagnostics> {
        let condition = self.place(graph, node.inputs[0], prefix, values);
        let captures: Vec<BufferId> = node.inputs[1..].iter().map(|v| self.place(graph, *v, prefix, values)).collect();
        let results: Vec<BufferId> = node.outputs.iter().map(|v| self.place(graph, *v, prefix, values)).collect();
        let mut branches = Vec::new();
        for (at, region) in node.regions.iter().enumerate() {
            let prefix = region_prefix(graph, node, prefix, at);
            let mut inner: Values = region.inputs.iter().copied().zip(captures.iter().copied()).collect();
            let mut list: Vec<Step> = early_guards(region).cloned().map(Step::Guard).collect();
            self.nodes(region, &prefix, &mut inner, &mut list)?;
            for ((_, value), to) in region.outputs.iter().zip(&results) {
                self.copy_result(region, *value, *to, &prefix, &mut inner, &mut list);
            }
            branches.push(list);
        }
        let mut branches = branches.into_iter();
        let (then, otherwise) = (branches.next().unwrap_or_default(), branches.next().unwrap_or_default());
        steps.push(Step::If { condition, then, otherwise });
        Ok(())
    }
}
