//! Dot products of groups of lanes, with the rounding of the instructions that compute them.

use super::lanes::Map3;
use bytemuck::{cast_slice, cast_slice_mut};
use half::bf16;
use ir::DType;

/// By the element type of the first factor.
pub fn dot(dtype: DType) -> Option<Map3> {
    match dtype {
        DType::BF16 => Some(|to, a, b, c| dots::<bf16, bf16, f32, 2>(to, a, b, c, pair)),
        DType::U8 => Some(|to, a, b, c| dots::<u8, i8, i32, 4>(to, a, b, c, |a, b, c| four(a.map(i32::from), b.map(i32::from), c))),
        DType::I8 => Some(|to, a, b, c| dots::<i8, u8, i32, 4>(to, a, b, c, |a, b, c| four(a.map(i32::from), b.map(i32::from), c))),
        DType::Bool | DType::I16 | DType::I32 | DType::I64 | DType::U16 | DType::U32 | DType::U64 => None,
        DType::F16 | DType::F32 | DType::F64 => None,
    }
}

fn dots<A: bytemuck::Pod, B: bytemuck::Pod, C: bytemuck::Pod, const G: usize>(
    to: &mut [u8],
    a: &[u8],
    b: &[u8],
    c: &[u8],
    sum: fn([A; G], [B; G], C) -> C,
) {
    let (a, b) = (cast_slice::<u8, A>(a).chunks_exact(G), cast_slice::<u8, B>(b).chunks_exact(G));
    let lanes = cast_slice_mut::<u8, C>(to).iter_mut().zip(cast_slice::<u8, C>(c));
    for ((to, c), (a, b)) in lanes.zip(a.zip(b)) {
        *to = sum(std::array::from_fn(|at| a[at]), std::array::from_fn(|at| b[at]), *c);
    }
}

fn four(a: [i32; 4], b: [i32; 4], c: i32) -> i32 {
    a.iter().zip(b).fold(c, |sum, (a, b)| sum.wrapping_add(a * b))
}

fn pair(a: [bf16; 2], b: [bf16; 2], c: f32) -> f32 {
    let step = |at: usize, c: f32| flushed(flushed(a[at].to_f32()).mul_add(flushed(b[at].to_f32()), flushed(c)));
    step(0, step(1, c))
}

/// Zero of the same sign for a subnormal.
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0.0_f32.copysign(x) } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_wrap_and_do_not_saturate() {
        assert_eq!(four([255; 4], [127; 4], i32::MAX), i32::MAX.wrapping_add(4 * 255 * 127));
        assert_eq!(four([-128; 4], [255; 4], 0), -130560);
    }

    #[test]
    fn the_odd_product_is_added_first_and_each_sum_is_rounded() {
        let b = bf16::from_f32;
        let tiny = 2.0_f32.powi(-24);
        // 1 + 2^-24 rounds to 1, after which the large terms cancel
        assert_eq!(pair([b(-1.0), b(tiny)], [b(1.0), b(1.0)], 1.0), 0.0);
        assert_eq!(pair([b(tiny), b(-1.0)], [b(1.0), b(1.0)], 1.0), tiny);
    }

    #[test]
    fn subnormals_are_zeros() {
        let subnormal = bf16::from_bits(0x0040);
        assert_eq!(pair([subnormal; 2], [bf16::from_f32(1e30); 2], 0.0), 0.0);
        assert_eq!(pair([bf16::from_f32(1e-20); 2], [bf16::from_f32(1e-20); 2], 0.0), 0.0);
        assert_eq!(pair([bf16::ZERO; 2], [bf16::ZERO; 2], -1e-40).to_bits(), 0.0_f32.to_bits());
    }
}
