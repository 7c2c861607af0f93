//! Device memory: buffers that return to a pool when nobody holds them any more.

use crate::Error;
use crate::gpu::{lock, now_or_never};
use crate::storage::Element;
use reference::TensorSpec;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

/// The buffers nobody holds, by size. A training step asks for the same sizes in the same order
/// every time, so after the first step it allocates nothing, and even gets the same buffers.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Mutex<HashMap<u64, Vec<wgpu::Buffer>>>,
    allocated: AtomicU64,
    /// Number and bytes of the buffers that were allocated under a name.
    names: Mutex<BTreeMap<String, (u64, u64)>>,
    account: Arc<Account>,
}

/// All pools of a device.
#[derive(Debug)]
pub(crate) struct Account {
    pools: Mutex<Vec<Weak<Pool>>>,
    /// Most bytes to allocate in all.
    limit: u64,
}

impl Account {
    /// Without pools yet. `limit` is the most bytes to allocate in all.
    pub(crate) fn new(limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self { pools: Mutex::default(), limit: limit.unwrap_or(u64::MAX) })
    }

    /// A new pool.
    pub(crate) fn pool(self: &Arc<Self>) -> Arc<Pool> {
        let pool = Arc::new(Pool {
            free: Mutex::default(),
            allocated: AtomicU64::new(0),
            names: Mutex::default(),
            account: Arc::clone(self),
        });
        let mut pools = lock(&self.pools);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(&pool));
        pool
    }

    fn pools(&self) -> Vec<Arc<Pool>> {
        lock(&self.pools).iter().filter_map(Weak::upgrade).collect()
    }

    /// Bytes allocated in all.
    pub(crate) fn allocated(&self) -> u64 {
        self.pools().iter().map(|pool| pool.allocated()).sum()
    }

    /// What the device has no memory for, and what has taken it.
    pub(crate) fn out_of_memory(&self, name: &str, bytes: u64) -> Error {
        const SHOWN: usize = 6;
        let mut names: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for pool in self.pools() {
            for (name, (count, bytes)) in lock(&pool.names).iter() {
                let sum = names.entry(name.clone()).or_default();
                *sum = (sum.0 + count, sum.1 + bytes);
            }
        }
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_by_key(|(_, (_, bytes))| std::cmp::Reverse(*bytes));
        let largest = names
            .iter()
            .take(SHOWN)
            .map(|(name, (count, bytes))| match count {
                1 => format!("{name} {bytes}"),
                _ => format!("{name} {bytes} in {count} buffers"),
            })
            .collect::<Vec<_>>()
            .join(", ");
        Error::OutOfMemory { name: name.to_owned(), bytes, live: self.allocated(), largest }
    }
}

impl Pool {
    /// Bytes allocated from the device so far, in use or not.
    pub(crate) fn allocated(&self) -> u64 {
        self.allocated.load(Ordering::Relaxed)
    }

    /// A buffer of at least `words` words, with arbitrary contents. `name` says what for, should it be new.
    pub(crate) fn take(
        self: &Arc<Self>,
        device: &wgpu::Device,
        words: usize,
        name: &dyn Fn() -> String,
    ) -> Result<Buffer, Error> {
        let mut buffer = self.promise(device, words, name)?;
        buffer.provide(device, name)?;
        buffer.returns = true;
        Ok(buffer)
    }

    /// A buffer that has no memory yet: who plans its life provides it.
    pub(crate) fn promise(
        self: &Arc<Self>,
        device: &wgpu::Device,
        words: usize,
        name: &dyn Fn() -> String,
    ) -> Result<Buffer, Error> {
        let (bytes, limit) = (buffer_bytes(words), largest_buffer(device));
        if bytes > limit {
            return Err(Error::BufferTooLarge { name: name(), bytes, limit });
        }
        Ok(Buffer {
            raw: OnceLock::new(),
            bytes,
            returns: false,
            transient: AtomicUsize::new(0),
            pool: Arc::clone(self),
        })
    }

    fn raw(&self, device: &wgpu::Device, bytes: u64, name: &dyn Fn() -> String) -> Result<wgpu::Buffer, Error> {
        if let Some(raw) = lock(&self.free).get_mut(&bytes).and_then(Vec::pop) {
            return Ok(raw);
        }
        let name = name();
        if self.account.allocated().saturating_add(bytes) > self.account.limit {
            return Err(self.account.out_of_memory(&name, bytes));
        }
        let scope = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let raw = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(&name),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        if now_or_never(scope.pop()).flatten().is_some() {
            return Err(self.account.out_of_memory(&name, bytes));
        }
        self.allocated.fetch_add(bytes, Ordering::Relaxed);
        let mut names = lock(&self.names);
        let sum = names.entry(name).or_default();
        *sum = (sum.0 + 1, sum.1 + bytes);
        Ok(raw)
    }

    fn give(&self, raw: wgpu::Buffer) {
        lock(&self.free).entry(raw.size()).or_default().push(raw);
    }
}

/// Bytes of a buffer for so many words: rounded up so that neighbouring sizes (a last, smaller batch) can share.
pub(crate) fn buffer_bytes(words: usize) -> u64 {
    (words.max(1) as u64 * 4).next_multiple_of(256)
}

/// The most bytes a buffer may have that a kernel is to bind.
pub(crate) fn largest_buffer(device: &wgpu::Device) -> u64 {
    let limits = device.limits();
    limits.max_buffer_size.min(limits.max_storage_buffer_binding_size)
}

/// A buffer on loan from the pool.
#[derive(Debug)]
pub(crate) struct Buffer {
    raw: OnceLock<wgpu::Buffer>,
    bytes: u64,
    /// Whether the memory returns to the pool when nobody holds the buffer any more.
    returns: bool,
    /// How many of those who hold the buffer count for [`Transient`].
    transient: AtomicUsize,
    pool: Arc<Pool>,
}

impl Buffer {
    /// How many of those who hold the buffer rely on nothing that a step left there.
    pub(crate) fn transient(&self) -> usize {
        self.transient.load(Ordering::Relaxed)
    }

    pub(crate) fn is_from(&self, pool: &Arc<Pool>) -> bool {
        Arc::ptr_eq(&self.pool, pool)
    }

    /// The memory; an error if it was only promised so far.
    pub(crate) fn raw(&self) -> Result<&wgpu::Buffer, Error> {
        self.raw.get().ok_or(Error::Recording("use a tensor that its plan has no memory for"))
    }

    /// Keeps a promise.
    pub(crate) fn provide(&self, device: &wgpu::Device, name: &dyn Fn() -> String) -> Result<(), Error> {
        if self.raw.get().is_none() {
            let _ = self.raw.set(self.pool.raw(device, self.bytes, name)?);
        }
        Ok(())
    }

    /// Lets the memory of a kept promise serve the next one, once nothing recorded later uses it.
    pub(crate) fn reuse(&self) {
        if let Some(raw) = self.raw.get().filter(|_| !self.returns) {
            self.pool.give(raw.clone());
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Commands recorded so far still use it. Whoever takes it next records later, and the
        // queue runs in order. A launch that is not recorded yet must therefore keep what it uses.
        if let Some(raw) = self.raw.take().filter(|_| self.returns) {
            self.pool.give(raw);
        }
    }
}

/// A tensor in device memory. Clones share the memory.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub(crate) spec: TensorSpec,
    pub(crate) element: Element,
    pub(crate) buffer: Arc<Buffer>,
    /// Where the tensor starts in its buffer, in bytes.
    pub(crate) offset: u64,
    /// Words bound past its end.
    pub(crate) slack: usize,
}

impl Tensor {
    pub(crate) fn new(spec: &TensorSpec, element: Element, buffer: Buffer) -> Self {
        Self { spec: spec.clone(), element, buffer: Arc::new(buffer), offset: 0, slack: 0 }
    }

    /// Type, layout, dimensions.
    pub fn spec(&self) -> &TensorSpec {
        &self.spec
    }

    /// How its real numbers lie in memory.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Its size in 32-bit words.
    pub fn words(&self) -> usize {
        self.element.words(&self.spec)
    }

    /// A tensor inside this one, from word `offset` on: for tests that fence a tensor with
    /// sentinels. The offset must be a multiple of 64 words, as WebGPU binds no others.
    ///
    /// A kernel gets all of this tensor from there on, as much as lies beyond the one inside. If
    /// the binding ended with it, a robust driver would drop what is written past the end, and read
    /// zeros there, and the kernel that does so would look right.
    pub fn within(&self, offset: usize, spec: TensorSpec) -> Result<Self, Error> {
        self.within_stored(offset, spec, Element::F32)
    }

    /// The same for one whose real numbers lie otherwise in memory.
    pub fn within_stored(&self, offset: usize, spec: TensorSpec, element: Element) -> Result<Self, Error> {
        let words = element.words(&spec);
        if !offset.is_multiple_of(64) || offset + words > self.words() {
            return Err(Error::Mismatch {
                op: "tensor",
                what: "a view".into(),
                got: format!("{spec} from word {offset}"),
                expected: format!("a multiple of 64 words into {}", self.spec),
            });
        }
        let slack = self.slack + self.words() - offset - words;
        let buffer = Arc::clone(&self.buffer);
        Ok(Self { spec, element, buffer, offset: self.offset + offset as u64 * 4, slack })
    }

    /// A tensor that lies inside this one, from word `offset` on, which must be a multiple of 64: kernels get no more
    /// than it.
    pub fn part(&self, offset: usize, spec: TensorSpec) -> Result<Self, Error> {
        Ok(Self { slack: 0, ..self.within(offset, spec)? })
    }

    /// Says that those who hold this tensor, or another in the same memory, right now rely on nothing that a step left there:
    /// a plan may leave it unwritten, unless somebody else holds it when the plan is made. True as long as what is returned
    /// lives.
    pub fn transient(&self) -> Transient {
        Transient::new(&self.buffer, Arc::strong_count(&self.buffer))
    }

    pub(crate) fn binding(&self) -> Result<wgpu::BufferBinding<'_>, Error> {
        Ok(wgpu::BufferBinding {
            buffer: self.buffer.raw()?,
            offset: self.offset,
            size: std::num::NonZeroU64::new((self.words() + self.slack) as u64 * 4),
        })
    }

    /// Whether both are the same tensor, not only equal.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.buffer, &other.buffer) && self.offset == other.offset
    }
}

/// A promise of some who hold a tensor ([`Tensor::transient`]).
#[derive(Debug)]
pub struct Transient {
    buffer: Arc<Buffer>,
    holders: usize,
}

impl Transient {
    fn new(buffer: &Arc<Buffer>, others: usize) -> Self {
        // This one, too.
        let holders = others + 1;
        buffer.transient.fetch_add(holders, Ordering::Relaxed);
        Self { buffer: Arc::clone(buffer), holders }
    }

    /// That of a plan which keeps a tensor alive: of memory that others made such a promise about, it relies on nothing that a
    /// replay of another plan left there.
    pub(crate) fn of_plan(tensor: &Tensor) -> Option<Self> {
        (tensor.buffer.transient() > 0).then(|| Self::new(&tensor.buffer, 1))
    }
}

impl Drop for Transient {
    fn drop(&mut self) {
        self.buffer.transient.fetch_sub(self.holders, Ordering::Relaxed);
    }
}
