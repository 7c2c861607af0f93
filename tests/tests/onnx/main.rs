//! The ONNX node tests: an oracle that nobody here wrote.
//!
//! The tests come with the Python package `onnx`. They are fetched by `cargo xtask onnx`, into the
//! cache folder and never into this repository, and are therefore opt-in: a machine that has not
//! fetched them only tests the reader of their files. `SELVEDGE_ONNX_DIR` names another folder, for
//! instance `onnx/backend/test/data/node` of an installed package.
//!
//! Each test is one node with its inputs and outputs. Every node that fits one of our operations runs
//! on the reference and on the GPU, there on every row that can compute it, and must come as close to
//! the expected outputs as ONNX asks of its own runtimes.

#[path = "../by_name/mod.rs"]
mod by_name;
mod machine;
mod model;
mod operators;
mod protobuf;
mod suite;

use machine::Machine;
use model::Tensor;
use operators::{FITTING, FURTHER, Operator, Problem};
use reference::tolerance::Tolerance;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use suite::Case;

/// The suite's own, for every node.
const TOLERANCE: Tolerance = Tolerance { atol: 1e-7, rtol: 1e-3 };

/// Single-node tests in onnx 1.22.0 whose operator is among [`FITTING`].
const FIT: usize = 152;

/// How many of them must pass.
const MIN_PASSED: usize = 140;

/// What became of a case.
enum Verdict {
    /// On how many choices of rows, and how it had to be adapted.
    Passed {
        choices: usize,
        notes: Vec<&'static str>,
    },
    Skipped(&'static str),
    Failed(String),
}

#[test]
fn our_operations_pass_the_node_tests_of_onnx() {
    let Some(folder) = suite::folder() else {
        // Not through the captured stream: who sees `ok` must see this too.
        let _ = writeln!(
            std::io::stderr(),
            "The ONNX node tests are not on this machine and did not run; `cargo xtask onnx` fetches and runs them."
        );
        return;
    };
    let operators: Vec<&Operator> = FITTING.iter().chain(FURTHER).collect();
    let names: Vec<_> = operators.iter().map(|operator| operator.name).collect();
    let cases = suite::load(&folder, &names).unwrap_or_else(|error| panic!("{error}"));

    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    let mut verdicts = Vec::new();
    for case in &cases {
        let operator = operators.iter().find(|operator| operator.name == case.node.operator);
        let operator = operator.expect("only these were loaded");
        verdicts.push((*operator, case, judge(operator, case, &mut rows)));
    }
    println!("{}", report(&verdicts, &rows));

    let fitting = |operator: &Operator| FITTING.iter().any(|fitting| fitting.name == operator.name);
    let fit = verdicts.iter().filter(|(operator, ..)| fitting(operator));
    let passed = fit.clone().filter(|(.., verdict)| matches!(verdict, Verdict::Passed { .. })).count();
    let failures: Vec<_> = verdicts
        .iter()
        .filter_map(|(_, case, verdict)| match verdict {
            Verdict::Failed(why) => Some(format!("{}: {why}", case.name)),
            _ => None,
        })
        .collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(fit.count(), FIT, "{} does not hold the node tests of onnx 1.22.0", folder.display());
    assert!(passed >= MIN_PASSED, "only {passed} of {FIT} passed");
    let _ = writeln!(std::io::stderr(), "ONNX node tests: {passed} of the {FIT} that fit passed, none failed.");
}

/// Runs a case on the reference, then on the GPU with the first row of every direction, the second,
/// and so on until each has had its turn.
fn judge(operator: &Operator, case: &Case, rows: &mut BTreeMap<&'static str, usize>) -> Verdict {
    let mut machine = Machine::reference();
    if let Err(verdict) = attempt(operator, case, &mut machine, "reference") {
        return verdict;
    }
    let notes = machine.notes.into_iter().collect();
    let mut choices = 0;
    loop {
        let mut machine = Machine::gpu(parity::gpu(), choices);
        let outcome = attempt(operator, case, &mut machine, "GPU");
        for row in &machine.rows {
            *rows.entry(row).or_default() += 1;
        }
        if let Err(verdict) = outcome {
            return verdict;
        }
        choices += 1;
        if choices >= machine.widest {
            return Verdict::Passed { choices, notes };
        }
    }
}

fn attempt(operator: &Operator, case: &Case, machine: &mut Machine, on: &str) -> Result<(), Verdict> {
    let failed = |machine: &Machine, why: String| {
        let rows: Vec<_> = machine.rows.iter().copied().collect();
        Verdict::Failed(format!("on the {on} {rows:?}: {why}"))
    };
    let outputs = match (operator.run)(case, machine) {
        Ok(outputs) => outputs,
        Err(Problem::Skip(reason)) => return Err(Verdict::Skipped(reason)),
        Err(Problem::Failure(why)) => return Err(failed(machine, why)),
    };
    if outputs.len() != case.outputs.len() {
        return Err(failed(machine, format!("{} outputs, expected {}", outputs.len(), case.outputs.len())));
    }
    for (got, (name, expected)) in outputs.iter().zip(&case.outputs) {
        compare(got, expected).map_err(|why| failed(machine, format!("`{name}`: {why}")))?;
    }
    Ok(())
}

/// Shape, kind, then every element. Integers and truth values must be equal.
fn compare(got: &Tensor, expected: &Tensor) -> Result<(), String> {
    if (&got.dims, got.whole) != (&expected.dims, expected.whole) || got.values.len() != expected.values.len() {
        let kind = |tensor: &Tensor| if tensor.whole { "integers" } else { "reals" };
        return Err(format!("{} {:?}, expected {} {:?}", kind(got), got.dims, kind(expected), expected.dims));
    }
    let tolerance = if expected.whole { Tolerance::EXACT } else { TOLERANCE };
    let pairs = || got.values.iter().zip(&expected.values);
    let accepts = |(got, expected): (&f64, &f64)| tolerance.accepts(*got, *expected);
    let Some(at) = pairs().position(|pair| !accepts(pair)) else { return Ok(()) };
    let wrong = pairs().filter(|pair| !accepts(*pair)).count();
    let (elements, got, expected) = (got.values.len(), got.values[at], expected.values[at]);
    Err(format!("{got} at {at}, expected {expected}; {wrong} of {elements} elements are wrong"))
}

fn report(verdicts: &[(&Operator, &Case, Verdict)], rows: &BTreeMap<&str, usize>) -> String {
    let mut text = String::from("\nBy operator:\n");
    table_line(&mut text, "operator", "ours", ["cases", "passed", "skipped", "failed"]);
    for (title, operators) in [("all that fit", FITTING), ("further, in part", FURTHER)] {
        let mut total = [0; 4];
        for operator in operators {
            let mut counts = [0; 4];
            for (_, _, verdict) in verdicts.iter().filter(|(of, ..)| of.name == operator.name) {
                let column = match verdict {
                    Verdict::Passed { .. } => 1,
                    Verdict::Skipped(_) => 2,
                    Verdict::Failed(_) => 3,
                };
                counts[0] += 1;
                counts[column] += 1;
            }
            table_line(&mut text, operator.name, operator.ours, counts);
            total.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        }
        table_line(&mut text, title, "", total);
        text.push('\n');
    }
    let _ = writeln!(text, "By kernel row, with the number of cases it ran in:");
    for (row, cases) in rows {
        let _ = writeln!(text, "  {row:<44} {cases:>4}");
    }
    let _ = writeln!(text, "\nBy case, with what was adapted:");
    for (_, case, verdict) in verdicts {
        let _ = match verdict {
            Verdict::Passed { choices, notes } => {
                let times = if *choices == 1 { "row" } else { "rows" };
                writeln!(text, "  passed  {} (reference, GPU with {choices} {times}) {}", case.name, notes.join("; "))
            }
            Verdict::Skipped(reason) => writeln!(text, "  skipped {}: {reason}", case.name),
            Verdict::Failed(why) => writeln!(text, "  FAILED  {}: {why}", case.name),
        };
    }
    text
}

fn table_line<T: std::fmt::Display>(text: &mut String, operator: &str, ours: &str, counts: [T; 4]) {
    let [cases, passed, skipped, failed] = counts;
    let _ = writeln!(text, "  {operator:<26} {ours:<22} {cases:>6} {passed:>7} {skipped:>8} {failed:>7}");
}

/// A comparison that accepts anything would make all of the above pass.
#[test]
fn wrong_outputs_are_refused() {
    let expected = Tensor::real([2, 2], vec![1.0, -2.0, 0.0, 5.0]);
    let spoil = |at: usize, value: f64| {
        let mut got = expected.clone();
        got.values[at] = value;
        compare(&got, &expected)
    };
    assert_eq!(compare(&expected, &expected), Ok(()));
    assert_eq!(spoil(3, 5.004), Ok(()));
    for (at, value) in [(3, 5.006), (1, 2.0), (2, 2e-7), (0, f64::NAN), (0, f64::INFINITY)] {
        let refused = spoil(at, value).expect_err("wrong");
        assert!(refused.contains(&format!(" at {at}, ")) && refused.contains("1 of 4"), "{refused}");
    }
    let other = |dims: &[usize], whole| Tensor { dims: dims.to_vec(), values: expected.values.clone(), whole };
    assert!(compare(&other(&[4], false), &expected).is_err());
    assert!(compare(&other(&[2, 2], true), &expected).is_err());
    let counts = Tensor { dims: vec![1], values: vec![1000.0], whole: true };
    assert!(compare(&Tensor { values: vec![1001.0], ..counts.clone() }, &counts).is_err(), "within 1e-3, yet another");
}
