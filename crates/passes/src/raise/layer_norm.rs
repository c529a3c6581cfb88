//! Layer normalisation from means, a root, a scale and a bias.

use super::{claim, kept_fold};
use crate::rewrite::Rewriter;
use crate::view::{Uses, View};
use ir::{Literal, TensorType, ValueId};
use nest::{Func, Monoid};
use ops::attrs;
use sym::Expr;

/// ```text
/// d = sub(x, broadcast(mean(x))); v = mean(mul(d, d)); n = div(d, broadcast(sqrt(add(v, epsilon))));
/// y = add(mul(n, broadcast(scale)), broadcast(bias))   ->   y = layer_norm(x, scale, bias)
/// ```
/// Also with `mul(d, broadcast(rsqrt(..)))`, with `pow(d, 2)`, and without scale or bias, which are then constants.
pub fn raised(rewriter: &mut Rewriter, uses: &Uses, root: ValueId) -> Option<ValueId> {
    let form = Form::read(View::of(rewriter.before), root)?;
    claim(rewriter, uses, root, &form.inner)?;
    let ty = rewriter.before.ty(form.x).clone();
    let row = TensorType::new(ty.dtype, ty.dims[form.axis..].to_vec());
    let scale = parameter(rewriter, form.scale, 1.0, &row)?;
    let bias = parameter(rewriter, form.bias, 0.0, &row)?;
    let x = rewriter.after(form.x);
    rewriter.b.layer_norm(x, scale, bias, form.axis, form.epsilon).ok()
}

/// What a layer normalisation is made of, in values of the graph before; scale and bias before their expansion.
struct Form {
    x: ValueId,
    scale: Option<ValueId>,
    bias: Option<ValueId>,
    axis: usize,
    epsilon: f64,
    inner: Vec<ValueId>,
}

impl Form {
    fn read(view: View, root: ValueId) -> Option<Form> {
        Form::shifted(view, root).or_else(|| Form::scaled(view, root)).or_else(|| Form::normal(view, root))
    }

    /// `add(scaled, broadcast(bias))`
    fn shifted(view: View, root: ValueId) -> Option<Form> {
        let scaled = |value: ValueId| Form::scaled(view, value).or_else(|| Form::normal(view, value)).map(|form| (value, form));
        let ((scaled, mut form), bias) = view.either(root, Func::Add, scaled)?;
        form.bias = Some(form.row_parameter(view, bias)?);
        form.inner.extend([scaled, bias].iter().filter(|id| view.unbroadcast(bias) != **id));
        Some(form)
    }

    /// `mul(normal, broadcast(scale))`
    fn scaled(view: View, root: ValueId) -> Option<Form> {
        let ((normal, mut form), scale) = view.either(root, Func::Mul, |value| Form::normal(view, value).map(|form| (value, form)))?;
        form.scale = Some(form.row_parameter(view, scale)?);
        form.inner.extend([normal, scale].iter().filter(|id| view.unbroadcast(scale) != **id));
        Some(form)
    }

    /// The deviations over their root mean square.
    fn normal(view: View, root: ValueId) -> Option<Form> {
        let (centred, spread, variance, epsilon, mut inner) = deviations_by_root(view, root)?;
        let (square, axes, means) = kept_mean(view, variance)?;
        is_square(view, square, centred).then_some(())?;
        let operands = view.map(centred, Func::Sub)?;
        let (x, mean) = (operands[0], view.unbroadcast(operands[1]));
        let (averaged, mean_axes, more) = kept_mean(view, mean)?;
        let axis = axes.first().map(|axis| *axis as usize)?;
        let trailing = axes.iter().copied().eq(axis as i64..view.ty(x).rank() as i64);
        (averaged == x && mean_axes == axes && trailing).then_some(())?;
        inner.extend([centred, spread, variance, square, operands[1], mean]);
        inner.extend(means.into_iter().chain(more));
        Some(Form { x, scale: None, bias: None, axis, epsilon, inner })
    }

    /// What was expanded to a parameter; it must not vary over the leading axes.
    fn row_parameter(&self, view: View, value: ValueId) -> Option<ValueId> {
        let source = view.unbroadcast(value);
        let (dims, row) = (&view.ty(source).dims, &view.ty(self.x).dims[self.axis..]);
        let lead = dims.len().saturating_sub(row.len());
        let aligned = &row[row.len() - (dims.len() - lead)..];
        let fits = dims[lead..].iter().zip(aligned).all(|(dim, want)| dim.is_one() || dim == want);
        (fits && dims[..lead].iter().all(Expr::is_one)).then_some(source)
    }
}

/// `div(d, broadcast(sqrt(v + epsilon)))` or `mul(d, broadcast(rsqrt(v + epsilon)))`: d, the expanded root, v, epsilon, what is between.
fn deviations_by_root(view: View, root: ValueId) -> Option<(ValueId, ValueId, ValueId, f64, Vec<ValueId>)> {
    let (centred, spread, shifted) = match view.map(root, Func::Div) {
        Some(operands) => (operands[0], operands[1], view.unary(view.unbroadcast(operands[1]), Func::Sqrt)?),
        None => {
            let inverse = |value: ValueId| view.unary(view.unbroadcast(value), Func::Rsqrt).map(|shifted| (value, shifted));
            let ((spread, shifted), centred) = view.either(root, Func::Mul, inverse)?;
            (centred, spread, shifted)
        }
    };
    let (epsilon, variance) = view.either(shifted, Func::Add, |value| view.number(value))?;
    Some((centred, spread, variance, epsilon, vec![view.unbroadcast(spread), shifted]))
}

fn is_square(view: View, square: ValueId, of: ValueId) -> bool {
    let product = view.map(square, Func::Mul).is_some_and(|operands| operands == [of, of]);
    product || view.map(square, Func::Pow).is_some_and(|operands| operands[0] == of && view.is_number(operands[1], 2.0))
}

/// The operand and axes of a mean that keeps its axes, and the values inside: a sum over a count, or times its inverse.
fn kept_mean<'g>(view: View<'g>, value: ValueId) -> Option<(ValueId, &'g [i64], Vec<ValueId>)> {
    let folded = |sum: ValueId| kept_fold(view, sum, Monoid::Sum).map(|(x, axes)| (sum, x, axes));
    let quotient = view.map(value, Func::Div).and_then(|operands| Some((folded(operands[0])?, operands[1])));
    let is_quotient = quotient.is_some();
    let ((sum, x, axes), count) = quotient.or_else(|| view.either(value, Func::Mul, folded))?;
    let size = Expr::product(axes.iter().map(|axis| &view.ty(x).dims[*axis as usize]));
    let matches = match size.as_const() {
        Some(size) if is_quotient => view.is_about(count, size as f64),
        Some(size) => view.is_about(count, 1.0 / size as f64),
        None => is_quotient && is_size(view, count, &size),
    };
    matches.then(|| (x, axes, vec![sum]))
}

/// Whether a value is one size, known by its symbols.
fn is_size(view: View, value: ValueId, size: &Expr) -> bool {
    let node = view.made_by(view.unbroadcast(value), "sizes");
    node.is_some_and(|node| attrs::exprs(&node.attrs, "values") == Ok(std::slice::from_ref(size)))
}

/// A parameter at the dims of one row; `number` everywhere where there is none.
fn parameter(rewriter: &mut Rewriter, value: Option<ValueId>, number: f64, row: &TensorType) -> Option<ValueId> {
    let Some(value) = value else {
        let scalar = rewriter.b.scalar(row.dtype, Literal::Float(number));
        return rewriter.b.broadcast(scalar, &row.dims).ok();
    };
    let value = rewriter.after(value);
    let dims = rewriter.b.dims(value);
    let lead = dims.len().saturating_sub(row.rank());
    let kept = dims[lead..].to_vec();
    let value = rewriter.b.reshape(value, &kept).ok()?;
    rewriter.b.broadcast(value, &row.dims).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raise::raise;
    use crate::simplify::simplify;
    use crate::testing::{check, graph_of, ty};
    use ir::{DType, Diagnostic, Graph};
    use ops::{Builder, Folded};

    fn simplified_and_raised(graph: &Graph) -> Graph {
        raise(&simplify(graph))
    }

    /// As PyTorch writes it.
    fn normal(b: &mut Builder, x: ValueId, axes: &[usize]) -> Result<ValueId, Diagnostic> {
        let mean = b.mean(x, axes, Folded::Kept)?;
        let centred = b.map_broadcast(Func::Sub, &[x, mean])?;
        let square = b.map_number(Func::Pow, centred, 2.0)?;
        let variance = b.mean(square, axes, Folded::Kept)?;
        let shifted = b.map_number(Func::Add, variance, 1e-5)?;
        let root = b.map(Func::Sqrt, &[shifted])?;
        b.map_broadcast(Func::Div, &[centred, root])
    }

    #[test]
    fn with_scale_and_bias() {
        for (dims, text) in [("3", "x, scale, bias"), ("1, 1, 3", "x, reshape<[3]>(scale), reshape<[3]>(bias)")] {
            let before = graph_of(|b| {
                let x = b.input("x", ty("f64[n, 2, 3]"));
                let (scale, bias) = (b.input("scale", ty(&format!("f64[{dims}]"))), b.input("bias", ty(&format!("f64[{dims}]"))));
                let normal = normal(b, x, &[2])?;
                let scaled = b.map_broadcast(Func::Mul, &[normal, scale])?;
                b.map_broadcast(Func::Add, &[bias, scaled])
            });
            let want = format!("y = layer_norm<2 1e-5>({text})");
            check(raise, &before, &want);
            check(simplified_and_raised, &before, &want);
        }
    }

    #[test]
    fn without_parameters() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f64[n, 2, 4]"));
            normal(b, x, &[1, 2])
        });
        let want = "y = layer_norm<1 1e-5>(x, broadcast<[2, 4]>(1.0), broadcast<[2, 4]>(0.0))";
        check(simplified_and_raised, &before, want);
    }

    #[test]
    fn with_a_reciprocal_root_and_numbers() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f64[2, n]"));
            let mean = b.mean(x, &[1], Folded::Kept)?;
            let centred = b.map_broadcast(Func::Sub, &[x, mean])?;
            let square = b.map(Func::Mul, &[centred, centred])?;
            let variance = b.mean(square, &[1], Folded::Kept)?;
            let shifted = b.map_number(Func::Add, variance, 1e-6)?;
            let root = b.map(Func::Rsqrt, &[shifted])?;
            let normal = b.map_broadcast(Func::Mul, &[root, centred])?;
            b.map_number(Func::Mul, normal, 3.0)
        });
        check(raise, &before, "y = layer_norm<1 1e-6>(x, broadcast<[n]>(3.0), broadcast<[n]>(0.0))");
    }

    #[test]
    fn other_axes_and_other_parameters_stay() {
        let leading = graph_of(|b| {
            let x = b.input("x", ty("f64[4, 3]"));
            normal(b, x, &[0])
        });
        assert_eq!(raise(&leading), leading);
        let by_row = graph_of(|b| {
            let (x, scale) = (b.input("x", ty("f64[4, 3]")), b.input("scale", ty("f64[4, 1]")));
            let normal = normal(b, x, &[1])?;
            b.map_broadcast(Func::Mul, &[normal, scale])
        });
        let text = crate::testing::text(&raise(&by_row));
        assert!(text.starts_with("y = mul(layer_norm"), "{text}");
    }

    #[test]
    fn a_wrong_count_stays() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f64[2, 3]"));
            let sum = b.reduce(Monoid::Sum, x, &[1], Folded::Kept)?;
            let mean = b.map_number(Func::Div, sum, 2.0)?;
            let centred = b.map_broadcast(Func::Sub, &[x, mean])?;
            let square = b.map(Func::Mul, &[centred, centred])?;
            let variance = b.mean(square, &[1], Folded::Kept)?;
            let shifted = b.map_number(Func::Add, variance, 1e-5)?;
            let root = b.map(Func::Sqrt, &[shifted])?;
            assert_eq!(b.dtype(root), DType::F64);
            b.map_broadcast(Func::Div, &[centred, root])
        });
        assert_eq!(raise(&before), before);
    }
}
