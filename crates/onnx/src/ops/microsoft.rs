//! Operators of com.microsoft, as onnxruntime defines them: what its tools put in the place of patterns.
//!
//! - [`activation`]: activations, with a bias or without
//! - [`norm`]: normalisations of sums
//! - [`product`]: products and convolutions with what follows them
//! - [`bits`]: products with weights of few bits
//! - [`quantized`]: operators between tensors of bytes
//! - [`attention`]: attention with its projections, masks and states

pub mod activation;
pub mod attention;
pub mod bits;
pub mod norm;
pub mod product;
pub mod quantized;

use super::{Entry, quantize};

pub const OPS: &[Entry] = &[
    Entry("Gelu", 1, activation::gelu),
    Entry("BiasGelu", 1, activation::gelu),
    Entry("FastGelu", 1, activation::fast_gelu),
    Entry("QuickGelu", 1, activation::quick_gelu),
    Entry("SkipLayerNormalization", 1, norm::skip_layer_norm),
    Entry("SkipSimplifiedLayerNormalization", 1, norm::skip_root_mean_square),
    Entry("EmbedLayerNormalization", 1, norm::embedding),
    Entry("FusedMatMul", 1, product::matmul),
    Entry("FusedConv", 1, product::conv),
    Entry("MatMulNBits", 1, bits::matmul),
    Entry("QuantizeLinear", 1, quantize::quantize),
    Entry("DequantizeLinear", 1, quantize::dequantize),
    Entry("QLinearAdd", 1, quantized::add),
    Entry("QLinearMul", 1, quantized::mul),
    Entry("QLinearSigmoid", 1, quantized::sigmoid),
    Entry("QLinearLeakyRelu", 1, quantized::leaky_relu),
    Entry("QLinearGlobalAveragePool", 1, quantized::global_average),
    Entry("QLinearConcat", 1, quantized::concat),
    Entry("QGemm", 1, quantized::gemm),
    Entry("RotaryEmbedding", 1, attention::rotary),
    Entry("MultiHeadAttention", 1, attention::multi_head),
    Entry("Attention", 1, attention::self_attention),
    Entry("GroupQueryAttention", 1, attention::group_query),
];
