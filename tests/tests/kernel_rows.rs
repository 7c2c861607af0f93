//! Every kernel row over every case of its operation it accepts, against the reference: with the
//! shaders' runtime checks on and off, and in subgroups of 8 and of 32 lanes.

use kernels::check::Data;
use kernels::{Gpu, Options};
use parity::agreement::{Outcomes, expect_none, rows};
use parity::gpu;
use std::process::Command;

/// Tells a test that it runs to check this many lanes.
const LANES: &str = "SELVEDGE_LANES";

/// Where Mesa's software Vulkan finds the bits of a subgroup, 32 for each lane.
const VECTOR_WIDTH: &str = "LP_NATIVE_VECTOR_WIDTH";

/// The widths that software Vulkan is run at.
const WIDTHS: [u32; 2] = [8, 32];

/// `option` is what a command needs besides to repeat it.
fn every_row_agrees(gpu: &Gpu, option: &str) {
    let mut outcomes = Outcomes::default();
    for entry in reference::ops::ALL {
        for (case, seed) in (entry.cases)().iter().zip(0..) {
            for data in [Data::Integers, Data::Reals] {
                outcomes.check(gpu, case, data, seed);
            }
        }
        assert!(rows(gpu, entry.name).next().is_some(), "{} has no kernels", entry.name);
        for row in rows(gpu, entry.name) {
            assert!(outcomes.launches.contains_key(row.id()), "{} accepted no case", row.id());
        }
    }
    // What made this process what it is must be said to that of the command, too.
    let width = std::env::var(VECTOR_WIDTH).map(|width| format!("MESA_SHADER_CACHE_DISABLE=1 {VECTOR_WIDTH}={width} "));
    let width = width.unwrap_or_default();
    expect_none(&outcomes.failures, |failure| format!("{width}{}{option}", failure.repeat()));
}

#[test]
fn with_runtime_checks() {
    if let Ok(lanes) = std::env::var(LANES) {
        let here = gpu().info().subgroup_max_size.to_string();
        assert_eq!(lanes, here, "the adapter's subgroups are not as wide as asked for");
    }
    every_row_agrees(gpu(), "");
}

#[test]
fn without_runtime_checks() {
    let options = Options { poison: true, checks: false, ..Options::default() };
    let gpu = pollster::block_on(Gpu::open(&options)).unwrap_or_else(|error| panic!("{error}"));
    every_row_agrees(&gpu, " --no-checks");
}

/// Mesa's software Vulkan takes its width from the environment, once for a process: this one runs
/// `with_runtime_checks` again as another.
#[test]
fn at_other_subgroup_widths() {
    let info = gpu().info();
    if !info.name.contains("llvmpipe") {
        let (name, width) = (&info.name, info.subgroup_max_size);
        eprintln!("skipped: only llvmpipe can be told its subgroups' width; those of {name} have {width} lanes");
        return;
    }
    for lanes in WIDTHS.into_iter().filter(|&lanes| lanes != info.subgroup_max_size) {
        let program = std::env::current_exe().expect("this program");
        // Mesa's cache of compiled shaders does not know the width. It must not serve those of
        // another, so each has a cache of its own.
        let cache = format!("{}/mesa-{lanes}-lanes", env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(&cache).expect("a folder for compiled shaders");
        let output = Command::new(program)
            .args(["--exact", "with_runtime_checks"])
            .env(VECTOR_WIDTH, (32 * lanes).to_string())
            .env("MESA_SHADER_CACHE_DIR", cache)
            .env(LANES, lanes.to_string())
            .output()
            .expect("this program once more");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "in subgroups of {lanes} lanes:\n{text}");
    }
}

/// llvmpipe has whatever a row may need, so there no row may drop out of the tests unseen.
#[test]
fn what_does_not_run_here_is_said() {
    let refused: Vec<String> =
        kernels::ops::all().iter().filter_map(|row| Some(gpu().supports(&**row).err()?.to_string())).collect();
    for reason in &refused {
        println!("{reason}");
    }
    assert!(refused.is_empty() || !gpu().info().name.contains("llvmpipe"), "{refused:?}");
}
