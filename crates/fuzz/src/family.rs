//! What is added to a model in one step. A step finds or makes its operands, and gives its result; None where nothing fits, and then
//! what it has added so far stays, as far as it is valid by itself.

pub mod arithmetic;
pub mod attention;
pub mod branch;
pub mod bytes;
pub mod cast;
pub mod chain;
pub mod chance;
pub mod chosen;
pub mod einsum;
pub mod fold;
pub mod fourier;
pub mod heads;
pub mod join;
pub mod linear_attention;
pub mod logic;
pub mod loss;
pub mod microsoft;
pub mod ml;
pub mod narrow;
pub mod norm;
pub mod order;
pub mod part;
pub mod pick;
pub mod pool;
pub mod product;
pub mod qdq;
pub mod repeat;
pub mod resample;
pub mod sample;
pub mod scatter;
pub mod sequence;
pub mod shape;
pub mod spelled;
pub mod spread;
pub mod strings;
pub mod training;
pub mod unary;
pub mod window;

use crate::generator::{Generator, Id};

/// One step.
pub type Step = fn(&mut Generator) -> Option<Id>;

/// The steps with their odds.
pub static STEPS: &[(usize, Step)] = &[
    (10, unary::unary),
    (4, unary::activation),
    (2, unary::whole_number),
    (1, unary::threshold),
    (3, unary::gated),
    (10, arithmetic::binary),
    (3, arithmetic::division),
    (2, arithmetic::power),
    (2, arithmetic::variadic),
    (3, arithmetic::integer),
    (3, logic::comparison),
    (2, logic::connective),
    (4, logic::choice),
    (1, logic::kind_of_number),
    (1, logic::bitwise),
    (1, logic::shift),
    (4, cast::cast),
    (1, cast::bits),
    (8, product::matmul),
    (4, product::gemm),
    (1, product::integer_matmul),
    (3, einsum::einsum),
    (2, bytes::matmul),
    (2, bytes::conv),
    (2, bytes::quantize),
    (2, bytes::dequantize),
    (1, bytes::quantize_dynamically),
    (2, qdq::matmul),
    (2, qdq::conv),
    (2, qdq::between_bytes),
    (1, qdq::gemm),
    (1, qdq::there_and_back),
    (6, window::conv),
    (5, pool::pool),
    (2, pool::global),
    (2, pool::norms),
    (2, pool::unpool),
    (3, resample::resize),
    (1, resample::antialiased),
    (2, resample::conv_transpose),
    (2, sample::grid),
    (1, sample::affine_grid),
    (1, sample::regions),
    (3, sample::deform_conv),
    (1, sample::columns),
    (1, fourier::transform),
    (1, fourier::frames),
    (2, order::top),
    (1, chosen::non_zero),
    (1, chosen::compress),
    (1, chosen::unique),
    (1, chosen::suppression),
    (1, chosen::slice),
    (1, resample::depth_to_space),
    (1, resample::space_to_depth),
    (2, norm::batch_norm),
    (1, norm::instance_norm),
    (1, norm::group_norm),
    (1, norm::mean_variance_norm),
    (1, norm::lp_norm),
    (1, norm::response_norm),
    (4, norm::layer_norm),
    (1, norm::rms_norm),
    (4, norm::softmax),
    (1, norm::hardmax),
    (7, fold::reduce),
    (2, fold::place_of_extreme),
    (1, fold::running_sum),
    (2, fold::running_product),
    (6, shape::reshape),
    (4, shape::transpose),
    (2, shape::flatten),
    (2, shape::squeeze),
    (3, shape::unsqueeze),
    (4, join::concat),
    (3, join::split),
    (5, part::slice),
    (3, part::pad),
    (2, part::own_border),
    (1, part::center),
    (1, part::triangle),
    (1, part::diagonal),
    (2, spread::expand),
    (2, spread::tile),
    (2, spread::filled),
    (2, spread::range),
    (1, spread::size),
    (1, spread::one_hot),
    (1, spread::signal_window),
    (1, spread::mel_weights),
    (6, pick::gather),
    (2, pick::gather_nd),
    (2, pick::gather_elements),
    (1, pick::reversed),
    (1, pick::compressed),
    (2, scatter::elements),
    (2, scatter::slices),
    (2, sequence::sequence),
    (1, scatter::cache),
    (2, branch::branch),
    (1, branch::uneven),
    (2, repeat::scan),
    (1, repeat::counted),
    (1, repeat::limited),
    (2, repeat::recurrent),
    (3, chain::dense),
    (2, chain::residual_block),
    (2, chain::conv_block),
    (1, chain::squeeze_excite),
    (2, chain::embedding),
    (3, attention::attention),
    (1, attention::causal),
    (1, attention::rotary),
    (8, heads::attention),
    (3, heads::rotary),
    (1, loss::negative_log_likelihood),
    (1, loss::cross_entropy),
    (6, linear_attention::linear_attention),
    (6, linear_attention::causal_conv),
    (2, chance::distribution),
    (1, chance::bernoulli),
    (1, chance::multinomial),
    (2, chance::dropout),
    (1, training::optimizer),
    (1, training::determinant),
    (1, microsoft::activation),
    (1, microsoft::norm),
    (1, microsoft::matmul),
    (1, microsoft::matmul_of_bits),
    (1, microsoft::multi_head),
    (4, strings::strings),
    (1, strings::picture),
    (1, microsoft::rotary),
    (1, microsoft::self_attention),
    (1, microsoft::group_query),
    (1, microsoft::embedding),
    (1, microsoft::conv),
    (1, heads::flex_attention),
    (2, narrow::cast),
    (4, narrow::quantize),
    (1, ml::features),
    (1, ml::linear),
    (1, ml::support),
    (2, ml::trees),
    (1, ml::grams),
    (2, spelled::gelu),
    (2, spelled::layer_norm),
    (1, spelled::rms_norm),
    (1, spelled::softmax),
    (1, spelled::swish),
];
