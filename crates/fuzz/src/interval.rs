//! Interval arithmetic: bounds of the numbers in a tensor, so that models stay away from poles and overflow.

/// Every element is a number in `low..=high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    pub const BOOL: Interval = Interval { low: 0.0, high: 1.0 };

    pub fn new(low: f64, high: f64) -> Interval {
        Interval { low, high }
    }

    /// `-size..=size`
    pub fn around_zero(size: f64) -> Interval {
        Interval::new(-size, size)
    }

    /// The largest distance from 0.
    pub fn largest(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    pub fn hull(self, other: Interval) -> Interval {
        Interval::new(self.low.min(other.low), self.high.max(other.high))
    }

    pub fn plus(self, other: Interval) -> Interval {
        Interval::new(self.low + other.low, self.high + other.high)
    }

    pub fn negate(self) -> Interval {
        Interval::new(-self.high, -self.low)
    }

    pub fn multiply(self, other: Interval) -> Interval {
        self.corners(other, |a, b| a * b)
    }

    /// Under a function that in each operand alone never falls or never rises.
    pub fn corners(self, other: Interval, function: impl Fn(f64, f64) -> f64) -> Interval {
        let corners = [(self.low, other.low), (self.low, other.high), (self.high, other.low), (self.high, other.high)];
        let values = corners.map(|(a, b)| function(a, b));
        Interval::new(values.into_iter().fold(f64::INFINITY, f64::min), values.into_iter().fold(f64::NEG_INFINITY, f64::max))
    }

    pub fn scale(self, factor: f64) -> Interval {
        self.multiply(Interval::new(factor, factor))
    }

    pub fn absolute(self) -> Interval {
        let low = if self.low <= 0.0 && self.high >= 0.0 { 0.0 } else { self.low.abs().min(self.high.abs()) };
        Interval::new(low, self.largest())
    }

    /// Under a function that never falls.
    pub fn rising(self, function: impl Fn(f64) -> f64) -> Interval {
        Interval::new(function(self.low), function(self.high))
    }

    /// With 0 as a further element.
    pub fn with_zero(self) -> Interval {
        self.hull(Interval::new(0.0, 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_follow_arithmetic() {
        let x = Interval::new(-2.0, 3.0);
        assert_eq!(x.multiply(Interval::new(-1.0, 4.0)), Interval::new(-8.0, 12.0));
        assert_eq!(x.absolute(), Interval::new(0.0, 3.0));
        assert_eq!(x.negate().plus(x), Interval::new(-5.0, 5.0));
        assert_eq!(Interval::new(-4.0, -1.0).absolute(), Interval::new(1.0, 4.0));
    }
}
