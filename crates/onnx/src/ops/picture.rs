//! Pictures from the bytes of files, by steps of the host.

use super::Entry;
use crate::import::{Call, Outcome, one};
use ir::{Attr, Attrs};
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("ImageDecoder", 20, decode)];

/// The largest height and width.
const MOST_PIXELS: i64 = 1 << 16;

fn decode(call: &mut Call) -> Outcome {
    let format = call.text("pixel_format")?.unwrap_or("RGB").to_string();
    let file = call.value(0)?;
    let mut attrs = Attrs::from([("format", Attr::Text(format))]);
    let size = call.b().one("image_size", attrs.clone(), &[file])?;
    let mut dims = Vec::new();
    for axis in 0..2 {
        let part = call.b().slice_axis(size, 0, &Expr::from(axis), &Expr::one())?;
        dims.push(call.computed_size(part, &Expr::from(MOST_PIXELS))?);
    }
    attrs.insert("dims", Attr::Exprs(dims));
    one(call.b().one("decode_image", attrs, &[file])?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn a_picture_has_its_own_size() {
        let text = "x: u8[n] y = ImageDecoder {pixel_format = \"BGR\"} (x) => y";
        // P6 1 2 255, and two pixels
        check(text, &["u8[17] 80 54 32 49 32 50 32 50 53 53 10 1 2 3 4 5 6"], &["u8[2, 1, 3] 3 2 1 6 5 4"]);
        check(text, &["u8[2] 1 2"], &["u8[0, 0, 3]"]);
        let text = text.replace("BGR", "CMYK");
        check_problems(&text, &["[E005] ImageDecoder#0: attribute `format` is \"CMYK\", not RGB, BGR or Grayscale"]);
    }
}
