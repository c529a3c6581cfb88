//! Regions: graphs inside of a node that become graphs of their own. What they use of the graphs around them becomes their inputs.

use super::call::Fault;
use super::content::Content;
use super::cx::Cx;
use super::scope::Scope;
use super::term::Term;
use crate::proto::GraphProto;
use ::ops::Builder;
use ir::{Code, Diagnostic, Graph, TensorType, ValueId};

/// The branches of an `if`, with equal inputs.
pub(crate) struct Branches {
    /// The values of the current graph that the inputs stand for.
    pub captures: Vec<ValueId>,
    pub then: Graph,
    pub other: Graph,
    /// What each result is; sequences are several outputs of the graphs.
    pub contents: Vec<Content>,
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
        let known = then.as_ref().map_or(Vec::new(), |(scope, _)| scope.captures.clone());
        let other = self.region(branches[1], &known);
        let ((mut then, contents), (other, others)) = (then?, other?);
        if let Some((a, b)) = contents.iter().zip(&others).find(|(a, b)| a != b) {
            let text = |content: &Content| match content {
                Content::Sequence(length) => format!("a sequence of {length}"),
                content => content.text(),
            };
            let message = format!("the branches give {} and {}, and which is taken is not known before a call", text(a), text(b));
            return Err(Diagnostic::new(Code::Unsupported, self.location(), message).into());
        }
        self.scopes.push(then);
        let depth = self.scopes.len() - 1;
        let late: Vec<Term> = other.captures[known.len()..].to_vec();
        let added = late.into_iter().try_for_each(|term| self.capture(term, depth).map(drop));
        then = self.leave();
        added?;
        let captures = other.captures.iter().map(|term| self.emit(*term)).collect::<Result<Vec<ValueId>, _>>()?;
        Ok(Branches { captures, then: then.builder.finish(), other: other.builder.finish(), contents })
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

    /// A graph of its own, which starts with inputs for `captures`; and what its results are.
    fn region(&mut self, (graph, attribute): (&GraphProto, &str), captures: &[Term]) -> Result<(Scope, Vec<Content>), Fault> {
        self.enter_region(&graph.name);
        let filled = self.fill(graph, attribute, captures);
        let scope = self.leave();
        filled.map(|contents| (scope, contents))
    }

    fn fill(&mut self, graph: &GraphProto, attribute: &str, captures: &[Term]) -> Result<Vec<Content>, Fault> {
        let depth = self.scopes.len() - 1;
        for term in captures {
            self.capture(*term, depth)?;
        }
        let outputs = self.subgraph(graph, attribute, &[])?;
        let contents: Vec<Content> = outputs.iter().map(|term| self.content(*term)).collect();
        for ((info, term), content) in graph.output.iter().zip(outputs).zip(&contents) {
            let tensors = self.sequence(term).map_or(vec![term], <[Term]>::to_vec);
            for (name, term) in content.names(&info.name).iter().zip(tensors) {
                let id = self.emit(term)?;
                self.builder().output(name, id);
            }
        }
        Ok(contents)
    }

    /// Takes the innermost graph out.
    fn leave(&mut self) -> Scope {
        self.scopes.pop().unwrap_or_else(|| Scope::new(""))
    }
}
