//! One timed submission of a plan.

use super::{Gpu, Plan};
use crate::Error;
use std::time::Duration;

/// The time since some moment that stays the same. This crate has no clock of its own: not every platform it runs on
/// has one in the standard library.
pub type Clock<'a> = &'a dyn Fn() -> Duration;

/// One timed submission.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// From the first command encoded until the device was done with the last.
    pub wall: Duration,
    /// The device's clock before and after, in nanoseconds. `None` if it has no timestamps.
    pub device: Option<[f64; 2]>,
}

impl Gpu {
    /// Replays a plan `times` times in one compute pass of its own, with a timestamp before and after, and waits.
    pub async fn sample(&self, plan: &Plan, times: usize, clock: Clock<'_>) -> Result<Sample, Error> {
        self.must_run("time a plan")?;
        self.finish()?;
        let device = &self.inner.device;
        let queries = self.features().contains(wgpu::Features::TIMESTAMP_QUERY).then(|| {
            device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("sample"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            })
        });
        let begin = clock();
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("sample"),
                timestamp_writes: queries.as_ref().map(|queries| wgpu::ComputePassTimestampWrites {
                    query_set: queries,
                    beginning_of_pass_write_index: Some(0),
                    end_of_pass_write_index: Some(1),
                }),
            });
            for dispatch in std::iter::repeat_n(&plan.dispatches, times).flatten() {
                let [x, y, z] = dispatch.groups;
                pass.set_pipeline(&dispatch.pipeline);
                pass.set_bind_group(0, &dispatch.bind_group, &[]);
                pass.dispatch_workgroups(x, y, z);
            }
        }
        let submission = self.inner.queue.submit([encoder.finish()]);
        self.wait(Some(submission))?;
        let wall = clock().saturating_sub(begin);
        let Some(queries) = queries else { return Ok(Sample { wall, device: None }) };

        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("sample"),
            size: 16,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.resolve_query_set(&queries, 0..2, &resolved, 0);
        let bytes = self.download(encoder, &resolved, 0, 16).await?;
        let (ticks, _) = bytes.as_chunks::<8>();
        let period = f64::from(self.inner.queue.get_timestamp_period());
        let at = |index: usize| ticks.get(index).map_or(0.0, |ticks| u64::from_le_bytes(*ticks) as f64 * period);
        Ok(Sample { wall, device: Some([at(0), at(1)]) })
    }
}
