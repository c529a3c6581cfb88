//! Writing graphs in code.

use crate::graph::{Attrs, Def, Graph, Location, Node, NodeId, SymbolFact, TensorType, Value, ValueId};
use crate::guard::{Condition, Guard};
use crate::strings::Texts;
use crate::tensor::Tensor;
use std::collections::HashMap;
use std::sync::Arc;
use sym::Sym;

/// Builds one graph, node by node in topological order. Value names are made unique by a suffix. It knows no op: the caller gives
/// the types of a node's outputs (`ops::Builder` infers them).
#[derive(Clone, Default)]
pub struct GraphBuilder {
    graph: Graph,
    /// Every name in use, with the last suffix tried for it.
    names: HashMap<Arc<str>, usize>,
}

/// What `add_node` adds; regions are empty for all ops but control flow.
#[derive(Default)]
pub struct NewNode<'a> {
    pub op: &'static str,
    pub attrs: Attrs,
    pub inputs: &'a [ValueId],
    pub outputs: Vec<TensorType>,
    pub regions: Vec<Graph>,
    pub location: Location,
    /// Names to try for the outputs, in order; the op's name where there is none.
    pub hints: &'a [&'a str],
}

impl GraphBuilder {
    pub fn new(name: &str) -> GraphBuilder {
        GraphBuilder { graph: Graph { name: name.to_string(), ..Graph::default() }, ..GraphBuilder::default() }
    }

    /// Makes room for a graph about as large as another.
    pub fn reserve(&mut self, like: &Graph) {
        self.graph.values.reserve(like.values.len());
        self.graph.nodes.reserve(like.nodes.len());
        self.names.reserve(like.values.len());
    }

    /// The graph as it stands.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub fn ty(&self, id: ValueId) -> &TensorType {
        self.graph.ty(id)
    }

    /// Declares what is known of a symbol; the symbols of inputs are declared by `input`, without bounds.
    pub fn symbol(&mut self, sym: &Sym, fact: SymbolFact) {
        self.graph.symbols.insert(sym.clone(), fact);
    }

    /// Declares a size that depends on data: the number in an i64 scalar.
    pub fn computed(&mut self, sym: &Sym, fact: SymbolFact, value: ValueId) {
        self.symbol(sym, fact);
        self.graph.computed.push((sym.clone(), value));
    }

    /// The next input of the graph.
    pub fn input(&mut self, name: &str, ty: TensorType) -> ValueId {
        for sym in ty.dims.iter().flat_map(|dim| dim.symbols()) {
            self.graph.symbols.entry(sym).or_default();
        }
        let position = self.graph.inputs.len();
        let id = self.value(name, ty, Def::Input(position));
        self.graph.inputs.push(id);
        id
    }

    /// Known contents; `weight` is the name under which the model file holds exactly these bytes.
    pub fn constant(&mut self, tensor: Tensor, weight: Option<&str>, hint: &str) -> ValueId {
        let dims = tensor.dims().iter().map(|d| sym::Expr::from(*d as i64)).collect();
        let ty = TensorType::new(tensor.dtype(), dims);
        self.value(hint, ty, Def::Constant { tensor, weight: weight.map(Arc::from) })
    }

    pub fn add_node(&mut self, new: NewNode) -> Vec<ValueId> {
        let node = NodeId(self.graph.nodes.len() as u32);
        let hint = |at: usize| new.hints.get(at).copied().unwrap_or(new.op);
        let outputs: Vec<ValueId> =
            new.outputs.into_iter().enumerate().map(|(at, ty)| self.value(hint(at), ty, Def::Node(node, at))).collect();
        self.graph.nodes.push(Node {
            op: new.op,
            attrs: new.attrs,
            inputs: new.inputs.to_vec(),
            outputs: outputs.clone(),
            regions: new.regions,
            location: new.location,
        });
        outputs
    }

    /// Adds a condition unless it stands there already.
    pub fn guard(&mut self, condition: Condition, location: &Location) {
        if self.graph.guards.iter().all(|guard| guard.condition != condition) {
            self.graph.guards.push(Guard { condition, location: location.clone() });
        }
    }

    /// The next output of the graph.
    pub fn output(&mut self, name: &str, value: ValueId) {
        self.graph.outputs.push((name.to_string(), value));
    }

    /// What the graph knows of strings.
    pub fn texts(&mut self, texts: Texts) {
        self.graph.texts = texts;
    }

    /// Gives a value another name, made unique.
    pub fn rename(&mut self, id: ValueId, name: &str) {
        if *self.graph.value(id).name == *name {
            return;
        }
        let name = self.unique(name);
        self.graph.values[id.0 as usize].name = name;
    }

    pub fn finish(self) -> Graph {
        self.graph
    }

    fn value(&mut self, hint: &str, ty: TensorType, def: Def) -> ValueId {
        let name = self.unique(hint);
        self.graph.values.push(Value { name, ty, def });
        ValueId(self.graph.values.len() as u32 - 1)
    }

    /// `hint`, or `hint_1`, `hint_2`, .. where it is taken.
    fn unique(&mut self, hint: &str) -> Arc<str> {
        let mut suffix = self.names.get(hint).copied();
        let mut name: Arc<str> = Arc::from(hint);
        while let Some(last) = suffix {
            name = Arc::from(format!("{hint}_{}", last + 1));
            suffix = self.names.contains_key(&name).then_some(last + 1);
            self.names.insert(Arc::from(hint), last + 1);
        }
        self.names.insert(name.clone(), 0);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn names_are_unique() {
        let mut builder = GraphBuilder::new("g");
        let ty = TensorType::new(DType::F32, vec![]);
        let names: Vec<String> = ["x", "x", "x_1", "x", "x_1"]
            .map(|hint| {
                let id = builder.input(hint, ty.clone());
                builder.graph().value(id).name.to_string()
            })
            .into();
        assert_eq!(names, ["x", "x_1", "x_1_1", "x_2", "x_1_2"]);
    }

    #[test]
    fn nodes_define_their_outputs() {
        let mut builder = GraphBuilder::new("g");
        let ty = TensorType::new(DType::F32, vec![sym::Expr::sym(&Sym::new("n"))]);
        let x = builder.input("x", ty.clone());
        let y = builder.add_node(NewNode { op: "map", inputs: &[x], outputs: vec![ty.clone()], hints: &["y"], ..NewNode::default() });
        builder.output("out", y[0]);
        let graph = builder.finish();
        assert_eq!(graph.producer(y[0]).map(|(_, node)| node.op), Some("map"));
        assert!(graph.symbols.contains_key(&Sym::new("n")));
    }
}
