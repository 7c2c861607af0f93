//! Timing: the probes compute what they must, a wrong kernel gets no time.

use kernels::check::{Data, Problem};
use kernels::measure::{MeasureError, Settings, Timestamps, measure};
use kernels::probe::Roofline;
use kernels::tuned::{Among, Choice, problem};
use kernels::{Class, Gpu, Options, Row, Tuned, Tuning};
use parity::altered::Altered;
use reference::ops::Relu;
use reference::{Direction, TensorSpec};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn row(id: &str) -> &'static dyn Row {
    kernels::ops::all().iter().find(|row| row.id() == id).expect("a row").as_ref()
}

fn gpu() -> Gpu {
    // Not the one that poisons what it allocates: nothing is timed like that.
    pollster::block_on(Gpu::open(&Options::default())).unwrap_or_else(|error| panic!("{error}"))
}

fn settings() -> Settings {
    Settings {
        samples: 5,
        submission: Duration::from_millis(1),
        budget: Duration::from_millis(50),
        ..Settings::default()
    }
}

#[test]
fn the_probes_are_verified_and_give_a_roofline() {
    let begin = Instant::now();
    let roofline = pollster::block_on(Roofline::measure(&gpu(), &|| begin.elapsed())).expect("a roofline");
    assert!(roofline.peak > 0.0 && roofline.peak_by.starts_with("probe.fma"));
    assert!(roofline.memory.len() >= 5 && roofline.memory.iter().all(|memory| memory.rate > 0.0));
    assert!(roofline.bandwidth(1 << 20) >= roofline.streaming());
}

#[test]
fn a_right_kernel_has_a_time_by_both_clocks() {
    let (gpu, begin) = (gpu(), Instant::now());
    let op = Relu::new(TensorSpec::image(8, 16, 14, 14)).expect("an operation");
    let problem = Problem::new(&op, Data::Reals, 1).expect("a problem");
    let rotate = Settings { rotate: 5 * 2 * 4 * 8 * 16 * 14 * 14, ..settings() };
    for (settings, copies) in [(settings(), 1), (rotate, 5)] {
        let clock = || begin.elapsed();
        let timed = pollster::block_on(measure(&gpu, row("relu.fwd.vec4"), &op, &problem, &settings, &clock));
        let timed = timed.expect("a time");
        assert_eq!((timed.copies, timed.samples, timed.launches % copies), (copies, 5, 0));
        assert_eq!((timed.bytes, timed.flops), (2 * 4 * 8 * 16 * 14 * 14, 8 * 16 * 14 * 14));
        assert!(timed.wall.p20 > 0.0 && timed.wall.p20 <= timed.wall.p50 && timed.wall.p50 <= timed.wall.p80);
        if let Timestamps::Usable { time, .. } = timed.device {
            assert!(time.least > 0.0 && time.p50 <= timed.wall.p80, "{timed:?}");
        }
    }
}

#[test]
fn a_wrong_kernel_has_no_time() {
    let (gpu, begin) = (gpu(), Instant::now());
    let op = Relu::new(TensorSpec::image(1, 3, 5, 7)).expect("an operation");
    let problem = Problem::new(&op, Data::Reals, 1).expect("a problem");
    let naive = row("relu.fwd.naive");
    let text = naive.source().text.replace("y[i] = ", "y[i] = 1e-3 + ");
    assert_ne!(text, naive.source().text, "nothing was planted");
    let wrong = Altered::new(naive).text("relu.fwd.wrong", naive.source().path, &text).row();
    let timed = pollster::block_on(measure(&gpu, wrong, &op, &problem, &settings(), &|| begin.elapsed()));
    match timed {
        Err(MeasureError::Wrong { id: "relu.fwd.wrong", when: "before", .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_of_choices_is_followed_where_its_rows_fit() {
    let relu = |len| Relu::new(TensorSpec::plain([len])).expect("an operation");
    let choice = |len, row: &str| Choice { problem: problem(&relu(len)), row: row.to_owned(), gain: 2.0 };
    // `vec4` does not accept 6 elements; a table that says so was made for another version of it.
    let choices = vec![choice(8, "relu.fwd.naive"), choice(6, "relu.fwd.vec4")];
    let table = Tuned::new(Class::Software, "none".to_owned(), Among::SameOrder, choices).expect("a table");
    let options = Options { tuning: Tuning::Table(Arc::new(table)), ..Options::default() };
    let gpu = pollster::block_on(Gpu::open(&options)).unwrap_or_else(|error| panic!("{error}"));
    let selected = |len, direction| gpu.select(&relu(len), direction).expect("a row").id();
    assert_eq!(selected(8, Direction::Fwd), "relu.fwd.naive");
    assert_eq!(selected(12, Direction::Fwd), "relu.fwd.vec4");
    assert_eq!(selected(8, Direction::BwdInput), "relu.bwd_input.vec4");
    assert_eq!(selected(6, Direction::Fwd), "relu.fwd.naive");
}
