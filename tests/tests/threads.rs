//! Several threads on one device.

use kernels::Row;
use parity::gpu;
use reference::ops::SumOfSquares;
use reference::{Operation, TensorSpec};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The words between the stages of `sum_of_squares.fwd.split` are borrowed for a launch. Nobody else may get them before
/// the launch is on its way: here other threads ask for tensors of just that size, and look whether they keep their contents.
#[test]
fn what_a_launch_borrows_no_other_thread_gets() {
    let row: &'static dyn Row =
        kernels::ops::all().iter().find(|row| row.id() == "sum_of_squares.fwd.split").expect("a row").as_ref();
    let op = SumOfSquares::new(TensorSpec::plain([1000])).expect("an operation");
    let borrowed = row.launch(&op).expect("a launch").scratch;
    let spec = TensorSpec::plain([borrowed.first().expect("scratch").words]);
    let gpu = gpu();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let args: Vec<_> =
                op.signature(row.direction()).iter().map(|arg| gpu.empty(&arg.spec).expect("a tensor")).collect();
            let args: Vec<_> = args.iter().collect();
            for _ in 0..30_000 {
                gpu.launch(row, &op, &args).expect("a launch");
            }
            gpu.finish().expect("the end of the launches");
            done.store(true, Ordering::Relaxed);
        });
        for own in [0x1111_1111, 0x2222_2222] {
            let (spec, done) = (&spec, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    // Several at once, or each would only get back what it gave.
                    let tensors = [(); 4].map(|()| gpu.empty(spec).expect("a tensor"));
                    for tensor in &tensors {
                        gpu.write_words(tensor, &vec![own; spec.len()]).expect("an upload");
                    }
                    for tensor in &tensors {
                        let words = pollster::block_on(gpu.read_words(tensor)).expect("a read-back");
                        let other = words.into_iter().find(|&word| word != own);
                        assert_eq!(other.map(|word| format!("{word:#x}")), None, "in a tensor filled with {own:#x}");
                    }
                }
            });
        }
    });
}
