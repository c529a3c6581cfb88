//! Random outputs, which no two programs have in common: what can be told of them from their number and the expected ones.

use super::case::{difference, same};
use ir::{Array, Tensor};
use onnx::Drawn;

/// Standard errors that a mean may be off by: once in 500 million times.
const ERRORS: f64 = 6.0;

/// What is wrong with a random output; its type and shape are those of the expected one.
pub fn improbable(drawn: &Drawn, got: &Tensor, want: &Tensor, inputs: &[Tensor]) -> Option<String> {
    if (got.dtype(), got.dims()) != (want.dtype(), want.dims()) {
        return difference(got, want);
    }
    let (got, want) = (got.to_array(), want.to_array());
    match drawn {
        Drawn::No => None,
        Drawn::Somehow => unlike(&got, &want),
        Drawn::Dropped { data, ratio, mask } => {
            let x = inputs.get(*data)?.to_array();
            let ratio = ratio.and_then(|at| inputs.get(at)).map_or(0.5, |ratio| ratio.to_array().get(0).as_f64());
            if *mask { unlikely_part(&numbers(&got), ratio) } else { wrongly_dropped(&got, &x, ratio) }
        }
    }
}

fn numbers(array: &Array) -> Vec<f64> {
    (0..array.count()).map(|at| array.get(at).as_f64()).collect()
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// A deviation is at most half of the range of the numbers, and the means of two samples differ by the root of 2 more than each.
fn unlike(got: &Array, want: &Array) -> Option<String> {
    let (got, want) = (numbers(got), numbers(want));
    let all = || got.iter().chain(&want).copied();
    if got.is_empty() {
        return None;
    }
    if all().any(|x| !x.is_finite()) {
        return Some("a random number is not finite".to_string());
    }
    let is_hit = |x: &f64| *x == 0.0 || *x == 1.0;
    if want.iter().all(is_hit) && !got.iter().all(is_hit) {
        return Some("not all elements are 0 or 1".to_string());
    }
    let range = all().fold(f64::NEG_INFINITY, f64::max) - all().fold(f64::INFINITY, f64::min);
    let limit = ERRORS * range / 2.0 * (2.0 / got.len() as f64).sqrt();
    let (own, expected) = (mean(&got), mean(&want));
    ((own - expected).abs() > limit).then(|| format!("the mean of {} elements is {own}, not {expected}", got.len()))
}

/// How far from its expectation the part of `count` elements that hits with a probability may be.
fn most_off(probability: f64, count: usize) -> f64 {
    ERRORS * (probability * (1.0 - probability) / count.max(1) as f64).sqrt()
}

/// `kept` has 1 for what is kept and 0 for what is dropped.
fn unlikely_part(kept: &[f64], ratio: f64) -> Option<String> {
    let part = mean(kept);
    let off = !kept.is_empty() && (part - (1.0 - ratio)).abs() > most_off(ratio, kept.len()) + f64::EPSILON;
    off.then(|| format!("{part} of {} elements are kept, not {}", kept.len(), 1.0 - ratio))
}

fn wrongly_dropped(got: &Array, x: &Array, ratio: f64) -> Option<String> {
    let scale = 1.0 / (1.0 - ratio);
    let scaled = |at: usize| match x.get(at) {
        ir::Literal::Float(x) => ir::Literal::Float(x * scale),
        whole => whole,
    };
    let wrong = (0..got.count()).find(|at| got.get(*at).as_f64() != 0.0 && !same(got.dtype(), got.get(*at), scaled(*at)));
    if let Some(at) = wrong {
        return Some(format!("[{at}] is {}, neither 0 nor {}", got.get(at), scaled(at)));
    }
    let telling: Vec<usize> = (0..got.count()).filter(|at| x.get(*at).as_f64() != 0.0).collect();
    let kept: Vec<f64> = telling.iter().map(|at| f64::from(got.get(*at).as_f64() != 0.0)).collect();
    unlikely_part(&kept, ratio)
}

/// Whether a mask keeps other elements than the output of the same Dropout.
pub fn mask_differs(drawn: &[Drawn], outputs: &[Tensor], inputs: &[Tensor]) -> Option<String> {
    let find = |wanted: bool| drawn.iter().position(|drawn| matches!(drawn, Drawn::Dropped { mask, .. } if *mask == wanted));
    let (y, mask) = (find(false)?, find(true)?);
    let Drawn::Dropped { data, .. } = drawn[y] else { return None };
    let [y, mask] = [outputs.get(y)?.to_array(), outputs.get(mask)?.to_array()];
    let x = inputs.get(data)?.to_array();
    let at = (0..y.count()).find(|at| x.get(*at).as_f64() != 0.0 && (y.get(*at).as_f64() != 0.0) != (mask.get(*at).as_f64() != 0.0))?;
    Some(format!("[{at}] is {} under a mask of {}", y.get(at), mask.get(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::DType;

    fn tensor(values: &[f64]) -> Tensor {
        Tensor::from_array(&Array::floats(DType::F32, vec![values.len()], values.to_vec()))
    }

    #[test]
    fn hits_are_0_or_1_and_about_as_many() {
        let wrong = |got: &[f64], want: &[f64]| improbable(&Drawn::Somehow, &tensor(got), &tensor(want), &[]);
        let some = [1.0, 0.0].repeat(100);
        assert_eq!(wrong(&some, &[0.0, 1.0].repeat(100)), None);
        assert_eq!(wrong(&[0.5; 200], &some).unwrap(), "not all elements are 0 or 1");
        assert_eq!(wrong(&[1.0; 200], &some).unwrap(), "the mean of 200 elements is 1, not 0.5");
        assert_eq!(wrong(&[1.0], &some).unwrap(), "f32[1], not f32[200]");
    }

    #[test]
    fn what_is_dropped_agrees_with_its_mask() {
        let drawn = [false, true].map(|mask| Drawn::Dropped { data: 0, ratio: Some(1), mask });
        let inputs = [tensor(&[3.0; 400]), tensor(&[0.25])];
        let (y, mask) = (tensor(&[4.0, 0.0, 4.0, 4.0].repeat(100)), tensor(&[1.0, 0.0, 1.0, 1.0].repeat(100)));
        assert_eq!(improbable(&drawn[0], &y, &y, &inputs), None);
        assert_eq!(improbable(&drawn[1], &mask, &mask, &inputs), None);
        assert_eq!(mask_differs(&drawn, &[y.clone(), mask.clone()], &inputs), None);
        assert_eq!(improbable(&drawn[0], &mask, &y, &inputs).unwrap(), "[0] is 1.0, neither 0 nor 4.0");
        assert!(improbable(&drawn[0], &tensor(&[4.0; 400]), &y, &inputs).unwrap().starts_with("1 of 400 elements are kept"));
        assert_eq!(mask_differs(&drawn, &[y, tensor(&[1.0; 400])], &inputs).unwrap(), "[1] is 0.0 under a mask of 1.0");
    }
}
