//! The composites: named combinations, each with its decomposition into core ops. f16 and bf16 are computed in f32.

pub mod attention;
pub mod batch_norm;
pub mod clamp;
pub mod conv_transpose;
pub mod extend;
pub mod gelu;
pub mod hard_sigmoid;
pub mod layer_norm;
pub mod resize;
pub mod softmax;

use crate::def::OpError;
use ir::TensorType;

/// The operand has a float type.
fn check_float(ty: &TensorType) -> Result<(), OpError> {
    match ty.dtype.is_float() {
        true => Ok(()),
        false => Err(OpError::types(format!("{ty} is no float tensor"))),
    }
}
