//! The device's side of training: steps, and the sums they leave there.

use super::{LoopState, LossScale};
use crate::checkpoint::{Saved, Snapshot};
use crate::images::Visit;
use crate::metrics::Scores;
use crate::network::Network;
use crate::recipe::{Order, Recipe};
use crate::step::{self, Origin, Step};
use fashion_mnist::epoch_order;
use kernels::Plan;
use reference::ops::Accumulate;
use reference::{Array, Direction, TensorSpec};
use std::collections::HashMap;
use tape::{Device, Tensor};

/// The sums of an epoch in snapshots.
pub(super) const TOTALS_EPOCH: &str = "totals/epoch";

/// The sums since the last log line in snapshots.
pub(super) const TOTALS_LOG: &str = "totals/log";

/// Names and dimensions of the tensors in a run's snapshots.
pub fn layout(network: &Network, recipe: &Recipe, log: bool) -> Result<Vec<(String, Vec<usize>)>, reference::Error> {
    let mut layout = step::layout(network, recipe)?;
    layout.push((TOTALS_EPOCH.to_owned(), vec![2]));
    if log {
        layout.push((TOTALS_LOG.to_owned(), vec![2]));
    }
    Ok(layout)
}

/// Sums over batches, kept on the device: `[sum of losses, correct predictions]`.
pub(super) struct Totals {
    sum: Tensor,
}

impl Totals {
    fn new(device: &Device) -> Result<Self, tape::Error> {
        Ok(Self { sum: device.zeros(&TensorSpec::plain([2]))? })
    }

    fn add(&self, device: &Device, metrics: &Tensor) -> Result<(), tape::Error> {
        device.run(&Accumulate::new(TensorSpec::plain([2]))?, Direction::Update, &[&self.sum, metrics])
    }

    /// The means over the `images` that were added, as a snapshot has them.
    pub(super) fn saved(snapshot: &Snapshot, name: &str, images: usize) -> Scores {
        let mean = |index: usize| {
            let sum = snapshot.tensor(name).and_then(|sums| sums.values.get(index)).copied();
            f64::from(sum.unwrap_or(f32::NAN)) / images as f64
        };
        Scores { loss: mean(0), accuracy: mean(1) }
    }

    /// Waits for the means over the `images` that were added.
    pub(super) async fn scores(&self, device: &Device, images: usize) -> Result<Scores, tape::Error> {
        let sums = device.read(&self.sum).await?;
        let mean = |index: usize| {
            let sum = sums.real().get(index).copied().unwrap_or(f32::NAN);
            f64::from(sum) / images as f64
        };
        Ok(Scores { loss: mean(0), accuracy: mean(1) })
    }

    pub(super) fn clear(&self, device: &Device) -> Result<(), tape::Error> {
        device.write(&self.sum, Array::Real(vec![0.0; 2]))
    }
}

/// Training steps with everything they work on.
pub(super) struct Session<'a> {
    device: &'a Device,
    recipe: &'a Recipe,
    step: &'a Step<'a>,
    visit: &'a Visit,
    /// The images to train on, in the order of the file.
    train: &'a [u32],
    /// Over the epoch.
    pub(super) epoch: Totals,
    /// Since the last log line, if lines are written.
    pub(super) since_log: Option<Totals>,
    /// One for each batch size there is: the usual one, and that of a smaller last batch.
    plans: HashMap<usize, Plan>,
}

impl<'a> Session<'a> {
    /// Allocates everything that steps need, so that whatever is too large is found out before the first. Unless
    /// `eager`, the steps are recorded where the device can.
    pub(super) fn new(
        device: &'a Device,
        recipe: &'a Recipe,
        step: &'a Step<'a>,
        visit: &'a Visit,
        train: &'a [u32],
        (log, eager): (bool, bool),
    ) -> Result<Self, tape::Error> {
        let epoch = Totals::new(device)?;
        let since_log = if log { Some(Totals::new(device)?) } else { None };
        let mut session = Self { device, recipe, step, visit, train, epoch, since_log, plans: HashMap::new() };
        if !eager {
            for n in session.batch_sizes() {
                let plan = device.record(|recorder| session.run(recorder, n))?;
                session.plans.extend(plan.map(|plan| (n, plan)));
            }
        }
        Ok(session)
    }

    /// The sizes of the batches that this run comes to.
    fn batch_sizes(&self) -> Vec<usize> {
        let (images, usual) = (self.visit.len(), self.recipe.train.batch_size);
        let (whole, last) = (images / usual, images % usual);
        let mut sizes = vec![usual];
        if last > 0 && self.recipe.train.max_steps.is_none_or(|steps| steps > whole as u64) {
            sizes.push(last);
        }
        sizes
    }

    /// Everything on the device that one step leaves for the next, with names.
    fn tensors(&self) -> Vec<(String, &Tensor)> {
        let mut tensors = self.step.state();
        tensors.push((TOTALS_EPOCH.to_owned(), &self.epoch.sum));
        tensors.extend(self.since_log.iter().map(|totals| (TOTALS_LOG.to_owned(), &totals.sum)));
        tensors
    }

    /// Waits for everything that the next step depends on.
    pub(super) async fn snapshot(&self, state: &LoopState) -> Result<Snapshot, tape::Error> {
        let tensors = self.tensors();
        let contents = self.device.read_all(&tensors.iter().map(|(_, tensor)| *tensor).collect::<Vec<_>>()).await?;
        let saved = |((name, tensor), contents): ((String, &Tensor), Array<f32>)| {
            let dims = tensor.spec().dims.clone();
            Saved { name, dims, values: contents.real().to_vec() }
        };
        let tensors = tensors.into_iter().zip(contents).map(saved).collect();
        Ok(Snapshot { state: state.clone(), tensors })
    }

    /// Goes back (or on) to a snapshot. What it does not hold starts at zero.
    pub(super) fn restore(&self, snapshot: &Snapshot) -> Result<(), tape::Error> {
        for (name, tensor) in self.tensors() {
            let values = snapshot.tensor(&name).map_or_else(|| vec![0.0; tensor.spec().len()], |t| t.values.clone());
            self.device.write(tensor, Array::Real(values))?;
        }
        self.seek(&snapshot.state)
    }

    /// Takes the next step and looks at everything on its way: what first is not finite.
    pub(super) async fn inspect(&self, state: &LoopState) -> Result<Option<Origin>, tape::Error> {
        self.step.inspect(self.device, self.next(state)).await
    }

    /// Images in the next batch.
    pub(super) fn next(&self, state: &LoopState) -> usize {
        self.recipe.train.batch_size.min(self.visit.len().saturating_sub(state.position))
    }

    /// Whether the state's epoch is over: all batches were visited, or no further step is allowed.
    pub(super) fn epoch_is_over(&self, state: &LoopState) -> bool {
        state.position >= self.visit.len() || (state.position > 0 && state.at_last_step(&self.recipe.train))
    }

    /// Whether all batches of the state's epoch were visited.
    pub(super) fn all_visited(&self, state: &LoopState) -> bool {
        state.position >= self.visit.len()
    }

    fn run(&self, device: &Device, n: usize) -> Result<(), tape::Error> {
        let metrics = self.step.run(device, n)?;
        self.epoch.add(device, &metrics)?;
        self.since_log.iter().try_for_each(|totals| totals.add(device, &metrics))
    }

    /// Puts the order of the state's epoch on the device, and the counter where the state says.
    pub(super) fn seek(&self, state: &LoopState) -> Result<(), tape::Error> {
        let seed = self.recipe.train.seed;
        if self.recipe.train.order == Order::Shuffled {
            self.visit.reorder(self.device, &epoch_order(self.train, seed, state.epoch))?;
        }
        self.step.scale_loss(self.device, state.loss_scale.as_ref())?;
        self.visit.seek(self.device, state.steps, state.position, seed)
    }

    /// Takes the next step of an epoch that has one left. Returned: the images it was on.
    pub(super) fn advance(&self, state: &mut LoopState) -> Result<usize, tape::Error> {
        let n = self.next(state);
        match self.plans.get(&n) {
            Some(plan) => self.device.replay(plan)?,
            None => self.run(self.device, n)?,
        }
        state.steps += 1;
        state.position += n;
        state.images_of_epoch += n;
        state.images_since_log += n;
        if state.loss_scale.as_mut().is_some_and(LossScale::advance) {
            self.step.scale_loss(self.device, state.loss_scale.as_ref())?;
        }
        Ok(n)
    }
}
