//! Orders of axes: axis k of a turned tensor is axis `order[k]` of its base.

use sym::Expr;

pub type Order = Vec<usize>;

pub fn is_plain(order: &Order) -> bool {
    order.iter().copied().eq(0..order.len())
}

/// The order of something turned by `second` after it was turned by `first`.
pub fn composed(first: &Order, second: &Order) -> Order {
    second.iter().map(|axis| first[*axis]).collect()
}

/// Entries by axis of the turned tensor as entries by axis of its base.
pub fn to_base<T: Clone>(order: &Order, entries: &[T]) -> Vec<T> {
    let mut base = entries.to_vec();
    order.iter().zip(entries).for_each(|(axis, entry)| base[*axis] = entry.clone());
    base
}

/// Whether the axes of the base that are not of size 1 stay in their order.
pub fn moves_ones_only(order: &Order, base: &[Expr]) -> bool {
    let rest: Vec<usize> = order.iter().copied().filter(|axis| !base[*axis].is_one()).collect();
    rest.is_sorted()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_compose_and_undo() {
        let (first, second) = (vec![2, 0, 1], vec![1, 2, 0]);
        assert!(is_plain(&composed(&first, &second)));
        assert_eq!(to_base(&first, &["a", "b", "c"]), ["b", "c", "a"]);
    }

    #[test]
    fn ones_may_move() {
        let dims = |text: &str| text.split(' ').map(|dim| dim.parse().unwrap()).collect::<Vec<Expr>>();
        assert!(moves_ones_only(&vec![0, 2, 1], &dims("n 1 4")));
        assert!(!moves_ones_only(&vec![0, 2, 1], &dims("n 2 4")));
        assert!(moves_ones_only(&vec![2, 0, 1], &dims("n m 1")));
    }
}
