//! A recording becomes a plan: neighbours are fused, memory is shared by lifetime, everything a replay needs is prebuilt.

use super::{Dispatch, Gpu, Inner, fuse, lock};
use crate::Error;
use crate::kernel::Row;
use crate::memory::{Buffer, Pool, Tensor, Transient};
use reference::{Arg, Direction, Operation};
use std::collections::HashMap;
use std::ptr;
use std::sync::Arc;

/// A launch as it was recorded.
#[derive(Debug)]
pub(crate) struct Node {
    pub(super) op: Box<dyn Operation>,
    pub(super) direction: Direction,
    /// The row to launch, where it is known.
    pub(super) row: Option<&'static dyn Row>,
    /// Whether the row was chosen by hand; such launches are not fused.
    pub(super) by_hand: bool,
    /// In the order of the signature.
    pub(super) args: Vec<Tensor>,
}

impl Node {
    pub(super) fn signature(&self) -> Vec<Arg> {
        self.op.signature(self.direction)
    }

    /// The argument of this name.
    pub(super) fn arg(&self, name: &str) -> Option<&Tensor> {
        self.signature().iter().position(|arg| arg.name == name).and_then(|index| self.args.get(index))
    }
}

/// Whether a plan may replace neighbouring launches by one kernel that does the work of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fusion {
    /// Where there is a kernel for it that the device can run.
    #[default]
    On,
    /// Every launch stays as recorded: what the eager path runs.
    Off,
}

/// Launches that were recorded once and are replayed as often as wanted, with nothing selected,
/// allocated, uploaded or read on the way.
///
/// Tensors that the recording dropped on its way share memory, as far as their lives do not overlap;
/// tensors of others that it used are kept alive.
#[derive(Debug)]
pub struct Plan {
    pub(super) dispatches: Vec<Dispatch>,
    launches: usize,
    tensors: Vec<Tensor>,
    /// Of these tensors, those that it relies on only within a replay.
    _transient: Vec<Transient>,
    pool: Arc<Pool>,
}

impl Plan {
    /// Dispatches of one replay.
    pub fn dispatches(&self) -> usize {
        self.dispatches.len()
    }

    /// Launches of one replay, after fusion. A launch is a dispatch for each stage of its kernel.
    pub fn launches(&self) -> usize {
        self.launches
    }

    /// The kernel rows it launches, in order, once for each launch.
    pub fn rows(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.dispatches.iter().filter(|dispatch| dispatch.stage == 0).map(|dispatch| dispatch.row)
    }

    /// Bytes of device memory that the recording allocated: the most that is live at once, as far
    /// as sizes allow to share.
    pub fn allocated_bytes(&self) -> u64 {
        self.pool.allocated()
    }

    /// Tensors of others that are kept alive.
    pub fn tensors(&self) -> usize {
        self.tensors.len()
    }
}

impl Gpu {
    /// Ends a recording made through [`Gpu::recorder`].
    ///
    /// A tensor of the recording that the caller still holds keeps its memory to itself, and is not
    /// fused away. All memory is allocated here: too little of it is an error before the first step.
    pub fn plan(self, fusion: Fusion) -> Result<Plan, Error> {
        let recorded = self.stream.recording.as_ref().map(|nodes| std::mem::take(&mut *lock(nodes)));
        let mut nodes = recorded.ok_or(Error::Recording("end a recording that was not begun"))?;
        if fusion == Fusion::On {
            nodes = fuse::fuse(&self, nodes);
        }
        let Inner { device, .. } = &*self.inner;
        let lives = Lives::of(&nodes);
        let mut dispatches = Vec::with_capacity(nodes.len());
        let mut tensors: Vec<Tensor> = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            for (name, arg) in node.signature().iter().map(|arg| arg.name).zip(&node.args) {
                if arg.buffer.is_from(&self.stream.pool) {
                    arg.buffer.provide(device, &|| format!("{name} ({}.{})", node.op.name(), node.direction))?;
                } else if !tensors.iter().any(|kept| Arc::ptr_eq(&kept.buffer, &arg.buffer)) {
                    tensors.push(arg.clone());
                }
            }
            let args: Vec<&Tensor> = node.args.iter().collect();
            let row = match node.row {
                Some(row) => row,
                None => self.select_for(&*node.op, node.direction, &args)?,
            };
            dispatches.extend(self.encode(row, &*node.op, &args)?.dispatches);
            for buffer in lives.ending(index, &nodes) {
                buffer.reuse();
            }
        }
        let _transient = tensors.iter().filter_map(Transient::of_plan).collect();
        Ok(Plan { dispatches, launches: nodes.len(), tensors, _transient, pool: Arc::clone(&self.stream.pool) })
    }
}

/// For every buffer, where it is used last and how often it is used at all.
struct Lives {
    by_buffer: HashMap<*const Buffer, (usize, usize)>,
}

impl Lives {
    fn of(nodes: &[Node]) -> Self {
        let mut by_buffer = HashMap::new();
        for (index, node) in nodes.iter().enumerate() {
            for arg in &node.args {
                let life = by_buffer.entry(ptr::from_ref(&*arg.buffer)).or_insert((index, 0));
                *life = (index, life.1 + 1);
            }
        }
        Self { by_buffer }
    }

    /// The buffers that nobody needs after this node, each once.
    fn ending<'a>(&self, index: usize, nodes: &'a [Node]) -> Vec<&'a Arc<Buffer>> {
        let mut ending: Vec<&Arc<Buffer>> = Vec::new();
        for arg in &nodes[index].args {
            let life = self.by_buffer.get(&ptr::from_ref(&*arg.buffer));
            let last = life.is_some_and(|&(last, uses)| last == index && Arc::strong_count(&arg.buffer) == uses);
            if last && !ending.iter().any(|other| Arc::ptr_eq(other, &arg.buffer)) {
                ending.push(&arg.buffer);
            }
        }
        ending
    }
}
