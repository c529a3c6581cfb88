//! How a buffer's elements lie in memory.

use ir::array::{for_each_index, row_major_strides};
use ir::{Array, Literal};
use std::fmt;
use sym::Expr;

/// One physical axis: `((index of dim + low of its halo) / div) % modulo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Axis {
    pub dim: usize,
    pub div: i64,
    /// None: the quotient itself.
    pub modulo: Option<i64>,
}

impl Axis {
    pub fn whole(dim: usize) -> Axis {
        Axis { dim, div: 1, modulo: None }
    }
}

/// The physical axes, outermost first; the buffer is row-major over them. `halo` adds elements before and after each logical dim that are
/// kept at `0`: reads outside the logical dim by no more than that find zeros in memory. `pad` elements stand behind the innermost axis,
/// and nobody reads them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layout {
    pub axes: Vec<Axis>,
    pub halo: Vec<(i64, i64)>,
    pub pad: i64,
}

impl Layout {
    pub fn row_major(rank: usize) -> Layout {
        Layout::permuted(&(0..rank).collect::<Vec<_>>())
    }

    /// Whole dims in the given order, outermost first.
    pub fn permuted(order: &[usize]) -> Layout {
        Layout { axes: order.iter().map(|dim| Axis::whole(*dim)).collect(), halo: vec![(0, 0); order.len()], pad: 0 }
    }

    /// Whole dims in the given order with the last one cut into blocks: `[last/block, others.., last%block]`.
    pub fn panels(order: &[usize], last: usize, block: i64) -> Layout {
        let mut axes = vec![Axis { dim: last, div: block, modulo: None }];
        axes.extend(order.iter().map(|dim| Axis::whole(*dim)));
        axes.push(Axis { dim: last, div: 1, modulo: Some(block) });
        Layout { axes, halo: vec![(0, 0); order.len() + 1], pad: 0 }
    }

    pub fn is_row_major(&self) -> bool {
        *self == Layout::row_major(self.halo.len())
    }

    pub fn has_halo(&self) -> bool {
        self.halo.iter().any(|h| *h != (0, 0))
    }

    /// Extents of the physical axes for logical dims.
    pub fn physical_dims(&self, dims: &[Expr]) -> Vec<Expr> {
        let extent = |axis: &Axis| match axis.modulo {
            Some(modulo) => Expr::from(modulo),
            None => (&dims[axis.dim] + (self.halo[axis.dim].0 + self.halo[axis.dim].1)).ceil_div(&Expr::from(axis.div)),
        };
        let mut dims: Vec<Expr> = self.axes.iter().map(extent).collect();
        if let Some(last) = dims.last_mut() {
            *last = &*last + &Expr::from(self.pad);
        }
        dims
    }

    /// Physical index of a logical one.
    pub fn physical_index(&self, index: &[Expr]) -> Vec<Expr> {
        let at = |axis: &Axis| {
            let quotient = (&index[axis.dim] + self.halo[axis.dim].0).floor_div(&Expr::from(axis.div));
            axis.modulo.map_or(quotient.clone(), |m| quotient.modulo(&Expr::from(m)))
        };
        self.axes.iter().map(at).collect()
    }
}

/// The elements as they lie in memory; places that no logical element has hold 0. For interpreters.
pub fn to_physical(layout: &Layout, array: &Array) -> Array {
    let places = places(layout, array.dims());
    let count: usize = places.dims.iter().product();
    let mut data = Array::filled(array.dtype(), vec![count], Literal::zero(array.dtype()));
    places.of.iter().enumerate().for_each(|(at, place)| data.set(*place, array.get(at)));
    data.reshaped(places.dims)
}

/// The logical elements out of memory. For interpreters.
pub fn from_physical(layout: &Layout, memory: &Array, dims: &[usize]) -> Array {
    let places = places(layout, dims);
    Array::from_fn(memory.dtype(), dims.to_vec(), |at| memory.get(places.of[at]))
}

/// Physical dims, and the physical position of each logical one, both row-major.
struct Places {
    dims: Vec<usize>,
    of: Vec<usize>,
}

fn places(layout: &Layout, dims: &[usize]) -> Places {
    let sizes: Vec<Expr> = dims.iter().map(|d| Expr::from(*d as i64)).collect();
    let physical: Vec<usize> = layout.physical_dims(&sizes).iter().map(|d| d.as_const().unwrap_or(0) as usize).collect();
    let strides = row_major_strides(&physical);
    let mut of = Vec::with_capacity(dims.iter().product());
    for_each_index(dims, |index| {
        let place = layout.axes.iter().zip(&strides).map(|(axis, stride)| {
            let quotient = (index[axis.dim] as i64 + layout.halo[axis.dim].0) / axis.div;
            axis.modulo.map_or(quotient, |m| quotient % m) as usize * stride
        });
        of.push(place.sum());
    });
    Places { dims: physical, of }
}

impl fmt::Display for Layout {
    /// `(d0 + 1:1, d1/16, d1%16) pad 4`: dims with divisor, modulus, and halo as `+low:high` at a dim's first axis; then the pad, if any.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut seen = vec![false; self.halo.len()];
        let axes: Vec<String> = self
            .axes
            .iter()
            .map(|axis| {
                let mut text = format!("d{}", axis.dim);
                let (low, high) = self.halo[axis.dim];
                if (low, high) != (0, 0) && !std::mem::replace(&mut seen[axis.dim], true) {
                    text += &format!("+{low}:{high}");
                }
                if axis.div != 1 {
                    text += &format!("/{}", axis.div);
                }
                axis.modulo.map_or(text.clone(), |m| format!("{text}%{m}"))
            })
            .collect();
        write!(f, "({})", axes.join(", "))?;
        if self.pad == 0 { Ok(()) } else { write!(f, " pad {}", self.pad) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_round_trips() {
        let mut layout = Layout::panels(&[1], 0, 4);
        layout.halo[1] = (1, 2);
        layout.pad = 1;
        let array = Array::from_fn(ir::DType::F32, vec![6, 3], |at| Literal::Float(at as f64));
        let memory = to_physical(&layout, &array);
        assert_eq!(memory.dims(), [2, 6, 5]);
        assert_eq!(memory.get(4), Literal::Float(0.0));
        assert_eq!(from_physical(&layout, &memory, &[6, 3]), array);
    }

    #[test]
    fn panels_cut_the_last_dim() {
        let layout = Layout::panels(&[1, 2], 0, 48);
        let dims: Vec<Expr> = [100, 3, 5].map(Expr::from).to_vec();
        assert_eq!(layout.physical_dims(&dims), [3, 3, 5, 48].map(Expr::from).to_vec());
        let index: Vec<Expr> = [50, 1, 2].map(Expr::from).to_vec();
        assert_eq!(layout.physical_index(&index), [1, 1, 2, 2].map(Expr::from).to_vec());
        assert_eq!(layout.to_string(), "(d0/48, d1, d2, d0%48)");
    }
}
