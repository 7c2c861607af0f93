//! Images for a page: sheets of small pictures in colours that also colour-blind readers tell apart, as PNG in a
//! `data:` address.

use super::ReportError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use png::{BitDepth, ColorType, Compression, Encoder};

/// Pictures in a row of a sheet. Eight are still large enough on a phone.
const COLUMNS: usize = 8;

/// Between the pictures of a sheet.
const GAP: usize = 3;

/// Small pictures are enlarged to about this many pixels.
const SIDE: usize = 24;

/// Index of the transparent colour of a sheet, behind the 255 others.
const NOTHING: u8 = 255;

/// An image as a page holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Png {
    /// `data:image/png;base64,…`
    pub address: String,
    /// Width on the page, in CSS pixels.
    pub width: usize,
    /// Height on the page, in CSS pixels.
    pub height: usize,
}

/// What the colours of a sheet mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From 0 or the least value to the greatest: dark blue over green to yellow.
    Sequential,
    /// Around zero: blue below, white at, orange above.
    Diverging,
}

/// Dark blue, green, yellow: lightness grows all the way (after matplotlib's viridis).
const SEQUENTIAL: [[u8; 3]; 9] = [
    [0x44, 0x01, 0x54],
    [0x47, 0x2d, 0x7b],
    [0x3b, 0x52, 0x8b],
    [0x2c, 0x72, 0x8e],
    [0x21, 0x91, 0x8c],
    [0x28, 0xae, 0x80],
    [0x5e, 0xc9, 0x62],
    [0xad, 0xdc, 0x30],
    [0xfd, 0xe7, 0x25],
];

/// Blue, white, orange: told apart with any kind of colour vision.
const DIVERGING: [[u8; 3]; 5] =
    [[0x0b, 0x4f, 0x8a], [0x7f, 0xb5, 0xde], [0xf7, 0xf7, 0xf7], [0xf2, 0xab, 0x66], [0xa6, 0x48, 0x00]];

impl Scale {
    /// The lowest and the highest value that colours tell apart.
    pub fn range(self, values: &[f32]) -> (f32, f32) {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let (least, greatest) = (finite().fold(0.0, f32::min), finite().fold(0.0, f32::max));
        match self {
            Self::Sequential => (least, greatest),
            Self::Diverging => {
                let largest = greatest.max(-least);
                (-largest, largest)
            }
        }
    }

    /// The colours of the indices 0 to 254.
    fn palette(self) -> Vec<u8> {
        let stops: &[[u8; 3]] = match self {
            Self::Sequential => &SEQUENTIAL,
            Self::Diverging => &DIVERGING,
        };
        let mut palette = Vec::with_capacity(3 * 256);
        for index in 0..usize::from(NOTHING) {
            let place = index as f32 / 254.0 * (stops.len() - 1) as f32;
            let left = (place as usize).min(stops.len() - 2);
            let part = place - left as f32;
            palette.extend((0..3).map(|channel| {
                let [from, to] = [stops[left][channel], stops[left + 1][channel]].map(f32::from);
                (from + part * (to - from)).round() as u8
            }));
        }
        palette.extend([0; 3]);
        palette
    }
}

/// Pictures of `height` x `width` values each, row by row in one image; all share one scale of colours. On the page each
/// is `display` pixels wide, gap included.
pub fn sheet(values: &[f32], [height, width]: [usize; 2], scale: Scale, display: usize) -> Result<Png, ReportError> {
    let count = values.len() / (height * width).max(1);
    let columns = count.clamp(1, COLUMNS);
    let rows = count.div_ceil(columns).max(1);
    let enlarge = SIDE.div_ceil(height.max(width).max(1));
    let (cell_h, cell_w) = (height * enlarge, width * enlarge);
    let (image_h, image_w) = (rows * (cell_h + GAP) - GAP, columns * (cell_w + GAP) - GAP);

    let (low, high) = scale.range(values);
    let index = |value: f32| {
        let part = if high > low { (value - low) / (high - low) } else { 0.0 };
        // NaN becomes 0.
        (part.clamp(0.0, 1.0) * 254.0).round() as u8
    };
    let mut pixels = vec![NOTHING; image_h * image_w];
    for (number, picture) in values.chunks_exact((height * width).max(1)).enumerate() {
        let (top, left) = (number / columns * (cell_h + GAP), number % columns * (cell_w + GAP));
        for y in 0..cell_h {
            for x in 0..cell_w {
                pixels[(top + y) * image_w + left + x] = index(picture[y / enlarge * width + x / enlarge]);
            }
        }
    }
    let mut transparency = vec![255; usize::from(NOTHING)];
    transparency.push(0);
    let address = encode(&pixels, [image_h, image_w], ColorType::Indexed, |encoder| {
        encoder.set_palette(scale.palette());
        encoder.set_trns(transparency);
    })?;
    let display = display * columns;
    Ok(Png { address, width: display, height: (display * image_h).div_ceil(image_w) })
}

/// A photograph: 0 is black, 255 white.
pub fn photograph(pixels: &[u8], [height, width]: [usize; 2], display: usize) -> Result<Png, ReportError> {
    let address = encode(pixels, [height, width], ColorType::Grayscale, |_| ())?;
    Ok(Png { address, width: display, height: (display * height).div_ceil(width.max(1)) })
}

fn encode(
    pixels: &[u8],
    [height, width]: [usize; 2],
    color: ColorType,
    set: impl FnOnce(&mut Encoder<'_, &mut Vec<u8>>),
) -> Result<String, ReportError> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::High);
    set(&mut encoder);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(file)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Width, height and pixels of a PNG in a `data:` address.
    pub(crate) fn decode(address: &str) -> (u32, u32, Vec<u8>) {
        let file = BASE64_STANDARD.decode(address.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
        decoder.set_transformations(png::Transformations::IDENTITY);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    #[test]
    fn pictures_stand_in_rows_with_gaps() {
        // Nine 2x3 pictures: eight in the first row, one below.
        let values: Vec<f32> = (0..9 * 6).map(|value| value as f32).collect();
        let sheet = sheet(&values, [2, 3], Scale::Sequential, 54).unwrap();
        let (width, height, pixels) = decode(&sheet.address);
        let enlarge = 8;
        assert_eq!((width, height), (8 * (3 * enlarge + 3) - 3, 2 * (2 * enlarge + 3) - 3));
        let at = |y: u32, x: u32| pixels[(y * width + x) as usize];
        assert_eq!((at(0, 0), at(7, 7)), (0, 0));
        assert_eq!(at(0, 24), NOTHING);
        // The second picture begins with 6, the ninth ends with 53, the greatest.
        assert_eq!(at(0, 27), (6.0_f32 / 53.0 * 254.0).round() as u8);
        assert_eq!(at(height - 1, 23), 254);
        assert_eq!(at(height - 1, 27), NOTHING);
        assert_eq!((sheet.width, sheet.height), (8 * 54, (8 * 54 * 35_usize).div_ceil(213)));
    }

    #[test]
    fn zero_is_white_where_signs_count() {
        let (_, _, pixels) = decode(&sheet(&[-0.5, 0.0, 0.25, 0.5], [1, 1], Scale::Diverging, 54).unwrap().address);
        let own = |column: usize| pixels[column * (SIDE + GAP)];
        assert_eq!([own(0), own(1), own(2), own(3)], [0, 127, 191, 254]);
        let palette = Scale::Diverging.palette();
        assert_eq!(palette[3 * 127..3 * 128], [0xf7; 3]);
        assert_eq!(palette.len(), 3 * 256);
    }

    #[test]
    fn what_is_no_number_does_no_harm() {
        for values in [&[][..], &[f32::NAN], &[f32::INFINITY, f32::NEG_INFINITY], &[0.0; 3]] {
            sheet(values, [1, 1], Scale::Sequential, 54).unwrap();
            sheet(values, [1, 1], Scale::Diverging, 54).unwrap();
        }
    }

    #[test]
    fn lightness_grows() {
        let light = |rgb: &[u8]| 299 * u32::from(rgb[0]) + 587 * u32::from(rgb[1]) + 114 * u32::from(rgb[2]);
        let palette = Scale::Sequential.palette();
        let steps: Vec<u32> = palette.chunks(3).take(255).map(light).collect();
        // But for the rounding of a channel.
        assert!(steps.windows(2).all(|pair| pair[0] < pair[1] + 1000), "{steps:?}");
        assert!(steps[0] < steps[127] && steps[127] < steps[254]);
    }

    #[test]
    fn photographs_keep_their_pixels() {
        let pixels: Vec<u8> = (0..6).collect();
        let png = photograph(&pixels, [2, 3], 90).unwrap();
        assert_eq!(decode(&png.address), (3, 2, pixels));
        assert_eq!((png.width, png.height), (90, 60));
    }
}
