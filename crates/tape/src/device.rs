use crate::Error;
use kernels::{Element, Gpu};
use reference::{Access, Array, Direction, Operation, TensorSpec};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where operations run.
#[derive(Clone, Debug)]
pub enum Device {
    /// On WGSL kernels.
    Gpu(Gpu),
    /// On the CPU reference.
    Reference,
}

/// A tensor on some device. Clones share its contents.
#[derive(Clone, Debug)]
pub struct Tensor {
    spec: TensorSpec,
    element: Element,
    storage: Storage,
}

#[derive(Clone, Debug)]
enum Storage {
    Gpu(kernels::Tensor),
    /// The inner `Arc` lets an operation read without a copy what others may replace meanwhile.
    Host(Arc<Mutex<Arc<Array<f32>>>>),
}

impl Tensor {
    /// Type, layout, dimensions.
    pub fn spec(&self) -> &TensorSpec {
        &self.spec
    }

    /// How its real numbers are stored.
    pub fn element(&self) -> Element {
        self.element
    }

    /// See [`kernels::Tensor::transient`].
    pub(crate) fn transient(&self) -> Option<kernels::Transient> {
        match &self.storage {
            Storage::Gpu(tensor) => Some(tensor.transient()),
            Storage::Host(_) => None,
        }
    }

    /// Whether both are the same tensor, not only equal.
    pub fn is(&self, other: &Self) -> bool {
        match (&self.storage, &other.storage) {
            (Storage::Gpu(a), Storage::Gpu(b)) => a.is(b),
            (Storage::Host(a), Storage::Host(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// Tensors that lie next to each other on the device, so that what is done to every element of all of them can be done
/// in one launch.
#[derive(Clone, Debug)]
pub struct Arena {
    /// All of them as one, with zeros between them; `None` where the device keeps tensors apart.
    pub(crate) whole: Option<Tensor>,
    pub(crate) parts: Vec<Tensor>,
}

impl Arena {
    /// The tensors, in the order of their specs.
    pub fn parts(&self) -> &[Tensor] {
        &self.parts
    }
}

impl Device {
    /// A tensor with arbitrary contents.
    pub fn empty(&self, spec: &TensorSpec) -> Result<Tensor, Error> {
        self.empty_named(spec, &|| spec.to_string())
    }

    /// A tensor with arbitrary contents. The name appears where memory runs out.
    pub fn empty_named(&self, spec: &TensorSpec, name: &dyn Fn() -> String) -> Result<Tensor, Error> {
        self.empty_stored(spec, Element::F32, name)
    }

    /// The same with real numbers that are stored like this. On the reference they are rounded whenever they are
    /// written.
    pub fn empty_stored(
        &self,
        spec: &TensorSpec,
        element: Element,
        name: &dyn Fn() -> String,
    ) -> Result<Tensor, Error> {
        let storage = match self {
            Self::Gpu(gpu) => Storage::Gpu(gpu.empty_stored(spec, element, name)?),
            Self::Reference => {
                spec.check("tensor", "a tensor")?;
                Storage::Host(Arc::new(Mutex::new(Arc::new(Array::zeros(spec)))))
            }
        };
        Ok(Tensor { spec: spec.clone(), element, storage })
    }

    /// A tensor of zeros.
    pub fn zeros(&self, spec: &TensorSpec) -> Result<Tensor, Error> {
        spec.check("tensor", "a tensor")?;
        self.upload(spec, Array::zeros(spec))
    }

    /// Tensors of zeros, next to each other. The name appears where memory runs out.
    pub fn arena(&self, specs: &[TensorSpec], name: &str) -> Result<Arena, Error> {
        /// Where a binding may begin, in words.
        const ALIGNMENT: usize = 64;
        let mut offsets = Vec::with_capacity(specs.len());
        let mut words = 0;
        for spec in specs {
            offsets.push(words);
            words += spec.len().next_multiple_of(ALIGNMENT);
        }
        let whole = TensorSpec::plain([words.max(1)]);
        let whole = match self {
            Self::Gpu(gpu) if gpu.fits(&whole) => self.upload_named(&whole, Array::zeros(&whole), name)?,
            _ => {
                let zeros = |spec: &TensorSpec| self.upload_named(spec, Array::zeros(spec), name);
                return Ok(Arena { whole: None, parts: specs.iter().map(zeros).collect::<Result<_, _>>()? });
            }
        };
        let mut parts = Vec::with_capacity(specs.len());
        for (spec, offset) in specs.iter().zip(offsets) {
            if let Storage::Gpu(memory) = &whole.storage {
                let storage = Storage::Gpu(memory.part(offset, spec.clone())?);
                parts.push(Tensor { spec: spec.clone(), element: Element::F32, storage });
            }
        }
        Ok(Arena { whole: Some(whole), parts })
    }

    /// A tensor with these contents, in the host layout.
    pub fn upload(&self, spec: &TensorSpec, array: Array<f32>) -> Result<Tensor, Error> {
        let tensor = self.empty(spec)?;
        self.write(&tensor, array)?;
        Ok(tensor)
    }

    /// A tensor with these contents, in the host layout. The name appears where memory runs out.
    pub fn upload_named(&self, spec: &TensorSpec, array: Array<f32>, name: &str) -> Result<Tensor, Error> {
        let tensor = self.empty_named(spec, &|| name.to_owned())?;
        self.write(&tensor, array)?;
        Ok(tensor)
    }

    /// Replaces a tensor's contents, in the host layout.
    pub fn write(&self, tensor: &Tensor, mut array: Array<f32>) -> Result<(), Error> {
        match (self, &tensor.storage) {
            (Self::Gpu(gpu), Storage::Gpu(storage)) => Ok(gpu.write(storage, &array)?),
            (Self::Reference, Storage::Host(storage)) => {
                let spec = &tensor.spec;
                if (array.dtype(), array.len()) != (spec.dtype, spec.len()) {
                    return Err(Error::Operation(reference::Error::Mismatch {
                        op: "upload",
                        what: "the data".into(),
                        got: format!("{:?} x {}", array.dtype(), array.len()),
                        expected: spec.to_string(),
                    }));
                }
                tensor.element.round_all(&mut array);
                *lock(storage) = Arc::new(array);
                Ok(())
            }
            _ => Err(Error::OtherDevice { op: "upload", arg: "the tensor" }),
        }
    }

    /// Waits for a tensor and returns its contents in the host layout.
    pub async fn read(&self, tensor: &Tensor) -> Result<Array<f32>, Error> {
        match (self, &tensor.storage) {
            (Self::Gpu(gpu), Storage::Gpu(storage)) => Ok(gpu.read(storage).await?),
            (Self::Reference, Storage::Host(storage)) => Ok(lock(storage).as_ref().clone()),
            _ => Err(Error::OtherDevice { op: "read", arg: "the tensor" }),
        }
    }

    /// Waits once for several tensors and returns their contents in the host layout.
    pub async fn read_all(&self, tensors: &[&Tensor]) -> Result<Vec<Array<f32>>, Error> {
        match self {
            Self::Gpu(gpu) => {
                let foreign = Error::OtherDevice { op: "read", arg: "a tensor" };
                let on_gpu = |tensor: &&Tensor| match &tensor.storage {
                    Storage::Gpu(tensor) => Ok(tensor.clone()),
                    Storage::Host(_) => Err(foreign.clone()),
                };
                let tensors = tensors.iter().map(on_gpu).collect::<Result<Vec<_>, _>>()?;
                Ok(gpu.read_all(&tensors.iter().collect::<Vec<_>>()).await?)
            }
            Self::Reference => {
                let mut arrays = Vec::with_capacity(tensors.len());
                for tensor in tensors {
                    arrays.push(self.read(tensor).await?);
                }
                Ok(arrays)
            }
        }
    }

    /// Runs one direction of an operation. Arguments come in the order of the signature; those it
    /// writes are overwritten.
    pub fn run(&self, op: &dyn Operation, direction: Direction, args: &[&Tensor]) -> Result<(), Error> {
        match self {
            Self::Gpu(gpu) => {
                let signature = op.signature(direction);
                let names = signature.iter().map(|arg| arg.name).chain(std::iter::repeat("an extra one"));
                let tensors = args
                    .iter()
                    .zip(names)
                    .map(|(tensor, arg)| match &tensor.storage {
                        Storage::Gpu(tensor) => Ok(tensor),
                        Storage::Host(_) => Err(Error::OtherDevice { op: op.name(), arg }),
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(gpu.run(op, direction, &tensors)?)
            }
            Self::Reference => run_on_host(op, direction, args),
        }
    }

    /// Records what `step` runs, to be replayed; on the reference there is nothing to record on, and
    /// `None` is returned without calling it. See [`kernels::Gpu::recorder`] for what a step must
    /// not do.
    pub fn record<E: From<Error>>(
        &self,
        step: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<Option<kernels::Plan>, E> {
        let Self::Gpu(gpu) = self else { return Ok(None) };
        let recorder = gpu.recorder();
        step(&Self::Gpu(recorder.clone()))?;
        Ok(Some(recorder.plan(kernels::Fusion::On).map_err(Error::from)?))
    }

    /// Runs what was recorded once more.
    pub fn replay(&self, plan: &kernels::Plan) -> Result<(), Error> {
        match self {
            Self::Gpu(gpu) => Ok(gpu.replay(plan)?),
            Self::Reference => Err(Error::OtherDevice { op: "replay", arg: "the plan" }),
        }
    }

    /// Hands what was recorded so far to the device without waiting for it.
    pub fn submit(&self) -> Result<(), Error> {
        match self {
            Self::Gpu(gpu) => Ok(gpu.submit()?),
            Self::Reference => Ok(()),
        }
    }

    /// Waits until everything recorded so far has run.
    pub fn finish(&self) -> Result<(), Error> {
        match self {
            Self::Gpu(gpu) => Ok(gpu.finish()?),
            Self::Reference => Ok(()),
        }
    }
}

fn run_on_host(op: &dyn Operation, direction: Direction, args: &[&Tensor]) -> Result<(), Error> {
    let signature = op.signature(direction);
    if signature.len() != args.len() {
        return Err(reference::wrong_arguments(op.name(), direction).into());
    }
    // One tensor may be read under two names, so what is read is taken hold of before what is written
    // is; if both are one tensor, writing begins with a copy.
    let mut inputs = Vec::new();
    let mut written = Vec::new();
    for (arg, tensor) in signature.iter().zip(args) {
        let Storage::Host(storage) = &tensor.storage else {
            return Err(Error::OtherDevice { op: op.name(), arg: arg.name });
        };
        if arg.spec != tensor.spec {
            return Err(Error::Operation(reference::Error::Mismatch {
                op: op.name(),
                what: format!("argument `{}`", arg.name),
                got: tensor.spec.to_string(),
                expected: arg.spec.to_string(),
            }));
        }
        match arg.access {
            Access::Read => inputs.push(Arc::clone(&lock(storage))),
            Access::Write | Access::Update => written.push((storage, tensor.element)),
        }
    }
    let nothing = Arc::new(Array::Index(Vec::new()));
    let take = |storage: &&Arc<Mutex<Arc<Array<f32>>>>| {
        Arc::unwrap_or_clone(std::mem::replace(&mut *lock(storage), Arc::clone(&nothing)))
    };
    let mut outputs: Vec<Array<f32>> = written.iter().map(|(storage, _)| take(storage)).collect();
    let inputs: Vec<&Array<f32>> = inputs.iter().map(Arc::as_ref).collect();
    let outcome = op.run(direction, &inputs, &mut outputs.iter_mut().collect::<Vec<_>>());
    for ((storage, element), mut output) in written.into_iter().zip(outputs) {
        element.round_all(&mut output);
        *lock(storage) = Arc::new(output);
    }
    Ok(outcome?)
}

fn lock(storage: &Mutex<Arc<Array<f32>>>) -> MutexGuard<'_, Arc<Array<f32>>> {
    storage.lock().unwrap_or_else(PoisonError::into_inner)
}
