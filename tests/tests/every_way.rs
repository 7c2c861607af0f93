//! Every kernel row on every kind of data, launched in every way: NaN and numbers far from zero,
//! a folded grid, shuffled lanes. Small cases only: sizes are the business of `kernel_rows`.

use kernels::check::{Data, Problem, check_problem};
use kernels::{Gpu, Row};
use parity::altered::Altered;
use parity::gpu;
use parity::way::{Way, has_barriers};
use reference::cases::Case;

/// Cases of a row, those that say most about folds and barriers among the small ones: as large as
/// `MOST` allows, the largest first.
const CASES: usize = 8;
const MOST: u64 = 100_000;

/// What is wrong with a row on a case, on any data and launched in any way.
fn faults<'a>(
    gpu: &'a Gpu,
    ways: &'a [(Way, &'static dyn Row)],
    seed: u64,
    case: &'a Case,
) -> impl Iterator<Item = String> + 'a {
    Data::ALL.into_iter().flat_map(move |data| {
        let problem = Problem::new(&*case.op, data, seed).expect("a case the reference can compute");
        let fault = move |&(way, row): &(Way, &'static dyn Row)| {
            let fault = match pollster::block_on(check_problem(gpu, row, &*case.op, data, &problem)) {
                Ok(Ok(agreement)) if agreement.elements > 0 => return None,
                Ok(Ok(_)) => "compared nothing".to_owned(),
                Ok(Err(fault)) => fault.to_string(),
                Err(error) => error.to_string(),
            };
            Some(format!("{} ({way:?}) on `{}` ({data:?}, seed {seed}): {fault}", row.id(), case.name))
        };
        ways.iter().filter_map(fault)
    })
}

#[test]
fn a_row_computes_the_same_whichever_way_it_is_launched() {
    let mut failures = Vec::new();
    for entry in reference::ops::ALL {
        let cases: Vec<(u64, Case)> = (0..).zip((entry.cases)()).collect();
        for row in kernels::ops::all().iter().filter(|row| row.op() == entry.name) {
            if gpu().supports(&**row).is_err() {
                continue;
            }
            let fits =
                |(_, case): &&(u64, Case)| row.accepts(&*case.op).is_ok() && case.op.flops(row.direction()) <= MOST;
            let mut mine: Vec<_> = cases.iter().filter(fits).collect();
            mine.sort_by_key(|(_, case)| std::cmp::Reverse(case.op.flops(row.direction())));
            mine.truncate(CASES);
            assert!(!mine.is_empty(), "{} accepts no small case", row.id());
            let launch = |way: Way| Some((way, way.of(Altered::new(&**row))?));
            let ways: Vec<_> = Way::ALL.into_iter().filter_map(launch).collect();
            failures.extend(mine.into_iter().flat_map(|(seed, case)| faults(gpu(), &ways, *seed, case)));
        }
    }
    // Folded and shuffled launches exist in this program only; cases and seeds are the same in every run of it.
    let repeat = "repeat: cargo test --release -p parity --test every_way";
    assert!(failures.is_empty(), "{} failures:\n{}\n{repeat}", failures.len(), failures.join("\n"));
}

/// A row with barriers must be one that can be shuffled, or a missing one may hide in a subgroup.
/// Those that count their lanes in two dimensions are let off: their rows are longer than a subgroup
/// and they read columns.
#[test]
fn the_lanes_of_every_row_with_barriers_can_be_shuffled() {
    for row in kernels::ops::all().iter().filter(|row| has_barriers(&***row)) {
        let text = row.source().text;
        let in_two_dimensions = text.contains("@workgroup_size(TILE, TILE)");
        let shuffles = Way::Lanes.of(Altered::new(&**row)).is_some();
        assert!(shuffles != in_two_dimensions, "{} has barriers that no test looks behind", row.id());
    }
}
