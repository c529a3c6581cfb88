//! The common refinement of two lists of dims with the same product.

use sym::Expr;

/// A stretch of the elements' row-major order, outermost first.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A part of one axis on each side.
    Shared { extent: Expr, from: usize, to: usize },
    /// Parts of axes, each with its extent, that have the same product but no common refinement.
    Numbered { from: Vec<(usize, Expr)>, to: Vec<(usize, Expr)> },
}

/// Splits both lists at the same places wherever one extent divides the other; dims of 1 belong to no block. Where a side is left over
/// (its product is equal only at run time, or is 0) the rest is one numbered block.
pub fn refine(from: &[Expr], to: &[Expr]) -> Vec<Block> {
    let (mut from, mut to) = (Axes::new(from), Axes::new(to));
    let mut blocks = Vec::new();
    while !from.left.is_empty() || !to.left.is_empty() {
        blocks.push(shared(&mut from, &mut to).unwrap_or_else(|| numbered(&mut from, &mut to)));
    }
    blocks
}

/// What is left of one list, outermost first.
struct Axes {
    left: Vec<(usize, Expr)>,
}

impl Axes {
    fn new(dims: &[Expr]) -> Axes {
        Axes { left: dims.iter().cloned().enumerate().filter(|(_, dim)| !dim.is_one()).collect() }
    }

    /// The first `count` parts.
    fn take(&mut self, count: usize) -> Vec<(usize, Expr)> {
        self.left.drain(..count).collect()
    }

    fn product(&self, count: usize) -> Expr {
        Expr::product(self.left[..count].iter().map(|(_, extent)| extent))
    }

    /// Leaves only the inner part of the first axis; None removes it.
    fn shrink(&mut self, inner: Option<Expr>) {
        match inner {
            Some(extent) => self.left[0].1 = extent,
            None => drop(self.left.remove(0)),
        }
    }
}

fn shared(from: &mut Axes, to: &mut Axes) -> Option<Block> {
    let ((a, x), (b, y)) = (from.left.first()?.clone(), to.left.first()?.clone());
    let (extent, inner_from, inner_to) = if x == y {
        (x, None, None)
    } else if let Some(inner) = x.exact_div(&y) {
        (y, Some(inner), None)
    } else {
        let inner = y.exact_div(&x)?;
        (x, None, Some(inner))
    };
    from.shrink(inner_from);
    to.shrink(inner_to);
    Some(Block::Shared { extent, from: a, to: b })
}

/// The fewest axes of both sides with equal products; all where there are none.
fn numbered(from: &mut Axes, to: &mut Axes) -> Block {
    let pairs = (1..=from.left.len()).flat_map(|p| (1..=to.left.len()).map(move |q| (p, q)));
    let equal = pairs.filter(|(p, q)| from.product(*p) == to.product(*q)).min_by_key(|(p, q)| p + q);
    let (p, q) = equal.unwrap_or((from.left.len(), to.left.len()));
    Block::Numbered { from: from.take(p), to: to.take(q) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &str, to: &str, want: &str) {
        let dims = |text: &str| text.split(' ').map(|dim| dim.parse().unwrap()).collect::<Vec<Expr>>();
        let axes = |parts: &[(usize, Expr)]| parts.iter().map(|(_, extent)| extent.to_string()).collect::<Vec<_>>().join(" ");
        let text = |block: &Block| match block {
            Block::Shared { extent, .. } => extent.to_string(),
            Block::Numbered { from, to } => format!("[{} | {}]", axes(from), axes(to)),
        };
        let blocks: Vec<String> = refine(&dims(from), &dims(to)).iter().map(text).collect();
        assert_eq!(blocks.join(" "), want);
    }

    #[test]
    fn splits_at_common_places() {
        check("n 768", "n 12 64", "n 12 64");
        check("b s 12 64", "b*s 768", "b s 12 64");
        check("2 6", "4 3", "2 2 3");
        check("n*64", "64 n", "64 n");
        check("1 n 1", "n", "n");
    }

    #[test]
    fn numbers_only_what_does_not_split() {
        check("n 6 4 5", "n 8 3 5", "n [6 4 | 8 3] 5");
        check("4 n", "n 4", "[4 n | n 4]");
        check("n 64", "m 64", "[n 64 | m 64]");
        check("0 3", "0", "0 [3 | ]");
    }
}
