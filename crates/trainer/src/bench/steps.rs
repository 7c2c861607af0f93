//! Training steps: what the host and the device take for one, replayed and through the tape.

use super::table::{Table, short};
use crate::images::{Images, Visit};
use crate::model::Model;
use crate::network::Network;
use crate::recipe::Recipe;
use crate::step::Step;
use fashion_mnist::synthetic;
use kernels::measure::{Settings, Timestamps, series};
use kernels::{Gpu, Percentiles};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tape::Device;

/// Steps whose encoding is timed together. Few enough that none of them is submitted before the end.
const ENCODED: usize = 4;

/// What a training step takes.
#[derive(Clone, Debug)]
pub struct StepTimes {
    /// The recipe.
    pub recipe: String,
    /// Images of a step.
    pub batch: usize,
    /// Dispatches of a step.
    pub dispatches: usize,
    /// Bytes of device memory that the plan works on, besides parameters and images.
    pub bytes: u64,
    /// What the host takes to encode and submit a replayed step.
    pub encode: Percentiles,
    /// The same for a step through the tape.
    pub encode_eager: Percentiles,
    /// A replayed step, by the device's clock.
    pub device: Timestamps,
    /// A replayed step, by the wall clock.
    pub wall: Percentiles,
    /// A step through the tape, by the wall clock.
    pub wall_eager: Percentiles,
}

/// Runs `work` with a training step of a recipe. The images are drawn by code: what they show costs nothing.
pub async fn with_step<T>(
    gpu: &Gpu,
    recipe: &Recipe,
    work: impl AsyncFnOnce(&Step<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let batch = recipe.train.batch_size;
    let images = u32::try_from(batch)?;
    let dataset = synthetic(images, 1, 0);
    let device = Device::Gpu(gpu.clone());
    let network = Network::new(&recipe.layers, batch)?;
    let values = network.initialise(recipe.train.seed).into_iter().map(|(_, values)| values).collect();
    let model = Model::new(&device, network, values)?;
    let pixels = Images::upload(&device, &dataset.train, recipe.data.normalise, recipe.train.precision)?;
    let visit = Visit::new(&device, &(0..images).collect::<Vec<_>>(), recipe.train.seed)?;
    let step = Step::new(&device, recipe, &model, &pixels, &visit)?;
    work(&step).await
}

/// Times the training step of a recipe.
pub async fn time(gpu: &Gpu, recipe: &Recipe, settings: &Settings) -> anyhow::Result<StepTimes> {
    let batch = recipe.train.batch_size;
    let begin = Instant::now();
    with_step(gpu, recipe, async |step| {
        let device = Device::Gpu(gpu.clone());
        let recorder = gpu.recorder();
        step.run(&Device::Gpu(recorder.clone()), batch)?;
        let plan = recorder.plan(kernels::Fusion::On)?;
        let replayed = series(gpu, &plan, 1, settings, &|| begin.elapsed()).await?;

        let replay = || Ok(gpu.replay(&plan)?);
        let eager = || Ok(step.run(&device, batch).map(|_| ())?);
        let encode = encode(gpu, settings.samples, &replay)?;
        let encode_eager = self::encode(gpu, settings.samples, &eager)?;
        let [wall, wall_eager] = wall(gpu, settings, [&replay, &eager])?;

        // A step that trains nothing is quick. This many steps on the same images leave a loss that is a number.
        let metrics = device.read(&step.run(&device, batch)?).await?;
        let loss = metrics.real().first().copied().unwrap_or(f32::NAN) / batch as f32;
        anyhow::ensure!(loss.is_finite(), "the step of {} ends in a loss of {loss}, so it has no time", recipe.name);
        Ok(StepTimes {
            recipe: recipe.name.clone(),
            batch,
            dispatches: plan.dispatches(),
            bytes: plan.allocated_bytes(),
            encode,
            encode_eager,
            device: replayed.device,
            wall,
            wall_eager,
        })
    })
    .await
}

/// Nanoseconds of the host for one step: until everything is submitted, without waiting for it.
fn encode(gpu: &Gpu, samples: usize, step: &dyn Fn() -> anyhow::Result<()>) -> anyhow::Result<Percentiles> {
    let mut times = Vec::with_capacity(samples);
    for _ in 0..samples {
        gpu.finish()?;
        let begin = Instant::now();
        for _ in 0..ENCODED {
            step()?;
        }
        gpu.submit()?;
        times.push(nanoseconds(begin.elapsed()) / ENCODED as f64);
    }
    gpu.finish()?;
    Ok(Percentiles::of(times))
}

/// Nanoseconds of one step of each kind among many, until the device is done. They take turns, so that whatever else the
/// machine does falls on both.
fn wall(
    gpu: &Gpu,
    settings: &Settings,
    kinds: [&dyn Fn() -> anyhow::Result<()>; 2],
) -> anyhow::Result<[Percentiles; 2]> {
    let take = |step: &dyn Fn() -> anyhow::Result<()>, steps: usize| {
        let begin = Instant::now();
        for _ in 0..steps {
            step()?;
        }
        gpu.finish()?;
        anyhow::Ok(begin.elapsed())
    };
    let mut once = 1e-6_f64;
    for step in kinds {
        once = once.max(take(step, 1)?.as_secs_f64());
    }
    let steps = ((settings.submission.as_secs_f64() / once).ceil() as usize).clamp(1, 64);
    let affordable = (settings.budget.as_secs_f64() / (once * steps as f64)) as usize;
    let samples = affordable.clamp(Settings::LEAST, settings.samples.max(Settings::LEAST));
    let mut times = [(); 2].map(|()| Vec::with_capacity(samples));
    for _ in 0..samples {
        for (step, times) in kinds.into_iter().zip(&mut times) {
            times.push(nanoseconds(take(step, steps)?) / steps as f64);
        }
    }
    Ok(times.map(Percentiles::of))
}

fn nanoseconds(duration: Duration) -> f64 {
    1e9 * duration.as_secs_f64()
}

impl StepTimes {
    /// How many times as long a step through the tape takes as a replayed one.
    pub fn eager_over_replayed(&self) -> f64 {
        self.wall_eager.p50 / self.wall.p50
    }

    /// For a program.
    pub fn json(&self) -> Value {
        let percentiles = |time: &Percentiles| json!({ "p20": time.p20, "p50": time.p50, "p80": time.p80 });
        let device = match &self.device {
            Timestamps::Usable { time, .. } => percentiles(time),
            Timestamps::Unusable(_) => Value::Null,
        };
        json!({
            "recipe": self.recipe,
            "batch_size": self.batch,
            "dispatches": self.dispatches,
            "bytes": self.bytes,
            "encode_nanoseconds": percentiles(&self.encode),
            "encode_eager_nanoseconds": percentiles(&self.encode_eager),
            "device_nanoseconds": device,
            "wall_nanoseconds": percentiles(&self.wall),
            "wall_eager_nanoseconds": percentiles(&self.wall_eager),
        })
    }
}

/// Steps as a table.
pub fn table(steps: &[StepTimes]) -> Table {
    let heads = [
        "recipe",
        ">batch",
        ">dispatches",
        ">plan MiB",
        ">encode us",
        ">device ms",
        ">wall ms",
        ">p20",
        ">p80",
        ">eager wall ms",
        ">eager / plan",
        ">eager encode us",
    ];
    let mut table = Table::new(&heads);
    for step in steps {
        let milliseconds = |nanoseconds: f64| short(nanoseconds / 1e6);
        let device = match &step.device {
            Timestamps::Usable { time, .. } => milliseconds(time.p50),
            Timestamps::Unusable(_) => "-".to_owned(),
        };
        table.row([
            step.recipe.clone(),
            step.batch.to_string(),
            step.dispatches.to_string(),
            short(step.bytes as f64 / f64::from(1 << 20)),
            short(step.encode.p50 / 1e3),
            device,
            milliseconds(step.wall.p50),
            milliseconds(step.wall.p20),
            milliseconds(step.wall.p80),
            milliseconds(step.wall_eager.p50),
            short(step.eager_over_replayed()),
            short(step.encode_eager.p50 / 1e3),
        ]);
    }
    table
}
