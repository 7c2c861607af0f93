//! The procedural stand-in: garments drawn by code, for machines without network or files.
//!
//! Same shapes, splits and classes as Fashion-MNIST, and hard enough that learning shows. It is no substitute for
//! the data: figures on it compare with nothing published. Only `+ - * /`, comparisons and our own generator are
//! used, so that the bytes are the same on every IEEE 754 machine.

mod canvas;
mod cloth;
mod garments;

use crate::dataset::{CLASSES, Dataset, DatasetName, Origin, PIXELS, SIDE, Split};
use crate::rng::SplitMix64;
use canvas::{Canvas, Pose};
use cloth::Cloth;

/// The seed of the stand-in that [`Finder`](crate::Finder) falls back to.
pub const STAND_IN_SEED: u64 = 28;

const TRAIN_STREAM: u64 = u64::from_be_bytes(*b"st-train");
const TEST_STREAM: u64 = u64::from_be_bytes(*b"st--test");

/// Draws `train_n` + `test_n` images of the ten classes, each split balanced to within one image per class and in
/// random order.
///
/// The same arguments give the same bytes on every platform. Image `i` of a split depends on the seed, `i` and its
/// class only. Numerics: 8-bit, background exactly 0 except for rare specks.
pub fn synthetic(train_n: u32, test_n: u32, seed: u64) -> Dataset {
    Dataset {
        name: DatasetName::Synthetic,
        origin: Origin::StandIn { reason: "asked for".to_owned() },
        train: draw_split(train_n, seed, TRAIN_STREAM),
        test: draw_split(test_n, seed, TEST_STREAM),
    }
}

fn draw_split(count: u32, seed: u64, stream: u64) -> Split {
    let mut labels: Vec<u8> = (0..count).map(|i| (i % CLASSES.len() as u32) as u8).collect();
    SplitMix64::keyed(&[seed, stream]).shuffle(&mut labels);
    let mut images = vec![0; labels.len() * PIXELS];
    for ((i, image), &label) in (0u64..).zip(images.chunks_exact_mut(PIXELS)).zip(&labels) {
        draw(image, label, &mut SplitMix64::keyed(&[seed, stream, i]));
    }
    Split::new(images, labels)
}

/// One image: silhouette, then cloth, then light and noise.
fn draw(image: &mut [u8], label: u8, rng: &mut SplitMix64) {
    let mut canvas = Canvas::new(Pose {
        scale: [rng.range(0.82, 1.04), rng.range(0.86, 1.04)],
        shear: rng.range(-0.09, 0.09),
        shift: [rng.range(-1.6, 1.6), rng.range(-1.4, 1.4)],
    });
    garments::draw(&mut canvas, label, rng);

    let cloth = Cloth::random(rng);
    // Skewed towards bright, as photographed clothes are; the dark ones are the hard ones.
    let brightness = 255.0 * (1.0 - 0.78 * rng.unit() * rng.unit());
    let light = [rng.range(-0.014, 0.014), rng.range(-0.014, 0.014)];
    let noise = rng.range(0.02, 0.13);
    let specks = if rng.chance(0.15) { 0.02 } else { 0.0 };

    for (i, (pixel, shade)) in image.iter_mut().zip(canvas.shades()).enumerate() {
        let random = rng.next_u64();
        if shade <= 0.0 {
            let lower = (random & 0xffff) as f32 / 65_536.0;
            if lower < specks {
                *pixel = (random >> 56) as u8 / 8;
            }
            continue;
        }
        let (x, y) = (i % SIDE, i / SIDE);
        let lit = 1.0 + light[0] * (x as f32 - 13.5) + light[1] * (y as f32 - 13.5);
        // The sum of two uniforms is a triangle, bell-shaped enough for grain.
        let grain = ((random & 0xffff) + (random >> 16 & 0xffff)) as f32 / 65_536.0 - 1.0;
        let ink = shade * cloth.at(x, y) * lit * brightness + grain * noise * 255.0 * shade.min(1.0);
        // Rounds to nearest; the cast saturates.
        *pixel = (ink + 0.5) as u8;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::verify::hex;

    /// Of `synthetic(300, 100, STAND_IN_SEED)`: training images, labels, test images, labels.
    const GOLDEN: &str = "b283943a7f4eeeb66e612641176370d76075d4ae6f4c54a9545837437026b6cd";

    #[test]
    fn the_same_bytes_everywhere() {
        let data = synthetic(300, 100, STAND_IN_SEED);
        assert_eq!(data, synthetic(300, 100, STAND_IN_SEED));
        assert_ne!(data.train, synthetic(300, 100, STAND_IN_SEED + 1).train);
        let mut hash = Sha256::new();
        for split in [&data.train, &data.test] {
            hash.update(split.images());
            hash.update(split.labels());
        }
        assert_eq!(hex(&hash.finalize()), GOLDEN);
    }

    #[test]
    fn classes_are_balanced_and_shuffled() {
        let data = synthetic(1000, 205, 1);
        assert_eq!(data.name, DatasetName::Synthetic);
        assert_eq!(data.train.class_counts(), [100; 10]);
        assert!(data.test.class_counts().iter().all(|&n| n == 20 || n == 21));
        assert_ne!(data.train.labels()[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn every_image_shows_something_and_none_are_equal() {
        let data = synthetic(2000, 0, 3);
        let mut seen = HashSet::new();
        for image in data.train.images().chunks_exact(PIXELS) {
            let ink = image.iter().filter(|&&pixel| pixel > 20).count();
            assert!((40..700).contains(&ink), "{ink} pixels of ink");
            assert!(seen.insert(image));
        }
        assert!(data.test.is_empty());
    }
}
