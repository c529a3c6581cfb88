//! Medians of rounds, and how sure they are.

use serde::Serialize;

/// How likely an interval is to hold the median of all rounds that could have been, where there are enough rounds.
const WANTED: f64 = 0.95;

/// The median of the rounds, between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

/// The median, and the interval for the median that rests on the order of the rounds alone, whatever their distribution: from the k-th
/// smallest to the k-th largest, of the largest k with [`coverage`] enough. None of no rounds.
pub fn interval(rounds: &[f64]) -> Option<Interval> {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = rank(sorted.len());
    let (low, high) = (*sorted.get(rank)?, *sorted.get(sorted.len().checked_sub(rank + 1)?)?);
    Some(Interval { median: median(&sorted), low, high })
}

/// How likely the interval of so many rounds holds the median; below 0.95 for less than six.
pub fn coverage(rounds: usize) -> f64 {
    coverage_of(rank(rounds), rounds)
}

/// How many of the smallest and of the largest rounds are left out.
fn rank(rounds: usize) -> usize {
    (0..rounds / 2).rev().find(|rank| coverage_of(*rank, rounds) >= WANTED).unwrap_or(0)
}

/// The median lies outside where at most `rank` rounds are on one side of it; each is there with probability 1/2.
fn coverage_of(rank: usize, rounds: usize) -> f64 {
    let mut ways = 1.0;
    let mut few = 0.0;
    for below in 0..=rank {
        few += ways;
        ways *= (rounds - below.min(rounds)) as f64 / (below + 1) as f64;
    }
    (1.0 - 2.0 * few * 0.5f64.powi(rounds as i32)).max(0.0)
}

/// NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

/// The value that this share of the values stays within; NaN of nothing.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len().saturating_sub(1) as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// None of no values.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_means() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0])), (2.0, 2.5));
        assert_eq!(quantile(&[5.0, 1.0, 2.0, 4.0, 3.0], 0.25), 2.0);
        assert!((geometric_mean(&[0.5, 8.0]).unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn intervals_are_those_of_the_sign_test() {
        // 1 - 2 / 2^6, and one round left out on each side: 1 - 2 (1 + 9) / 2^9
        assert_eq!((coverage(6), coverage(9)), (0.96875, 0.9609375));
        assert_eq!(interval(&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]), Some(Interval { median: 3.5, low: 1.0, high: 6.0 }));
        let nine: Vec<f64> = (1..=9).map(f64::from).collect();
        assert_eq!(interval(&nine), Some(Interval { median: 5.0, low: 2.0, high: 8.0 }));
        // too few for more than their range
        assert_eq!((interval(&[2.0, 1.0]), coverage(2)), (Some(Interval { median: 1.5, low: 1.0, high: 2.0 }), 0.5));
        assert_eq!((interval(&[7.0]), coverage(1)), (Some(Interval { median: 7.0, low: 7.0, high: 7.0 }), 0.0));
        assert_eq!(interval(&[]), None);
    }
}
