//! The commands for people who write kernels: `kernels show`, `check` and `watch`, `doctor`, `completions`. Most of it needs a GPU
//! adapter, and fails without one.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use std::{fs, thread};

/// An environment in which no driver is found.
const NO_ADAPTER: &[(&str, &str)] =
    &[("VK_DRIVER_FILES", "/nonexistent"), ("VK_ICD_FILENAMES", "/nonexistent"), ("WGPU_BACKEND", "vulkan")];

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The program with these words, in an empty folder.
fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command
        .args(line.split_whitespace())
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder)
        .env_remove("FASHION_MNIST_DIR");
    command
}

#[track_caller]
fn run(line: &str, environment: &[(&str, &str)], code: i32) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } =
        command(folder.path(), line).envs(environment.iter().copied()).output().unwrap();
    let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(status.code(), Some(code), "trainer {line}\n{stdout}{stderr}");
    assert!(!stderr.contains("panicked"), "trainer {line}\n{stderr}");
    assert!(!stdout.contains('\x1b') && !stderr.contains('\x1b'), "trainer {line} colours what is no terminal");
    (stdout, stderr)
}

#[track_caller]
fn json(line: &str, environment: &[(&str, &str)]) -> Value {
    serde_json::from_str(&run(line, environment, 0).0).unwrap()
}

#[test]
fn a_kernel_is_shown_without_a_device() {
    let shown = json("kernels show relu.fwd.vec4 --case plain-260 --static-only --json", NO_ADAPTER);
    // 65 vec4s to workgroups of 64.
    let stage = &shown["stages"][0];
    assert_eq!((&stage["workgroups"], &stage["workgroup_size"]), (&[2, 1, 1].into(), &[64, 1, 1].into()), "{shown}");
    assert_eq!((&shown["flops"], &shown["bytes"], &shown["intensity"]), (&260.into(), &2080.into(), &0.125.into()));
    assert_eq!(shown["params"][0], serde_json::json!({ "name": "len", "value": 260 }));
    let bindings: Vec<String> = stage["bindings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| format!("{} {} {}", b["name"], b["access"], b["type"]).replace('"', ""))
        .collect();
    assert_eq!(bindings, ["params uniform Params", "x read array<vec4<f32>>", "y read_write array<vec4<f32>>"]);
    assert!(shown["source"].as_str().unwrap().contains("fn group_index("), "the shared module is missing");
    assert_eq!(shown["roofline"], Value::Null);

    let (text, _) = run("kernels show dense.fwd.tiled --static-only", NO_ADAPTER, 0);
    for part in ["overrides: BM ", " x 1 x 1: ", " bytes of workgroup memory", "FLOPs per byte", "fn group_index("] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    for (line, message) in [
        ("kernels show relu.fwd --static-only", "`relu.fwd` could be any of "),
        ("kernels show relu.fwd.vec5", "did you mean `relu.fwd.vec4`?"),
        ("kernels show relu.fwd.vec4 --case plain-5", "no multiple of 4"),
        ("kernels show relu.fwd.vec4 --case plain-45", "have no such case"),
    ] {
        let (_, said) = run(line, NO_ADAPTER, 2);
        assert!(said.contains(message), "trainer {line}\n{said}");
    }
}

#[test]
fn a_kernel_is_placed_under_the_roofline() {
    let roofline = &json("kernels show relu.fwd.naive --case plain-1031 --json", &[])["roofline"];
    let number = |name: &str| roofline[name].as_f64().unwrap();
    assert!(number("peak_gflops") > 0.0 && number("bandwidth_gigabytes") > 0.0 && number("nanoseconds") > 0.0);
    let share = number("least_nanoseconds") / number("nanoseconds");
    assert!((number("share_of_roofline") - share).abs() <= 1e-9 * share, "{roofline}");
    assert_eq!(roofline["bound"], "memory", "a ReLU computes nothing worth mentioning: {roofline}");
}

/// A `watch` that runs, and its lines.
struct Watching(Child, Receiver<Value>);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Watching {
    fn begin(folder: &Path, line: &str) -> Self {
        let mut child = command(folder, line).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, receive) = channel();
        thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| send.send(serde_json::from_str(&line).unwrap()))
        });
        Self(child, receive)
    }

    /// The next line. It comes within a second or so; what hangs must not hang the tests.
    #[track_caller]
    fn next(&self) -> Value {
        self.1.recv_timeout(Duration::from_secs(120)).expect("a line for this save")
    }
}

#[test]
fn every_save_of_a_watched_kernel_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.wgsl");
    let right = fs::read_to_string(checkout().join("shaders/relu/fwd_naive.wgsl")).unwrap();
    let altered = |from: &str, to: &str| {
        assert!(right.contains(from), "{from}");
        right.replace(from, to)
    };
    fs::write(&file, &right).unwrap();
    let line = "kernels watch relu.fwd.naive --case plain-1031 --file mine.wgsl --no-roofline --json";
    let watching = Watching::begin(folder.path(), line);

    let first = watching.next();
    assert_eq!((&first["verdict"], &first["save"], &first["last_right"]), (&"right".into(), &0.into(), &Value::Null));
    let module = serde_json::json!([{ "module": "shared/grid.wgsl", "file": "compiled into this program" }]);
    assert_eq!((&first["shader"], &first["shared"]), (&"mine.wgsl".into(), &module), "{first}");
    assert_eq!((&first["numbers"]["worst"], &first["timed_case"]), (&0.0.into(), &"plain-1031".into()));
    for time in ["naive_nanoseconds", "chosen_nanoseconds"] {
        assert!(first["numbers"][time].as_f64().unwrap() > 0.0, "{first}");
    }
    assert!(first["numbers"]["nanoseconds"]["p50"].as_f64().unwrap() > 0.0, "{first}");

    // naga's words, with line and caret; what was right stays.
    fs::write(&file, altered("x[i], 0.0", "x[i], nothing")).unwrap();
    let refused = watching.next();
    assert_eq!((&refused["verdict"], &refused["save"]), (&"refused".into(), &1.into()), "{refused}");
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.starts_with("relu/fwd_naive.wgsl:29:") && message.contains("nothing") && message.contains('^'),
        "{message}"
    );
    assert_eq!(refused["last_right"], first["numbers"]);

    fs::write(&file, altered("x[i], 0.0", "x[i], 0.5")).unwrap();
    let wrong = watching.next();
    assert_eq!((&wrong["verdict"], &wrong["numbers"]), (&"wrong".into(), &Value::Null), "{wrong}");
    assert!(wrong["message"].as_str().unwrap().contains("`y` is 0.5 at ["), "{wrong}");

    // What no longer fits the row compiled into the program.
    fs::write(&file, altered("override WORKGROUP: u32 = 64", "const WORKGROUP: u32 = 64")).unwrap();
    assert_eq!(watching.next()["verdict"], "refused");

    // An editor that replaces the file.
    fs::write(folder.path().join("new"), altered("return;", "return; // past the end")).unwrap();
    fs::rename(folder.path().join("new"), &file).unwrap();
    let again = watching.next();
    assert_eq!((&again["verdict"], &again["last_right"]), (&"right".into(), &first["numbers"]), "{again}");
    assert_eq!(again["save"], 4);

    // Once, and the exit code says it.
    let once = |text: String, code: i32| {
        fs::write(&file, text).unwrap();
        let line = line.replace(" --json", " --once");
        let output = command(folder.path(), &line).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = once(right.clone(), 0);
    assert!(text.starts_with("\nrelu.fwd.naive, as it is in mine.wgsl\n"), "{text}");
    assert!(text.contains("right    on 1 case:") && text.contains("against  naive as compiled in: "), "{text}");
    assert!(once(altered("x[i], 0.0", "x[i], 0.5"), 1).contains("WRONG:"));
    assert!(once("fn".to_owned(), 1).contains("does not compile:"));
}

/// In a checkout whose file says otherwise, nobody may believe that it was checked.
#[test]
fn a_shader_that_is_not_the_compiled_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("shaders/relu")).unwrap();
    let file = folder.path().join("shaders/relu/fwd_naive.wgsl");
    let text = fs::read_to_string(checkout().join("shaders/relu/fwd_naive.wgsl")).unwrap();
    let line = "kernels check relu.fwd.naive --case plain-1 --data reals";
    let said = |line: &str| {
        let output = command(folder.path(), line).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    fs::write(&file, &text).unwrap();
    assert!(said(line).ends_with("\n\nshaders: compiled into this program\n"));
    fs::write(&file, text.replace("x[i], 0.0", "x[i], 0.5")).unwrap();
    let checked = said(line);
    let advice = "NOT CHECKED: shaders/relu/fwd_naive.wgsl differs from the shader compiled into this program";
    assert!(checked.contains(advice) && checked.contains("`trainer kernels watch relu.fwd.naive --once`"), "{checked}");
    let report: Value = serde_json::from_str(&said(&format!("{line} --json"))).unwrap();
    assert_eq!(report["shaders"], "compiled into this program");
    assert_eq!(report["changed_files"][0]["file"], "shaders/relu/fwd_naive.wgsl", "{report}");
    let shown = said("kernels show relu.fwd.naive --static-only");
    assert!(shown.contains("NOT SHOWN: shaders/relu/fwd_naive.wgsl") && !shown.contains("x[i], 0.5"), "{shown}");
}

#[test]
fn cases_and_layers_are_listed_where_one_is_to_be_named() {
    let shown = json("kernels show relu.fwd.vec4 --static-only --json", NO_ADAPTER);
    let names = |what: &str| -> Vec<String> {
        shown[what].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    assert!(names("cases").contains(&"plain-260".to_owned()) && !names("cases").contains(&"plain-5".to_owned()));
    assert!(names("layers").contains(&"depth2-relu1".to_owned()), "{shown}");
    // Every one can be named.
    for (flag, name) in [("case", &names("cases")[0]), ("layer", &names("layers")[0])] {
        let line = format!("kernels show relu.fwd.vec4 --{flag} {name} --static-only --json");
        assert_eq!(json(&line, NO_ADAPTER)["case"], **name);
    }
    let (text, _) = run("kernels show relu.fwd.vec4 --static-only", NO_ADAPTER, 0);
    assert!(text.contains("\ncases: ") && text.contains("\nlayers: "), "{text}");
    let rows = json("kernels list relu.fwd.vec4 --json", &[]);
    assert_eq!((&rows["rows"][0]["cases"], &rows["rows"][0]["layers"]), (&shown["cases"], &shown["layers"]));
    for (line, messages) in [
        ("check relu --case foo", ["have no such case; there are ", " plain-260, "]),
        ("check relu --case plain-261", ["did you mean `plain-260`?; there are ", " plain-260, "]),
        ("watch relu.fwd.vec4 --case foo", ["have no such case; there are ", " plain-260, "]),
        ("bench relu --case foo", ["have no such case; there are ", " plain-260, "]),
        ("check --case foo", ["have no such case; each operation has its own", "`trainer kernels show ROW`"]),
        ("show relu.fwd.vec4 --layer depth2-rely1", ["did you mean `depth2-relu1`?; there are ", "depth2-conv1"]),
        ("bench --layer foo", ["is called so; layers are called <RECIPE>-<LAYER>", "`trainer kernels show ROW`"]),
        ("show relu.fwd.vec4 --layer depth2-conv1", ["of another operation", "`trainer kernels show relu.fwd.vec4`"]),
    ] {
        let (_, said) = run(&format!("kernels {line}"), NO_ADAPTER, 2);
        assert!(messages.iter().all(|message| said.contains(message)), "trainer kernels {line}\n{said}");
    }
}

#[test]
fn choices_and_pages_of_times_are_printed_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let said = |line: &str| -> Value {
        let output = command(folder.path(), line).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let tuned = said("kernels tune relu.fwd --layer depth2-relu1 --samples 5 --out tuned.toml --json");
    let table = kernels::Tuned::parse(&fs::read_to_string(folder.path().join("tuned.toml")).unwrap()).unwrap();
    assert_eq!((&tuned["written"], &tuned["among"]), (&"tuned.toml".into(), &"same-order".into()), "{tuned}");
    let choices = tuned["choices"].as_array().unwrap();
    assert_eq!(choices.len(), table.choices().len());
    for (listed, choice) in choices.iter().zip(table.choices()) {
        assert_eq!((&listed["row"], &listed["gain"]), (&choice.row.as_str().into(), &choice.gain.into()), "{tuned}");
    }
    let report = said("kernels report --layer svm-linear-flatten --recipe svm-linear --samples 5 --json");
    assert_eq!((&report["steps"][0]["recipe"], &report["written"]), (&"svm-linear".into(), &Value::Null), "{report}");
    assert!(report["rows"].as_array().unwrap().iter().all(|row| row["row"].as_str().unwrap().starts_with("flatten.")));
    assert!(report["roofline"].is_object() && report["environment"]["adapter"].is_object(), "{report}");
}

#[test]
fn a_shader_to_watch_must_be_somewhere() {
    let (_, said) = run("kernels watch relu.fwd.naive", NO_ADAPTER, 2);
    assert!(said.contains("shaders/relu/fwd_naive.wgsl") && said.contains("--file"), "{said}");
}

#[test]
fn doctor_tries_one_kernel_of_every_family() {
    let report = json("doctor --json --offline", &[]);
    let tests = report["device"]["self-test"].as_object().unwrap();
    let rows = kernels::ops::all().iter().filter(|row| row.storage() == kernels::Storage::F32);
    let families = rows.filter_map(|row| row.id().rsplit('.').next());
    let families: std::collections::BTreeSet<&str> = families.chain(["f16", "f16_x"]).collect();
    assert_eq!(tests.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), families);
    assert!(tests.len() > 8 && tests["naive"].as_str().unwrap().starts_with("ok (conv2d."), "{report}");
    for (family, outcome) in tests {
        let outcome = outcome.as_str().unwrap();
        assert!(outcome.starts_with("ok (") || outcome.starts_with("does not run here: "), "{family}: {outcome}");
    }
    assert!(report["device"]["clock"].as_str().unwrap().contains("usable"), "{report}");
    assert!(report["wgpu"].as_str().unwrap().starts_with("30.") && report["naga"].as_str().unwrap().starts_with("30."));
    assert!(report["data"].as_str().unwrap().contains("not found"), "{report}");

    // Without an adapter the report is there all the same.
    let (text, said) = run("doctor --offline", NO_ADAPTER, 3);
    assert!(text.contains("adapters: none") && said.contains("no GPU adapter found"), "{text}{said}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (script, _) = run(&format!("completions {shell}"), NO_ADAPTER, 0);
        assert!(script.contains("watch") && script.contains("doctor"), "{shell}\n{script}");
    }
}
