//! Parsing graphs.

use crate::dtype::Literal;
use crate::graph::{Attr, Attrs, Def, Graph, Location, Node, NodeId, SymbolFact, TensorType, Value, ValueId};
use crate::guard::{Condition, Guard};
use crate::tensor::Tensor;
use crate::text::constant::parse_elements;
use crate::text::parts::{parse_dtype, parse_literal, parse_location, parse_name, parse_tensor_type, parse_texts};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use sym::{ParseError, Parser, Sym};

/// How deep regions may nest.
const MAX_DEPTH: usize = 64;

/// What a graph's text takes for granted.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The compiler's own copy of the name of an op or an attribute.
    pub intern: &'a dyn Fn(&str) -> Option<&'static str>,
    /// The tensor that the model file holds under a name.
    pub weights: &'a dyn Fn(&str) -> Option<Tensor>,
}

/// Parses a whole text. Every value that is mentioned has one definition; `verify` checks the rest.
pub fn parse_graph(
    text: &str,
    intern: &dyn Fn(&str) -> Option<&'static str>,
    weights: &dyn Fn(&str) -> Option<Tensor>,
) -> Result<Graph, ParseError> {
    let mut parser = Parser::new(text);
    let graph = parse_graph_at(&mut parser, Names { intern, weights })?;
    if parser.at_end() { Ok(graph) } else { parser.error("text after the graph") }
}

/// Parses `graph "name" { .. }` at the cursor.
pub fn parse_graph_at(parser: &mut Parser, names: Names) -> Result<Graph, ParseError> {
    Reader { names, depth: 0, graph: Graph::default(), values: BTreeMap::new(), used: BTreeSet::new() }.graph(parser)
}

struct Reader<'a> {
    names: Names<'a>,
    depth: usize,
    graph: Graph,
    values: BTreeMap<ValueId, Value>,
    used: BTreeSet<ValueId>,
}

impl Reader<'_> {
    fn graph(mut self, parser: &mut Parser) -> Result<Graph, ParseError> {
        parser.expect("graph")?;
        self.graph.name = parser.string()?;
        parser.expect("{")?;
        while !parser.accept("}") {
            self.statement(parser)?;
        }
        if let Some(id) = self.used.iter().find(|id| !self.values.contains_key(id)) {
            return parser.error(format!("{id:?} is not defined"));
        }
        if let Some((at, _)) = self.values.keys().enumerate().find(|(at, id)| *at != id.0 as usize) {
            return parser.error(format!("values are numbered from %0 without gaps, but there is no %{at}"));
        }
        self.graph.values = self.values.into_values().collect();
        Ok(self.graph)
    }

    fn statement(&mut self, parser: &mut Parser) -> Result<(), ParseError> {
        if parser.peek("%") || parser.peek("=") {
            return self.node(parser);
        }
        match parser.ident()? {
            "symbol" => self.symbol(parser),
            "strings" => {
                self.graph.texts = parse_texts(parser)?;
                Ok(())
            }
            "input" => {
                let (id, name, ty) = self.value(parser)?;
                let def = Def::Input(self.graph.inputs.len());
                self.graph.inputs.push(id);
                self.define(parser, id, Value { name, ty, def })
            }
            "weight" => self.weight(parser),
            "constant" => {
                let (id, name, ty) = self.value(parser)?;
                parser.expect("=")?;
                let tensor = parse_elements(parser, &ty)?;
                self.define(parser, id, Value { name, ty, def: Def::Constant { tensor, weight: None } })
            }
            "size" => {
                let sym = Sym::new(parser.ident()?);
                parser.expect("=")?;
                let id = self.mention(parser)?;
                self.graph.computed.push((sym, id));
                Ok(())
            }
            "guard" => {
                let guard = Guard { condition: parse_condition(parser)?, location: parse_location(parser)? };
                self.graph.guards.push(guard);
                Ok(())
            }
            "output" => {
                let name = parser.string()?;
                parser.expect("=")?;
                let id = self.mention(parser)?;
                self.graph.outputs.push((name, id));
                Ok(())
            }
            other => parser.error(format!("`{other}` starts no statement of a graph")),
        }
    }

    fn symbol(&mut self, parser: &mut Parser) -> Result<(), ParseError> {
        let sym = Sym::new(parser.ident()?);
        parser.expect("in")?;
        let low = parser.integer()?;
        parser.expect("..")?;
        parser.accept("=");
        let fact = SymbolFact { low, high: parser.integer()? };
        match self.graph.symbols.insert(sym.clone(), fact) {
            None => Ok(()),
            Some(_) => parser.error(format!("the symbol {sym} is declared twice")),
        }
    }

    /// `%0 "name": type`
    fn value(&mut self, parser: &mut Parser) -> Result<(ValueId, Arc<str>, TensorType), ParseError> {
        let id = value_id(parser)?;
        let name = parser.string()?.into();
        parser.expect(":")?;
        Ok((id, name, parse_tensor_type(parser)?))
    }

    fn define(&mut self, parser: &Parser, id: ValueId, value: Value) -> Result<(), ParseError> {
        match self.values.insert(id, value) {
            None => Ok(()),
            Some(_) => parser.error(format!("{id:?} is defined twice")),
        }
    }

    fn mention(&mut self, parser: &mut Parser) -> Result<ValueId, ParseError> {
        let id = value_id(parser)?;
        self.used.insert(id);
        Ok(id)
    }

    fn weight(&mut self, parser: &mut Parser) -> Result<(), ParseError> {
        let (id, name, ty) = self.value(parser)?;
        let weight: Arc<str> = if parser.accept("=") { parser.string()?.into() } else { name.clone() };
        let Some(tensor) = (self.names.weights)(&weight) else {
            return parser.error(format!("the model holds no weight {weight:?}"));
        };
        let fitting = ty.const_dims().filter(|_| tensor.dtype() == ty.dtype).and_then(|dims| tensor.reshaped(dims));
        match fitting {
            Some(tensor) => self.define(parser, id, Value { name, ty, def: Def::Constant { tensor, weight: Some(weight) } }),
            None => parser.error(format!("the weight {weight:?} is {tensor:?}, not {ty}")),
        }
    }

    /// `%0 "y": type, .. = op(%1, ..) {attributes} @ [location]` and regions
    fn node(&mut self, parser: &mut Parser) -> Result<(), ParseError> {
        let node = NodeId(self.graph.nodes.len() as u32);
        let mut outputs = vec![];
        while !parser.accept("=") {
            let (id, name, ty) = self.value(parser)?;
            self.define(parser, id, Value { name, ty, def: Def::Node(node, outputs.len()) })?;
            outputs.push(id);
            parser.accept(",");
        }
        let op = interned(parser, self.names.intern, "op")?;
        let inputs = parser.list("(", ")", |parser| self.mention(parser))?;
        let attrs = if parser.peek("{") { parse_attrs(parser, self.names.intern)? } else { Attrs::new() };
        let location = if parser.peek("@") { parse_location(parser)? } else { Location::default() };
        let mut regions = vec![];
        while parser.rest().starts_with("graph") {
            regions.push(self.region(parser)?);
        }
        self.graph.nodes.push(Node { op, attrs, inputs, outputs, regions, location });
        Ok(())
    }

    fn region(&self, parser: &mut Parser) -> Result<Graph, ParseError> {
        if self.depth == MAX_DEPTH {
            return parser.error("regions nest too deep");
        }
        let region =
            Reader { names: self.names, depth: self.depth + 1, graph: Graph::default(), values: BTreeMap::new(), used: BTreeSet::new() };
        region.graph(parser)
    }
}

/// `{axis = 0, kind = "sum"}`
pub fn parse_attrs(parser: &mut Parser, intern: &dyn Fn(&str) -> Option<&'static str>) -> Result<Attrs, ParseError> {
    let attrs = parser.list("{", "}", |parser| {
        let name = interned(parser, intern, "attribute")?;
        parser.expect("=")?;
        Ok((name, attr(parser)?))
    })?;
    let count = attrs.len();
    let attrs = Attrs::from_iter(attrs);
    if attrs.len() == count { Ok(attrs) } else { parser.error("an attribute is given twice") }
}

fn interned(parser: &mut Parser, intern: &dyn Fn(&str) -> Option<&'static str>, what: &str) -> Result<&'static str, ParseError> {
    let name = parse_name(parser)?;
    match intern(&name) {
        Some(name) => Ok(name),
        None => parser.error(format!("there is no {what} `{name}`")),
    }
}

fn value_id(parser: &mut Parser) -> Result<ValueId, ParseError> {
    parser.expect("%")?;
    let number = parser.integer()?;
    match u32::try_from(number) {
        Ok(number) => Ok(ValueId(number)),
        Err(_) => parser.error(format!("%{number} is no value")),
    }
}

/// `a == b`, `a >= b`, `one_or_equal(a, b)`
pub fn parse_condition(parser: &mut Parser) -> Result<Condition, ParseError> {
    if parser.rest().starts_with("one_or_equal(") {
        parser.expect("one_or_equal")?;
        parser.expect("(")?;
        let a = parser.expr()?;
        parser.expect(",")?;
        let b = parser.expr()?;
        parser.expect(")")?;
        return Ok(Condition::OneOrEqual(a, b));
    }
    let a = parser.expr()?;
    if parser.accept(">=") {
        return Ok(Condition::AtLeast(a, parser.expr()?));
    }
    parser.expect("==")?;
    Ok(Condition::Equal(a, parser.expr()?))
}

fn attr(parser: &mut Parser) -> Result<Attr, ParseError> {
    match parser.rest().chars().next() {
        Some('"') => Ok(Attr::Text(parser.string()?)),
        Some('[') => Ok(Attr::Ints(parser.list("[", "]", |parser| parser.integer())?)),
        Some('e') => {
            parser.expect("exprs")?;
            Ok(Attr::Exprs(parser.list("[", "]", |parser| parser.expr())?))
        }
        Some('d') => {
            parser.expect("dtype")?;
            Ok(Attr::DType(parse_dtype(parser)?))
        }
        _ => Ok(match parse_literal(parser)? {
            Literal::Int(value) => Attr::Int(value),
            Literal::Float(value) => Attr::Float(value),
        }),
    }
}
