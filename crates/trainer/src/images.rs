//! Images on the device: uploaded once as bytes, gathered and normalised batch by batch there.

use crate::network::INPUT;
use crate::recipe::{Normalise, Precision, Recipe};
use fashion_mnist::Split;
use kernels::Element;
use reference::ops::{AffineAugment, Gather, GatherSizes, RandomErasing};
use reference::{Array, Direction, TensorSpec};
use tape::{Device, Error, Tensor};

/// A split on a device.
#[derive(Debug)]
pub struct Images {
    pixels: Tensor,
    classes: Tensor,
    total: usize,
    scale: f32,
    offset: f32,
    element: Element,
}

/// The order in which images are visited, and where in it the next batch begins.
#[derive(Debug)]
pub struct Visit {
    order: Tensor,
    len: usize,
    /// `[step, position, seed low, seed high]`, on the device.
    pub counter: Tensor,
}

impl Images {
    /// Uploads a split. Batches of it are stored as `precision` says.
    pub fn upload(device: &Device, split: &Split, normalise: Normalise, precision: Precision) -> Result<Self, Error> {
        let (words, _) = split.images().as_chunks::<4>();
        let words: Vec<u32> = words.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
        let classes: Vec<u32> = split.labels().iter().map(|&label| label.into()).collect();
        let (scale, offset) = normalise.scale_and_offset();
        Ok(Self {
            pixels: device.upload_named(&TensorSpec::index([words.len()]), Array::Index(words), "images")?,
            classes: device.upload(&TensorSpec::index([classes.len()]), Array::Index(classes))?,
            total: split.len(),
            scale,
            offset,
            element: precision.element(),
        })
    }

    /// The next `n` images of a visit as the network sees them, and their labels. The position
    /// does not move: `schedule` moves it while training.
    pub fn gather(&self, device: &Device, visit: &Visit, n: usize) -> Result<(Tensor, Tensor), Error> {
        let [c, h, w] = INPUT;
        let sizes = GatherSizes { n, c, h, w, total: self.total, order_len: visit.len };
        let op = Gather::new(sizes, self.scale, self.offset)?;
        let x = device.empty_stored(&TensorSpec::image(n, c, h, w), self.element, &|| "gather.x".to_owned())?;
        let labels = device.empty(&TensorSpec::index([n]))?;
        device.run(&op, Direction::Fwd, &[&self.pixels, &self.classes, &visit.order, &visit.counter, &x, &labels])?;
        Ok((x, labels))
    }
}

/// Moves a batch of images at random and erases parts of them, as the recipe says. What is drawn follows from the
/// counter's seed and step.
pub fn augment(device: &Device, recipe: &Recipe, counter: &Tensor, x: Tensor) -> Result<Tensor, Error> {
    let normalise = recipe.data.normalise;
    let mut x = x;
    if let Some(augment) = &recipe.augment {
        let op = AffineAugment::new(x.spec().as_nchw(), augment.ranges(), augment.fill(normalise))?;
        let y = device.empty_stored(x.spec(), x.element(), &|| "affine_augment.y".to_owned())?;
        device.run(&op, Direction::Fwd, &[counter, &x, &y])?;
        x = y;
    }
    if let Some(erasing) = &recipe.erasing {
        let op = RandomErasing::new(x.spec().as_nchw(), erasing.config(normalise))?;
        let y = device.empty_stored(x.spec(), x.element(), &|| "random_erasing.y".to_owned())?;
        device.run(&op, Direction::Fwd, &[&x, counter, &y])?;
        x = y;
    }
    Ok(x)
}

impl Visit {
    /// A visit of these images in this order, from the first.
    pub fn new(device: &Device, order: &[u32], seed: u64) -> Result<Self, Error> {
        let spec = TensorSpec::index([order.len()]);
        let counter = device.zeros(&TensorSpec::index([4]))?;
        let visit = Self { order: device.upload(&spec, Array::Index(order.to_vec()))?, len: order.len(), counter };
        visit.seek(device, 0, 0, seed)?;
        Ok(visit)
    }

    /// Another order of as many images.
    pub fn reorder(&self, device: &Device, order: &[u32]) -> Result<(), Error> {
        device.write(&self.order, Array::Index(order.to_vec()))
    }

    /// Sets the counter: `step` steps were taken, the next batch begins at `position`.
    pub fn seek(&self, device: &Device, step: u64, position: usize, seed: u64) -> Result<(), Error> {
        // Step and position are 32-bit on the device, where they only tell random streams and
        // positions below 60,000 apart.
        let counter = vec![step as u32, position as u32, seed as u32, (seed >> 32) as u32];
        device.write(&self.counter, Array::Index(counter))
    }

    /// Images visited in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
