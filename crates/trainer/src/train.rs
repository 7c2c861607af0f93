//! The training loop.

mod divergence;
mod records;
mod scale;
mod session;
mod state;
mod watch;

pub use records::Records;
pub use scale::LossScale;
pub use session::layout;
pub use state::{Best, LoopState};

use crate::checkpoint::{Names, Snapshot};
use crate::cli::OnNan;
use crate::console;
use crate::evaluate::{Evaluator, How};
use crate::evaluation::Evaluation;
use crate::exit::Diverged;
use crate::images::{Images, Visit};
use crate::interrupt::{Interrupt, Interrupted, Signal};
use crate::metrics::{Epoch, Record, Timing};
use crate::model::Model;
use crate::progress::TrainingProgress;
use crate::recipe::{Monitor, Precision, Recipe};
use crate::step::Step;
use fashion_mnist::{Dataset, SplitError, split_validation};
use session::{Session, TOTALS_EPOCH, TOTALS_LOG, Totals};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use tape::Device;
use watch::{Test, Watch, scores};

/// How often progress asks the device how training goes: each time waits for it.
const PROGRESS: Duration = Duration::from_millis(500);

/// How long training may go on without a look at everything it changes: where it is found to have diverged, the steps
/// since are repeated one by one.
const LOOK: Duration = Duration::from_secs(10);

/// Batches in a row that may be skipped. More of them mean that it is not the batches.
const SKIPS: u64 = 10;

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
        // Both lists are in random order.
        train.truncate(recipe.data.train_len(images));
        train.sort_unstable();
        validation.sort_unstable();
        Ok(Self { train, validation })
    }
}

/// How a run is watched and kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Steps between lines of step losses; `None` writes none.
    pub log_every: Option<u64>,
    /// Steps between checkpoints, besides those after every epoch.
    pub checkpoint_every: Option<u64>,
    /// What to do about a step that leaves NaN or infinity behind.
    pub on_nan: OnNan,
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
    /// How it is watched and kept.
    pub settings: Settings,
    /// What a person sees.
    pub progress: TrainingProgress,
    /// Where to go on; `None` begins at the beginning.
    pub start: Option<Snapshot>,
    /// What may ask to stop.
    pub interrupt: Option<Interrupt>,
}

/// Clocks of one epoch.
struct Clock {
    begin: Instant,
    shown: Instant,
    looked: Instant,
    /// Images trained on since `begin`.
    images: usize,
}

impl Clock {
    fn new() -> Self {
        let now = Instant::now();
        Self { begin: now, shown: now, looked: now, images: 0 }
    }
}

/// A run under way.
struct Run<'a> {
    session: Session<'a>,
    state: LoopState,
    /// The newest snapshot in which everything is finite.
    good: Snapshot,
    records: Records,
    clock: Clock,
}

impl Trainer<'_> {
    /// Trains the model in place. `begin` is called once, when everything that steps need has been allocated and before
    /// the first of them, with what they start from; it says where records go. Returned: the state after the last step.
    pub async fn run(
        mut self,
        model: &Model,
        begin: impl FnOnce(&mut Snapshot) -> anyhow::Result<Records>,
    ) -> anyhow::Result<LoopState> {
        let (device, recipe) = (self.device, self.recipe);
        let partition = Partition::new(recipe, self.dataset.train.len())?;
        let images = Images::upload(device, &self.dataset.train, recipe.data.normalise, recipe.train.precision)?;
        let visit = Visit::new(device, &partition.train, recipe.train.seed)?;
        let step = Step::new(device, recipe, model, &images, &visit)?;
        let ways = (self.settings.log_every.is_some(), self.settings.eager);
        let session = Session::new(device, recipe, &step, &visit, &partition.train, ways)?;
        let test = Test::new(device, recipe, self.dataset)?;
        let sets = (&images, &partition);
        let watch = Watch::new(device, recipe, self.dataset, model, sets, test.as_ref(), self.settings.eager)?;

        let mut good = match self.start.take() {
            Some(start) => {
                session.restore(&start)?;
                start
            }
            None => {
                let first = || recipe.train.loss_scale.map_or_else(LossScale::default, LossScale::from);
                let loss_scale = (recipe.train.precision == Precision::F16Storage).then(first);
                let state = LoopState { loss_scale, ..LoopState::default() };
                session.seek(&state)?;
                session.snapshot(&state).await?
            }
        };
        let records = begin(&mut good)?;
        let mut run = Run { session, state: good.state.clone(), good, records, clock: Clock::new() };
        self.progress
            .advance(((run.state.epoch - 1) * visit.len() as u64).saturating_add(run.state.position as u64), None);
        self.progress.begin(run.state.epoch);
        loop {
            if run.session.epoch_is_over(&run.state) {
                let whole = run.session.all_visited(&run.state);
                if !whole {
                    // Going on beyond the last step must lead where a run without it leads.
                    run.save(Names::Last)?;
                }
                let Some(best) = self.end_epoch(&watch, &mut run).await? else {
                    // As if there had been no evaluation: it is made anew by whoever goes on.
                    if whole {
                        run.save(Names::Last)?;
                    }
                    return Err(self.interrupted(&run));
                };
                if !whole {
                    if best {
                        run.save(Names::Best)?;
                    }
                    break;
                }
                run.next_epoch(device, best)?;
            }
            if run.state.is_done(&recipe.train) {
                break;
            }
            if self.signal().is_some() {
                if !self.look(&mut run).await? {
                    continue;
                }
                run.save(Names::Last)?;
                return Err(self.interrupted(&run));
            }
            if run.state.position == 0 {
                run.session.seek(&run.state)?;
                self.progress.begin(run.state.epoch);
                run.clock = Clock::new();
            }
            let n = run.session.advance(&mut run.state)?;
            run.clock.images += n;
            let due = |every: Option<u64>| every.is_some_and(|every| run.state.steps.is_multiple_of(every));
            let (log, save) = (due(self.settings.log_every), due(self.settings.checkpoint_every));
            let suspicious = self.show(&mut run, n).await?;
            let over = run.session.epoch_is_over(&run.state);
            if (suspicious || log || save || over || run.clock.looked.elapsed() >= LOOK) && !self.look(&mut run).await?
            {
                continue;
            }
            if log {
                run.log(device)?;
            }
            if save && !over {
                run.save(Names::Last)?;
            }
        }
        Ok(run.state)
    }

    /// The signal that asks to stop, if one came.
    fn signal(&self) -> Option<Signal> {
        self.interrupt.as_ref().and_then(Interrupt::pending)
    }

    fn interrupted(&self, run: &Run<'_>) -> anyhow::Error {
        let signal = self.signal().unwrap_or(Signal::Interrupt);
        Interrupted { signal, steps: run.state.steps, run: run.records.folder(), on_nan: self.settings.on_nan }.into()
    }

    /// Reads back everything that the next step depends on. If all is finite, that is the newest good snapshot. If not,
    /// training stops, or goes back to before the step that is to blame and past its batch; then `false` is returned.
    async fn look(&self, run: &mut Run<'_>) -> anyhow::Result<bool> {
        run.clock.looked = Instant::now();
        let now = run.session.snapshot(&run.state).await?;
        if now.is_finite() {
            run.good = now;
            return Ok(true);
        }
        let culprit = divergence::find(&run.session, &run.good, run.state.steps).await?;
        let culprit = match divergence::rescale(&run.session, culprit).await? {
            Ok(before) => {
                let scale = before.state.loss_scale.unwrap_or_default().scale;
                let step = before.state.steps + 1;
                console::message(&format!("step {step}: a gradient overflows f16; the loss is scaled by {scale} now"));
                run.state = before.state.clone();
                run.good = before;
                run.session.seek(&run.state)?;
                return Ok(false);
            }
            Err(culprit) => culprit,
        };
        let divergence::Culprit { before, origin } = culprit;
        let (step, epoch) = (before.state.steps + 1, before.state.epoch);
        let (in_row, run_folder) = (before.state.skipped_in_row_now(), run.records.folder());
        let diverged = Diverged::InStep { step, epoch, origin: origin.clone(), skipped: in_row, run: run_folder };
        let n = run.session.next(&before.state);
        let mut state = before.state.clone();
        let Some(origin) = origin.filter(|_| self.settings.on_nan == OnNan::Skip && state.skip(n) <= SKIPS) else {
            return Err(diverged.into());
        };
        let first = before.state.position;
        let what = origin.to_string();
        run.records.write(&mut state, &Record::Skipped { step, epoch, first, images: n, what })?;
        console::message(&format!(
            "step {step}: {origin}; its batch of {n} images (from {first} on in epoch {epoch}) is skipped"
        ));
        run.good = Snapshot { state: state.clone(), ..before };
        run.state = state;
        run.session.seek(&run.state)?;
        Ok(false)
    }

    /// Moves the bar; from time to time with the scores so far. Whether they are no numbers.
    async fn show(&self, run: &mut Run<'_>, n: usize) -> anyhow::Result<bool> {
        let scores = if run.clock.shown.elapsed() >= PROGRESS {
            let scores = run.session.epoch.scores(self.device, run.state.images_of_epoch).await?;
            run.clock.shown = Instant::now();
            Some(scores)
        } else {
            None
        };
        let suspicious = scores.is_some_and(|scores| !scores.loss.is_finite());
        self.progress.advance(n as u64, scores.filter(|_| !suspicious));
        Ok(suspicious)
    }

    /// The figures of an epoch, or of what was made of it before the last step. Whether it is the best so far; `None` if a
    /// signal came before all were there.
    async fn end_epoch(&self, watch: &Watch<'_>, run: &mut Run<'_>) -> anyhow::Result<Option<bool>> {
        let LoopState { epoch, steps, images_of_epoch, .. } = run.state;
        let seconds = run.clock.begin.elapsed().as_secs_f64();
        let train = Totals::saved(&run.good, TOTALS_EPOCH, images_of_epoch.max(1));
        let Some(figures) = watch.look(&|| self.signal().is_some()).await? else { return Ok(None) };
        // The loss of a batch is taken before the update that may have spoilt the weights.
        if let Some(what) = figures.not_finite() {
            let layer = watch.find().await?;
            return Err(Diverged::InUse { steps, images: what, layer }.into());
        }
        let [validation, validation_augmented, test] =
            [&figures.validation, &figures.augmented, &figures.test].map(scores);
        let state = &mut run.state;
        state.seconds += seconds;
        state.train = Some(train);
        state.validation = figures.validation;
        state.validation_augmented = figures.augmented;
        let monitor = self.recipe.early_stopping.as_ref().map_or(Monitor::Accuracy, |stopping| stopping.monitor);
        let best = state.judge(epoch, validation.unwrap_or(train), monitor);
        if let Some(stopping) = &self.recipe.early_stopping {
            state.watch(stopping, validation.unwrap_or(train));
        }
        let line = Epoch { epoch, steps, train, validation, validation_augmented, test };
        run.records.write(state, &Record::Epoch(line.clone()))?;
        let samples_per_second = run.clock.images as f64 / seconds;
        let timing = Timing { epoch, steps, seconds, samples_per_second };
        run.records.write_timing(&timing)?;
        self.progress.end(&line, &timing);
        Ok(Some(best))
    }
}

impl Run<'_> {
    /// Writes a line with the loss since the last one.
    fn log(&mut self, device: &Device) -> anyhow::Result<()> {
        let loss = Totals::saved(&self.good, TOTALS_LOG, self.state.images_since_log).loss;
        let step = self.state.steps;
        self.records.write(&mut self.state, &Record::Step { step, loss })?;
        if let Some(totals) = &self.session.since_log {
            totals.clear(device)?;
        }
        self.state.images_since_log = 0;
        self.good.clear(TOTALS_LOG);
        self.good.state = self.state.clone();
        Ok(())
    }

    /// From the end of an epoch to the beginning of the next.
    fn next_epoch(&mut self, device: &Device, best: bool) -> anyhow::Result<()> {
        let state = std::mem::take(&mut self.state);
        self.state = LoopState { epoch: state.epoch + 1, position: 0, images_of_epoch: 0, ..state };
        self.session.epoch.clear(device)?;
        self.good.clear(TOTALS_EPOCH);
        self.good.state = self.state.clone();
        self.save(if best { Names::LastAndBest } else { Names::Last })
    }

    /// Writes a checkpoint of the newest good snapshot.
    fn save(&mut self, names: Names) -> anyhow::Result<()> {
        self.records.save(&self.good, names)
    }
}

/// Figures on the test images; a loss that is no number is an error. `steps` were taken. `each` gets the logits of every
/// image, in order, and says whether to stop; then there are no figures.
pub async fn test(
    device: &Device,
    model: &Model,
    recipe: &Recipe,
    dataset: &Dataset,
    steps: u64,
    each: &mut dyn FnMut(&[f32]) -> ControlFlow<()>,
) -> anyhow::Result<Option<Evaluation>> {
    let images = Images::upload(device, &dataset.test, recipe.data.normalise, recipe.train.precision)?;
    let order: Vec<u32> = (0..dataset.test.len() as u32).collect();
    let set = (order.as_slice(), dataset.test.labels());
    let figures = Evaluator::new(device, model, recipe, &images, set, How::default())?.run(each).await?;
    if figures.as_ref().is_some_and(|figures| !figures.loss.is_finite()) {
        let layer = divergence::find_in_use(device, model, &images, &order).await?;
        return Err(Diverged::InUse { steps, images: "test", layer }.into());
    }
    Ok(figures)
}
