//! Reading a batch out of a data set of bytes.

use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

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

    /// Of the data set, only the batch is read.
    fn bytes(&self, _direction: Direction) -> u64 {
        let (pixels, images) = ((self.n * self.c * self.h * self.w) as u64, self.n as u64);
        // A byte of each pixel in and four out; order, class and label of each image; the counter.
        5 * pixels + 12 * images + 16
    }

    fn domain(&self, arg: &str) -> Domain {
        match arg {
            "pixels" => Domain::Below(u32::MAX),
            "classes" => Domain::Below(10),
            "order" => Domain::Below(self.total as u32),
            "counter" => Domain::Below(u32::MAX),
            _ => Domain::Real,
        }
    }
}

/// The networks' batches, several channels, orders shorter than a batch, images of one word.
pub fn cases() -> Vec<Case> {
    // Mean and deviation of Fashion-MNIST.
    let (mean, deviation) = (0.2860, 0.3530);
    let standard = (1.0 / 255.0 / deviation, -mean / deviation);
    let unit = (1.0 / 255.0, 0.0);
    let mut cases = Cases::default();
    for (name, [n, c, h, w], total, order_len, (scale, offset)) in [
        ("batch", [8, 1, 28, 28], 37, 31, standard),
        ("batch-to-one", [8, 1, 28, 28], 37, 37, unit),
        ("batch-to-minus-one-and-one", [8, 1, 28, 28], 37, 37, (2.0 / 255.0, -1.0)),
        ("raw-bytes", [3, 1, 28, 28], 5, 7, (1.0, 0.0)),
        ("one-of-one", [1, 1, 2, 2], 1, 1, unit),
        ("one-word", [7, 1, 1, 4], 11, 13, standard),
        ("order-shorter-than-batch", [13, 1, 4, 3], 5, 3, unit),
        ("order-of-one", [5, 1, 4, 3], 5, 1, unit),
        ("order-longer-than-data", [5, 1, 6, 2], 3, 101, unit),
        ("batch-63", [63, 1, 4, 5], 70, 67, unit),
        ("batch-64", [64, 1, 4, 5], 70, 67, unit),
        ("batch-65", [65, 1, 4, 5], 70, 67, unit),
        ("words-63", [3, 1, 12, 21], 5, 4, standard),
        ("words-64", [3, 1, 16, 16], 5, 4, standard),
        ("words-65", [3, 1, 20, 13], 5, 4, standard),
        ("colour", [3, 3, 8, 5], 7, 11, standard),
        ("channels-4", [3, 4, 5, 7], 6, 5, standard),
        ("channels-5-raw", [3, 5, 4, 3], 6, 5, (1.0, 0.0)),
        ("primes", [3, 4, 13, 11], 7, 5, standard),
        ("batch-1", [1, 1, 6, 10], 7, 5, standard),
        ("negative-scale", [3, 2, 6, 7], 6, 5, (-1.0 / 128.0, 1.0)),
        // More samples than one dimension of a grid holds workgroups.
        ("folded-grid", [65_537, 1, 1, 4], 11, 13, unit),
    ] {
        let sizes = GatherSizes { n, c, h, w, total, order_len };
        cases.add(name, Gather::new(sizes, scale, offset));
    }
    cases.0
}

/// Batches, data sets and orders that cannot be.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{Mismatch, OutOfRange, TooLarge, ZeroSize};
    let new = |sizes| Gather::new(sizes, 1.0, 0.0);
    let huge = usize::MAX;
    let sizes = GatherSizes { n: 3, c: 1, h: 2, w: 2, total: 2, order_len: 2 };
    vec![
        ErrorCase::new("empty batch", new(GatherSizes { n: 0, ..sizes }), ZeroSize, "n"),
        ErrorCase::new("no channels", new(GatherSizes { c: 0, ..sizes }), ZeroSize, "c"),
        ErrorCase::new("no rows", new(GatherSizes { h: 0, ..sizes }), ZeroSize, "h"),
        ErrorCase::new("no columns", new(GatherSizes { w: 0, ..sizes }), ZeroSize, "w"),
        ErrorCase::new("empty data set", new(GatherSizes { total: 0, ..sizes }), ZeroSize, "total"),
        ErrorCase::new("empty order", new(GatherSizes { order_len: 0, ..sizes }), ZeroSize, "order_len"),
        ErrorCase::new("nine bytes", new(GatherSizes { h: 3, w: 3, ..sizes }), Mismatch, "image"),
        ErrorCase::new("scale not a number", Gather::new(sizes, f32::NAN, 0.0), OutOfRange, "scale"),
        ErrorCase::new("infinite scale", Gather::new(sizes, f32::INFINITY, 0.0), OutOfRange, "scale"),
        ErrorCase::new("offset not a number", Gather::new(sizes, 1.0, f32::NAN), OutOfRange, "offset"),
        ErrorCase::new("infinite offset", Gather::new(sizes, 1.0, f32::NEG_INFINITY), OutOfRange, "offset"),
        ErrorCase::new("x past i32", new(GatherSizes { n: 1 << 29, ..sizes }), TooLarge, "x"),
        ErrorCase::new("x past usize", new(GatherSizes { n: huge, c: huge, ..sizes }), TooLarge, "x"),
        ErrorCase::new("order past i32", new(GatherSizes { order_len: 1 << 31, ..sizes }), TooLarge, "order"),
        ErrorCase::new("pixels past i32", new(GatherSizes { total: 1 << 29, ..sizes }), TooLarge, "pixels"),
        ErrorCase::new("pixels past usize", new(GatherSizes { total: huge, ..sizes }), TooLarge, "pixels"),
    ]
}

/// Any batch of up to 8192 pixels out of any data set of up to 16,384.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let c = if random.one_in(2) { 1 } else { random.size(9) };
    let [h, w] = [random.between(1, 30), random.between(1, 30)];
    let [n, total, order_len] = [random.size(70), random.size(40), random.size(70)];
    if n * c * h * w > 8192 || total * c * h * w > 16_384 {
        return None;
    }
    let scale = match random.below(4) {
        0 => 1.0,
        1 => 1.0 / 255.0,
        _ => random.magnitude(1e-3, 1.0) as f32,
    };
    let offset = if random.one_in(2) { 0.0 } else { 2.0 * random.unit() as f32 - 1.0 };
    let sizes = GatherSizes { n, c, h, w, total, order_len };
    Some(Arc::new(Gather::new(sizes, scale, offset).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
