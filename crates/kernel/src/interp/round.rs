//! Rounding to the 16-bit floats in one step: through f32 rounded to odd, which keeps what a second rounding needs to know.

use half::{bf16, f16};

/// `near` where it is exact; else the one of the two f32 around the value whose last bit is set.
fn odd(near: f32, exact: bool, too_far: bool) -> f32 {
    let bits = near.to_bits();
    match (exact || bits & 1 == 1, too_far) {
        (true, _) => near,
        (false, true) => f32::from_bits(bits - 1),
        (false, false) => f32::from_bits(bits + 1),
    }
}

fn odd_from_f64(value: f64) -> f32 {
    let near = value as f32;
    let exact = near as f64 == value || value.is_nan();
    odd(near, exact, (near as f64).abs() > value.abs())
}

fn odd_from_int(value: i128) -> f32 {
    let near = value as f32;
    odd(near, near as i128 == value, (near as i128).abs() > value.abs())
}

pub fn f64_to_f16(value: f64) -> f16 {
    f16::from_f32(odd_from_f64(value))
}

pub fn f64_to_bf16(value: f64) -> bf16 {
    bf16::from_f32(odd_from_f64(value))
}

pub fn int_to_f16(value: i128) -> f16 {
    f16::from_f32(odd_from_int(value))
}

pub fn int_to_bf16(value: i128) -> bf16 {
    bf16::from_f32(odd_from_int(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_broken_far_below_rounds_up() {
        let tie = 1.0 + 2f64.powi(-11);
        assert_eq!(f64_to_f16(tie).to_f64(), 1.0);
        assert_eq!(f64_to_f16(tie + 2f64.powi(-50)).to_f64(), 1.0 + 2f64.powi(-10));
        assert_eq!(f64_to_f16(-tie - 2f64.powi(-50)).to_f64(), -1.0 - 2f64.powi(-10));
        assert_eq!(int_to_bf16((1 << 40) + (1 << 32)).to_f64(), 2f64.powi(40));
        assert_eq!(int_to_bf16((1 << 40) + (1 << 32) + 1).to_f64(), 2f64.powi(40) * (1.0 + 2f64.powi(-7)));
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(f64_to_f16(1e300).to_f64(), f64::INFINITY);
        assert_eq!(f64_to_f16(65519.99).to_f64(), 65504.0);
        assert_eq!(f64_to_f16(1e-300).to_f64(), 0.0);
        assert_eq!(f64_to_bf16(f64::NEG_INFINITY).to_f64(), f64::NEG_INFINITY);
        assert!(f64_to_bf16(f64::NAN).is_nan());
        assert_eq!(int_to_f16(70000).to_f64(), f64::INFINITY);
    }
}
