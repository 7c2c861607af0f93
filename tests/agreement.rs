//! Running all rows of an operation over the same problem.

use kernels::check::{Data, Failure, Fault, Problem, check_problem};
use kernels::{Gpu, Row};
use reference::cases::Case;
use std::collections::BTreeMap;

/// How often each row has run, and where it disagreed with the reference.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// Launches by row.
    pub launches: BTreeMap<&'static str, usize>,
    /// What went wrong.
    pub failures: Vec<Failure>,
}

impl Outcomes {
    /// Runs every row of the case's operation that the device has and that accepts the case. Made-up
    /// arguments and reference are shared.
    ///
    /// # Panics
    ///
    /// Where the reference cannot compute the case, or a row was compared with nothing.
    pub fn check(&mut self, gpu: &Gpu, case: &Case, data: Data, seed: u64) {
        let problem = match Problem::new(&*case.op, data, seed) {
            Ok(problem) => problem,
            Err(error) => panic!("{:?}: {error}", case.op),
        };
        for row in rows(gpu, case.op.name()).filter(|row| row.accepts(&*case.op).is_ok()) {
            let fault = match pollster::block_on(check_problem(gpu, row, &*case.op, data, &problem)) {
                Ok(Ok(agreement)) => {
                    assert!(agreement.elements > 0, "{} was compared with nothing", row.id());
                    None
                }
                Ok(Err(fault)) => Some(fault),
                Err(error) => Some(Fault::Launch(error.to_string())),
            };
            *self.launches.entry(row.id()).or_default() += 1;
            let (op, case) = (format!("{:?}", case.op), case.name.clone());
            self.failures.extend(fault.map(|fault| Failure { row: row.id(), op, case, data, seed, fault }));
        }
    }
}

/// The rows of an operation that the device can run.
pub fn rows(gpu: &Gpu, op: &str) -> impl Iterator<Item = &'static dyn Row> {
    let rows = kernels::ops::all().iter().map(|row| &**row);
    rows.filter(move |row| row.op() == op && gpu.supports(*row).is_ok())
}

/// Prints the first failures of each row, with the command that repeats them.
///
/// # Panics
///
/// If there are any.
pub fn expect_none(failures: &[Failure], repeat: impl Fn(&Failure) -> String) {
    let mut shown: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for failure in failures {
        let of_row = shown.entry(failure.row).or_default();
        if of_row.len() < 3 {
            of_row.push(format!("{failure}\n  repeat: {}", repeat(failure)));
        }
    }
    let (count, rows) = (failures.len(), shown.len());
    let shown: Vec<String> = shown.into_values().flatten().collect();
    assert!(failures.is_empty(), "{count} failures of {rows} rows, the first of each:\n{}", shown.join("\n"));
}
