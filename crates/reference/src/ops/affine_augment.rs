//! Random rotations, zooms, shears, shifts and flips of a batch's images.

use crate::cases::{Case, Cases, ErrorCase};
use crate::philox::philox4x32;
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `y[i,c,p,q] = sample(x[i,c], source_i(p, q))`, bilinear, another `source_i` for each image.
///
/// Of the pixel's place relative to the image's centre, `v = (p - (h-1)/2, q - (w-1)/2)` as (row, column):
///
/// 1. flips: `v_col = -v_col` if flipped horizontally, `v_row = -v_row` if vertically;
/// 2. zoom: `v = (zoom_row * v_row, zoom_col * v_col)`: a factor below 1 enlarges the image;
/// 3. shear: `v = (v_row - sin(shear) * v_col, cos(shear) * v_col)`;
/// 4. shift: `v = v + (shift_row, shift_col)`;
/// 5. rotation: `v = (cos(angle) * v_row - sin(angle) * v_col, sin(angle) * v_row + cos(angle) * v_col)`;
///
/// and `source = v + ((h-1)/2, (w-1)/2)`. What lies outside of the image, [`Fill`] says.
///
/// Image `i` of the batch draws `a = philox4x32([i, 0, step, 1], seed)` and `b = philox4x32([i, 1, step, 1],
/// seed)`. With `u(word) = 2 * floor(word / 2^8) / 2^24 - 1`, in `[-1, 1)`: `angle = rotation * u(a0)`,
/// `shift_row = shift_h * h * u(a1)`, `shift_col = shift_w * w * u(a2)`, `shear * u(a3)`,
/// `zoom_row = 1 + zoom * u(b0)`, `zoom_col = 1 + zoom * u(b1)`; it is flipped horizontally if flips are asked
/// for and the highest bit of `b2` is set, vertically by that of `b3`.
///
/// - Shapes: `counter` index `[4]` (step, position, seed low, seed high); `x`, `y` image `[n, c, h, w]`.
/// - Writes: `y`, `=`.
/// - Numerics: `f64`, rounded once. A pixel that falls onto another is that pixel to the last bit, so that
///   without any range `y` is `x`, and flips alone are exact. On a device the source is rounded to a few
///   units in the last place of the image's size. Deterministic: a function of seed, step and image, so that
///   a resumed run draws the same.
/// - Errors: a zero size, tensors past [`crate::MAX_ELEMENTS`]; a rotation outside of `[0, 180]` degrees,
///   a shear outside of `[0, 80]`, a shift outside of `[0, 1]`, a zoom outside of `[0, 1)`, a fill value that is
///   not finite.
/// - Source: Keras' `ImageDataGenerator` (order of the transformations, their ranges, interpolation of order 1);
///   Salmon et al. 2011 for Philox.
#[derive(Clone, Debug, PartialEq)]
pub struct AffineAugment {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// How far images are moved at most.
    pub ranges: AffineRanges,
    /// What lies outside of an image.
    pub fill: Fill,
}

/// How far [`AffineAugment`] moves an image at most. The default is not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AffineRanges {
    /// Degrees to each side.
    pub rotation: f32,
    /// Share of the height, up and down.
    pub shift_h: f32,
    /// Share of the width, to the left and to the right.
    pub shift_w: f32,
    /// Degrees to each side.
    pub shear: f32,
    /// How far a zoom factor is from 1, along each axis by itself.
    pub zoom: f32,
    /// Whether every other image is mirrored left to right.
    pub flip_horizontal: bool,
    /// Whether every other image is mirrored top to bottom.
    pub flip_vertical: bool,
}

/// What lies outside of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Fill {
    /// The nearest pixel of the border, as Keras does unless told otherwise.
    #[default]
    Nearest,
    /// This value, into which the border fades over one pixel. Images are normalised by now, so that
    /// black is the normalised 0.
    Constant(f32),
}

/// What one image draws, in pixels and radians.
struct Draw {
    angle: f64,
    shift: [f64; 2],
    shear: f64,
    zoom: [f64; 2],
    flip: [bool; 2],
}

impl Draw {
    /// Where the pixel comes from whose place relative to the centre is `v`, relative to the centre.
    fn source(&self, [mut row, mut col]: [f64; 2]) -> [f64; 2] {
        if self.flip[0] {
            row = -row;
        }
        if self.flip[1] {
            col = -col;
        }
        (row, col) = (self.zoom[0] * row, self.zoom[1] * col);
        (row, col) = (row - self.shear.sin() * col, self.shear.cos() * col);
        (row, col) = (row + self.shift[0], col + self.shift[1]);
        let (sin, cos) = self.angle.sin_cos();
        [cos * row - sin * col, sin * row + cos * col]
    }
}

/// `a` and `b` mixed; `a` itself at 0, whatever `b` is.
fn mix(a: f64, b: f64, share: f64) -> f64 {
    if share == 0.0 { a } else { a + share * (b - a) }
}

impl AffineAugment {
    /// Over a batch of images `[n, c, h, w]`.
    pub fn new([n, c, h, w]: [usize; 4], ranges: AffineRanges, fill: Fill) -> Result<Self, Error> {
        let op = Self::NAME;
        let this = Self { n, c, h, w, ranges, fill };
        this.x().check(op, "x")?;
        let AffineRanges { rotation, shift_h, shift_w, shear, zoom, .. } = ranges;
        for (what, got, fits, range) in [
            ("rotation", rotation, (0.0..=180.0).contains(&rotation), "between 0 and 180 degrees"),
            ("shift_h", shift_h, (0.0..=1.0).contains(&shift_h), "between 0 and 1"),
            ("shift_w", shift_w, (0.0..=1.0).contains(&shift_w), "between 0 and 1"),
            ("shear", shear, (0.0..=80.0).contains(&shear), "between 0 and 80 degrees"),
            ("zoom", zoom, (0.0..1.0).contains(&zoom), "at least 0 and below 1"),
        ] {
            if !fits {
                return Err(Error::OutOfRange { op, what, got: got.into(), range });
            }
        }
        match fill {
            Fill::Constant(value) if !value.is_finite() => {
                Err(Error::OutOfRange { op, what: "fill", got: value.into(), range: "finite" })
            }
            _ => Ok(this),
        }
    }

    fn x(&self) -> TensorSpec {
        TensorSpec::image(self.n, self.c, self.h, self.w)
    }

    fn draw(&self, image: usize, counter: &[u32]) -> Draw {
        let words = |draw| philox4x32([image as u32, draw, counter[0], 1], [counter[2], counter[3]]);
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (words(0), words(1));
        let unit = |word: u32| 2.0 * f64::from(word >> 8) / 16_777_216.0 - 1.0;
        let within = |range: f32, word| f64::from(range) * unit(word);
        let AffineRanges { rotation, shift_h, shift_w, shear, zoom, flip_horizontal, flip_vertical } = self.ranges;
        Draw {
            angle: within(rotation, a0).to_radians(),
            shift: [within(shift_h, a1) * self.h as f64, within(shift_w, a2) * self.w as f64],
            shear: within(shear, a3).to_radians(),
            zoom: [1.0 + within(zoom, b0), 1.0 + within(zoom, b1)],
            flip: [flip_vertical && b3 >> 31 == 1, flip_horizontal && b2 >> 31 == 1],
        }
    }

    /// One channel of one image at any place.
    fn sample<T: Real>(&self, plane: &[T], [row, col]: [f64; 2]) -> f64 {
        let (top, left) = (row.floor(), col.floor());
        let pixel = |row: f64, col: f64| {
            let (last_row, last_col) = ((self.h - 1) as f64, (self.w - 1) as f64);
            match self.fill {
                Fill::Constant(value) if row < 0.0 || row > last_row || col < 0.0 || col > last_col => value.into(),
                _ => plane[row.clamp(0.0, last_row) as usize * self.w + col.clamp(0.0, last_col) as usize].to_f64(),
            }
        };
        let upper = mix(pixel(top, left), pixel(top, left + 1.0), col - left);
        let lower = mix(pixel(top + 1.0, left), pixel(top + 1.0, left + 1.0), col - left);
        mix(upper, lower, row - top)
    }

    fn forward<T: Real>(&self, counter: &[u32], x: &[T], y: &mut [T]) {
        let plane = self.h * self.w;
        let centre = [(self.h - 1) as f64 / 2.0, (self.w - 1) as f64 / 2.0];
        for (number, (x, y)) in x.chunks(plane).zip(y.chunks_mut(plane)).enumerate() {
            let draw = self.draw(number / self.c, counter);
            for p in 0..self.h {
                for q in 0..self.w {
                    let [row, col] = draw.source([p as f64 - centre[0], q as f64 - centre[1]]);
                    y[p * self.w + q] = T::from_f64(self.sample(x, [row + centre[0], col + centre[1]]));
                }
            }
        }
    }
}

impl Contract for AffineAugment {
    const NAME: &'static str = "affine_augment";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    /// `counter` comes first: the harness puts NaN into the first argument, and whether a neighbour of
    /// vanishing weight counts is a matter of rounding.
    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => {
                vec![Arg::read("counter", TensorSpec::index([4])), Arg::read("x", self.x()), Arg::write("y", self.x())]
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
            (Direction::Fwd, [counter, x], [y]) => self.forward(counter.index(), x.real(), y.real_mut()),
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    /// A source is off by some units in the last place of the image's size, and the image has slopes of 2.
    fn terms(&self, _direction: Direction) -> usize {
        16 + 8 * (self.h + self.w)
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        let AffineRanges { rotation, shift_h, shift_w, shear, zoom, .. } = self.ranges;
        [rotation, shift_h, shift_w, shear, zoom].iter().all(|range| *range == 0.0)
    }

    fn flops(&self, _direction: Direction) -> u64 {
        20 * self.x().len() as u64
    }

    fn domain(&self, arg: &str) -> Domain {
        if arg == "counter" { Domain::Below(u32::MAX) } else { Domain::Real }
    }
}

/// Each transformation by itself and all together, with either fill; the networks' images; one channel and
/// several; images of one row, one column and one pixel.
pub fn cases() -> Vec<Case> {
    let none = AffineRanges::default();
    let all = AffineRanges {
        rotation: 20.0,
        shift_h: 0.1,
        shift_w: 0.2,
        shear: 15.0,
        zoom: 0.2,
        flip_horizontal: true,
        flip_vertical: true,
    };
    let mut cases = Cases::default();
    for (name, sizes, ranges) in [
        ("identity", [3, 1, 28, 28], none),
        ("identity-even", [3, 2, 6, 9], none),
        ("rotation", [5, 1, 13, 11], AffineRanges { rotation: 30.0, ..none }),
        ("half-turns", [5, 2, 9, 12], AffineRanges { rotation: 180.0, ..none }),
        ("shift-h", [5, 1, 9, 12], AffineRanges { shift_h: 0.5, ..none }),
        ("shift-w", [5, 1, 9, 12], AffineRanges { shift_w: 0.5, ..none }),
        ("shift-out", [5, 1, 9, 12], AffineRanges { shift_h: 1.0, shift_w: 1.0, ..none }),
        ("shear", [5, 1, 9, 12], AffineRanges { shear: 40.0, ..none }),
        ("zoom", [5, 1, 9, 12], AffineRanges { zoom: 0.5, ..none }),
        ("flip-horizontal", [9, 1, 9, 12], AffineRanges { flip_horizontal: true, ..none }),
        ("flip-vertical", [9, 3, 8, 7], AffineRanges { flip_vertical: true, ..none }),
        ("flips", [17, 1, 28, 28], AffineRanges { flip_horizontal: true, flip_vertical: true, ..none }),
        ("all", [8, 1, 28, 28], all),
        ("all-colour", [3, 3, 10, 7], all),
        ("all-four-channels", [3, 4, 7, 9], all),
        ("one-pixel", [5, 2, 1, 1], all),
        ("one-row", [5, 1, 1, 13], all),
        ("one-column", [5, 1, 13, 1], all),
        ("one-image", [1, 1, 8, 8], all),
        ("images-65", [65, 1, 5, 4], all),
        ("images-129", [129, 1, 2, 3], all),
    ] {
        cases.add(name, AffineAugment::new(sizes, ranges, Fill::Nearest));
        cases.add(format!("{name}-constant"), AffineAugment::new(sizes, ranges, Fill::Constant(-0.75)));
    }
    cases.0
}

/// Images and ranges that cannot be.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{OutOfRange, TooLarge, ZeroSize};
    let none = AffineRanges::default();
    let sized = |sizes| AffineAugment::new(sizes, none, Fill::Nearest);
    let ranged = |ranges| AffineAugment::new([2, 1, 3, 4], ranges, Fill::Nearest);
    let filled = |value| AffineAugment::new([2, 1, 3, 4], none, Fill::Constant(value));
    vec![
        ErrorCase::new("empty batch", sized([0, 1, 3, 4]), ZeroSize, "x"),
        ErrorCase::new("no columns", sized([2, 1, 3, 0]), ZeroSize, "x"),
        ErrorCase::new("past i32", sized([1 << 16, 1, 1 << 8, 1 << 8]), TooLarge, "x"),
        ErrorCase::new("past usize", sized([usize::MAX, 2, 2, 2]), TooLarge, "x"),
        ErrorCase::new("turns too far", ranged(AffineRanges { rotation: 181.0, ..none }), OutOfRange, "rotation"),
        ErrorCase::new("turns backwards", ranged(AffineRanges { rotation: -1.0, ..none }), OutOfRange, "rotation"),
        ErrorCase::new(
            "turn not a number",
            ranged(AffineRanges { rotation: f32::NAN, ..none }),
            OutOfRange,
            "rotation",
        ),
        ErrorCase::new("shifted too far down", ranged(AffineRanges { shift_h: 1.5, ..none }), OutOfRange, "shift_h"),
        ErrorCase::new(
            "shifted by nothing known",
            ranged(AffineRanges { shift_w: f32::NAN, ..none }),
            OutOfRange,
            "shift_w",
        ),
        ErrorCase::new("sheared flat", ranged(AffineRanges { shear: 90.0, ..none }), OutOfRange, "shear"),
        ErrorCase::new("zoomed to a point", ranged(AffineRanges { zoom: 1.0, ..none }), OutOfRange, "zoom"),
        ErrorCase::new("fill not a number", filled(f32::NAN), OutOfRange, "fill"),
        ErrorCase::new("infinite fill", filled(f32::INFINITY), OutOfRange, "fill"),
    ]
}

/// Any images of up to 2048 pixels in all, at any ranges and fill.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let c = if random.one_in(2) { 1 } else { random.size(5) };
    let [h, w] = [random.between(1, 30), random.between(1, 30)];
    let n = random.size(2048 / (c * h * w)).max(1);
    if n * c * h * w > 2048 {
        return None;
    }
    let mut range = |largest: f32| if random.one_in(3) { 0.0 } else { largest * random.unit() as f32 };
    let ranges = AffineRanges {
        rotation: range(180.0),
        shift_h: range(1.0),
        shift_w: range(1.0),
        shear: range(60.0),
        zoom: range(0.9),
        flip_horizontal: range(1.0) > 0.0,
        flip_vertical: range(1.0) > 0.0,
    };
    let fill = if random.one_in(2) { Fill::Nearest } else { Fill::Constant(2.0 * random.unit() as f32 - 1.0) };
    Some(Arc::new(AffineAugment::new([n, c, h, w], ranges, fill).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Draw = Draw { angle: 0.0, shift: [0.0; 2], shear: 0.0, zoom: [1.0; 2], flip: [false; 2] };

    fn augmented(ranges: AffineRanges, fill: Fill, sizes: [usize; 4], step: u32) -> Vec<f32> {
        let op = AffineAugment::new(sizes, ranges, fill).expect("an augmentation");
        let len = sizes.iter().product();
        let x = Array::Real((0..len).map(|v| v as f32).collect());
        let mut y = Array::Real(vec![f32::NAN; len]);
        op.run(Direction::Fwd, &[&Array::Index(vec![step, 0, 3, 4]), &x], &mut [&mut y]).expect("a batch");
        y.real().to_vec()
    }

    #[test]
    fn each_step_by_hand() {
        let near = |got: [f64; 2], expected: [f64; 2]| {
            assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}, expected {expected:?}");
        };
        let turn = std::f64::consts::PI / 6.0;
        near(NONE.source([1.0, 2.0]), [1.0, 2.0]);
        near(Draw { flip: [true, false], ..NONE }.source([1.0, 2.0]), [-1.0, 2.0]);
        near(Draw { zoom: [0.5, 2.0], ..NONE }.source([1.0, 2.0]), [0.5, 4.0]);
        near(Draw { shift: [3.0, -1.0], ..NONE }.source([1.0, 2.0]), [4.0, 1.0]);
        near(Draw { shear: turn, ..NONE }.source([1.0, 2.0]), [0.0, 3.0_f64.sqrt()]);
        // A quarter turn: what lies below comes from the right.
        near(Draw { angle: 3.0 * turn, ..NONE }.source([1.0, 2.0]), [-2.0, 1.0]);
        // In this order.
        let all = Draw { angle: 3.0 * turn, shift: [0.0, 1.0], shear: 0.0, zoom: [2.0, 2.0], flip: [false, true] };
        near(all.source([1.0, 2.0]), [3.0, 2.0]);
    }

    #[test]
    fn samples_by_hand() {
        let op = |fill| AffineAugment::new([1, 1, 2, 2], AffineRanges::default(), fill).expect("an augmentation");
        let plane = [1.0, 3.0, 5.0, 9.0];
        for (place, nearest, constant) in [
            ([0.0, 1.0], 3.0, 3.0),
            ([0.5, 0.5], 4.5, 4.5),
            ([0.0, 1.25], 3.0, 4.0),
            ([-0.5, 0.0], 1.0, 4.0),
            ([-1.0, 5.0], 3.0, 7.0),
        ] {
            assert_eq!(op(Fill::Nearest).sample(&plane, place), nearest);
            assert_eq!(op(Fill::Constant(7.0)).sample(&plane, place), constant);
        }
        // A neighbour without weight does not count.
        assert_eq!(op(Fill::Nearest).sample(&[1.0, f64::NAN, f64::NAN, f64::NAN], [0.0, 0.0]), 1.0);
        assert!(op(Fill::Nearest).sample(&[1.0, f64::NAN, 2.0, 3.0], [0.0, 0.5]).is_nan());
    }

    #[test]
    fn no_range_is_the_identity_and_flips_mirror_about_half() {
        let (none, sizes) = (AffineRanges::default(), [200, 1, 1, 3]);
        let x: Vec<f32> = (0..600).map(|v| v as f32).collect();
        assert_eq!(augmented(none, Fill::Constant(7.0), sizes, 1), x);
        let flips = AffineRanges { flip_horizontal: true, ..none };
        let y = augmented(flips, Fill::Constant(7.0), sizes, 1);
        let mut flipped = 0;
        for (x, y) in x.chunks(3).zip(y.chunks(3)) {
            let mirrored: Vec<f32> = x.iter().rev().copied().collect();
            flipped += usize::from(y == mirrored);
            assert!(y == x || y == mirrored, "{y:?}");
        }
        assert!((70..130).contains(&flipped), "{flipped} of 200");
    }

    #[test]
    fn draws_fill_their_ranges_and_change_with_the_step() {
        let ranges =
            AffineRanges { rotation: 90.0, shift_h: 0.5, shift_w: 0.25, shear: 45.0, zoom: 0.5, ..Default::default() };
        let op = AffineAugment::new([500, 1, 8, 8], ranges, Fill::Nearest).expect("an augmentation");
        let draws: Vec<[f64; 6]> = (0..500)
            .map(|image| op.draw(image, &[9, 0, 1, 2]))
            .map(|d| {
                [d.angle.to_degrees(), d.shift[0], d.shift[1], d.shear.to_degrees(), d.zoom[0] - 1.0, d.zoom[1] - 1.0]
            })
            .collect();
        for (what, range) in [90.0, 4.0, 2.0, 45.0, 0.5, 0.5].into_iter().enumerate() {
            let of: Vec<f64> = draws.iter().map(|draw| draw[what] / range).collect();
            assert!(of.iter().all(|v| v.abs() <= 1.0 + 1e-12), "{what}");
            assert!(of.iter().any(|v| *v > 0.95) && of.iter().any(|v| *v < -0.95), "{what}");
            assert!((of.iter().sum::<f64>() / 500.0).abs() < 0.1, "{what}");
        }
        let sizes = [2, 1, 4, 5];
        assert_eq!(augmented(ranges, Fill::Nearest, sizes, 5), augmented(ranges, Fill::Nearest, sizes, 5));
        assert_ne!(augmented(ranges, Fill::Nearest, sizes, 5), augmented(ranges, Fill::Nearest, sizes, 6));
    }
}
