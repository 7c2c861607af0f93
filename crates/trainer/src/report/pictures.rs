//! What a trained network makes of single images: its most confident mistakes, and what its layers see.

use crate::evaluate::{Evaluator, How};
use crate::images::{Images, Visit};
use crate::model::{Model, Pass};
use crate::network::{CLASSES, Layer, Network};
use crate::recipe::Recipe;
use fashion_mnist::{Dataset, Split};
use std::ops::ControlFlow;
use std::ops::Range;
use tape::{Device, Tape};

/// Mistakes shown.
const MISTAKES: usize = 24;

/// Test images looked at on the CPU reference, which takes seconds for as many.
const FEW: usize = 1_000;

/// Classes whose first test image is looked at unless images were chosen: shapes that differ.
const SHOWN: [u8; 4] = [9, 2, 1, 8];

/// Images of the feature maps at most.
pub const MAX_CHOSEN: usize = 16;

/// Channels shown of a layer.
const CHANNELS: usize = 32;

/// The logits of the first test images, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    logits: Vec<[f32; CLASSES]>,
}

impl Predictions {
    /// Adds the next image.
    pub fn push(&mut self, logits: &[f32]) {
        self.logits.push(std::array::from_fn(|class| logits.get(class).copied().unwrap_or(f32::NAN)));
    }
}

/// A prediction for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Among the test images, from 0.
    pub image: usize,
    /// The true class.
    pub class: usize,
    /// The predicted class.
    pub predicted: usize,
    /// Softmax of the predicted class, 0 to 1.
    pub confidence: f64,
    /// The image, 28 x 28.
    pub pixels: Vec<u8>,
}

/// One layer's output for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMap {
    /// The layer's name.
    pub layer: String,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// The first channels, `[channels, height, width]`.
    pub values: Vec<f32>,
    /// How many of them.
    pub shown: usize,
}

/// What a network makes of images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pictures {
    /// Test images there are.
    pub total: usize,
    /// The first of them, so many, were classified.
    pub images: usize,
    /// Of them, wrong ones.
    pub wrong: usize,
    /// The most confident wrong predictions, the most confident first.
    pub mistakes: Vec<Prediction>,
    /// Feature maps of an early and a deep layer for the chosen images.
    pub maps: Vec<(Prediction, Vec<FeatureMap>)>,
}

impl Pictures {
    /// Looks at the test images; `predictions` saves a pass over them if they were made already. `chosen` are the
    /// images of the feature maps, one each of four classes if it is empty; those that do not exist are left out.
    pub async fn take(
        device: &Device,
        model: &Model,
        recipe: &Recipe,
        dataset: &Dataset,
        predictions: Option<Predictions>,
        chosen: &[usize],
    ) -> Result<Self, tape::Error> {
        let split = &dataset.test;
        let images = Images::upload(device, split, recipe.data.normalise, recipe.train.precision)?;
        let predictions = match predictions {
            Some(predictions) => predictions,
            None => {
                let count = if matches!(device, Device::Reference) { split.len().min(FEW) } else { split.len() };
                let order: Vec<u32> = (0..count as u32).collect();
                let mut predictions = Predictions::default();
                Evaluator::new(device, model, recipe, &images, (&order, split.labels()), How::default())?
                    .run(&mut |logits| {
                        predictions.push(logits);
                        ControlFlow::Continue(())
                    })
                    .await?;
                predictions
            }
        };
        let mut wrong: Vec<Prediction> = predictions
            .logits
            .iter()
            .enumerate()
            .filter_map(|(image, logits)| predict(split, image, logits))
            .filter(|prediction| prediction.class != prediction.predicted)
            .collect();
        // Stable: equals stay in the order of the images.
        wrong.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let (total, images_seen, count) = (split.len(), predictions.logits.len(), wrong.len());
        let mut pictures = Self { total, images: images_seen, wrong: count, mistakes: wrong, maps: Vec::new() };
        pictures.mistakes.truncate(MISTAKES);
        pictures.maps = feature_maps(device, model, &images, split, &choose(split, chosen)).await?;
        Ok(pictures)
    }
}

/// The chosen images that exist, or the first of each of some classes.
fn choose(split: &Split, chosen: &[usize]) -> Vec<u32> {
    let mut images: Vec<usize> = chosen.iter().copied().filter(|image| *image < split.len()).collect();
    if chosen.is_empty() {
        let first = |class: &u8| split.labels().iter().position(|label| label == class);
        images = SHOWN.iter().filter_map(first).collect();
    }
    images.truncate(MAX_CHOSEN);
    images.into_iter().map(|image| image as u32).collect()
}

fn predict(split: &Split, image: usize, logits: &[f32]) -> Option<Prediction> {
    let class = split.label(image)?.into();
    let pixels = split.image(image)?.to_vec();
    let (predicted, confidence) = softmax_maximum(logits)?;
    Some(Prediction { image, class, predicted, confidence, pixels })
}

/// The class with the largest logit, the first of equals, and its softmax. `None` if a logit is no number.
fn softmax_maximum(logits: &[f32]) -> Option<(usize, f64)> {
    if logits.iter().any(|logit| logit.is_nan()) {
        return None;
    }
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let class = logits.iter().position(|logit| *logit == largest)?;
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum();
    Some((class, 1.0 / sum))
}

/// The layers to look at: the first and the last convolution, each with the normalisation and activation behind it. After
/// the only convolution it is the last layer that still gives an image.
pub fn early_and_deep(network: &Network) -> Vec<usize> {
    let layers = network.layers();
    let is_conv = |layer: &Layer| matches!(layer, Layer::Conv { .. });
    let follow = |from: usize| {
        let behind = layers[from + 1..].iter();
        from + behind.take_while(|layer| matches!(layer, Layer::BatchNorm { .. } | Layer::Relu)).count()
    };
    let Some(first) = layers.iter().position(is_conv).map(follow) else { return Vec::new() };
    let last = layers.iter().rposition(is_conv).map_or(first, follow);
    let image = network.shapes().iter().rposition(|shape| shape.len() == 3).unwrap_or(first);
    let mut found = vec![first, if last > first { last } else { image }];
    found.dedup();
    found
}

async fn feature_maps(
    device: &Device,
    model: &Model,
    images: &Images,
    split: &Split,
    chosen: &[u32],
) -> Result<Vec<(Prediction, Vec<FeatureMap>)>, tape::Error> {
    let network = model.network();
    let layers = early_and_deep(network);
    if chosen.is_empty() || layers.is_empty() {
        return Ok(Vec::new());
    }
    let visit = Visit::new(device, chosen, 0)?;
    let (x, _) = images.gather(device, &visit, chosen.len())?;
    let mut kept = Vec::new();
    let forward = model.forward_seen(&Tape::new(device), &x, Pass::INFERENCE, |layer, y| {
        if layers.contains(&layer) {
            kept.push((layer, y.tensor().clone()));
        }
    })?;
    let logits = device.read(forward.logits.tensor()).await?;
    let mut outputs = Vec::new();
    for (layer, tensor) in &kept {
        outputs.push((*layer, device.read(tensor).await?));
    }
    let mut maps = Vec::new();
    for ((number, &image), logits) in chosen.iter().enumerate().zip(logits.real().chunks(CLASSES)) {
        let Some(prediction) = predict(split, image as usize, logits) else { continue };
        let of_image = |(layer, values): &(usize, reference::Array<f32>)| {
            let &[channels, height, width] = network.shapes()[*layer].as_slice() else { return None };
            let shown = channels.min(CHANNELS);
            let first = number * channels * height * width;
            let range: Range<usize> = first..first + shown * height * width;
            let values = values.real().get(range)?.to_vec();
            Some(FeatureMap { layer: network.names()[*layer].clone(), shape: [channels, height, width], values, shown })
        };
        maps.push((prediction, outputs.iter().filter_map(of_image).collect()));
    }
    Ok(maps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(recipe: &str) -> Vec<String> {
        let network = Network::new(&Recipe::find(recipe).unwrap().layers, 1).unwrap();
        early_and_deep(&network).into_iter().map(|layer| network.names()[layer].clone()).collect()
    }

    #[test]
    fn an_early_and_a_deep_layer_are_looked_at() {
        assert_eq!(layers("lenet5"), ["relu1", "relu2"]);
        assert_eq!(layers("depth3"), ["relu1", "relu3"]);
        let mut recipe = Recipe::find("lenet5").unwrap();
        recipe.layers.drain(3..6);
        let network = Network::new(&recipe.layers, 1).unwrap();
        assert_eq!(early_and_deep(&network), [1, 2]);
        recipe.layers.drain(..3);
        assert_eq!(early_and_deep(&Network::new(&recipe.layers, 1).unwrap()), [0; 0]);
    }

    #[test]
    fn confidence_is_the_softmax_of_the_largest() {
        let (class, confidence) = softmax_maximum(&[0.0, 2.0_f32.ln(), 0.0]).unwrap();
        assert_eq!(class, 1);
        assert!((confidence - 0.5).abs() < 1e-7);
        assert_eq!(softmax_maximum(&[1e30, -1e30, 1e30]), Some((0, 0.5)));
        assert_eq!(softmax_maximum(&[0.0, f32::NAN]), None);
        assert_eq!(softmax_maximum(&[]), None);
    }

    /// A network whose only convolution passes the image on and turns it round, and that always answers Dress.
    #[test]
    fn pictures_are_what_the_network_computes() {
        let mut recipe = Recipe::find("lenet5").unwrap();
        recipe.layers = vec![
            crate::recipe::LayerSpec::Conv(toml::from_str("out = 2\nkernel = 1").unwrap()),
            crate::recipe::LayerSpec::Relu,
            crate::recipe::LayerSpec::Flatten,
            crate::recipe::LayerSpec::Dense(crate::recipe::Dense { out: CLASSES }),
        ];
        let network = Network::new(&recipe.layers, 1).unwrap();
        let mut bias = vec![0.0; CLASSES];
        bias[3] = 2.0;
        let values = vec![vec![1.0, -1.0], vec![0.0, 0.5], vec![0.0; 2 * 784 * CLASSES], bias];
        let finder = fashion_mnist::Finder::new(fashion_mnist::Source::Synthetic);
        let manifest = fashion_mnist::Manifest { train_count: 20, test_count: 40, ..finder.manifest };
        let dataset = fashion_mnist::Finder { manifest, ..finder }.find(&mut |_| ()).unwrap();
        let labels = dataset.test.labels();

        let device = Device::Reference;
        let model = Model::new(&device, network, values).unwrap();
        let take = |predictions, chosen: &[usize]| {
            pollster::block_on(Pictures::take(&device, &model, &recipe, &dataset, predictions, chosen)).unwrap()
        };
        let pictures = take(None, &[5, 40, 7]);
        assert_eq!((pictures.total, pictures.images), (40, 40));
        let wrong: Vec<usize> = (0..40).filter(|image| labels[*image] != 3).collect();
        assert_eq!(pictures.wrong, wrong.len());
        let shown: Vec<usize> = pictures.mistakes.iter().map(|mistake| mistake.image).collect();
        assert_eq!(shown, wrong[..MISTAKES]);
        let confidence = 2.0_f64.exp() / (2.0_f64.exp() + 9.0);
        for mistake in &pictures.mistakes {
            assert_eq!((mistake.class, mistake.predicted), (labels[mistake.image].into(), 3));
            assert!((mistake.confidence - confidence).abs() < 1e-6);
            assert_eq!(mistake.pixels, dataset.test.image(mistake.image).unwrap());
        }

        assert_eq!(pictures.maps.len(), 2);
        for ((prediction, maps), image) in pictures.maps.iter().zip([5, 7]) {
            assert_eq!((prediction.image, maps.len()), (image, 1));
            assert_eq!((maps[0].layer.as_str(), maps[0].shape, maps[0].shown), ("relu1", [2, 28, 28], 2));
            let pixels: Vec<f32> = prediction.pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
            let turned: Vec<f32> = pixels.iter().map(|pixel| (0.5 - pixel).max(0.0)).collect();
            for (got, expected) in maps[0].values.iter().zip(pixels.iter().chain(&turned)) {
                assert!((got - expected).abs() < 1e-6, "{got} {expected}");
            }
        }

        // Predictions that were made already are taken as they are: the second of two images is wrong.
        let mut predictions = Predictions::default();
        for (image, right) in [(0, true), (1, false)] {
            let class = usize::from(labels[image]) + usize::from(!right);
            predictions.push(&std::array::from_fn::<f32, CLASSES, _>(|other| f32::from(other == class % CLASSES)));
        }
        let pictures = take(Some(predictions), &[]);
        assert_eq!((pictures.images, pictures.wrong, pictures.mistakes[0].image), (2, 1, 1));
        let classes: Vec<u8> = pictures.maps.iter().map(|(prediction, _)| labels[prediction.image]).collect();
        assert_eq!(classes, SHOWN);
    }
}
