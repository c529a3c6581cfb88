//! One operation as a model of its own, by a text: `matmul 128x768x3072`.

use anyhow::{Context, Result, bail};
use ir::{Array, DType, Graph, Literal, Tensor, TensorType, ValueId};
use nest::Func;
use ops::{Builder, WindowAttrs};
use std::fmt;
use sym::Expr;

/// Sizes of an operation whose second operand, if it has one, is known: weights.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// `m x n x k`
    MatMul([i64; 3]),
    /// `height x width x channels x outputs x window x stride`, channels last as inside of a model; as many groups as the last number.
    Conv([i64; 7]),
    /// `height x width x channels`: convolutions of 1x1, 3x3 and 1x1, each but the last with an activation.
    Block([i64; 3]),
    /// `rows x columns`
    Softmax([i64; 2]),
    Norm([i64; 2]),
    Transpose([i64; 2]),
    /// `heads x length x depth`
    Attention([i64; 3]),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (name, sizes) = self.parts();
        let sizes: Vec<String> = sizes.iter().map(i64::to_string).collect();
        write!(f, "{name} {}", sizes.join("x"))
    }
}

impl std::str::FromStr for Problem {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Problem> {
        let (name, sizes) = text.split_once(' ').context("an operation and its sizes are wanted: matmul 128x768x3072")?;
        let sizes: Vec<i64> = sizes.split('x').map(str::parse).collect::<Result<_, _>>()?;
        let count = sizes.len();
        let fixed = |wanted: usize| format!("{name} has {wanted} sizes, not {count}");
        Ok(match name {
            "matmul" => Problem::MatMul(sizes.try_into().ok().with_context(|| fixed(3))?),
            "conv" => Problem::Conv(sizes.try_into().ok().with_context(|| fixed(7))?),
            "block" => Problem::Block(sizes.try_into().ok().with_context(|| fixed(3))?),
            "transpose" => Problem::Transpose(sizes.try_into().ok().with_context(|| fixed(2))?),
            "softmax" => Problem::Softmax(sizes.try_into().ok().with_context(|| fixed(2))?),
            "norm" => Problem::Norm(sizes.try_into().ok().with_context(|| fixed(2))?),
            "attention" => Problem::Attention(sizes.try_into().ok().with_context(|| fixed(3))?),
            _ => bail!("there is no operation {name}"),
        })
    }
}

impl Problem {
    /// The operation's name, and its sizes.
    pub fn parts(&self) -> (&'static str, &[i64]) {
        match self {
            Problem::MatMul(sizes) => ("matmul", sizes),
            Problem::Conv(sizes) => ("conv", sizes),
            Problem::Block(sizes) => ("block", sizes),
            Problem::Softmax(sizes) => ("softmax", sizes),
            Problem::Norm(sizes) => ("norm", sizes),
            Problem::Transpose(sizes) => ("transpose", sizes),
            Problem::Attention(sizes) => ("attention", sizes),
        }
    }

    /// The model and its inputs.
    pub fn model(&self) -> Result<(Graph, Vec<Tensor>)> {
        let mut made = Made { b: Builder::new("problem"), inputs: vec![], weights: 0 };
        let y = made.result(self).map_err(|why| anyhow::anyhow!("{self}: {}", why.message))?;
        made.b.output("y", y);
        Ok((made.b.finish(), made.inputs))
    }
}

struct Made {
    b: Builder,
    inputs: Vec<Tensor>,
    weights: usize,
}

impl Made {
    fn result(&mut self, problem: &Problem) -> Result<ValueId, ir::Diagnostic> {
        match problem {
            Problem::MatMul([m, n, k]) => {
                let (x, w) = (self.input("x", &[*m, *k]), self.weight(&[*k, *n]));
                self.b.contract("mk,kn->mn", x, w)
            }
            Problem::Conv([h, w, channels, outputs, window, stride, groups]) => {
                let border = window - 1;
                let x = self.channels_last(h + border, w + border, *channels)?;
                let weights = self.weight(&[*outputs, channels / groups, *window, *window]);
                let attrs = WindowAttrs { strides: vec![*stride; 2], ..WindowAttrs::plain(2) };
                let y = self.b.conv(x, weights, &attrs, *groups)?;
                self.b.transpose(y, &[0, 2, 3, 1])
            }
            Problem::Block([h, w, channels]) => {
                let mut x = self.channels_last(h + 2, w + 2, *channels)?;
                for (at, window) in [1, 3, 1].into_iter().enumerate() {
                    let weights = self.weight(&[*channels, *channels, window, window]);
                    x = self.b.conv(x, weights, &WindowAttrs::plain(2), 1)?;
                    if at < 2 {
                        x = self.b.map_number(Func::Max, x, 0.0)?;
                    }
                }
                self.b.transpose(x, &[0, 2, 3, 1])
            }
            Problem::Transpose([rows, columns]) => {
                let x = self.input("x", &[*rows, *columns]);
                self.b.transpose(x, &[1, 0])
            }
            Problem::Softmax([rows, columns]) => {
                let x = self.input("x", &[*rows, *columns]);
                self.b.softmax(x, 1)
            }
            Problem::Norm([rows, columns]) => {
                let (x, scale, bias) = (self.input("x", &[*rows, *columns]), self.weight(&[*columns]), self.weight(&[*columns]));
                self.b.layer_norm(x, scale, bias, 1, 1e-5)
            }
            Problem::Attention([heads, length, depth]) => {
                let [q, k, v] = ["q", "k", "v"].map(|name| self.input(name, &[1, *heads, *length, *depth]));
                self.b.attention(q, k, v, None, (*depth as f64).powf(-0.5))
            }
        }
    }

    /// An input whose channels lie last, as inside of a model, and stand first for the operator.
    fn channels_last(&mut self, height: i64, width: i64, channels: i64) -> Result<ValueId, ir::Diagnostic> {
        let x = self.input("x", &[1, height, width, channels]);
        self.b.transpose(x, &[0, 3, 1, 2])
    }

    fn input(&mut self, name: &str, dims: &[i64]) -> ValueId {
        self.inputs.push(numbers(dims));
        self.b.input(name, TensorType::new(DType::F32, dims.iter().map(|dim| Expr::from(*dim)).collect()))
    }

    fn weight(&mut self, dims: &[i64]) -> ValueId {
        // named, as in a model file: texts that are digested for every schedule then hold the name, not the numbers
        self.weights += 1;
        self.b.graph.constant(numbers(dims), Some(&format!("w{}", self.weights)), "w")
    }
}

/// Some numbers between -1 and 1.
fn numbers(dims: &[i64]) -> Tensor {
    let dims = dims.iter().map(|dim| *dim as usize).collect();
    let mut at = 0u32;
    Tensor::from_array(&Array::from_fn(DType::F32, dims, |_| {
        at = at.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Literal::Float(f64::from(at) / f64::from(1u32 << 31) - 1.0)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_makes_a_model() {
        let all = ["matmul 3x4x5", "conv 5x6x4x8x3x1x2", "block 5x6x4", "softmax 3x4", "norm 3x4", "transpose 3x4", "attention 2x3x4"];
        for text in all {
            let problem: Problem = text.parse().unwrap();
            assert_eq!(problem.to_string(), text);
            assert!(problem.model().is_ok());
        }
        assert!("matmul 3x4".parse::<Problem>().is_err() && "sort 3".parse::<Problem>().is_err());
    }
}
