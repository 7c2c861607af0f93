//! Which step made training diverge, and where in it.

use super::session::Session;
use super::{LoopState, LossScale};
use crate::checkpoint::Snapshot;
use crate::images::{Images, Visit};
use crate::model::{Model, Pass};
use crate::step::Origin;
use reference::Array;
use tape::{Device, Tape};

/// A step that left something behind that is not finite.
pub(super) struct Culprit {
    /// Before it.
    pub(super) before: Snapshot,
    /// What was not finite first; `None` if the step's repetition went well.
    pub(super) origin: Option<Origin>,
}

/// Repeats the steps from `good` to the one numbered `last`, after which something was not finite: steps give the same
/// bits every time. Ends with the device as it was before the culprit.
pub(super) async fn find(session: &Session<'_>, good: &Snapshot, last: u64) -> Result<Culprit, tape::Error> {
    let mut before = good.clone();
    session.restore(&before)?;
    let mut stride = ((last - before.state.steps) / 2).max(1);
    while before.state.steps < last {
        let mut state: LoopState = before.state.clone();
        let goal = (state.steps + stride).min(last);
        while state.steps < goal {
            session.advance(&mut state)?;
        }
        let now = session.snapshot(&state).await?;
        if now.is_finite() {
            before = now;
            continue;
        }
        session.restore(&before)?;
        if goal - before.state.steps == 1 {
            let origin = session.inspect(&before.state).await?;
            session.restore(&before)?;
            return Ok(Culprit { before, origin });
        }
        stride = ((goal - before.state.steps) / 2).max(1);
    }
    Ok(Culprit { before, origin: None })
}

/// Where a gradient overflowed, lowers the scale of the loss until the step goes well, and returns what to repeat it
/// from; or the culprit, if it is no matter of the scale. Ends with the device as it was before the step, but for the
/// scale.
pub(super) async fn rescale(session: &Session<'_>, culprit: Culprit) -> Result<Result<Snapshot, Culprit>, tape::Error> {
    let Culprit { before, mut origin } = culprit;
    let mut now = before.clone();
    while matches!(origin, Some(Origin::Gradient(_))) && now.state.loss_scale.as_mut().is_some_and(LossScale::halve) {
        session.restore(&now)?;
        origin = session.inspect(&now.state).await?;
        session.restore(&now)?;
        if origin.is_none() {
            return Ok(Ok(now));
        }
    }
    session.restore(&before)?;
    Ok(Err(Culprit { before, origin }))
}

/// The first layer whose output on one of these images is not finite, in use rather than in training.
pub(super) async fn find_in_use(
    device: &Device,
    model: &Model,
    images: &Images,
    order: &[u32],
) -> Result<Option<String>, tape::Error> {
    const BATCH: usize = 500;
    let visit = Visit::new(device, order, 0)?;
    for (number, batch) in order.chunks(BATCH).enumerate() {
        visit.seek(device, 0, number * BATCH, 0)?;
        let (x, _) = images.gather(device, &visit, batch.len())?;
        let mut outputs = Vec::new();
        let tape = Tape::new(device);
        model.forward_seen(&tape, &x, Pass::INFERENCE, |layer, output| outputs.push((layer, output.clone())))?;
        for (layer, output) in outputs {
            if let Array::Real(values) = device.read(output.tensor()).await?
                && values.iter().any(|value| !value.is_finite())
            {
                return Ok(model.network().names().get(layer).cloned());
            }
        }
    }
    Ok(None)
}
