//! The operations that costs are fitted to: drawn sizes, none of those that `schedules` judges by.

use crate::problem::Problem;
use crate::schedules::OPERATIONS;
use random::Random;

pub const KINDS: [&str; 7] = ["matmul", "conv", "block", "softmax", "norm", "transpose", "attention"];

/// Multiply-adds, and elements, of one operation: some tens of microseconds to some milliseconds.
const MULTIPLY_ADDS: [i64; 2] = [1_000_000, 200_000_000];
const ELEMENTS: [i64; 2] = [10_000, 2_000_000];

/// One of each kind by turns.
pub fn drawn(count: usize, seed: u64) -> Vec<Problem> {
    let mut random = Random::named(seed, "shapes");
    let known: Vec<Problem> = OPERATIONS.iter().filter_map(|text| text.parse().ok()).collect();
    let mut out: Vec<Problem> = Vec::new();
    while out.len() < count {
        let problem = candidate(KINDS[out.len() % KINDS.len()], &mut random);
        if has_a_size(&problem) && !known.contains(&problem) && !out.contains(&problem) {
            out.push(problem);
        }
    }
    out
}

/// All orders of size are equally likely.
fn size(random: &mut Random, least: i64, most: i64) -> i64 {
    let exact = random.float((least as f64).ln(), (most as f64).ln()).exp().round() as i64;
    // most widths of models are round
    let unit = if exact >= 64 && random.chance(80) { 16 } else { 1 };
    (exact / unit * unit).clamp(least, most)
}

fn candidate(kind: &str, random: &mut Random) -> Problem {
    let mut size = |least, most| size(random, least, most);
    match kind {
        "matmul" => Problem::MatMul([size(1, 1024), size(16, 4096), size(16, 4096)]),
        "conv" => {
            let (height, channels, outputs) = (size(5, 120), size(8, 512), size(8, 512));
            let (window, stride, depthwise) = ([1, 3, 5][size(1, 3) as usize - 1], size(1, 2), size(1, 4) == 1);
            let (outputs, groups) = if depthwise { (channels, channels) } else { (outputs, 1) };
            Problem::Conv([height, height, channels, outputs, window, stride, groups])
        }
        "block" => {
            let height = size(5, 120);
            Problem::Block([height, height, size(16, 256)])
        }
        "softmax" => Problem::Softmax([size(8, 4096), size(8, 4096)]),
        "norm" => Problem::Norm([size(8, 4096), size(8, 4096)]),
        "transpose" => Problem::Transpose([size(8, 4096), size(8, 4096)]),
        _ => Problem::Attention([size(1, 16), size(8, 640), 8 * size(2, 16)]),
    }
}

fn has_a_size(problem: &Problem) -> bool {
    let (work, [least, most]) = match problem {
        Problem::MatMul([m, n, k]) => (m * n * k, MULTIPLY_ADDS),
        Problem::Conv([h, w, channels, outputs, window, stride, groups]) => {
            ((h / stride) * (w / stride) * channels / groups * outputs * window * window, MULTIPLY_ADDS)
        }
        Problem::Block([h, w, channels]) => (h * w * channels * channels * 11, MULTIPLY_ADDS),
        Problem::Attention([heads, length, depth]) => (heads * length * length * depth * 2, MULTIPLY_ADDS),
        Problem::Softmax([rows, columns]) | Problem::Norm([rows, columns]) | Problem::Transpose([rows, columns]) => {
            (rows * columns, ELEMENTS)
        }
    };
    (least..=most).contains(&work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_come_from_the_seed_and_differ_from_those_that_are_judged() {
        let shapes = drawn(70, 1);
        assert_eq!(shapes, drawn(70, 1));
        assert_ne!(shapes, drawn(70, 2));
        assert!(KINDS.iter().all(|kind| shapes.iter().filter(|shape| shape.parts().0 == *kind).count() == 10));
        assert!(shapes.iter().all(|shape| !OPERATIONS.contains(&shape.to_string().as_str()) && shape.model().is_ok()));
    }
}
