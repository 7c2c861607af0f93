use crate::{Device, Error, Tensor};
use reference::Direction;
use reference::ops::Rescale;

/// Multiplies gradients, in place, by a number on the device.
pub fn rescale(device: &Device, grads: &[&Tensor], factor: &Tensor) -> Result<(), Error> {
    for grad in grads {
        device.run(&Rescale::new(grad.spec().clone())?, Direction::Update, &[grad, factor])?;
    }
    Ok(())
}
