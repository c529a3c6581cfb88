//! Regions: graphs inside of a node that become graphs of their own. What they use of the graphs around them becomes their inputs.

use super::call::Fault;
use super::cx::Cx;
use super::scope::Scope;
use super::term::Term;
use crate::proto::GraphProto;
use ::ops::Builder;
use ir::{Graph, TensorType, ValueId};

/// The branches of an `if`, with equal inputs.
pub(crate) struct Branches {
    /// The values of the current graph that the inputs stand for.
    pub captures: Vec<ValueId>,
    pub then: Graph,
    pub other: Graph,
}

/// The body of a loop.
#[derive(Clone)]
pub(crate) struct Body {
    /// The values of the current graph that its last inputs stand for.
    pub captures: Vec<ValueId>,
    /// Values of the body, which has no outputs yet.
    pub outputs: Vec<ValueId>,
    pub builder: Builder,
}

impl Body {
    /// The finished region.
    pub fn region(mut self, outputs: &[ValueId]) -> Graph {
        outputs.iter().enumerate().for_each(|(at, id)| self.builder.output(&format!("output{at}"), *id));
        self.builder.finish()
    }
}

impl Cx<'_> {
    /// Both branches, each with the name of its attribute.
    pub(crate) fn regions(&mut self, branches: [(&GraphProto, &str); 2]) -> Result<Branches, Fault> {
        let then = self.region(branches[0], &[]);
        let known = then.as_ref().map_or(Vec::new(), |scope| scope.captures.clone());
        let other = self.region(branches[1], &known);
        let (mut then, other) = (then?, other?);
        self.scopes.push(then);
        let depth = self.scopes.len() - 1;
        let late: Vec<Term> = other.captures[known.len()..].to_vec();
        let added = late.into_iter().try_for_each(|term| self.capture(term, depth).map(drop));
        then = self.leave();
        added?;
        let captures = other.captures.iter().map(|term| self.emit(*term)).collect::<Result<Vec<ValueId>, _>>()?;
        Ok(Branches { captures, then: then.builder.finish(), other: other.builder.finish() })
    }

    /// The body of a loop. Its first inputs have these names and types; `fill` gets them, and gives what is to become outputs.
    pub(crate) fn body(
        &mut self,
        name: &str,
        inputs: &[(&str, TensorType)],
        fill: impl FnOnce(&mut Self, Vec<Term>) -> Result<Vec<ValueId>, Fault>,
    ) -> Result<Body, Fault> {
        self.enter_region(name);
        let terms = inputs.iter().map(|(name, ty)| {
            let id = self.builder().input(name, ty.clone());
            self.built(name, id)
        });
        let terms = terms.collect();
        let outputs = fill(self, terms);
        let scope = self.leave();
        let outputs = outputs?;
        let captures = scope.captures.iter().map(|term| self.emit(*term)).collect::<Result<Vec<ValueId>, _>>()?;
        Ok(Body { captures, outputs, builder: scope.builder })
    }

    fn enter_region(&mut self, name: &str) {
        let mut scope = Scope::new(name);
        scope.builder.location = self.location().clone();
        let symbols = self.builder().graph.graph().symbols.clone();
        symbols.iter().for_each(|(sym, fact)| scope.builder.graph.symbol(sym, *fact));
        self.scopes.push(scope);
    }

    /// A graph of its own, which starts with inputs for `captures`.
    fn region(&mut self, (graph, attribute): (&GraphProto, &str), captures: &[Term]) -> Result<Scope, Fault> {
        self.enter_region(&graph.name);
        let filled = self.fill(graph, attribute, captures);
        let scope = self.leave();
        filled.map(|()| scope)
    }

    fn fill(&mut self, graph: &GraphProto, attribute: &str, captures: &[Term]) -> Result<(), Fault> {
        let depth = self.scopes.len() - 1;
        for term in captures {
            self.capture(*term, depth)?;
        }
        let outputs = self.subgraph(graph, attribute, &[])?;
        for (info, term) in graph.output.iter().zip(outputs) {
            let id = self.emit(term)?;
            self.builder().output(&info.name, id);
        }
        Ok(())
    }

    /// Takes the innermost graph out.
    fn leave(&mut self) -> Scope {
        self.scopes.pop().unwrap_or_else(|| Scope::new(""))
    }
}
