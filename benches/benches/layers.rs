//! Times every kernel row on every layer: `cargo bench`, or `cargo bench -- conv2d.fwd`.
//!
//! A row is checked against the reference before it is timed, and again afterwards; one that fails
//! is not timed. Times are wall clock per launch, over launches that are submitted together.

use criterion::{BenchmarkId, Criterion, Throughput};
use kernels::check::{Data, check};
use kernels::{Gpu, Options, Row, Tensor};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reference::cases::Case;
use reference::{Array, DType, Operation};
use std::time::{Duration, Instant};

fn main() {
    let gpu = match pollster::block_on(Gpu::open(&Options::default())) {
        Ok(gpu) => gpu,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(3);
        }
    };
    let info = gpu.info();
    eprintln!("adapter: {} ({:?}, {:?}, {})", info.name, info.device_type, info.backend, info.driver_info);
    let layers = match benches::layers() {
        Ok(layers) => layers,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    };
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    for case in &layers {
        time_layer(&mut criterion, &gpu, case);
    }
    criterion.final_summary();
}

fn time_layer(criterion: &mut Criterion, gpu: &Gpu, case: &Case) {
    for &direction in case.op.directions() {
        let rows = kernels::ops::all().iter().filter(|row| row.op() == case.op.name() && row.direction() == direction);
        for row in rows {
            let row = &**row;
            if gpu.supports(row).and_then(|()| row.accepts(&*case.op)).is_err() {
                continue;
            }
            let mut group = criterion.benchmark_group(row.id());
            // One "element" is one floating-point operation: criterion then prints FLOP/s.
            group.throughput(Throughput::Elements(case.op.flops(direction)));
            group.bench_function(BenchmarkId::from_parameter(&case.name), |bencher| {
                // Inside, so that rows that a filter leaves out cost nothing.
                verify(gpu, row, case);
                let args = arguments(gpu, row, &*case.op);
                let args: Vec<&Tensor> = args.iter().collect();
                bencher.iter_custom(|launches| {
                    let start = Instant::now();
                    for _ in 0..launches {
                        or_exit(gpu.launch(row, &*case.op, &args));
                    }
                    or_exit(gpu.finish());
                    start.elapsed()
                });
                verify(gpu, row, case);
            });
            group.finish();
        }
    }
}

/// A wrong kernel has no speed.
fn verify(gpu: &Gpu, row: &'static dyn Row, case: &Case) {
    or_exit(pollster::block_on(check(gpu, row, case, Data::Reals, 1)));
}

/// Tensors for the arguments of a row, filled with random numbers: zeros and denormals may be faster or slower than those.
fn arguments(gpu: &Gpu, row: &dyn Row, op: &dyn Operation) -> Vec<Tensor> {
    let mut random = StdRng::seed_from_u64(1);
    op.signature(row.direction())
        .iter()
        .map(|arg| {
            let elements = 0..arg.spec.len();
            let array = match arg.spec.dtype {
                DType::Real => Array::Real(elements.map(|_| random.random_range(-1.0..1.0)).collect()),
                DType::Index => Array::Index(elements.map(|_| random.random_range(0..4)).collect()),
            };
            or_exit(gpu.upload(&arg.spec, &array))
        })
        .collect()
}

fn or_exit<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1);
    })
}
