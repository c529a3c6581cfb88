//! Products with weights of few bits.
//!
//! A matrix `[N, K]` is cut into blocks along K. A block is a run of codes, packed into bytes from the lowest bits up, with a scale and a
//! zero point of its own: `weight = (code - zero point) * scale`.

use crate::import::{Call, Outcome, one};
use crate::ops::matmul::product_spec;
use ::ops::Builder;
use ir::{Code, DType, Diagnostic, ValueId};
use nest::Func;
use sym::Expr;

type Result<T> = std::result::Result<T, Diagnostic>;

/// The most rows, columns, and elements of a block.
const MOST: i64 = 1 << 31;

/// The weights' sizes.
struct Shape {
    columns: i64,
    depth: i64,
    bits: i64,
    block: i64,
}

impl Shape {
    fn read(call: &Call) -> Result<Shape> {
        let size = |name: &'static str| {
            let size = call.int(name)?.ok_or_else(|| call.attribute_error(format!("attribute `{name}` is missing")))?;
            match (1..=MOST).contains(&size) {
                true => Ok(size),
                false => Err(call.attribute_error(format!("attribute `{name}` is {size}"))),
            }
        };
        let shape = Shape { columns: size("N")?, depth: size("K")?, bits: call.int_or("bits", 4)?, block: size("block_size")? };
        if shape.block < 16 || !(shape.block as u64).is_power_of_two() {
            return Err(call.attribute_error(format!("attribute `block_size` is {}, which is no power of 2 from 16 on", shape.block)));
        }
        match shape.bits {
            2 | 4 | 8 => Ok(shape),
            3 | 5..=7 => Err(call.unsupported(format!("codes of {} bits", shape.bits))),
            bits => Err(call.attribute_error(format!("attribute `bits` is {bits}"))),
        }
    }

    fn blocks(&self) -> i64 {
        (self.depth + self.block - 1) / self.block
    }

    /// Codes that are packed along the last axis, a code an element.
    fn unpacked(&self, b: &mut Builder, packed: ValueId) -> Result<ValueId> {
        if self.bits == 8 {
            return Ok(packed);
        }
        let each = 8 / self.bits;
        let mut dims = b.dims(packed).to_vec();
        let rank = dims.len();
        dims.push(Expr::from(each));
        let units = b.ints(DType::U8, vec![each as usize], (0..each).map(|at| 1 << (self.bits * at)).collect());
        let bytes = b.unsqueeze(packed, &[rank])?;
        let repeated = [bytes, units].map(|part| b.broadcast(part, &dims));
        let long = &dims[rank - 1] * each;
        dims.truncate(rank - 1);
        dims.push(long);
        let [bytes, units] = repeated;
        let (bytes, units) = (b.reshape(bytes?, &dims)?, b.reshape(units?, &dims)?);
        let shifted = b.map(Func::Div, &[bytes, units])?;
        b.map_number(Func::And, shifted, ((1i64 << self.bits) - 1) as f64)
    }

    /// The zero points of the blocks, `[N, blocks, 1]`, in f32.
    fn zero_points(&self, call: &mut Call) -> Result<ValueId> {
        let (columns, blocks) = (Expr::from(self.columns), Expr::from(self.blocks()));
        let Some(zero) = call.optional_value(3)? else { return Ok(call.b().number(DType::F32, (1i64 << (self.bits - 1)) as f64)) };
        let is_packed = call.dtype(3)? == DType::U8;
        if !is_packed && call.dtype(3)? != call.dtype(0)? {
            return Err(call.error(Code::Type, format!("the zero points are {}, and A {}", call.dtype(3)?, call.dtype(0)?)));
        }
        let b = call.b();
        let zero = match is_packed {
            true => {
                let bytes = (self.blocks() * self.bits + 7) / 8;
                let packed = b.reshape(zero, &[columns.clone(), Expr::from(bytes)])?;
                let all = self.unpacked(b, packed)?;
                b.slice_axis(all, 1, &Expr::zero(), &blocks)?
            }
            false => zero,
        };
        let zero = b.reshape(zero, &[columns, blocks, Expr::one()])?;
        b.convert(zero, DType::F32)
    }

    /// The weights, `[N, K]`, in f32.
    fn weights(&self, call: &mut Call) -> Result<ValueId> {
        let (columns, blocks, block) = (Expr::from(self.columns), Expr::from(self.blocks()), Expr::from(self.block));
        let zero = self.zero_points(call)?;
        let (packed, scales) = (call.value(1)?, call.value(2)?);
        let b = call.b();
        let packed = b.reshape(packed, &[columns.clone(), blocks.clone(), Expr::from(self.block / 8 * self.bits)])?;
        let codes = self.unpacked(b, packed)?;
        let codes = b.convert(codes, DType::F32)?;
        let scales = b.reshape(scales, &[columns.clone(), blocks.clone(), Expr::one()])?;
        let scales = b.convert(scales, DType::F32)?;
        let moved = b.map_broadcast(Func::Sub, &[codes, zero])?;
        let weights = b.map_broadcast(Func::Mul, &[moved, scales])?;
        let weights = b.reshape(weights, &[columns, &blocks * &block])?;
        b.slice_axis(weights, 1, &Expr::zero(), &Expr::from(self.depth))
    }
}

/// `A W' + bias`, computed in f32.
pub fn matmul(call: &mut Call) -> Outcome {
    call.ignore(&["accuracy_level"]);
    let shape = Shape::read(call)?;
    if call.int_or("weight_prepacked", 0)? != 0 {
        return Err(call.unsupported("weights in another order").into());
    }
    if call.optional(4).is_some() {
        return Err(call.unsupported("`g_idx`: columns that belong to other blocks than their own").into());
    }
    let dtype = call.dtype(0)?;
    for at in [0, 2, 5].into_iter().filter(|at| call.optional(*at).is_some()) {
        let own = call.dtype(at)?;
        if !matches!(own, DType::F32 | DType::F16 | DType::BF16) || own != dtype {
            return Err(call.error(Code::Type, format!("operand {at} of MatMulNBits is {own}, and A {dtype}")).into());
        }
    }
    if call.dtype(1)? != DType::U8 {
        return Err(call.error(Code::Type, format!("B of MatMulNBits is {}", call.dtype(1)?)).into());
    }
    let weights = shape.weights(call)?;
    let (a, bias) = (call.value(0)?, call.optional_value(5)?);
    let b = call.b();
    if b.dims(a).is_empty() {
        return Err(call.error(Code::Shape, "A of MatMulNBits is a scalar").into());
    }
    let a = b.convert(a, DType::F32)?;
    let weights = b.transpose(weights, &[1, 0])?;
    let (spec, operands) = product_spec(call, [a, weights])?;
    let b = call.b();
    let mut product = b.contract(&spec, operands[0], operands[1])?;
    if let Some(bias) = bias {
        let (bias, dims) = (b.convert(bias, DType::F32)?, b.dims(product).to_vec());
        let bias = b.broadcast(bias, &dims)?;
        product = b.map(Func::Add, &[product, bias])?;
    }
    one(b.convert(product, dtype)?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    /// One column of 16 codes 9, one of 16 codes 7: the zero point is 8.
    const B: &str = "b: u8[2, 1, 8] = 153 153 153 153 153 153 153 153 119 119 119 119 119 119 119 119 s: f32[2] = 2 1";

    fn model(attributes: &str, operands: &str, call: &str) -> String {
        format!("a: f32[n, 16] {operands} y = com.microsoft.MatMulNBits {{N = 2, K = 16, {attributes}}} ({call}) => y")
    }

    const A: &str = "f32[1, 16] 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 0";

    #[test]
    fn weights_of_four_bits() {
        check(&model("bits = 4, block_size = 16", B, "a, b, s"), &[A], &["f32[1, 2] 30 -15"]);
        let zeros = format!("{B} z: u8[2, 1] = 7 9");
        check(&model("bits = 4, block_size = 16", &zeros, "a, b, s, z"), &[A], &["f32[1, 2] 60 -30"]);
        let zeros = format!("{B} z: f32[2, 1] = 8.5 6 c: f32[2] = 100 200");
        check(&model("block_size = 16", &zeros, "a, b, s, z, _, c"), &[A], &["f32[1, 2] 115 215"]);
    }

    #[test]
    fn the_lowest_bits_come_first_and_the_last_block_is_cut() {
        let text = "a: f32[1, 17] b: u8[1, 2, 8] = 168 136 136 136 136 136 136 136 11 0 0 0 0 0 0 0 s: f32[1, 2] = 1 10
            y = com.microsoft.MatMulNBits {N = 1, K = 17, bits = 4, block_size = 16} (a, b, s) => y";
        check(text, &["f32[1, 17] 5 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1"], &["f32[1, 1] 32"]);
        let text = "a: f32[16] b: u8[1, 1, 4] = 228 170 170 170 s: f32[1] = 1
            y = com.microsoft.MatMulNBits {N = 1, K = 16, bits = 2, block_size = 16} (a, b, s) => y";
        check(text, &["f32[16] 1 10 100 1000 0 0 0 0 0 0 0 0 0 0 0 0"], &["f32[1] 988"]);
    }

    #[test]
    fn weights_of_eight_bits() {
        let text = "a: f16[1, 16] b: u8[1, 1, 16] = 129 127 128 128 128 128 128 128 128 128 128 128 128 128 128 128 s: f16[1] = 2
            y = com.microsoft.MatMulNBits {N = 1, K = 16, bits = 8, block_size = 16} (a, b, s) => y";
        check(text, &["f16[1, 16] 3 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"], &["f16[1, 1] 4"]);
    }

    #[test]
    fn what_is_not_served_is_named() {
        let problem = |attributes: &str, operands: &str, call: &str, want: &str| {
            check_problems(&model(attributes, &format!("{B} {operands}"), call), &[&format!("[{want}")]);
        };
        problem("bits = 3, block_size = 16", "", "a, b, s", "E006] MatMulNBits#0: MatMulNBits: codes of 3 bits");
        problem("bits = 9, block_size = 16", "", "a, b, s", "E005] MatMulNBits#0: attribute `bits` is 9");
        problem("block_size = 24", "", "a, b, s", "E005] MatMulNBits#0: attribute `block_size` is 24, which is no power of 2 from 16 on");
        problem(
            "block_size = 16",
            "g: i32[16]",
            "a, b, s, _, g",
            "E006] MatMulNBits#0: MatMulNBits: `g_idx`: columns that belong to other blocks than their own",
        );
    }
}
