//! Rows that declare the same order of summation give the same bits.

use kernels::check::{Data, Problem};
use kernels::{Gpu, Row};
use parity::gpu;
use reference::cases::Case;
use reference::ops::Conv2d;
use reference::{Access, Direction, Operation, Window};
use std::collections::BTreeMap;

/// Everything that a row writes.
fn bits(gpu: &Gpu, row: &'static dyn Row, op: &dyn Operation, problem: &Problem) -> Vec<Vec<u32>> {
    let direction = row.direction();
    let args = problem.upload(gpu, op, row).expect("arguments");
    gpu.launch(row, op, &args.iter().collect::<Vec<_>>()).expect("a launch");
    let written = op.signature(direction).into_iter().zip(&args).filter(|(arg, _)| arg.access != Access::Read);
    written.map(|(_, tensor)| pollster::block_on(gpu.read_words(tensor)).expect("words")).collect()
}

/// The rows of a direction in the order of their table, each with the rows before it whose bits it shares on
/// every case that both accept.
type Twins = Vec<(&'static dyn Row, Vec<&'static dyn Row>)>;

/// Pairs that declare the same order and differ, with the first case that shows it.
type Wrong = BTreeMap<(&'static str, &'static str), String>;

fn twins(gpu: &Gpu, name: &str, direction: Direction, wrong: &mut Wrong) -> Twins {
    let rows: Vec<&'static dyn Row> = kernels::ops::all()
        .iter()
        .map(|row| &**row)
        .filter(|row| row.op() == name && row.direction() == direction && gpu.supports(*row).is_ok())
        .collect();
    // Pairs of which both ran on some case, and whether they agreed on all of those.
    let mut same: BTreeMap<(usize, usize), bool> = BTreeMap::new();
    let entry = reference::ops::ALL.iter().find(|entry| entry.name == name).expect("an operation");
    // Sums long enough to be split, over sizes that vectors divide: what few cases are.
    let long = Conv2d::new([17, 8, 15, 14], 12, Window::new(3).pad(1), Window::new(3).pad(1)).expect("an operation");
    let long = (name == "conv2d").then(|| Case::new("long-sums", long));
    for case in (entry.cases)().into_iter().chain(long) {
        let problem = Problem::new(&*case.op, Data::Reals, 3).expect("a problem");
        let outputs: Vec<_> = rows
            .iter()
            .map(|row| row.accepts(&*case.op).is_ok().then(|| bits(gpu, *row, &*case.op, &problem)))
            .collect();
        for (b, second) in outputs.iter().enumerate() {
            for (a, first) in outputs.iter().enumerate().take(b) {
                if let (Some(first), Some(second)) = (first, second) {
                    let agree = first == second;
                    *same.entry((a, b)).or_insert(true) &= agree;
                    let alike = rows[a].storage() == rows[b].storage();
                    if !agree && alike && rows[a].order().agrees(rows[b].order()) {
                        let ids = (rows[a].id(), rows[b].id());
                        wrong.entry(ids).or_insert_with(|| case.name.clone());
                    }
                }
            }
        }
    }
    let twins = |b: usize| (0..b).filter(|&a| same.get(&(a, b)) == Some(&true)).map(|a| rows[a]).collect();
    (0..rows.len()).map(|b| (rows[b], twins(b))).collect()
}

/// Also lists the rows that agree without having declared it: for those who look for more that may stand in for
/// one another. Cases that happen to agree prove nothing, so that is no failure.
#[test]
fn the_same_order_gives_the_same_bits() {
    let gpu = gpu();
    let (mut declared, mut wrong) = (0, Wrong::new());
    for entry in reference::ops::ALL {
        let Some(case) = (entry.cases)().into_iter().next() else { continue };
        for &direction in case.op.directions() {
            for (row, twins) in twins(gpu, entry.name, direction, &mut wrong) {
                for twin in twins {
                    match row.order().agrees(twin.order()) {
                        true => declared += 1,
                        false => eprintln!("{} agrees with {} undeclared", row.id(), twin.id()),
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "rows that declare the same order of summation differ: {wrong:#?}");
    assert!(declared > 10, "only {declared} pairs declare the same order");
}
