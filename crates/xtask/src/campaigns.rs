//! `cargo xtask faults`: the long campaigns of fault injection, and the table of what came of them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::driver::{self, Adapter};
use crate::failure::Failure;
use crate::step::{self, say};

/// The page with the table.
const PAGE: &str = "docs/RELIABILITY.md";

/// The test that compares page and campaigns. It has its turn when the page is written.
const PAGE_TEST: &str = "the_page_on_reliability_lists_every_campaign";

/// Runs every campaign. The full counts go into the page, a sample's are printed.
pub fn run(quick: bool) -> Result<(), Failure> {
    if let Adapter::Absent { advice } = driver::ensure()? {
        return Err(Failure::NoAdapter { advice });
    }
    let ledger = env::temp_dir().join(format!("selvedge-faults-{}", std::process::id()));
    let outcome = campaigns(&ledger, quick).and_then(|()| table(&ledger, quick));
    // Already read on success; a leftover is only in the way.
    let _ = fs::remove_dir_all(&ledger);
    outcome
}

/// Runs the tests that record in the ledger.
fn campaigns(ledger: &Path, quick: bool) -> Result<(), Failure> {
    let mut command = step::cargo(["test", "--workspace", "--release", "--no-fail-fast"]);
    for target in faults::TEST_TARGETS {
        command.args(["--test", target]);
    }
    // One after the other: campaigns measure memory and kill processes at chosen moments.
    command.args(["--", "--nocapture", "--test-threads=1", "--skip", PAGE_TEST]);
    command.env(faults::LEDGER_VARIABLE, ledger);
    command.env(faults::SCALE_VARIABLE, if quick { "sample" } else { "full" });
    step::run("Campaigns", &mut command)
}

fn table(ledger: &Path, quick: bool) -> Result<(), Failure> {
    step::heading("Table");
    let failed = |error: &dyn std::fmt::Display| {
        say(&format!("error: {error}"));
        Failure::Told { code: 1 }
    };
    let table = faults::table(ledger).map_err(|error| failed(&error))?;
    say(&table);
    if quick {
        return Ok(());
    }
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE);
    let page = fs::read_to_string(&path).map_err(|error| failed(&error))?;
    let page = faults::replace(&page, &table).map_err(|error| failed(&error))?;
    fs::write(&path, page).map_err(|error| failed(&error))?;
    say(&format!("    written to {PAGE}"));
    Ok(())
}
