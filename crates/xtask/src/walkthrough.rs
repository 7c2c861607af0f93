//! `new-kernel` and `new-op` on a copy of this checkout, and `docs/ADDING_A_KERNEL.md` followed to the letter. What the device makes
//! of the kernel in those pages is tested in `tests/tests/walkthrough.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use clap::{CommandFactory, Parser};
use naga::valid::{Capabilities, ValidationFlags, Validator};

use crate::scaffold::{FILL_IN, ScaffoldError};
use crate::{Cli, Command, new_kernel, new_op};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A copy of what the commands read and write.
fn copy() -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    let mut folders =
        vec!["crates/kernels/src/ops".to_owned(), "crates/reference/src/ops".to_owned(), "tests/tests".to_owned()];
    for folder in fs::read_dir(checkout().join("shaders")).expect("shaders/") {
        folders.push(format!("shaders/{}", folder.expect("a folder").file_name().display()));
    }
    for folder in folders {
        fs::create_dir_all(copy.path().join(&folder)).expect("a folder");
        for file in fs::read_dir(checkout().join(&folder)).expect("a folder") {
            let file = file.expect("a file");
            if file.file_type().expect("a type").is_file() {
                fs::copy(file.path(), copy.path().join(&folder).join(file.file_name())).expect("a copy");
            }
        }
    }
    copy
}

fn read(root: &Path, path: impl AsRef<Path>) -> String {
    fs::read_to_string(root.join(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// Parses and validates a shader behind the shared modules whose functions it, or one of those, calls.
fn accept(root: &Path, text: &str) -> Result<(), String> {
    let modules = fs::read_dir(root.join("shaders/shared")).expect("shared modules");
    let paths = modules.map(|file| file.expect("a module").path());
    // The counterparts for rows that store f16 define the same functions once more.
    let paths = paths.filter(|path| !path.to_string_lossy().ends_with("_f16.wgsl"));
    let mut modules: Vec<String> = paths.map(|path| read(root, path)).collect();
    let mut text = text.to_owned();
    let call = |line: &str| Some(format!("{}(", line.strip_prefix("fn ")?.split_once('(')?.0));
    while let Some(at) =
        modules.iter().position(|module| module.lines().filter_map(call).any(|call| text.contains(&call)))
    {
        text = format!("{}\n{text}", modules.swap_remove(at));
    }
    let module = naga::front::wgsl::parse_str(&text).map_err(|error| error.emit_to_string(&text))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    validator.validate(&module).map(drop).map_err(|error| error.emit_to_string(&text))
}

/// Every naive kernel, as `operation.direction`.
fn directions(root: &Path) -> Vec<String> {
    let mut directions = Vec::new();
    for op in fs::read_dir(root.join("shaders")).expect("shaders/") {
        let op = op.expect("a folder");
        for shader in fs::read_dir(op.path()).expect("a folder") {
            let name = shader.expect("a file").file_name().display().to_string();
            let direction = name.strip_suffix("_naive.wgsl");
            directions.extend(direction.map(|direction| format!("{}.{direction}", op.file_name().display())));
        }
    }
    directions
}

#[test]
fn a_new_kernel_of_any_direction_compiles_at_once() {
    let copy = copy();
    let root = copy.path();
    let directions = directions(root);
    assert!(directions.len() > 20, "{directions:?}");
    for direction in directions {
        let id = format!("{direction}.my_idea");
        let table = format!("crates/kernels/src/ops/{}.rs", direction.split('.').next().unwrap_or_default());
        let before = read(root, &table);
        let created = new_kernel::create(root, &id, "naive").unwrap_or_else(|error| panic!("{id}: {error}"));
        let shader = read(root, &created.shader);
        accept(root, &shader).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert!(shader.starts_with(&format!("// {id}: ")), "{shader}");
        for part in ["// Idea versus naive: FILL IN", "// Writes: ", "// Dispatch: ", "// Shared memory: ", "written\n"]
        {
            assert!(shader.contains(part), "{id} has no `{part}`:\n{shader}");
        }
        // One row more, behind the one it came from, and nothing else.
        let after = read(root, &table);
        let path = created.shader.strip_prefix("shaders").expect("a shader").display().to_string();
        let [naive, mine] =
            ["naive", "my_idea"].map(|name| after.find(&format!("id: \"{direction}.{name}\"")).expect("a row"));
        assert!(naive < mine && after.contains(&format!("shader!(\"{path}\")")), "{after}");
        let (lines, all): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
        let first = lines.iter().zip(&all).position(|(before, after)| before != after).expect("a new line");
        let added = all.len() - lines.len();
        assert!((6..20).contains(&added) && all[first + added..] == lines[first..], "{after}");

        assert!(matches!(new_kernel::create(root, &id, "naive"), Err(ScaffoldError::Exists { .. })));
        assert_eq!(after, read(root, &table), "refused, and yet changed");
    }
}

#[test]
fn a_copy_of_a_better_kernel_keeps_its_row() {
    let copy = copy();
    new_kernel::create(copy.path(), "dense.fwd.wide_tiles", "tiled").expect("a kernel");
    let table = read(copy.path(), "crates/kernels/src/ops/dense.rs");
    let row = table.split("Kernel {").find(|row| row.contains("dense.fwd.wide_tiles")).expect("a row");
    assert!(row.contains("GEMM_TILE") && row.contains("dense/fwd_wide_tiles.wgsl"), "{row}");
    let shader = read(copy.path(), "shaders/dense/fwd_wide_tiles.wgsl");
    assert!(shader.contains("// Idea versus tiled: FILL IN") && !shader.contains("// dense.fwd.tiled:"), "{shader}");
}

#[test]
fn impossible_kernels_are_refused() {
    let copy = copy();
    for (id, from, message) in [
        ("conv2d", "naive", "expected <operation>.<direction>.<algorithm>"),
        ("conv2d.fwd", "naive", "no kernel id"),
        ("conv2d.fwd.My", "naive", "no kernel id"),
        ("conv2d.fwd.../../x", "naive", "no kernel id"),
        ("conv2d.fwd.a.b", "naive", "no kernel id"),
        ("conv2d.fwd.mine_f16", "naive", "no kernel id"),
        ("conv2d.bwd.mine", "naive", "there is no direction `conv2d.bwd`, did you mean `conv2d.fwd`?"),
        ("conv3d.fwd.mine", "naive", "there is no operation `conv3d`, did you mean `conv2d`?"),
        ("fourier.fwd.mine", "naive", "there is no operation `fourier`; there are accumulate, "),
        ("conv2d.forward.mine", "naive", "there is no direction `conv2d.forward`; there are conv2d.bwd_bias, "),
        ("conv2d.fwd.mine", "tilde", "there is no algorithm `tilde`, did you mean `tiled`?"),
        ("conv2d.fwd.tiled", "naive", "shaders/conv2d/fwd_tiled.wgsl exists already"),
    ] {
        let error = new_kernel::create(copy.path(), id, from).expect_err(id);
        assert!(error.is_usage() && error.to_string().contains(message), "{error}");
    }
    for (name, message) in [
        ("Relu", "no name of an operation"),
        ("relu_f16", "no name of an operation"),
        ("self", "it is a keyword of Rust"),
        ("relu", "exists already"),
        ("mod", "exists already"),
    ] {
        let error = new_op::create(copy.path(), name).expect_err(name);
        assert!(error.is_usage() && error.to_string().contains(message), "{error}");
    }
    // A table that a person wrote in another way.
    let table = copy.path().join("crates/kernels/src/ops/relu.rs");
    fs::write(&table, "static ROWS: [Kernel; 1] = [naive()];").expect("a file");
    let error = new_kernel::create(copy.path(), "relu.fwd.mine", "naive").expect_err("no row");
    assert!(!error.is_usage() && error.to_string().contains("by hand"), "{error}");
    assert!(!copy.path().join("shaders/relu/fwd_mine.wgsl").exists(), "refused, and yet created");
}

#[test]
fn a_new_operation_stands_in_its_three_places_and_in_the_lists() {
    let copy = copy();
    let root = copy.path();
    let paths = new_op::create(root, "leaky_relu").expect("an operation");
    assert!(paths.len() >= 9, "{paths:?}");
    for shader in fs::read_dir(root.join("shaders/leaky_relu")).expect("its shaders") {
        let path = shader.expect("a shader").path();
        let text = read(root, &path);
        accept(root, &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(text.starts_with("// leaky_relu.") && text.contains(FILL_IN), "{text}");
    }
    let descriptor = read(root, "crates/reference/src/ops/leaky_relu.rs");
    assert!(
        descriptor.contains("pub struct LeakyRelu {")
            && descriptor.contains("const NAME: &'static str = \"leaky_relu\"")
    );
    assert!(descriptor.starts_with("//! FILL IN") && !descriptor.contains("Relu::new(spec)?;\n// relu"));
    let table = read(root, "crates/kernels/src/ops/leaky_relu.rs");
    assert!(
        table.contains("use reference::ops::LeakyRelu;") && table.contains("shader!(\"leaky_relu/fwd_naive.wgsl\")")
    );

    let reference = read(root, "crates/reference/src/ops/mod.rs");
    for line in ["mod leaky_relu;", "pub use leaky_relu::LeakyRelu;", "    entry!(leaky_relu),"] {
        assert_eq!(reference.lines().filter(|other| *other == line).count(), 1, "{line}");
    }
    let kernels = read(root, "crates/kernels/src/ops/mod.rs");
    for line in ["mod leaky_relu;", "        rows(&leaky_relu::TABLE),"] {
        assert_eq!(kernels.lines().filter(|other| *other == line).count(), 1, "{line}");
    }
    // The list of tests must name the operations in the order of the list of operations.
    let entries: Vec<&str> =
        reference.lines().filter_map(|line| line.strip_prefix("    entry!(")?.strip_suffix("),")).collect();
    let shapes = read(root, "tests/tests/random_shapes.rs");
    let tests = shapes.split("\ntests! {").nth(1).and_then(|list| list.split('}').next()).expect("a list");
    assert_eq!(tests.split_whitespace().collect::<Vec<_>>(), entries);
    assert!(matches!(new_op::create(root, "leaky_relu"), Err(ScaffoldError::Exists { .. })));
}

/// The text between the fences of a code block that contains `mark`, in `docs/ADDING_A_KERNEL.md`.
fn block(mark: &str) -> String {
    let page = read(&checkout(), "docs/ADDING_A_KERNEL.md");
    let blocks = page.split("\n```").skip(1).step_by(2);
    let block = blocks.into_iter().find(|block| block.contains(mark)).unwrap_or_else(|| panic!("no block with {mark}"));
    block.split_once('\n').map(|(_, block)| block.to_owned()).unwrap_or_default() + "\n"
}

#[test]
fn the_walk_through_can_be_followed() {
    let copy = copy();
    let root = copy.path();
    let commands = block("cargo xtask new-kernel");
    let line = commands.lines().find_map(|line| line.strip_prefix("cargo xtask new-kernel ")).expect("a command");
    let id = line.split_whitespace().next().expect("an id");
    let created = new_kernel::create(root, id, "naive").expect("a kernel");

    // The row that the page shows is the row that the command writes.
    let table = read(root, &created.table);
    let row = block("..Kernel::ROW");
    let indented: String = row.lines().map(|line| format!("        {line}\n")).collect();
    assert!(table.contains(&indented), "the page shows\n{indented}\nnot what is in\n{table}");

    // The skeleton's mark is there until the page's shader takes its place.
    assert!(read(root, &created.shader).contains(FILL_IN));
    let shader = block(&format!("// {id}: "));
    accept(root, &shader).unwrap_or_else(|error| panic!("{error}"));
    for part in ["// Idea versus naive: ", "// Writes: ", "// Dispatch: ", "// Shared memory: ", "Barriers: "] {
        assert!(shader.contains(part), "the page's shader has no `{part}`");
    }
    assert!(!shader.contains(FILL_IN), "the page leaves something to fill in");
}

/// Examples that are understood but not run here: they build the workspace, measure, or fetch. `new-kernel` and `new-op` do run.
const TOO_LONG: &[[&str; 2]] = &[
    ["demo", "builds the trainer and trains"],
    ["demo -- --epochs 1", "the same"],
    ["test", "is what runs this"],
    ["test --docs", "the same"],
    ["validate", "builds the tests of the kernels; the_whole_way runs it"],
    ["faults", "injects faults for a quarter of an hour"],
    ["faults --quick", "runs tests that `test` runs, too"],
    ["bench-report", "times everything"],
    ["course", "times everything in the course"],
    ["course -- --keep", "builds the trainer, whose tests run what it calls"],
    ["tune", "times every kernel on every layer"],
    ["bundle", "builds every program"],
    ["bundle --data", "the same"],
    ["bundle --data --out selvedge.tar.gz", "the same"],
    ["onnx", "fetches tests"],
];

/// Every `cargo xtask` command of help, README and docs, without these two words.
fn examples() -> BTreeSet<String> {
    let mut text = Cli::command().get_before_help().map(ToString::to_string).unwrap_or_default();
    for command in Cli::command().get_subcommands() {
        text += &format!("\n{}", command.get_before_help().map(ToString::to_string).unwrap_or_default());
    }
    let mut texts = vec![text, read(&checkout(), "README.md")];
    for folder in ["docs", "docs/course"] {
        for page in fs::read_dir(checkout().join(folder)).expect("a folder") {
            let page = page.expect("a page").path();
            if page.extension().is_some_and(|extension| extension == "md") {
                texts.push(read(Path::new(""), page));
            }
        }
    }
    let mut examples = BTreeSet::new();
    for text in texts {
        let spoken = text.split('`').filter(|words| !words.contains('\n'));
        for line in text.lines().chain(spoken) {
            let line = line.trim_start().split('#').next().unwrap_or_default();
            // What an example is good for stands behind blanks.
            let line = line.split("   ").next().unwrap_or_default();
            examples.extend(line.strip_prefix("cargo xtask ").map(|line| line.trim_end().replace("NAME", "my_op")));
        }
    }
    examples
}

#[test]
fn every_xtask_example_runs_or_takes_too_long() {
    let examples = examples();
    assert!(examples.len() > 10, "{examples:?}");
    for [example, _] in TOO_LONG {
        assert!(examples.contains(*example), "`cargo xtask {example}` is no example any more");
    }
    let mut created = 0;
    for line in &examples {
        let listed = TOO_LONG.iter().filter(|[example, _]| example == line).count();
        let ran = match Cli::try_parse_from(std::iter::once("xtask").chain(line.split_whitespace())) {
            // clap hands the text that it prints back as an error.
            Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => 1,
            Err(error) => panic!("`cargo xtask {line}`: {error}"),
            Ok(Cli { command: Command::NewKernel { id, from } }) => {
                new_kernel::create(copy().path(), &id, &from).unwrap_or_else(|error| panic!("{line}: {error}"));
                created += 1;
                1
            }
            Ok(Cli { command: Command::NewOp { name } }) => {
                new_op::create(copy().path(), &name).unwrap_or_else(|error| panic!("{line}: {error}"));
                created += 1;
                1
            }
            Ok(_) => 0,
        };
        assert_eq!(listed + ran, 1, "`cargo xtask {line}` is to be run by this test, or to stand in TOO_LONG");
    }
    assert!(created > 2, "{examples:?}");
}

/// A copy of the whole checkout with nothing built, to run commands in.
struct Whole(tempfile::TempDir);

impl Whole {
    fn new() -> Self {
        let (copy, here) = (tempfile::tempdir().expect("a folder"), checkout());
        let listed = run(&here, "git", &["ls-files", "--cached", "--others", "--exclude-standard"]).1;
        for path in listed.lines().filter(|path| here.join(path).is_file()) {
            let to = copy.path().join(path);
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs::copy(here.join(path), to).expect("a copy");
        }
        Self(copy)
    }

    /// Runs a cargo command, shown with all that it says; returned is what it says if it succeeds or fails as expected.
    #[track_caller]
    fn cargo(&self, line: &str, succeeds: bool) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (succeeded, text) = run(self.0.path(), words[0], &words[1..]);
        println!("{line}\n{text}");
        assert_eq!(succeeded, succeeds, "{line}\n{text}");
        text
    }
}

/// Whether a program succeeds, and what it says.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = process::Command::new(program);
    let output = command.args(arguments).current_dir(folder).env_remove("CARGO_MANIFEST_DIR").output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

/// The whole way, as somebody new would go it, first for a kernel, then for an operation: commands, shader, validation, check
/// against the reference. Builds a copy of the checkout from nothing, which takes minutes:
/// `cargo test -p xtask -- --ignored the_whole_way`. Needs an adapter.
#[test]
#[ignore = "builds the workspace from nothing"]
fn the_whole_way() {
    let copy = Whole::new();
    let commands = block("cargo xtask new-kernel");
    let shader = block("// Idea versus naive: ");
    for line in commands.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        // An editor and a person sit in front of this one.
        copy.cargo(&line.replace("kernels watch", "kernels watch --once"), true);
        if let Some(id) = line.strip_prefix("cargo xtask new-kernel ") {
            let text = copy.cargo("cargo xtask validate", false);
            assert!(text.contains(FILL_IN), "the skeleton asks for nothing:\n{text}");
            let path = format!("shaders/{}.wgsl", id.replacen('.', "/", 1).replace('.', "_"));
            fs::write(copy.0.path().join(path), &shader).expect("a shader");
        }
    }

    // Every command that new-op names comes next, and does what it says there.
    let said = copy.cargo("cargo xtask new-op leaky_relu", true);
    let next = said.lines().filter_map(|line| Some(line.trim().strip_prefix("cargo ")?.split('#').next()?.trim()));
    let next: Vec<String> = next.map(|line| format!("cargo {line}")).collect();
    let [check, validate, parity] = &next[..] else { panic!("{said}") };
    let table = copy.cargo(check, true);
    for row in
        ["leaky_relu.fwd.naive", "leaky_relu.fwd.vec4", "leaky_relu.bwd_input.naive", "leaky_relu.bwd_input.vec4"]
    {
        assert!(table.lines().any(|line| line.starts_with(row) && line.contains(" ok ")), "{row}\n{table}");
    }
    let text = copy.cargo(validate, false);
    assert!(text.contains(FILL_IN) && text.contains("leaky_relu/fwd_naive.wgsl"), "{text}");
    // The formula is filled in; what is left to do is said by the tests.
    for shader in files(&copy.0.path().join("shaders/leaky_relu")) {
        let text = fs::read_to_string(&shader).expect("a shader");
        let filled: Vec<&str> = text.lines().filter(|line| !line.contains(FILL_IN)).collect();
        fs::write(&shader, filled.join("\n") + "\n").expect("a shader");
    }
    copy.cargo(validate, true);
    // One of the many tests there, for the time it takes.
    let text = copy.cargo(&format!("{parity} --test complete"), false);
    assert!(text.contains("leaky_relu has no sentence yet for"), "{text}");
}

/// The files of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).collect()
}
