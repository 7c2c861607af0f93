use crate::{Device, Error, Tensor};
use kernels::Element;
use reference::ops::Accumulate;
use reference::{Access, Array, Direction, Operation, TensorSpec};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// Records operations as they run and derives gradients from the record.
#[derive(Debug)]
pub struct Tape {
    device: Device,
    nodes: RefCell<Vec<Node>>,
    values: Cell<usize>,
    /// Distinguishes the values of this tape from those of another.
    token: Rc<()>,
}

/// A value on a tape. Clones are the same value.
#[derive(Clone, Debug)]
pub struct Var {
    id: usize,
    tensor: Tensor,
    wants_gradient: bool,
    token: Rc<()>,
}

impl Var {
    /// The value's tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Type, layout, dimensions.
    pub fn spec(&self) -> &TensorSpec {
        self.tensor.spec()
    }
}

/// An operation that ran.
#[derive(Debug)]
struct Node {
    op: Rc<dyn Operation>,
    /// The arguments of `fwd`, in the order of its signature.
    args: Vec<(&'static str, Var)>,
    /// The first argument written: the one gradients arrive for.
    output: (&'static str, usize),
}

/// The gradients of one [`Tape::backward`].
#[derive(Debug)]
pub struct Gradients {
    /// With the node, counted from the first, that contributed first.
    by_value: HashMap<usize, (Tensor, usize)>,
    /// Where the first contribution is to be written, for values that have such a place.
    places: HashMap<usize, Tensor>,
}

impl Gradients {
    /// The gradient of the loss by this value; `None` if the loss does not depend on it.
    pub fn get(&self, value: &Var) -> Option<&Tensor> {
        self.by_value.get(&value.id).map(|(gradient, _)| gradient)
    }
}

impl Gradients {
    /// The place for the first contribution to a value's gradient. A node that uses the value twice has two.
    fn place(&mut self, node: &Node, value: &Var) -> Option<Tensor> {
        let uses = node.args.iter().filter(|(_, arg)| arg.id == value.id).count();
        if uses == 1 && !self.by_value.contains_key(&value.id) { self.places.remove(&value.id) } else { None }
    }
}

impl Tape {
    /// An empty tape.
    pub fn new(device: &Device) -> Self {
        Self { device: device.clone(), nodes: RefCell::default(), values: Cell::new(0), token: Rc::default() }
    }

    /// The device everything runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A value to differentiate by: a parameter.
    pub fn leaf(&self, tensor: &Tensor) -> Var {
        self.value(tensor.clone(), true)
    }

    /// A value that needs no gradient: data, labels, running statistics.
    pub fn constant(&self, tensor: &Tensor) -> Var {
        self.value(tensor.clone(), false)
    }

    fn value(&self, tensor: Tensor, wants_gradient: bool) -> Var {
        let id = self.values.replace(self.values.get() + 1);
        Var { id, tensor, wants_gradient, token: Rc::clone(&self.token) }
    }

    /// Runs `fwd` of an operation and records it. `inputs` are the arguments it reads or updates,
    /// in the order of its signature; returned are those it writes, in that order. Gradients flow
    /// through the first.
    ///
    /// What is called `y` is stored as what is called `x` is: activations stay in f16 from one layer to the next.
    pub fn apply(&self, op: impl Operation, inputs: &[&Var]) -> Result<Vec<Var>, Error> {
        self.apply_stored(op, inputs, None)
    }

    /// Like [`Tape::apply`], with `y` stored like this.
    pub fn apply_stored(&self, op: impl Operation, inputs: &[&Var], y: Option<Element>) -> Result<Vec<Var>, Error> {
        let op: Rc<dyn Operation> = Rc::new(op);
        let name = op.name();
        if inputs.iter().any(|input| !Rc::ptr_eq(&input.token, &self.token)) {
            return Err(Error::OtherTape { op: name });
        }
        let wants_gradient = inputs.iter().any(|input| input.wants_gradient);
        let signature = op.signature(Direction::Fwd);
        let read = signature.iter().filter(|arg| arg.access != Access::Write);
        let x = read.zip(inputs).find(|(arg, _)| arg.name == "x").map(|(_, x)| x.tensor.element());
        let y = y.or(x).unwrap_or_default();
        let mut inputs = inputs.iter();
        let mut args: Vec<(&'static str, Var)> = Vec::new();
        let mut outputs = Vec::new();
        for arg in signature {
            if arg.access == Access::Write {
                let differentiable = outputs.is_empty() && wants_gradient;
                let element = if arg.name == "y" { y } else { Element::F32 };
                let tensor = self.device.empty_stored(&arg.spec, element, &|| format!("{name}.{}", arg.name))?;
                let output = self.value(tensor, differentiable);
                outputs.push((arg.name, output.clone()));
                args.push((arg.name, output));
            } else {
                let input = inputs.next().ok_or_else(|| reference::wrong_arguments(name, Direction::Fwd))?;
                args.push((arg.name, (*input).clone()));
            }
        }
        if inputs.next().is_some() {
            return Err(reference::wrong_arguments(name, Direction::Fwd).into());
        }
        let tensors: Vec<&Tensor> = args.iter().map(|(_, value)| &value.tensor).collect();
        self.device.run(&*op, Direction::Fwd, &tensors)?;
        if let Some((name, output)) = outputs.first().filter(|_| wants_gradient) {
            let output = (*name, output.id);
            self.nodes.borrow_mut().push(Node { op, args, output });
        }
        Ok(outputs.into_iter().map(|(_, output)| output).collect())
    }

    /// The gradients of `loss`, one number, by every [`Tape::leaf`] it depends on.
    ///
    /// Operations are visited in the reverse of the order they ran in; where a value was used more
    /// than once its gradients are added in that order, so that the sum is the same every time.
    pub fn backward(&self, loss: &Var) -> Result<Gradients, Error> {
        if loss.spec().len() != 1 {
            return Err(Error::NotAScalar(loss.spec().to_string()));
        }
        let one = self.device.upload(loss.spec(), Array::Real(vec![1.0]))?;
        self.backward_from(loss, &one)
    }

    /// Like [`Tape::backward`] from any value, given the gradient `upstream` of whatever follows by
    /// it. A training loop keeps its `1` on the device and hands it in here, to upload nothing.
    pub fn backward_from(&self, value: &Var, upstream: &Tensor) -> Result<Gradients, Error> {
        self.backward_into(value, upstream, [])
    }

    /// Like [`Tape::backward_from`], writing the gradients of some values to the tensors given with them where that
    /// can be done without a copy: ask [`Gradients::get`] where they are.
    pub fn backward_into<'a>(
        &self,
        value: &Var,
        upstream: &Tensor,
        places: impl IntoIterator<Item = (&'a Var, &'a Tensor)>,
    ) -> Result<Gradients, Error> {
        let by_value = HashMap::from([(value.id, (upstream.clone(), usize::MAX))]);
        let fits = |(value, place): &(&Var, &Tensor)| value.spec() == place.spec();
        let places = places.into_iter().filter(fits).map(|(value, place)| (value.id, place.clone())).collect();
        let mut gradients = Gradients { by_value, places };
        for (number, node) in self.nodes.borrow().iter().enumerate().rev() {
            // Not removed: the caller may ask for an intermediate value's gradient.
            if let Some((upstream, _)) = gradients.by_value.get(&node.output.1).cloned() {
                self.differentiate(node, number, upstream, &mut gradients)?;
            }
        }
        Ok(gradients)
    }

    /// Runs the backward directions of one node that some input's gradient needs.
    fn differentiate(
        &self,
        node: &Node,
        number: usize,
        upstream: Tensor,
        gradients: &mut Gradients,
    ) -> Result<(), Error> {
        let op = &*node.op;
        let wanted = |name: &str| {
            name.strip_prefix('d').and_then(|of| node.args.iter().find(|(arg, v)| *arg == of && v.wants_gradient))
        };
        // From the last direction to the first: one is needed if something it writes is wanted, or
        // is read by a later one that is needed.
        let mut needed = Vec::new();
        let mut read_later: Vec<&'static str> = Vec::new();
        for &direction in op.directions().iter().filter(|direction| **direction != Direction::Fwd).rev() {
            let signature = op.signature(direction);
            let writes = signature.iter().filter(|arg| arg.access != Access::Read);
            if writes.clone().any(|arg| wanted(arg.name).is_some() || read_later.contains(&arg.name)) {
                read_later.extend(signature.iter().filter(|arg| arg.access == Access::Read).map(|arg| arg.name));
                needed.push((direction, signature));
            }
        }
        let mut known: HashMap<&str, Tensor> =
            node.args.iter().map(|(name, value)| (*name, value.tensor.clone())).collect();
        let upstream_name = format!("d{}", node.output.0);
        known.insert(&upstream_name, upstream);
        for (direction, signature) in needed.into_iter().rev() {
            let mut tensors = Vec::with_capacity(signature.len());
            for arg in &signature {
                tensors.push(match (arg.access, known.get(arg.name)) {
                    (Access::Write, _) => match wanted(arg.name).and_then(|(_, value)| gradients.place(node, value)) {
                        Some(place) => place,
                        None => {
                            // A gradient is stored as what it is the gradient of.
                            let of = arg.name.strip_prefix('d').and_then(|of| known.get(of));
                            let element = of.map(Tensor::element).unwrap_or_default();
                            self.device.empty_stored(&arg.spec, element, &|| format!("{}.{}", op.name(), arg.name))?
                        }
                    },
                    (_, Some(tensor)) => tensor.clone(),
                    (_, None) => {
                        let direction = direction.name();
                        return Err(Error::MissingArgument { op: op.name(), direction, arg: arg.name });
                    }
                });
            }
            self.device.run(op, direction, &tensors.iter().collect::<Vec<_>>())?;
            for (arg, tensor) in signature.iter().zip(tensors).filter(|(arg, _)| arg.access == Access::Write) {
                if let Some((_, input)) = wanted(arg.name) {
                    self.accumulate(gradients, input, tensor.clone(), number)?;
                }
                known.insert(arg.name, tensor);
            }
        }
        Ok(())
    }

    /// Adds a contribution to a value's gradient, in place: the directions that read the tensor it
    /// started with have run, unless they belong to the same node.
    fn accumulate(&self, gradients: &mut Gradients, value: &Var, term: Tensor, node: usize) -> Result<(), Error> {
        let Some((first, owner)) = gradients.by_value.get(&value.id) else {
            gradients.by_value.insert(value.id, (term, node));
            return Ok(());
        };
        let op = Accumulate::new(value.spec().clone())?;
        if *owner != node {
            return self.device.run(&op, Direction::Update, &[first, &term]);
        }
        let sum = self.device.zeros(value.spec())?;
        self.device.run(&op, Direction::Update, &[&sum, first])?;
        self.device.run(&op, Direction::Update, &[&sum, &term])?;
        gradients.by_value.insert(value.id, (sum, node));
        Ok(())
    }
}
