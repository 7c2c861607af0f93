//! What the device can do at best: multiply-adds per second and bytes per second, measured.
//!
//! The roofline of a kernel is the time below which no kernel with its operations and its bytes can
//! get: the longer of operations at the peak rate and bytes at the bandwidth. Both are measured by
//! kernels that do nothing else (`shaders/probe`), in several variants, of which the best counts, and
//! whose results are verified.

use crate::grid::Grid;
use crate::kernel::{Kernel, Overrides, Row, Source, Stage, Table, rows as erase};
use crate::measure::{Settings, Timestamps, series};
use crate::{Clock, ClockKind, Error, Gpu, params, shader};
use reference::{Arg, Array, Contract, Direction, Operation, Real, TensorSpec, wrong_arguments};
use std::sync::LazyLock;
use std::time::Duration;

/// Chains of multiply-adds of one element.
const CHAINS: usize = 8;

/// Multiply-adds of a chain in one round.
const PER_ROUND: usize = 16;

/// Rounds at most: more, and the sums would no longer be exact in `f32`.
const ROUNDS: usize = 1 << 16;

/// Elements whose chains run at once: enough to fill any device.
const ELEMENTS: usize = 1 << 17;

/// Addends of one element of the reading probe.
const ADDENDS: usize = 16;

/// Bytes that the memory probes go through, from what fits into the fastest cache to what fits into
/// none.
const SIZES: [usize; 6] = [1 << 17, 1 << 20, 1 << 23, 1 << 25, 1 << 27, 1 << 28];

/// `y[i] = Σ_{j<8} a_j`, where `a_j` starts at `x[i] + j` and becomes `a_j * m + c` 16 times a round.
#[derive(Clone, Debug)]
struct MultiplyAdd {
    len: usize,
    rounds: usize,
}

/// `y = x`
#[derive(Clone, Debug)]
struct Copy {
    len: usize,
}

/// `y[i] = Σ_{k<16} x[i + k * len]`
#[derive(Clone, Debug)]
struct Sum {
    len: usize,
}

impl Contract for MultiplyAdd {
    const NAME: &'static str = "probe_multiply_add";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    fn signature(&self, _direction: Direction) -> Vec<Arg> {
        vec![
            Arg::read("x", TensorSpec::plain([self.len])),
            Arg::read("factors", TensorSpec::plain([2])),
            Arg::write("y", TensorSpec::plain([self.len])),
        ]
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), reference::Error> {
        let ([x, factors], [y]) = (inputs, outputs) else { return Err(wrong_arguments(Self::NAME, direction)) };
        let [m, c] = [0, 1].map(|i| factors.real().get(i).map_or(0.0, |factor| factor.to_f64()));
        for (x, y) in x.real().iter().zip(y.real_mut()) {
            let chain = |j: usize| {
                (0..PER_ROUND * self.rounds).fold(x.to_f64() + j as f64, |a, _| T::from_f64(a * m + c).to_f64())
            };
            *y = T::from_f64((0..CHAINS).map(chain).sum());
        }
        Ok(())
    }

    fn terms(&self, _direction: Direction) -> usize {
        CHAINS * PER_ROUND * self.rounds
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        false
    }

    fn flops(&self, _direction: Direction) -> u64 {
        2 * (CHAINS * PER_ROUND) as u64 * (self.len * self.rounds) as u64
    }
}

impl Contract for Copy {
    const NAME: &'static str = "probe_copy";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    fn signature(&self, _direction: Direction) -> Vec<Arg> {
        vec![Arg::read("x", TensorSpec::plain([self.len])), Arg::write("y", TensorSpec::plain([self.len]))]
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), reference::Error> {
        let ([x], [y]) = (inputs, outputs) else { return Err(wrong_arguments(Self::NAME, direction)) };
        y.real_mut().copy_from_slice(x.real());
        Ok(())
    }

    fn terms(&self, _direction: Direction) -> usize {
        1
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, _direction: Direction) -> u64 {
        0
    }
}

impl Contract for Sum {
    const NAME: &'static str = "probe_sum";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    fn signature(&self, _direction: Direction) -> Vec<Arg> {
        vec![Arg::read("x", TensorSpec::plain([ADDENDS * self.len])), Arg::write("y", TensorSpec::plain([self.len]))]
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), reference::Error> {
        let ([x], [y]) = (inputs, outputs) else { return Err(wrong_arguments(Self::NAME, direction)) };
        for (i, y) in y.real_mut().iter_mut().enumerate() {
            *y = T::from_f64(x.real().iter().skip(i).step_by(self.len).map(|x| x.to_f64()).sum());
        }
        Ok(())
    }

    fn terms(&self, _direction: Direction) -> usize {
        ADDENDS
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, _direction: Direction) -> u64 {
        (ADDENDS * self.len) as u64
    }
}

params! {
    /// `shaders/probe/fma_*.wgsl`.
    struct MultiplyAddParams { len: u32, rounds: u32 }
}

params! {
    /// `shaders/probe/copy_*.wgsl` and `read_*.wgsl`.
    struct Params { len: u32 }
}

const GRID: Source = shader!("shared/grid.wgsl");
const FUSED: Source = shader!("shared/multiply_add_fused.wgsl");
const PLAIN: Source = shader!("shared/multiply_add_plain.wgsl");

const WORKGROUP: &[(&str, u32)] = &[("WORKGROUP", 64)];

static MULTIPLY_ADD: Table<MultiplyAdd> = Table {
    params: |op| MultiplyAddParams { len: op.len as u32, rounds: op.rounds as u32 }.bytes(),
    fields: MultiplyAddParams::FIELDS,
    rows: &[
        Kernel {
            id: "probe.fma_scalar.plain",
            source: shader!("probe/fma_scalar.wgsl"),
            shared: &[GRID, PLAIN],
            overrides: WORKGROUP,
            stages: &[Stage { entry: "main", grid: |op, o| Grid::threads(op.len, o.get("WORKGROUP")) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "probe.fma_scalar.fused",
            source: shader!("probe/fma_scalar.wgsl"),
            shared: &[GRID, FUSED],
            overrides: WORKGROUP,
            stages: &[Stage { entry: "main", grid: |op, o| Grid::threads(op.len, o.get("WORKGROUP")) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "probe.fma_vec4.plain",
            source: shader!("probe/fma_vec4.wgsl"),
            shared: &[GRID, PLAIN],
            overrides: WORKGROUP,
            stages: &[Stage { entry: "main", grid: |op, o| Grid::threads(op.len / 4, o.get("WORKGROUP")) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "probe.fma_vec4.fused",
            source: shader!("probe/fma_vec4.wgsl"),
            shared: &[GRID, FUSED],
            overrides: WORKGROUP,
            stages: &[Stage { entry: "main", grid: |op, o| Grid::threads(op.len / 4, o.get("WORKGROUP")) }],
            ..Kernel::ROW
        },
    ],
};

static COPY: Table<Copy> = Table {
    params: |op| Params { len: op.len as u32 }.bytes(),
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "probe.copy_scalar",
            source: shader!("probe/copy_scalar.wgsl"),
            shared: &[GRID],
            overrides: WORKGROUP,
            stages: &[Stage { entry: "main", grid: |op, o| Grid::threads(op.len / 8, o.get("WORKGROUP")) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "probe.copy_vec4",
            source: shader!("probe/copy_vec4.wgsl"),
            shared: &[GRID],
            overrides: WORKGROUP,
            stages: &[Stage { entry: "main", grid: |op, o| Grid::threads(op.len / 4, o.get("WORKGROUP")) }],
            ..Kernel::ROW
        },
    ],
};

static SUM: Table<Sum> = Table {
    params: |op| Params { len: op.len as u32 }.bytes(),
    fields: Params::FIELDS,
    rows: &[
        Kernel {
            id: "probe.read_scalar",
            source: shader!("probe/read_scalar.wgsl"),
            shared: &[GRID],
            overrides: WORKGROUP,
            stages: &[Stage { entry: "main", grid: |op, o: &Overrides| Grid::threads(op.len, o.get("WORKGROUP")) }],
            ..Kernel::ROW
        },
        Kernel {
            id: "probe.read_vec4",
            source: shader!("probe/read_vec4.wgsl"),
            shared: &[GRID],
            overrides: WORKGROUP,
            stages: &[Stage { entry: "main", grid: |op, o| Grid::threads(op.len / 4, o.get("WORKGROUP")) }],
            ..Kernel::ROW
        },
    ],
};

static ROWS: LazyLock<Vec<Box<dyn Row>>> =
    LazyLock::new(|| [erase(&MULTIPLY_ADD), erase(&COPY), erase(&SUM)].into_iter().flatten().collect());

/// The probes. They stand apart from [`crate::ops::all`]: they compute nothing that a network needs.
pub fn rows() -> &'static [Box<dyn Row>] {
    &ROWS
}

/// What one probe took, at its best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probed {
    /// The probe.
    pub id: &'static str,
    /// Floating-point operations of a launch.
    pub flops: u64,
    /// Bytes that it moves.
    pub bytes: u64,
    /// The shortest launch.
    pub nanoseconds: f64,
    /// By this clock.
    pub clock: ClockKind,
}

impl Probed {
    /// Operations, or bytes where there are hardly any operations, per nanosecond.
    fn rate(&self) -> f64 {
        self.flops.max(self.bytes) as f64 / self.nanoseconds
    }
}

/// Why there is no roofline.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProbeError {
    /// A probe computed something else than it had to, so its speed means nothing.
    #[error("{id} computed {got} instead of {expected} at element {at}, so its speed means nothing")]
    Wrong {
        /// The probe.
        id: &'static str,
        /// Where.
        at: usize,
        /// What it wrote.
        got: f32,
        /// What it had to write.
        expected: f32,
    },
    /// A probe did not run.
    #[error(transparent)]
    Device(#[from] Error),
}

/// What a device can do at best.
#[derive(Clone, Debug, PartialEq)]
pub struct Roofline {
    /// Floating-point operations per nanosecond (GFLOP/s), a multiply-add counted as two.
    pub peak: f64,
    /// The probe that reached it.
    pub peak_by: &'static str,
    /// By size, the smallest first.
    pub memory: Vec<Bandwidth>,
    /// Everything that was measured.
    pub probes: Vec<Probed>,
}

/// How fast memory of some size is gone through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bandwidth {
    /// Bytes gone through, again and again.
    pub size: u64,
    /// Bytes per nanosecond (GB/s).
    pub rate: f64,
    /// The probe that reached it.
    pub by: &'static str,
}

impl Roofline {
    /// Measures it; a few seconds on a software adapter.
    pub async fn measure(gpu: &Gpu, clock: Clock<'_>) -> Result<Self, ProbeError> {
        let mut probes = Vec::new();
        let mut peak = (0.0, "");
        for row in rows().iter().filter(|row| row.op() == MultiplyAdd::NAME) {
            let best = multiply_adds(gpu, &**row, clock).await?;
            peak = faster(peak, (best.flops as f64 / best.nanoseconds, best.id));
            probes.push(best);
        }
        let limits = gpu.limits();
        let limit = limits.max_buffer_size.min(limits.max_storage_buffer_binding_size);
        let mut memory = Vec::new();
        for size in SIZES.into_iter().filter(|&size| size as u64 <= limit) {
            let mut best = (0.0, "");
            let pattern = |len: usize| (0..len).map(|i| (i * 7 % 13) as f32).collect::<Vec<_>>();
            for row in rows().iter().filter(|row| row.op() == Copy::NAME) {
                let len = size / 8;
                let x = pattern(len);
                let probe = run(gpu, &**row, &Copy { len }, &[&x], &|i| x[i], clock).await?;
                best = faster(best, (probe.bytes as f64 / probe.nanoseconds, probe.id));
                probes.push(probe);
            }
            for row in rows().iter().filter(|row| row.op() == Sum::NAME) {
                let len = size / 4 / ADDENDS;
                let x = pattern(ADDENDS * len);
                let sum = |i: usize| x.iter().skip(i).step_by(len).sum();
                let probe = run(gpu, &**row, &Sum { len }, &[&x], &sum, clock).await?;
                best = faster(best, (probe.bytes as f64 / probe.nanoseconds, probe.id));
                probes.push(probe);
            }
            memory.push(Bandwidth { size: size as u64, rate: best.0, by: best.1 });
        }
        Ok(Self { peak: peak.0, peak_by: peak.1, memory, probes })
    }

    /// The better of two measurements in everything: something else may have kept the device busy during either.
    pub fn or_better(mut self, other: Self) -> Self {
        (self.peak, self.peak_by) = faster((self.peak, self.peak_by), (other.peak, other.peak_by));
        for (mine, others) in self.memory.iter_mut().zip(other.memory) {
            (mine.rate, mine.by) = faster((mine.rate, mine.by), (others.rate, others.by));
        }
        for (mine, others) in self.probes.iter_mut().zip(other.probes) {
            if (mine.id, mine.bytes) == (others.id, others.bytes) && mine.rate() < others.rate() {
                *mine = others;
            }
        }
        self
    }

    /// Bytes per nanosecond at best, for a kernel that goes through so many: what was reached with
    /// the largest size that is no larger than that, or with any larger one.
    pub fn bandwidth(&self, bytes: u64) -> f64 {
        let below = self.memory.iter().rposition(|memory| memory.size <= bytes).unwrap_or(0);
        self.memory.iter().skip(below).map(|memory| memory.rate).fold(0.0, f64::max)
    }

    /// Bytes per nanosecond where no cache helps: at the largest size.
    pub fn streaming(&self) -> f64 {
        self.memory.last().map_or(0.0, |memory| memory.rate)
    }

    /// The least time in nanoseconds for so many operations on so many bytes, which caches may hold
    /// (`warm`) or not.
    pub fn least(&self, flops: u64, bytes: u64, warm: bool) -> f64 {
        let bandwidth = if warm { self.bandwidth(bytes) } else { self.streaming() };
        (flops as f64 / self.peak).max(bytes as f64 / bandwidth)
    }

    /// The least time as a share of what was taken. Above 1 the operations, the bytes or the probes
    /// were counted wrong.
    pub fn share(&self, flops: u64, bytes: u64, nanoseconds: f64, warm: bool) -> f64 {
        self.least(flops, bytes, warm) / nanoseconds
    }
}

fn faster(a: (f64, &'static str), b: (f64, &'static str)) -> (f64, &'static str) {
    if b.0 > a.0 { b } else { a }
}

/// As many rounds as make a launch long enough to time.
async fn multiply_adds(gpu: &Gpu, row: &'static dyn Row, clock: Clock<'_>) -> Result<Probed, ProbeError> {
    let x: Vec<f32> = (0..ELEMENTS).map(|i| (i % 5) as f32).collect();
    // Fewer, and loading and storing would show.
    let mut rounds = 16;
    loop {
        let op = MultiplyAdd { len: ELEMENTS, rounds };
        let sum = |i: usize| (CHAINS as f32) * x[i] + 28.0 + (CHAINS * PER_ROUND * rounds) as f32;
        let probed = run(gpu, row, &op, &[&x, &[1.0, 1.0]], &sum, clock).await?;
        if probed.nanoseconds > 1e6 || rounds == ROUNDS {
            return Ok(probed);
        }
        // From microseconds to milliseconds in a few strides.
        rounds = (rounds * 16).min(ROUNDS);
    }
}

/// Times one probe and verifies everything that it wrote.
async fn run(
    gpu: &Gpu,
    row: &'static dyn Row,
    op: &dyn Operation,
    inputs: &[&[f32]],
    expected: &dyn Fn(usize) -> f32,
    clock: Clock<'_>,
) -> Result<Probed, ProbeError> {
    let id = row.id();
    let signature = op.signature(Direction::Fwd);
    let mut args = Vec::with_capacity(signature.len());
    for (index, arg) in signature.iter().enumerate() {
        // NaN where the probe has to write.
        let values = inputs.get(index).map_or_else(|| vec![f32::NAN; arg.spec.len()], |values| values.to_vec());
        args.push(gpu.upload(&arg.spec, &Array::Real(values))?);
    }
    let recorder = gpu.recorder();
    recorder.launch(row, op, &args.iter().collect::<Vec<_>>())?;
    let plan = recorder.plan(crate::Fusion::Off)?;
    let settings = Settings {
        samples: 9,
        submission: Duration::from_millis(4),
        budget: Duration::from_millis(150),
        ..Settings::default()
    };
    let series = series(gpu, &plan, 1, &settings, clock).await?;
    if let Some(y) = args.last() {
        let y = gpu.read(y).await?;
        for (at, &got) in y.real().iter().enumerate() {
            let expected = expected(at);
            if got != expected {
                return Err(ProbeError::Wrong { id, at, got, expected });
            }
        }
    }
    let (nanoseconds, clock) = match series.device {
        Timestamps::Usable { time, .. } => (time.least, ClockKind::Device),
        Timestamps::Unusable(_) => (series.wall.least, ClockKind::Wall),
    };
    let (flops, bytes) = (op.flops(Direction::Fwd), op.bytes(Direction::Fwd));
    Ok(Probed { id, flops, bytes, nanoseconds, clock })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roofline() -> Roofline {
        let memory = |size, rate| Bandwidth { size, rate, by: "probe.copy_vec4" };
        let memory = vec![memory(1 << 10, 50.0), memory(1 << 20, 80.0), memory(1 << 28, 10.0)];
        Roofline { peak: 100.0, peak_by: "probe.fma_vec4.plain", memory, probes: Vec::new() }
    }

    #[test]
    fn small_kernels_may_live_in_caches() {
        let roofline = roofline();
        // A launch over a few bytes takes long for other reasons: larger sizes count as well.
        assert_eq!(roofline.bandwidth(1), 80.0);
        assert_eq!(roofline.bandwidth(1 << 20), 80.0);
        assert_eq!(roofline.bandwidth((1 << 28) - 1), 80.0);
        assert_eq!(roofline.bandwidth(1 << 28), 10.0);
        assert_eq!(roofline.streaming(), 10.0);
    }

    #[test]
    fn the_better_of_two_measurements_counts() {
        let (slow, mut fast) = (Roofline { peak: 20.0, ..roofline() }, roofline());
        fast.memory[2].rate = 5.0;
        let best = slow.or_better(fast);
        assert_eq!((best.peak, best.streaming()), (100.0, 10.0));
    }

    #[test]
    fn the_least_time_is_the_longer_of_two() {
        let roofline = roofline();
        assert_eq!(roofline.least(1000, 80, true), 10.0);
        assert_eq!(roofline.least(1000, 1600, true), 20.0);
        assert_eq!(roofline.least(1000, 1600, false), 160.0);
        assert_eq!(roofline.least(0, 80, true), 1.0);
        assert_eq!(roofline.share(1000, 80, 40.0, true), 0.25);
    }

    #[test]
    fn the_verified_sum_is_what_the_operation_says() {
        let op = MultiplyAdd { len: 3, rounds: 2 };
        let (x, factors) = (Array::Real(vec![0.0_f32, 1.0, 4.0]), Array::Real(vec![1.0, 1.0]));
        let mut y = Array::Real(vec![0.0; 3]);
        op.run(Direction::Fwd, &[&x, &factors], &mut [&mut y]).unwrap();
        let sum = |x: f32| 8.0 * x + 28.0 + (CHAINS * PER_ROUND * 2) as f32;
        assert_eq!(y, Array::Real(vec![sum(0.0), sum(1.0), sum(4.0)]));
        assert_eq!(Operation::flops(&op, Direction::Fwd), 2 * 8 * 16 * 2 * 3);
    }
}
