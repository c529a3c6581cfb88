//! A tensor in a few numbers.

use crate::report::BOLD;
use ir::array::Data;
use ir::{DType, Tensor};
use serde_json::{Value, json};
use std::sync::Arc;

/// How many elements are shown, and characters of a string.
const SHOWN: usize = 6;
const MOST_SHOWN: usize = 60;

/// What there is to say of a tensor. Mean, deviation, least and greatest are those of the numbers; NaNs are counted apart.
#[derive(Debug)]
pub struct Summary {
    name: String,
    dtype: DType,
    dims: Vec<usize>,
    numbers: usize,
    mean: f64,
    deviation: f64,
    least: f64,
    greatest: f64,
    nans: usize,
    first: Vec<f64>,
    /// The first elements of a tensor of strings, whose figures mean nothing.
    texts: Option<Vec<String>>,
}

impl Summary {
    pub fn new(name: &str, tensor: &Tensor) -> Summary {
        let elements: Vec<f64> = match tensor.to_array().data() {
            Data::Float(values) => values.clone(),
            Data::Int(values) => values.iter().map(|value| *value as f64).collect(),
        };
        let numbers: Vec<f64> = elements.iter().copied().filter(|value| !value.is_nan()).collect();
        let count = numbers.len().max(1) as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        Summary {
            name: name.to_string(),
            dtype: tensor.dtype(),
            dims: tensor.dims().to_vec(),
            mean,
            deviation: (numbers.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt(),
            least: numbers.iter().copied().fold(f64::INFINITY, f64::min),
            greatest: numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            nans: elements.len() - numbers.len(),
            numbers: numbers.len(),
            first: elements.iter().copied().take(SHOWN).collect(),
            texts: None,
        }
    }

    /// The summary of a tensor whose elements are the numbers of these strings.
    pub fn with_texts(self, texts: Option<&[Arc<str>]>) -> Summary {
        let shown = |texts: &[Arc<str>]| texts.iter().take(SHOWN).map(|text| text.chars().take(MOST_SHOWN).collect()).collect();
        Summary { texts: texts.map(shown), ..self }
    }

    /// Two lines: the figures, then the first elements.
    pub fn text(&self) -> String {
        if let Some(texts) = &self.texts {
            let (Summary { name, dims, .. }, texts) = (self, texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>());
            let more = if texts.len() < dims.iter().product() { " .." } else { "" };
            return format!("{BOLD}{name}{BOLD:#}  string{dims:?}\n    {}{more}\n", texts.join(" "));
        }
        let Summary { name, dtype, dims, mean, deviation, least, greatest, nans, .. } = self;
        let figures = match self.numbers {
            0 => String::new(),
            _ => format!("  mean {mean:.4e}  std {deviation:.4e}  min {least:.4e}  max {greatest:.4e}"),
        };
        let nans = if *nans > 0 { format!("  {nans} NaN") } else { String::new() };
        let first: Vec<String> = self.first.iter().map(|value| self.element(*value)).collect();
        let more = if self.first.len() < dims.iter().product() { " .." } else { "" };
        format!("{BOLD}{name}{BOLD:#}  {dtype}{dims:?}{figures}{nans}\n    {}{more}\n", first.join(" "))
    }

    fn element(&self, value: f64) -> String {
        if self.dtype.is_float() { format!("{value:.5}") } else { format!("{value}") }
    }

    pub fn json(&self) -> Value {
        if let Some(texts) = &self.texts {
            return json!({ "name": self.name, "type": "string", "shape": self.dims, "first": texts });
        }
        json!({
            "name": self.name,
            "type": self.dtype.name(),
            "shape": self.dims,
            "mean": self.mean,
            "std": self.deviation,
            "min": self.least,
            "max": self.greatest,
            "nans": self.nans,
            "first": self.first,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::Array;

    fn text(array: Array) -> String {
        let summary = Summary::new("y", &Tensor::from_array(&array));
        anstream::adapter::strip_str(&summary.text()).to_string()
    }

    #[test]
    fn figures_leave_out_nans() {
        let floats = Array::floats(DType::F32, vec![2, 2], vec![1.0, 3.0, f64::NAN, 2.0]);
        let want = "y  f32[2, 2]  mean 2.0000e0  std 8.1650e-1  min 1.0000e0  max 3.0000e0  1 NaN\n    1.00000 3.00000 NaN 2.00000\n";
        assert_eq!(text(floats), want);
        assert_eq!(text(Array::ints(DType::I32, vec![0], vec![])), "y  i32[0]\n    \n");
        assert!(text(Array::ints(DType::I32, vec![9], (0..9).collect())).ends_with("    0 1 2 3 4 5 ..\n"));
    }
}
