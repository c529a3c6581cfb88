//! Which axes a reshape splits and joins.

use super::order::Order;
use sym::Expr;

/// Neighbouring axes before and after a reshape that hold the same elements in the same order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    pub from: Vec<usize>,
    pub to: Vec<usize>,
}

/// The finest groups, in order; axes of size 1 stand alone where they can. None where sizes are 0 or can't be compared.
pub fn groups(from: &[Expr], to: &[Expr]) -> Option<Vec<Group>> {
    let (mut i, mut j, mut groups) = (0, 0, Vec::new());
    while i < from.len() || j < to.len() {
        let mut group = Group::default();
        if from.get(i).is_some_and(Expr::is_one) {
            group.from.push(i);
        } else if to.get(j).is_some_and(Expr::is_one) {
            group.to.push(j);
        } else {
            group = closed_group(from, to, i, j)?;
        }
        i += group.from.len();
        j += group.to.len();
        groups.push(group);
    }
    Some(groups)
}

/// The shortest group from axes `i` and `j` on with equal products on both sides.
fn closed_group(from: &[Expr], to: &[Expr], i: usize, j: usize) -> Option<Group> {
    let (mut a, mut b) = (from.get(i)?.clone(), to.get(j)?.clone());
    let mut group = Group { from: vec![i], to: vec![j] };
    while a != b {
        (!a.is_zero() && !b.is_zero()).then_some(())?;
        if b.exact_div(&a).is_some() {
            group.from.push(i + group.from.len());
            a = &a * from.get(*group.from.last()?)?;
        } else {
            a.exact_div(&b)?;
            group.to.push(j + group.to.len());
            b = &b * to.get(*group.to.last()?)?;
        }
    }
    (!a.is_zero()).then_some(group)
}

/// A reshape of a turned tensor as one of its base: the order of the result's axes in the result of that.
pub struct Turn {
    /// For each axis of the base's reshape, the axis of the result that it is.
    pub axes: Vec<usize>,
    pub order: Order,
}

/// None where the reshape joins axes that are not neighbours in the base.
pub fn turn(groups: &[Group], order: &Order) -> Option<Turn> {
    let mut units: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut ones = Vec::new();
    for group in groups {
        let places: Vec<usize> = group.from.iter().map(|axis| order[*axis]).collect();
        places.windows(2).all(|pair| pair[0] + 1 == pair[1]).then_some(())?;
        match (places.first(), group.to.is_empty()) {
            (_, true) => {}
            // a new axis of size 1 goes with the axes that follow it
            (None, false) => ones.extend(&group.to),
            (Some(place), false) => units.push((*place, ones.drain(..).chain(group.to.iter().copied()).collect())),
        }
    }
    units.sort();
    let axes: Vec<usize> = units.into_iter().flat_map(|(_, axes)| axes).chain(ones).collect();
    let order = (0..axes.len()).map(|axis| axes.iter().position(|at| *at == axis)).collect::<Option<_>>()?;
    Some(Turn { axes, order })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims(text: &str) -> Vec<Expr> {
        text.split(' ').filter(|dim| !dim.is_empty()).map(|dim| dim.parse().unwrap()).collect()
    }

    fn text(from: &str, to: &str) -> Option<String> {
        let groups = groups(&dims(from), &dims(to))?;
        Some(groups.iter().map(|group| format!("{:?}{:?}", group.from, group.to)).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn axes_split_and_join() {
        assert_eq!(text("b s 768", "b s 12 64").unwrap(), "[0][0] [1][1] [2][2, 3]");
        assert_eq!(text("b s 12 64", "b*s 768").unwrap(), "[0, 1][0] [2, 3][1]");
        assert_eq!(text("n 6", "2*n 3").unwrap(), "[0, 1][0, 1]");
        assert_eq!(text("n 1 4", "1 n 2 2").unwrap(), "[][0] [0][1] [1][] [2][2, 3]");
        assert_eq!(text("", "1 1").unwrap(), "[][0] [][1]");
        assert_eq!(text("n m", "m n"), None);
        assert_eq!(text("0 3", "0 5"), None);
    }

    #[test]
    fn neighbours_stay_neighbours() {
        // [b, h, s, d] seen in [b, s, h, d]: joining b and h is no view, splitting h is
        let order = vec![0, 2, 1, 3];
        assert!(turn(&groups(&dims("b 12 s 64"), &dims("b*12 s 64")).unwrap(), &order).is_none());
        let split = turn(&groups(&dims("b 12 s 64"), &dims("b 1 4 3 s 64")).unwrap(), &order).unwrap();
        assert_eq!((split.axes, split.order), (vec![0, 4, 1, 2, 3, 5], vec![0, 2, 3, 4, 1, 5]));
    }
}
