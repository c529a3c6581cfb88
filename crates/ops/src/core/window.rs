//! Windows over spatial axes: strides, dilations and padding.

use crate::attrs;
use crate::def::OpError;
use crate::dims::Guards;
use ir::Attrs;
use ir::array::for_each_index;
use sym::Expr;

/// Window parameters, one entry a spatial axis.
pub struct Window<'a> {
    pub strides: &'a [i64],
    pub dilations: &'a [i64],
    pub low: &'a [i64],
    pub high: &'a [i64],
}

impl Window<'_> {
    /// `strides`, `dilations` (at least 1), `low`, `high` (at least 0), each with an entry for every spatial axis.
    pub fn read(attrs: &Attrs, axes: usize) -> Result<Window<'_>, OpError> {
        Ok(Window {
            strides: attrs::ints_of(attrs, "strides", axes, 1)?,
            dilations: attrs::ints_of(attrs, "dilations", axes, 1)?,
            low: attrs::ints_of(attrs, "low", axes, 0)?,
            high: attrs::ints_of(attrs, "high", axes, 0)?,
        })
    }

    /// `floor((size + low + high - dilation*(taps - 1) - 1)/stride) + 1`, with the condition that this is not negative.
    pub fn output(&self, guards: &mut Guards, axis: usize, size: &Expr, taps: &Expr) -> Result<Expr, OpError> {
        let padded = size + self.low[axis] + self.high[axis];
        let extent = (taps - 1) * self.dilations[axis] + 1;
        guards.at_least(&format!("padded size of spatial axis {axis} against its window"), &padded, &(&extent - self.strides[axis]))?;
        Ok((padded - extent).floor_div(&Expr::from(self.strides[axis])) + 1)
    }

    /// The input coordinate of tap `tap` for output coordinate `at`.
    pub fn source(&self, axis: usize, at: &Expr, tap: &Expr) -> Expr {
        at * self.strides[axis] + tap * self.dilations[axis] - self.low[axis]
    }

    pub fn has_padding(&self) -> bool {
        self.low.iter().chain(self.high).any(|pad| *pad != 0)
    }

    /// For every tap, row-major, the position in an input plane that it reads for the output point `at`; None in the padding.
    pub fn places(&self, at: &[usize], taps: &[usize], plane: &[usize]) -> Vec<Option<usize>> {
        // taps may be far more than elements: memory is taken as it is needed
        let mut places = Vec::new();
        for_each_index(taps, |tap| {
            let place = (0..at.len()).try_fold(0, |place, axis| {
                let moved = at[axis] as i64 * self.strides[axis] + tap[axis] as i64 * self.dilations[axis] - self.low[axis];
                let inside = usize::try_from(moved).ok().filter(|moved| *moved < plane[axis])?;
                Some(place * plane[axis] + inside)
            });
            places.push(place);
        });
        places
    }
}
