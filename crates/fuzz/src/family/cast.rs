//! Other element types.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;

/// Floats become integers only where nothing has rounded them, and where they fit.
pub fn cast(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(0..=5)?;
    let form = generator.form(x).clone();
    let targets: Vec<DType> = DType::ALL.into_iter().filter(|to| is_allowed(&form, *to)).collect();
    let common: Vec<DType> =
        targets.iter().copied().filter(|to| matches!(to, DType::F32 | DType::I64 | DType::I32 | DType::Bool)).collect();
    let to = if generator.random.chance(80) { generator.random.pick(&common)? } else { generator.random.pick(&targets)? };
    let result = emit_cast(generator, x, to)?;
    // a narrow type is left again at once, since few operators have it
    if matches!(to, DType::F32 | DType::F64 | DType::F16 | DType::I32 | DType::I64 | DType::Bool) || generator.random.chance(30) {
        return Some(result);
    }
    let wide = if to.is_float() { generator.float } else { DType::I64 };
    emit_cast(generator, result, wide)
}

/// Bools as bytes, which another operator then makes ordinary integers, or floats as integers of their size and back; of opset 26.
pub fn bits(generator: &mut Generator) -> Option<Id> {
    if generator.opset < 26 {
        return None;
    }
    if generator.random.chance(50) {
        return bits_of_floats(generator);
    }
    let x = generator.bools()?;
    let form = generator.form(x).cast(DType::U8);
    let to = generator.random.one_of([DType::U8, DType::I8]);
    let bytes = generator.emit("BitCast", &[x], vec![bits_to(to)], form.cast(to))?;
    emit_cast(generator, bytes, DType::I64)
}

fn bits_to(to: DType) -> onnx::proto::AttributeProto {
    draft::int("to", draft::data_type(to) as i64)
}

/// The bits of magnitudes, whose zeros and NaNs have no sign, cut to the highest digits. Only floats that nothing has rounded have bits
/// that are known.
fn bits_of_floats(generator: &mut Generator) -> Option<Id> {
    let x = generator.find(|_, form| matches!(form.dtype, DType::F32 | DType::F64) && form.exact)?;
    let form = generator.form(x).clone();
    let form = form.within(form.interval.absolute());
    let (codes, mask) = if form.dtype == DType::F64 { (DType::I64, 0x7fff_ffff_0000_0000i64) } else { (DType::I32, 0x7fff_0000) };
    let magnitude = generator.emit("Abs", &[x], vec![], form.clone())?;
    let numbers = form.cast(codes).within(Interval::new(0.0, mask as f64));
    let code = generator.emit("BitCast", &[magnitude], vec![bits_to(codes)], numbers.clone())?;
    generator.hide(code, true);
    let mask = generator.number(codes, mask as f64);
    let cut = generator.emit("BitwiseAnd", &[code, mask], vec![], numbers)?;
    generator.hide(cut, true);
    generator.emit("BitCast", &[cut], vec![bits_to(form.dtype)], form.within(form.interval.with_zero()))
}

fn is_allowed(form: &Form, to: DType) -> bool {
    let fits = to.int_range().is_none_or(|(low, high)| form.interval.low >= low as f64 && form.interval.high <= high as f64);
    let decided = to.is_float() || form.exact;
    // what bf16 and f16 make of numbers differs too much from peer to peer
    to != form.dtype && to != DType::BF16 && decided && (fits || to == DType::Bool)
}

fn emit_cast(generator: &mut Generator, x: Id, to: DType) -> Option<Id> {
    let form = generator.form(x).clone();
    let exact = form.exact && (!to.is_float() || is_kept(&form, to));
    let interval = if to == DType::Bool { Interval::BOOL } else { form.interval };
    let result = Form { exact: exact || !to.is_float(), interval, ..form.cast(to) };
    if generator.random.chance(15) {
        let like = generator.number(to, 0.0);
        return generator.emit("CastLike", &[x, like], vec![], result);
    }
    let attributes = vec![draft::int("to", draft::data_type(to) as i64)];
    generator.emit("Cast", &[x], attributes, result)
}

/// Whether every number of the form is one of the float type, too.
fn is_kept(form: &Form, to: DType) -> bool {
    match form.dtype.is_float() {
        true => form.dtype.unit_roundoff() >= to.unit_roundoff() && to != DType::F16,
        false => form.interval.largest() * to.unit_roundoff() < 0.5,
    }
}
