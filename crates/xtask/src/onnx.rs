//! `cargo xtask onnx`: the ONNX node tests, an oracle from outside.
//!
//! Their data comes with the Python package `onnx`. It is large, not ours, and needs the network once, so it is fetched into the
//! cache folder on request and never committed. Python fetches, verifies and unpacks it: a wheel is a zip file, and pip is there
//! where wheels are.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::driver::{self, Adapter};
use crate::failure::Failure;
use crate::step;

/// The package, its wheel, and the wheel's sha256 as pip checks it. The data is the same in every wheel of a release, so one is as
/// good as another on any machine, and one hash is enough.
const REQUIREMENT: &str =
    "onnx==1.22.0 --hash=sha256:1d0a2bdb15eb2b3cb65c438f3423d9620d14fdce32f92380e6bb1b2e09568ef5\n";
const WHEEL: &[&str] =
    &["--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"];

/// The tests, inside of the wheel.
const NODE_TESTS: &str = "onnx/backend/test/data/node";

/// The tests, below our cache folder.
const CACHED: &str = "onnx-1.22.0";

/// Names the folder of the tests to the test program; a user who sets it needs no download.
const VARIABLE: &str = "SELVEDGE_ONNX_DIR";

/// Fetches the tests if they are not there, then runs them on the reference and on the GPU.
pub fn run() -> Result<(), Failure> {
    let folder = match env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        Some(folder) => folder.into(),
        None => cached()?,
    };
    if let Adapter::Absent { advice } = driver::ensure()? {
        return Err(Failure::NoAdapter { advice });
    }
    let mut command = step::cargo(["test", "--release", "--package", "parity", "--test", "onnx", "--", "--nocapture"]);
    step::run_last("ONNX node tests", command.env(VARIABLE, folder))
}

/// The tests in the cache folder, fetched if need be.
fn cached() -> Result<PathBuf, Failure> {
    let cache = cache_folder(|name| env::var_os(name)).ok_or_else(|| {
        missing(format!("there is no cache folder, as neither XDG_CACHE_HOME nor HOME is set; set one, or {VARIABLE}"))
    })?;
    let folder = cache.join(CACHED);
    if folder.is_dir() {
        return Ok(folder);
    }
    step::heading("Fetching the ONNX node tests (19 MB)");
    let python = python()?;
    // Beside its final place, so that it can be renamed: whoever finds the folder finds it whole.
    let part = cache.join(format!("{CACHED}.{}.part", std::process::id()));
    let outcome = fetch(&python, &part, &folder);
    // Already moved on success; a leftover is only in the way.
    let _ = fs::remove_dir_all(&part);
    outcome.map(|()| folder)
}

/// Downloads, verifies and unpacks into `part`, then moves the tests to `folder`.
fn fetch(python: &str, part: &Path, folder: &Path) -> Result<(), Failure> {
    let files = |source: io::Error| missing(format!("{}: {source}", part.display()));
    fs::create_dir_all(part).map_err(files)?;
    let requirements = part.join("requirements.txt");
    fs::write(&requirements, REQUIREMENT).map_err(files)?;

    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
    pip.args(WHEEL)
        .args(["--require-hashes", "--retries", "2", "--dest"])
        .arg(part)
        .arg("--requirement")
        .arg(requirements);
    if step::status(quiet(&mut pip))? != 0 {
        return Err(missing(format!(
            "pip could not download onnx 1.22.0 with the expected sha256; its message is above. This needs the network once. \
             Where the package is installed, {VARIABLE}=<site-packages>/{NODE_TESTS} does without"
        )));
    }
    let unpacked = part.join("unpacked");
    let wheel = wheel(part).ok_or_else(|| missing(format!("pip left no wheel in {}", part.display())))?;
    let mut unzip = Command::new(python);
    unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked);
    if step::status(quiet(&mut unzip))? != 0 {
        return Err(missing(format!("{} could not be unpacked", wheel.display())));
    }
    match fs::rename(unpacked.join(NODE_TESTS), folder) {
        // Another run of this command was faster.
        Err(_) if folder.is_dir() => Ok(()),
        outcome => outcome.map_err(files),
    }
}

/// The first Python that has pip.
fn python() -> Result<String, Failure> {
    let candidates = ["python3", "python"];
    let mut found =
        candidates.into_iter().filter(|python| step::succeeds(Command::new(python).arg("--version"))).peekable();
    if found.peek().is_none() {
        return Err(missing(
            "Python 3 is needed to fetch the ONNX node tests and was not found; install it with pip".into(),
        ));
    }
    match found.find(|python| step::succeeds(Command::new(python).args(["-m", "pip", "--version"]))) {
        Some(python) => Ok(python.to_owned()),
        None => Err(missing(
            "Python is here without pip, which fetches the ONNX node tests; install it (on Debian and Ubuntu: python3-pip)".into(),
        )),
    }
}

/// What a helper prints is no result.
fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(io::stderr())
}

/// The one wheel in a folder.
fn wheel(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "whl"))
}

/// Our cache folder, where the data set lies too. An XDG_CACHE_HOME that is not absolute counts as not set.
fn cache_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else {
        absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))
    };
    Some(base?.join("selvedge"))
}

fn missing(advice: String) -> Failure {
    Failure::NoData { advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn folder(variables: &[(&str, &str)]) -> Option<PathBuf> {
        cache_folder(|name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.into()))
    }

    #[cfg(unix)]
    #[test]
    fn the_cache_folder_is_that_of_the_data_set() {
        let home = ("HOME", "/home/me");
        assert_eq!(folder(&[("XDG_CACHE_HOME", "/cache"), home]), Some("/cache/selvedge".into()));
        for ignored in ["", "relative"] {
            assert_eq!(folder(&[("XDG_CACHE_HOME", ignored), home]), Some("/home/me/.cache/selvedge".into()));
        }
        assert_eq!(folder(&[]), None);
    }

    #[test]
    fn a_failed_fetch_leaves_nothing_that_looks_whole() {
        let base = env::temp_dir().join(format!("selvedge-onnx-test-{}", std::process::id()));
        let (part, whole) = (base.join("part"), base.join("whole"));
        let failure = fetch("no-such-python-anywhere", &part, &whole).expect_err("nothing to run");
        assert!(failure.to_string().contains("no-such-python-anywhere"), "{failure}");
        assert!(!whole.exists());
        fs::remove_dir_all(base).expect("was made");
    }
}
