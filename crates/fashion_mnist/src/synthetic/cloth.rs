//! What the garment is made of: a factor for each pixel.

use crate::dataset::SIDE;
use crate::rng::SplitMix64;

/// Side of a blotch in pixels.
const BLOTCH: usize = 4;

pub(super) struct Cloth {
    columns: [f32; SIDE],
    rows: [f32; SIDE],
    blotches: [[f32; SIDE / BLOTCH]; SIDE / BLOTCH],
    /// A printed rectangle: left, top, right, bottom, factor.
    print: Option<([usize; 4], f32)>,
}

impl Cloth {
    /// Plain, striped one way or both, blotched, and sometimes with a print on it.
    pub(super) fn random(rng: &mut SplitMix64) -> Self {
        let mut cloth = Self {
            columns: [1.0; SIDE],
            rows: [1.0; SIDE],
            blotches: [[1.0; SIDE / BLOTCH]; SIDE / BLOTCH],
            print: None,
        };
        let kind = rng.below(10);
        if matches!(kind, 4 | 5 | 7) {
            cloth.rows = stripes(rng);
        }
        if matches!(kind, 6 | 7) {
            cloth.columns = stripes(rng);
        }
        if matches!(kind, 8 | 9) {
            let depth = rng.range(0.1, 0.6);
            for factor in cloth.blotches.iter_mut().flatten() {
                *factor = 1.0 - depth * rng.unit();
            }
        }
        if rng.chance(0.2) {
            let left = 7 + rng.below(5) as usize;
            let top = 6 + rng.below(7) as usize;
            let right = left + 3 + rng.below(8) as usize;
            let bottom = top + 2 + rng.below(7) as usize;
            cloth.print = Some(([left, top, right, bottom], rng.range(0.3, 1.5)));
        }
        cloth
    }

    /// The factor at this pixel.
    pub(super) fn at(&self, x: usize, y: usize) -> f32 {
        let factor = self.columns[x] * self.rows[y] * self.blotches[y / BLOTCH][x / BLOTCH];
        match self.print {
            Some(([left, top, right, bottom], print)) if (left..right).contains(&x) && (top..bottom).contains(&y) => {
                factor * print
            }
            _ => factor,
        }
    }
}

/// Dark stripes of random period, phase and depth.
fn stripes(rng: &mut SplitMix64) -> [f32; SIDE] {
    let period = 2 + rng.below(6) as usize;
    let phase = rng.below(8) as usize;
    let width = period.div_ceil(2);
    let dark = 1.0 - rng.range(0.15, 0.7);
    std::array::from_fn(|i| if (i + phase) % period < width { 1.0 } else { dark })
}
