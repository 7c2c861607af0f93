//! Device memory: buffers that return to a pool when nobody holds them any more.

use crate::Error;
use crate::gpu::now_or_never;
use reference::TensorSpec;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The buffers nobody holds, by size. A training step asks for the same sizes in the same order
/// every time, so after the first step it allocates nothing, and even gets the same buffers.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Mutex<HashMap<u64, Vec<wgpu::Buffer>>>,
    allocated: AtomicU64,
}

impl Pool {
    /// Bytes allocated from the device so far, in use or not.
    pub(crate) fn allocated(&self) -> u64 {
        self.allocated.load(Ordering::Relaxed)
    }

    /// A buffer of at least `words` words, with arbitrary contents.
    pub(crate) fn take(self: &Arc<Self>, device: &wgpu::Device, words: usize) -> Result<Buffer, Error> {
        let limits = device.limits();
        let limit = limits.max_buffer_size.min(limits.max_storage_buffer_binding_size);
        // Rounded up so that neighbouring sizes (a last, smaller batch) can share.
        let bytes = (words.max(1) as u64 * 4).next_multiple_of(256);
        if bytes > limit {
            return Err(Error::BufferTooLarge { bytes, limit });
        }
        let reused = self.free.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&bytes).and_then(Vec::pop);
        let raw = match reused {
            Some(raw) => raw,
            None => {
                let scope = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
                let raw = device.create_buffer(&wgpu::BufferDescriptor {
                    label: None,
                    size: bytes,
                    usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                });
                if now_or_never(scope.pop()).flatten().is_some() {
                    return Err(Error::OutOfMemory { bytes, live: self.allocated() });
                }
                self.allocated.fetch_add(bytes, Ordering::Relaxed);
                raw
            }
        };
        Ok(Buffer { raw, pool: Arc::clone(self) })
    }
}

/// A buffer on loan from the pool.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) raw: wgpu::Buffer,
    pool: Arc<Pool>,
}

impl Buffer {
    pub(crate) fn is_from(&self, pool: &Arc<Pool>) -> bool {
        Arc::ptr_eq(&self.pool, pool)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Commands recorded so far still use it. Whoever takes it next records later, and the
        // queue runs in order.
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.entry(self.raw.size()).or_default().push(self.raw.clone());
    }
}

/// A tensor in device memory. Clones share the memory.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub(crate) spec: TensorSpec,
    pub(crate) buffer: Arc<Buffer>,
    /// Where the tensor starts in its buffer, in bytes.
    pub(crate) offset: u64,
    /// Words bound past its end.
    pub(crate) slack: usize,
}

impl Tensor {
    /// Type, layout, dimensions.
    pub fn spec(&self) -> &TensorSpec {
        &self.spec
    }

    /// A tensor inside this one, from word `offset` on: for tests that fence a tensor with
    /// sentinels. The offset must be a multiple of 64 words, as WebGPU binds no others.
    ///
    /// A kernel gets all of this tensor from there on, as much as lies beyond the one inside. If
    /// the binding ended with it, a robust driver would drop what is written past the end, and read
    /// zeros there, and the kernel that does so would look right.
    pub fn within(&self, offset: usize, spec: TensorSpec) -> Result<Self, Error> {
        if !offset.is_multiple_of(64) || offset + spec.len() > self.spec.len() {
            return Err(Error::Mismatch {
                op: "tensor",
                what: "a view".into(),
                got: format!("{spec} from word {offset}"),
                expected: format!("a multiple of 64 words into {}", self.spec),
            });
        }
        let slack = self.slack + self.spec.len() - offset - spec.len();
        Ok(Self { spec, buffer: Arc::clone(&self.buffer), offset: self.offset + offset as u64 * 4, slack })
    }

    pub(crate) fn binding(&self) -> wgpu::BufferBinding<'_> {
        wgpu::BufferBinding {
            buffer: &self.buffer.raw,
            offset: self.offset,
            size: std::num::NonZeroU64::new((self.spec.len() + self.slack) as u64 * 4),
        }
    }
}
