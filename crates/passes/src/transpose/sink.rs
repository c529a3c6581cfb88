//! What each op becomes on operands whose axes stand in another order.

use super::groups::{groups, turn};
use super::order::{Order, composed, is_plain, moves_ones_only, to_base};
use super::{Reach, Turned, Turner, spec_attrs};
use ir::{Attr, Attrs, Node, TensorType, ValueId};
use ops::attrs;
use ops::core::contract::Spec;
use sym::Expr;

impl Turner<'_> {
    /// The node's result as another tensor turned, its node made on the operands' bases; None where the node is to be kept as it is.
    pub(super) fn sunk(&mut self, node: &Node) -> Option<Turned> {
        match node.op {
            "transpose" => self.transposed(node),
            "contract" => self.contracted(node),
            "map" | "convert" | "bitcast" | "gelu" | "hard_sigmoid" => self.elementwise(node),
            "softmax" | "slice" | "pad" => self.by_axis(node),
            "broadcast" => self.expanded(node),
            "reduce" => self.reduced(node),
            "concat" => self.joined(node),
            "reshape" => self.reshaped(node),
            _ => None,
        }
    }

    /// The first operand where it is turned, and its order may move behind this node.
    fn turned_operand(&mut self, node: &Node) -> Option<Turned> {
        let id = *node.inputs.first()?;
        Some(self.seen(id)).filter(|turned| !is_plain(&turned.order) && self.may_move(id))
    }

    fn may_move(&self, id: ValueId) -> bool {
        self.reach == Reach::Far || self.uses.count(id) == 1
    }

    /// A node on bases; its result is turned by `order`.
    fn turned_node(&mut self, node: &Node, attrs: Attrs, inputs: &[ValueId], order: Order) -> Turned {
        let like = node.outputs[0];
        let ty = self.rewriter.before.ty(like);
        let ty = TensorType::new(ty.dtype, to_base(&order, &ty.dims));
        let base = self.node(node.op, attrs, inputs, ty, like);
        Turned { base, order }
    }

    fn transposed(&mut self, node: &Node) -> Option<Turned> {
        let turned = self.seen(node.inputs[0]);
        let perm = ops::core::transpose::perm(&node.attrs, turned.order.len()).ok()?;
        match self.turned_contraction(node, &perm) {
            Some(base) => Some(Turned { base, order: (0..perm.len()).collect() }),
            None => Some(Turned { base: turned.base, order: composed(&turned.order, &perm) }),
        }
    }

    /// The letters take the operands' orders.
    fn contracted(&mut self, node: &Node) -> Option<Turned> {
        let (a, b) = (self.seen(node.inputs[0]), self.seen(node.inputs[1]));
        (!is_plain(&a.order) || !is_plain(&b.order)).then_some(())?;
        let mut spec = Spec::read(&node.attrs).ok()?;
        spec.a = to_base(&a.order, &spec.a);
        spec.b = to_base(&b.order, &spec.b);
        let order = (0..spec.out.len()).collect();
        Some(self.turned_node(node, spec_attrs(&spec), &[a.base, b.base], order))
    }

    /// All operands in the order of the first that is turned.
    fn elementwise(&mut self, node: &Node) -> Option<Turned> {
        let operands: Vec<Turned> = node.inputs.iter().map(|id| self.seen(*id)).collect();
        let order = operands.iter().map(|turned| &turned.order).find(|order| !is_plain(order))?.clone();
        let mut bases = Vec::new();
        for (id, turned) in node.inputs.iter().zip(operands) {
            let base = match turned.order == order {
                true => self.may_move(*id).then_some(turned.base)?,
                false => self.undone(turned, &order)?,
            };
            bases.push(base);
        }
        Some(self.turned_node(node, node.attrs.clone(), &bases, order))
    }

    /// A value that gives `turned` when it is turned by `order`, where that costs nothing at each call: of numbers, of constants, and of
    /// what is expanded from few enough axes.
    fn undone(&mut self, turned: Turned, order: &Order) -> Option<ValueId> {
        is_plain(&turned.order).then_some(())?;
        let inverse = to_base(order, &(0..order.len()).collect::<Vec<usize>>());
        let view = self.rewriter.view();
        let dims = to_base(order, &view.ty(turned.base).dims);
        if view.graph.constant(turned.base).is_some() {
            return self.rewriter.b.transpose(turned.base, &inverse).ok();
        }
        let source = view.operand_of(turned.base, "broadcast")?;
        let constant = view.graph.constant(source).is_some();
        let mut padded = view.ty(source).dims.clone();
        padded.splice(..0, vec![Expr::one(); order.len() - padded.len()]);
        let wide = self.rewriter.b.reshape(source, &padded).ok()?;
        let source = match moves_ones_only(&inverse, &padded) {
            true => self.rewriter.b.reshape(source, &trimmed(&to_base(order, &padded))).ok()?,
            false => self.rewriter.b.transpose(constant.then_some(wide)?, &inverse).ok()?,
        };
        self.rewriter.b.broadcast(source, &dims).ok()
    }

    /// Ops whose attributes name axes or have an entry for each, and whose result has the operand's axes.
    fn by_axis(&mut self, node: &Node) -> Option<Turned> {
        let turned = self.turned_operand(node)?;
        let mut inputs = vec![turned.base];
        for id in &node.inputs[1..] {
            inputs.push(self.plain(*id));
        }
        let attrs = attrs_on_base(&node.attrs, &turned.order);
        Some(self.turned_node(node, attrs, &inputs, turned.order))
    }

    fn expanded(&mut self, node: &Node) -> Option<Turned> {
        let turned = self.turned_operand(node)?;
        let rank = self.rewriter.before.ty(node.outputs[0]).rank();
        let lead = rank - turned.order.len();
        let order: Order = (0..lead).chain(turned.order.iter().map(|axis| axis + lead)).collect();
        let dims = to_base(&order, attrs::exprs(&node.attrs, "dims").ok()?);
        Some(self.turned_node(node, Attrs::from([("dims", Attr::Exprs(dims))]), &[turned.base], order))
    }

    fn reduced(&mut self, node: &Node) -> Option<Turned> {
        let turned = self.turned_operand(node)?;
        let axes = attrs::ints(&node.attrs, "axes").ok()?;
        let mut on_base: Vec<i64> = axes.iter().map(|axis| turned.order[*axis as usize] as i64).collect();
        on_base.sort_unstable();
        let mut attrs = node.attrs.clone();
        attrs.insert("axes", Attr::Ints(on_base.clone()));
        let order = match attrs::flag(&node.attrs, "keep").ok()? {
            true => turned.order.clone(),
            false => {
                let left = |axis: &usize| axis - on_base.iter().filter(|gone| **gone < *axis as i64).count();
                turned.order.iter().filter(|axis| !on_base.contains(&(**axis as i64))).map(left).collect()
            }
        };
        Some(self.turned_node(node, attrs, &[turned.base], order))
    }

    /// Operands that are turned alike.
    fn joined(&mut self, node: &Node) -> Option<Turned> {
        let order = self.turned_operand(node)?.order;
        let mut bases = Vec::new();
        for id in &node.inputs {
            let turned = self.seen(*id);
            (turned.order == order && self.may_move(*id)).then_some(())?;
            bases.push(turned.base);
        }
        Some(self.turned_node(node, attrs_on_base(&node.attrs, &order), &bases, order))
    }

    fn reshaped(&mut self, node: &Node) -> Option<Turned> {
        let turned = self.turned_operand(node)?;
        let from = &self.rewriter.before.ty(node.inputs[0]).dims;
        let to = attrs::exprs(&node.attrs, "dims").ok()?;
        let turn = turn(&groups(from, to)?, &turned.order)?;
        let dims = turn.axes.iter().map(|axis| to[*axis].clone()).collect();
        Some(self.turned_node(node, Attrs::from([("dims", Attr::Exprs(dims))]), &[turned.base], turn.order))
    }
}

/// Attributes of a turned tensor's axes as attributes of its base's: `axis`, and lists with an entry for each axis.
fn attrs_on_base(attrs: &Attrs, order: &Order) -> Attrs {
    let on_base = |name: &str, attr: &Attr| match attr {
        Attr::Int(axis) if name == "axis" => Attr::Int(order[*axis as usize] as i64),
        Attr::Ints(entries) => Attr::Ints(to_base(order, entries)),
        Attr::Exprs(entries) => Attr::Exprs(to_base(order, entries)),
        Attr::Int(_) | Attr::Float(_) | Attr::Text(_) | Attr::DType(_) => attr.clone(),
    };
    attrs.iter().map(|(name, attr)| (*name, on_base(name, attr))).collect()
}

/// Dims without leading ones.
fn trimmed(dims: &[Expr]) -> Vec<Expr> {
    dims.iter().skip_while(|dim| dim.is_one()).cloned().collect()
}
