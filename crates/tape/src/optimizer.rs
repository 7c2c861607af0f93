use crate::{Device, Error, Tensor};
use reference::{Access, Array, Direction, Operation, TensorSpec};

/// Updates parameters in place by an operation with an `update` direction, whatever its name: the
/// arguments `param`, `grad` and `rates` are handed in, the others it updates are its state, which
/// starts at zero and lives on the device.
#[derive(Debug)]
pub struct Optimizer {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    op: Box<dyn Operation>,
    param: Tensor,
    state: Vec<(&'static str, Tensor)>,
}

impl Optimizer {
    /// An optimizer of `params`; `op` makes the operation for one of them.
    pub fn new<E: From<Error>>(
        device: &Device,
        params: &[Tensor],
        op: impl Fn(&TensorSpec) -> Result<Box<dyn Operation>, E>,
    ) -> Result<Self, E> {
        let mut slots = Vec::with_capacity(params.len());
        for param in params {
            let op = op(param.spec())?;
            let mut state = Vec::new();
            for arg in op.signature(Direction::Update) {
                if arg.access == Access::Update && arg.name != "param" {
                    let name = format!("{}.{}", op.name(), arg.name);
                    state.push((arg.name, device.upload_named(&arg.spec, Array::zeros(&arg.spec), &name)?));
                }
            }
            slots.push(Slot { op, param: param.clone(), state });
        }
        Ok(Self { slots })
    }

    /// One step. `grads` are in the order of the parameters; a parameter without one stays.
    pub fn step(&self, device: &Device, rates: &Tensor, grads: &[Option<&Tensor>]) -> Result<(), Error> {
        for (slot, grad) in self.slots.iter().zip(grads) {
            let Some(grad) = grad else { continue };
            let signature = slot.op.signature(Direction::Update);
            let mut args = Vec::with_capacity(signature.len());
            for arg in &signature {
                args.push(match arg.name {
                    "param" => &slot.param,
                    "grad" => *grad,
                    "rates" => rates,
                    name => match slot.state.iter().find(|(state, _)| *state == name) {
                        Some((_, tensor)) => tensor,
                        None => {
                            let (op, direction) = (slot.op.name(), Direction::Update.name());
                            return Err(Error::MissingArgument { op, direction, arg: name });
                        }
                    },
                });
            }
            device.run(&*slot.op, Direction::Update, &args)?;
        }
        Ok(())
    }

    /// The state of every parameter, by parameter and name: what a checkpoint keeps.
    pub fn state(&self) -> impl Iterator<Item = (usize, &'static str, &Tensor)> {
        self.slots.iter().enumerate().flat_map(|(i, slot)| slot.state.iter().map(move |(name, t)| (i, *name, t)))
    }
}
