//! The training loop.

use crate::evaluate::evaluate;
use crate::evaluation::Evaluation;
use crate::exit::Diverged;
use crate::images::{Images, Visit};
use crate::metrics::{Epoch, MetricsWriter, Record, Scores};
use crate::model::Model;
use crate::progress::TrainingProgress;
use crate::recipe::{Order, Recipe};
use crate::step::Step;
use fashion_mnist::{Dataset, SplitError, epoch_order, split_validation};
use kernels::Plan;
use reference::ops::Accumulate;
use reference::{Array, Direction, TensorSpec};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tape::{Device, Tensor};

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
}

impl Totals {
    fn new(device: &Device) -> Result<Self, tape::Error> {
        Ok(Self { sum: device.zeros(&TensorSpec::plain([2]))? })
    }

    fn add(&self, device: &Device, metrics: &Tensor) -> Result<(), tape::Error> {
        device.run(&Accumulate::new(TensorSpec::plain([2]))?, Direction::Update, &[&self.sum, metrics])
    }

    /// Waits for the means over the `images` that were added.
    async fn scores(&self, device: &Device, images: usize) -> Result<Scores, tape::Error> {
        let sums = device.read(&self.sum).await?;
        let mean = |index: usize| {
            let sum = sums.real().get(index).copied().unwrap_or(f32::NAN);
            f64::from(sum) / images as f64
        };
        Ok(Scores { loss: mean(0), accuracy: mean(1) })
    }

    fn clear(&self, device: &Device) -> Result<(), tape::Error> {
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
    /// Whether each step is run by the tape, even where a recorded plan could be replayed.
    pub eager: bool,
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
        let step = Step::new(device, recipe, model, &images, &visit)?;
        let last_step = recipe.train.max_steps.unwrap_or(u64::MAX);

        let mut trained = Trained { epochs: 0, steps: 0, seconds: 0.0, validation: None };
        let epoch_totals = Totals::new(device)?;
        let since_log = Totals::new(device)?;
        let totals: &[&Totals] = if self.log_every.is_some() { &[&epoch_totals, &since_log] } else { &[&epoch_totals] };
        let run = |device: &Device, n: usize| {
            let metrics = step.run(device, n)?;
            totals.iter().try_for_each(|totals| totals.add(device, &metrics))
        };
        // One for each batch size there is: the usual one, and that of a smaller last batch.
        let mut plans: HashMap<usize, Plan> = HashMap::new();
        let mut images_since_log = 0;
        for epoch in 1..=recipe.train.epochs {
            if trained.steps == last_step {
                break;
            }
            let begin = Instant::now();
            let mut shown = Instant::now();
            trained.epochs = epoch;
            self.progress.begin(epoch);
            epoch_totals.clear(device)?;
            let mut images_of_epoch = 0;
            if recipe.train.order == Order::Shuffled {
                visit.reorder(device, &epoch_order(&partition.train, seed, epoch))?;
            }
            visit.seek(device, trained.steps, 0, seed)?;

            for first in (0..visit.len()).step_by(recipe.train.batch_size) {
                let n = recipe.train.batch_size.min(visit.len() - first);
                if trained.steps == last_step {
                    break;
                }
                if !self.eager && !plans.contains_key(&n) {
                    let plan = device.record(|recorder| run(recorder, n))?;
                    plans.extend(plan.map(|plan| (n, plan)));
                }
                match plans.get(&n) {
                    Some(plan) => device.replay(plan)?,
                    None => run(device, n)?,
                }
                trained.steps += 1;
                images_of_epoch += n;
                images_since_log += n;
                if self.log_every.is_some_and(|every| trained.steps.is_multiple_of(every)) {
                    let loss = since_log.scores(device, images_since_log).await?.loss;
                    self.metrics.write(&Record::Step { step: trained.steps, loss })?;
                    finite(loss, trained.steps)?;
                    since_log.clear(device)?;
                    images_since_log = 0;
                }
                let scores = if shown.elapsed() >= PROGRESS {
                    let scores = epoch_totals.scores(device, images_of_epoch).await?;
                    finite(scores.loss, trained.steps)?;
                    shown = Instant::now();
                    Some(scores)
                } else {
                    None
                };
                self.progress.advance(n as u64, scores);
            }

            let train = epoch_totals.scores(device, images_of_epoch).await?;
            let seconds = begin.elapsed().as_secs_f64();
            trained.seconds += seconds;
            if images_of_epoch > 0 {
                finite(train.loss, trained.steps)?;
            }
            trained.validation = None;
            if !partition.validation.is_empty() {
                let labels = self.dataset.train.labels();
                trained.validation = Some(evaluate(device, model, &images, &partition.validation, labels).await?);
            }
            let validation = trained.validation.as_ref().map(|v| Scores { loss: v.loss, accuracy: v.accuracy });
            // The loss of a batch is taken before the update that may have spoilt the weights.
            finite(validation.map_or(0.0, |scores| scores.loss), trained.steps)?;
            let samples_per_second = images_of_epoch as f64 / seconds;
            let steps = trained.steps;
            let line = Epoch { epoch, steps, train, validation, seconds, samples_per_second };
            self.metrics.write(&Record::Epoch(line.clone()))?;
            self.progress.end(&line);
        }
        Ok(trained)
    }
}

/// Refuses to go on with a loss that is no number.
pub fn finite(loss: f64, step: u64) -> Result<(), Diverged> {
    if loss.is_finite() { Ok(()) } else { Err(Diverged { step, loss }) }
}
