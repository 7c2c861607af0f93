//! Reading a batch out of a data set of bytes.

use crate::cases::Case;
use crate::{Arg, Array, Contract, Direction, Domain, Error, Real, TensorSpec, wrong_arguments};

/// With `s(i) = order[(position + i) mod order_len] mod total` and `position = counter[1]`:
/// `x[i,c,ih,iw] = pixel(s(i), c, ih, iw) * scale + offset` and `labels[i] = classes[s(i)]`.
///
/// - Shapes: `pixels` indices `[total*c*h*w / 4]`, the bytes of the images `[total, c, h, w]` in
///   row-major order, four to a word, the first in the lowest bits; `classes` indices `[total]`;
///   `order` indices `[order_len]`; `counter` indices `[4]` (step, position, seed low, seed high);
///   `x` image `[n, c, h, w]`; `labels` indices `[n]`.
/// - Writes: `x`, `labels`, both `=`.
/// - Numerics: one multiplication and one addition in `f64`, rounded once; labels exact;
///   deterministic.
/// - Errors: a zero size, images whose number of bytes is no multiple of 4, a scale or an offset that
///   is not finite, tensors past [`crate::MAX_ELEMENTS`], counted in bytes for `pixels`.
/// - Source: the definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Images of the batch.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Images of the data set.
    pub total: usize,
    /// Entries of the order in which they are read.
    pub order_len: usize,
    /// What a byte is multiplied by.
    pub scale: f32,
    /// What is added then.
    pub offset: f32,
}

/// The sizes of a [`Gather`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GatherSizes {
    /// Images of the batch.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Images of the data set.
    pub total: usize,
    /// Entries of the order in which they are read.
    pub order_len: usize,
}

impl Gather {
    /// A batch of `sizes.n` images; a byte `b` becomes `b * scale + offset`.
    pub fn new(sizes: GatherSizes, scale: f32, offset: f32) -> Result<Self, Error> {
        let op = Self::NAME;
        let GatherSizes { n, c, h, w, total, order_len } = sizes;
        for (what, size) in [("n", n), ("c", c), ("h", h), ("w", w), ("total", total), ("order_len", order_len)] {
            if size == 0 {
                return Err(Error::ZeroSize { op, what });
            }
        }
        for (what, value) in [("scale", scale), ("offset", offset)] {
            if !value.is_finite() {
                return Err(Error::OutOfRange { op, what, got: f64::from(value), range: "finite" });
            }
        }
        let this = Self { n, c, h, w, total, order_len, scale, offset };
        this.x().check(op, "x")?;
        this.order().check(op, "order")?;
        TensorSpec::image(total, c, h, w).check(op, "pixels")?;
        if !this.image_bytes().is_multiple_of(4) {
            return Err(Error::Mismatch {
                op,
                what: "the size of an image".into(),
                got: format!("{c}x{h}x{w} bytes"),
                expected: "a multiple of 4, so that each starts at a word".into(),
            });
        }
        Ok(this)
    }

    fn image_bytes(&self) -> usize {
        self.c * self.h * self.w
    }

    fn x(&self) -> TensorSpec {
        TensorSpec::image(self.n, self.c, self.h, self.w)
    }

    fn pixels(&self) -> TensorSpec {
        TensorSpec::index([self.total * self.image_bytes() / 4])
    }

    fn order(&self) -> TensorSpec {
        TensorSpec::index([self.order_len])
    }

    fn forward<T: Real>(&self, [pixels, classes, order, counter]: [&[u32]; 4], x: &mut [T], labels: &mut [u32]) {
        let position = counter[1] as usize % self.order_len;
        let (scale, offset) = (f64::from(self.scale), f64::from(self.offset));
        for (i, (x, label)) in x.chunks_mut(self.image_bytes()).zip(labels).enumerate() {
            let sample = order[(position + i) % self.order_len] as usize % self.total;
            *label = classes[sample];
            for (pixel, x) in x.iter_mut().enumerate() {
                let byte = sample * self.image_bytes() + pixel;
                let value = pixels[byte / 4] >> (8 * (byte % 4)) & 0xff;
                *x = T::from_f64(f64::from(value) * scale + offset);
            }
        }
    }
}

impl Contract for Gather {
    const NAME: &'static str = "gather";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => vec![
                Arg::read("pixels", self.pixels()),
                Arg::read("classes", TensorSpec::index([self.total])),
                Arg::read("order", self.order()),
                Arg::read("counter", TensorSpec::index([4])),
                Arg::write("x", self.x()),
                Arg::write("labels", TensorSpec::index([self.n])),
            ],
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
            (Direction::Fwd, [pixels, classes, order, counter], [x, labels]) => {
                let inputs = [pixels.index(), classes.index(), order.index(), counter.index()];
                self.forward(inputs, x.real_mut(), labels.index_mut());
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, _direction: Direction) -> usize {
        // The product is rounded before the offset takes most of it away.
        2 + 2 * (255.0 * self.scale.abs()).ceil() as usize
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        // Whatever the other inputs are, bytes are integers.
        (self.scale, self.offset) == (1.0, 0.0)
    }

    fn flops(&self, _direction: Direction) -> u64 {
        2 * self.x().len() as u64
    }

    fn domain(&self, arg: &str) -> Domain {
        match arg {
            "pixels" => Domain::Below(u32::MAX),
            "classes" => Domain::Below(10),
            "order" => Domain::Below(self.total as u32),
            "counter" => Domain::Below(1000),
            _ => Domain::Real,
        }
    }
}

/// The networks' batches, several channels, orders shorter than a batch, images of one word.
pub fn cases() -> Vec<Case> {
    // Mean and deviation of Fashion-MNIST.
    let (mean, deviation) = (0.2860, 0.3530);
    let (scale, offset) = (1.0 / 255.0 / deviation, -mean / deviation);
    let unit = (1.0 / 255.0, 0.0);
    [
        ("batch", [8, 1, 28, 28], 37, 31, (scale, offset)),
        ("raw-bytes", [3, 1, 28, 28], 5, 7, (1.0, 0.0)),
        ("one-of-one", [1, 1, 2, 2], 1, 1, unit),
        ("one-word", [7, 1, 1, 4], 11, 13, (scale, offset)),
        ("order-shorter-than-batch", [13, 1, 4, 3], 5, 3, unit),
        ("order-longer-than-data", [5, 1, 6, 2], 3, 101, unit),
        ("batch-65", [65, 1, 4, 5], 70, 67, unit),
        ("words-63", [3, 1, 12, 21], 5, 4, (scale, offset)),
        ("words-64", [3, 1, 16, 16], 5, 4, (scale, offset)),
        ("words-65", [3, 1, 20, 13], 5, 4, (scale, offset)),
        ("colour", [3, 3, 8, 5], 7, 11, (scale, offset)),
        ("channels-4", [3, 4, 5, 7], 6, 5, (scale, offset)),
        ("channels-5-raw", [3, 5, 4, 3], 6, 5, (1.0, 0.0)),
        ("negative-scale", [3, 2, 6, 7], 6, 5, (-1.0 / 128.0, 1.0)),
    ]
    .into_iter()
    .filter_map(|(name, [n, c, h, w], total, order_len, (scale, offset))| {
        let sizes = GatherSizes { n, c, h, w, total, order_len };
        Some(Case::new(name, Gather::new(sizes, scale, offset).ok()?))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;

    const SIZES: GatherSizes = GatherSizes { n: 3, c: 1, h: 2, w: 2, total: 2, order_len: 2 };

    #[test]
    fn by_hand() {
        let op = Gather::new(SIZES, 0.5, -1.0).expect("a gather");
        let index = |v: &[u32]| Array::<f32>::Index(v.to_vec());
        // 0xff is the last byte of the first image. The order wraps round after its second entry.
        let (pixels, classes) = (index(&[0xff_03_02_01, 0x08_07_06_05]), index(&[9, 4]));
        let (order, counter) = (index(&[0, 1]), index(&[77, 1, 0, 0]));
        let (mut x, mut labels) = (Array::zeros(&op.x()), Array::zeros(&TensorSpec::index([3])));
        op.run(Direction::Fwd, &[&pixels, &classes, &order, &counter], &mut [&mut x, &mut labels]).expect("a batch");
        assert_eq!(labels.index(), [4, 9, 4]);
        assert_eq!(x.real(), [1.5, 2.0, 2.5, 3.0, -0.5, 0.0, 0.5, 126.5, 1.5, 2.0, 2.5, 3.0]);
    }

    #[test]
    fn impossible_gathers_are_refused() {
        let error = |sizes, scale, offset| Gather::new(sizes, scale, offset).expect_err("an error").to_string();
        assert!(error(GatherSizes { n: 0, ..SIZES }, 1.0, 0.0).contains("n is 0"));
        assert!(error(GatherSizes { total: 0, ..SIZES }, 1.0, 0.0).contains("total is 0"));
        assert!(error(GatherSizes { order_len: 0, ..SIZES }, 1.0, 0.0).contains("order_len is 0"));
        assert!(error(GatherSizes { h: 3, w: 3, ..SIZES }, 1.0, 0.0).contains("multiple of 4"));
        assert!(error(GatherSizes { total: 1 << 30, ..SIZES }, 1.0, 0.0).contains("pixels has more than"));
        assert!(error(SIZES, f32::NAN, 0.0).contains("scale"));
        assert!(error(SIZES, 1.0, f32::INFINITY).contains("offset"));
    }

    #[test]
    fn every_case_is_possible() {
        assert_eq!(cases().len(), 14);
    }
}
