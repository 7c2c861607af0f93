//! An opened device: pipelines, memory, recording, submission, reading back.

mod fuse;
mod patience;
mod plan;
mod sample;

pub use plan::{Fusion, Plan};
pub use sample::{Clock, Sample};

use crate::adapter::{Wish, pick};
use crate::kernel::{Prefer, Row};
use crate::memory::{Account, Pool, Tensor, buffer_bytes, largest_buffer};
use crate::storage::{Element, Storage};
use crate::tuned::{Class, Tuned, Tuning};
use crate::{Binding, BindingKind, Error, Shader, layout, ops};
use patience::{Patience, others_sleep};
use plan::Node;
use reference::{Access, Array, Direction, Operation, TensorSpec};
use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How to open a device.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which adapter.
    pub wish: Wish,
    /// Whether shaders are compiled with bounds checks and loop bounds. Without them a shader that
    /// reads or writes past a buffer is undefined behaviour, so only tested shaders should run so.
    pub checks: bool,
    /// Whether every allocation is filled with NaN first, so that a kernel which reads what nobody
    /// wrote is found out. Slow; for tests.
    pub poison: bool,
    /// Most bytes of device memory to allocate for tensors. `None`: as many as there are.
    pub memory: Option<u64>,
    /// How long to wait for the device, at most. `None`: 10 seconds on hardware, and 3 minutes on
    /// software adapters, which compile a pipeline at its first dispatch and compute at the pace of
    /// the CPU; but 8 seconds if meanwhile no other thread of this process wants to run, where that
    /// can be known (Linux).
    pub timeout: Option<Duration>,
    /// Rows of other crates ([`crate::custom`]). [`Gpu::select`] takes them for the last rows of
    /// their direction.
    pub rows: Vec<&'static dyn Row>,
    /// Which table of measured choices [`Gpu::select`] follows.
    pub tuning: Tuning,
    /// Whether to ask for 16-bit floats, if the adapter has them. Off for tests of what happens without.
    pub f16: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wish: Wish::default(),
            checks: true,
            poison: false,
            memory: None,
            timeout: None,
            rows: Vec::new(),
            tuning: Tuning::default(),
            f16: true,
        }
    }
}

/// A NaN with a payload that no arithmetic produces.
const POISON: u32 = 0x7fc0_dead;

/// Two such f16.
const POISON_F16: u32 = 0x7ead_7ead;

/// Dispatches that wait before they are submitted without being asked to: enough to hide the cost
/// of a submission, few enough that the device starts early and a wait stays short.
const BATCH: usize = 1024;

/// Submissions that may wait for the device. More would only make the host run further ahead, and a
/// wait for all of them take longer than any one may.
const IN_FLIGHT: usize = 4;

/// What a row that stores f16 asks for.
const NO_F16: &str = "it needs 16-bit floats in shaders and in memory (SHADER_F16)";

/// Bind groups kept. Replaying the same launches on the same buffers needs a few dozen.
const BIND_GROUPS: usize = 4096;

/// An opened device. Clones share it.
///
/// Launches are recorded and run in order; [`Gpu::submit`] hands them to the device, and reading a
/// tensor does so by itself.
#[derive(Clone, Debug)]
pub struct Gpu {
    inner: Arc<Inner>,
    stream: Arc<Stream>,
}

/// Where launches go and tensors come from.
#[derive(Debug)]
struct Stream {
    pool: Arc<Pool>,
    pending: Mutex<Vec<Dispatch>>,
    in_flight: Mutex<VecDeque<wgpu::SubmissionIndex>>,
    /// What was recorded; `None` if launches are meant to run.
    recording: Option<Mutex<Vec<Node>>>,
}

#[derive(Debug)]
struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    checks: bool,
    poison: bool,
    memory: Arc<Account>,
    patience: Patience,
    /// Set by [`Gpu::hang`].
    hung: AtomicBool,
    rows: Vec<&'static dyn Row>,
    tuned: Option<Arc<Tuned>>,
    pipelines: Mutex<HashMap<RowKey, Arc<Compiled>>>,
    uniforms: Mutex<HashMap<Vec<u8>, wgpu::Buffer>>,
    bind_groups: Mutex<HashMap<BindKey, wgpu::BindGroup>>,
    fault: Arc<Mutex<Option<Error>>>,
}

/// A row by its id and its address: two rows of one id, as of an edited shader, have pipelines of
/// their own.
type RowKey = (&'static str, usize);

fn key(row: &'static dyn Row) -> RowKey {
    (row.id(), std::ptr::from_ref(row).cast::<()>().addr())
}

/// The pipelines of a row, one for each stage.
#[derive(Debug)]
struct Compiled {
    stages: Vec<CompiledStage>,
}

#[derive(Debug)]
struct CompiledStage {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    bindings: Vec<Binding>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BindKey {
    row: RowKey,
    stage: usize,
    buffers: Vec<(wgpu::Buffer, u64, u64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Dispatch {
    row: &'static str,
    stage: usize,
    /// Of the whole launch, counted at its first stage.
    flops: u64,
    bytes: u64,
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    groups: [u32; 3],
}

/// A launch that is ready to be recorded.
struct Encoded {
    /// One for each stage.
    dispatches: Vec<Dispatch>,
    /// Memory of this launch alone, to be kept until the dispatches are in their queue.
    scratch: Vec<Tensor>,
}

impl Stream {
    fn new(memory: &Arc<Account>, recording: Option<Mutex<Vec<Node>>>) -> Self {
        Self { pool: memory.pool(), pending: Mutex::default(), in_flight: Mutex::default(), recording }
    }
}

impl Gpu {
    /// Opens the adapter that fits best, with its own limits and the optional features the kernels
    /// can use.
    pub async fn open(options: &Options) -> Result<Self, Error> {
        let adapter = pick(&options.wish).await?;
        let info = adapter.get_info();
        let tuned = match &options.tuning {
            Tuning::BuiltIn => Some(Arc::new(Tuned::built_in(Class::of(&info))?)),
            Tuning::Table(table) => Some(Arc::clone(table)),
            Tuning::Off => None,
        };
        let f16 = if options.f16 { wgpu::Features::SHADER_F16 } else { wgpu::Features::empty() };
        let optional = wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY | f16;
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("selvedge"),
                required_features: adapter.features() & optional,
                required_limits: adapter.limits(),
                ..Default::default()
            })
            .await
            .map_err(|error| Error::NoDevice { adapter: info.name.clone(), reason: error.to_string() })?;

        let fault = Arc::new(Mutex::new(None));
        let set = |fault: &Arc<Mutex<Option<Error>>>| {
            let fault = Arc::clone(fault);
            move |error| {
                // The first fault is the cause of those that follow.
                lock(&fault).get_or_insert(error);
            }
        };
        let lost = set(&fault);
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed || !message.is_empty() {
                lost(Error::DeviceLost(format!("{reason:?}: {message}")));
            }
        });
        let memory = Account::new(options.memory);
        let account = Arc::clone(&memory);
        let uncaptured = set(&fault);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| match error {
            wgpu::Error::OutOfMemory { .. } => uncaptured(account.out_of_memory("something else", 0)),
            other => uncaptured(Error::Validation(other.to_string())),
        }));

        let software = info.device_type == wgpu::DeviceType::Cpu;
        let longest = options.timeout.unwrap_or(Duration::from_secs(if software { 180 } else { 10 }));
        let patience = Patience { longest, idle: Duration::from_secs(8) };
        let stream = Stream::new(&memory, None);
        Ok(Self {
            inner: Arc::new(Inner {
                device,
                queue,
                info,
                checks: options.checks,
                poison: options.poison,
                memory,
                patience,
                hung: AtomicBool::new(false),
                rows: options.rows.clone(),
                tuned,
                pipelines: Mutex::default(),
                uniforms: Mutex::default(),
                bind_groups: Mutex::default(),
                fault,
            }),
            stream: Arc::new(stream),
        })
    }

    /// The adapter's name, type, driver.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.inner.info
    }

    /// The adapter's class.
    pub fn class(&self) -> Class {
        Class::of(self.info())
    }

    /// The rows launched so far, by id.
    pub fn rows_used(&self) -> Vec<&'static str> {
        let mut ids: Vec<_> = lock(&self.inner.pipelines).keys().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Whether shaders are compiled with run-time checks.
    pub fn checks(&self) -> bool {
        self.inner.checks
    }

    /// The device's limits.
    pub fn limits(&self) -> wgpu::Limits {
        self.inner.device.limits()
    }

    /// The optional features in use.
    pub fn features(&self) -> wgpu::Features {
        self.inner.device.features()
    }

    /// Bytes of device memory allocated for tensors so far, in use or kept for reuse; those of plans
    /// are counted by [`Plan::allocated_bytes`].
    pub fn allocated_bytes(&self) -> u64 {
        self.stream.pool.allocated()
    }

    /// A handle on the same device whose launches do not run but are kept for a [`Plan`]. It takes
    /// memory of its own for the tensors made through it, and refuses to upload, read or wait:
    /// there is nothing to wait for. [`Gpu::plan`] ends the recording.
    pub fn recorder(&self) -> Self {
        let stream = Stream::new(&self.inner.memory, Some(Mutex::default()));
        Self { inner: Arc::clone(&self.inner), stream: Arc::new(stream) }
    }

    /// Launches everything a plan recorded, in its order.
    pub fn replay(&self, plan: &Plan) -> Result<(), Error> {
        self.must_run("replay a plan")?;
        let mut pending = lock(&self.stream.pending);
        pending.extend(plan.dispatches.iter().cloned());
        let full = pending.len() >= BATCH;
        drop(pending);
        if full { self.submit() } else { Ok(()) }
    }

    /// Replays a plan with a timestamp before and after every dispatch. Each then runs alone, so the
    /// sum is more than a replay takes. Needs `TIMESTAMP_QUERY`.
    pub async fn profile(&self, plan: &Plan) -> Result<Vec<Timing>, Error> {
        self.must_run("profile")?;
        self.submit()?;
        if !self.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Err(Error::NoTimestamps);
        }
        let Inner { device, queue, .. } = &*self.inner;
        let period = f64::from(queue.get_timestamp_period());
        let mut timings = Vec::with_capacity(plan.dispatches.len());
        // A query set holds 4096 timestamps.
        for dispatches in plan.dispatches.chunks(2048) {
            let count = 2 * dispatches.len() as u32;
            let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("profile"),
                ty: wgpu::QueryType::Timestamp,
                count,
            });
            let resolved = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("profile"),
                size: u64::from(count) * 8,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            for (dispatch, index) in dispatches.iter().zip((0..).step_by(2)) {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some(dispatch.row),
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &queries,
                        beginning_of_pass_write_index: Some(index),
                        end_of_pass_write_index: Some(index + 1),
                    }),
                });
                let [x, y, z] = dispatch.groups;
                pass.set_pipeline(&dispatch.pipeline);
                pass.set_bind_group(0, &dispatch.bind_group, &[]);
                pass.dispatch_workgroups(x, y, z);
            }
            encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
            let bytes = self.download(encoder, &resolved, 0, u64::from(count) * 8).await?;
            let (ticks, _) = bytes.as_chunks::<8>();
            for (dispatch, pair) in dispatches.iter().zip(ticks.chunks(2)) {
                let [begin, end] = [0, 1].map(|i| pair.get(i).map_or(0, |ticks| u64::from_le_bytes(*ticks)));
                // A clock that stands still or runs backwards has measured nothing.
                let nanoseconds = end.checked_sub(begin).filter(|&t| t > 0).map(|ticks| ticks as f64 * period);
                let Dispatch { row, stage, flops, bytes, groups, .. } = *dispatch;
                timings.push(Timing { row, stage, groups, flops, bytes, nanoseconds });
            }
        }
        Ok(timings)
    }

    fn must_run(&self, what: &'static str) -> Result<(), Error> {
        if self.stream.recording.is_some() { Err(Error::Recording(what)) } else { Ok(()) }
    }

    /// Whether a tensor like this is small enough for a buffer of the device, and for a kernel to bind.
    pub fn fits(&self, spec: &TensorSpec) -> bool {
        spec.check("tensor", "a tensor").is_ok() && buffer_bytes(spec.len()) <= largest_buffer(&self.inner.device)
    }

    /// A tensor with arbitrary contents.
    pub fn empty(&self, spec: &TensorSpec) -> Result<Tensor, Error> {
        self.empty_named(spec, &|| spec.to_string())
    }

    /// A tensor with arbitrary contents. The name appears where memory runs out.
    pub fn empty_named(&self, spec: &TensorSpec, name: &dyn Fn() -> String) -> Result<Tensor, Error> {
        self.empty_stored(spec, Element::F32, name)
    }

    /// The same with real numbers that lie in memory like this. Indices lie there as ever.
    pub fn empty_stored(
        &self,
        spec: &TensorSpec,
        element: Element,
        name: &dyn Fn() -> String,
    ) -> Result<Tensor, Error> {
        spec.check("tensor", "a tensor")?;
        let element = element.of(spec);
        let (pool, device, words) = (&self.stream.pool, &self.inner.device, element.words(spec));
        if self.stream.recording.is_some() {
            return Ok(Tensor::new(spec, element, pool.promise(device, words, name)?));
        }
        let tensor = Tensor::new(spec, element, pool.take(device, words, name)?);
        if self.inner.poison {
            let poison = if element == Element::F16 { POISON_F16 } else { POISON };
            self.write_words(&tensor, &vec![poison; words])?;
        }
        Ok(tensor)
    }

    /// A tensor with these contents, given in the host layout.
    pub fn upload(&self, spec: &TensorSpec, array: &Array<f32>) -> Result<Tensor, Error> {
        let tensor = self.empty(spec)?;
        self.write(&tensor, array)?;
        Ok(tensor)
    }

    /// Replaces a tensor's contents, given in the host layout.
    pub fn write(&self, tensor: &Tensor, array: &Array<f32>) -> Result<(), Error> {
        if (array.dtype(), array.len()) != (tensor.spec.dtype, tensor.spec.len()) {
            return Err(Error::Mismatch {
                op: "upload",
                what: "the data".into(),
                got: format!("{:?} x {}", array.dtype(), array.len()),
                expected: tensor.spec.to_string(),
            });
        }
        self.write_words(tensor, &tensor.element.pack(&tensor.spec, layout::to_device(&tensor.spec, array)))
    }

    /// Replaces a tensor's words, as they lie on the device.
    pub fn write_words(&self, tensor: &Tensor, words: &[u32]) -> Result<(), Error> {
        self.must_run("upload")?;
        // A queue write runs before the next submission: what was recorded so far must go first.
        self.submit()?;
        self.inner.queue.write_buffer(tensor.buffer.raw()?, tensor.offset, bytemuck::cast_slice(words));
        Ok(())
    }

    /// Waits for a tensor and returns it in the host layout.
    pub async fn read(&self, tensor: &Tensor) -> Result<Array<f32>, Error> {
        let words = self.read_words(tensor).await?;
        Ok(layout::to_host(&tensor.spec, &tensor.element.unpack(&tensor.spec, &words)))
    }

    /// Waits for a tensor and returns its words as they lie on the device.
    pub async fn read_words(&self, tensor: &Tensor) -> Result<Vec<u32>, Error> {
        self.must_run("read")?;
        self.submit()?;
        let bytes = tensor.words() as u64 * 4;
        let encoder = self.inner.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let bytes = self.download(encoder, tensor.buffer.raw()?, tensor.offset, bytes).await?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Waits once for several tensors and returns them in the host layout.
    pub async fn read_all(&self, tensors: &[&Tensor]) -> Result<Vec<Array<f32>>, Error> {
        /// Bytes at a time, unless a single tensor has more.
        const MOST: u64 = 64 << 20;
        self.must_run("read")?;
        self.submit()?;
        let mut arrays = Vec::with_capacity(tensors.len());
        let mut rest = tensors;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |tensor: &&&Tensor| {
                bytes += tensor.words() as u64 * 4;
                bytes <= MOST
            };
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            let parts: Vec<_> = now
                .iter()
                .map(|tensor| Ok((tensor.buffer.raw()?, tensor.offset, tensor.words() as u64 * 4)))
                .collect::<Result<_, Error>>()?;
            let encoder = self.inner.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let words: Vec<u32> = bytemuck::pod_collect_to_vec(&self.download_all(encoder, &parts).await?);
            let mut words = words.as_slice();
            for tensor in now {
                let Some((own, others)) = words.split_at_checked(tensor.words()) else { break };
                arrays.push(layout::to_host(&tensor.spec, &tensor.element.unpack(&tensor.spec, own)));
                words = others;
            }
            rest = later;
        }
        Ok(arrays)
    }

    /// Runs what is encoded, waits, and returns these bytes of a buffer.
    async fn download(
        &self,
        encoder: wgpu::CommandEncoder,
        from: &wgpu::Buffer,
        offset: u64,
        bytes: u64,
    ) -> Result<Vec<u8>, Error> {
        self.download_all(encoder, &[(from, offset, bytes)]).await
    }

    /// Runs what is encoded, waits, and returns these parts of buffers, one behind the other: buffer, offset, bytes.
    async fn download_all(
        &self,
        mut encoder: wgpu::CommandEncoder,
        parts: &[(&wgpu::Buffer, u64, u64)],
    ) -> Result<Vec<u8>, Error> {
        let bytes = parts.iter().map(|(_, _, bytes)| bytes).sum();
        let scope = self.inner.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let staging = self.inner.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read-back"),
            size: bytes,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        if now_or_never(scope.pop()).flatten().is_some() {
            return Err(self.inner.memory.out_of_memory("a read-back", bytes));
        }
        let mut at = 0;
        for &(from, offset, bytes) in parts {
            encoder.copy_buffer_to_buffer(from, offset, &staging, at, bytes);
            at += bytes;
        }
        let submission = self.inner.queue.submit([encoder.finish()]);
        let mapped = Arc::new(Mutex::new(Mapped::default()));
        staging.map_async(wgpu::MapMode::Read, .., {
            let mapped = Arc::clone(&mapped);
            move |result| {
                let mut mapped = lock(&mapped);
                mapped.result = Some(result.map_err(|error| error.to_string()));
                if let Some(waker) = mapped.waker.take() {
                    waker.wake();
                }
            }
        });
        self.wait(Some(submission))?;
        let outcome = std::future::poll_fn(|context| {
            let mut mapped = lock(&mapped);
            match mapped.result.take() {
                Some(result) => Poll::Ready(result),
                None => {
                    mapped.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        outcome.map_err(|error| self.fault().unwrap_or(Error::DeviceLost(error)))?;
        let view = staging.get_mapped_range(..).map_err(|error| Error::DeviceLost(error.to_string()))?;
        Ok(view.to_vec())
    }

    /// Waits until everything recorded so far has run.
    pub fn finish(&self) -> Result<(), Error> {
        self.must_run("wait")?;
        self.submit()?;
        self.wait(None)
    }

    /// Hands everything recorded so far to the device, in one compute pass.
    pub fn submit(&self) -> Result<(), Error> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        if self.stream.recording.is_some() {
            return Ok(());
        }
        // Held until the queue has them: whoever finds nothing pending may rely on that.
        let mut pending = lock(&self.stream.pending);
        if pending.is_empty() {
            return Ok(());
        }
        let mut encoder = self.inner.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for Dispatch { pipeline, bind_group, groups: [x, y, z], .. } in pending.drain(..) {
                pass.set_pipeline(&pipeline);
                pass.set_bind_group(0, &bind_group, &[]);
                pass.dispatch_workgroups(x, y, z);
            }
        }
        let submission = self.inner.queue.submit([encoder.finish()]);
        drop(pending);
        let oldest = {
            let mut in_flight = lock(&self.stream.in_flight);
            in_flight.push_back(submission);
            if in_flight.len() > IN_FLIGHT { in_flight.pop_front() } else { None }
        };
        match oldest {
            Some(oldest) => self.wait(Some(oldest)),
            None => self.fault().map_or(Ok(()), Err),
        }
    }

    fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<(), Error> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let mut refused = None;
        let poll = |slice| {
            if self.inner.hung.load(Ordering::Relaxed) {
                std::thread::sleep(slice);
                return false;
            }
            if self.fault().is_some() {
                return true;
            }
            let submission_index = submission.clone();
            match self.inner.device.poll(wgpu::PollType::Wait { submission_index, timeout: Some(slice) }) {
                Ok(_) => true,
                Err(wgpu::PollError::Timeout) => false,
                Err(error) => {
                    refused = Some(Error::Validation(error.to_string()));
                    true
                }
            }
        };
        let waited = self.inner.patience.wait(poll, others_sleep);
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        match waited {
            Ok(()) => refused.map_or(Ok(()), Err),
            Err(timeout) => {
                // From now on nothing waits for this device: neither another call nor the end of the program, for
                // which the last handle would have to go.
                std::mem::forget((self.inner.device.clone(), self.inner.queue.clone()));
                Err(lock(&self.inner.fault).get_or_insert(Error::Timeout(timeout)).clone())
            }
        }
    }

    /// From now on nothing that is waited for is ever done, as if the driver hung in its sleep: for
    /// tests of what waits.
    pub fn hang(&self) {
        self.inner.hung.store(true, Ordering::Relaxed);
    }

    /// Gives the device up, whatever it is doing: everything that is asked of it from now on fails with
    /// [`Error::DeviceLost`], as after a crash of its driver.
    pub fn destroy(&self) {
        lock(&self.inner.fault).get_or_insert(Error::DeviceLost("it was destroyed".into()));
        self.inner.device.destroy();
    }

    fn fault(&self) -> Option<Error> {
        lock(&self.inner.fault).clone()
    }

    /// The row to launch for a direction of a problem: the one that was measured to be the fastest, or else the
    /// [preferred](Gpu::preferred) one.
    pub fn select(&self, op: &dyn Operation, direction: Direction) -> Result<&'static dyn Row, Error> {
        self.select_if(op, direction, &|storage| storage == Storage::F32)
    }

    /// The same for arguments that are stored in this way.
    pub fn select_stored(
        &self,
        op: &dyn Operation,
        direction: Direction,
        storage: Storage,
    ) -> Result<&'static dyn Row, Error> {
        self.select_if(op, direction, &|other| other == storage)
    }

    /// The same for these arguments.
    pub(crate) fn select_for(
        &self,
        op: &dyn Operation,
        direction: Direction,
        args: &[&Tensor],
    ) -> Result<&'static dyn Row, Error> {
        let signature = op.signature(direction);
        let stored: Vec<Element> = args.iter().map(|tensor| tensor.element).collect();
        self.select_if(op, direction, &|storage| storage.takes(&signature, stored.iter().copied()))
    }

    fn select_if(
        &self,
        op: &dyn Operation,
        direction: Direction,
        takes: &dyn Fn(Storage) -> bool,
    ) -> Result<&'static dyn Row, Error> {
        // Whoever adds a row of their own wants to see it at work, whatever was measured before there was one.
        let own = |row: &&dyn Row| row.op() == op.name() && row.direction() == direction;
        let tuned = match self.inner.rows.iter().copied().any(|row| own(&row)) {
            true => None,
            false => self.inner.tuned.as_ref().and_then(|tuned| tuned.choice(op, direction)),
        };
        // What was measured in f32 is taken for the best in f16, too.
        let stored = |row| Storage::ALL.into_iter().filter(|&it| takes(it)).find_map(|it| ops::stored(row, it));
        let tuned = tuned.and_then(stored);
        match tuned.filter(|row| self.supports(*row).and_then(|()| row.accepts(op)).is_ok()) {
            Some(row) => Ok(row),
            None => self.preferred_if(op, direction, takes),
        }
    }

    /// The row that is launched where nothing was measured: the last of its table that was written for this kind of
    /// adapter, that the device can run and that accepts the problem.
    pub fn preferred(&self, op: &dyn Operation, direction: Direction) -> Result<&'static dyn Row, Error> {
        self.preferred_if(op, direction, &|storage| storage == Storage::F32)
    }

    fn preferred_if(
        &self,
        op: &dyn Operation,
        direction: Direction,
        takes: &dyn Fn(Storage) -> bool,
    ) -> Result<&'static dyn Row, Error> {
        let software = self.class() == Class::Software;
        let mut reasons = Vec::new();
        let all = ops::all().iter().map(|row| &**row).chain(self.inner.rows.iter().copied());
        let of_direction = |row: &&dyn Row| row.op() == op.name() && row.direction() == direction;
        for row in all.rev().filter(|row| of_direction(row) && takes(row.storage())) {
            let fits = match row.prefer() {
                Prefer::Anywhere => true,
                Prefer::Hardware => !software,
                Prefer::Software => software,
            };
            if !fits {
                continue;
            }
            match self.supports(row).and_then(|()| row.accepts(op)) {
                Ok(()) => return Ok(row),
                Err(error) => reasons.push(error.to_string()),
            }
        }
        if reasons.is_empty() {
            reasons.push("none stores its arguments as these are".to_owned());
        }
        Err(Error::NoKernel { op: op.name(), direction: direction.name(), reasons: reasons.join("; ") })
    }

    /// Whether the device has what a row needs, or what is missing.
    pub fn supports(&self, row: &dyn Row) -> Result<(), Error> {
        if row.storage() != Storage::F32 && !self.features().contains(wgpu::Features::SHADER_F16) {
            return Err(Error::NotSupported { id: row.id(), reason: NO_F16.to_owned() });
        }
        let lanes = row.needs().subgroup_lanes;
        let here = self.inner.info.subgroup_min_size;
        if lanes == 0 || (self.features().contains(wgpu::Features::SUBGROUP) && here >= lanes) {
            return Ok(());
        }
        let reason = format!("it needs subgroups of at least {lanes} lanes");
        Err(Error::NotSupported { id: row.id(), reason })
    }

    /// Records one direction of an operation with the row that [`Gpu::select`] picks. Arguments
    /// come in the order of the signature.
    pub fn run(&self, op: &dyn Operation, direction: Direction, args: &[&Tensor]) -> Result<(), Error> {
        // While recording, too: what no kernel can run is an error here, not when the plan is made.
        let row = self.select_for(op, direction, args)?;
        match &self.stream.recording {
            Some(recording) => self.record(recording, op, direction, None, args),
            None => self.launch(row, op, args),
        }
    }

    /// Records a launch of this row. Arguments come in the order of the signature of the row's
    /// direction.
    pub fn launch(&self, row: &'static dyn Row, op: &dyn Operation, args: &[&Tensor]) -> Result<(), Error> {
        if let Some(recording) = &self.stream.recording {
            row.accepts(op)?;
            self.compiled(row)?;
            return self.record(recording, op, row.direction(), Some(row), args);
        }
        let Encoded { dispatches, scratch } = self.encode(row, op, args)?;
        let mut pending = lock(&self.stream.pending);
        pending.extend(dispatches);
        let full = pending.len() >= BATCH;
        drop(pending);
        // Not before: another thread that took this memory could write to it ahead of the launch.
        drop(scratch);
        if full { self.submit() } else { Ok(()) }
    }

    fn record(
        &self,
        recording: &Mutex<Vec<Node>>,
        op: &dyn Operation,
        direction: Direction,
        row: Option<&'static dyn Row>,
        args: &[&Tensor],
    ) -> Result<(), Error> {
        check_arguments(op.name(), &op.signature(direction), args)?;
        let args = args.iter().map(|&tensor| tensor.clone()).collect();
        lock(recording).push(Node { op: op.boxed(), direction, row, by_hand: row.is_some(), args });
        Ok(())
    }

    /// The dispatches of a launch, one for each stage.
    fn encode(&self, row: &'static dyn Row, op: &dyn Operation, args: &[&Tensor]) -> Result<Encoded, Error> {
        let launch = row.launch(op)?;
        let signature = op.signature(row.direction());
        check_arguments(op.name(), &signature, args)?;
        check_elements(row, &signature, args)?;
        let compiled = self.compiled(row)?;
        let limit = self.inner.device.limits().max_compute_workgroups_per_dimension;
        let uniform = self.uniform(&launch.params);
        let scratch = launch
            .scratch
            .iter()
            .map(|scratch| self.scratch(scratch.words, &|| format!("{} (scratch of {})", scratch.name, row.id())))
            .collect::<Result<Vec<_>, _>>()?;
        let mut dispatches = Vec::with_capacity(launch.grids.len());

        for (index, (stage, grid)) in compiled.stages.iter().zip(&launch.grids).enumerate() {
            let mut groups = [0_u32; 3];
            for (to, &from) in groups.iter_mut().zip(&grid.groups) {
                *to = u32::try_from(from).ok().filter(|&n| n <= limit).ok_or(Error::GridTooLarge {
                    id: row.id(),
                    groups: grid.groups,
                    limit,
                })?;
            }
            let mut entries = Vec::with_capacity(stage.bindings.len());
            let mut key = BindKey { row: key(row), stage: index, buffers: Vec::with_capacity(stage.bindings.len()) };
            for binding in &stage.bindings {
                let buffer = if binding.kind == BindingKind::Uniform {
                    uniform.as_entire_buffer_binding()
                } else {
                    let argument = signature.iter().position(|arg| arg.name == binding.name).map(|i| args[i]);
                    let scratch = || launch.scratch.iter().position(|s| s.name == binding.name).map(|i| &scratch[i]);
                    let tensor = argument.or_else(scratch).ok_or_else(|| Error::Shader {
                        path: row.source().path.into(),
                        message: format!("`{}` is neither an argument nor scratch", binding.name),
                    })?;
                    tensor.binding()?
                };
                let size = buffer.size.map_or(0, std::num::NonZero::get);
                key.buffers.push((buffer.buffer.clone(), buffer.offset, size));
                entries.push(wgpu::BindGroupEntry {
                    binding: binding.binding,
                    resource: wgpu::BindingResource::Buffer(buffer),
                });
            }
            let mut bind_groups = lock(&self.inner.bind_groups);
            if bind_groups.len() >= BIND_GROUPS {
                bind_groups.clear();
            }
            let bind_group = bind_groups.entry(key).or_insert_with(|| {
                self.inner.device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some(row.id()),
                    layout: &stage.layout,
                    entries: &entries,
                })
            });
            let (flops, bytes) = match index {
                0 => (op.flops(row.direction()), row.storage().bytes(op, row.direction())),
                _ => (0, 0),
            };
            let (pipeline, bind_group) = (stage.pipeline.clone(), bind_group.clone());
            let dispatch = Dispatch { row: row.id(), stage: index, flops, bytes, pipeline, bind_group, groups };
            drop(bind_groups);
            dispatches.push(dispatch);
        }
        Ok(Encoded { dispatches, scratch })
    }

    /// Memory for the length of one launch.
    fn scratch(&self, words: usize, name: &dyn Fn() -> String) -> Result<Tensor, Error> {
        let spec = TensorSpec::plain([words]);
        match self.stream.recording {
            Some(_) => Ok(Tensor::new(&spec, Element::F32, self.stream.pool.take(&self.inner.device, words, name)?)),
            None => self.empty_named(&spec, name),
        }
    }

    /// The uniform buffer with these bytes. Problem sizes repeat every step, so there are few.
    fn uniform(&self, bytes: &[u8]) -> wgpu::Buffer {
        let mut uniforms = lock(&self.inner.uniforms);
        if let Some(buffer) = uniforms.get(bytes) {
            return buffer.clone();
        }
        let buffer = self.inner.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: bytes.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM,
            mapped_at_creation: true,
        });
        if let Ok(mut view) = buffer.get_mapped_range_mut(..) {
            view.copy_from_slice(bytes);
        }
        buffer.unmap();
        uniforms.insert(bytes.to_vec(), buffer.clone());
        buffer
    }

    fn compiled(&self, row: &'static dyn Row) -> Result<Arc<Compiled>, Error> {
        if let Some(compiled) = lock(&self.inner.pipelines).get(&key(row)) {
            return Ok(Arc::clone(compiled));
        }
        self.supports(row)?;
        let compiled = Arc::new(self.compile(row)?);
        lock(&self.inner.pipelines).insert(key(row), Arc::clone(&compiled));
        Ok(compiled)
    }

    fn compile(&self, row: &dyn Row) -> Result<Compiled, Error> {
        let shader = Shader::of(row)?;
        shader.fits(row)?;
        let device = &self.inner.device;
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(row.id()),
            source: wgpu::ShaderSource::Wgsl(shader.text.as_str().into()),
        };
        let module = if self.inner.checks {
            device.create_shader_module(descriptor)
        } else {
            let checks = wgpu::ShaderRuntimeChecks::unchecked();
            // SAFETY: the caller chose `checks: false` for shaders that pass the same tests both
            // ways; every index is guarded in the shader and tested against sentinels.
            #[allow(unsafe_code)]
            unsafe {
                device.create_shader_module_trusted(descriptor, checks)
            }
        };
        let constants: Vec<(&str, f64)> =
            row.overrides().iter().map(|&(name, value)| (name, f64::from(value))).collect();
        let stages = row
            .entries()
            .into_iter()
            .map(|entry| {
                let bindings = shader.bindings(entry);
                let layout = self.bind_group_layout(row.id(), &bindings);
                let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                    label: Some(row.id()),
                    bind_group_layouts: &[Some(&layout)],
                    immediate_size: 0,
                });
                let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: Some(row.id()),
                    layout: Some(&pipeline_layout),
                    module: &module,
                    entry_point: Some(entry),
                    compilation_options: wgpu::PipelineCompilationOptions {
                        constants: &constants,
                        zero_initialize_workgroup_memory: self.inner.checks,
                    },
                    cache: None,
                });
                CompiledStage { pipeline, layout, bindings }
            })
            .collect();
        match now_or_never(scope.pop()).flatten() {
            Some(error) => Err(Error::Shader { path: row.source().path.into(), message: error.to_string() }),
            None => Ok(Compiled { stages }),
        }
    }

    fn bind_group_layout(&self, label: &str, bindings: &[Binding]) -> wgpu::BindGroupLayout {
        let entries: Vec<_> = bindings
            .iter()
            .map(|binding| wgpu::BindGroupLayoutEntry {
                binding: binding.binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: match binding.kind {
                        BindingKind::Uniform => wgpu::BufferBindingType::Uniform,
                        BindingKind::Read => wgpu::BufferBindingType::Storage { read_only: true },
                        BindingKind::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
                    },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        self.inner
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries })
    }
}

/// What one dispatch of a plan took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// The kernel row.
    pub row: &'static str,
    /// Which of its stages.
    pub stage: usize,
    /// Workgroups along x, y, z.
    pub groups: [u32; 3],
    /// Floating-point operations of the whole launch; 0 but for its first stage.
    pub flops: u64,
    /// Bytes that the launch has to move; 0 but for its first stage.
    pub bytes: u64,
    /// Device time; `None` where the timestamps were unusable.
    pub nanoseconds: Option<f64>,
}

/// What a mapping callback leaves for the future that waits for it.
#[derive(Default)]
struct Mapped {
    result: Option<Result<(), String>>,
    waker: Option<Waker>,
}

fn check_arguments(op: &'static str, signature: &[reference::Arg], args: &[&Tensor]) -> Result<(), Error> {
    if signature.len() != args.len() {
        return Err(Error::Mismatch {
            op,
            what: "the number of arguments".into(),
            got: args.len().to_string(),
            expected: signature.len().to_string(),
        });
    }
    for (index, (arg, tensor)) in signature.iter().zip(args).enumerate() {
        // Layouts count: on the device they differ in the order of their elements.
        let (want, got) = (&arg.spec, &tensor.spec);
        if want != got {
            return Err(Error::Mismatch {
                op,
                what: format!("argument `{}`", arg.name),
                got: got.to_string(),
                expected: want.to_string(),
            });
        }
        let overlaps = |other: &Tensor| Arc::ptr_eq(&other.buffer, &tensor.buffer) && other.offset == tensor.offset;
        if arg.access != Access::Read && args.iter().enumerate().any(|(i, other)| i != index && overlaps(other)) {
            return Err(Error::Mismatch {
                op,
                what: format!("argument `{}`", arg.name),
                got: "the memory of another argument".into(),
                expected: "memory of its own, since it is written".into(),
            });
        }
    }
    Ok(())
}

/// Whether arguments are stored as a row has them.
fn check_elements(row: &dyn Row, signature: &[reference::Arg], args: &[&Tensor]) -> Result<(), Error> {
    for (arg, tensor) in signature.iter().zip(args) {
        let element = row.storage().element(arg.name).of(&arg.spec);
        if tensor.element != element {
            return Err(Error::Mismatch {
                op: row.id(),
                what: format!("argument `{}`", arg.name),
                got: format!("stored as {}", tensor.element),
                expected: element.to_string(),
            });
        }
    }
    Ok(())
}

/// The value of a future that is ready without waiting, as wgpu's error scopes are outside the
/// browser.
pub(crate) fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves these plain collections whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
