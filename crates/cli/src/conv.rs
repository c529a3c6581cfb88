//! `inkle bench conv`: one convolution beside the peak of this machine.
//!
//! It is timed as it stands inside of a model: the weights are known before the call, and the input has the layout that convolutions agree
//! on: channels last, with its border of zeros.

use crate::against_peak::{Problem, drawn, numbers, timed};
use crate::args::ConvArgs;
use crate::failure::Failure;
use crate::report::Report;
use ir::{Diagnostic, Graph, Tensor, TensorType};
use ops::{Builder, WindowAttrs};
use serde_json::{Map, json};
use sym::Expr;

pub fn conv(arguments: &ConvArgs) -> Result<Report, Failure> {
    let sizes = Sizes::of(arguments)?;
    let x = drawn(arguments.dtype, vec![sizes.batch, sizes.h, sizes.w, sizes.channels * sizes.groups], 1);
    let w = drawn(arguments.dtype, vec![sizes.outputs, sizes.channels, sizes.kernel, sizes.kernel], 2);
    let (terms, weights) = (numbers(&x), numbers(&w));
    let problem = Problem {
        graph: convolution(&x, w, &sizes).map_err(|problem| Failure::from(ir::Diagnostics::from(problem)))?,
        inputs: vec![x],
        dtype: arguments.dtype,
        multiply_adds: (sizes.batch * sizes.rows() * sizes.columns() * sizes.outputs * sizes.channels * sizes.kernel.pow(2)) as f64,
        parameters: parameters(arguments),
    };
    timed(problem, &arguments.machine, &|at| sizes.element(&terms, &weights, at))
}

fn parameters(arguments: &ConvArgs) -> Map<String, serde_json::Value> {
    let ConvArgs { h, w, channels, outputs, kernel, stride, dilation, groups, batch, .. } = *arguments;
    let sizes = [
        ("h", h),
        ("w", w),
        ("channels", channels),
        ("outputs", outputs),
        ("kernel", kernel),
        ("stride", stride),
        ("dilation", dilation),
        ("groups", groups),
        ("batch", batch),
    ];
    Map::from_iter(sizes.map(|(name, size)| (name.to_string(), json!(size))))
}

/// The sizes of a convolution over an input with its border.
struct Sizes {
    batch: usize,
    h: usize,
    w: usize,
    groups: usize,
    /// Of one group.
    channels: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
}

impl Sizes {
    fn of(arguments: &ConvArgs) -> Result<Sizes, Failure> {
        let ConvArgs { h, w, channels, outputs, kernel, stride, dilation, groups, batch, .. } = *arguments;
        if channels % groups != 0 || outputs % groups != 0 {
            let why = format!("{channels} channels and {outputs} outputs do not both divide into {groups} groups");
            return Err(Failure::user(ir::Code::Shape, why));
        }
        let border = dilation * (kernel - 1);
        let [batch, h, w, groups, channels] = [batch, h + border, w + border, groups, channels / groups].map(|size| size as usize);
        let [outputs, kernel, stride, dilation] = [outputs, kernel, stride, dilation].map(|size| size as usize);
        Ok(Sizes { batch, h, w, groups, channels, outputs, kernel, stride, dilation })
    }

    fn rows(&self) -> usize {
        self.places(self.h)
    }

    fn columns(&self) -> usize {
        self.places(self.w)
    }

    /// Of the window along an axis.
    fn places(&self, size: usize) -> usize {
        (size - self.dilation * (self.kernel - 1) - 1) / self.stride + 1
    }

    /// An element of the result, `[batch, row, column, output]`.
    fn element(&self, x: &[f64], w: &[f64], at: usize) -> f64 {
        let (output, point) = (at % self.outputs, at / self.outputs);
        let (column, row, batch) = (point % self.columns(), point / self.columns() % self.rows(), point / self.columns() / self.rows());
        let first = output / (self.outputs / self.groups) * self.channels;
        let mut sum = 0.0;
        for tap in 0..self.kernel * self.kernel {
            let (i, j) = (tap / self.kernel, tap % self.kernel);
            let place = (batch * self.h + row * self.stride + i * self.dilation) * self.w + column * self.stride + j * self.dilation;
            let term = |c: usize| {
                x[place * self.channels * self.groups + first + c] * w[(output * self.channels + c) * self.kernel * self.kernel + tap]
            };
            sum += (0..self.channels).map(term).sum::<f64>();
        }
        sum
    }
}

fn convolution(x: &Tensor, w: Tensor, sizes: &Sizes) -> Result<Graph, Diagnostic> {
    let mut builder = Builder::new("conv");
    let dims = x.dims().iter().map(|size| Expr::from(*size as i64)).collect();
    let x = builder.input("x", TensorType::new(x.dtype(), dims));
    let x = builder.transpose(x, &[0, 3, 1, 2])?;
    let w = builder.graph.constant(w, None, "w");
    let window = WindowAttrs { strides: vec![sizes.stride as i64; 2], dilations: vec![sizes.dilation as i64; 2], ..WindowAttrs::plain(2) };
    let y = builder.conv(x, w, &window, sizes.groups as i64)?;
    let y = builder.transpose(y, &[0, 2, 3, 1])?;
    builder.output("y", y);
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_those_of_the_reference() {
        let sizes = Sizes { batch: 2, h: 7, w: 6, groups: 2, channels: 3, outputs: 4, kernel: 2, stride: 2, dilation: 2 };
        let (x, w) = (drawn(ir::DType::I8, vec![2, 7, 6, 6], 1), drawn(ir::DType::I8, vec![4, 3, 2, 2], 2));
        let graph = convolution(&x, w.clone(), &sizes).unwrap();
        let want = ops::interp::outputs(&graph, &[x.to_array()], &Default::default()).unwrap();
        let (terms, weights) = (numbers(&x), numbers(&w));
        let got: Vec<f64> = (0..want[0].count()).map(|at| sizes.element(&terms, &weights, at)).collect();
        assert_eq!(got, numbers(&Tensor::from_array(&want[0])));
    }
}
