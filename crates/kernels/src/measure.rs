//! How long a kernel takes: the one way to time a row.
//!
//! A row is compared with the reference before it is timed and afterwards; one that is wrong has no
//! time. It is fed random numbers, launched many times to a submission, and timed by the device's
//! clock and by the wall clock at once.

use crate::check::{Data, Fault, Problem, check_problem};
use crate::{Clock, Error, Gpu, Plan, Row, Sample, Tensor};
use reference::Operation;
use std::fmt;
use std::time::Duration;

/// How to time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Submissions that are timed. A row so slow that [`Settings::budget`] runs out is timed less
    /// often, but never less than [`Settings::LEAST`] times.
    pub samples: usize,
    /// What a submission should take at least: it holds as many launches as that needs.
    pub submission: Duration,
    /// What all submissions may take together.
    pub budget: Duration,
    /// Bytes to go through before an argument is used again, so that no cache holds it any more.
    /// 0: every launch works on the same arguments, as warm as they can be.
    pub rotate: u64,
}

impl Settings {
    /// The fewest samples a median is taken of.
    pub const LEAST: usize = 5;

    /// Launches of one submission at most.
    const LAUNCHES: usize = 512;

    /// Copies of the arguments at most.
    const COPIES: u64 = 64;
}

impl Default for Settings {
    fn default() -> Self {
        let (submission, budget) = (Duration::from_millis(10), Duration::from_secs(2));
        Self { samples: 15, submission, budget, rotate: 0 }
    }
}

/// Percentiles of one launch's time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    /// The shortest.
    pub least: f64,
    /// One in five took less.
    pub p20: f64,
    /// The median.
    pub p50: f64,
    /// One in five took more.
    pub p80: f64,
}

impl Percentiles {
    /// Of these numbers; interpolated between neighbours. Zeros if there are none.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let Some(last) = values.len().checked_sub(1) else { return Self::default() };
        let at = |share: f64| {
            let place = share * last as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Self { least: at(0.0), p20: at(0.2), p50: at(0.5), p80: at(0.8) }
    }
}

/// What the device's clock is worth.
#[derive(Clone, Debug, PartialEq)]
pub enum Timestamps {
    /// Times, and how many samples were thrown away because the clock stood still, ran backwards or
    /// was further than the wall clock.
    Usable {
        /// Of one launch.
        time: Percentiles,
        /// Samples thrown away.
        rejected: usize,
    },
    /// None to be had, and why.
    Unusable(&'static str),
}

/// Which clock a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockKind {
    /// The device's.
    Device,
    /// The host's: submission and waiting included.
    Wall,
}

impl fmt::Display for ClockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "device",
            Self::Wall => "wall",
        })
    }
}

/// What one launch takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// By the device's clock.
    pub device: Timestamps,
    /// By the wall clock.
    pub wall: Percentiles,
    /// Submissions timed.
    pub samples: usize,
    /// Launches in each.
    pub launches: usize,
    /// Copies of the arguments that took turns.
    pub copies: usize,
    /// Floating-point operations of a launch.
    pub flops: u64,
    /// Bytes that it has to move.
    pub bytes: u64,
}

impl Measured {
    /// The time to judge by, and the clock it comes from: the device's where that is usable.
    pub fn time(&self) -> (Percentiles, ClockKind) {
        match &self.device {
            Timestamps::Usable { time, .. } => (*time, ClockKind::Device),
            Timestamps::Unusable(_) => (self.wall, ClockKind::Wall),
        }
    }

    /// Billions of floating-point operations per second, by the median.
    pub fn gflops(&self) -> f64 {
        self.flops as f64 / self.time().0.p50
    }

    /// Billions of bytes moved per second, by the median.
    pub fn gigabytes(&self) -> f64 {
        self.bytes as f64 / self.time().0.p50
    }
}

/// Why a row has no time.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MeasureError {
    /// It disagrees with the reference.
    #[error("{id} is wrong {when} being timed, so it has no time: {fault}")]
    Wrong {
        /// The row.
        id: &'static str,
        /// Before or after.
        when: &'static str,
        /// What is wrong.
        fault: Fault,
    },
    /// It did not run.
    #[error(transparent)]
    Device(#[from] Error),
}

/// Checks a row, times it, checks it again.
pub async fn measure(
    gpu: &Gpu,
    row: &'static dyn Row,
    op: &dyn Operation,
    problem: &Problem,
    settings: &Settings,
    clock: Clock<'_>,
) -> Result<Measured, MeasureError> {
    let mut measured = measure_in_turn(gpu, &[row], op, problem, settings, clock).await?;
    Ok(measured.remove(0))
}

/// The same for several rows of one operation, timed in turn: whatever else the machine does meanwhile slows all of them, so
/// that their ratios are worth more than those of rows timed one after the other. One [`Measured`] for each row, in order.
pub async fn measure_in_turn(
    gpu: &Gpu,
    rows: &[&'static dyn Row],
    op: &dyn Operation,
    problem: &Problem,
    settings: &Settings,
    clock: Clock<'_>,
) -> Result<Vec<Measured>, MeasureError> {
    let verify = async |when: &'static str| {
        for row in rows {
            match check_problem(gpu, *row, op, Data::Reals, problem).await {
                Ok(Ok(_)) => {}
                Ok(Err(fault)) => return Err(MeasureError::Wrong { id: row.id(), when, fault }),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    };
    verify("before").await?;
    let bytes = |row: &dyn Row| row.storage().bytes(op, row.direction());
    let mut plans = Vec::with_capacity(rows.len());
    for row in rows {
        let copies = settings.rotate.div_ceil(bytes(*row).max(1)).clamp(1, Settings::COPIES);
        let recorder = gpu.recorder();
        for _ in 0..copies {
            let args = problem.upload(gpu, op, *row)?;
            recorder.launch(*row, op, &args.iter().collect::<Vec<&Tensor>>())?;
        }
        plans.push((recorder.plan(crate::Fusion::Off)?, copies as usize));
    }
    let timed: Vec<(&Plan, usize)> = plans.iter().map(|(plan, copies)| (plan, *copies)).collect();
    let all = series_in_turn(gpu, &timed, settings, clock).await?;
    verify("after").await?;
    let measured = rows.iter().zip(timed).zip(all).map(|((row, (_, copies)), series)| {
        let Series { device, wall, samples, launches } = series;
        let (flops, bytes) = (op.flops(row.direction()), bytes(*row));
        Measured { device, wall, samples, launches, copies, flops, bytes }
    });
    Ok(measured.collect())
}

/// What the submissions of a plan took, by launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// By the device's clock.
    pub device: Timestamps,
    /// By the wall clock.
    pub wall: Percentiles,
    /// Submissions timed.
    pub samples: usize,
    /// Launches in each.
    pub launches: usize,
}

/// Times a plan that holds `launches` equal launches. Nothing is verified: that is the caller's.
pub async fn series(
    gpu: &Gpu,
    plan: &Plan,
    launches: usize,
    settings: &Settings,
    clock: Clock<'_>,
) -> Result<Series, Error> {
    let mut series = series_in_turn(gpu, &[(plan, launches)], settings, clock).await?;
    Ok(series.remove(0))
}

/// How often one plan is submitted.
struct Pace {
    /// Replays in a submission.
    times: usize,
    /// Submissions.
    samples: usize,
}

/// Times plans in turn, a submission of each at a time; with each the number of equal launches that it holds. Every plan
/// has the settings' budget for itself.
pub async fn series_in_turn(
    gpu: &Gpu,
    plans: &[(&Plan, usize)],
    settings: &Settings,
    clock: Clock<'_>,
) -> Result<Vec<Series>, Error> {
    let mut paces = Vec::with_capacity(plans.len());
    for &(plan, launches) in plans {
        // The first submission compiles what is compiled late, the second says how long one takes. Where they take long,
        // one has to do.
        let mut once = gpu.sample(plan, 1, clock).await?.wall;
        if once < settings.budget {
            once = gpu.sample(plan, 1, clock).await?.wall;
        }
        let once = once.as_secs_f64().max(1e-6);
        let most = (Settings::LAUNCHES / launches.max(1)).max(1);
        let times = ((settings.submission.as_secs_f64() / once).ceil() as usize).clamp(1, most);
        let affordable = settings.budget.as_secs_f64() / (once * times as f64);
        let samples = (affordable as usize).clamp(Settings::LEAST, settings.samples.max(Settings::LEAST));
        paces.push(Pace { times, samples });
    }
    let mut taken: Vec<Vec<Sample>> = paces.iter().map(|pace| Vec::with_capacity(pace.samples)).collect();
    for turn in 0..paces.iter().map(|pace| pace.samples).max().unwrap_or_default() {
        for ((&(plan, _), pace), taken) in plans.iter().zip(&paces).zip(&mut taken) {
            if turn < pace.samples {
                taken.push(gpu.sample(plan, pace.times, clock).await?);
            }
        }
    }
    let series = |((&(_, launches), pace), taken): ((&(&Plan, usize), &Pace), Vec<Sample>)| {
        let launches = launches * pace.times;
        let per_launch = |nanoseconds: f64| nanoseconds / launches as f64;
        let wall = Percentiles::of(taken.iter().map(|sample| per_launch(1e9 * sample.wall.as_secs_f64())).collect());
        let device = match usable(&taken) {
            Ok((times, rejected)) => {
                Timestamps::Usable { time: Percentiles::of(times.into_iter().map(per_launch).collect()), rejected }
            }
            Err(reason) => Timestamps::Unusable(reason),
        };
        Series { device, wall, samples: pace.samples, launches }
    };
    Ok(plans.iter().zip(&paces).zip(taken).map(series).collect())
}

/// The device times of samples in nanoseconds, without those that cannot be, and how many these
/// are; or why the rest is too few to trust.
fn usable(samples: &[Sample]) -> Result<(Vec<f64>, usize), &'static str> {
    let mut times = Vec::with_capacity(samples.len());
    let mut reasons = Vec::new();
    let mut last = f64::NEG_INFINITY;
    for sample in samples {
        let Some([begin, end]) = sample.device else { continue };
        let wall = 1e9 * sample.wall.as_secs_f64();
        let took = end - begin;
        if begin == 0.0 || end == 0.0 {
            reasons.push("the device's clock gave zeros");
        } else if took == 0.0 {
            reasons.push("the device's clock stood still");
        } else if took < 0.0 || begin < last {
            reasons.push("the device's clock ran backwards");
        } else if took > 1.02 * wall + 1e3 {
            reasons.push("the device's clock ran further than the wall clock around it");
        } else {
            times.push(took);
        }
        last = last.max(end);
    }
    let rejected = samples.len() - times.len();
    // A clock that is wrong every other time is no better when it happens to look right.
    if times.len() > rejected {
        Ok((times, rejected))
    } else {
        // The first: a clock that ran ahead once seems to run backwards afterwards.
        Err(reasons.first().copied().unwrap_or("the device has no timestamps"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(wall: u64, begin: f64, end: f64) -> Sample {
        Sample { wall: Duration::from_nanos(wall), device: Some([begin, end]) }
    }

    #[test]
    fn percentiles_lie_between_neighbours() {
        let five = Percentiles::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((five.least, five.p20, five.p50, five.p80), (1.0, 1.8, 3.0, 4.2));
        assert_eq!(Percentiles::of(vec![7.0]), Percentiles { least: 7.0, p20: 7.0, p50: 7.0, p80: 7.0 });
        assert_eq!(Percentiles::of(vec![]), Percentiles::default());
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_not_believed() {
        let good = [sample(9_000, 100.0, 8_000.0), sample(9_000, 9_000.0, 17_000.0)];
        assert_eq!(usable(&good), Ok((vec![7_900.0, 8_000.0], 0)));
        for (bad, reason) in [
            (sample(9_000, 20_000.0, 20_000.0), "stood still"),
            (sample(9_000, 20_000.0, 19_000.0), "backwards"),
            (sample(9_000, 16_000.0, 18_000.0), "backwards"),
            (sample(9_000, 20_000.0, 40_000.0), "further"),
            (sample(9_000, 0.0, 8_000.0), "zeros"),
        ] {
            let one = [good[0], good[1], bad];
            assert_eq!(usable(&one), Ok((vec![7_900.0, 8_000.0], 1)), "{reason}");
            let two = [good[0], good[1], bad, bad];
            assert!(usable(&two).unwrap_err().contains(reason), "{reason}");
        }
        let none = Sample { wall: Duration::from_nanos(1), device: None };
        assert!(usable(&[none]).unwrap_err().contains("no timestamps"));
        assert!(usable(&[]).is_err());
    }
}
