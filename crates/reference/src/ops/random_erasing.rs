//! Random erasing: a rectangle of every other image is painted over.

use crate::cases::{Case, Cases, ErrorCase};
use crate::philox::philox4x32;
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `y = value` inside of the image's rectangle, `x` outside; the same rectangle for all channels.
///
/// Image `i` of the batch has one if `floor(philox4x32([i, 10, step, 2], seed)[0] / 2^8) < probability * 2^24`.
/// Up to ten times, for `a` from 0, it draws `words = philox4x32([i, a, step, 2], seed)`. With
/// `u(word) = floor(word / 2^8) / 2^24`: `area = h * w * (min_area + (max_area - min_area) * u(words[0]))`;
/// `aspect = min_aspect * (max_aspect / min_aspect)^u(words[1])`; `height = round(sqrt(area * aspect))`;
/// `width = round(sqrt(area / aspect))`. The first that is smaller than the image along both axes is taken, at
/// row `floor(words[2] * (h - height + 1) / 2^32)` and column `floor(words[3] * (w - width + 1) / 2^32)`;
/// if none is, the image stays as it is.
///
/// - Shapes: `x`, `y` image `[n, c, h, w]`; `counter` index `[4]` (step, position, seed low, seed high).
/// - Writes: `y`, `=`.
/// - Numerics: pixels are copied, exactly. A height or width within a few units in the last place of a half
///   may be rounded the other way on a device, about once in a million images. Deterministic: a function
///   of seed, step and image, so that a resumed run draws the same.
/// - Errors: a zero size, tensors past [`crate::MAX_ELEMENTS`]; a probability outside of `[0, 1]`, areas or
///   aspects that are out of order or outside of `(0, 1]` and `[0.001, 1000]`, a value that is not finite.
/// - Source: Zhong et al., "Random erasing data augmentation", 2020, in the form of torchvision's
///   `RandomErasing`; Salmon et al. 2011 for Philox.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomErasing {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// What is erased.
    pub config: ErasingConfig,
}

/// What [`RandomErasing`] erases. The default is torchvision's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErasingConfig {
    /// The share of images that lose a rectangle.
    pub probability: f32,
    /// The smallest rectangle, as a share of the image.
    pub min_area: f32,
    /// The largest rectangle, as a share of the image.
    pub max_area: f32,
    /// The smallest height over width.
    pub min_aspect: f32,
    /// The largest height over width.
    pub max_aspect: f32,
    /// What is painted. Images are normalised by now, so that black is the normalised 0.
    pub value: f32,
}

impl Default for ErasingConfig {
    fn default() -> Self {
        Self { probability: 0.5, min_area: 0.02, max_area: 0.33, min_aspect: 0.3, max_aspect: 3.3, value: 0.0 }
    }
}

/// How often a rectangle is drawn until it fits.
const ATTEMPTS: u32 = 10;

/// What one image loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rectangle {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

impl RandomErasing {
    /// Over a batch of images `[n, c, h, w]`.
    pub fn new([n, c, h, w]: [usize; 4], config: ErasingConfig) -> Result<Self, Error> {
        let op = Self::NAME;
        let this = Self { n, c, h, w, config };
        this.x().check(op, "x")?;
        let ErasingConfig { probability, min_area, max_area, min_aspect, max_aspect, value } = config;
        for (what, got, fits, range) in [
            ("probability", probability, (0.0..=1.0).contains(&probability), "between 0 and 1"),
            ("min_area", min_area, min_area > 0.0 && min_area <= max_area, "above 0 and at most max_area"),
            ("max_area", max_area, max_area <= 1.0, "at most 1"),
            (
                "min_aspect",
                min_aspect,
                (1e-3..=max_aspect).contains(&min_aspect),
                "at least 0.001 and at most max_aspect",
            ),
            ("max_aspect", max_aspect, max_aspect <= 1e3, "at most 1000"),
            ("value", value, value.is_finite(), "finite"),
        ] {
            if !fits {
                return Err(Error::OutOfRange { op, what, got: got.into(), range });
            }
        }
        Ok(this)
    }

    fn x(&self) -> TensorSpec {
        TensorSpec::image(self.n, self.c, self.h, self.w)
    }

    fn rectangle(&self, image: usize, counter: &[u32]) -> Option<Rectangle> {
        let words = |draw| philox4x32([image as u32, draw, counter[0], 2], [counter[2], counter[3]]);
        let unit = |word: u32| f64::from(word >> 8) / 16_777_216.0;
        let ErasingConfig { probability, min_area, max_area, min_aspect, max_aspect, .. } = self.config;
        let [min_area, max_area, min_aspect, max_aspect] = [min_area, max_area, min_aspect, max_aspect].map(f64::from);
        if unit(words(ATTEMPTS)[0]) >= f64::from(probability) {
            return None;
        }
        (0..ATTEMPTS).find_map(|attempt| {
            let [area, aspect, row, column] = words(attempt);
            let area = (self.h * self.w) as f64 * (min_area + (max_area - min_area) * unit(area));
            let aspect = min_aspect * (max_aspect / min_aspect).powf(unit(aspect));
            let size = |area: f64| area.sqrt().round_ties_even() as usize;
            let (height, width) = (size(area * aspect), size(area / aspect));
            let below = |word: u32, bound: usize| ((u64::from(word) * bound as u64) >> 32) as usize;
            (height < self.h && width < self.w).then(|| Rectangle {
                top: below(row, self.h - height + 1),
                left: below(column, self.w - width + 1),
                height,
                width,
            })
        })
    }

    fn forward<T: Real>(&self, x: &[T], counter: &[u32], y: &mut [T]) {
        y.copy_from_slice(x);
        let plane = self.h * self.w;
        for (number, y) in y.chunks_mut(plane).enumerate() {
            let Some(Rectangle { top, left, height, width }) = self.rectangle(number / self.c, counter) else {
                continue;
            };
            for row in top..top + height {
                y[row * self.w + left..][..width].fill(T::from_f64(self.config.value.into()));
            }
        }
    }
}

impl Contract for RandomErasing {
    const NAME: &'static str = "random_erasing";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => {
                vec![Arg::read("x", self.x()), Arg::read("counter", TensorSpec::index([4])), Arg::write("y", self.x())]
            }
            _ => vec![],
        }
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs, outputs) {
            (Direction::Fwd, [x, counter], [y]) => self.forward(x.real(), counter.index(), y.real_mut()),
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, _direction: Direction) -> usize {
        1
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, _direction: Direction) -> u64 {
        self.x().len() as u64
    }

    fn domain(&self, arg: &str) -> Domain {
        if arg == "counter" { Domain::Below(u32::MAX) } else { Domain::Real }
    }
}

/// The usual rectangles on the networks' images; never, always, large, thin and tiny ones; images in which
/// none fits.
pub fn cases() -> Vec<Case> {
    let usual = ErasingConfig::default();
    let always = ErasingConfig { probability: 1.0, value: -0.75, ..usual };
    let mut cases = Cases::default();
    for (name, sizes, config) in [
        ("usual", [16, 1, 28, 28], usual),
        ("never", [5, 1, 9, 12], ErasingConfig { probability: 0.0, ..usual }),
        ("always", [9, 1, 28, 28], always),
        ("always-even", [8, 2, 6, 10], always),
        ("colour", [5, 3, 13, 11], always),
        ("four-channels", [5, 4, 7, 9], always),
        ("large", [9, 1, 12, 15], ErasingConfig { min_area: 0.7, max_area: 1.0, ..always }),
        ("tiny", [9, 1, 12, 15], ErasingConfig { min_area: 0.001, max_area: 0.01, ..always }),
        ("thin", [9, 1, 20, 17], ErasingConfig { min_aspect: 8.0, max_aspect: 12.0, ..always }),
        ("wide", [9, 1, 20, 17], ErasingConfig { min_aspect: 0.05, max_aspect: 0.1, ..always }),
        ("one-size", [9, 1, 16, 16], ErasingConfig { min_area: 0.25, max_area: 0.25, ..always }),
        ("one-pixel", [5, 2, 1, 1], always),
        ("one-row", [5, 1, 1, 13], always),
        ("one-column", [5, 1, 13, 1], always),
        ("one-image", [1, 1, 8, 8], always),
        ("images-65", [65, 1, 5, 4], always),
        ("images-129", [129, 1, 4, 3], usual),
    ] {
        cases.add(name, RandomErasing::new(sizes, config));
    }
    cases.0
}

/// Images and rectangles that cannot be.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{OutOfRange, TooLarge, ZeroSize};
    let usual = ErasingConfig::default();
    let sized = |sizes| RandomErasing::new(sizes, usual);
    let of = |config| RandomErasing::new([2, 1, 3, 4], config);
    vec![
        ErrorCase::new("empty batch", sized([0, 1, 3, 4]), ZeroSize, "x"),
        ErrorCase::new("no rows", sized([2, 1, 0, 4]), ZeroSize, "x"),
        ErrorCase::new("past i32", sized([1 << 16, 1, 1 << 8, 1 << 8]), TooLarge, "x"),
        ErrorCase::new("past usize", sized([usize::MAX, 2, 2, 2]), TooLarge, "x"),
        ErrorCase::new("more than always", of(ErasingConfig { probability: 1.1, ..usual }), OutOfRange, "probability"),
        ErrorCase::new("perhaps", of(ErasingConfig { probability: f32::NAN, ..usual }), OutOfRange, "probability"),
        ErrorCase::new("no area", of(ErasingConfig { min_area: 0.0, ..usual }), OutOfRange, "min_area"),
        ErrorCase::new("areas out of order", of(ErasingConfig { min_area: 0.5, ..usual }), OutOfRange, "min_area"),
        ErrorCase::new("more than all", of(ErasingConfig { max_area: 1.5, ..usual }), OutOfRange, "max_area"),
        ErrorCase::new("no height", of(ErasingConfig { min_aspect: 0.0, ..usual }), OutOfRange, "min_aspect"),
        ErrorCase::new(
            "aspects out of order",
            of(ErasingConfig { min_aspect: 4.0, ..usual }),
            OutOfRange,
            "min_aspect",
        ),
        ErrorCase::new("no width", of(ErasingConfig { max_aspect: 1e4, ..usual }), OutOfRange, "max_aspect"),
        ErrorCase::new("value not a number", of(ErasingConfig { value: f32::NAN, ..usual }), OutOfRange, "value"),
    ]
}

/// Any images of up to 2048 pixels in all, with any rectangles.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let c = if random.one_in(2) { 1 } else { random.size(5) };
    let [h, w] = [random.between(1, 30), random.between(1, 30)];
    if c * h * w > 2048 {
        return None;
    }
    let n = random.size((2048 / (c * h * w)).min(32));
    let [mut min_area, mut max_area] = [random.magnitude(0.005, 1.0) as f32, random.magnitude(0.005, 1.0) as f32];
    if min_area > max_area {
        (min_area, max_area) = (max_area, min_area);
    }
    let min_aspect = random.magnitude(0.1, 3.0);
    let config = ErasingConfig {
        probability: random.choose([0.0, 0.25, 0.5, 1.0, 1.0]),
        min_area,
        max_area,
        min_aspect: min_aspect as f32,
        max_aspect: (min_aspect * random.magnitude(1.01, 10.0)) as f32,
        value: 2.0 * random.unit() as f32 - 1.0,
    };
    Some(Arc::new(RandomErasing::new([n, c, h, w], config).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(sizes: [usize; 4], config: ErasingConfig) -> RandomErasing {
        RandomErasing::new(sizes, config).expect("an erasing")
    }

    #[test]
    fn the_rectangle_and_nothing_else_is_painted() {
        let config = ErasingConfig { probability: 1.0, value: -1.0, ..Default::default() };
        let op = op([3, 2, 8, 9], config);
        let counter = [5, 0, 6, 7];
        let x = Array::Real((0..432).map(f64::from).collect());
        let mut y = Array::Real(vec![f64::NAN; 432]);
        op.compute(Direction::Fwd, &[&x, &Array::Index(counter.to_vec())], &mut [&mut y]).expect("a batch");
        let mut painted = 0;
        for (index, y) in y.real().iter().enumerate() {
            let (image, row, column) = (index / 144, index / 9 % 8, index % 9);
            let Rectangle { top, left, height, width } = op.rectangle(image, &counter).expect("a rectangle");
            let inside = row >= top && row < top + height && column >= left && column < left + width;
            assert_eq!(*y, if inside { -1.0 } else { index as f64 });
            painted += usize::from(inside);
        }
        assert!(painted > 0);
    }

    #[test]
    fn rectangles_are_as_asked_for() {
        let config = ErasingConfig { probability: 0.3, min_area: 0.1, max_area: 0.2, ..Default::default() };
        let op = op([10_000, 1, 100, 120], config);
        let drawn: Vec<Rectangle> = (0..10_000).filter_map(|image| op.rectangle(image, &[1, 0, 2, 3])).collect();
        assert!((2700..3300).contains(&drawn.len()), "{} of 10,000", drawn.len());
        let (mut area, mut log_aspect) = (0.0, 0.0);
        for Rectangle { top, left, height, width } in &drawn {
            assert!(top + height <= 100 && left + width <= 120);
            let share = (height * width) as f64 / 12_000.0;
            let aspect = *height as f64 / *width as f64;
            assert!((0.09..0.22).contains(&share) && (0.28..3.5).contains(&aspect), "{share} {aspect}");
            area += share / drawn.len() as f64;
            log_aspect += aspect.ln() / drawn.len() as f64;
        }
        assert!((area - 0.15).abs() < 0.01 && log_aspect.abs() < 0.1, "{area} {log_aspect}");
        // Both ends of the places are reached.
        for (fits, what) in [
            (drawn.iter().any(|r| r.top == 0), "top"),
            (drawn.iter().any(|r| r.left == 0), "left"),
            (drawn.iter().any(|r| r.top + r.height == 100), "bottom"),
            (drawn.iter().any(|r| r.left + r.width == 120), "right"),
        ] {
            assert!(fits, "{what}");
        }
    }

    #[test]
    fn what_does_not_fit_is_not_erased() {
        let config = ErasingConfig { probability: 1.0, min_area: 1.0, max_area: 1.0, ..Default::default() };
        assert!((0..100).all(|image| op([100, 1, 1, 5], config).rectangle(image, &[1, 0, 2, 3]).is_none()));
    }
}
