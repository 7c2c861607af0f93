use crate::{Arena, Device, Error, Tensor};
use reference::{Access, Array, Direction, Operation, TensorSpec};

/// Updates parameters in place by an operation with an `update` direction, whatever its name: the
/// arguments `param`, `grad` and `rates` are handed in, the others it updates are its state, which
/// starts at zero and lives on the device.
#[derive(Debug)]
pub struct Optimizer {
    slots: Vec<Slot>,
    /// All slots as one.
    whole: Option<Whole>,
}

#[derive(Debug)]
struct Slot {
    op: Box<dyn Operation>,
    param: Tensor,
    state: Vec<(&'static str, Tensor)>,
}

/// Parameters, gradients and state that lie next to each other. The zeros between them stay zeros: no operation here
/// moves a parameter of 0 with a gradient of 0.
#[derive(Debug)]
struct Whole {
    slot: Slot,
    grads: Arena,
    grad: Tensor,
    /// Nobody here reads a gradient once its step is over.
    _transient: Option<kernels::Transient>,
}

impl Optimizer {
    /// An optimizer of all parts of an arena. Their state lies in arenas of its own, and there is one for the gradients
    /// ([`Optimizer::gradients`]): a step on gradients that stand there is one launch. They are there for the length of a step: a
    /// plan of it need not write those that nobody else holds when it is made, if the launch can do without.
    pub fn of_arena<E: From<Error>>(
        device: &Device,
        params: &Arena,
        op: impl Fn(&TensorSpec) -> Result<Box<dyn Operation>, E>,
    ) -> Result<Self, E> {
        let Some(param) = &params.whole else { return Self::new(device, &params.parts, op) };
        let specs: Vec<TensorSpec> = params.parts.iter().map(|part| part.spec().clone()).collect();
        let mut slots = Vec::with_capacity(specs.len());
        for param in &params.parts {
            slots.push(Slot { op: op(param.spec())?, param: param.clone(), state: Vec::new() });
        }
        let whole = op(param.spec())?;
        let mut state = Vec::new();
        for arg in whole.signature(Direction::Update) {
            if arg.access == Access::Update && arg.name != "param" {
                let arena = device.arena(&specs, &format!("{}.{}", whole.name(), arg.name))?;
                for (slot, part) in slots.iter_mut().zip(&arena.parts) {
                    slot.state.push((arg.name, part.clone()));
                }
                state.extend(arena.whole.map(|tensor| (arg.name, tensor)));
            }
        }
        let grads = device.arena(&specs, "gradients")?;
        let slot = Slot { op: whole, param: param.clone(), state };
        let whole = grads.whole.clone().map(|grad| {
            let _transient = grad.transient();
            Whole { slot, grads, grad, _transient }
        });
        Ok(Self { slots, whole })
    }

    /// Where a gradient of each parameter is best written, if there is such a place. What a replayed plan leaves there is
    /// unknown.
    pub fn gradients(&self) -> Option<&[Tensor]> {
        self.whole.as_ref().map(|whole| whole.grads.parts())
    }

    /// These gradients as few tensors: all as one, with zeros between them, where they stand next to each other. For what
    /// is done to each of their elements by itself.
    pub fn together<'a>(&'a self, grads: &[Option<&'a Tensor>]) -> Vec<&'a Tensor> {
        match &self.whole {
            Some(whole) if whole.is_filled_by(grads) => vec![&whole.grad],
            _ => grads.iter().flatten().copied().collect(),
        }
    }

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
        Ok(Self { slots, whole: None })
    }

    /// One step. `grads` are in the order of the parameters; a parameter without one stays.
    pub fn step(&self, device: &Device, rates: &Tensor, grads: &[Option<&Tensor>]) -> Result<(), Error> {
        if let Some(whole) = self.whole.as_ref().filter(|whole| whole.is_filled_by(grads)) {
            return whole.slot.step(device, rates, &whole.grad);
        }
        for (slot, grad) in self.slots.iter().zip(grads) {
            if let Some(grad) = grad {
                slot.step(device, rates, grad)?;
            }
        }
        Ok(())
    }

    /// The state of every parameter, by parameter and name: what a checkpoint keeps.
    pub fn state(&self) -> impl Iterator<Item = (usize, &'static str, &Tensor)> {
        self.slots.iter().enumerate().flat_map(|(i, slot)| slot.state.iter().map(move |(name, t)| (i, *name, t)))
    }
}

impl Whole {
    /// Whether these gradients stand where there is a place for them.
    fn is_filled_by(&self, grads: &[Option<&Tensor>]) -> bool {
        let in_place = |(part, grad): (&Tensor, &Option<&Tensor>)| grad.is_some_and(|grad| grad.is(part));
        self.grads.parts.len() == grads.len() && self.grads.parts.iter().zip(grads).all(in_place)
    }
}

impl Slot {
    fn step(&self, device: &Device, rates: &Tensor, grad: &Tensor) -> Result<(), Error> {
        let signature = self.op.signature(Direction::Update);
        let mut args = Vec::with_capacity(signature.len());
        for arg in &signature {
            args.push(match arg.name {
                "param" => &self.param,
                "grad" => grad,
                "rates" => rates,
                name => match self.state.iter().find(|(state, _)| *state == name) {
                    Some((_, tensor)) => tensor,
                    None => {
                        let (op, direction) = (self.op.name(), Direction::Update.name());
                        return Err(Error::MissingArgument { op, direction, arg: name });
                    }
                },
            });
        }
        device.run(&*self.op, Direction::Update, &args)
    }
}
