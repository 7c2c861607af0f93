use crate::{Device, Error, Tensor};
use reference::ops::{Accumulate, ClipNorm, ClipValue, SumOfSquares};
use reference::{Direction, TensorSpec};

/// Scales gradients in place so that their norm, taken over all of them, is at most `max_norm`. Returned:
/// the sum of squares before, one number on the device.
///
/// The sum runs over the gradients in their order, so that it is the same every time. Nothing is
/// uploaded or read, so a step that clips can be recorded.
pub fn clip_norm(device: &Device, grads: &[&Tensor], max_norm: f32) -> Result<Tensor, Error> {
    let scalar = TensorSpec::plain([1]);
    let mut total: Option<Tensor> = None;
    for grad in grads {
        let sum = device.empty(&scalar)?;
        device.run(&SumOfSquares::new(grad.spec().clone())?, Direction::Fwd, &[grad, &sum])?;
        match &total {
            Some(total) => device.run(&Accumulate::new(scalar.clone())?, Direction::Update, &[total, &sum])?,
            None => total = Some(sum),
        }
    }
    let Some(total) = total else { return device.zeros(&scalar) };
    for grad in grads {
        device.run(&ClipNorm::new(grad.spec().clone(), max_norm)?, Direction::Update, &[grad, &total])?;
    }
    Ok(total)
}

/// Limits every element of the gradients, in place, to `limit` on either side of 0.
pub fn clip_value(device: &Device, grads: &[&Tensor], limit: f32) -> Result<(), Error> {
    for grad in grads {
        device.run(&ClipValue::new(grad.spec().clone(), limit)?, Direction::Update, &[grad])?;
    }
    Ok(())
}
