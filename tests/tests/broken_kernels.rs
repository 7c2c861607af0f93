//! The harness is itself under test: it must reject every kernel of `tests/broken`, by the check
//! that is meant to find it, and accept the kernel without the bug on the same problem.

use kernels::check::{Data, Problem, check_problem};
use kernels::{Gpu, Options, Row, Shader};
use parity::altered::Altered;
use parity::gpu;
use parity::planted::Planted;
use parity::way::Way;
use reference::cases::Case;
use std::collections::BTreeSet;
use std::fmt::Write;

/// A device with runtime checks and one without.
struct Devices {
    checked: &'static Gpu,
    unchecked: Gpu,
}

impl Devices {
    fn open() -> Self {
        let options = Options { poison: true, checks: false, ..Options::default() };
        let unchecked = pollster::block_on(Gpu::open(&options)).unwrap_or_else(|error| panic!("{error}"));
        Self { checked: gpu(), unchecked }
    }

    /// Every way to launch, and last without runtime checks, with the name of what finds a bug that
    /// shows in no way before. A kernel with a wild write may do anything there, so not first.
    fn trials(&self) -> [(&Gpu, Way, Option<&'static str>); 4] {
        [
            (self.checked, Way::Plain, None),
            (self.checked, Way::Fold, Some("fold")),
            (self.checked, Way::Lanes, Some("lanes")),
            (&self.unchecked, Way::Plain, Some("unchecked")),
        ]
    }
}

/// Where and how a row was first rejected.
struct Rejection<'a> {
    caught_by: &'static str,
    gpu: &'a Gpu,
    way: Way,
    case: Case,
    data: Data,
    seed: u64,
    fault: String,
}

/// The check that finds something wrong with this launch, and what.
fn fault(gpu: &Gpu, row: &'static dyn Row, case: &Case, data: Data, seed: u64) -> Option<(&'static str, String)> {
    let problem = Problem::new(&*case.op, data, seed).expect("a case the reference can compute");
    match pollster::block_on(check_problem(gpu, row, &*case.op, data, &problem)) {
        Ok(Ok(agreement)) => {
            assert!(agreement.elements > 0, "{} compared nothing", row.id());
            None
        }
        Ok(Err(fault)) => Some((fault.caught_by(), fault.to_string())),
        Err(error) => Some(("launch", error.to_string())),
    }
}

/// Runs a row over the cases it accepts, the small ones first, up to the first it fails.
fn first_rejection<'a>(devices: &'a Devices, altered: &Altered) -> Option<Rejection<'a>> {
    let entry = reference::ops::ALL.iter().find(|entry| entry.name == altered.op()).expect("an operation");
    let mut cases: Vec<(u64, Case)> = (0..).zip((entry.cases)()).collect();
    cases.retain(|(_, case)| altered.accepts(&*case.op).is_ok());
    cases.sort_by_key(|(_, case)| case.op.flops(altered.direction()));
    for (gpu, way, name) in devices.trials() {
        let Some(row) = way.of(altered.clone()) else { continue };
        for (seed, case) in &cases {
            for data in Data::ALL {
                if let Some((check, fault)) = fault(gpu, row, case, data, *seed) {
                    let caught_by = name.unwrap_or(check);
                    return Some(Rejection { caught_by, gpu, way, case: case.clone(), data, seed: *seed, fault });
                }
            }
        }
    }
    None
}

#[test]
fn the_harness_rejects_every_planted_bug() {
    let planted = Planted::all().unwrap_or_else(|error| panic!("{error}"));
    let devices = Devices::open();
    let mut table = String::new();
    let mut failures = Vec::new();
    let mut rejected = 0;
    for bug in &planted {
        let name = &bug.name;
        if gpu().supports(bug.row).is_err() {
            let _ = writeln!(table, "{name:<64} not run: the device cannot");
            continue;
        }
        let Some(found) = first_rejection(&devices, &bug.altered()) else {
            failures.push(format!("{name} passes every check: {}", bug.what));
            continue;
        };
        rejected += 1;
        let Rejection { caught_by, gpu, way, case, data, seed, fault: text } = found;
        let _ = writeln!(table, "{name:<64} {caught_by:<9} {data:?} {}: {}", case.name, bug.what);
        if !bug.caught_by.iter().any(|check| check == caught_by) {
            failures.push(format!("{name} is caught by `{caught_by}`, not {:?}: {text}", bug.caught_by));
        }
        // Or the check would reject anything.
        let real = way.of(Altered::new(bug.row)).expect("a way that the broken kernel went");
        if let Some((_, text)) = fault(gpu, real, &case, data, seed) {
            failures.push(format!("{name}: the kernel without the bug fails too: {text}"));
        }
        // What the driver would clamp or drop must show where nothing does.
        if caught_by == "fence" && fault(&devices.unchecked, bug.altered().row(), &case, data, seed).is_none() {
            failures.push(format!("{name} passes without runtime checks"));
        }
    }
    println!("{table}{rejected} of {} planted bugs rejected", planted.len());
    assert!(rejected >= 36 || !failures.is_empty(), "the device runs only {rejected} of the broken kernels");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn there_are_many_small_bugs_in_every_operation() {
    let planted = Planted::all().unwrap_or_else(|error| panic!("{error}"));
    assert!(planted.len() >= 36, "only {} planted bugs", planted.len());
    let ops: BTreeSet<&str> = planted.iter().map(|bug| bug.row.op()).collect();
    for entry in reference::ops::ALL {
        assert!(ops.contains(entry.name), "no bug is planted in {}", entry.name);
    }
    for bug in &planted {
        // A kernel that is wrong all over is too easily rejected.
        assert!((1..=6).contains(&bug.lines), "{} changes {} lines", bug.name, bug.lines);
        // What naga refuses never reaches the harness.
        Shader::of(bug.altered().row()).unwrap_or_else(|error| panic!("{}: {error}", bug.name));
    }
    let checks: BTreeSet<&str> = planted.iter().flat_map(|bug| &bug.caught_by).map(String::as_str).collect();
    for check in ["exact", "fence", "fold", "input", "lanes", "nan", "tolerance", "unchecked", "unwritten"] {
        assert!(checks.contains(check), "no planted bug is for the check `{check}`");
    }
}
