//! Every kernel row over every case of its operation it accepts, against the reference.

use kernels::check::{Data, check};
use parity::gpu;
use std::collections::BTreeMap;

#[test]
fn every_row_agrees_with_the_reference_on_every_case() {
    let gpu = gpu();
    let mut failures = Vec::new();
    let mut ran: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in reference::ops::ALL {
        let rows: Vec<_> = kernels::ops::all().iter().filter(|row| row.op() == entry.name).collect();
        if rows.is_empty() { failures.push(format!("{} has no kernels", entry.name)); }
        for (number, case) in (entry.cases)().iter().enumerate() {
            for row in &rows {
                if gpu.supports(&***row).is_err() || row.accepts(&*case.op).is_err() {
                    continue;
                }
                for data in [Data::Integers, Data::Reals] {
                    match pollster::block_on(check(gpu, &***row, case, data, number as u64)) {
                        Ok(agreement) => assert!(agreement.elements > 0, "{} compared nothing", row.id()),
                        Err(failure) => failures.push(failure.to_string()),
                    }
                    *ran.entry(row.id()).or_default() += 1;
                }
            }
        }
    }
    for row in kernels::ops::all().iter().filter(|row| gpu.supports(&***row).is_ok()) {
        if !ran.contains_key(row.id()) {
            failures.push(format!("{} accepted no case", row.id()));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
