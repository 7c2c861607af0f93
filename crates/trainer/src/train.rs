//! The training loop.

mod session;
mod state;

pub use state::{Best, LoopState};

use crate::evaluate::evaluate;
use crate::exit::Diverged;
use crate::images::{Images, Visit};
use crate::metrics::{Epoch, Journal, Record, Scores, Timing};
use crate::model::Model;
use crate::progress::TrainingProgress;
use crate::recipe::Recipe;
use crate::step::Step;
use fashion_mnist::{Dataset, SplitError, split_validation};
use session::Session;
use std::time::{Duration, Instant};
use tape::Device;

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

/// How a run is watched and kept. None of it changes the weights.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Steps between lines of step losses; `None` writes none.
    pub log_every: Option<u64>,
    /// Whether each step is run by the tape, even where a recorded plan could be replayed.
    pub eager: bool,
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
    pub journal: Journal,
    /// How it is watched and kept.
    pub settings: Settings,
    /// What a person sees.
    pub progress: TrainingProgress,
}

/// Clocks of one epoch.
struct Clock {
    begin: Instant,
    shown: Instant,
    /// Images trained on since `begin`.
    images: usize,
}

impl Clock {
    fn new() -> Self {
        Self { begin: Instant::now(), shown: Instant::now(), images: 0 }
    }
}

impl Trainer<'_> {
    /// Trains the model in place. Returned: the state after the last step.
    pub async fn run(&mut self, model: &Model) -> anyhow::Result<LoopState> {
        let (device, recipe) = (self.device, self.recipe);
        let partition = Partition::new(recipe, self.dataset.train.len())?;
        let images = Images::upload(device, &self.dataset.train, recipe.data.normalise)?;
        let visit = Visit::new(device, &partition.train, recipe.train.seed)?;
        let step = Step::new(device, recipe, model, &images, &visit)?;
        let ways = (self.settings.log_every.is_some(), self.settings.eager);
        let session = Session::new(device, recipe, &step, &visit, &partition.train, ways)?;
        let last_step = recipe.train.max_steps.unwrap_or(u64::MAX);

        let mut state = LoopState::default();
        let mut clock = Clock::new();
        while state.epoch <= recipe.train.epochs {
            if state.position == 0 {
                if state.steps == last_step {
                    break;
                }
                session.epoch.clear(device)?;
                session.seek(&state)?;
                self.progress.begin(state.epoch);
                clock = Clock::new();
            }
            if state.steps < last_step {
                let n = session.advance(&mut state)?;
                clock.images += n;
                self.log(&session, &mut state).await?;
                self.show(&session, &state, &mut clock, n).await?;
            }
            if state.position == visit.len() || state.steps == last_step {
                self.end_epoch(model, &session, &images, &partition, &mut state, &clock).await?;
                if state.position < visit.len() {
                    break;
                }
                state = LoopState { epoch: state.epoch + 1, position: 0, images_of_epoch: 0, ..state };
            }
        }
        Ok(state)
    }

    /// Writes a line if one is due.
    async fn log(&mut self, session: &Session<'_>, state: &mut LoopState) -> anyhow::Result<()> {
        let due = self.settings.log_every.is_some_and(|every| state.steps.is_multiple_of(every));
        let Some(totals) = session.since_log.as_ref().filter(|_| due) else { return Ok(()) };
        let loss = totals.scores(self.device, state.images_since_log).await?.loss;
        self.record(state, &Record::Step { step: state.steps, loss })?;
        finite(loss, state.steps)?;
        totals.clear(self.device)?;
        state.images_since_log = 0;
        Ok(())
    }

    fn record(&mut self, state: &mut LoopState, record: &Record) -> std::io::Result<()> {
        self.journal.metrics.write(record)?;
        state.metrics_bytes = self.journal.metrics.bytes();
        Ok(())
    }

    /// Moves the bar; from time to time with the scores so far.
    async fn show(&self, session: &Session<'_>, state: &LoopState, clock: &mut Clock, n: usize) -> anyhow::Result<()> {
        let scores = if clock.shown.elapsed() >= PROGRESS {
            let scores = session.epoch.scores(self.device, state.images_of_epoch).await?;
            finite(scores.loss, state.steps)?;
            clock.shown = Instant::now();
            Some(scores)
        } else {
            None
        };
        self.progress.advance(n as u64, scores);
        Ok(())
    }

    /// The figures of an epoch, or of what was made of it before the last step.
    async fn end_epoch(
        &mut self,
        model: &Model,
        session: &Session<'_>,
        images: &Images,
        partition: &Partition,
        state: &mut LoopState,
        clock: &Clock,
    ) -> anyhow::Result<()> {
        let LoopState { epoch, steps, .. } = *state;
        let train = session.epoch.scores(self.device, state.images_of_epoch).await?;
        let seconds = clock.begin.elapsed().as_secs_f64();
        state.seconds += seconds;
        finite(train.loss, steps)?;
        state.validation = None;
        if !partition.validation.is_empty() {
            let labels = self.dataset.train.labels();
            state.validation = Some(evaluate(self.device, model, images, &partition.validation, labels).await?);
        }
        let validation = state.validation.as_ref().map(|v| Scores { loss: v.loss, accuracy: v.accuracy });
        // The loss of a batch is taken before the update that may have spoilt the weights.
        finite(validation.map_or(0.0, |scores| scores.loss), steps)?;
        state.judge(epoch, validation.unwrap_or(train));
        let line = Epoch { epoch, steps, train, validation };
        self.record(state, &Record::Epoch(line.clone()))?;
        let samples_per_second = clock.images as f64 / seconds;
        let timing = Timing { epoch, steps, seconds, samples_per_second };
        self.journal.timings.write(&timing)?;
        self.progress.end(&line, &timing);
        Ok(())
    }
}

/// Refuses to go on with a loss that is no number.
pub fn finite(loss: f64, step: u64) -> Result<(), Diverged> {
    if loss.is_finite() { Ok(()) } else { Err(Diverged { step, loss }) }
}
