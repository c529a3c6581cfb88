//! The graph: SSA tensor values and the nodes that make them.

use crate::dtype::DType;
use crate::guard::Guard;
use crate::strings::Texts;
use crate::tensor::Tensor;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;
use sym::{Expr, Sym};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl fmt::Debug for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "node{}", self.0)
    }
}

/// Element type and symbolic dims.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorType {
    pub dtype: DType,
    pub dims: Vec<Expr>,
}

impl TensorType {
    pub fn new(dtype: DType, dims: Vec<Expr>) -> TensorType {
        TensorType { dtype, dims }
    }

    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    pub fn count(&self) -> Expr {
        Expr::product(&self.dims)
    }

    /// The dims where all are constants that fit.
    pub fn const_dims(&self) -> Option<Vec<usize>> {
        self.dims.iter().map(|d| d.as_const().and_then(|d| usize::try_from(d).ok())).collect()
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let dims: Vec<String> = self.dims.iter().map(|d| d.to_string()).collect();
        write!(f, "{}[{}]", self.dtype, dims.join(", "))
    }
}

impl fmt::Debug for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The most model nodes that joined locations name: what came from thousands stays cheap to carry along.
const MOST_NAMES: usize = 128;

/// The model nodes that something came from, in order, without repeats; of very many, the first 128.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location(pub Vec<Arc<str>>);

impl Location {
    pub fn of(name: &str) -> Location {
        Location(vec![Arc::from(name)])
    }

    /// Both origins, the first one's first.
    pub fn join(&self, other: &Location) -> Location {
        Location::all([self, other])
    }

    /// All origins, in order.
    pub fn all<'a>(locations: impl IntoIterator<Item = &'a Location>) -> Location {
        let mut known = HashSet::new();
        let names = locations.into_iter().flat_map(|location| &location.0);
        Location(names.filter(|name| known.insert(*name)).take(MOST_NAMES).cloned().collect())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("model"),
            names => f.write_str(&names.join(" + ")),
        }
    }
}

/// An attribute: a compile-time parameter of an op. `Exprs` may mention the graph's symbols.
#[derive(Clone, Debug, PartialEq)]
pub enum Attr {
    Int(i64),
    Float(f64),
    Text(String),
    Ints(Vec<i64>),
    Exprs(Vec<Expr>),
    DType(DType),
}

/// Attributes by name.
pub type Attrs = BTreeMap<&'static str, Attr>;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Def {
    /// The graph's (or region's) input number n.
    Input(usize),
    /// Known contents. `weight` is the name under which the model file holds exactly these bytes; without it the text form writes them out.
    Constant { tensor: Tensor, weight: Option<Arc<str>> },
    /// Output number n of a node.
    Node(NodeId, usize),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// The model's name for it, or a derived one; unique in the graph.
    pub name: Arc<str>,
    pub ty: TensorType,
    pub def: Def,
}

/// One application of an op. `regions` are whole graphs that see nothing but their inputs: what they capture is passed as operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub op: &'static str,
    pub attrs: Attrs,
    pub inputs: Vec<ValueId>,
    pub outputs: Vec<ValueId>,
    pub regions: Vec<Graph>,
    pub location: Location,
}

impl Node {
    /// The attributes that may mention symbols.
    pub fn expr_attrs(&self) -> impl Iterator<Item = (&'static str, &[Expr])> {
        self.attrs.iter().filter_map(|(name, attr)| match attr {
            Attr::Exprs(exprs) => Some((*name, exprs.as_slice())),
            Attr::Int(_) | Attr::Float(_) | Attr::Text(_) | Attr::Ints(_) | Attr::DType(_) => None,
        })
    }
}

/// All symbols that some expressions mention.
pub fn symbols_of(exprs: &[Expr]) -> BTreeSet<Sym> {
    exprs.iter().flat_map(Expr::symbols).collect()
}

/// What is known of a symbol: inclusive bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SymbolFact {
    pub low: i64,
    pub high: i64,
}

impl Default for SymbolFact {
    fn default() -> SymbolFact {
        SymbolFact { low: 0, high: 1 << 40 }
    }
}

/// A function on tensors. Immutable by convention: passes build new graphs. Nodes stand in topological order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    pub name: String,
    /// The free sizes, each bound by a dim of an input or computed.
    pub symbols: BTreeMap<Sym, SymbolFact>,
    /// Sizes that depend on data: each symbol is the number that an i64 scalar holds. What mentions it stands behind what makes that.
    pub computed: Vec<(Sym, ValueId)>,
    /// They hold for every call; one that mentions a computed size, where that is known.
    pub guards: Vec<Guard>,
    pub values: Vec<Value>,
    pub nodes: Vec<Node>,
    pub inputs: Vec<ValueId>,
    /// Output names with their values; a value may stand under several names.
    pub outputs: Vec<(String, ValueId)>,
    /// Of the whole model; regions have none of their own.
    pub texts: Texts,
}

impl Graph {
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    pub fn ty(&self, id: ValueId) -> &TensorType {
        &self.value(id).ty
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The node that makes a value, with its id.
    pub fn producer(&self, id: ValueId) -> Option<(NodeId, &Node)> {
        match self.value(id).def {
            Def::Node(node, _) => Some((node, self.node(node))),
            Def::Input(_) | Def::Constant { .. } => None,
        }
    }

    pub fn constant(&self, id: ValueId) -> Option<&Tensor> {
        match &self.value(id).def {
            Def::Constant { tensor, .. } => Some(tensor),
            Def::Input(_) | Def::Node(..) => None,
        }
    }

    /// The number of nodes, with those of regions.
    pub fn node_count(&self) -> usize {
        let inner = self.nodes.iter().flat_map(|node| &node.regions).map(Graph::node_count).sum::<usize>();
        self.nodes.len() + inner
    }

    /// All symbols that a node of the graph mentions, in its regions too.
    pub fn symbols_of(&self, node: &Node) -> BTreeSet<Sym> {
        let mut symbols: BTreeSet<Sym> = node.outputs.iter().flat_map(|id| symbols_of(&self.ty(*id).dims)).collect();
        symbols.extend(node.expr_attrs().flat_map(|(_, exprs)| symbols_of(exprs)));
        for region in &node.regions {
            symbols.extend(region.values.iter().flat_map(|value| symbols_of(&value.ty.dims)));
            symbols.extend(region.guards.iter().flat_map(|guard| guard.condition.symbols()));
            symbols.extend(region.nodes.iter().flat_map(|node| region.symbols_of(node)));
        }
        symbols
    }

    /// The outputs, and what says the computed sizes.
    pub fn roots(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.outputs.iter().map(|(_, id)| *id).chain(self.computed.iter().map(|(_, id)| *id))
    }

    /// Whether a size depends on data in this graph.
    pub fn is_computed(&self, sym: &Sym) -> bool {
        self.computed.iter().any(|(computed, _)| computed == sym)
    }

    /// The nodes that read each value, and how often graph outputs or computed sizes need it: `(readers, outputs)` per value.
    pub fn uses(&self) -> Vec<(Vec<NodeId>, usize)> {
        let mut uses = vec![(Vec::new(), 0); self.values.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                uses[input.0 as usize].0.push(NodeId(at as u32));
            }
        }
        for value in self.roots() {
            uses[value.0 as usize].1 += 1;
        }
        uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_locations_keep_order_and_end() {
        let of = |names: &[&str]| Location(names.iter().map(|name| Arc::from(*name)).collect());
        assert_eq!(of(&["/b", "/a"]).join(&of(&["/a", "/c", "/b"])), of(&["/b", "/a", "/c"]));
        let many: Vec<Location> = (0..1000).map(|at| Location::of(&format!("/{at}"))).collect();
        let all = Location::all(&many);
        assert_eq!((all.0.len(), all.join(&many[999]) == all), (MOST_NAMES, true));
    }
}
