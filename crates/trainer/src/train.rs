//! The training loop.

use crate::evaluate::evaluate;
use crate::evaluation::Evaluation;
use crate::exit::Diverged;
use crate::images::{Images, Visit};
use crate::metrics::{Epoch, MetricsWriter, Record, Scores};
use crate::model::{Model, Pass};
use crate::network::Layer;
use crate::progress::TrainingProgress;
use crate::recipe::{Order, Recipe};
use fashion_mnist::{Dataset, SplitError, epoch_order, split_validation};
use reference::ops::{Accumulate, BatchNormMode};
use reference::{Array, Direction, TensorSpec};
use std::time::{Duration, Instant};
use tape::{Device, Optimizer, Tape, Tensor};

/// How often progress asks the device how training goes: each time waits for it.
const PROGRESS: Duration = Duration::from_millis(500);

/// Which training images are trained on and which are kept back, by index.
#[derive(Clone, Debug)]
pub struct Partition {
    /// To train on.
    pub train: Vec<u32>,
    /// To validate on.
    pub validation: Vec<u32>,
}

impl Partition {
    /// Chosen by the recipe's seed; both in the order of the file.
    pub fn new(recipe: &Recipe, images: usize) -> Result<Self, SplitError> {
        let (mut train, mut validation) = split_validation(images, recipe.data.validation, recipe.train.seed)?;
        train.sort_unstable();
        validation.sort_unstable();
        Ok(Self { train, validation })
    }
}

/// What came of training.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Epochs begun.
    pub epochs: u64,
    /// Steps taken.
    pub steps: u64,
    /// Spent on training steps.
    pub seconds: f64,
    /// On the validation images, after the last epoch.
    pub validation: Option<Evaluation>,
}

/// Sums over batches, kept on the device: `[sum of losses, correct predictions]`.
struct Totals {
    sum: Tensor,
    images: usize,
}

impl Totals {
    fn new(device: &Device) -> Result<Self, tape::Error> {
        Ok(Self { sum: device.zeros(&TensorSpec::plain([2]))?, images: 0 })
    }

    fn add(&mut self, device: &Device, metrics: &Tensor, images: usize) -> Result<(), tape::Error> {
        device.run(&Accumulate::new(TensorSpec::plain([2]))?, Direction::Update, &[&self.sum, metrics])?;
        self.images += images;
        Ok(())
    }

    /// Waits for the means so far.
    async fn scores(&self, device: &Device) -> Result<Scores, tape::Error> {
        let sums = device.read(&self.sum).await?;
        let mean = |index: usize| {
            let sum = sums.real().get(index).copied().unwrap_or(f32::NAN);
            f64::from(sum) / self.images as f64
        };
        Ok(Scores { loss: mean(0), accuracy: mean(1) })
    }

    fn clear(&mut self, device: &Device) -> Result<(), tape::Error> {
        self.images = 0;
        device.write(&self.sum, Array::Real(vec![0.0; 2]))
    }
}

/// What the loop needs besides the model.
pub struct Trainer<'a> {
    /// Where it runs.
    pub device: &'a Device,
    /// What to do.
    pub recipe: &'a Recipe,
    /// What to do it with.
    pub dataset: &'a Dataset,
    /// Where the figures go.
    pub metrics: MetricsWriter,
    /// Steps between lines of step losses; `None` writes none.
    pub log_every: Option<u64>,
    /// What a person sees.
    pub progress: TrainingProgress,
}

impl Trainer<'_> {
    /// Trains the model in place.
    pub async fn run(&mut self, model: &Model) -> anyhow::Result<Trained> {
        let (device, recipe) = (self.device, self.recipe);
        let seed = recipe.train.seed;
        let partition = Partition::new(recipe, self.dataset.train.len())?;
        let images = Images::upload(device, &self.dataset.train, recipe.data.normalise)?;
        let visit = Visit::new(device, &partition.train, seed)?;
        let one = device.upload(&TensorSpec::plain([1]), Array::Real(vec![1.0]))?;
        let rates = device.zeros(&TensorSpec::plain([4]))?;
        let optimizer = Optimizer::new(device, &model.trainable(), |spec| {
            recipe.optimizer.update(spec).map_err(tape::Error::from)
        })?;
        let normalises = model.network().layers().iter().any(|layer| matches!(layer, Layer::BatchNorm { .. }));
        let last_step = recipe.train.max_steps.unwrap_or(u64::MAX);

        let mut trained = Trained { epochs: 0, steps: 0, seconds: 0.0, validation: None };
        let mut since_log = Totals::new(device)?;
        let mut epoch_totals = Totals::new(device)?;
        for epoch in 1..=recipe.train.epochs {
            if trained.steps == last_step {
                break;
            }
            let begin = Instant::now();
            let mut shown = Instant::now();
            trained.epochs = epoch;
            self.progress.begin(epoch);
            epoch_totals.clear(device)?;
            if recipe.train.order == Order::Shuffled {
                visit.reorder(device, &epoch_order(&partition.train, seed, epoch))?;
            }
            visit.seek(device, trained.steps, 0, seed)?;

            for first in (0..visit.len()).step_by(recipe.train.batch_size) {
                let n = recipe.train.batch_size.min(visit.len() - first);
                // A last batch of one image has no variance to normalise by.
                if trained.steps == last_step || (n == 1 && normalises) {
                    break;
                }
                let metrics = self.step(model, &images, &visit, n, &one, &rates, &optimizer)?;
                trained.steps += 1;
                epoch_totals.add(device, &metrics, n)?;
                if let Some(every) = self.log_every {
                    since_log.add(device, &metrics, n)?;
                    if trained.steps.is_multiple_of(every) {
                        let loss = since_log.scores(device).await?.loss;
                        self.metrics.write(&Record::Step { step: trained.steps, loss })?;
                        since_log.clear(device)?;
                    }
                }
                let scores = if shown.elapsed() >= PROGRESS {
                    shown = Instant::now();
                    let scores = epoch_totals.scores(device).await?;
                    finite(scores.loss, trained.steps)?;
                    Some(scores)
                } else {
                    device.submit()?;
                    None
                };
                self.progress.advance(n as u64, scores);
            }

            let train = epoch_totals.scores(device).await?;
            let seconds = begin.elapsed().as_secs_f64();
            trained.seconds += seconds;
            if epoch_totals.images > 0 {
                finite(train.loss, trained.steps)?;
            }
            trained.validation = None;
            if !partition.validation.is_empty() {
                let labels = self.dataset.train.labels();
                trained.validation = Some(evaluate(device, model, &images, &partition.validation, labels).await?);
            }
            let validation =
                trained.validation.as_ref().map(|v| Scores { loss: v.loss, accuracy: v.accuracy });
            let samples_per_second = epoch_totals.images as f64 / seconds;
            let steps = trained.steps;
            let line = Epoch { epoch, steps, train, validation, seconds, samples_per_second };
            self.metrics.write(&Record::Epoch(line.clone()))?;
            self.progress.end(&line);
        }
        Ok(trained)
    }

    /// One step on the next `n` images. Returned: `[sum of losses, correct predictions]` of them.
    fn step(
        &self,
        model: &Model,
        images: &Images,
        visit: &Visit,
        n: usize,
        one: &Tensor,
        rates: &Tensor,
        optimizer: &Optimizer,
    ) -> Result<Tensor, tape::Error> {
        let device = self.device;
        let (x, labels) = images.gather(device, visit, n)?;
        let tape = Tape::new(device);
        let pass = Pass { batch_norm: BatchNormMode::Training, dropout: Some(&visit.counter) };
        let forward = model.forward(&tape, &x, pass)?;
        let (loss, metrics) = tape.softmax_cross_entropy(&forward.logits, &tape.constant(&labels))?;
        let gradients = tape.backward_from(&loss, one)?;
        // After the last reader of this step's counter, before the first reader of its rates.
        let schedule = self.recipe.optimizer.schedule(n)?;
        device.run(&schedule, Direction::Update, &[&visit.counter, rates])?;
        let grads: Vec<Option<&Tensor>> = model.gradients(&forward, &gradients).map(|(_, grad)| grad).collect();
        optimizer.step(device, rates, &grads)?;
        Ok(metrics.tensor().clone())
    }
}

fn finite(loss: f64, step: u64) -> Result<(), Diverged> {
    if loss.is_finite() { Ok(()) } else { Err(Diverged { step, loss }) }
}
