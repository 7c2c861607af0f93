//! `trainer kernels check`: the harness of the test suite, for chosen rows.

use crate::cli::{DeviceArgs, KernelsCheckArgs};
use crate::kernel_filter::{self, Chosen};
use crate::kernels_list::reason;
use crate::progress::{CheckProgress, Display};
use crate::shader_files::{self, COMPILED_IN, Changed};
use crate::{console, device};
use kernels::check::{Agreement, Data, Failure, Fault, Problem, check_problem};
use kernels::{Error, Gpu, Options, Row};
use reference::cases::Case;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Some rows are not as they should be. What is wrong with them was printed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChecksFailed {
    /// They disagree with the reference, do not run, or accept no case.
    #[error("{failed} of {rows} kernel rows failed")]
    Rows {
        /// How many.
        failed: usize,
        /// Of how many.
        rows: usize,
    },
    /// No row ran on any case, which proves nothing.
    #[error("nothing was checked: none of the {rows} kernel rows runs here on the chosen cases")]
    Nothing {
        /// How many were chosen.
        rows: usize,
    },
}

/// Checks the chosen rows against the reference and prints a table.
pub async fn check(device: &DeviceArgs, args: &KernelsCheckArgs) -> anyhow::Result<()> {
    let rows = kernel_filter::rows(&args.filters)?;
    let chosen = kernel_filter::with_cases(&rows, args.case.as_deref())?;
    let mut harness = Harness { options: options(device, args), gpu: Gpu::open(&options(device, args)).await?, args };
    console::message(&format!("checking on {}", harness.gpu.info().name));
    let steps = chosen.iter().map(|chosen| chosen.cases.len()).sum::<usize>() * args.data().len();
    let progress = CheckProgress::new(Display::detect(false), steps as u64);
    let (any_case, changed) = (args.case.is_none(), shader_files::changed(&rows));
    let mut report = Report { outcomes: Vec::new(), failures: Vec::new(), any_case, changed };
    for chosen in &chosen {
        progress.begin(chosen.op, chosen.rows.len(), chosen.cases.len());
        harness.check(chosen, &mut report, &progress).await?;
    }
    drop(progress);
    console::print(&if args.json { report.json(&harness.gpu, args) } else { report.text(args) })?;
    Ok(report.verdict()?)
}

/// Fills whatever is allocated with NaN: scratch memory is covered by no sentinel.
fn options(device: &DeviceArgs, args: &KernelsCheckArgs) -> Options {
    Options { wish: device.wish(), checks: !args.no_checks, poison: true, ..Options::default() }
}

/// What the checks run on.
struct Harness<'a> {
    options: Options,
    gpu: Gpu,
    args: &'a KernelsCheckArgs,
}

impl Harness<'_> {
    /// Checks the rows of one operation. They share the arguments of a case and what the reference makes of them.
    async fn check(&mut self, chosen: &Chosen, report: &mut Report, progress: &CheckProgress) -> Result<(), Error> {
        let mut outcomes: Vec<Outcome> = chosen.rows.iter().map(|row| Outcome::new(*row, &self.gpu)).collect();
        for case in &chosen.cases {
            let mut accepting = Vec::new();
            for outcome in outcomes.iter_mut().filter(|outcome| outcome.unsupported.is_none()) {
                match outcome.row.accepts(&*case.op) {
                    Ok(()) => accepting.push(outcome),
                    Err(error) => *outcome.skipped.entry(reason(&error)).or_default() += 1,
                }
            }
            for outcome in &mut accepting {
                outcome.cases += 1;
            }
            for data in self.args.data() {
                let seed = self.args.seed;
                let problem = Problem::new(&*case.op, data, seed);
                for outcome in &mut accepting {
                    let checked = match &problem {
                        Ok(problem) => self.launch(outcome.row, case, data, problem).await?,
                        Err(error) => Err(Fault::Launch(error.to_string())),
                    };
                    outcome.launches += 1;
                    match checked {
                        Ok(agreement) => outcome.agreement = outcome.agreement.and(agreement),
                        Err(fault) => {
                            outcome.failed += 1;
                            let (row, op, case) = (outcome.row.id(), format!("{:?}", case.op), case.name.clone());
                            report.failures.push(Failure { row, op, case, data, seed, fault });
                        }
                    }
                }
                progress.advance();
            }
        }
        report.outcomes.extend(outcomes);
        Ok(())
    }

    /// One launch. An error of the row's is a fault of it; one after which nothing can go on ends the checks.
    async fn launch(
        &mut self,
        row: &'static dyn Row,
        case: &Case,
        data: Data,
        problem: &Problem,
    ) -> Result<Result<Agreement, Fault>, Error> {
        let error = match check_problem(&self.gpu, row, &*case.op, data, problem).await {
            Ok(checked) => return Ok(checked),
            Err(error) => error,
        };
        match error {
            Error::DeviceLost(_) | Error::Timeout(_) | Error::OutOfMemory { .. } => return Err(error),
            // A device repeats its first such error for ever, and the rows to come did nothing wrong.
            Error::Validation(_) => self.gpu = Gpu::open(&self.options).await?,
            _ => {}
        }
        Ok(Err(Fault::Launch(error.to_string())))
    }
}

/// What came of one row.
struct Outcome {
    row: &'static dyn Row,
    /// Why the device does not run it.
    unsupported: Option<String>,
    /// Cases run, each with every kind of data.
    cases: usize,
    /// Cases it does not accept, by reason.
    skipped: BTreeMap<String, usize>,
    /// All launches.
    launches: usize,
    /// Launches that disagreed.
    failed: usize,
    /// Of those that agreed.
    agreement: Agreement,
}

/// The outcome in a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Failed,
    /// It accepts none of the chosen cases.
    NoCase,
    /// The device does not run it.
    NotHere,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::NoCase => "no case",
            Self::NotHere => "not here",
        }
    }
}

impl Outcome {
    fn new(row: &'static dyn Row, gpu: &Gpu) -> Self {
        let unsupported = gpu.supports(row).err().map(|error| reason(&error));
        let agreement = Agreement::default();
        Self { row, unsupported, cases: 0, skipped: BTreeMap::new(), launches: 0, failed: 0, agreement }
    }

    fn verdict(&self) -> Verdict {
        match self {
            Self { failed: 1.., .. } => Verdict::Failed,
            Self { unsupported: Some(_), .. } => Verdict::NotHere,
            Self { cases: 0, .. } => Verdict::NoCase,
            // Agreement on nothing is none.
            Self { agreement: Agreement { elements: 0, .. }, .. } => Verdict::Failed,
            _ => Verdict::Ok,
        }
    }

    /// Each reason with the number of cases.
    fn skips(&self) -> String {
        let skips: Vec<String> = self.skipped.iter().map(|(reason, cases)| format!("{cases}: {reason}")).collect();
        self.unsupported.clone().unwrap_or_else(|| skips.join("; "))
    }
}

/// What came of all of them.
struct Report {
    outcomes: Vec<Outcome>,
    failures: Vec<Failure>,
    /// Whether all cases were to run, so that a row without one is a row without a test.
    any_case: bool,
    /// Files that somebody may believe were checked.
    changed: Vec<Changed>,
}

impl Report {
    fn verdict(&self) -> Result<(), ChecksFailed> {
        let count = |verdict| self.outcomes.iter().filter(|outcome| outcome.verdict() == verdict).count();
        let untested = if self.any_case { count(Verdict::NoCase) } else { 0 };
        match (count(Verdict::Ok), count(Verdict::Failed) + untested, self.outcomes.len()) {
            (_, failed @ 1.., rows) => Err(ChecksFailed::Rows { failed, rows }),
            (0, 0, rows) => Err(ChecksFailed::Nothing { rows }),
            _ => Ok(()),
        }
    }

    fn text(&self, args: &KernelsCheckArgs) -> String {
        let width = self.outcomes.iter().map(|outcome| outcome.row.id().len()).max().unwrap_or_default();
        let mut text = format!(
            "{:<width$}  {:>5}  {:>8}  {:>8}  {:>6}  {:>8}  {:<14}  cases skipped, and why\n",
            "row", "cases", "worst", "relative", "ulps", "of bound", "verdict"
        );
        for outcome in &self.outcomes {
            let Outcome { row, cases, launches, failed, agreement, .. } = outcome;
            let verdict = outcome.verdict();
            // What agreed says nothing about how wrong the rest is; that stands below.
            let [worst, relative, ulps, of_bound] = match verdict {
                Verdict::Ok => [
                    short(agreement.worst),
                    short(agreement.relative),
                    format!("{:.1}", agreement.ulps),
                    format!("{:.2}", agreement.of_bound),
                ],
                _ => ["-"; 4].map(str::to_owned),
            };
            let verdict = match verdict {
                Verdict::Failed => format!("{} {failed}/{launches}", verdict.name()),
                _ => verdict.name().to_owned(),
            };
            let line = format!(
                "{:<width$}  {cases:>5}  {worst:>8}  {relative:>8}  {ulps:>6}  {of_bound:>8}  {verdict:<14}  {}",
                row.id(),
                outcome.skips()
            );
            text += line.trim_end();
            text.push('\n');
        }
        for failure in &self.failures {
            text += &format!("\n{failure}\n  repeat: {}\n", repeat(failure, args));
        }
        text += &format!("\nshaders: {COMPILED_IN}\n");
        for changed in &self.changed {
            text += &format!("NOT CHECKED: {}\n", changed.advice());
        }
        text
    }

    fn json(&self, gpu: &Gpu, args: &KernelsCheckArgs) -> String {
        let row = |outcome: &Outcome| -> Value {
            json!({
                "row": outcome.row.id(),
                "cases": outcome.cases,
                "launches": outcome.launches,
                "failed": outcome.failed,
                "skipped": outcome.skipped,
                "unsupported": outcome.unsupported,
                "elements": outcome.agreement.elements,
                "worst": outcome.agreement.worst,
                "relative": outcome.agreement.relative,
                "ulps": outcome.agreement.ulps,
                "of_bound": outcome.agreement.of_bound,
                "verdict": outcome.verdict().name(),
            })
        };
        let failure = |failure: &Failure| -> Value {
            json!({
                "row": failure.row,
                "case": failure.case,
                "operation": failure.op,
                "data": failure.data.name(),
                "seed": failure.seed,
                "fault": failure.fault.to_string(),
                "repeat": repeat(failure, args),
            })
        };
        let changed =
            |changed: &Changed| json!({ "file": changed.file, "row": changed.row, "advice": changed.advice() });
        let report = json!({
            "adapter": device::describe_adapter(gpu.info()),
            "seed": args.seed,
            "data": args.data().into_iter().map(Data::name).collect::<Vec<_>>(),
            "checks": !args.no_checks,
            "shaders": COMPILED_IN,
            "changed_files": self.changed.iter().map(changed).collect::<Vec<_>>(),
            "rows": self.outcomes.iter().map(row).collect::<Vec<_>>(),
            "failures": self.failures.iter().map(failure).collect::<Vec<_>>(),
        });
        format!("{report:#}\n")
    }
}

/// The command that runs a failed launch again.
fn repeat(failure: &Failure, args: &KernelsCheckArgs) -> String {
    failure.repeat() + if args.no_checks { " --no-checks" } else { "" }
}

/// A distance in few characters.
fn short(distance: f64) -> String {
    if distance == 0.0 { "0".to_owned() } else { format!("{distance:.1e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command, KernelsCommand};

    fn args(line: &str) -> KernelsCheckArgs {
        match Cli::read(line.split_whitespace().map(Into::into)).unwrap().command() {
            Command::Kernels(KernelsCommand::Check(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    fn outcome(cases: usize, elements: usize) -> Outcome {
        let agreement = Agreement { elements, worst: 0.5, relative: 1e-7, ulps: 1.25, of_bound: 0.125 };
        let skipped = BTreeMap::from([("its windows overlap".to_owned(), 3)]);
        Outcome {
            row: &*kernels::ops::all()[0],
            unsupported: None,
            cases,
            skipped,
            launches: 4 * cases,
            failed: 0,
            agreement,
        }
    }

    fn report(outcomes: Vec<Outcome>) -> Report {
        Report { outcomes, failures: Vec::new(), any_case: true, changed: Vec::new() }
    }

    #[test]
    fn whatever_was_not_compared_is_no_success() {
        let not_here = || Outcome { unsupported: Some("no subgroups".to_owned()), ..outcome(0, 0) };
        assert_eq!(report(vec![outcome(2, 9), not_here()]).verdict(), Ok(()));
        let disagrees = Outcome { failed: 1, ..outcome(2, 9) };
        assert_eq!(report(vec![outcome(2, 9), disagrees]).verdict(), Err(ChecksFailed::Rows { failed: 1, rows: 2 }));
        assert_eq!(report(vec![outcome(2, 0)]).verdict(), Err(ChecksFailed::Rows { failed: 1, rows: 1 }));
        assert_eq!(report(vec![not_here()]).verdict(), Err(ChecksFailed::Nothing { rows: 1 }));

        // A row that accepts no case has no test, unless only one case was asked for.
        let no_case = || vec![outcome(2, 9), outcome(0, 0)];
        assert_eq!(report(no_case()).verdict(), Err(ChecksFailed::Rows { failed: 1, rows: 2 }));
        assert_eq!(Report { any_case: false, ..report(no_case()) }.verdict(), Ok(()));
    }

    #[test]
    fn failures_stand_in_full_below_the_table() {
        let args = args("trainer kernels check --seed 4 --no-checks");
        let mut report = report(vec![Outcome { failed: 1, ..outcome(2, 9) }]);
        let row = report.outcomes[0].row.id();
        let fault = Fault::Fence { arg: "y", at: -1 };
        let case = "3x5".to_owned();
        report.failures.push(Failure { row, op: "Op".to_owned(), case, data: Data::Reals, seed: 4, fault });
        report.outcomes.push(outcome(5, 9));
        let text = report.text(&args);
        let lines: Vec<&str> = text.lines().collect();
        let columns = |line: &str| line.split_whitespace().take(8).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(columns(lines[1]), [row, "2", "-", "-", "-", "-", "FAILED", "1/8"], "{text}");
        assert!(lines[1].ends_with("  3: its windows overlap"), "{text}");
        assert_eq!(columns(lines[2]), [row, "5", "5.0e-1", "1.0e-7", "1.2", "0.12", "ok", "3:"], "{text}");
        assert!(lines[4].contains("wrote outside of `y`, at word -1"), "{text}");
        let command = format!("kernels check {row} --case 3x5 --data reals --seed 4 --no-checks");
        assert!(lines[5].ends_with(&command), "{text}");
        assert!(text.ends_with("\n\nshaders: compiled into this program\n"), "{text}");
        report.changed.push(Changed { file: "shaders/mine.wgsl".to_owned(), row });
        let last = report.text(&args).lines().last().unwrap_or_default().to_owned();
        assert!(last.starts_with("NOT CHECKED: shaders/mine.wgsl ") && last.contains(&format!("watch {row} --once")));
    }
}
