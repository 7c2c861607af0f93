//! Times every kernel row on every layer, and whole training steps: `cargo bench`, or `cargo bench -- conv2d.fwd`.
//!
//! A row is checked against the reference before it is timed, and again afterwards; one that fails
//! is not timed. Times are wall clock per launch, over launches that are submitted together.

use criterion::{BenchmarkId, Criterion, Throughput};
use kernels::check::{Data, Problem, check_problem};
use kernels::{Class, Gpu, Options, Row, Storage, Tensor};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::cell::OnceCell;
use std::time::{Duration, Instant};
use tape::Device;
use trainer::bench::{layers, steps};
use trainer::recipe::Recipe;

/// Floating-point operations of a launch that a naive kernel on a software adapter does in about a second; slower ones
/// are left out there.
const AFFORDABLE: u64 = 1_100_000_000;

fn main() {
    // As in training.
    let gpu = match pollster::block_on(Gpu::open(&Options { checks: false, ..Options::default() })) {
        Ok(gpu) => gpu,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(3);
        }
    };
    let info = gpu.info();
    eprintln!(
        "adapter: {} ({:?}, {:?}, {}), run-time checks off",
        info.name, info.device_type, info.backend, info.driver_info
    );
    let recipes = or_exit(benches::recipes());
    // Rows that store f16 would take as long again: they are timed where they are asked for.
    let f16_too = std::env::args().skip(1).any(|arg| arg.contains("f16"));
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    for recipe in &recipes {
        or_exit(pollster::block_on(time_steps(&mut criterion, &gpu, recipe)));
    }
    for problem in or_exit(benches::layers(&recipes)) {
        if gpu.class() == Class::Software && problem.flops() > AFFORDABLE {
            eprintln!("{} is left out: naive kernels take too long for it here", problem.name);
            continue;
        }
        time_layer(&mut criterion, &gpu, &problem, f16_too);
    }
    criterion.final_summary();
}

fn time_layer(criterion: &mut Criterion, gpu: &Gpu, problem: &layers::Problem, f16_too: bool) {
    let op = &*problem.op;
    // Made up when the first row is timed: layers that a filter leaves out cost nothing.
    let values: OnceCell<Problem> = OnceCell::new();
    for &direction in op.directions() {
        let mut rows: Vec<&'static dyn Row> = kernels::ops::all()
            .iter()
            .map(|row| &**row)
            .filter(|row| row.op() == op.name() && row.direction() == direction)
            .filter(|row| f16_too || row.storage() == Storage::F32)
            .filter(|row| gpu.supports(*row).and_then(|()| row.accepts(op)).is_ok())
            .collect();
        // A machine that gets warmer, or busier, does not always do so on the same rows.
        rows.shuffle(&mut StdRng::seed_from_u64(op.flops(direction)));
        for row in rows {
            let mut group = criterion.benchmark_group(row.id());
            // One "element" is one floating-point operation: criterion then prints FLOP/s.
            group.throughput(Throughput::Elements(op.flops(direction)));
            group.bench_function(BenchmarkId::from_parameter(&problem.name), |bencher| {
                let values = values.get_or_init(|| or_exit(Problem::new(op, Data::Reals, 1)));
                // A wrong kernel has no speed.
                let verify = || {
                    let checked = or_exit(pollster::block_on(check_problem(gpu, row, op, Data::Reals, values)));
                    checked.unwrap_or_else(|fault| fail(&format!("{} on {}: {fault}", row.id(), problem.name)));
                };
                verify();
                let args = or_exit(values.upload(gpu, op, row));
                let args: Vec<&Tensor> = args.iter().collect();
                bencher.iter_custom(|launches| {
                    let start = Instant::now();
                    for _ in 0..launches {
                        or_exit(gpu.launch(row, op, &args));
                    }
                    or_exit(gpu.finish());
                    start.elapsed()
                });
                verify();
            });
            group.finish();
        }
    }
}

/// A training step, replayed from its recording and through the tape.
async fn time_steps(criterion: &mut Criterion, gpu: &Gpu, recipe: &Recipe) -> anyhow::Result<()> {
    let n = recipe.train.batch_size;
    steps::with_step(gpu, recipe, async |step| {
        let mut group = criterion.benchmark_group("step");
        // One "element" is one image: criterion then prints images per second.
        group.throughput(Throughput::Elements(n as u64));
        let mut time = |name: &str, run: &mut dyn FnMut() -> anyhow::Result<()>| {
            group.bench_function(BenchmarkId::new(name, &recipe.name), |bencher| {
                bencher.iter_custom(|steps| {
                    let start = Instant::now();
                    for _ in 0..steps {
                        or_exit(run());
                    }
                    or_exit(gpu.finish());
                    start.elapsed()
                });
            });
        };
        let recorder = gpu.recorder();
        step.run(&Device::Gpu(recorder.clone()), n)?;
        let plan = recorder.plan(kernels::Fusion::On)?;
        time("plan", &mut || Ok(gpu.replay(&plan)?));
        let device = Device::Gpu(gpu.clone());
        time("eager", &mut || Ok(step.run(&device, n).map(|_| ())?));
        group.finish();
        Ok(())
    })
    .await
}

fn or_exit<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| fail(&error.to_string()))
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(1)
}
