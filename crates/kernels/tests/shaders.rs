//! Every shader without a GPU: naga accepts it, and it agrees with its row.

use kernels::{BindingKind, Row, Shader, Source, ops};
use reference::Access;
use std::collections::BTreeSet;
use std::path::Path;

/// Calls `check` for every row and reports all failures together.
fn every_row(check: impl Fn(&dyn Row, &Shader) -> Result<(), String>) {
    let mut failures = Vec::new();
    for row in ops::all() {
        let outcome = match Shader::of(&**row) {
            Ok(shader) => check(&**row, &shader),
            Err(error) => Err(error.to_string()),
        };
        failures.extend(outcome.err().map(|failure| format!("{}: {failure}", row.id())));
    }
    assert!(ops::all().len() > 3, "the tables are empty");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn naga_accepts_every_shader() {
    every_row(|_, _| Ok(()));
}

#[test]
fn ids_name_operation_direction_algorithm_and_file() {
    let mut seen = BTreeSet::new();
    every_row(|row, _| {
        let expected = format!("{}.{}.", row.op(), row.direction());
        let Some(algorithm) = row.id().strip_prefix(&expected) else {
            return Err(format!("does not start with `{expected}`"));
        };
        let algorithm = algorithm.strip_suffix(row.storage().suffix()).unwrap_or("does not say how it stores");
        // Some stages of another row's shader: one of the same algorithm.
        let op = match row.shader_of() {
            Some(whole) => {
                whole.strip_suffix(&format!(".{}.{algorithm}", row.direction())).unwrap_or("another algorithm")
            }
            None => row.op(),
        };
        let path = format!("{op}/{}_{algorithm}.wgsl", row.direction());
        if row.source().path != path {
            return Err(format!("its shader is {}, not {path}", row.source().path));
        }
        Ok(())
    });
    for row in ops::all() {
        assert!(seen.insert(row.id()), "{} stands twice", row.id());
    }
}

#[test]
fn params_overrides_and_entry_points_agree_with_the_row() {
    every_row(|row, shader| shader.fits(row).map_err(|error| error.to_string()));
}

#[test]
fn params_are_scalars_and_rows_of_four() {
    let kinds = |last: &str| {
        let text = format!(
            "struct Params {{ a: u32, b: f32, c: {last} }}\n@group(0) @binding(0) var<uniform> params: Params;\n\
             @compute @workgroup_size(1) fn main() {{ _ = params.a; }}"
        );
        let shader =
            Shader::compose(Source { path: "op/params.wgsl", text: text.leak() }, &[]).expect("a valid shader");
        shader.params().into_iter().map(|(_, kind)| kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds("i32"), ["u32", "f32", "i32"]);
    assert_eq!(kinds("array<vec4<u32>, 32>"), ["u32", "f32", "array<vec4<u32>, 32>"]);
    for other in ["vec4<u32>", "array<vec4<u32>, 31>", "array<vec4<f32>, 32>"] {
        assert_eq!(kinds(other), ["u32", "f32", "other"], "{other}");
    }
}

#[test]
fn resources_are_those_of_the_overrides() {
    let text = "
override WIDTH: u32 = 8;
var<workgroup> used: array<vec4<f32>, 2 * WIDTH>;
var<workgroup> unused: array<f32, 100>;
@compute @workgroup_size(WIDTH / 2, 3)
fn main(@builtin(local_invocation_index) lane: u32) {
    used[lane] = vec4<f32>();
}
@compute @workgroup_size(5)
fn other() {}
";
    let shader = Shader::compose(Source { path: "op/tile.wgsl", text }, &[]).expect("a valid shader");
    let of = |entry: &str, width| {
        shader.resources(entry, &[("WIDTH", width)]).map(|resources| (resources.workgroup, resources.workgroup_bytes))
    };
    assert_eq!(of("main", 8), Some(([4, 3, 1], 256)));
    assert_eq!(of("main", 20), Some(([10, 3, 1], 640)));
    assert_eq!(of("other", 8), Some(([5, 1, 1], 0)));
    assert_eq!(of("nothing", 8), None);
}

/// Arguments that are read are bound read-only (wgpu then needs no barrier between readers), those
/// written are bound writable, and whatever a direction writes is written by some stage.
#[test]
fn bindings_agree_with_the_signature() {
    every_row(|row, shader| {
        let entry = reference::ops::ALL.iter().find(|entry| entry.name == row.op());
        let cases = entry.map(|entry| (entry.cases)()).unwrap_or_default();
        let Some(case) = cases.iter().find(|case| row.accepts(&*case.op).is_ok()) else {
            return Err("accepts none of its operation's cases".into());
        };
        let signature = case.op.signature(row.direction());
        let scratch = row.launch(&*case.op).map_err(|error| error.to_string())?.scratch;
        let mut bound = BTreeSet::new();
        for entry in row.entries() {
            let bindings = shader.bindings(entry);
            let storage = bindings.iter().filter(|binding| binding.kind != BindingKind::Uniform);
            if storage.clone().count() > 8 {
                return Err(format!("`{entry}` binds more than WebGPU's 8 storage buffers"));
            }
            for binding in storage {
                bound.insert(binding.name.clone());
                let access = signature.iter().find(|arg| arg.name == binding.name).map(|arg| arg.access);
                let fits = match (access, binding.kind) {
                    (Some(Access::Read), kind) => kind == BindingKind::Read,
                    (Some(_), kind) => kind == BindingKind::ReadWrite,
                    (None, _) => scratch.iter().any(|s| s.name == binding.name),
                };
                if !fits {
                    return Err(format!(
                        "`{}` of `{entry}` is {:?}, in the signature {access:?}",
                        binding.name, binding.kind
                    ));
                }
            }
        }
        for arg in signature.iter().filter(|arg| arg.access != Access::Read) {
            if !bound.contains(arg.name) {
                return Err(format!("`{}` is never written", arg.name));
            }
        }
        Ok(())
    });
}

#[test]
fn every_file_belongs_to_a_row_and_shared_ones_bind_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shaders");
    let used: BTreeSet<&str> = ops::all()
        .iter()
        .chain(kernels::probe::rows())
        .flat_map(|row| row.shared().iter().map(|source| source.path).chain([row.source().path]))
        .collect();
    for folder in std::fs::read_dir(&root).expect("shaders/") {
        let folder = folder.expect("a folder of shaders/");
        for file in std::fs::read_dir(folder.path()).expect("a folder of shaders/") {
            let file = file.expect("a file of shaders/");
            let path = format!("{}/{}", folder.file_name().display(), file.file_name().display());
            assert!(used.contains(path.as_str()), "shaders/{path} belongs to no row");
            let text = std::fs::read_to_string(file.path()).expect("a readable shader");
            if path.starts_with("shared/") {
                assert!(!text.contains("@group") && !text.contains("@compute"), "{path} is not shared code");
            } else {
                let id = path.trim_end_matches(".wgsl").replacen('/', ".", 1);
                let (op, rest) = id.split_once('.').expect("an operation's folder");
                let head = text.lines().next().unwrap_or_default();
                assert!(
                    head.starts_with(&format!("// {op}.")) && rest.split('_').all(|word| head.contains(word)),
                    "{path} does not open with its kernel id: {head}"
                );
            }
        }
    }
}

/// What `cargo xtask new-kernel` and `new-op` leave to a person.
#[test]
fn nothing_is_left_to_fill_in() {
    let mut left = Vec::new();
    for row in ops::all() {
        let source = row.source();
        let lines = (1..).zip(source.text.lines()).filter(|(_, line)| line.contains("FILL IN"));
        left.extend(lines.map(|(number, line)| format!("shaders/{}:{number}: {line}", source.path)));
    }
    assert!(left.is_empty(), "still to be filled in:\n{}", left.join("\n"));
}

#[test]
fn errors_point_at_file_line_and_column() {
    let shared = Source { path: "shared/fine.wgsl", text: "fn f() -> u32 {\n    return 1u;\n}\n" };
    let broken = Source { path: "op/broken.wgsl", text: "// header\nfn g() -> u32 {\n    return nothing;\n}\n" };
    let error = Shader::compose(broken, &[shared]).expect_err("an unknown name").to_string();
    assert!(error.starts_with("op/broken.wgsl:3:12"), "{error}");
    assert!(error.contains("    return nothing;") && error.contains('^'), "{error}");

    // A brace that is missing is missing at the end.
    let open = Source { path: "op/open.wgsl", text: "fn g() -> u32 {\n    return 1u;\n" };
    let error = Shader::compose(open, &[shared]).expect_err("an open body").to_string();
    assert!(error.starts_with("op/open.wgsl:2:15"), "{error}");
    assert!(error.ends_with("      return 1u;\n                ^"), "{error}");

    // Of several places each is shown, wherever it is.
    let twice = Source { path: "op/twice.wgsl", text: "fn f() -> u32 {\n    return 2u;\n}\n" };
    let error = Shader::compose(twice, &[shared]).expect_err("a second f").to_string();
    assert!(error.starts_with("op/twice.wgsl:1:4") || error.starts_with("shared/fine.wgsl:1:4"), "{error}");
    assert!(error.contains("op/twice.wgsl:1:4") && error.contains("shared/fine.wgsl:1:4"), "{error}");
}
