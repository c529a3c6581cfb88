//! `decode_image`: the pixels of a picture in a file's bytes, `[height, width, channels]`; `image_size`: its height and width, 0 and 0
//! where the bytes can't be decoded. Which format it is the bytes tell: PNG, JPEG, JPEG 2000, BMP, TIFF, WebP, PBM, PGM, PPM, PAM. JPEG is
//! decoded as libjpeg-turbo does, whose upsampling of chroma the standard asks for.
//!
//! Attributes: `format` Text: RGB, BGR or Grayscale. Of `decode_image` also `dims` Exprs: height and width.

use crate::view::{exactly, text};
use crate::{Fault, HostOp, View, ViewMut};
use image::{ImageError, ImageReader, Limits, RgbImage};
use ir::{Attr, Attrs, Code, DType, Strings, TensorType};
use std::io::Cursor;
use std::panic::catch_unwind;
use sym::Expr;

pub const OP: HostOp = HostOp { name: "decode_image", types, run };
pub const SIZE: HostOp = HostOp { name: "image_size", types: types_of_size, run: run_size };

/// The largest height and width.
const MOST_PIXELS: u32 = 1 << 16;
/// The most memory of a decoder.
const MOST_BYTES: u64 = 1 << 29;

fn types_of_size(operands: &[TensorType], attrs: &Attrs) -> Result<Vec<TensorType>, Fault> {
    Pixels::of(attrs)?;
    let [ty] = exactly(operands)?;
    match (ty.dtype, ty.rank()) {
        (DType::U8, 1) => Ok(vec![TensorType::new(DType::I64, vec![Expr::from(2)])]),
        _ => Err(Fault::types(format!("{ty} are no bytes of a file"))),
    }
}

fn types(operands: &[TensorType], attrs: &Attrs) -> Result<Vec<TensorType>, Fault> {
    types_of_size(operands, attrs)?;
    let channels = Expr::from(Pixels::of(attrs)?.channels() as i64);
    match attrs.get("dims") {
        Some(Attr::Exprs(dims)) if dims.len() == 2 => {
            Ok(vec![TensorType::new(DType::U8, vec![dims[0].clone(), dims[1].clone(), channels])])
        }
        other => Err(Fault::new(Code::Attribute, format!("attribute `dims`: two sizes wanted, got {other:?}"))),
    }
}

fn run_size(_: &Attrs, operands: &[View], results: &mut [ViewMut], _: &Strings) -> Result<(), Fault> {
    let picture = decoded(operands[0].bytes)?;
    results[0].write_numbers(picture.map_or([0, 0], |picture| [picture.height().into(), picture.width().into()]));
    Ok(())
}

fn run(attrs: &Attrs, operands: &[View], results: &mut [ViewMut], _: &Strings) -> Result<(), Fault> {
    let (pixels, picture) = (Pixels::of(attrs)?, decoded(operands[0].bytes)?);
    let picture = picture.unwrap_or_default();
    let dims = [picture.height() as usize, picture.width() as usize, pixels.channels()];
    if results[0].dims != dims {
        return Err(Fault::new(Code::Shape, format!("a picture of {dims:?} is no {:?}", results[0].dims)));
    }
    for (pixel, out) in picture.pixels().zip(results[0].bytes.chunks_exact_mut(pixels.channels())) {
        pixels.write(pixel.0, out);
    }
    Ok(())
}

/// How a pixel is given.
enum Pixels {
    Rgb,
    Bgr,
    Grey,
}

impl Pixels {
    fn of(attrs: &Attrs) -> Result<Pixels, Fault> {
        match text(attrs, "format")? {
            "RGB" => Ok(Pixels::Rgb),
            "BGR" => Ok(Pixels::Bgr),
            "Grayscale" => Ok(Pixels::Grey),
            other => Err(Fault::new(Code::Attribute, format!("attribute `format` is {other:?}, not RGB, BGR or Grayscale"))),
        }
    }

    fn channels(&self) -> usize {
        if let Pixels::Grey = self { 1 } else { 3 }
    }

    /// Grey is the luma of ITU-R 601.
    fn write(&self, [red, green, blue]: [u8; 3], out: &mut [u8]) {
        match self {
            Pixels::Rgb => out.copy_from_slice(&[red, green, blue]),
            Pixels::Bgr => out.copy_from_slice(&[blue, green, red]),
            Pixels::Grey => {
                let [red, green, blue] = [red, green, blue].map(u32::from);
                out[0] = ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16) as u8;
            }
        }
    }
}

/// None where the bytes can't be decoded; E008 where that would take too much.
fn decoded(bytes: &[u8]) -> Result<Option<RgbImage>, Fault> {
    let decode = || match bytes {
        [0xff, 0xd8, 0xff, ..] => jpeg(bytes),
        [0, 0, 0, 12, b'j', b'P', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => jpeg_2000(bytes),
        _ => other(bytes),
    };
    match catch_unwind(decode) {
        Ok(Ok(picture)) => Ok(Some(picture)),
        Ok(Err(Refused::TooLarge)) => Err(Fault::new(Code::Limit, "the picture is too large")),
        Ok(Err(Refused::NoPicture)) | Err(_) => Ok(None),
    }
}

enum Refused {
    TooLarge,
    NoPicture,
}

impl<E: std::error::Error> From<E> for Refused {
    fn from(_: E) -> Refused {
        Refused::NoPicture
    }
}

/// The height and width, where a decoder that needs so many bytes a pixel may start.
fn within(width: usize, height: usize, bytes: u64) -> Result<(u32, u32), Refused> {
    let most = MOST_PIXELS as usize;
    if width > most || height > most || width as u64 * height as u64 * bytes > MOST_BYTES {
        return Err(Refused::TooLarge);
    }
    Ok((width as u32, height as u32))
}

/// Coefficients of three components, and the pixels.
const BYTES_OF_JPEG: u64 = 3 * 2 + 3;

fn jpeg(bytes: &[u8]) -> Result<RgbImage, Refused> {
    let picture = mozjpeg::Decompress::new_mem(bytes)?;
    let (width, height) = within(picture.width(), picture.height(), BYTES_OF_JPEG)?;
    let inks = matches!(picture.color_space(), mozjpeg::ColorSpace::JCS_CMYK | mozjpeg::ColorSpace::JCS_YCCK);
    let mut rows = if inks { picture.to_colorspace(mozjpeg::ColorSpace::JCS_CMYK)? } else { picture.rgb()? };
    let pixels: Vec<u8> = match inks {
        true => rows.read_scanlines::<[u8; 4]>()?.iter().flat_map(|inks| [0, 1, 2].map(|at| product(inks[at], inks[3]))).collect(),
        false => rows.read_scanlines()?,
    };
    RgbImage::from_raw(width, height, pixels).ok_or(Refused::NoPicture)
}

/// Of two numbers that stand for 0 to 1. Files keep inks as what is left of the light.
fn product(a: u8, b: u8) -> u8 {
    ((u32::from(a) * u32::from(b) + 127) / 255) as u8
}

/// Coefficients of four components, some of them twice, and the pixels.
const BYTES_OF_JPEG_2000: u64 = 4 * 8 + 4;

fn jpeg_2000(bytes: &[u8]) -> Result<RgbImage, Refused> {
    let picture = hayro_jpeg2000::Image::new(bytes, &hayro_jpeg2000::DecodeSettings::default()).map_err(|_| Refused::NoPicture)?;
    let (width, height) = within(picture.width() as usize, picture.height() as usize, BYTES_OF_JPEG_2000)?;
    let channels = usize::from(picture.color_space().num_channels());
    let pixels = picture.decode().map_err(|_| Refused::NoPicture)?;
    let stride = channels + usize::from(picture.has_alpha());
    let colours = |pixel: &[u8]| match channels {
        1 => Some([pixel[0]; 3]),
        3 => Some([pixel[0], pixel[1], pixel[2]]),
        _ => None,
    };
    let pixels: Option<Vec<[u8; 3]>> = pixels.chunks_exact(stride).map(colours).collect();
    RgbImage::from_raw(width, height, pixels.ok_or(Refused::NoPicture)?.concat()).ok_or(Refused::NoPicture)
}

fn other(bytes: &[u8]) -> Result<RgbImage, Refused> {
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (Some(MOST_PIXELS), Some(MOST_PIXELS), Some(MOST_BYTES));
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits);
    match reader.decode() {
        Ok(picture) => Ok(picture.to_rgb8()),
        Err(ImageError::Limits(_)) => Err(Refused::TooLarge),
        Err(_) => Err(Refused::NoPicture),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Case;
    use ir::Array;

    /// A portable pixmap of two pixels.
    const PICTURE: &[u8] = b"P6 2 1 255\n\x01\x02\x03\xff\x80\x00";

    fn bytes(bytes: &[u8]) -> Array {
        Array::ints(DType::U8, vec![bytes.len()], bytes.iter().map(|byte| i64::from(*byte)).collect())
    }

    fn attrs(format: &str, dims: [i64; 2]) -> Attrs {
        Attrs::from([("format", Attr::Text(format.to_string())), ("dims", Attr::Exprs(dims.map(Expr::from).to_vec()))])
    }

    #[test]
    fn pixels_come_in_the_order_asked_for() {
        for (format, want) in [("RGB", vec![1, 2, 3, 255, 128, 0]), ("BGR", vec![3, 2, 1, 0, 128, 255]), ("Grayscale", vec![2, 151])] {
            let case = Case::new(&OP, attrs(format, [1, 2]));
            let dims = vec![1, 2, want.len() / 2];
            assert_eq!(case.run(&[bytes(PICTURE)], std::slice::from_ref(&dims)), Ok(vec![Array::ints(DType::U8, dims, want)]));
        }
    }

    #[test]
    fn what_is_no_picture_is_empty() {
        let size = |file: &[u8]| Case::new(&SIZE, attrs("RGB", [0, 0])).run(&[bytes(file)], &[vec![2]]).map(|out| out[0].clone());
        assert_eq!(size(PICTURE), Ok(Array::ints(DType::I64, vec![2], vec![1, 2])));
        for file in [&b""[..], b"no picture", b"\x89PNG\r\n\x1a\n", &PICTURE[..14]] {
            assert_eq!(size(file), Ok(Array::ints(DType::I64, vec![2], vec![0, 0])));
        }
        assert_eq!(size(b"P6 99999999 99999999 255\n").map_err(|fault| fault.code).unwrap_or_else(|_| bytes(b"")).count(), 0);
        let case = Case::new(&OP, attrs("RGB", [7, 7]));
        assert_eq!(case.run(&[bytes(PICTURE)], &[vec![7, 7, 3]]).unwrap_err().code, Code::Shape);
    }

    /// 7 by 6 pixels of `(36 x, 50 y, 9 x y)`, without loss.
    const JPEG_2000: &str = "\
        ff4fff51002f000000000007000000060000000000000000000000070000000600000000000000000003070101070101070101ff52000c0000000100\
        0104040001ff5c00074040484850ff640025000143726561746564206279204f70656e4a5045472076657273696f6e20322e352e34ff90000a000000\
        0000560001ff93df8050095ac9b116361b3d80dcdf805807a55297cc6477e0735020df806008ed81cba89aa8538a3924df80a1f502800cbdb31e7fc3\
        ea039f80347e00401a7e3f214cc08a044f1a80ffd9\
        ";

    fn jpeg_2000_file() -> Vec<u8> {
        let digits = JPEG_2000.as_bytes().chunks(2);
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// 7 by 6 pixels of one colour.
    fn jpeg_file() -> Vec<u8> {
        let mut file = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
        file.set_size(7, 6);
        let mut file = file.start_compress(Vec::new()).unwrap();
        file.write_scanlines(&[200u8, 100, 50].repeat(42)).unwrap();
        file.finish().unwrap()
    }

    #[test]
    fn photographs_are_decoded() {
        let picture = decoded(&jpeg_2000_file()).unwrap().unwrap();
        assert_eq!((picture.width(), picture.height()), (7, 6));
        picture.enumerate_pixels().for_each(|(x, y, pixel)| assert_eq!(pixel.0, [36 * x, 50 * y, 9 * x * y].map(|part| part as u8)));
        let picture = decoded(&jpeg_file()).unwrap().unwrap();
        assert_eq!((picture.width(), picture.height()), (7, 6));
        picture.pixels().for_each(|pixel| assert!(pixel.0.iter().zip([200u8, 100, 50]).all(|(got, want)| got.abs_diff(want) <= 2)));
    }

    #[test]
    fn damage_is_refused_or_decoded() {
        let mut state = 1u64;
        let mut below = |limit: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % limit
        };
        for file in [jpeg_file(), jpeg_2000_file()] {
            for _ in 0..400 {
                let mut damaged = file[..file.len() - below(file.len()) / 8].to_vec();
                (0..=below(4)).for_each(|_| {
                    let at = below(damaged.len());
                    damaged[at] = below(256) as u8;
                });
                let _ = decoded(&damaged);
            }
        }
    }
}
