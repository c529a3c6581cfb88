//! Regions: graphs inside of a node that become graphs of their own. What they use of the graphs around them becomes their inputs.

use super::call::Fault;
use super::content::Content;
use super::cx::Cx;
use super::narrow::Narrow;
use super::scope::Scope;
use super::term::Term;
use crate::proto::GraphProto;
use ::ops::Builder;
use ir::guard::Condition;
use ir::{Code, Diagnostic, Graph, TensorType, ValueId};
use sym::Expr;

/// The branches of an `if`, with equal captures.
pub(crate) struct Branches {
    pub bodies: [Body; 2],
    /// What each result is; sequences are several outputs of the bodies.
    pub contents: Vec<Content>,
}

/// A value that a body gives, with what its elements stand for.
pub(crate) type Typed = (ValueId, Option<Narrow>);

/// A region without its outputs.
#[derive(Clone)]
pub(crate) struct Body {
    /// The values of the current graph that its last inputs stand for.
    pub captures: Vec<ValueId>,
    /// What is to become outputs.
    pub outputs: Vec<ValueId>,
    /// What the elements of these stand for.
    pub narrow: Vec<Option<Narrow>>,
    pub builder: Builder,
}

/// An input of a loop's body.
pub(crate) struct Port<'a> {
    pub name: &'a str,
    pub ty: TensorType,
    pub narrow: Option<Narrow>,
}

impl Body {
    fn new(scope: Scope, captures: Vec<ValueId>, outputs: Vec<Typed>) -> Body {
        let (outputs, narrow) = outputs.into_iter().unzip();
        Body { captures, outputs, narrow, builder: scope.builder }
    }

    /// The finished region.
    pub fn region(mut self, outputs: &[ValueId]) -> Graph {
        outputs.iter().enumerate().for_each(|(at, id)| self.builder.output(&format!("output{at}"), *id));
        self.builder.finish()
    }
}

/// The value under other dims, which the sizes of a call must agree with.
pub(crate) fn with_dims(b: &mut Builder, value: ValueId, dims: &[Expr]) -> Result<ValueId, Diagnostic> {
    let (found, location) = (b.dims(value).to_vec(), b.location.clone());
    for (a, c) in found.iter().zip(dims).filter(|(a, c)| a != c) {
        b.graph.guard(Condition::Equal(a.clone(), c.clone()), &location);
    }
    b.reshape(value, dims)
}

/// A graph of its own that is still to be given its captures.
struct Branch {
    scope: Scope,
    outputs: Vec<Typed>,
    contents: Vec<Content>,
}

impl Cx<'_> {
    /// Both branches, each with the name of its attribute.
    pub(crate) fn branches(&mut self, graphs: [(&GraphProto, &str); 2]) -> Result<Branches, Fault> {
        let then = self.region(graphs[0], &[]);
        let known = then.as_ref().map_or(Vec::new(), |then| then.scope.captures.clone());
        let other = self.region(graphs[1], &known);
        let (then, other) = (then?, other?);
        self.check_alike_branches(&then, &other)?;
        self.scopes.push(then.scope);
        let depth = self.scopes.len() - 1;
        let late: Vec<Term> = other.scope.captures[known.len()..].to_vec();
        let added = late.into_iter().try_for_each(|term| self.capture(term, depth).map(drop));
        let scope = self.leave();
        added?;
        let captures = self.captured(&other.scope)?;
        let bodies = [Body::new(scope, captures.clone(), then.outputs), Body::new(other.scope, captures, other.outputs)];
        Ok(Branches { bodies, contents: then.contents })
    }

    /// E006 where results are of different kinds.
    fn check_alike_branches(&self, then: &Branch, other: &Branch) -> Result<(), Diagnostic> {
        if then.contents.len() != other.contents.len() {
            let message = format!("the branches have {} and {} outputs", then.contents.len(), other.contents.len());
            return Err(Diagnostic::new(Code::Malformed, self.location(), message));
        }
        let contents = then.contents.iter().zip(&other.contents).find(|(a, b)| a != b);
        let narrow = then.outputs.iter().zip(&other.outputs).map(|(a, b)| (a.1, b.1)).find(|(a, b)| a != b);
        let text = |content: &Content| match content {
            Content::Sequence(length) => format!("a sequence of {length}"),
            content => content.text(),
        };
        let elements =
            |narrow: Option<Narrow>| narrow.map_or("numbers".to_string(), |narrow| format!("elements of type {}", narrow.name()));
        let (a, b) = match (contents, narrow) {
            (Some((a, b)), _) => (text(a), text(b)),
            (None, Some((a, b))) => (elements(a), elements(b)),
            (None, None) => return Ok(()),
        };
        let message = format!("the branches give {a} and {b}, and which is taken is not known before a call");
        Err(Diagnostic::new(Code::Unsupported, self.location(), message))
    }

    /// The body of a loop. `fill` gets its first inputs, and gives what is to become outputs.
    pub(crate) fn body(
        &mut self,
        name: &str,
        inputs: &[Port],
        fill: impl FnOnce(&mut Self, Vec<Term>) -> Result<Vec<Typed>, Fault>,
    ) -> Result<Body, Fault> {
        self.enter_region(name);
        let terms = inputs.iter().map(|port| {
            let id = self.builder().input(port.name, port.ty.clone());
            let term = self.built(port.name, id);
            self.narrowed(term, port.narrow)
        });
        let terms = terms.collect();
        let outputs = fill(self, terms);
        let scope = self.leave();
        let captures = self.captured(&scope)?;
        Ok(Body::new(scope, captures, outputs?))
    }

    /// What a region captures, as values of the current graph.
    fn captured(&mut self, scope: &Scope) -> Result<Vec<ValueId>, Diagnostic> {
        scope.captures.iter().map(|term| self.emit(*term)).collect()
    }

    fn enter_region(&mut self, name: &str) {
        let mut scope = Scope::new(name);
        scope.builder.location = self.location().clone();
        let symbols = self.builder().graph.graph().symbols.clone();
        symbols.iter().for_each(|(sym, fact)| scope.builder.graph.symbol(sym, *fact));
        self.scopes.push(scope);
    }

    /// A graph of its own, which starts with inputs for `captures`.
    fn region(&mut self, (graph, attribute): (&GraphProto, &str), captures: &[Term]) -> Result<Branch, Fault> {
        self.enter_region(&graph.name);
        let filled = self.fill(graph, attribute, captures);
        let scope = self.leave();
        filled.map(|(outputs, contents)| Branch { scope, outputs, contents })
    }

    fn fill(&mut self, graph: &GraphProto, attribute: &str, captures: &[Term]) -> Result<(Vec<Typed>, Vec<Content>), Fault> {
        let depth = self.scopes.len() - 1;
        for term in captures {
            self.capture(*term, depth)?;
        }
        let terms = self.subgraph(graph, attribute, &[])?;
        let contents: Vec<Content> = terms.iter().map(|term| self.content(*term)).collect();
        let mut outputs = Vec::new();
        for (term, content) in terms.into_iter().zip(&contents) {
            match content {
                Content::Nothing => {}
                Content::Tensor => outputs.push(self.typed(term)?),
                Content::Sequence(_) => {
                    for element in self.sequence(term).map_or(vec![], <[Term]>::to_vec) {
                        outputs.push(self.typed(element)?);
                    }
                }
            }
        }
        Ok((outputs, contents))
    }

    /// What a region gives as an element of a sequence.
    pub(crate) fn element(&mut self, (id, narrow): Typed) -> Term {
        let term = self.built("element", id);
        self.narrowed(term, narrow)
    }

    /// The term as a value of the current graph, with what its elements stand for.
    pub(crate) fn typed(&mut self, term: Term) -> Result<Typed, Diagnostic> {
        Ok((self.emit(term)?, self.narrow(term)))
    }

    /// Takes the innermost graph out.
    fn leave(&mut self) -> Scope {
        self.scopes.pop().unwrap_or_else(|| Scope::new(""))
    }
}
